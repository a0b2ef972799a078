"""`bundle sign`: a further signature, made later and elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goosectl import output, site
from goosectl.bundle import words as told
from goosectl.bundle.options import Identities, Paths, app
from goosectl.interruption import interruptible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundles.reading.verify import TrustedHead
    from bundles.sealing.agefile import Unwrapper
    from bundles.site.ingest import OpenVolume
    from goosectl.witness import Witness


@app.command()
def sign(
    paths: Paths,
    key: Annotated[
        list[Path], typer.Option(metavar="FILE", help="What to sign with, as in `bundle build`.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the signatures go; else beside the volumes."),
    ] = None,
    identity: Identities = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Verify and show what would be signed.")
    ] = False,
) -> None:
    """Sign a bundle that somebody else built.

    For sites whose trust root asks for several signers. Reads every byte of the volumes, shows
    what they hold and who signed, then signs the statement and the list of volumes in files
    beside them; no volume is changed. Carry these files with the volumes: import, verify and
    inspect count them.

    Of sealed volumes the statement is sealed too: give an --identity, or sign the open volumes of
    the same build, whose statement is the same.

    Example: goosectl bundle sign media --key ben
    """
    from bundles.making import cosign
    from bundles.site.check import check_volumes
    from goosectl import ask

    report, witness = output.get(), site.witness()
    identities = site.identities(identity)
    signers = [] if dry_run else [ask.signer(path) for path in key]
    policy = site.lenient_policy()
    with interruptible("nothing was signed", "run it again: it reads the volumes from the start"):
        check_volumes(paths, witness, policy, report.progress(), identities).raise_faults()
    head, volumes = _opened(paths, witness, identities)
    first = volumes[0].path
    documents = [cosign.statement_of(first, head.message, head.signatures)]
    listing = cosign.list_of([volume.path for volume in volumes], head.statement)
    documents += [listing] if listing else []
    numbers = sorted({volume.head.volume for volume in volumes})
    report.note("\n".join(told.description(head, witness.words(), numbers)))
    written = cosign.sign(documents, signers, out)
    head, _ = _opened([*paths, *filter(_of_statement, written)], witness, identities)
    text = [told.summary(head.statement)]
    if written:
        text += ["signed:", *map(told.line, written)]
    elif not dry_run:
        text.append("these keys have signed it already")
    if listing is None:
        text.append("no list of volumes lies beside them: only the statement can be signed")
    text.append(f"signed by {', '.join(head.signers) or 'nobody'} ({witness.words()})")
    report.result(
        {
            **told.facts(head, witness.trusted),
            "volumes": numbers,
            "files": [str(path) for path in written],
            "list": str(listing.path) if listing else None,
        },
        text="\n".join(text),
    )


def _opened(
    paths: Sequence[Path], witness: Witness, identities: Sequence[Unwrapper]
) -> tuple[TrustedHead, list[OpenVolume]]:
    from contextlib import ExitStack

    from bundles.site.ingest import open_volumes

    with ExitStack() as stack:
        volumes = open_volumes(paths, witness, site.lenient_policy(), stack, identities)
        return volumes[0].head, volumes


def _of_statement(path: Path) -> bool:
    from bundles.reading import beside

    return beside.is_signature(path)
