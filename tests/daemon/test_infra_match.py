"""Which machine is asking."""

from __future__ import annotations

from pathlib import Path

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
