"""Content for bundles and what a site serves of them, for the tests beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from bundles.progress import SILENT
from bundles.signing.policy import Policy
from bundles.site.catalog import Catalog
from bundles.site.ingest import Imported, import_volumes
from bundles.sources import Artifact, files, tree
from bundles.store import Store, open_store
from tests.bundles.making import NOW, Workshop

Tree = Mapping[str, tuple[bytes, int]]  # path: bytes, mode


def lay_out(folder: Path, content: Tree) -> Path:
    """Writes `content` below `folder`, in the order of the mapping."""
    for path, (data, mode) in content.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(mode)
    return folder


def artifact(source: Path, title: str) -> Artifact:
    """What a recipe's `tree:` or `file:` gives."""
    return (tree if source.is_dir() else files).expand(source, title)


def under(title: str, content: Tree) -> Tree:
    """`content` as it is served when it went in as the tree `title`."""
    return {f"{title}/{path}": file for path, file in content.items()}


def take(workshop: Workshop, store: Path, *volumes: Path) -> Imported:
    """Imports `volumes` into the store in the folder `store`."""
    opened = open_store(store)
    rules = Policy(NOW, sequences=opened.refs().sequences)
    return import_volumes(volumes, opened, workshop.root, rules, SILENT)


def served(store: Store, name: str = "base", version: str | None = None) -> Tree:
    """Everything that is served of a bundle."""
    return {
        file.path: (b"".join(store.read(p.digest, p.size) for p in file.parts), file.mode)
        for file in Catalog(store).list(name, version)
    }


def listing(folder: Path) -> dict[str, bytes]:
    """Every file in `folder`, hidden ones too, with its bytes."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def noise(seed: str, size: int) -> bytes:
    """`size` bytes that look random and are the same in every run."""
    return hashlib.shake_128(seed.encode()).digest(size)
