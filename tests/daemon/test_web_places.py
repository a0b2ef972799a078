"""Machines that wait for their turn, as they ask for their scripts over real sockets."""

from __future__ import annotations

import asyncio
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from goosectl.main import main
from goosed_daemon import machines, place_ends
from goosed_daemon.errors import MachineWaits, StateError
from goosed_daemon.home import Home
from goosed_daemon.places import PAUSE, Places
from goosed_daemon.state import connect
from goosed_daemon.workflow.orchestrator import Orchestrator
from tests.daemon.postgres import database
from tests.daemon.state_backends import MAC, OTHER
from tests.daemon.web_site import PROFILES, Lab, running

SECOND = f"""\
---
apiVersion: goose/v1
kind: Machine
name: web2
mac: {OTHER}
profile: rhel9-base
"""
TWO = PROFILES + SECOND


def arm(lab: Lab, *macs: str) -> None:
    for mac in macs:
        machines.arm(lab.deps.state, mac, 3, lab.clock.now, "operator")


def turn(lab: Lab) -> None:
    lab.deps.sightings.write(lab.deps.state)
    Orchestrator(lab.deps.state, (place_ends.settle,)).turn(lab.clock.now)


async def report(lab: Lab, script: str, *steps: str) -> None:
    """Renders for the script, and reports the install's steps."""
    token = script.partition("token=")[2].split()[0].strip("'")
    text = await (await lab.get(f"/v1/render/kickstart?token={token}")).text()
    path = re.search(r"/v1/machines/\S+?token=[A-Za-z0-9_-]+", text)
    assert path is not None
    for step in steps:
        lab.clock.forward(timedelta(seconds=90))
        assert (await lab.get(f"{path[0]}&step={step}", "POST")).status == 204


@pytest.mark.parametrize("language", ["ipxe", "grub"])
async def test_a_machine_waits_in_words_and_installs_when_it_is_its_turn(
    tmp_path: Path, language: str
) -> None:
    async with running(tmp_path, TWO, GOOSED_INSTALLS_AT_ONCE="1") as lab:
        arm(lab, MAC, OTHER)
        path = f"/v1/boot/{language}?mac="
        first = await (await lab.get(path + MAC)).text()
        assert "token=" in first
        answer = await lab.get(path + OTHER)
        script = await answer.text()
        assert answer.status == 200 and answer.headers["Retry-After"] == str(PAUSE)
        assert "waiting, position 1" in script and f"sleep {PAUSE}" in script
        assert "token=" not in script and "chainloader" not in script and "sanboot" not in script
        assert await lab.metric('goosed_boot_scripts_total{outcome="machine-waits"}') == 1
        turn(lab)
        await report(lab, first, "started", "installed")
        turn(lab)
        assert "token=" in await (await lab.get(path + OTHER)).text()
        arm(lab, MAC)
        told = await (await lab.get(path + MAC)).text()
        assert "waiting, about 3 min, position 1" in told


async def test_a_machine_that_waits_does_not_lose_patience_with_a_state_that_is_away(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, TWO, GOOSED_INSTALLS_AT_ONCE="1") as lab:
        arm(lab, MAC, OTHER)
        await lab.script()
        assert "&waits=yes" in await lab.script(OTHER)
        away = StateError("the state is away")
        with mock.patch.object(Places, "ask", side_effect=away):
            for language in ("ipxe", "grub"):
                script = await (
                    await lab.get(f"/v1/boot/{language}?mac={OTHER}&waits=yes&attempt=3")
                ).text()
                assert "the state is away" in script and f"sleep {PAUSE}" in script
                assert "sanboot" not in script and "chainloader" not in script
            assert "attempt 2 of 3" in await lab.script(OTHER), "who does not wait gives up"


async def test_a_flood_of_unknown_machines_does_not_fill_the_queue(tmp_path: Path) -> None:
    async with running(tmp_path, TWO, GOOSED_INSTALLS_AT_ONCE="1") as lab:
        arm(lab, MAC)
        await lab.script()
        for number in range(50):
            told = await lab.script(f"52:54:00:00:01:{number:02x}")
            assert "no machine has MAC" in told
        assert "not armed" in await lab.script(OTHER)
        assert place_ends.tidy(lab.deps.state, lab.clock.now) == (1, 0)


async def test_an_operator_is_told_who_waits_and_for_how_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, TWO, GOOSED_INSTALLS_AT_ONCE="1") as lab:
        arm(lab, MAC, OTHER)
        await lab.script()
        before = lab.deps.places.held_back(lab.clock.now)
        assert before(OTHER) and not before(MAC)
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path))
    monkeypatch.setenv("GOOSED_LAB", "true")
    monkeypatch.setenv("GOOSED_INSTALLS_AT_ONCE", "1")

    def ran(*arguments: str) -> str:
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    told = ran("machine", "why", "web2")
    assert "web2 would wait for its turn to INSTALL: waiting, position 1" in told
    assert "machine-waits" in ran("machine", "list", "--json")
    assert "but not yet: waiting, position 1" in ran("machine", "show", "web2")
    assert "to be switched on" in ran("workflow", "show", "web2"), "it has not asked yet"
    state = connect(Home(tmp_path))
    with pytest.raises(MachineWaits):
        Places(state, 1).ask(OTHER, "rhel9-base", datetime.now(UTC))
    state.close()
    assert "running since" in ran("workflow", "show", "web2")
    assert ": waiting, position 1" in ran("workflow", "show", "web2")
    listed = ran("workflow", "list")
    assert "position 1" in " ".join(listed.split())


async def test_two_daemons_over_one_postgresql_never_let_more_install_than_may(
    tmp_path: Path,
) -> None:
    macs = [f"52:54:00:00:02:{number:02x}" for number in range(40)]
    profiles = PROFILES + "".join(
        f"---\napiVersion: goose/v1\nkind: Machine\nname: n{number}\nmac: {mac}\n"
        "profile: rhel9-base\n"
        for number, mac in enumerate(macs)
    )
    settings = {
        "DB_DSN": database(tmp_path),
        "GOOSED_INSTALLS_AT_ONCE": "7",
        "GOOSED_RATE_ADDRESS": "none",
    }
    async with running(tmp_path / "a", profiles, **settings) as one:
        shutil.copytree(tmp_path / "a" / "keys", tmp_path / "b" / "keys")
        async with running(tmp_path / "b", profiles, **settings) as two:
            arm(one, *macs)
            for _ in range(3):
                scripts = await asyncio.gather(
                    *(lab.script(mac) for mac in macs for lab in (one, two))
                )
                installing = [script for script in scripts if "token=" in script]
                assert len({script.partition("token=")[2].split()[0] for script in installing}) == 7
                assert len(installing) == 14, "whichever daemon a machine asks"
            assert place_ends.tidy(one.deps.state, one.clock.now) == (7, 33)
