"""Machines of one shape are judged once, and nothing that a parser looks at is left out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from goosed_daemon import infra
from goosed_daemon.infra import validate
from goosed_daemon.infra.shape import shape
from tests.daemon.infra_site import (
    KEY,
    MACHINE_YAML,
    PROFILE_YAML,
    SITE_YAML,
    boot,
    machine,
    profile,
    site,
)

RELEASES = ("rhel8", "rhel9", "rhel10", "debian12")


def shape_of(release: str, of: Any = None, to: Any = None, **on: Any) -> str:
    made = boot(of or site(), to or profile(release, commands=['echo "$A"']), machine(**on))
    return shape(made, validate.rendered(made))


@pytest.mark.parametrize("release", RELEASES)
def test_names_addresses_and_variables_make_no_shape(release: str) -> None:
    one = shape_of(
        release,
        name="a",
        mac="52:54:00:00:00:01",
        network={"address": "10.0.0.5/24", "gateway": "10.0.0.1"},
        variables={"A": "x"},
    )
    other = shape_of(
        release,
        name="b-2",
        mac="52:54:00:00:00:02",
        network={"address": "10.9.9.77/24", "gateway": "10.9.9.2"},
        variables={"A": "it's another $(value)"},
    )
    assert one.count("\n") == other.count("\n")
    assert one == other


def test_a_machine_that_is_called_like_a_command_is_judged_by_itself() -> None:
    assert shape_of("rhel9", name="text") != shape_of("rhel9", name="a")


@pytest.mark.parametrize(
    "on",
    [
        {"console": "ttyS0"},
        {"disk": {"device": "sdb"}},
        {"network": {"address": "10.0.0.5/24"}},
    ],
)
def test_whatever_else_a_machine_says_makes_a_shape_of_its_own(on: dict[str, Any]) -> None:
    assert shape_of("rhel9", **on) != shape_of("rhel9")


@pytest.mark.parametrize(
    ("of", "to"),
    [
        ({}, {"packages": ["vim"]}),
        ({}, {"users": [{"name": "ops"}]}),
        ({}, {"selinux": "disabled"}),
        ({"sshKeys": [KEY]}, {}),
        ({"timezone": "Asia/Tokyo"}, {}),
    ],
)
def test_whatever_site_and_profile_say_makes_a_shape(
    of: dict[str, Any], to: dict[str, Any]
) -> None:
    plain = shape_of("rhel9", to=profile())
    assert shape_of("rhel9", of=site(**of), to=profile(**to)) != plain


def test_two_addresses_that_are_one_are_told_from_two(tmp_path: Path) -> None:
    """A parser may mind that something is there twice."""
    same = shape_of("rhel9", of=site(ntp=["10.0.0.2", "10.0.0.2"]))
    assert same != shape_of("rhel9", of=site(ntp=["10.0.0.2", "10.0.0.3"]))


def test_what_ends_a_script_is_in_the_shape() -> None:
    made = boot(to=profile(commands=["true"]))
    text = validate.rendered(made)
    assert text.count("\ntrue\n") == 1
    for line in ("%end", "  %include /x"):  # in a line's place: the number of lines tells nothing
        assert shape(made, text.replace("\ntrue\n", f"\n{line}\n")) != shape(made, text)
    assert shape(made, text.replace("\ntrue\n", "\nfalse\n")) == shape(made, text)


def test_a_shape_has_the_lines_of_its_file() -> None:
    for release in RELEASES:
        made = boot(to=profile(release, commands=["true"]))
        text = validate.rendered(made)
        assert shape(made, text).count("\n") == text.count("\n")


def fleet(folder: Path, size: int) -> infra.Infra:
    """Machines of four shapes: two profiles, with and without a console."""
    debian = (
        PROFILE_YAML.replace("name: rhel9", "name: debian12")
        .replace("kickstart", "preseed")
        .replace("release: rhel9", "release: debian12")
    )
    machines = []
    for n in range(size):
        text = MACHINE_YAML.replace("db-1", f"m{n}").replace("34:56", f"{n >> 8:02x}:{n & 255:02x}")
        text = text.replace("profile: rhel9", f"profile: {('rhel9', 'debian12')[n % 2]}")
        machines.append(text + ("console: ttyS0\n" if n % 4 < 2 else ""))
    (folder / "x.yaml").write_text("---\n".join([SITE_YAML, PROFILE_YAML, debian, *machines]))
    return infra.load(folder)


def test_a_fleet_of_a_few_shapes_is_judged_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, since a time would be the machine's that runs this."""
    judged: list[str] = []
    monkeypatch.setattr(validate, "check", lambda to, text: judged.append(to.name) or [])
    looked_at: list[int] = []
    found = fleet(tmp_path, 400)
    assert list(validate.validate(found, done=looked_at.append)) == []
    assert sum(looked_at) == 400
    assert len(judged) <= 4
    assert set(judged) == {"rhel9", "debian12"}


def test_every_machine_of_a_shape_that_is_refused_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "check", lambda to, text: [(3, f"no {to.name}")])
    found = list(validate.validate(fleet(tmp_path, 12)))
    assert [finding.machine for finding in found] == [f"m{n}" for n in range(12)]
