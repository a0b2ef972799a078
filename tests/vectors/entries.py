"""Faults of what follows the head: checks 10 to 12."""

from __future__ import annotations

from collections.abc import Iterator

from tests.vectors import forge
from tests.vectors.case import (
    BLOB_A,
    BLOB_B,
    LONG,
    Case,
    at,
    case,
    data_of,
    drop,
    header_of,
    split,
    spoiled,
)
from tests.vectors.forge import (
    A,
    B,
    Bundle,
    Entry,
    blob,
    volume,
)


def entry_faults() -> Iterator[Case]:
    extra = Entry("blobs/sha256/" + "0" * 64, b"extra\n")
    yield case("entry-extra", "extra-entry", 10, "a blob more", spoiled(lambda e: e.append(extra)))
    odd = Entry("goose/extra", b"extra\n")
    yield case(
        "entry-unknown", "extra-entry", 10, "a file of no meaning", spoiled(lambda e: e.append(odd))
    )
    yield case("entry-missing", "missing-entry", 10, "the last layer", spoiled(drop(BLOB_B)))
    yield case("entry-missing-first", "extra-entry", 10, "the first layer", spoiled(drop(BLOB_A)))
    twice = spoiled(lambda e: e.insert(at(e, BLOB_B), blob(A)))
    yield case("entry-twice", "extra-entry", 10, "the first layer twice", twice)
    head = spoiled(lambda e: e.append(e[1]))
    yield case("entry-of-head-twice", "duplicate-entry", 10, "index.json again", head)
    again = spoiled(lambda e: e.append(blob(A)))
    yield case("entry-again", "extra-entry", 10, "the first layer once more at the end", again)
    swapped = spoiled(lambda e: e.append(e.pop(-2)))
    yield case("entries-swapped", "extra-entry", 10, "the second layer first", swapped)
    for name, kind, expect in (
        ("hard-link", b"1", "link-entry"),
        ("symbolic-link", b"2", "link-entry"),
        ("character-device", b"3", "device-entry"),
        ("block-device", b"4", "device-entry"),
        ("fifo", b"6", "device-entry"),
        ("folder", b"5", "bad-volume"),
        ("contiguous", b"7", "bad-volume"),
        ("pax", b"x", "bad-volume"),
        ("global-pax", b"g", "bad-volume"),
        ("gnu-long-name", b"L", "bad-volume"),
        ("gnu-sparse", b"S", "bad-volume"),
        ("old-file", b"\0", "bad-volume"),
    ):
        change = header_of(BLOB_B, type=kind, linkname=b"/etc/passwd")
        yield case(f"entry-{name}", expect, 10, f"a layer that is a {name}", spoiled(change))
    for name, text in (("parent", b"../../etc/passwd"), ("absolute", b"/etc/passwd")):
        named = b"%s" % text
        change = header_of(BLOB_B, name=named.ljust(100, b"\0"))
        yield case(f"entry-name-{name}", "entry-escapes", 10, f"named {text!r}", spoiled(change))
    for name, fields in (
        ("mode", {"mode": b"0000755\x00"}),
        ("owner", {"uid": b"0001750\x00"}),
        ("time", {"mtime": b"%011o\x00" % (forge.CREATED + 1)}),
        ("user-name", {"uname": b"root"}),
        ("rest", {"rest": b"x"}),
        ("gnu-magic", {"magic": b"ustar  \x00"}),
        ("checksum", {"checksum": b"000000\x00 "}),
        ("checksum-form", {"checksum": b" 12345\x00 "}),
        ("size-base-256", {"size": b"\x80" + bytes(10) + b"\x04"}),
        ("size-spaces", {"size": b"         4 \x00"}),
    ):
        change = header_of(BLOB_B, **fields)
        yield case(f"header-{name}", "bad-volume", 10, f"header: {name}", spoiled(change))

    change = header_of(BLOB_B, prefix=b"x")
    yield case(
        "header-prefix", "extra-entry", 10, "a name that goes on in the prefix", spoiled(change)
    )

    def pad(entries: list[Entry]) -> None:
        entries[-1].pad = bytes(507) + b"x"

    yield case("padding", "bad-volume", 10, "a byte in the padding of a layer", spoiled(pad))

    def pad_head(entries: list[Entry]) -> None:
        entries[0].pad = b"x" + bytes(-len(entries[0].data) % 512 - 1)

    yield case(
        "padding-head", "bad-volume", 10, "a byte in the padding of oci-layout", spoiled(pad_head)
    )


def blob_faults() -> Iterator[Case]:
    change = data_of(BLOB_A, lambda data: b"One\n")
    yield case("layer-damaged", "damaged-blob", 11, "a bit of a layer", spoiled(change))
    change = data_of(BLOB_A, lambda data: B)
    yield case(
        "layer-of-another", "damaged-blob", 11, "the bytes of the other file", spoiled(change)
    )
    parts = split(LONG, 4096)
    change = data_of(blob(LONG[8192:]).name, lambda data: bytes(len(data)))
    yield case(
        "part-damaged", "damaged-blob", 11, "the last part, all zeros", spoiled(change, parts)
    )


def end_faults() -> Iterator[Case]:
    whole = volume(Bundle().entries())
    yield case("trailing-byte", "trailing-data", 12, "a byte after the end", whole + b"x")
    yield case("trailing-zeros", "trailing-data", 12, "512 zeros more", whole + bytes(512))
    yield case("trailing-volume", "trailing-data", 12, "the volume again", whole * 2)
    yield case("end-missing", "truncated-volume", 12, "no blocks of zeros", whole[:-1024])
    yield case("end-half", "truncated-volume", 12, "one block of zeros", whole[:-512])
    yield case("end-not-zero", "bad-volume", 12, "a byte in the end", whole[:-1] + b"x")
    for name, size in (
        ("in-head", 700),
        ("in-header", 512 * 9 + 100),
        ("in-layer", len(whole) - 1024 - 510),
    ):
        yield case(f"cut-{name}", "truncated-volume", 12, f"{size} bytes of it", whole[:size])
    yield case("nothing", "truncated-volume", 12, "an empty file", b"")
