"""Ramdisks as stock tools read them."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from goosed_daemon.cpio import File, archive
from tests.parts import part

FILES = (
    File("etc/pki/ca.crt", b"x" * 5),
    File("etc/pki/empty", b""),
    File("usr/lib/hook", b"#!/bin/sh\n", mode=0o755),
    File("usr/lib/\u00fc name", bytes(range(256))),
)


def test_stock_cpio_unpacks_what_was_packed(tmp_path: Path) -> None:
    done = subprocess.run(
        [part("cpio"), "--extract", "--make-directories", "--preserve-modification-time"],
        input=archive(FILES), capture_output=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    folders = {"etc", "etc/pki", "usr", "usr/lib"}
    assert found == folders | {file.path for file in FILES}
    for file in FILES:
        unpacked = tmp_path / file.path
        assert unpacked.read_bytes() == file.data
        assert stat.S_IMODE(unpacked.stat().st_mode) == file.mode


def test_stock_cpio_lists_folders_before_what_is_in_them() -> None:
    done = subprocess.run(
        [part("cpio"), "--list", "--verbose", "--numeric-uid-gid"],
        input=archive(FILES), capture_output=True, env={"TZ": "UTC", "LC_ALL": "C"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode(errors="replace").splitlines()
    assert [line.split()[-1] for line in lines[:3]] == ["etc", "etc/pki", "etc/pki/ca.crt"]
    assert lines[0].split() == ["drwxr-xr-x", "2", "0", "0", "0", "Jan", "1", "1970", "etc"]
    assert lines[5].startswith("-rwxr-xr-x") or lines[6].startswith("-rwxr-xr-x")


def test_the_same_files_give_the_same_bytes_of_whole_words() -> None:
    packed = archive(FILES)
    assert packed == archive(list(FILES))
    assert len(packed) % 4 == 0  # so that another archive may follow it


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "a//x", "a/./x", "", "."])
def test_a_path_that_leaves_the_root_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a plain path"):
        archive([File(path, b"")])


def test_a_path_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="comes twice"):
        archive([File("a", b"1"), File("a", b"2")])
    with pytest.raises(ValueError, match="comes twice"):
        archive([File("a/b", b"1"), File("a", b"2")])
