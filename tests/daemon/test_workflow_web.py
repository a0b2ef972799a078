"""What a daemon sees of a machine over HTTP moves its workflow: from the script to the disk."""

from __future__ import annotations

import re

from goosed_daemon import machines
from goosed_daemon.workflow import rows
from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.model import Position
from goosed_daemon.workflow.orchestrator import Orchestrator
from tests.daemon.state_backends import MAC, OTHER
from tests.daemon.web_site import Lab


def where(lab: Lab) -> Position:
    """Where the machine is, with all that was seen until now."""
    lab.deps.sightings.write(lab.deps.state)
    Orchestrator(lab.deps.state).turn(lab.clock.now)
    (standing,) = rows.standings(lab.deps.state)
    return standing.position


def last_file(script: str) -> str:
    """The path that the script fetches last."""
    return re.findall(r"https?://[^/]+(/v1/artifacts/\S+)", script)[-1]


async def test_a_machine_is_seen_from_its_script_to_its_own_disk(lab: Lab) -> None:
    lab.arm()
    script = await lab.script()
    assert where(lab).step == s.SCRIPT_SERVED
    fetched = last_file(script)
    assert "initrd.img?by=" in fetched
    assert (await lab.get(fetched)).status == 200
    assert where(lab).step == s.FETCHED
    token = script.partition("token=")[2].split()[0]
    text = await (await lab.get(f"/v1/render/kickstart?token={token}")).text()
    assert where(lab).step == s.RENDERED
    report = re.search(r"/v1/machines/\S+?token=[A-Za-z0-9_-]+", text)
    assert report is not None
    for step, seen in (("started", s.INSTALLING), ("installed", s.INSTALLED)):
        answer = await lab.client.post(f"{lab.url}{report[0]}&step={step}")
        assert answer.status == 204
        assert where(lab).step == seen
    assert "is installed" in await lab.script()
    assert where(lab).step == s.FIRST_BOOT


async def test_kernel_and_other_files_are_not_the_last(lab: Lab) -> None:
    lab.arm()
    script = await lab.script()
    for path in re.findall(r"https?://[^/]+(/v1/artifacts/\S+)", script)[:-1]:
        await lab.get(path)
    await lab.get(last_file(script), method="HEAD")
    assert where(lab).step == s.SCRIPT_SERVED


async def test_a_forged_or_foreign_id_moves_nothing(lab: Lab) -> None:
    lab.arm()
    path = last_file(await lab.script()).partition("?")[0]
    for forged in ("", "x", "%27%20or%201=1", "00000000-0000-0000-0000-000000000000"):
        assert (await lab.get(f"{path}?by={forged}")).status == 200
    assert where(lab).step == s.SCRIPT_SERVED


async def test_a_machine_that_was_disarmed_does_not_seem_installed_by_booting_its_disk(
    lab: Lab,
) -> None:
    lab.arm()
    token = (await lab.script()).partition("token=")[2].split()[0]
    await lab.get(f"/v1/render/kickstart?token={token}")
    where(lab)
    lab.arm()  # anew: what was rendered belongs to the arming before
    machines.disarm(lab.deps.state, MAC, lab.clock.now, "operator:me")
    await lab.script()
    assert where(lab).state == "cancelled"


async def test_a_stranger_is_no_sighting(lab: Lab) -> None:
    await lab.script(OTHER)
    lab.deps.sightings.write(lab.deps.state)
    assert rows.standings(lab.deps.state) == []
