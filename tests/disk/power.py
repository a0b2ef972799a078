"""What a power loss may leave of the files that a process was changing.

Works on the record that the shim makes (shim.c). A disk is a tree of folders and files. Every
change is an operation of its own: bytes written into a file, a file's length cut, a name set or
removed in a folder. What was not synced when the power went may be on the disk or not, each
operation for itself and in any order; this is weaker than what ext4, XFS or btrfs promise:

- a file's bytes are safe after fsync(2) of that file, its name after fsync(2) of its folder;
- a rename within a folder is one step; between two folders its halves may be lost apart;
- what was written and is lost may be missing (a file that ends earlier, or is empty), zeros, or
  torn in the middle;
- after a sync that failed, what it should have written is never tried again (as on Linux).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Files = Mapping[str, bytes]  # by path below the root

_TAKEN = ("absent", "zeros", "torn")  # what becomes of bytes that were lost


@dataclass(frozen=True, slots=True)
class Call:
    """A line of the record."""

    name: str
    fd: int
    offset: int
    path: str
    other: str
    data: bytes


def read_record(path: Path) -> list[Call]:
    """The calls in a record, in the order in which they were made."""
    record, at, calls = path.read_bytes(), 0, []
    while at < len(record):
        end = record.index(b"\n", at)
        name, fd, offset, length, one, two = record[at:end].decode().split("\t")
        at = end + 1
        data = b""
        if name == "write":
            data = record[at : at + int(length)]
            at += int(length)
        calls.append(Call(name, int(fd), int(offset), one, two, data))
    return calls


@dataclass(eq=False, slots=True)
class Node:
    """A folder or a file, whatever its names."""

    folder: bool
    names: dict[str, Node] = field(default_factory=dict)  # of a folder, as programs see it
    kept: dict[str, Node] = field(default_factory=dict)  # those that were there at first
    content: bytes = b""  # of a file, at first


@dataclass(eq=False, slots=True)
class Change:
    """One operation on one node. Where `also` is set, both happen or none does."""

    node: Node
    name: str = ""  # in a folder
    to: Node | None = None  # what the name then stands for
    also: str = ""  # another name in the same folder, which goes
    offset: int = 0
    data: bytes | None = None  # None, in a file: its length is cut to `offset`
    spoiled: bool = False  # a sync of it failed: no later one tries again


class Disk:
    """A folder as the record changes it."""

    def __init__(self, root: Path) -> None:
        """The folder as it is now, all of it safe."""
        self._root = str(root)
        self.top = _load(root)
        self.open: list[Change] = []  # changes that are not safe
        self._all: list[Change] = []  # and those that are, in the order in which they were made
        self._files: dict[int, Node] = {}

    def play(self, calls: Iterable[Call]) -> Iterator[Call]:
        """Goes through `calls`; yields each sync before it is made, and last the end."""
        for call in calls:
            if call.name in ("fsync", "syncfs", "badsync"):
                yield call
            self._play(call)
        yield Call("end", -1, 0, "", "", b"")

    def left(self, chosen: Collection[Change], lost: str) -> dict[str, bytes]:
        """The files after a power loss that spared of the open changes only those `chosen`;
        `lost` says what is in the place of lost bytes."""
        names: dict[Node, dict[str, Node]] = {}
        bodies: dict[Node, bytearray] = {}
        gone = set(self.open).difference(chosen)
        for change in self._all:
            there, node = change not in gone, change.node
            if node.folder:
                if there:
                    entries = names.setdefault(node, dict(node.kept))
                    _set(entries, change)
                continue
            body = bodies.setdefault(node, bytearray(node.content))
            _write(body, change, "whole" if there else lost)
        found: dict[str, bytes] = {}
        _walk(self.top, names, bodies, "", found)
        return found

    def _play(self, call: Call) -> None:
        match call.name:
            case "begin":
                self._files.clear()
            case "create" | "open" | "opencut":
                self._opened(call)
            case "close":
                self._files.pop(call.fd, None)
            case "write":
                self._add(Change(self._files[call.fd], offset=call.offset, data=call.data))
            case "cut":
                self._add(Change(self._files[call.fd], offset=call.offset))
            case "mkdir":
                self._name(call.path, Node(folder=True))
            case "unlink" | "rmdir":
                folder, name = self._place(call.path)
                del folder.names[name]
                self._add(Change(folder, name))
            case "link":
                self._name(call.other, self._at(call.path))
            case "rename":
                self._rename(call)
            case "fsync":
                node = self._at(call.path) if call.fd not in self._files else self._files[call.fd]
                self._make_safe(node)
            case "syncfs":
                self._make_safe(None)
            case "badsync":
                node = None if call.other == "syncfs" else self._files.get(call.fd)
                for change in self.open:
                    if node in (None, change.node) and not change.node.folder:
                        change.spoiled = True
            case _:
                raise AssertionError(f"unknown call {call.name}")

    def _opened(self, call: Call) -> None:
        if call.name == "create":
            node = Node(folder=False)
            self._name(call.path, node)
        else:
            node = self._at(call.path)
            if call.name == "opencut":
                self._add(Change(node))
        self._files[call.fd] = node

    def _rename(self, call: Call) -> None:
        old, was = self._place(call.path)
        new, name = self._place(call.other)
        node = old.names.pop(was)
        new.names[name] = node
        if old is new:
            self._add(Change(new, name, node, also=was))
        else:
            self._add(Change(new, name, node))
            self._add(Change(old, was))

    def _name(self, path: str, node: Node) -> None:
        folder, name = self._place(path)
        folder.names[name] = node
        self._add(Change(folder, name, node))

    def _add(self, change: Change) -> None:
        self._all.append(change)
        self.open.append(change)

    def _make_safe(self, node: Node | None) -> None:
        self.open = [c for c in self.open if c.spoiled or node not in (None, c.node)]

    def _place(self, path: str) -> tuple[Node, str]:
        folder, _, name = path.rpartition("/")
        return self._at(folder), name

    def _at(self, path: str) -> Node:
        node = self.top
        for name in path.removeprefix(self._root).split("/"):
            node = node.names[name] if name else node
        return node


def subsets(changes: list[Change], drawn: int) -> Iterator[tuple[Collection[Change], str]]:
    """What may be spared of `changes`: nothing, all, only bytes, only names, everything up to some
    moment, all but one, one only, and `drawn` others at random; each with a kind of loss."""
    bytes_ = [change for change in changes if not change.node.folder]
    names = [change for change in changes if change.node.folder]
    for lost in _TAKEN:
        yield [], lost
        yield names, lost
    yield bytes_, "absent"
    kinds = itertools.cycle(_TAKEN)
    for number in range(1, len(changes) + 1):
        yield changes[:number], "absent"
    for number in range(len(names)):
        yield names[:number], next(kinds)
        yield [*names[:number], *bytes_], next(kinds)
    for number in range(len(changes)):
        yield changes[:number] + changes[number + 1 :], next(kinds)
        yield changes[number : number + 1], next(kinds)
    draw = random.Random(len(changes))
    if changes:
        for _ in range(drawn):
            share = draw.random()
            yield [c for c in changes if draw.random() < share], draw.choice(_TAKEN)


def lay_down(files: Files, root: Path) -> None:
    """Writes what a power loss left below `root`."""
    for path, data in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def _load(path: Path) -> Node:
    if path.is_dir():
        names = {child.name: _load(child) for child in path.iterdir()}
        return Node(True, names, dict(names))
    return Node(False, content=path.read_bytes())


def _set(entries: dict[str, Node], change: Change) -> None:
    if change.to is None:
        entries.pop(change.name, None)
    else:
        entries[change.name] = change.to
    if change.also:
        entries.pop(change.also, None)


def _write(body: bytearray, change: Change, how: str) -> None:
    data = change.data
    if data is None:
        if how == "whole":
            del body[change.offset :]
            body.extend(bytes(change.offset - len(body)))
        return
    if how == "absent":
        return
    if how == "zeros":
        data = bytes(len(data))
    elif how == "torn":
        data = data[: len(data) // 2]
    body.extend(bytes(max(0, change.offset - len(body))))
    body[change.offset : change.offset + len(data)] = data


def _walk(
    node: Node,
    names: Mapping[Node, Mapping[str, Node]],
    bodies: Mapping[Node, bytearray],
    path: str,
    found: dict[str, bytes],
) -> None:
    for name, child in names.get(node, node.kept).items():
        below = f"{path}/{name}" if path else name
        if child.folder:
            _walk(child, names, bodies, below, found)
        else:
            body = bodies.get(child)
            found[below] = child.content if body is None else bytes(body)
