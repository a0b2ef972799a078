"""What a delta needs and a site may lack: check 16 of docs/bundle-format.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bundles.errors import GooseError
from bundles.format import layout
from bundles.reading.base import BaseBundle
from bundles.reading.verify import TrustedHead

_SHOWN = 20  # in the message; the details have all


class MissingBase(GooseError):
    """A delta builds on content that is not here."""

    code = "missing-base"
    default_hint = "import the bundle it builds on, then import this one again"


def named(bundles: Sequence[BaseBundle]) -> str:
    """Bundles in words."""
    return ", ".join(f"{bundle.name} {bundle.version}" for bundle in bundles)


def missing_bundles(where: str, bundles: Sequence[BaseBundle]) -> MissingBase:
    """The refusal of a delta none of whose base is here."""
    return MissingBase(
        f"{where} builds on {named(bundles)}, whose documents are not here",
        bundles=[f"{b.name} {b.version}" for b in bundles],
    )


def refuse_missing(head: TrustedHead, has: Callable[[str, int], bool]) -> None:
    """Check 16: raises `MissingBase` naming every layer of a delta that no pack makes, and every
    blob that one still to be made copies from, where `has` does not know it."""
    delta, contents, packs = head.delta, head.contents, head.packs
    if delta is None:
        return
    where = f"{head.statement.name} {head.statement.version}"
    # Every head brings the empty config, also where a file has the same bytes.
    made = {layout.EMPTY_DIGEST, *(m.content.digest for p in packs for m in p.layers)}
    lacking = {
        content.digest: content.path
        for content in contents
        if content.digest not in made and not has(content.digest, content.layer.size)
    }
    sources = {
        c.blob
        for p in packs
        for m in p.layers
        if not has(m.content.digest, m.content.layer.size)
        for c in m.copies
    }
    for number in sorted(sources):
        blob = delta.blobs[number]
        if not has(blob.digest, blob.size):
            lacking.setdefault(blob.digest, f"{blob.digest}, which other files are made of")
    if lacking:  # check 16
        names = list(lacking.values())
        text = "\n  ".join(names[:_SHOWN])
        if len(names) > _SHOWN:
            text += f"\n  and {len(names) - _SHOWN} more, which --json lists"
        raise MissingBase(
            f"{where} builds on {named(delta.bundles)}; {len(names)} of its blobs are not here:"
            f"\n  {text}",
            hint="ask for all of it: import it again with --request FILE"
            if head.repairs
            else f"import {named(delta.bundles)} first, then this one",
            bundles=[f"{b.name} {b.version}" for b in delta.bundles],
            blobs=[{"digest": digest, "path": path} for digest, path in lacking.items()],
        )
