"""The tar of a volume, written and read to the byte.

Source: POSIX.1-2017 pax, "ustar Interchange Format". A volume uses the least of it: regular files
of mode 0644, owner 0, one modification time for all, names of at most 100 bytes. There is one
valid header per entry, so the reader does not interpret tar: where it knows what must come next
it compares 512 bytes, and elsewhere it accepts only what re-encodes to the same bytes. What is
different is then taken apart, only to say what it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from bundles import digest as digests
from bundles.errors import GooseError

BLOCK = 512
END = bytes(2 * BLOCK)
CHUNK = 4 * 1024 * 1024  # bytes
MAX_TIME = 8**11 - 1  # what the field holds, seconds since 1970

_LINKS = {b"1": "a hard link", b"2": "a symbolic link"}
_DEVICES = {b"3": "a character device", b"4": "a block device", b"6": "a FIFO"}


class Source(Protocol):
    """What a volume is read from: a file, or the output of a decryption."""

    def read(self, count: int, /) -> bytes:
        """At most `count` bytes; fewer only at the end."""

    def read1(self, count: int, /) -> bytes | memoryview:
        """At most `count` bytes, as many as are at hand; none only at the end. Their memory may
        be used again in the second call of any method after this one."""


class BadVolume(GooseError):
    """A volume is not the tar that the format prescribes."""

    code = "bad-volume"
    default_hint = "the volume is damaged or was not built by goosectl: copy it again"


class TruncatedVolume(BadVolume):
    """A volume ends before its end."""

    code = "truncated-volume"
    default_hint = "the copy is not complete: copy the volume again"


class ExtraEntry(BadVolume):
    """A volume holds an entry that its statement does not account for."""

    code = "extra-entry"


class DuplicateEntry(BadVolume):
    """A volume holds the same entry twice."""

    code = "duplicate-entry"


class LinkEntry(BadVolume):
    """A volume holds a link."""

    code = "link-entry"


class DeviceEntry(BadVolume):
    """A volume holds a device or a FIFO."""

    code = "device-entry"


class EntryEscapes(BadVolume):
    """The name of an entry would leave the volume's root."""

    code = "entry-escapes"


class TrailingData(BadVolume):
    """Something follows the end of a volume."""

    code = "trailing-data"


class DamagedHeader(BadVolume):
    """The header of an entry was changed: its own checksum says so."""


class MissingEntry(BadVolume):
    """An entry that the statement promises is not where it must be."""

    code = "missing-entry"


def header(name: str, size: int, mtime: int) -> bytes:
    """The one header block of entry `name` with `size` bytes, modified at `mtime` (seconds)."""
    block = b"".join(
        (
            name.encode("ascii").ljust(100, b"\0"),
            b"0000644\x00",
            b"0000000\x00",
            b"0000000\x00",
            b"%011o\0" % size,
            b"%011o\0" % mtime,
            b"        ",
            b"0".ljust(101, b"\0"),
            b"ustar\x0000".ljust(BLOCK - 257, b"\0"),
        )
    )
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def blob_name(digest: str) -> str:
    """The entry of the blob with `digest` (OCI image-layout.md, "Blobs")."""
    return "blobs/sha256/" + digests.hex_of(digest)


def padding(size: int) -> int:
    """How many zero bytes follow `size` bytes of data."""
    return -size % BLOCK


def stored(size: int) -> int:
    """Bytes that an entry of `size` bytes takes in a volume, header included."""
    return BLOCK + size + padding(size)


class Reader:
    """Reads a volume front to back; `label` names it in errors.

    Every method raises a subclass of `BadVolume`, and nothing else but what `source.read` raises.
    """

    def __init__(self, source: Source, label: str) -> None:
        self.label = label
        self._source = source
        self._held = b""  # read ahead, and not yet taken
        self.position = 0  # bytes of the volume taken so far
        self._seen: set[str] = set()
        self._mtime: int | None = None  # of all entries, taken from the first

    def available(self, count: int) -> bytes:
        """The next `count` bytes, or what is left of them."""
        held, self._held = self._held[:count], self._held[count:]
        data = held + self._source.read(count - len(held)) if held else self._source.read(count)
        self.position += len(data)
        return data

    def follow(self, count: int) -> bool:
        """Whether at least `count` bytes follow; takes none."""
        self._held += self._source.read(max(count - len(self._held), 0))
        return len(self._held) >= count

    def exactly(self, count: int, entry: str) -> bytes:
        """The next `count` bytes, which belong to `entry`."""
        data = self.available(count)
        if len(data) < count:
            raise self.truncated(entry)
        return data

    def truncated(self, entry: str) -> TruncatedVolume:
        """The refusal of a volume that ends within `entry`."""
        return TruncatedVolume(f"{self.label} ends within {entry}", volume=self.label, entry=entry)

    def pieces(self, count: int, entry: str) -> Iterator[bytes | memoryview]:
        """The next `count` bytes, which belong to `entry`, in pieces of at most `CHUNK`. The memory
        of a piece may be used again when the second one after it is asked for."""
        while count:
            if self._held:
                data: bytes | memoryview = self.available(min(count, len(self._held)))
            else:
                data = self._source.read1(min(count, CHUNK))
                self.position += len(data)
            if not data:
                raise self.truncated(entry)
            count -= len(data)
            yield data

    def skip(self, count: int, entry: str) -> None:
        """Passes over `count` bytes of `entry`."""
        for _ in self.pieces(count, entry):
            pass

    def pad(self, size: int, entry: str) -> None:
        """Reads the zero bytes after `size` bytes of data."""
        self.check_padding(self.exactly(padding(size), entry), entry)

    def check_padding(self, data: bytes | memoryview, entry: str) -> None:
        """Refuses padding that is not zero."""
        if any(data):
            raise BadVolume(
                f"{self.label}: the padding after {entry} is not zero",
                volume=self.label,
                entry=entry,
            )

    def next_small(self, wanted: str, limit: int) -> bytes:
        """The data of the entry `wanted`, whose size is not known beforehand."""
        block = self.exactly(BLOCK, wanted)
        size = self._size(block)
        if self._mtime is None:
            self._mtime = _octal(block[136:148])
        if size is None or self._mtime is None or block != header(wanted, size, self._mtime):
            raise self._diagnose(block, wanted)
        if size > limit:
            raise BadVolume(
                f"{self.label}: {wanted} has {size} bytes; at most {limit}",
                volume=self.label,
                entry=wanted,
            )
        self._seen.add(wanted)
        data = self.exactly(size, wanted)
        self.pad(size, wanted)
        return data

    def optional_small(self, wanted: str, limit: int) -> bytes | None:
        """As `next_small`, or None when another entry comes next."""
        block = self.exactly(BLOCK, wanted)
        self._held = block
        self.position -= BLOCK
        if block[:100].rstrip(b"\0") != wanted.encode():
            return None
        return self.next_small(wanted, limit)

    def expect(self, name: str, size: int) -> None:
        """Reads the header of entry `name`, which must have `size` bytes; the data follow."""
        self.check_header(self.exactly(BLOCK, name), name, size)
        self._seen.add(name)

    def check_header(self, block: bytes, name: str, size: int) -> None:
        """Refuses `block` unless it is the header of `name` with `size` bytes."""
        if block != header(name, size, self._mtime or 0):
            raise self._diagnose(block, name)

    def expect_data(self, name: str, size: int) -> bytes:
        """The data of entry `name`, which must have `size` bytes (small enough for memory)."""
        self.expect(name, size)
        data = self.exactly(size, name)
        self.pad(size, name)
        return data

    def end(self) -> None:
        """Reads the end of the volume: two zero blocks, and nothing after them."""
        block = self.exactly(BLOCK, "the end of the volume")
        if any(block):
            raise self._diagnose(block, None)
        if any(self.exactly(BLOCK, "the end of the volume")):
            raise BadVolume(f"{self.label}: the end of the volume is not two zero blocks")
        if self._source.read(1):
            raise TrailingData(
                f"{self.label}: something follows the end of the volume", volume=self.label
            )

    def _size(self, block: bytes) -> int | None:
        return _octal(block[124:136])

    def _diagnose(self, block: bytes, wanted: str | None) -> BadVolume:
        """Says what a header that is not the expected one is."""
        promised = wanted or "the end of the volume"
        raw = block[345:500].rstrip(b"\0") + b"/" if block[345:346] > b"\0" else b""
        name = (raw + block[:100].rstrip(b"\0")).decode("utf-8", "replace")
        kind = block[156:157]

        def refusal(cls: type[BadVolume], what: str) -> BadVolume:
            return cls(f"{self.label}: {what}", volume=self.label, entry=name or promised)

        if not any(block):
            return refusal(MissingEntry, f"ends where {promised} must come")
        if _checksum(block) != _octal(block[148:156]):
            return refusal(DamagedHeader, f"the header where {promised} must come is damaged")
        if kind in _LINKS:
            return refusal(LinkEntry, f"{name!r} is {_LINKS[kind]}; volumes hold no links")
        if kind in _DEVICES:
            return refusal(DeviceEntry, f"{name!r} is {_DEVICES[kind]}; volumes hold only files")
        if name.startswith("/") or ".." in name.split("/"):
            return refusal(EntryEscapes, f"the entry {name!r} leaves the volume's root")
        if name in self._seen:
            return refusal(DuplicateEntry, f"the entry {name!r} stands there twice")
        if name == wanted:
            return refusal(BadVolume, f"the header of {name} is not the one the format prescribes")
        return refusal(ExtraEntry, f"the entry {name!r} stands where {promised} must come")


def _octal(field: bytes) -> int | None:
    digits = field.rstrip(b"\0 ")
    return int(digits, 8) if digits and all(48 <= d < 56 for d in digits) else None


def _checksum(block: bytes) -> int:
    return sum(block[:148]) + 8 * 32 + sum(block[156:])
