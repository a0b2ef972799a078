"""What a vector is, and the short ways to make one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tests.vectors import forge
from tests.vectors.forge import (
    A,
    Artifact,
    B,
    Bundle,
    Entry,
    Json,
    Key,
    blob,
    canonical,
    layer,
    manifest,
    volume,
)

STATEMENT, SIGNATURE = "goose/statement.json", "goose/statement.sig.1"
NAMESPACES = ["goose-bundle@v1", "goose-install@v1", "goose-trust@v1", "goose-volumes@v1"]
BLOB_A, BLOB_B = blob(A).name, blob(B).name
LONG = bytes(n * n % 251 for n in range(9_000))


@dataclass(frozen=True)
class Case:
    """One vector. `expect` is ``accept`` or the code of the refusal, at check number `check`."""

    name: str
    expect: str
    check: int
    about: str
    data: bytes
    site: Json = field(default_factory=dict)  # how the site differs

    def declared(self) -> Json:
        """What `cases.json` says of it."""
        return {
            "name": self.name,
            "expect": self.expect,
            "check": self.check,
            "about": self.about,
            "site": self.site,
        }


def case(name: str, expect: str, check: int, about: str, made: Bundle | bytes, **site: Any) -> Case:
    data = made if isinstance(made, bytes) else volume(made.entries())
    return Case(name, expect, check, about, data, site)


def spoiled(change: Callable[[list[Entry]], Any], bundle: Bundle | None = None) -> bytes:
    """A volume whose entries were changed after it was signed."""
    entries = (bundle or Bundle()).entries()
    change(entries)
    return volume(entries)


def at(entries: list[Entry], name: str) -> int:
    return next(i for i, entry in enumerate(entries) if entry.name == name)


def data_of(name: str, change: Callable[[bytes], bytes]) -> Callable[[list[Entry]], None]:
    def apply(entries: list[Entry]) -> None:
        entry = entries[at(entries, name)]
        entry.data = change(entry.data)

    return apply


def header_of(name: str, /, **fields: bytes) -> Callable[[list[Entry]], None]:
    return lambda entries: entries[at(entries, name)].header(**fields)


def said(**fields: Any) -> Bundle:
    return Bundle(said=fields)


def in_place(change: Callable[[Json], Any]) -> forge.Change:
    def apply(value: Json) -> Json:
        change(value)
        return value

    return apply


def stated(change: Callable[[Json], Any]) -> Bundle:
    return Bundle(statement=in_place(change))


def listed(change: Callable[[Json], Any]) -> Bundle:
    return Bundle(index=in_place(change))


def numbered(number: str) -> Callable[[Json], Any]:
    return lambda value: value["annotations"].update({"goose.volume": number})


def rooted(change: Callable[[Json], Any]) -> Bundle:
    return Bundle(root=in_place(change))


def layered(*layers: Json, blobs: list[bytes] | None = None) -> Bundle:
    stored = [A, B] if blobs is None else blobs
    return Bundle([Artifact("os", [manifest("os", list(layers))])], stored)


def relaxed(change: Callable[[Json], Any]) -> Bundle:
    """A manifest changed only as it is written, so that totals still count what it had."""

    def encode(document: Json) -> bytes:
        value = copy.deepcopy(document)
        change(value)
        return canonical(value)

    return Bundle(encode_manifest=encode)


def titled(path: str) -> Bundle:
    return layered(layer(path, A), blobs=[A])


def split(
    data: bytes, size: int, change: Callable[[list[Json]], Any] = lambda layers: None
) -> Bundle:
    """A tree of one file in parts of `size` bytes; `change` lies about them."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    layers = [
        layer(
            f"c.part-{k:05d}",
            piece,
            **{"goose.part": f"{k}/{len(pieces)}", "goose.file.digest": forge.digest(data)},
        )
        for k, piece in enumerate(pieces, 1)
    ]
    change(layers)
    stored = {forge.digest(piece): piece for piece in pieces}
    return layered(
        *layers, blobs=[stored[item["digest"]] for item in layers if item["digest"] in stored]
    )


def pictured(changed: Mapping[str, bytes | None] = MappingProxyType({})) -> Bundle:
    """An image of one layer, B, as a layout; `changed` are files of it with other bytes, or, where
    they are None, without."""
    config = b'{ "architecture": "amd64", "os": "linux" }'
    parts = [
        {"mediaType": "application/vnd.oci.image.config.v1+json", **_blob(config)},
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", **_blob(B)},
    ]
    # Not canonical: it is somebody else's, and stays as it is.
    top = json.dumps({"schemaVersion": 2, "config": parts[0], "layers": parts[1:]}).encode()
    named = {"mediaType": forge.MANIFEST, **_blob(top)}
    files: dict[str, bytes | None] = {
        **{f"blobs/sha256/{forge.digest(data)[7:]}": data for data in (config, B, top)},
        "index.json": canonical({"manifests": [named], "schemaVersion": 2}),
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        **changed,
    }
    kept = {path: data for path, data in sorted(files.items()) if data is not None}
    made = [manifest("app", [layer(path, data) for path, data in kept.items()], forge.IMAGE)]
    return Bundle([Artifact("app", made, forge.IMAGE)], list(kept.values()))


def _blob(data: bytes) -> Json:
    return {"digest": forge.digest(data), "size": len(data)}


def signer(name: str, **fields: Any) -> Json:
    return {
        "name": name,
        "key": Key(name).openssh,
        "namespaces": NAMESPACES,
        "validAfter": None,
        "validBefore": None,
        **fields,
    }


def drop(name: str) -> Callable[[list[Entry]], Any]:
    return lambda entries: entries.pop(at(entries, name))


def spaced(value: Json) -> bytes:
    return canonical(value).replace(b":", b": ", 1)
