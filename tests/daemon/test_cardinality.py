"""Series are few whatever anybody sends: labels come from what the daemon knows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.daemon.state_backends import MAC
from tests.daemon.web_site import Lab, running

STRANGERS = 200


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with running(tmp_path, GOOSED_RATE_ADDRESS="none", GOOSED_RATE_MACHINE="none") as started:
        yield started


async def ask(lab: Lab, number: int) -> None:
    """One request of each kind, with all that a stranger chooses made of `number`."""
    mac = f"52:54:00:ff:{number // 256:02x}:{number % 256:02x}"
    for path in (
        f"/v1/boot/ipxe?mac={mac}",
        f"/v1/boot/grub?mac={mac}&uuid=x{number}&serial=y{number}",
        f"/v1/boot/ipxe?mac={number}",
        f"/v1/boot/ca/{number}.img",
        f"/v1/boot/windows/{number}",
        f"/v1/render/kickstart?token={number}",
        f"/v1/render/{number}?token=x",
        f"/v1/artifacts/site-base/rhel9/{number}",
        f"/v1/artifacts/b{number}@{number}/x?by={number}",
        f"/v1/artifacts/site-base/rhel9/.treeinfo?by={number}",
        f"/{number}",
        f"/metrics/{number}",
        f"/v1/machines/{mac}",
    ):
        await lab.get(path, User_Agent=f"agent-{number}", X_Request_ID=f"id{number}")
        await lab.get(path, "HEAD")
    await lab.get("/healthz", f"METHOD{number}", Host=f"host{number}.example")
    await lab.get("/healthz", traceparent=f"00-{number + 1:032x}-{number + 1:016x}-01")
    for path, body in (
        (f"/v1/machines/{mac}/progress?token=x&step=step{number}", {}),
        (f"/v1/machines/{MAC}/progress?token={number}&step=installed", {}),
        ("/v1/agents/register", {"enrolment": f"e{number}"}),
        ("/v1/agents/heartbeat", {"machine_id": mac, "agent": f"a/{number}"}),
        ("/v1/agents/token/refresh", {"machine_id": mac, "old_token": f"t{number}"}),
        (f"/v1/agents/{number}", {}),
    ):
        headers = {"Authorization": f"Bearer {number}"}
        await lab.client.post(lab.url + path, json=body, headers=headers)


def series(lab: Lab) -> set[str]:
    text = lab.deps.telemetry.exposition()[0].decode()
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


async def test_a_flood_of_strangers_makes_no_series(lab: Lab) -> None:
    for number in range(3):
        await ask(lab, number)
    before = series(lab)
    for number in range(3, STRANGERS):
        await ask(lab, number)
    assert series(lab) == before
    assert not [name for name in before if "ff:00" in name or "METHOD" in name]
