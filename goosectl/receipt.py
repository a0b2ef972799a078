"""goosectl receipt: what a machine was built from, under the site's signature."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import UsageError
from goosectl import operator, output, receipt_words
from goosectl.bundle.options import BasePaths, Identities

if TYPE_CHECKING:
    from bundles.site.install_receipt import InstallReceipt
    from goosed_daemon.admin.receipt_models import ReceiptDetail

app = typer.Typer(help="Show and check what machines were built from.", no_args_is_help=True)

Machine = Annotated[
    str, typer.Argument(metavar="NAME|MAC", help="The machine's name, or its MAC in any spelling.")
]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="ID", help="Of the installation that this boot token began; else the newest."
    ),
]


@app.command()
def show(machine: Machine, token: Token = None) -> None:
    """Show what a machine was built from: bundle, profile, files, and the token that was used.

    Whether the site signed it is what `receipt verify` tells, from an exported file.

    Example: goosectl receipt show web1
    """
    found = _receipt(machine, token)
    told = _parsed(found)
    output.get().result(
        receipt_words.value(told) | {"signed_at": operator.show(found.signed_at)},
        text="\n".join(receipt_words.lines(told)),
    )


@app.command()
def export(
    machine: Machine,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the receipt goes.")],
    token: Token = None,
) -> None:
    """Write a machine's receipt and its signature, FILE and FILE.sig.

    `ssh-keygen -Y verify` checks them as they are: see docs/receipts.md.

    Example: goosectl receipt export web1 --out web1.receipt.json
    """
    from bundles.files import durable

    found = _receipt(machine, token)
    signature = _beside(out)
    durable.replace_file(signature, found.signature.encode())
    durable.replace_file(out, found.document.encode())
    output.get().result(
        {"files": [str(out), str(signature)], "mac": found.mac, "token": found.token},
        text=f"wrote {out} and {signature}",
    )


@app.command()
def key() -> None:
    """Show the key that checks this site's receipts, as the line of a .pub file.

    Keep it where receipts are checked: a receipt is worth what is known of its key.

    Example: goosectl receipt key > site-a.pub
    """
    from goosed_daemon.admin import receipts

    found = operator.call(receipts.KEY)
    output.get().result(found.model_dump(mode="json"), text=found.key)


@app.command()
def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The receipt, with FILE.sig beside it.")
    ],
    key: Annotated[
        Path, typer.Option(metavar="FILE.pub", help="The site's key: `goosectl receipt key`.")
    ],
    mac: Annotated[
        str | None, typer.Option(metavar="MAC", help="It must be of this machine.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="It must be of the installation that this boot token began."
        ),
    ] = None,
    current: Annotated[
        bool, typer.Option("--current", help="Ask the site: it must be its machine's newest.")
    ] = False,
    store: Annotated[
        bool, typer.Option("--store", help="Compare it with the bundle in the site's store.")
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Compare it with a bundle: a volume, or their folder."),
    ] = None,
    profiles: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|REVISION",
            help="Compare it with profiles: a folder, or a git revision of the site's.",
        ),
    ] = None,
    identity: Identities = None,
    base: BasePaths = None,
) -> None:
    """Check that a site signed a receipt, and what it says against what is at hand.

    Each thing that may be wrong has a code of its own: the signature, what it was made for, the
    key, the form, the machine, the installation, the bundle, the profiles. Needs no site but for
    --current and --store.

    Example: goosectl receipt verify web1.receipt.json --key site-a.pub --bundle media/
    """
    from bundles.signing import keys
    from bundles.signing.sshsig import MAX_SIGNATURE
    from bundles.site import install_trust
    from bundles.site.install_receipt import MAX_RECEIPT
    from goosed_daemon.infra import mac as macs

    if (identity or base) and bundle is None:
        raise UsageError("--identity and --base are for --bundle")
    wanted = macs.normalise(mac) if mac is not None else None
    public, _ = keys.load_public(key)
    message, armored = _read(file, MAX_RECEIPT), _read(_beside(file), MAX_SIGNATURE)
    found = install_trust.believe(message, armored, public, str(file))
    if wanted is not None:
        install_trust.check_machine(found, wanted, str(file))
    if token is not None:
        install_trust.check_token(found, token, str(file))
    if current:
        _check_newest(found, message, str(file))
    compared = []
    if store:
        compared.append(_compare_store(found))
    if bundle is not None:
        compared.append(_compare_bundle(found, bundle, identity, base))
    if profiles is not None:
        compared.append(_compare_profiles(found, profiles))
    output.get().result(
        receipt_words.value(found) | {"signer": public.fingerprint, "compared_with": compared},
        text="\n".join(
            [
                *receipt_words.lines(found),
                f"signed by {public.fingerprint}",
                *(f"the same as {each}" for each in compared),
            ]
        ),
    )


def _receipt(machine: str, token: str | None) -> ReceiptDetail:
    from goosed_daemon.admin import receipts
    from goosed_daemon.admin.receipt_models import ReceiptQuery

    query = operator.asked(ReceiptQuery, token=token)
    return operator.call(receipts.SHOW, query=query, machine=machine)


def _parsed(found: ReceiptDetail) -> InstallReceipt:
    from bundles.site import install_receipt

    return install_receipt.read(found.document.encode(), f"the receipt of {found.mac}")


def _check_newest(found: InstallReceipt, message: bytes, where: str) -> None:
    """Raises `ReceiptOfAnotherInstallation` when the machine was installed again since, or is
    being; and `NoReceipt` when the site knows nothing of it."""
    from bundles.errors import GooseError
    from bundles.site import install_trust
    from goosed_daemon.errors import ReceiptNotSigned

    try:
        newest = _receipt(found.origin.mac, None)
    except GooseError as error:
        if error.code == ReceiptNotSigned.code:
            install_trust.check_token(found, str(error.details.get("token")), where)
        raise
    install_trust.check_token(found, newest.token, where)
    if newest.document.encode() != message:
        raise install_trust.ReceiptOfAnotherInstallation(
            f"{where} is not what the site has for this installation"
        )


def _compare_store(found: InstallReceipt) -> str:
    """Raises `OtherContent`, or `NotImported` when the store has no such version (any more)."""
    from bundles.site import install_trust
    from bundles.site.catalog import read_files
    from bundles.store.choice import NotImported
    from goosectl import site

    origin, of = found.origin, site.store()
    ref = of.refs().version(origin.bundle, origin.version)
    where = f"{origin.bundle} {origin.version} in the store"
    if ref is None:
        raise NotImported(f"{origin.bundle} {origin.version} is not in the store")
    files = {path: file.digest for path, file in read_files(of, ref.root).items()}
    install_trust.check_content(found, ref.statement, ref.root, files, where)
    return where


def _compare_bundle(
    found: InstallReceipt, path: Path, identity: list[Path] | None, base: list[Path] | None
) -> str:
    """Raises `OtherContent`, and what reading the head of a bundle raises."""
    from bundles import digest
    from bundles.site import install_trust, view
    from bundles.site.ingest import open_volumes
    from goosectl import site
    from goosectl.bundle import since

    with ExitStack() as stack:
        volumes = open_volumes(
            [path],
            site.witness(),
            site.lenient_policy(),
            stack,
            site.identities(identity),
            since.known(base).documents,
        )
        head = volumes[0].head
    said = head.statement
    where = f"{said.name} {said.version} in {path}"
    files = {path: file.digest for path, file in view.files_of(head).items()}
    install_trust.check_content(found, digest.of(head.message), said.root, files, where)
    return where


def _compare_profiles(found: InstallReceipt, named: str) -> str:
    """Raises `OtherProfile`, `MachineUnknown`, or what reading profiles raises."""
    from bundles.site import install_trust
    from goosectl import revision, site
    from goosed_daemon import infra, made_of
    from goosed_daemon.errors import MachineUnknown

    with revision.folder(named, site.home().infra) as folder:
        known = infra.load_good(folder)
    machine = known.machine_by_mac(found.origin.mac)
    if machine is None:
        raise MachineUnknown(f"{named} has no machine {found.origin.mac} without an error")
    install_trust.check_profile(found, made_of.profile_digest(known, machine), named)
    return f"the profiles of {named}"


def _beside(file: Path) -> Path:
    return file.with_name(file.name + ".sig")


def _read(path: Path, limit: int) -> bytes:
    from goosectl.bundle.receipt import UnreadableReceipt

    try:
        with path.open("rb") as file:
            return file.read(limit + 1)  # one more: whoever reads it says that it is too large
    except OSError as error:
        raise UnreadableReceipt(
            f"{path}: {error.strerror}",
            hint="give the FILE of `receipt export --out FILE`, with FILE.sig beside it",
            file=str(path),
        ) from error
