"""Real machines go through every step of their workflow, or fail at a chosen one, and `goosectl
workflow show` tells it while a site lets one machine install at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goosed_daemon.workflow import steps as s
from tests.integration.qemu import HOST, Machine
from tests.integration.site import Site
from tests.integration.test_agent import made
from tests.integration.test_boot import loader, qemu_parts
from tests.integration.transcript import in_order, unbroken

MAC, FIRST, FAULTY = (f"52:54:00:10:00:{number:02}" for number in (1, 4, 8))


@pytest.fixture(scope="module")
def one_at_a_time(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    qemu_parts("bios")
    with made(tmp_path_factory.mktemp("one-at-a-time")) as site:
        # In the file, where goosectl finds it too.
        (site.home / "goosed.yaml").write_text("installs_at_once: 1\nagent_interval: 10s\n")
        site.serve()
        yield site


def shown(site: Site, name: str) -> Any:
    return site.goosectl("workflow", "show", name)


def ended(site: Site, name: str, state: str, seconds: float) -> Any:
    """The workflow once it is in `state`."""
    deadline = time.monotonic() + seconds
    while (found := shown(site, name))["state"] != state:
        assert time.monotonic() < deadline, found
        time.sleep(1)
    return found


@pytest.mark.timeout(1200)  # seconds; two minutes on an idle machine, many on a busy one
def test_a_machine_waits_for_its_turn_and_goes_through_every_step_to_ready(
    one_at_a_time: Site, tmp_path: Path
) -> None:
    site = one_at_a_time
    site.goosectl("machine", "arm", "never-armed")
    site.get(f"/v1/boot/ipxe?mac={FIRST}")  # takes the only place
    site.goosectl("machine", "arm", "with-bios")
    with Machine(
        "bios", mac=MAC, bootfile=loader(site), scratch=tmp_path, memory_mb=768
    ) as machine:
        machine.wait_for("goose: waiting, position 1", seconds=300)
        waits = shown(site, "with-bios")
        assert (waits["state"], waits["step"], waits["position"]) == ("running", s.ARMED, 1)
        assert waits["words"] == "waiting, position 1"
        why = site.goosectl("machine", "why", "with-bios")
        assert (why["outcome"], why["why"]) == ("machine-waits", "waiting, position 1")
        site.goosectl("machine", "disarm", "never-armed")
        machine.wait_for("goose-agent: enrolled as", seconds=900)
        ready = ended(site, "with-bios", "ready", 120)
        screen = machine.screen
    in_order(
        unbroken(screen),
        f"goose: {MAC} asks http://{HOST}:{site.boot_port}",
        "goose: waiting, position 1",
        "goose: asking again in 20 seconds",
        "goose: with-bios is about to be installed",
        "guest: reported: started",
        "guest: reported: installed",
        "guest: its firmware is told: goose: booting this machine's own disk",
        "guest: boots the system that it installed",
        f"goose-agent: enrolled as {MAC}",
    )
    assert [(step["step"], step["outcome"]) for step in ready["steps"]] == [
        (step, "done") for step in s.STEPS[:-1]
    ]
    assert (ready["attempt"], ready["position"], ready["words"]) == (1, None, "ready")


@pytest.mark.timeout(900)  # seconds
def test_a_machine_made_to_fail_while_it_installs_is_told_to_have_failed_there(
    one_at_a_time: Site, tmp_path: Path
) -> None:
    site = one_at_a_time
    site.goosectl("machine", "arm", "made-to-fail")
    with Machine(
        "bios", mac=FAULTY, bootfile=loader(site), scratch=tmp_path, memory_mb=768
    ) as machine:
        screen = machine.wait_for_end(seconds=600)
    in_order(screen, "guest: reported: started", "guest: reported: failed", "guest: power off")
    failed = ended(site, "made-to-fail", "failed", 60)
    assert (failed["step"], failed["reason"]) == (s.INSTALLING, "install-failed")
    passed = [(step["step"], step["outcome"]) for step in failed["steps"]]
    upto = s.STEPS.index(s.INSTALLING)
    assert passed == [*((step, "done") for step in s.STEPS[:upto]), (s.INSTALLING, "failed")]
    site.goosectl("machine", "arm", "never-armed")
    assert "token=" in site.get(f"/v1/boot/ipxe?mac={FIRST}"), "its place is free"
