"""What a site asks its builder for when blobs of one bundle version are damaged or missing.

Small canonical JSON, unsigned: it can ask for nothing but content of a bundle that its builder
has and makes for that site anyway; the builder checks every name against its own volumes, and
what it sends is signed and sealed like any bundle. A forged request wastes a little media.

``store fsck``, ``bundle verify`` and ``bundle import`` write it; ``bundle repair`` reads it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from bundles.errors import GooseError
from bundles.format import canonical, statement
from bundles.format.content import Content
from bundles.format.fields import Fields
from bundles.format.layout import MAX_DOCUMENT, MAX_PART
from bundles.format.statement import Statement

FORMAT = 1
MAX_REQUEST = 64 * 1024 * 1024  # bytes; one blob takes about 110


class BadRepairRequest(GooseError):
    """A repair request is not of the form that the format prescribes."""

    code = "bad-repair-request"
    default_hint = "have the site write it again: goosectl store fsck, or bundle import --request"


@dataclass(frozen=True, slots=True, order=True)
class Wanted:
    """A blob that is asked for."""

    digest: str
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """The damaged and missing blobs of one bundle version; each list is sorted, without repeats.

    With `documents` (manifests and indexes) empty the site has all of them. Both lists may be
    empty: statement and signatures come with every repair bundle.
    """

    name: str
    version: str
    root: str  # digest of the root index
    documents: tuple[Wanted, ...]
    layers: tuple[Wanted, ...]
    site: str | None = None  # the id of who asks

    def encode(self) -> bytes:
        """The document."""
        return canonical.dumps(
            {
                "documents": [{"digest": w.digest, "size": w.size} for w in self.documents],
                "format": FORMAT,
                "layers": [{"digest": w.digest, "size": w.size} for w in self.layers],
                "name": self.name,
                "root": self.root,
                "site": self.site,
                "version": self.version,
            }
        )


def wanted(blobs: Iterable[tuple[str, int]]) -> tuple[Wanted, ...]:
    """Digests and sizes in any order, repeats allowed, as a request lists them."""
    return tuple(sorted({Wanted(digest, size) for digest, size in blobs}))


def of_layers(
    said: Statement,
    layers: Iterable[Content],
    documents: Iterable[tuple[str, int]] = (),
) -> RepairRequest:
    """What asks for `layers` and `documents` (digest, size) of the bundle whose statement is
    `said`."""
    blobs = wanted((content.digest, content.layer.size) for content in layers)
    return RepairRequest(said.name, said.version, said.root, wanted(documents), blobs)


def read(data: bytes, where: str) -> RepairRequest:
    """The request that `data` encodes; `where` names it in errors.

    Raises `NotCanonical` or `BadRepairRequest`; afterwards `encode` of the result is `data`.
    """
    if len(data) > MAX_REQUEST:
        raise BadRepairRequest(f"{where} has {len(data)} bytes; at most {MAX_REQUEST}")
    fields = Fields(canonical.loads(data, where), _FIELDS, where, BadRepairRequest)
    if fields.whole("format") != FORMAT:
        raise fields.wrong("format", f"is not {FORMAT}")
    return RepairRequest(
        name=fields.text("name", statement.NAME),
        version=fields.text("version", statement.VERSION),
        root=fields.digest("root"),
        documents=_wanted(fields, "documents", MAX_DOCUMENT, where),
        layers=_wanted(fields, "layers", MAX_PART, where),
        site=None if fields.null("site") else fields.text("site", statement.NAME),
    )


_FIELDS = {"documents", "format", "layers", "name", "root", "site", "version"}


def _wanted(fields: Fields, name: str, most: int, where: str) -> tuple[Wanted, ...]:
    found = []
    for number, item in enumerate(fields.items(name), 1):
        one = Fields(item, {"digest", "size"}, f"{where}: {name} {number}", BadRepairRequest)
        found.append(Wanted(one.digest("digest"), one.whole("size", most)))
    if any(a.digest >= b.digest for a, b in itertools.pairwise(found)):
        raise fields.wrong(name, "are not sorted by digest, or name one twice")
    return tuple(found)
