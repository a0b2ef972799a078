"""Which machine is asking."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from goosed_daemon import infra
from goosed_daemon.infra import Infra
from goosed_daemon.infra.match import Match, NoMatch, match
from tests.daemon.infra_site import MACHINE_YAML, PROFILE_YAML, SITE_YAML

A, B, NEW = (f"52:54:00:12:34:{last}" for last in ("56", "57", "99"))
UUID = "4c4c4544-0046-3510-8052-b4c04f4e3232"
ABSENT = tuple("-".join(digit * n for n in (8, 4, 4, 4, 12)) for digit in "0f")
OTHER = UUID.replace("4c4c", "ffff")


@pytest.fixture
def site(tmp_path: Path) -> Infra:
    """`a` gives its MAC alone; `b` its UUID and serial number too."""
    a = MACHINE_YAML.replace("db-1", "a")
    b = MACHINE_YAML.replace("db-1", "b").replace("56", "57") + f"uuid: {UUID}\nserial: S/1\n"
    (tmp_path / "x.yaml").write_text(f"{SITE_YAML}---\n{PROFILE_YAML}---\n{a}---\n{b}")
    return infra.load(tmp_path)


@pytest.mark.parametrize(
    ("asked", "name", "by"),
    [
        ({"mac": A}, "a", "mac"),
        ({"mac": A, "uuid": OTHER, "serial": "S/9"}, "a", "mac"),
        ({"mac": B}, "b", "mac"),
        ({"mac": B, "uuid": ABSENT[0]}, "b", "mac"),
        ({"mac": B, "uuid": UUID.upper(), "serial": "S/1"}, "b", "mac"),
        ({"mac": NEW, "uuid": UUID}, "b", "uuid"),
        ({"mac": NEW, "uuid": "", "serial": "S/1"}, "b", "serial"),
    ],
)
def test_recognised(site: Infra, asked: dict[str, str], name: str, by: str) -> None:
    found = match(site, **asked)  # type: ignore[arg-type]
    assert isinstance(found, Match)
    assert (found.machine.name, found.by) == (name, by)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"mac": NEW}, f"no machine has MAC {NEW}"),
        ({"mac": NEW, "uuid": ABSENT[0]}, f"no machine has MAC {NEW}"),
        ({"mac": NEW, "uuid": ABSENT[1].upper()}, f"no machine has MAC {NEW}"),
        (
            {"mac": NEW, "uuid": OTHER, "serial": "X"},
            f"no machine has MAC {NEW} or UUID {OTHER} or serial number X",
        ),
        (
            {"mac": A, "uuid": UUID},
            "the MAC is that of machine a, but the UUID that of machine b",
        ),
        (
            {"mac": A, "serial": "S/1"},
            "the MAC is that of machine a, but the serial number that of machine b",
        ),
        (
            {"mac": B, "uuid": OTHER},
            f"machine b is known by its MAC, but has UUID {OTHER} where its profile says {UUID}",
        ),
        (
            {"mac": NEW, "uuid": UUID, "serial": "S/2"},
            "machine b is known by its UUID, but has serial number S/2 where its profile says S/1",
        ),
    ],
)
def test_refused_with_a_reason(site: Infra, asked: dict[str, str], reason: str) -> None:
    found = match(site, **asked)  # type: ignore[arg-type]
    assert isinstance(found, NoMatch)
    assert found.reason == reason


@pytest.mark.parametrize(
    "asked",
    [
        {"mac": "52:54:00:00:00:05"},
        {"mac": NEW, "uuid": UUID},
        {"mac": NEW, "serial": "S5"},
        {"mac": NEW, "uuid": OTHER, "serial": "nobody's"},
    ],
)
def test_a_look_up_takes_as_many_steps_in_a_large_site_as_in_a_small_one(
    asked: dict[str, str], tmp_path: Path
) -> None:
    """Counted in lines that are executed, so that no clock and no busy machine has a say."""
    steps = {}
    for size in (10, 1000):
        found = infra.load(many(tmp_path / str(size), size))
        assert len(found.machines) == size
        steps[size] = lines_of(lambda found=found: match(found, **asked))  # type: ignore[misc]
    assert steps[10] > 5, "something is counted"
    assert steps[1000] == steps[10]


def many(folder: Path, size: int) -> Path:
    folder.mkdir()
    machines = [
        MACHINE_YAML.replace("db-1", f"m{n}").replace("12:34:56", f"00:{n >> 8:02x}:{n & 255:02x}")
        + f"serial: S{n}\n"
        for n in range(size)
    ]
    machines[5] += f"uuid: {UUID}\n"
    (folder / "x.yaml").write_text("---\n".join([SITE_YAML, PROFILE_YAML, *machines]))
    return folder


def lines_of(call: Callable[[], object]) -> int:
    """How many lines of Python `call` executes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count
