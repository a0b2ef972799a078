"""`bundle manifest`: the courier's sheet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import GooseError, UsageError
from goosectl import output, site
from goosectl.bundle import words as told
from goosectl.bundle.options import Identities, Paths, app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundles.format.statement import Statement
    from bundles.making.build import Built
    from bundles.reading.delivery import Delivery
    from bundles.reading.sheet import Entry, Sheet
    from bundles.sealing.agefile import Unwrapper
    from bundles.signing.sshsig import Signer


class NoVolumeList(GooseError):
    """A courier's sheet cannot be made: no signed list of the volumes is here."""

    code = "volume-list-needed"
    default_hint = "get NAME-VERSION.volumes.json and its .sig from where the media were written"


@app.command()
def manifest(
    paths: Paths,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the page to print.")
    ] = None,
    text: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it as text; - is stdout.")
    ] = None,
    identity: Identities = None,
) -> None:
    """Print the courier's sheet.

    For whoever carries and checks the media: files, sizes, digests, what to write on each medium,
    how to check with stock tools only, and lines to sign at each hand-over. Without --html or
    --text it goes to stdout as text. `bundle build` writes both beside the volumes.

    Example: goosectl bundle manifest media --html sheet.html
    """
    from bundles.files import durable
    from bundles.reading import delivery as deliveries

    out = output.get()
    identities = site.identities(identity)
    found = deliveries.sort_out(paths, identities)
    if len(found) > 1:
        labels = ", ".join(each.label for each in found)
        raise UsageError(f"a sheet is of one bundle; here are {labels}")
    said: Statement | None = None
    entries: list[Entry] = []
    if identities or not any(each.sealed for each in found[0].volumes):
        said, entries = _contents(paths, identities)
    made = _sheet(found[0], said, entries)
    written = []
    for path, words in ((html, made.html), (text, made.text)):
        if path is not None and str(path) != "-":
            durable.replace_file(path, words().encode())
            written.append(path)
    shown = "\n".join(told.line(path) for path in written)
    if str(text) == "-" or not written:
        shown = made.text().rstrip("\n")
    out.result(
        {
            "bundle": made.listed.name,
            "version": made.listed.version,
            "files": [str(path) for path in written],
            "volumes": [
                {"file": v.file, "bytes": v.size, "digest": v.digest, "label": made.label(n)}
                for n, v in enumerate(made.listed.volumes, 1)
            ],
            "signatures": [
                {"file": each.file, "fingerprint": each.fingerprint} for each in made.signatures
            ],
        },
        text=shown,
    )


def write(built: Built, entries: Sequence[Entry], signers: Sequence[Signer]) -> list[Path]:
    """Writes the sheet beside the volumes that were built and hold `entries`; returns its files."""
    from bundles.files import durable
    from bundles.reading import sheet, volumelist

    with _failing(built.volume_list):
        listed = volumelist.read(built.volume_list.read_bytes(), built.volume_list.name)
    made = sheet.Sheet(
        listed,
        [
            sheet.Signed(path.name, signer.public.fingerprint)
            for path, signer in zip(built.signatures, signers, strict=True)
        ],
        built.statement,
        entries,
    )
    files = {
        built.volume_list.with_name(listed.stem + sheet.HTML): made.html(),
        built.volume_list.with_name(listed.stem + sheet.TEXT): made.text(),
    }
    for path, words in files.items():
        with _failing(path):
            durable.replace_file(path, words.encode())
    return list(files)


@contextmanager
def _failing(path: Path) -> Iterator[None]:
    """Says what a disk that fails only now leaves."""
    from bundles.making.build import OutputFailed

    try:
        yield
    except OSError as error:
        raise OutputFailed(
            f"{path}: {error.strerror or error}",
            hint="the volumes and their list are whole; mend the disk, then write the sheet with"
            " `goosectl bundle manifest --html FILE`",
        ) from error


def _contents(paths: list[Path], identities: list[Unwrapper]) -> tuple[Statement, list[Entry]]:
    """What the heads of the volumes say."""
    from contextlib import ExitStack

    from bundles.reading.sheet import Entry
    from bundles.site.ingest import open_volumes

    with ExitStack() as stack:
        volumes = open_volumes(
            paths, site.witness(), site.lenient_policy(), stack, identities, partly=True
        )
        head = volumes[0].head
    entries = [Entry(title, *counted) for title, counted in told.artifacts(head).items()]
    return head.statement, entries


def _sheet(delivery: Delivery, said: Statement | None, entries: list[Entry]) -> Sheet:
    """Raises `NoVolumeList`, and what is wrong with the list."""
    from bundles.reading import beside, sheet, tally, volumelist
    from bundles.signing import sshsig

    listed = tally.take(delivery, site.witness(), site.lenient_policy().now).listed
    if listed is None:
        raise NoVolumeList(f"no signed volume list of {delivery.label} is here")
    (path, *_) = delivery.lists
    data = path.read_bytes()
    # The names that the format gives: a renamed list must not write commands of its own.
    right = listed.stem + volumelist.SUFFIX
    signed = [
        sheet.Signed(
            right + name.removeprefix(path.name),
            sshsig.verify(data, armored, sshsig.VOLUMES).fingerprint,
        )
        for name, armored in beside.of_list(path)
        if name.startswith(path.name)
    ]
    return sheet.Sheet(listed, signed, said, entries)
