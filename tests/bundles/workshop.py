"""Builds and imports real bundles in a few lines, for the tests beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundles import trust
from bundles.build import Built, build
from bundles.catalog import Catalog
from bundles.ingest import Imported, import_volumes
from bundles.keys import FileSigner
from bundles.plan import Plan
from bundles.policy import Policy
from bundles.progress import SILENT
from bundles.sources import Artifact, files, tree
from bundles.sshsig import BUNDLE, signature_length
from bundles.statement import Statement, Totals
from bundles.store import Store, open_store

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SIGNER = FileSigner(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
SIGNER_NAME = "release@example.org"
ROOT = trust.first([(SIGNER.public, SIGNER_NAME)], 1)

Tree = Mapping[str, tuple[bytes, int]]  # path: content, mode


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


def make(
    out: Path,
    sources: Mapping[str, Path],
    *,
    name: str = "site-base",
    version: str = "1.0.0",
    sequence: int = 1,
    created: str | None = None,
    volume_size: int | None = None,
    signers: Sequence[FileSigner] = (SIGNER,),
) -> Built:
    """A bundle of `sources` (title: folder or file), written to `out`."""
    draft = Statement(
        name=name,
        version=version,
        sequence=sequence,
        audience=(),
        root="",
        root_size=0,
        totals=Totals(0, 0, 0, 0, 0, 0),
        volumes=(),
        created=created,
    )
    artifacts = [artifact(source, title) for title, source in sources.items()]
    lengths = [signature_length(signer.public, BUNDLE) for signer in signers]
    return build(Plan(artifacts, draft, lengths, volume_size), signers, out, SILENT)


def take(store: Path, *volumes: Path) -> Imported:
    """Imports `volumes` into the store in the folder `store`, as a site does."""
    opened = open_store(store)
    policy = Policy(NOW, sequences=opened.refs().sequences)
    return import_volumes(volumes, opened, ROOT, policy, SILENT)


def served(store: Store, name: str = "site-base", version: str | None = None) -> Tree:
    """Everything that is served of a bundle: path, bytes, mode."""
    return {
        file.path: (b"".join(store.open(part.digest).read() for part in file.parts), file.mode)
        for file in Catalog(store).list(name, version)
    }


def under(title: str, content: Tree) -> Tree:
    """`content` as it is served when it went in as the tree `title`."""
    return {f"{title}/{path}": file for path, file in content.items()}
