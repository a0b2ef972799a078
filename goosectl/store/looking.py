"""`store` verbs that look, and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goosectl import output, site, sizes
from goosectl.store.options import Version, app


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


@app.command()
def get(
    version: Version,
    path: Annotated[str, typer.Argument(metavar="PATH", help="As `store ls BUNDLE` tells it.")],
    to: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to; else its own name, here."),
    ] = None,
) -> None:
    """Copy a file or a folder out of the store, with modes. Digests are checked on the way.

    A file that was there before under the name is replaced, once the copy is whole; a folder must
    not be there. Of an image the folder is an OCI image layout, as skopeo and containerd read it.

    Example: goosectl store get site-base os/motd --out /tmp/motd

    Example: goosectl store get platform prom/prometheus --out prometheus.oci
    """
    from bundles.site import extract
    from bundles.site.catalog import Catalog
    from bundles.store.choice import chosen

    out = output.get()
    catalog = Catalog(site.store())
    ref = chosen(catalog.refs(), version)
    target = Path(Path(path).name) if to is None else to
    if files := extract.below(catalog, ref, path):
        extract.extract_folder(catalog.store, files, path, target, out.progress())
        size = sum(file.size for file in files)
        out.result(
            {
                "bundle": ref.name,
                "version": ref.version,
                "path": path,
                "bytes": size,
                "files": len(files),
                "out": str(target),
            },
            text=f"{target}: {sizes.amount(len(files), 'file')}, {sizes.text(size)}",
        )
        return
    file = extract.find(catalog, ref, path)
    if target.is_dir():
        target /= Path(path).name
    extract.extract(catalog.store, file, target, out.progress())
    out.result(
        {
            "bundle": ref.name,
            "version": ref.version,
            "path": file.path,
            "bytes": file.size,
            "digest": file.digest,
            "out": str(target),
        },
        text=f"{target}: {sizes.text(file.size)}, {file.digest}",
    )


def _bundles() -> None:
    from bundles.site.catalog import Catalog

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
    from bundles.site.catalog import Catalog
    from bundles.store.choice import chosen

    catalog = Catalog(site.store())
    ref = chosen(catalog.refs(), bundle)
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
