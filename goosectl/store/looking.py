"""`store` verbs that look, and change nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from goosectl import output, site, sizes
from goosectl.store.options import app, imported


@app.command()
def ls(
    bundle: Annotated[
        str | None, typer.Argument(metavar="[BUNDLE[@VERSION]]", help="List this one's files.")
    ] = None,
) -> None:
    """List the imported bundles, or the files of one.

    Example: goosectl store ls site-base@2026.11.1
    """
    if bundle is None:
        _bundles()
    else:
        _files(bundle)


def _bundles() -> None:
    from bundles.catalog import Catalog

    catalog = Catalog(site.store())
    rows = []
    for ref in catalog.refs().bundles:
        files = list(catalog.list(ref.name, ref.version))
        rows.append(
            {
                "bundle": ref.name,
                "version": ref.version,
                "files": len(files),
                "bytes": sum(file.size for file in files),
                "current": ref.current,
                "pinned": ref.pinned,
            }
        )
    output.get().table(
        rows,
        [
            ("bundle", "Bundle"),
            ("version", "Version"),
            ("files", "Files"),
            ("bytes", "Size"),
            ("current", "Current"),
            ("pinned", "Pinned"),
        ],
        words={"bytes": sizes.text},
    )


def _files(bundle: str) -> None:
    from bundles.catalog import Catalog

    catalog = Catalog(site.store())
    ref = imported(catalog.refs(), bundle)
    output.get().table(
        [
            {
                "mode": f"{file.mode:04o}",
                "bytes": file.size,
                "digest": file.digest,
                "path": file.path,
            }
            for file in catalog.list(ref.name, ref.version)
        ],
        [("mode", "Mode"), ("bytes", "Bytes"), ("digest", "Digest"), ("path", "Path")],
    )
