"""The provenance of a bundle: from which recipe and inputs, and by what, it was built.

Source: in-toto Attestation Framework, Statement v1; SLSA v1.0, Build Provenance
(https://slsa.dev/spec/v1.0/provenance). It stands in the bundle as an artifact of its own and so
under the bundle's signature; it needs no envelope. What it says is docs/bundle-format.md,
"Provenance".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import bundles
from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import canonical
from bundles.format.layout import PROVENANCE
from bundles.format.statement import Statement
from bundles.making.recipe import Entry, Recipe
from bundles.sources import made
from bundles.sources.artifact import Artifact, Known
from bundles.sources.lock import Lock

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
# Package URLs, since they name the project wherever its pages are kept.
BUILD_TYPE = "pkg:generic/goose-provisioning@1#docs/bundle-format.md"
BUILDER = "pkg:generic/goose-provisioning#goosectl"


def expand(
    recipe: Recipe,
    recipe_digest: str,
    pins: Lock | None,
    said: Statement,
    volume_size: int | None,
    before: Sequence[Artifact],
) -> Artifact:
    """The provenance of the artifacts `before` it: first those of `recipe`, in its order."""
    before = tuple(before)

    def make(known: Known) -> bytes:
        subjects = zip(before, known.documents, strict=True)
        return canonical.dumps(
            {
                "_type": STATEMENT_TYPE,
                "subject": [_described(artifact.title, digest) for artifact, digest in subjects],
                "predicateType": PREDICATE_TYPE,
                "predicate": {
                    "buildDefinition": {
                        "buildType": BUILD_TYPE,
                        "externalParameters": _parameters(recipe, recipe_digest, said, volume_size),
                        "resolvedDependencies": list(_sources(recipe, pins, before, known)),
                    },
                    "runDetails": {
                        "builder": {"id": BUILDER, "version": {"goose": bundles.__version__}}
                    },
                },
            }
        )

    return made.expand("provenance", PROVENANCE, make, before)


def _parameters(
    recipe: Recipe, recipe_digest: str, said: Statement, volume_size: int | None
) -> dict[str, object]:
    """All that a person decides about a bundle's bytes, but for the inputs themselves."""
    return {
        "recipe": {"digest": _sha256(recipe_digest)},
        "name": said.name,
        "version": said.version,
        "sequence": said.sequence,
        "audience": list(said.audience),
        "created": said.created,
        "expires": said.expires,
        "volumeSize": volume_size,
        "contents": [_entry(entry) for entry in recipe.contents],
    }


def _entry(entry: Entry) -> dict[str, object]:
    if entry.url is not None:
        return {"as": entry.title, "url": _public(entry.url)}
    if entry.file is not None:
        return {"as": entry.title, "file": entry.file}
    if entry.image is not None:
        return {"as": entry.title, "image": entry.image, "platforms": entry.platforms}
    if entry.chart is not None:
        return {"as": entry.title, "chart": entry.chart}
    return {"as": entry.title, "tree": entry.tree, "links": entry.links}


def _sources(
    recipe: Recipe, pins: Lock | None, artifacts: Sequence[Artifact], known: Known
) -> Iterator[dict[str, object]]:
    """What the content was read from: one resource per entry of the recipe."""
    start = 0
    for entry, artifact in zip(recipe.contents, artifacts, strict=False):
        end = start + len(artifact.files)
        found = known.files[start:end]
        start = end
        pin = pins.pin(entry.remote) if pins and entry.remote else None
        if pin is not None:
            yield {**_described(entry.title, pin.digest), "uri": _public(pin.url)}
        elif artifact.named is not None:
            yield _described(entry.title, artifact.named.digest)
        elif entry.tree is not None:
            yield {"name": entry.title, "digest": {"dirHash": _tree_hash(artifact, found)}}
        else:
            yield _described(entry.title, found[0])


def _tree_hash(artifact: Artifact, found: Sequence[str]) -> str:
    """in-toto's ``dirHash`` (digest_set.md): the SHA-256 of what ``sha256sum`` says of all files,
    in the order of their paths."""
    whole = hashlib.sha256()
    lines = zip((file.path for file in artifact.files), found, strict=True)
    for path, digest in sorted(lines):
        whole.update(f"{digests.hex_of(digest)}  {path}\n".encode())
    return whole.hexdigest()


def _described(name: str, digest: str) -> dict[str, object]:
    return {"name": name, "digest": _sha256(digest)}


def _sha256(digest: str) -> dict[str, str]:
    return {"sha256": digests.hex_of(digest)}


def _public(url: str) -> str:
    """`url` without the name and password of who may fetch it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


# Reading it again


class BadProvenance(GooseError):
    """The provenance in a bundle is not of the form that the format prescribes."""

    code = "bad-provenance"
    default_hint = "another program built it: `goosectl store get` reads the file as it is"


@dataclass(frozen=True, slots=True)
class Source:
    """What one artifact was read from: its builder's word."""

    title: str
    origin: str  # a URL, or a path where the recipe stood
    digest: str  # ``sha256:HEX``, of a tree ``dirHash:HEX``


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the provenance in a bundle says."""

    builder: str
    version: str  # of goosectl
    recipe: str  # the digest of the recipe's bytes
    sources: tuple[Source, ...]


def read(data: bytes, where: str) -> Provenance:
    """What `data` says. It was signed with the bundle, and is believed as far as its signers are.

    Raises `NotCanonical` or `BadProvenance`.
    """
    value: Any = canonical.loads(data, where)
    try:
        if (value["_type"], value["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise ValueError(f"it is a {value['_type']} of {value['predicateType']}")
        definition = value["predicate"]["buildDefinition"]
        said, builder = (
            definition["externalParameters"],
            value["predicate"]["runDetails"]["builder"],
        )
        entries = zip(said["contents"], definition["resolvedDependencies"], strict=True)
        return Provenance(
            builder=str(builder["id"]),
            version=str(builder["version"]["goose"]),
            recipe=_digest(said["recipe"]["digest"]),
            sources=tuple(
                Source(
                    str(found["name"]),
                    _origin(entry),
                    _digest(found["digest"]),
                )
                for entry, found in entries
            ),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadProvenance(f"{where} is not the provenance of a bundle: {error}") from error


def _origin(entry: Mapping[str, object]) -> str:
    (key,) = (key for key in Entry.SOURCES if key in entry)
    return str(entry[key])


def _digest(value: Mapping[str, object]) -> str:
    ((kind, text),) = value.items()
    return f"{kind}:{text}"
