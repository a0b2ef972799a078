"""The file of a backup: a tar in an age file, so that `age -d FILE | tar -x` opens it.

Its entries, in this order: ``backup.json``, what it is of; ``state/TABLE.00001.jsonl``, the rows;
``home/...``, profiles, trust roots, keys and settings; ``SHA256SUMS``, of all of these. What age
opens was not changed by anybody who has no identity of the site; that the sums are there says that
the file was written to its end.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from bundles.errors import GooseError
from bundles.files.durable import replacement
from bundles.sealing.unseal import OpenedVolume
from goosed_daemon.backup.errors import BackupFailed, BadBackup
from goosed_daemon.home import Home

if TYPE_CHECKING:
    from bundles.sealing.agefile import Unwrapper
    from bundles.sealing.seal import Recipient

FORMAT = 1
SUMS, ABOUT = "SHA256SUMS", "backup.json"
#: What of a home is kept. The store is not: its bundles are named, and imported again.
FOLDERS = ("infra", "trust", "keys", "pki", "secrets")

_STATE = re.compile(r"state/([a-z_]+\.[0-9]{5}\.jsonl)")
_MOST = 1 << 30  # bytes of one entry
_READ = 1024 * 1024


@dataclass(frozen=True, slots=True)
class About:
    """What a backup is of."""

    created: str  # RFC 3339
    goose: str  # the version that wrote it
    migration: int  # the newest that its state has
    bundles: tuple[
        tuple[str, str, str], ...
    ]  # name, version and root digest of what the store held
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a backup."""

    name: str
    data: bytes
    mode: int = 0o600


def home_entries(home: Home) -> Iterator[Entry]:
    """The files of a home that a backup keeps. Raises `BackupFailed`."""
    paths = [home.config] if home.config.is_file() else []
    for folder in FOLDERS:
        paths += sorted(path for path in (home.path / folder).rglob("*") if path.is_file())
    for path in paths:
        try:
            data, mode = path.read_bytes(), path.stat().st_mode & 0o777
        except OSError as error:
            raise BackupFailed(f"{path} cannot be read: {error.strerror or error}") from error
        yield Entry(f"home/{path.relative_to(home.path)}", data, mode)


def write(
    path: Path, about: About, entries: Iterator[Entry], recipients: Sequence[Recipient]
) -> tuple[int, int]:
    """Writes a backup to `path`, which is there when it is whole; returns how many files and bytes
    it holds. Raises `BackupFailed`, and what `entries` do."""
    from pyrage import EncryptError, encrypt_io

    source, sink = os.pipe()
    told: list[BaseException] = []
    counted = [0, 0]

    def pack() -> None:
        try:
            with os.fdopen(sink, "wb") as out:
                _pack(out, about, entries, counted)
        except BaseException as error:  # told by the thread that waits for this one
            told.append(error)

    thread = threading.Thread(target=pack)
    try:
        with replacement(path, 0o600) as file, os.fdopen(source, "rb") as plain:
            thread.start()
            try:
                encrypt_io(cast("Any", plain), cast("Any", file), list(recipients))
            finally:
                plain.close()  # whoever still writes is told so
                thread.join()
            if told:  # what was sealed is whole for age, and is not for us
                raise told[0]
    except (OSError, EncryptError) as error:
        raise BackupFailed(f"{path} cannot be written: {error}") from error
    return counted[0], counted[1]


def _pack(out: BinaryIO, about: About, entries: Iterator[Entry], counted: list[int]) -> None:
    sums = []
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:

        def add(entry: Entry) -> None:
            info = tarfile.TarInfo(entry.name)
            info.size, info.mode = len(entry.data), entry.mode
            tar.addfile(info, io.BytesIO(entry.data))
            sums.append(f"{hashlib.sha256(entry.data).hexdigest()}  {entry.name}\n")
            counted[0] += 1
            counted[1] += len(entry.data)

        add(Entry(ABOUT, (json.dumps(asdict(about), indent=1) + "\n").encode()))
        for entry in entries:
            add(entry)
        add(Entry(SUMS, "".join(sums).encode()))


class Backup:
    """A backup that is read, entry by entry; a context manager. `about` is there at once. Raises
    `WrongIdentity`, `DamagedSeal` or `BadBackup`."""

    def __init__(self, path: Path, identities: Sequence[Unwrapper]) -> None:
        self._label = path.name
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise BackupFailed(f"{path} cannot be read: {error.strerror or error}") from error
        try:
            self._plain = OpenedVolume(self._file, self._label, identities)
            self._tar = self._opened()
            self._sums: dict[str, str] = {}
            first = self._next()
            if first is None or first.name != ABOUT:
                raise BadBackup(f"{self._label} does not begin with {ABOUT}")
            self.about = _about(first.data, self._label)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the reading."""
        if hasattr(self, "_plain"):
            self._plain.close()
        self._file.close()

    def entries(self) -> Iterator[Entry]:
        """All but the first and the last. After the last of them the sums were compared."""
        while (entry := self._next()) is not None:
            if entry.name == SUMS:
                told = [f"{digest}  {name}" for name, digest in self._sums.items()]
                if told != _lines(entry.data) or self._next() is not None:
                    raise BadBackup(f"{self._label} does not hold what its {SUMS} names")
                return
            yield entry
        raise BadBackup(f"{self._label} ends before its {SUMS}")

    def _opened(self) -> tarfile.TarFile:
        try:
            return tarfile.open(fileobj=cast("Any", self._plain), mode="r|", bufsize=_READ)
        except tarfile.TarError as error:
            raise BadBackup(f"{self._label} holds no tar: {error}") from error

    def _next(self) -> Entry | None:
        try:
            info = self._tar.next()
            if info is None:
                return None
            self._tar.members = []  # type: ignore[attr-defined]  # or all that went by stays in memory
            if not info.isreg() or info.size > _MOST:
                raise BadBackup(f"{self._label}: {info.name} is no file, or too large")
            file = self._tar.extractfile(info)
            data = b"" if file is None else file.read()
        except GooseError:
            raise
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise BadBackup(f"{self._label} is cut short or no tar: {error}") from error
        if info.name != SUMS:
            check_name(info.name, self._label)
            if info.name in self._sums:
                raise BadBackup(f"{self._label}: {info.name} is there twice")
            self._sums[info.name] = hashlib.sha256(data).hexdigest()
        return Entry(info.name, data, info.mode & 0o777)


def check_name(name: str, label: str) -> None:
    """Raises `BadBackup` for an entry that no backup has: above all for a path that leads out."""
    parts = name.split("/")
    if name == ABOUT or _STATE.fullmatch(name) or name == "home/goosed.yaml":
        return
    inside = parts[0] == "home" and len(parts) > 2 and parts[1] in FOLDERS
    if not inside or any(part in ("", ".", "..") for part in parts) or "\\0" in name:
        raise BadBackup(f"{label}: {name!r} is no entry of a backup")


def _about(data: bytes, label: str) -> About:
    try:
        told = json.loads(data)
        if told["format"] != FORMAT:
            raise BadBackup(
                f"{label} is of format {told['format']}, and this version reads {FORMAT}"
            )
        bundles = tuple((str(n), str(v), str(root)) for n, v, root in told["bundles"])
        return About(str(told["created"]), str(told["goose"]), int(told["migration"]), bundles)
    except (ValueError, KeyError, TypeError) as error:
        raise BadBackup(f"{label}: {ABOUT} cannot be read: {error!r}") from error


def _lines(data: bytes) -> list[str]:
    try:
        return data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise BadBackup(f"{SUMS} is no text") from error
