"""HTTPS, as curl and openssl see it, and what is served beside it in plain HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from goosed_daemon.web.app import routes
from tests.daemon.state_backends import MAC
from tests.daemon.tls_site import TlsLab, authority, issue, running_tls
from tests.daemon.web_site import PROFILES
from tests.parts import part


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[TlsLab]:
    async with running_tls(tmp_path) as site:
        yield site


async def script(site: TlsLab) -> str:
    """The boot script, as firmware asks for it: at the boot listener, without TLS."""
    asked = await site.curl(f"{site.boot}/v1/boot/ipxe?mac={MAC}")
    assert asked.code == 0, asked.err
    return asked.out


async def test_firmware_boots_over_http_and_the_installer_renders_over_https(
    site: TlsLab,
) -> None:
    site.lab.arm()
    chain = await site.curl(f"{site.boot}/boot.ipxe")
    assert f"{site.boot}/v1/boot/ipxe?mac=" in chain.out and "https" not in chain.out
    told = await script(site)
    kernel = re.search(r"^kernel (\S+) ", told, re.MULTILINE)
    assert kernel and kernel[1].startswith(f"{site.boot}/v1/artifacts/site-base@")
    initrds = re.findall(r"^initrd --name (\S+) (\S+) ", told, re.MULTILINE)
    assert [name for name, _ in initrds] == ["initrd0.img", "goose-ca.img"]
    assert initrds[1][1] == f"{site.boot}/v1/boot/ca/rhel9.img"
    assert "initrd=initrd0.img initrd=goose-ca.img" in told
    for url in (kernel[1], *(url for _, url in initrds)):
        fetched = await site.curl("--output", site.folder / "fetched", url, "-w", "%{http_code}")
        assert fetched.out == "200"
    rendered = re.search(r"inst\.ks=(\S+)", told)
    assert rendered and rendered[1].startswith(f"https://127.0.0.1:{site.port}/v1/render/")
    repo = re.search(r"inst\.repo=(\S+)", told)
    assert repo and repo[1].startswith(f"https://127.0.0.1:{site.port}/v1/artifacts/")
    kickstart = await site.curl(rendered[1])
    assert kickstart.code == 0 and f"url --url={repo[1]}" in kickstart.out
    assert "update-ca-trust" in kickstart.out
    assert f"https://127.0.0.1:{site.port}/v1/machines/" in kickstart.out


async def test_a_client_without_the_authority_is_not_talked_into_it(site: TlsLab) -> None:
    other = authority(site.folder / "other").show().path
    url = f"https://127.0.0.1:{site.port}/healthz"
    assert (await site.curl(url)).out == "ok\n"
    assert (await site.curl(url, ca=other)).code == 60  # the peer's certificate is not believed
    refused = await site.s_client("-verify_ip", "127.0.0.2")
    assert refused.code != 0 and "IP address mismatch" in refused.err + refused.out
    assert (await site.s_client("-verify_ip", "127.0.0.1")).code == 0


async def test_a_certificate_for_another_name_is_refused_by_the_client(site: TlsLab) -> None:
    issue(site.authority, names=["goose.site-a.example"])
    assert site.lab.deps.tls is not None and site.lab.deps.tls.reload()
    url = f"https://127.0.0.1:{site.port}/healthz"
    assert (await site.curl(url)).code == 60
    named = f"https://goose.site-a.example:{site.port}/healthz"
    resolved = ["--resolve", f"goose.site-a.example:{site.port}:127.0.0.1"]
    assert (await site.curl(*resolved, named)).out == "ok\n"


@pytest.mark.parametrize(
    ("words", "accepted"),
    [
        (("-tls1_3",), True),
        (("-tls1_2",), True),
        (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"), True),
        (("-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"), True),
        (("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), False),
        (("-tls1", "-cipher", "ALL:@SECLEVEL=0"), False),
        (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"), False),  # CBC
        (("-tls1_2", "-cipher", "AES128-GCM-SHA256"), False),  # no forward secrecy
        (("-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"), False),
        (("-tls1_2", "-cipher", "PSK"), False),
    ],
)
async def test_a_downgrade_is_refused(site: TlsLab, words: tuple[str, ...], accepted: bool) -> None:
    assert ((await site.s_client(*words)).code == 0) is accepted


async def test_http_1_1_is_what_is_agreed_on(site: TlsLab) -> None:
    agreed = await site.s_client("-alpn", "h2,http/1.1")
    assert "ALPN protocol: http/1.1" in agreed.out
    answer = await site.curl("--http2", "-w", "%{http_version}", "-o", "/dev/null",
                             f"https://127.0.0.1:{site.port}/healthz")  # fmt: skip
    assert answer.out == "1.1"


async def test_renegotiation_is_refused(site: TlsLab) -> None:
    process = await asyncio.create_subprocess_exec(
        part("openssl"), "s_client", "-connect", f"127.0.0.1:{site.port}", "-CAfile", str(site.ca),
        "-tls1_2", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate(b"R\nGET /healthz HTTP/1.0\n\n")
    assert b"no renegotiation" in out
    assert b"\nok\n" not in out


async def test_plain_http_to_the_tls_port_is_closed_and_harms_nobody(
    site: TlsLab, caplog: pytest.LogCaptureFixture
) -> None:
    plain = await site.curl(f"http://127.0.0.1:{site.port}/healthz")
    assert plain.code in (52, 56)  # an empty reply, or reset: never an answer
    assert plain.out == ""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"\0" * 70_000)
    with suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(), 60)
        assert not answer.startswith(b"HTTP")
    writer.close()
    assert (await site.curl(f"https://127.0.0.1:{site.port}/healthz")).out == "ok\n"
    assert [record for record in caplog.records if record.exc_info] == []


async def test_tls_to_the_boot_listener_is_told_that_it_is_none(site: TlsLab) -> None:
    spoken = await site.s_client(port=site.boot_port)
    assert spoken.code != 0 and "wrong version number" in spoken.err
    tried = await site.curl(f"https://127.0.0.1:{site.boot_port}/healthz")
    assert tried.code == 35  # the handshake failed
    assert (await site.curl(f"{site.boot}/healthz")).out == "ok\n"


async def test_a_handshake_that_is_never_finished_holds_nobody_up(site: TlsLab) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(50)]
    for _, writer in idle[:25]:
        writer.write(b"\x16\x03\x01\x02\x00\x01")  # the first bytes of a handshake
    assert (await site.curl(f"https://127.0.0.1:{site.port}/healthz")).out == "ok\n"
    for _, writer in idle:
        writer.close()


async def test_a_certificate_that_ended_leaves_machines_to_their_disks(tmp_path: Path) -> None:
    issue(authority(tmp_path / "pki"), ago=timedelta(days=10), life=timedelta(days=9))
    async with running_tls(tmp_path) as site:
        site.lab.arm()
        told = await script(site)
        assert "certificate ended at" in told and "sanboot" in told and "token=" not in told
        assert (await site.curl(f"https://127.0.0.1:{site.port}/healthz")).code == 60
        ready = await site.curl("--insecure", f"https://127.0.0.1:{site.port}/readyz")
        assert json.loads(ready.out)["checks"]["certificate"] == "certificate-ended"
        issue(site.authority)
        assert site.lab.deps.tls is not None
        assert site.lab.deps.tls.look()
        assert "token=" in await script(site)


# --- the boot listener ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/v1/render/kickstart?token=x"),
        ("GET", "/v1/render/preseed?token=x"),
        ("HEAD", "/v1/render/kickstart?token=x"),
        ("POST", f"/v1/machines/{MAC}/progress?token=x&step=started"),
        ("POST", "/v1/agents/register"),
        ("POST", "/v1/agents/heartbeat"),
        ("POST", "/v1/agents/token/refresh"),
        ("GET", "/v1/artifacts/site-base/rhel9/.treeinfo"),
        ("HEAD", "/v1/artifacts/site-base/rhel9/.treeinfo"),
        ("GET", "/v1/artifacts/site-base@2026.11.1/parted.iso"),
        ("GET", "/v1/artifacts/other/rhel9/images/pxeboot/vmlinuz"),
        ("GET", "/v1/artifacts/site-base/rhel9/images/pxeboot/../../.treeinfo"),
        ("GET", "/v1/artifacts/site-base/rhel9/images/pxeboot/%2e%2e/%2e%2e/.treeinfo"),
        ("GET", "/v1/artifacts/site-base/rhel9/images/pxeboot/vmlinuz/../../../.treeinfo"),
        ("GET", "/v1/boot/../render/kickstart?token=x"),
        ("GET", "/v1/boot/%2e%2e/render/kickstart?token=x"),
        ("GET", "//v1/render/kickstart?token=x"),
        ("GET", "/v1/boot/ca/../../render/kickstart.img"),
    ],
)
async def test_what_is_not_for_firmware_is_not_on_the_boot_listener(
    site: TlsLab, method: str, path: str
) -> None:
    head = ["--head"] if method == "HEAD" else ["--request", method]
    asked = await site.curl("--path-as-is", *head, "-w", "\n%{http_code}", f"{site.boot}{path}")
    assert asked.out.splitlines()[-1] == "404"
    if method != "HEAD":
        error = json.loads(asked.out.rpartition("\n")[0])["error"]
        assert error["code"] in ("not-on-boot-listener", "route-unknown")


async def test_what_comes_to_the_boot_listener_is_counted_as_bootds(site: TlsLab) -> None:
    for path in ("/healthz", "/no/such", "/v1/agents/m1"):
        await site.curl(f"{site.boot}{path}")
    await site.curl(f"{site.lab.url}/healthz", ca=site.ca)
    text = site.lab.deps.telemetry.exposition()[0].decode()
    counts = re.findall(r'duration_seconds_count{.*route="(.*?)",service="(.*?)"', text)
    assert set(counts) == {
        ("/healthz", "goosed-bootd"),
        ("/healthz", "goosed-api"),
        ("unmatched", "goosed-bootd"),
        ("/v1/agents/{machine}", "goosed-bootd"),
    }


async def test_every_route_is_on_the_boot_listener_by_decision_only(site: TlsLab) -> None:
    there = {route.path for route in routes(site.lab.deps) if route.boot is not None}
    assert there == {
        "/healthz",
        "/boot.ipxe",
        "/v1/boot/ipxe",
        "/boot.grub",
        "/v1/boot/grub",
        "/v1/boot/ca.crt",
        "/v1/boot/ca/{release}.img",
        "/v1/boot/windows/{name}",  # wimboot's files; the answers come over HTTPS alone
        "/v1/artifacts/{bundle}/{path:.+}",
    }


async def test_a_token_from_a_boot_script_is_not_used_by_a_plain_render(site: TlsLab) -> None:
    site.lab.arm()
    secret = (await script(site)).partition("token=")[2].split()[0]
    plain = await site.curl(f"{site.boot}/v1/render/kickstart?token={secret}")
    assert json.loads(plain.out)["error"]["code"] == "not-on-boot-listener"
    again = await site.curl(f"https://127.0.0.1:{site.port}/v1/render/kickstart?token={secret}")
    assert again.out.startswith("# web1")


async def test_more_files_are_given_out_where_the_site_says_so(tmp_path: Path) -> None:
    async with running_tls(tmp_path, GOOSED_BOOT_FILES="site-base/rhel9/.tree*") as site:
        url = f"{site.boot}/v1/artifacts/site-base/rhel9/.treeinfo"
        assert (await site.curl(url)).out == "[general]\n"
        other = await site.curl(f"{site.boot}/v1/artifacts/site-base/parted.iso")
        assert json.loads(other.out)["error"]["code"] == "not-on-boot-listener"


async def test_a_site_whose_url_is_plain_installs_nothing(site: TlsLab) -> None:
    site.lab.write_profiles(PROFILES.replace("name: lab\n", "name: lab\nurl: http://goose\n"))
    site.lab.arm()
    told = await script(site)
    assert "is not https" in told and "token=" not in told


async def test_a_host_header_reaches_no_https_address_but_as_a_host(site: TlsLab) -> None:
    site.lab.arm()
    url = f"{site.boot}/v1/boot/ipxe?mac={MAC}"
    assert "not a host and port" in (await site.curl("-H", "Host: a:1:2", url)).out
    told = (await site.curl("-H", "Host: [::1]:9", url)).out
    assert f"inst.ks=https://[::1]:{site.port}/" in told
    assert "kernel http://[::1]:9/" in told


async def test_the_authority_is_there_for_who_wants_it(site: TlsLab) -> None:
    for base in (site.boot, f"https://127.0.0.1:{site.port}"):
        assert (await site.curl(f"{base}/v1/boot/ca.crt")).out == site.ca.read_text()
        missing = await site.curl(f"{base}/v1/boot/ca/plan9.img")
        assert json.loads(missing.out)["error"]["code"] == "route-unknown"
    site.ca.unlink()
    gone = await site.curl(f"{site.boot}/v1/boot/ca/rhel9.img")
    assert json.loads(gone.out)["error"]["code"] == "route-unknown"
    site.lab.arm()
    assert "goose-ca.img" not in await script(site)  # nothing to bring
