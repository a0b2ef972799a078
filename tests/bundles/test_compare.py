"""What `bundle diff` finds: file by file and package by package."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles import digest
from bundles.packages.listed import Listed
from bundles.site import compare
from bundles.site.catalog import Part, StoredFile


def stored(path: str, data: bytes = b"x", mode: int = 0o644) -> StoredFile:
    found = digest.of(data)
    return StoredFile(path, len(data), mode, found, (Part(found, len(data)),))


def tree(*files: StoredFile) -> dict[str, StoredFile]:
    return {file.path: file for file in files}


def changes(old: dict[str, StoredFile], new: dict[str, StoredFile]) -> list[tuple[str, str]]:
    return [(each.change, each.path) for each in compare.files(old, new)]


def test_each_change_of_a_file_has_its_name() -> None:
    old = tree(
        stored("same"), stored("gone", b"g"), stored("text", b"1"), stored("run"), stored("a", b"m")
    )
    new = tree(
        stored("same"),
        stored("new", b"n"),
        stored("text", b"2"),
        stored("run", mode=0o755),
        stored("b", b"m"),
    )
    assert changes(old, new) == [
        ("added", "new"),
        ("removed", "gone"),
        ("changed", "text"),
        ("renamed", "b"),
        ("mode", "run"),
    ]


def test_a_copy_is_no_rename() -> None:
    old, new = tree(stored("a", b"m")), tree(stored("a", b"m"), stored("b", b"m"))
    assert changes(old, new) == [("added", "b")]
    assert compare.new_bytes(old, new) == 0


def test_one_file_is_renamed_once() -> None:
    old, new = tree(stored("a", b"m")), tree(stored("b", b"m"), stored("c", b"m"))
    assert changes(old, new) == [("added", "c"), ("renamed", "b")]


def test_an_empty_file_is_not_renamed() -> None:
    assert changes(tree(stored("a", b"")), tree(stored("b", b""))) == [
        ("added", "b"),
        ("removed", "a"),
    ]


def test_only_blobs_that_the_old_bundle_lacks_are_shipped_and_each_once() -> None:
    old = tree(stored("a", b"known"))
    new = tree(stored("b", b"known"), stored("c", b"fresh!"), stored("d", b"fresh!"))
    assert compare.new_bytes(old, new) == 6


_TREES = st.dictionaries(
    st.sampled_from("abcdefgh"), st.tuples(st.binary(max_size=1), st.sampled_from([0o644, 0o755]))
)


@given(_TREES, _TREES)
def test_the_changes_lead_from_the_old_tree_to_the_new_one(
    a: dict[str, tuple[bytes, int]], b: dict[str, tuple[bytes, int]]
) -> None:
    old, new = (tree(*(stored(p, *each) for p, each in made.items())) for made in (a, b))
    result = dict(old)
    for each in compare.files(old, new):
        if each.old is not None:
            assert result.pop(each.old.path) == each.old
    for each in compare.files(old, new):
        if each.new is not None:
            result[each.new.path] = each.new
    assert result == new


def package(version: str, digest: str = "d", kind: str = "rpm", arch: str = "noarch") -> Listed:
    return Listed(kind, "hello", version, arch, "path", digest)


@pytest.mark.parametrize(
    ("kind", "old", "new", "change"),
    [
        ("rpm", "1.9-1", "1.10-1", "upgraded"),
        ("rpm", "1.10-1", "1.9-1", "downgraded"),
        ("rpm", "2.0-1", "1:1.0-1", "upgraded"),
        ("rpm", "1.0-1", "1.0~rc1-1", "downgraded"),
        ("deb", "1.0~rc1-1", "1.0-1", "upgraded"),
        ("deb", "1:1", "2", "downgraded"),
        ("pypi", "1.0", "1.0.post1", "upgraded"),
        ("pypi", "1.0", "1.0rc1", "downgraded"),
        ("pypi", "one", "two", "changed"),
    ],
)
def test_versions_are_judged_by_the_rules_of_their_kind(
    kind: str, old: str, new: str, change: str
) -> None:
    [found] = compare.packages([package(old, kind=kind)], [package(new, kind=kind)])
    assert (found.change, found.old, found.new) == (change, (old,), (new,))


def test_the_highest_of_several_versions_decides() -> None:
    old = [package("1.9-1"), package("1.10-1")]
    [found] = compare.packages(old, [package("1.10-1"), package("1.11-1")])
    assert (found.change, found.old, found.new) == (
        "upgraded",
        ("1.9-1", "1.10-1"),
        ("1.10-1", "1.11-1"),
    )
    [pruned] = compare.packages(old, [package("1.10-1")])
    assert pruned.change == "changed"


def test_the_same_version_with_other_bytes_is_rebuilt() -> None:
    [found] = compare.packages([package("1-1")], [package("1-1", "other")])
    assert found.change == "rebuilt"
    assert compare.packages([package("1-1")], [package("1-1")]) == []


def test_another_architecture_is_another_package() -> None:
    found = compare.packages([package("1-1", arch="i686")], [package("1-1", arch="x86_64")])
    assert [(each.change, each.arch) for each in found] == [
        ("added", "x86_64"),
        ("removed", "i686"),
    ]
