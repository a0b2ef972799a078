"""What is different between two bundles, file by file and package by package. Does no I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import TypeAlias

from bundles.packages import order
from bundles.packages.listed import Listed
from bundles.site.catalog import StoredFile

#: What happens to a file, in the order in which it is told.
FILE_CHANGES = ("added", "removed", "changed", "renamed", "mode")
#: What happens to a package; "rebuilt" is the same version with other bytes.
PACKAGE_CHANGES = ("downgraded", "upgraded", "added", "removed", "changed", "rebuilt")

_Key: TypeAlias = tuple[str, str, str]  # kind, name, architecture


@dataclass(frozen=True, slots=True)
class FileChange:
    """`old` is None for a file that is added, `new` for one that is removed."""

    change: str  # one of FILE_CHANGES
    old: StoredFile | None
    new: StoredFile | None

    @property
    def path(self) -> str:
        """Where the file is, or was."""
        file = self.new or self.old
        return file.path if file else ""

    @property
    def size(self) -> int:
        """Bytes of the file as it is, or was."""
        file = self.new or self.old
        return file.size if file else 0


@dataclass(frozen=True, slots=True)
class PackageChange:
    """A package of one name and architecture; a bundle may hold several versions of it."""

    change: str  # one of PACKAGE_CHANGES
    kind: str
    name: str
    arch: str
    old: tuple[str, ...]  # versions, oldest first
    new: tuple[str, ...]


def files(old: Mapping[str, StoredFile], new: Mapping[str, StoredFile]) -> list[FileChange]:
    """The changes from `old` to `new`, in the order of `FILE_CHANGES` and then of paths.

    A file that is gone from one path and new at another with the same bytes is renamed.
    """
    found = []
    gone = defaultdict(list)
    for path in sorted(old.keys() - new.keys()):
        gone[old[path].digest].append(old[path])
    for path in sorted(new.keys() - old.keys()):
        file = new[path]
        if file.size and gone[file.digest]:
            found.append(FileChange("renamed", gone[file.digest].pop(0), file))
        else:
            found.append(FileChange("added", None, file))
    found += [FileChange("removed", file, None) for left in gone.values() for file in left]
    for path in old.keys() & new.keys():
        if old[path].digest != new[path].digest:
            found.append(FileChange("changed", old[path], new[path]))
        elif old[path].mode != new[path].mode:
            found.append(FileChange("mode", old[path], new[path]))
    return sorted(found, key=lambda each: (FILE_CHANGES.index(each.change), each.path))


def new_bytes(old: Mapping[str, StoredFile], new: Mapping[str, StoredFile]) -> int:
    """Bytes of the blobs that `new` has and `old` has not: what a delta ships at most, but for
    its head."""
    known = {part.digest for file in old.values() for part in file.parts}
    sizes = {part.digest: part.size for file in new.values() for part in file.parts}
    return sum(size for digest, size in sizes.items() if digest not in known)


def packages(old: Iterable[Listed], new: Iterable[Listed]) -> list[PackageChange]:
    """The changes from `old` to `new`, in the order of `PACKAGE_CHANGES` and then of names.

    The highest version decides whether a package is upgraded or downgraded; "changed" is one
    whose highest version stays, or whose versions have no order.
    """
    return sorted(
        _changes(_grouped(old), _grouped(new)),
        key=lambda each: (PACKAGE_CHANGES.index(each.change), each.name, each.kind, each.arch),
    )


def _grouped(listed: Iterable[Listed]) -> dict[_Key, dict[str, set[str]]]:
    """The digests of each version of each package."""
    found: dict[_Key, dict[str, set[str]]] = {}
    for each in listed:
        versions = found.setdefault((each.kind, each.name, each.arch), {})
        versions.setdefault(each.version, set()).add(each.digest)
    return found


def _changes(
    old: Mapping[_Key, Mapping[str, set[str]]], new: Mapping[_Key, Mapping[str, set[str]]]
) -> Iterator[PackageChange]:
    for key in old.keys() | new.keys():
        before, after = old.get(key, {}), new.get(key, {})
        if before == after:
            continue
        kind, name, arch = key
        ranked = _ranked(kind, before), _ranked(kind, after)
        yield PackageChange(_change(kind, *ranked), kind, name, arch, *ranked)


def _change(kind: str, old: Sequence[str], new: Sequence[str]) -> str:
    if not old or not new:
        return "removed" if old else "added"
    if old == new:
        return "rebuilt"
    higher = order.compare(kind, new[-1], old[-1])
    return "upgraded" if (higher or 0) > 0 else "downgraded" if (higher or 0) < 0 else "changed"


def _ranked(kind: str, versions: Iterable[str]) -> tuple[str, ...]:
    """The versions, oldest first; where no order is known, as texts."""

    def compare(a: str, b: str) -> int:
        return order.compare(kind, a, b) or (a > b) - (a < b)

    return tuple(sorted(versions, key=cmp_to_key(compare)))
