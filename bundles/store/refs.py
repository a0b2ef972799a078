"""The refs as one document: the store's ``index.json``.

It is an OCI image index, so that a store opens with stock tools as it stands; what only Goose
needs is in annotations. One document, replaced in one step, is what makes an import switch all
at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import canonical, layout
from bundles.store.errors import BadRefs
from bundles.store.protocol import BundleRef, Refs

_SEQUENCE = "goose.sequence."  # + bundle name: the highest sequence ever imported


def encode(refs: Refs) -> bytes:
    """The document that holds `refs`."""
    return canonical.dumps(
        {
            "annotations": {_SEQUENCE + name: str(n) for name, n in refs.sequences.items()},
            "manifests": [_entry(ref) for ref in refs.bundles],
            "mediaType": layout.INDEX_TYPE,
            "schemaVersion": 2,
        }
    )


def decode(data: bytes, where: str) -> Refs:
    """The refs that a document holds. Raises `BadRefs`."""
    try:
        value = canonical.loads(data, where)
        return Refs(
            bundles=tuple(_ref(entry, where) for entry in value["manifests"]),
            sequences={
                key.removeprefix(_SEQUENCE): int(number)
                for key, number in value["annotations"].items()
                if key.startswith(_SEQUENCE)
            },
        )
    except GooseError as error:
        raise BadRefs(error.message) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRefs(f"{where} does not hold refs: {error!r}") from error


def with_bundle(refs: Refs, new: BundleRef) -> Refs:
    """`refs` with `new` in it; when `new` is current, no other version of its bundle is.

    A version that was pinned stays pinned.
    """
    others = []
    for ref in refs.bundles:
        if ref.name == new.name and ref.version == new.version:
            new = replace(new, pinned=new.pinned or ref.pinned)
            continue
        keep = not (new.current and ref.name == new.name)
        others.append(ref if keep else replace(ref, current=False))
    highest = max(new.sequence, refs.sequences.get(new.name, new.sequence))
    return replace(
        refs,
        bundles=tuple(sorted((*others, new), key=lambda ref: (ref.name, ref.sequence))),
        sequences={**refs.sequences, new.name: highest},
    )


def _entry(ref: BundleRef) -> dict[str, object]:
    notes = {
        layout.REF_NAME: f"{ref.name}-{ref.version}",
        "goose.bundle": ref.name,
        "goose.current": "true" if ref.current else "false",
        "goose.imported": ref.imported,
        "goose.sequence": str(ref.sequence),
        "goose.signatures": " ".join(ref.signatures),
        "goose.statement": ref.statement,
        "goose.version": ref.version,
    }
    if ref.overruled:
        notes["goose.overruled"] = " ".join(ref.overruled)
    if ref.pinned:
        notes["goose.pinned"] = "true"
    return {
        "annotations": notes,
        "artifactType": layout.BUNDLE_TYPE,
        "digest": ref.root,
        "mediaType": layout.INDEX_TYPE,
        "size": ref.root_size,
    }


def _ref(entry: Any, where: str) -> BundleRef:
    notes = entry["annotations"]
    return BundleRef(
        name=notes["goose.bundle"],
        version=notes["goose.version"],
        sequence=int(notes["goose.sequence"]),
        root=digests.check(entry["digest"], where),
        root_size=int(entry["size"]),
        statement=digests.check(notes["goose.statement"], where),
        signatures=tuple(digests.check(d, where) for d in notes["goose.signatures"].split()),
        imported=notes["goose.imported"],
        current=notes["goose.current"] == "true",
        overruled=tuple(notes.get("goose.overruled", "").split()),
        pinned=notes.get("goose.pinned") == "true",
    )
