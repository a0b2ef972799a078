"""The statement: what a bundle says of itself, under signature.

Canonical JSON with exactly the fields below. Everything else in a volume is reached from here by
digest, so this is the one document that is signed. No field depends on the content's digests but
`root.digest`, whose length is fixed: a builder knows the statement's length before it has read a
byte of content.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import canonical

FORMAT = 1
MAX_STATEMENT = 1024 * 1024  # bytes
MAX_VOLUMES = 10_000
MAX_SIGNATURES = 16  # inside a volume; later ones are files beside it
ENTRY = "goose/statement.json"  # of each volume, its first

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
VERSION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def signature_entry(number: int) -> str:
    """The entry of the statement's signature `number` in a volume, from 1."""
    return f"goose/statement.sig.{number}"


class BadStatement(GooseError):
    """A statement lacks a field, has one too many, or one of the wrong form."""

    code = "bad-statement"
    default_hint = "the bundle was not built by goosectl, or by a newer one: ask its builder"


class ReaderTooOld(GooseError):
    """The bundle asks for a newer reader than this one."""

    code = "reader-too-old"
    default_hint = "install the goosectl that the bundle's builder names, then import again"


@dataclass(frozen=True, slots=True)
class Reference:
    """A blob by digest and size."""

    digest: str
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Totals:
    """What a preflight needs, before identical files are counted once."""

    artifacts: int
    files: int
    layers: int
    bytes: int  # of all layers
    documents: int  # manifests and indexes
    document_bytes: int  # of all of them


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as read or to be written.

    `volumes` gives for each volume how many of the bundle's layers it covers, in order: volume 1
    holds the first `volumes[0]` layers and so on. A layer whose blob came before, in any volume,
    is not stored again. For a delta it gives how many packs each volume holds.
    """

    name: str
    version: str
    sequence: int
    audience: tuple[str, ...]  # site ids; empty means any
    root: str  # digest of the root index
    root_size: int  # bytes
    totals: Totals
    volumes: tuple[int, ...]
    created: str | None = None  # RFC 3339, UTC, whole seconds
    expires: str | None = None
    base: Reference | None = None  # the delta document of a delta
    reader: int = FORMAT  # the oldest format version whose readers may use it

    def encode(self) -> bytes:
        """The signed bytes."""
        t = self.totals
        return canonical.dumps(
            {
                "audience": list(self.audience),
                "base": {"digest": self.base.digest, "size": self.base.size} if self.base else None,
                "created": self.created,
                "expires": self.expires,
                "format": FORMAT,
                "name": self.name,
                "reader": self.reader,
                "root": {"digest": self.root, "size": self.root_size},
                "sequence": self.sequence,
                "totals": {
                    "artifacts": t.artifacts,
                    "bytes": t.bytes,
                    "documentBytes": t.document_bytes,
                    "documents": t.documents,
                    "files": t.files,
                    "layers": t.layers,
                },
                "version": self.version,
                "volumes": list(self.volumes),
            }
        )


_FIELDS = {
    *("audience", "base", "created", "expires", "format", "name", "reader", "root"),
    *("sequence", "totals", "version", "volumes"),
}
_TOTALS = {"artifacts", "bytes", "documentBytes", "documents", "files", "layers"}


def read(data: bytes, where: str) -> Statement:
    """The statement that `data` encodes.

    Raises `NotCanonical`, `ReaderTooOld`, `BadDigest` or `BadStatement`; afterwards `encode` of
    the result is `data`, so nothing in it went unread.
    """
    value = canonical.loads(data, where)
    reader = value.get("reader") if isinstance(value, dict) else None
    if isinstance(reader, int) and reader > FORMAT:
        raise ReaderTooOld(f"{where} asks for a reader of format {reader}; this one reads {FORMAT}")
    _exactly(value, _FIELDS, where)
    _exactly(value["root"], {"digest", "size"}, f"{where}: root")
    _exactly(value["totals"], _TOTALS, f"{where}: totals")
    if value["format"] != FORMAT:
        raise BadStatement(f"{where}: format is {value['format']!r}, not {FORMAT}")
    totals = Totals(
        **{
            field: _count(value["totals"], key, where)
            for field, key in (
                ("artifacts", "artifacts"),
                ("files", "files"),
                ("layers", "layers"),
                ("bytes", "bytes"),
                ("documents", "documents"),
                ("document_bytes", "documentBytes"),
            )
        }
    )
    found = Statement(
        name=_text(value, "name", NAME, where),
        version=_text(value, "version", VERSION, where),
        sequence=_count(value, "sequence", where),
        audience=_names(value["audience"], where),
        root=digests.check(value["root"]["digest"], f"{where}: root"),
        root_size=_count(value["root"], "size", where),
        totals=totals,
        volumes=_volumes(value["volumes"], where),
        created=_time(value, "created", where),
        expires=_time(value, "expires", where),
        base=None if value["base"] is None else _reference(value["base"], f"{where}: base"),
        reader=_count(value, "reader", where),
    )
    if found.base is None and sum(found.volumes) != totals.layers:
        raise BadStatement(f"{where}: volumes does not cover the {totals.layers} layers")
    if found.encode() != data:  # true, say, is equal to 1
        raise BadStatement(f"{where} has a field of another type than format {FORMAT} gives it")
    return found


def parse_time(text: str) -> datetime:
    """The moment that an RFC 3339 text in UTC names. Raises ValueError."""
    if not TIME.fullmatch(text):
        raise ValueError(f"{text!r} is not of the form 2026-11-24T12:00:00Z")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC to the second, as every document of ours writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _exactly(value: Any, fields: set[str], where: str) -> None:
    if not isinstance(value, dict):
        raise BadStatement(f"{where} is not an object")
    if set(value) != fields:
        odd = ", ".join(sorted(set(value) ^ fields))
        raise BadStatement(f"{where} has fields missing or unknown: {odd}")


def _count(value: Mapping[str, Any], field: str, where: str) -> int:
    number = value[field]
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise BadStatement(f"{where}: {field} is {number!r}, not a whole number")
    return number


def _text(value: Mapping[str, Any], field: str, form: re.Pattern[str], where: str) -> str:
    text = value[field]
    if not isinstance(text, str) or not form.fullmatch(text):
        raise BadStatement(f"{where}: {field} is {text!r}, which is no {field} of a bundle")
    return text


def _time(value: Mapping[str, Any], field: str, where: str) -> str | None:
    text = value[field]
    if text is None:
        return None
    try:
        parse_time(text)
    except (ValueError, TypeError) as error:
        raise BadStatement(f"{where}: {field}: {error}") from error
    return str(text)


def _names(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(
        isinstance(item, str) and NAME.fullmatch(item) for item in value
    ):
        raise BadStatement(f"{where}: audience is not a list of site ids")
    if value != sorted(set(value)):
        raise BadStatement(f"{where}: audience is not sorted, or names a site twice")
    return tuple(value)


def _reference(value: Any, where: str) -> Reference:
    _exactly(value, {"digest", "size"}, where)
    return Reference(digests.check(value["digest"], where), _count(value, "size", where))


def _volumes(value: Any, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
        raise BadStatement(f"{where}: volumes is not a list of counts")
    if not 1 <= len(value) <= MAX_VOLUMES:
        raise BadStatement(f"{where} names {len(value)} volumes; 1 to {MAX_VOLUMES} can be")
    return tuple(value)
