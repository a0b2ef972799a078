"""A machine from its empty disk to a rotated token: firmware boots it, it installs itself, and the
system that it installed runs the agent under systemd, over a network that loses a response."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import INFRA
from tests.integration.qemu import HOST, Machine
from tests.integration.site import ROOT, Site
from tests.integration.test_boot import loader, qemu_parts
from tests.integration.transcript import in_order, unbroken
from tests.lossy import lossy
from tests.parts import part

MAC = "52:54:00:10:00:01"
REFRESH = "/v1/agents/token/refresh"


def made(folder: Path, **settings: str) -> Site:
    """A site whose RHEL 9 is a guest that goes on as the system it installed."""
    for name in ("kernel", "busybox", "curl", "systemd"):
        part(name)
    guest = folder / "guest"
    command = [sys.executable, str(ROOT / "scripts" / "guest.py"), str(guest), "--system"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    site = Site(folder / "site", **settings)
    key, recipe = site.key("release"), site.recipe("base.yaml")
    for name in ("vmlinuz", "initrd.img"):
        shutil.copyfile(guest / name, recipe.parent / "rhel9" / "images" / "pxeboot" / name)
    site.goosectl("bundle", "build", recipe, "--key", key, "--out", site.media)
    site.trust(key)
    site.goosectl("bundle", "import", site.media)
    site.infra(INFRA.read_text())
    site.issue()
    return site


def agent(site: Site) -> Any:
    """The machine as `goosectl agent list` has it; None while it is not there."""
    rows = site.goosectl("agent", "list")["items"]
    return next((row for row in rows if row["mac"] == MAC and row["state"] != "not enrolled"), None)


@pytest.mark.timeout(900)  # seconds; a minute on an idle machine, several on a busy one
def test_a_machine_boots_enrols_loses_a_response_and_rotates(tmp_path: Path) -> None:
    qemu_parts("bios")
    site = made(tmp_path)
    issued = site.home / "pki" / "issued"
    identity = (str(issued / "goosed.crt"), str(issued / "goosed.key"))
    with site, lossy([REFRESH], identity) as network:
        site.serve(
            GOOSED_PUBLIC_URL=f"https://{HOST}:{network.port}",
            GOOSED_AGENT_INTERVAL="10s",
        )
        network.target = ("127.0.0.1", site.port)
        site.goosectl("machine", "arm", "with-bios")
        with Machine(
            "bios", mac=MAC, bootfile=loader(site), scratch=tmp_path, memory_mb=768
        ) as machine:
            machine.wait_for("goose-agent: enrolled as", seconds=300)
            machine.wait_for("goose-agent: rotation: no answer from", seconds=450)
            machine.wait_for("goose-agent: the token was rotated", seconds=600)
            seen = agent(site)
            while not seen["seen_at"] or seen["rotations"] < 1:
                time.sleep(1)
                seen = agent(site)
            screen = machine.screen
        assert network.lost == [REFRESH]
        assert (seen["name"], seen["state"], seen["version"]) == (
            "with-bios", "active", "goose-agent/1",
        )  # fmt: skip
        in_order(
            unbroken(screen),
            "guest: reported: started",
            "guest: reported: installed",
            "guest: boots the system that it installed",
            f"goose-agent: enrolled as {MAC}",
            "goose-agent: rotation: no answer from",
            "goose-agent: the token was rotated",
        )
        kinds = [event["event"] for event in site.goosectl("agent", "show", MAC)["events"]]
        assert kinds[:5] == [
            "enrolment-issued", "agent-enrolled", "agent-alive", "agent-refreshed", "agent-retold",
        ]  # fmt: skip
        assert "agent-revoked" not in kinds
        assert site.goosectl("machine", "show", MAC)["agent"] == "active"
