"""The unit for a plain host, judged by systemd itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.parts import part

UNIT = Path(__file__).resolve().parent.parent / "examples" / "systemd" / "goosed.service"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, its program being one that is there."""
    text = UNIT.read_text()
    assert "/opt/goose/bin/goosed " in text
    path = tmp_path / UNIT.name
    path.write_text(text.replace("/opt/goose/bin/goosed ", "/bin/true "))
    return path


def test_systemd_takes_the_unit(unit: Path) -> None:
    done = subprocess.run([part("systemd-analyze"), "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_setting_that_there_is_not_is_found(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHouse="))
    done = subprocess.run([part("systemd-analyze"), "verify", unit], capture_output=True, text=True)
    assert "ProtectHouse" in done.stderr


def test_the_unit_is_exposed_as_little_as_can_be(unit: Path) -> None:
    """systemd-analyze(1), "security": 0 is least, 10 most."""
    words = [part("systemd-analyze"), "security", "--offline=true", "--json=short", unit]
    rated = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    open_ = {one["name"] for one in rated if one["set"] is False and float(one["exposure"] or 0)}
    # The network is what the daemon is for, and port 80 is no port of a user's own.
    network = {"PrivateNetwork=", "IPAddressDeny=", "RestrictAddressFamilies=~AF_(INET|INET6)"}
    small = {one["name"] for one in rated if float(one["exposure"] or 0) <= 0.1}
    assert open_ - small <= network | {"PrivateUsers="}
