"""`bundle repair`: a site's request in, a small bundle of what it lacks out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import GooseError
from goosectl import output, site, sizes
from goosectl.bundle import manifest
from goosectl.bundle import words as told
from goosectl.bundle.options import Identities, Paths, app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundles.reading.verify import Authority
    from bundles.signing.keys import Signer


_SHOWN = 20  # layers that people are told of


class UnreadableRequest(GooseError):
    """A repair request cannot be read."""

    code = "unreadable-request"
    default_hint = "give the file that --request of fsck, verify or import wrote"


@app.command()
def repair(
    request: Annotated[
        Path, typer.Argument(metavar="REQUEST", help="What the site lacks, as --request wrote it.")
    ],
    paths: Paths,
    key: Annotated[
        list[Path], typer.Option(metavar="FILE", help="A private key to sign with; repeatable.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for the repair bundle.")],
    to: Annotated[
        list[str] | None,
        typer.Option(metavar="RECIPIENT", help="Seal to age1..., an SSH key or a file of one."),
    ] = None,
    identity: Identities = None,
    volume_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Most bytes of a volume: 4G, 700MiB, fat32, dvd5, bd25."),
    ] = None,
) -> None:
    """Answer a site's repair request with a small bundle.

    Takes what the request names, and no more, from the bundle's own volumes, which must be signed
    by one of the keys given or as this machine's trust root says. The site imports the result like
    any bundle, and is whole again. Writes volumes, their signed list and the courier's sheet, as
    `bundle build` does.

    Example: goosectl bundle repair repair.json media --key release --out repair
    """
    from bundles.format import repair_request
    from bundles.making import repair as repairs
    from bundles.making import repairbuild
    from bundles.reading.sheet import Entry
    from bundles.sealing import seal
    from goosectl import ask

    report = output.get()
    progress = report.progress()
    asked = repair_request.read(_read(request), str(request))
    most = sizes.parse(volume_size) if volume_size else None
    recipients = [seal.recipient(text) for text in to or []]
    signers = [ask.signer(path) for path in key]
    with ExitStack() as stack:
        answer = repairs.find(
            asked,
            paths,
            _authority(signers),
            site.lenient_policy(),
            progress,
            stack,
            site.identities(identity),
        )
        built = repairbuild.build(asked, answer, signers, out, progress, recipients, most)
    files = [*built.volumes, built.volume_list, *built.signatures]
    names = [source.content.name for source in answer.sources]
    entries = [Entry(each.content.name, 1, each.content.layer.size) for each in answer.sources]
    files += manifest.write(built, entries, signers)
    brought = [sizes.amount(len(names), "layer"), *(["all documents"] if answer.documents else [])]
    report.result(
        {
            "bundle": asked.name,
            "version": asked.version,
            "site": asked.site,
            "layers": names,
            "documents": answer.documents,
            "files": [str(path) for path in files],
            "bytes": built.bytes,
        },
        text="\n".join(
            [
                f"{asked.name} {asked.version}, for {asked.site or 'a site without an id'}:",
                *(f"  {name}" for name in names[:_SHOWN]),
                f"{' and '.join(brought)}, {sizes.text(built.bytes)} written:",
                *map(told.line, files),
            ]
        ),
    )


def _read(path: Path) -> bytes:
    from bundles.format.repair_request import MAX_REQUEST

    try:
        with path.open("rb") as file:
            return file.read(MAX_REQUEST + 1)
    except OSError as error:
        raise UnreadableRequest(f"{path}: {error.strerror}", file=str(path)) from error


def _authority(signers: Sequence[Signer]) -> Authority:
    """Whose volumes are taken apart and signed again: nobody else's."""
    from bundles.signing import trust
    from bundles.signing.truststore import NoTrustRoot

    try:
        return site.trust_root()
    except NoTrustRoot:
        keys = dict.fromkeys(signer.public for signer in signers)
        return trust.first([(key, "") for key in keys], 1)
