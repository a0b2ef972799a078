"""`bundle build --since RECEIPT`: what a site says that it has, because its key is pinned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import GooseError, UsageError
from bundles.format import statement

if TYPE_CHECKING:
    from bundles.format.statement import Statement
    from bundles.reading.base import Base
    from bundles.site.receipt_trust import ReceiptSigner

ReceiptSigners = Annotated[
    list[str] | None,
    typer.Option(
        "--receipt-signer",
        metavar="[SITE=]FILE.pub",
        help="The receipt key of a site that is believed, of SITE alone; repeatable.",
    ),
]

# A file whose name has an equals sign can be given as ./FILE.
_NAMED = re.compile(rf"({statement.NAME.pattern})=(.+)")


class UnreadableReceipt(GooseError):
    """A receipt or its signature cannot be read."""

    code = "unreadable-receipt"
    default_hint = "give the FILE of `store receipt --out FILE`, with FILE.sig beside it"


def is_receipt(path: Path) -> bool:
    """Whether a file is a receipt rather than a volume: it begins as a JSON object does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(1) == b"{"


def only(paths: list[Path]) -> Path | None:
    """The receipt among `paths`, None where they are volumes. Raises `UsageError` for both."""
    receipts = [path for path in paths if is_receipt(path)]
    if receipts and len(paths) > 1:
        raise UsageError(
            f"{receipts[0]} is a receipt: it stands alone", hint="give one receipt, or volumes"
        )
    return receipts[0] if receipts else None


def base(path: Path, signers: list[str] | None, draft: Statement) -> Base:
    """What the receipt at `path` says that its site has.

    Raises `UnreadableReceipt`, `BadKey`, what `receipt_trust.believe` raises, or `WrongAudience`.
    """
    from bundles.signing.sshsig import MAX_SIGNATURE
    from bundles.site import receipt_trust
    from bundles.site.receipt import MAX_RECEIPT

    pins = [_pin(text) for text in signers or []]
    armored = _read(path.with_name(path.name + ".sig"), MAX_SIGNATURE)
    found = receipt_trust.believe(_read(path, MAX_RECEIPT), armored, pins, str(path))
    receipt_trust.check_audience(found, draft.audience, str(path))
    return receipt_trust.base_from_receipt(found, draft.name)


def _pin(text: str) -> ReceiptSigner:
    from bundles.signing import keys
    from bundles.site.receipt_trust import ReceiptSigner

    named = _NAMED.fullmatch(text)
    key, _ = keys.load_public(Path(named[2] if named else text))
    return ReceiptSigner(key, named[1] if named else None)


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)  # one more: whoever reads it says that it is too large
    except OSError as error:
        raise UnreadableReceipt(f"{path}: {error.strerror}", file=str(path)) from error
