"""What `bundle diff` says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from goosectl import sizes

if TYPE_CHECKING:
    from bundles.format.statement import Statement
    from bundles.site.catalog import StoredFile
    from bundles.site.compare import FileChange, PackageChange
    from bundles.site.view import View

_SHOWN = 20  # changes of each sort, unless all are asked for
_WORDS = {"mode": "of another mode", "changed": "changed", "rebuilt": "rebuilt"}


def content(view: View) -> dict[str, StoredFile]:
    """The files that people put in: what a builder adds is new in every version."""
    from bundles.format.layout import RESERVED

    return {path: file for path, file in view.files.items() if path.split("/")[0] != RESERVED}


@dataclass(frozen=True, slots=True)
class Changes:
    """From the bundle `old` to the bundle `new`."""

    old: Statement
    new: Statement
    packages: Sequence[PackageChange]
    why: str | None  # packages are not compared
    files: Sequence[FileChange]
    new_bytes: int

    def any(self) -> bool:
        """Whether content differs."""
        return bool(self.packages or self.files)

    def downgraded(self) -> int:
        """How many packages are older than before."""
        return sum(each.change == "downgraded" for each in self.packages)

    def named(self, said: Statement) -> str:
        """A bundle version, as people call it."""
        return f"{said.name} {said.version}"

    def facts(self, files: bool) -> dict[str, object]:
        """What scripts are told; single files only if asked for."""
        return {
            "a": _bundle(self.old),
            "b": _bundle(self.new),
            "same": not self.any(),
            "packages": None if self.why else [_package(each) for each in self.packages],
            "packages_not_compared": self.why,
            "counts": {
                change: {"files": count, "bytes": size}
                for change, (count, size) in self._counts().items()
            },
            "files": [_file(each) for each in self.files] if files else None,
            "new_bytes": self.new_bytes,
        }

    def lines(self, files: bool) -> Iterator[str]:
        """What people are told."""
        old, new = self.old, self.new
        yield f"{self.named(old)} -> {self.named(new)}"
        yield f"  sequence {old.sequence} -> {new.sequence}"
        yield f"  content {sizes.text(old.totals.bytes)} -> {sizes.text(new.totals.bytes)}"
        if not self.why:
            counts = Counter(each.change for each in self.packages)
            yield f"packages: {_list(f'{n} {change}' for change, n in counts.items())}"
            yield from _some([_package_line(each) for each in self.packages], files)
        yield "files: " + _list(
            f"{count} {_WORDS.get(change, change)} ({sizes.text(size)})"
            for change, (count, size) in self._counts().items()
        )
        shown = self.files if files else sorted(self.files, key=lambda each: -each.size)
        yield from _some([_file_line(each) for each in shown], files)
        yield f"a delta ships at most {sizes.text(self.new_bytes)}"

    def _counts(self) -> dict[str, tuple[int, int]]:
        """Files and bytes of each change, in the order of `compare.FILE_CHANGES`."""
        found: dict[str, tuple[int, int]] = {}
        for each in self.files:
            count, size = found.get(each.change, (0, 0))
            found[each.change] = (count + 1, size + each.size)
        return found


def _list(words: Iterator[str]) -> str:
    return ", ".join(words) or "no change"


def _some(lines: Sequence[str], all_of_them: bool) -> Iterator[str]:
    shown = lines if all_of_them else lines[:_SHOWN]
    yield from shown
    if len(lines) > len(shown):
        yield f"  ... and {len(lines) - len(shown)} more; --files lists all"


def _bundle(said: Statement) -> dict[str, object]:
    return {
        "bundle": said.name,
        "version": said.version,
        "sequence": said.sequence,
        "root": said.root,
        "files": said.totals.files,
        "bytes": said.totals.bytes,
    }


def _package(each: PackageChange) -> dict[str, object]:
    return {
        "change": each.change,
        "kind": each.kind,
        "name": each.name,
        "arch": each.arch,
        "old": list(each.old),
        "new": list(each.new),
    }


def _package_line(each: PackageChange) -> str:
    from bundles.errors import shown

    versions = [" ".join(map(shown, each.old)), " ".join(map(shown, each.new))]
    moved = versions[0] if versions[0] == versions[1] else " -> ".join(filter(None, versions))
    mark = "DOWNGRADED" if each.change == "downgraded" else each.change
    return f"  {mark:<10} {shown(each.name)} {moved} ({each.kind} {shown(each.arch)})"


def _file(each: FileChange) -> dict[str, object]:
    return {
        "change": each.change,
        "path": each.path,
        "old": None if each.old is None else _one(each.old),
        "new": None if each.new is None else _one(each.new),
    }


def _one(file: StoredFile) -> dict[str, object]:
    return {
        "path": file.path,
        "bytes": file.size,
        "mode": f"{file.mode:04o}",
        "digest": file.digest,
    }


def _file_line(each: FileChange) -> str:
    from bundles.errors import shown

    old, new, path = each.old, each.new, shown(each.path)
    if old is None or new is None:
        return f"  {each.change:<8} {path} ({sizes.text(each.size)})"
    if each.change == "renamed":
        return f"  renamed  {shown(old.path)} -> {path} ({sizes.text(each.size)})"
    if each.change == "mode":
        return f"  mode     {path} ({old.mode:04o} -> {new.mode:04o})"
    modes = "" if old.mode == new.mode else f", {old.mode:04o} -> {new.mode:04o}"
    return f"  changed  {path} ({sizes.text(old.size)} -> {sizes.text(new.size)}{modes})"
