"""goosectl store: what the site holds."""

from __future__ import annotations

from typing import Annotated

import typer

from bundles.errors import GooseError
from goosectl import output, site, sizes

app = typer.Typer(help="Look at what the site holds.", no_args_is_help=True)


class NotImported(GooseError):
    """The site has no bundle of that name and version."""

    code = "not-imported"
    default_hint = "see `goosectl store ls` for what is here"


@app.callback()
def _group() -> None:
    """Look at what the site holds."""


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
        ],
        words={"bytes": sizes.text},
    )


def _files(bundle: str) -> None:
    from bundles.catalog import Catalog

    name, _, version = bundle.partition("@")
    catalog = Catalog(site.store())
    if catalog.ref(name, version or None) is None:
        raise NotImported(f"{bundle} is not in the store")
    output.get().table(
        [
            {
                "mode": f"{file.mode:04o}",
                "size": file.size,
                "digest": file.digest,
                "path": file.path,
            }
            for file in catalog.list(name, version or None)
        ],
        [("mode", "Mode"), ("size", "Bytes"), ("digest", "Digest"), ("path", "Path")],
    )
