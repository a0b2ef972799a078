"""How long a step may take is the profile's word, the group's and the machine's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest

from bundles.files.document import InvalidDocument
from goosed_daemon import infra, machines
from goosed_daemon.infra import Profiles, fields
from goosed_daemon.infra.explain import explain
from goosed_daemon.state import State
from goosed_daemon.web import orchestration
from goosed_daemon.workflow import observe, rows
from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.limits import Limits
from goosed_daemon.workflow.model import Workflow
from goosed_daemon.workflow.orchestrator import Orchestrator
from tests.daemon.infra_site import MACHINE_YAML, PROFILE_YAML, SITE_YAML
from tests.daemon.state_backends import MAC, NOW, OTHER
from tests.daemon.web_site import Lab

PROFILE = PROFILE_YAML + "timeouts: {installing: 4h, fetched: 20m, armed: 2d}\n"
GROUP = (
    "apiVersion: goose/v1\nkind: Group\nname: slow\nselector: {}\n"
    "timeouts: {installing: 6h, rendered: 40m}\n"
)
MACHINE = MACHINE_YAML + "timeouts: {rendered: 1h}\n"


def write(folder: Path, *documents: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "x.yaml").write_text("---\n".join([SITE_YAML, *documents]))
    return folder


def limits(folder: Path) -> Limits:
    return Limits(Profiles(folder, interval=0).current)


def of(mac: str) -> Workflow:
    return Workflow("w", mac, NOW, "0" * 32, ())


def card(folder: Path) -> str:
    (machine,) = infra.load(folder).machines.values()
    return machine.mac[0]


def test_profiles_know_every_step_that_can_take_too_long() -> None:
    assert get_args(fields.Step) == s.STEPS[:-1]


def test_the_most_specific_limit_of_each_step_counts(tmp_path: Path) -> None:
    write(tmp_path, PROFILE, GROUP, MACHINE)
    found = limits(tmp_path)(of(card(tmp_path)))
    assert found == {
        **s.TIMEOUTS,
        s.INSTALLING: timedelta(hours=6),
        s.FETCHED: timedelta(minutes=20),
        s.ARMED: timedelta(days=2),
        s.RENDERED: timedelta(hours=1),
    }
    assert limits(tmp_path)(of(OTHER)) == s.TIMEOUTS


def test_who_said_a_limit_is_explained(tmp_path: Path) -> None:
    loaded = infra.load(write(tmp_path, PROFILE, GROUP, MACHINE))
    (machine,) = loaded.machines.values()
    found = {
        one.field: (one.value, one.origin and one.origin.kind, [o.value for o in one.overruled])
        for one in explain(loaded, machine)
        if one.field.startswith("timeouts")
    }
    assert found == {
        "timeouts.installing": ("6h", "Group", ["4h"]),
        "timeouts.fetched": ("20m", "OSProfile", []),
        "timeouts.armed": ("2d", "OSProfile", []),
        "timeouts.rendered": ("1h", "Machine", ["40m"]),
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{instaling: 4h}", "instaling"),
        ("{ready: 4h}", "ready"),
        ("{installing: 0s}", "'0s' is not a time, such as 90s"),
        ("{installing: 4 hours}", "'4 hours' is not a time, such as 90s"),
        ("{installing: 3600}", "'3600' is not a time, such as 90s"),
    ],
)
def test_mistake_in_timeouts(tmp_path: Path, given: str, words: str) -> None:
    text = PROFILE_YAML + f"timeouts: {given}\n"
    with pytest.raises(InvalidDocument) as caught:
        infra.load(write(tmp_path, text, MACHINE_YAML))
    (problem,) = caught.value.problems
    assert words in str(problem) and "timeouts." in str(problem)


def test_an_edit_counts_at_once_and_a_mistake_makes_nobody_late(tmp_path: Path) -> None:
    write(tmp_path, PROFILE, MACHINE_YAML)
    mac, found = card(tmp_path), limits(tmp_path)
    assert found(of(mac))[s.INSTALLING] == timedelta(hours=4)
    write(tmp_path, PROFILE.replace("4h", "5h"), MACHINE_YAML)
    assert found(of(mac))[s.INSTALLING] == timedelta(hours=5)
    write(tmp_path, PROFILE, MACHINE_YAML + "nonsense: x\n")  # stops this machine
    assert found(of(mac))[s.INSTALLING] == timedelta(hours=5)
    (tmp_path / "x.yaml").write_text("kind: [\n")  # stops all
    assert found(of(mac))[s.INSTALLING] == timedelta(hours=5)
    write(tmp_path, PROFILE_YAML, MACHINE_YAML)
    assert found(of(mac)) == s.TIMEOUTS


def test_a_limit_that_is_lengthened_in_mid_install_saves_the_machine(
    state: State, tmp_path: Path
) -> None:
    write(tmp_path / "infra", PROFILE, MACHINE_YAML)
    mac = card(tmp_path / "infra")
    machines.arm(state, mac, 3, NOW, "operator")
    with state.write() as transaction:
        observe(transaction, mac, s.OFFERED, NOW, "t1")
        observe(transaction, mac, s.INSTALLING, NOW, "t1")
    orchestrator = Orchestrator(state, (), limits(tmp_path / "infra"))

    def after(hours: float) -> tuple[str, object]:
        orchestrator.turn(NOW + timedelta(hours=hours))
        (standing,) = rows.standings(state)
        return standing.position.state, standing.position.deadline

    assert after(3.9) == ("running", NOW + timedelta(hours=4))
    write(tmp_path / "infra", PROFILE.replace("4h", "5h"), MACHINE_YAML)
    assert after(4.1) == ("running", NOW + timedelta(hours=5))
    assert after(5.1) == ("failed", None)
    (standing,) = rows.standings(state)
    assert "nothing was seen of it for 5 h" in standing.position.words


async def test_the_daemon_goes_by_what_its_profiles_say(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orchestration, "IDLE", 0.02)
    path = next(p for p in lab.deps.profiles.folder.rglob("*.yaml") if "OSProfile" in p.read_text())
    path.write_text(
        path.read_text().replace("kind: OSProfile\n", "kind: OSProfile\ntimeouts: {armed: 10m}\n")
    )
    lab.arm()

    async def until(seen: Callable[[], bool]) -> None:
        for _ in range(400):
            if seen():
                return
            await asyncio.sleep(0.05)
        raise AssertionError("not in 20 seconds")

    def standing() -> str:
        (found,) = rows.standings(lab.deps.state)
        assert found.workflow.mac == MAC
        return found.position.state

    lab.clock.forward(timedelta(minutes=11))
    async with orchestration.running(lab.deps):
        with lab.deps.state.write() as transaction:
            observe(transaction, MAC, "phase:x", lab.clock.now)
        await until(lambda: standing() == "failed")
