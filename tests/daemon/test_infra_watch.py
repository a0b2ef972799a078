"""Edits apply without a restart, and a mistake stops what it concerns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundles.files.document import InvalidDocument
from goosed_daemon.infra import Profiles
from tests.daemon.infra_site import MACHINE_YAML, PROFILE_YAML, SITE_YAML

GOOD = f"{SITE_YAML}---\n{PROFILE_YAML}---\n{MACHINE_YAML}"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(GOOD)
    return path


def test_an_edit_is_taken_up(file: Path) -> None:
    profiles = Profiles(file.parent, interval=0)
    before = profiles.current()
    assert profiles.current() is before, "nothing changed, so nothing is read again"
    file.write_text(GOOD.replace("db-1", "db-one"))
    assert profiles.current().machine("db-one") is not None
    (file.parent / "more.yaml").write_text(MACHINE_YAML.replace("db-1", "db-2").replace("56", "57"))
    assert profiles.current().machine("db-2") is not None
    (file.parent / "more.yaml").unlink()
    assert profiles.current().machine("db-2") is None


def test_a_replaced_file_of_the_same_size_and_time_is_seen(file: Path, tmp_path: Path) -> None:
    profiles = Profiles(file.parent, interval=0)
    assert profiles.current().machine("db-1") is not None
    status = file.stat()
    new = tmp_path / "new"
    new.write_text(GOOD.replace("db-1", "db-2"))
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.rename(file)
    assert file.stat().st_mtime_ns == status.st_mtime_ns
    assert file.stat().st_size == status.st_size
    assert profiles.current().machine("db-2") is not None


def test_a_mistake_stops_its_machine_and_keeps_nothing_of_what_stood_there(file: Path) -> None:
    profiles = Profiles(file.parent, interval=0)
    assert profiles.current().machine("db-1") is not None
    assert profiles.error is None
    other = MACHINE_YAML.replace("db-1", "db-2").replace("56", "57")
    file.write_text(f"{GOOD}hostnmae: x\n---\n{other}hostname: new\n")
    found = profiles.current()
    assert found.machine("db-1") is None
    stop = found.stop(mac="52:54:00:12:34:56")
    assert stop is not None
    assert "hostnmae: no such field" in stop.problem.message or stop.problem.field == "hostnmae"
    machine = found.machine("db-2")
    assert machine is not None
    assert machine.hostname == "new", "an edit beside a mistake counts"
    assert profiles.error is not None
    file.write_text(GOOD)
    assert profiles.current().machine("db-1") is not None
    assert profiles.error is None


def test_what_may_concern_anyone_stops_everyone(file: Path) -> None:
    profiles = Profiles(file.parent, interval=0)
    assert profiles.current().machine("db-1") is not None
    file.write_text(GOOD.replace("name: lab", "name: lab\ntimezone: Mars Base"))
    for _ in range(2):
        with pytest.raises(InvalidDocument, match="Mars Base"):
            profiles.current()
    assert profiles.error is not None


def test_profiles_that_never_were_good_cannot_be_had(file: Path) -> None:
    file.write_text("kind: Sit\n")
    profiles = Profiles(file.parent, interval=0)
    for _ in range(2):
        with pytest.raises(InvalidDocument, match="no such kind 'Sit'"):
            profiles.current()
    file.write_text(GOOD)
    assert profiles.current().site.name == "lab"


def test_the_folder_is_looked_at_no_more_often_than_asked(file: Path) -> None:
    clock = Clock()
    profiles = Profiles(file.parent, interval=5, clock=clock)
    assert profiles.current().machine("db-1") is not None
    file.write_text(GOOD.replace("db-1", "db-2"))
    clock.now = 4.9
    assert profiles.current().machine("db-2") is None
    clock.now = 5
    assert profiles.current().machine("db-2") is not None
