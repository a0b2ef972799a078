"""`bundle` verbs that read volumes or the store, and change nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from goosectl import output, site
from goosectl.bundle import words as told
from goosectl.bundle.options import BasePaths, Identities, Paths, app


@app.command()
def inspect(
    paths: Paths,
    files: Annotated[bool, typer.Option("--files", help="List every file.")] = False,
    folders: Annotated[
        int | None,
        typer.Option("--folders", metavar="N", min=1, help="Show folders, N levels of them."),
    ] = None,
    identity: Identities = None,
    base: BasePaths = None,
) -> None:
    """Show what volumes hold.

    Reads their heads and the provenance that the builder added, and needs no store. Says who
    signed, also beside the volumes, whether a trust root on this machine vouches for them, and
    from which recipe and inputs the bundle was built. The files of a delta are shown where the
    site's store, or --base, has what it builds on.

    Example: goosectl bundle inspect media/site-base-2026.11.1.1of1.goose.tar --folders 2
    """
    from contextlib import ExitStack

    from bundles.site import view
    from bundles.site.ingest import open_volumes
    from goosectl.bundle import listing, since

    out = output.get()
    witness = site.witness()
    with ExitStack() as stack:
        volumes = open_volumes(
            paths,
            witness,
            site.lenient_policy(),
            stack,
            site.identities(identity),
            since.known(base).documents,
            partly=True,
        )
        head, lacking = volumes[0].head, volumes[0].lacking
        origin, why = listing.provenance(volumes) if lacking is None else (None, None)
    held = view.files_of(head) if files or folders else {}
    numbers = sorted({volume.head.volume for volume in volumes})
    out.result(
        {
            **told.facts(head, witness.trusted),
            "volumes": numbers,
            "provenance": listing.origin_facts(origin) if origin else None,
            "folders": listing.folder_facts(held, folders) if folders else None,
            "files": listing.file_facts(held) if files else None,
        },
        text="\n".join(
            [
                *told.description(head, witness.words(), numbers, origin),
                *(listing.folder_lines(held, folders) if folders else ()),
                *(listing.file_lines(held) if files else ()),
                *([f"its provenance is not shown: {why.message}"] if why else ()),
                *([f"its files are not shown: {lacking.message}; see --base"] if lacking else ()),
            ]
        ),
    )


@app.command("list")
def list_() -> None:
    """List the bundles that were imported.

    Example: goosectl bundle list
    """
    refs = site.store().refs()
    output.get().table(
        [
            {
                "bundle": ref.name,
                "version": ref.version,
                "sequence": ref.sequence,
                "served": "current" if ref.current else "by version",
                "imported": ref.imported,
                "overruled": list(ref.overruled),
            }
            for ref in refs.bundles
        ],
        [
            ("bundle", "Bundle"),
            ("version", "Version"),
            ("sequence", "Sequence"),
            ("served", "Served"),
            ("imported", "Imported"),
            ("overruled", "Overruled"),
        ],
    )
