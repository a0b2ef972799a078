"""Edits apply without a restart, and a broken one keeps the last good profiles."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundles.document import InvalidDocument
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


def test_a_broken_edit_keeps_the_last_good_profiles_and_says_so(file: Path) -> None:
    profiles = Profiles(file.parent, interval=0)
    good = profiles.current()
    assert profiles.error is None
    file.write_text(GOOD.replace("rhel9/vmlinuz", "../vmlinuz"))
    assert profiles.current() is good
    assert profiles.error is not None
    assert f"{file}:11:9: kernel: " in profiles.error.message
    file.write_text(GOOD)
    assert profiles.current() is not good
    assert profiles.error is None


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
