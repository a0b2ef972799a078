"""`bundle` verbs that read volumes or the store, and change nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from goosectl import output, site
from goosectl.bundle import asking
from goosectl.bundle import words as told
from goosectl.bundle.options import BasePaths, Identities, Paths, app
from goosectl.interruption import interruptible


@app.command()
def inspect(
    paths: Paths,
    files: Annotated[bool, typer.Option("--files", help="List every file.")] = False,
    identity: Identities = None,
    base: BasePaths = None,
) -> None:
    """Show what volumes hold.

    Reads their heads only, and needs no store. Says who signed, also beside the volumes, and
    whether a trust root on this machine vouches for them. The files of a delta are shown where the
    site's store, or --base, has what it builds on.

    Example: goosectl bundle inspect media/site-base-2026.11.1.1of1.goose.tar
    """
    from contextlib import ExitStack

    from bundles.ingest import open_volumes
    from goosectl.bundle import since

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
    numbers = sorted({volume.head.volume for volume in volumes})
    out.result(
        {
            **told.facts(head, witness.trusted),
            "volumes": numbers,
            "files": told.files(head) if files else None,
        },
        text="\n".join(
            [
                *told.description(head, witness.words(), numbers, files),
                *([f"its files are not shown: {lacking.message}; see --base"] if lacking else ()),
            ]
        ),
    )


@app.command()
def verify(
    paths: Paths,
    identity: Identities = None,
    request: asking.Request = None,
    base: BasePaths = None,
) -> None:
    """Check signatures and every byte.

    Names each file that is damaged and where, in the volume and in the file. With --request also
    writes what its builder needs to know for a repair bundle of just that. Of a delta all is
    checked that can be: the files too where the site's store, or --base, has what it builds on.

    Example: goosectl bundle verify /media/courier --request repair.json
    """
    from bundles.check import check_volumes
    from goosectl.bundle import since

    out = output.get()
    with interruptible("the check is not complete", "run it again: it begins from the start"):
        checked = check_volumes(
            paths,
            site.trust_root(),
            site.lenient_policy(),
            out.progress(),
            site.identities(identity),
            since.known(base),
        )
    if request is not None and checked.faults:
        asking.write(request, checked.request(asking.site_id()))
    checked.raise_faults()
    text = [told.summary(checked.statement), f"signed by {', '.join(checked.signers)}: good"]
    text.append(f"{len(checked.volumes)} of {len(checked.statement.volumes)} volumes read: good")
    if checked.missing:
        text.append(f"not given: {told.numbers(checked.missing)}")
    if checked.lacking:
        text.append(f"its files are not checked: {checked.lacking.message}; see --base")
    elif checked.unchecked:
        text.append(f"{checked.unchecked} files made of the base are not checked; see --base")
    text += [f"an import here would refuse it: {code}" for code in checked.remarks]
    out.result(
        {
            "bundle": checked.statement.name,
            "version": checked.statement.version,
            "sequence": checked.statement.sequence,
            "signers": list(checked.signers),
            "volumes": list(checked.volumes),
            "missing": list(checked.missing),
            "remarks": list(checked.remarks),
            "bytes_read": checked.bytes_read,
            "base": "lacking" if checked.lacking or checked.unchecked else None,
        },
        text="\n".join(text),
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
