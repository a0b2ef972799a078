"""What is foretold is what comes, and foretelling leaves no trace. Against a running daemon."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from goosectl.main import main
from goosed_daemon import infra, machines
from goosed_daemon.simulate import SECRET, Simulation, simulate
from goosed_daemon.web import current
from tests.daemon.content import make_store
from tests.daemon.state_backends import MAC, OTHER
from tests.daemon.web_site import FILES, PROFILES, Lab

TABLES = ("machines", "tokens", "events", "refusals", "places")


def foretold(lab: Lab, mac: str = MAC, **identity: str) -> Simulation:
    """What is foretold; fails when it left a trace in the state."""
    before = trace(lab)
    profiles, deps = infra.load(lab.home.infra), lab.deps
    found = simulate(
        profiles, deps.catalog, deps.tokens, deps.places, lab.clock.now, lab.url, deps.settings,
        mac, **identity,
    )  # fmt: skip
    assert trace(lab) == before
    return found


def trace(lab: Lab) -> list[object]:
    with lab.deps.state.read() as transaction:
        return [transaction.execute(f"select * from {table}") for table in TABLES]


def without_token(script: str) -> list[str]:
    """What differs by nature: the token's secret, and its id at the last file."""
    return [line.partition("?by=")[0].partition("token=")[0] for line in script.splitlines()]


async def test_an_armed_machine_is_foretold_its_script(lab: Lab) -> None:
    lab.arm(tries=2)
    found = foretold(lab)
    assert (found.outcome, found.why) == ("install", "it is armed, and 2 tries are left")
    assert without_token(found.script) == without_token(await lab.script())
    waiting = foretold(lab)
    assert waiting.why.startswith("a boot token waits for it until 2026-11-24 12:30:00")


async def test_the_rendered_file_is_foretold_but_for_its_secret(lab: Lab) -> None:
    lab.arm()
    found = foretold(lab)
    assert found.rendered is not None
    response = await lab.get(f"/v1/render/kickstart?token={await lab.token()}")
    text = await response.text()
    secret = text.partition("progress?token=")[2].partition("&")[0]
    enrolment = text.partition("enrolment=%s\\n' ")[2].partition(" ")[0]
    assert len(enrolment) == 64
    assert text.replace(secret, SECRET).replace(enrolment, SECRET) == found.rendered


async def test_the_artifacts_are_those_of_the_store(lab: Lab) -> None:
    lab.arm()
    found = (foretold(lab)).artifacts
    expected = []
    for path in ("rhel9/images/pxeboot/vmlinuz", "rhel9/images/pxeboot/initrd.img"):
        data = FILES[path]
        assert isinstance(data, bytes)
        expected.append((path, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data)))
    assert [(file.path, file.digest, file.size) for file in found] == expected


async def test_why_not_is_what_the_screen_says(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current, "LOOK_EVERY", 0.0)

    async def same(mac: str, code: str, **identity: str) -> None:
        found = foretold(lab, mac, **identity)
        more = "".join(f"&{name}={value}" for name, value in identity.items())
        assert (found.outcome, found.script) == (code, await lab.script(mac, more))
        assert found.why and found.rendered is None

    await same(MAC, "machine-not-armed")
    await same(OTHER, "machine-unknown")
    lab.arm(tries=1)
    await lab.get(f"/v1/render/kickstart?token={await lab.token()}")
    await same(MAC, "tries-exhausted")
    lab.arm()
    machines.disarm(lab.deps.state, MAC, lab.clock.now, "install", "installed")
    assert "it is installed" in (foretold(lab)).why
    lab.arm()
    lab.write_profiles(PROFILES.replace("vmlinuz", "no-such-kernel"))
    await same(MAC, "artifact-missing")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "site.yaml").write_text(PROFILES)
    make_store(tmp_path / "store", FILES)
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path))
    return tmp_path


def test_why_and_simulate_on_the_command_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["machine", "why", "web1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("web1 would boot its disk: ") and "not armed" in out
    assert not list(home.glob("state.db")) and not (home / "keys").exists()
    main(["machine", "arm", "web1"])
    capsys.readouterr()
    assert main(["machine", "why", MAC.upper()]) == 0
    assert capsys.readouterr().out.startswith("web1 would INSTALL: it is armed, and 3 tries")
    assert main(["infra", "simulate", "--mac", MAC]) == 0
    out = capsys.readouterr().out
    assert "#!ipxe" in out and "The rendered file:" in out and "vmlinuz" in out
    assert main(["infra", "simulate", "--mac", OTHER, "--json"]) == 0
    assert '"outcome": "machine-unknown"' in capsys.readouterr().out
