"""What is believed of an install receipt, and what of it can be compared.

The checks are those of docs/receipts.md, in its order. A receipt is parsed when its signature was
found good: nothing is read that the site has not signed.
"""

from __future__ import annotations

from collections.abc import Mapping

from bundles.errors import GooseError
from bundles.signing import sshsig
from bundles.signing.sshkey import PublicKey
from bundles.site import install_receipt
from bundles.site.install_receipt import InstallReceipt


class UnknownInstallKey(GooseError):
    """An install receipt is signed by another key than the site's."""

    code = "unknown-install-key"
    default_hint = "compare the fingerprint with the site's own: goosectl receipt key"


class ReceiptOfAnotherMachine(GooseError):
    """An install receipt is not of the machine that it is shown for."""

    code = "receipt-of-another-machine"
    default_hint = "ask the site for the machine's own: goosectl receipt export MACHINE"


class ReceiptOfAnotherInstallation(GooseError):
    """An install receipt is of another installation of its machine than the one in question."""

    code = "receipt-of-another-installation"
    default_hint = "the machine was installed again: goosectl receipt export has the newest"


class OtherContent(GooseError):
    """A bundle is not the one that an install receipt names, or holds other files."""

    code = "other-content"
    default_hint = "do not take one for the other; ask the bundle's builder which is genuine"


class OtherProfile(GooseError):
    """Profiles do not say of a machine what they said when it was built."""

    code = "other-profile"
    default_hint = "`goosectl infra diff REVISION` tells what has changed since a revision"


def believe(message: bytes, armored: bytes, key: PublicKey, where: str) -> InstallReceipt:
    """The receipt `message`, when `key` has signed it as an install receipt.

    Raises `SignatureMalformed`, `UnsupportedKey`, `WrongNamespace` or `SignatureInvalid`,
    `UnknownInstallKey`, and what `install_receipt.read` raises.
    """
    signer = sshsig.verify(message, armored, sshsig.MACHINE)
    if signer != key:
        raise UnknownInstallKey(
            f"{where} is signed by {signer.fingerprint}, and the site's key is {key.fingerprint}",
            fingerprint=signer.fingerprint,
        )
    return install_receipt.read(message, where)


def check_machine(found: InstallReceipt, mac: str, where: str) -> None:
    """Raises `ReceiptOfAnotherMachine` unless it is the receipt of the machine `mac`."""
    if found.origin.mac != mac:
        told = f"{found.origin.machine}, {found.origin.mac}"
        raise ReceiptOfAnotherMachine(f"{where} is of {told}, not of {mac}", mac=mac)


def check_token(found: InstallReceipt, token: str, where: str) -> None:
    """Raises `ReceiptOfAnotherInstallation` unless it is of the one that `token`, an id, began."""
    if found.origin.token != token:
        raise ReceiptOfAnotherInstallation(
            f"{where} is of the installation of {found.origin.machine} that token"
            f" {found.origin.token} began at {found.origin.used}, not of that of token {token}",
            token=token,
        )


def check_profile(found: InstallReceipt, digest: str, where: str) -> None:
    """Raises `OtherProfile` unless `digest` is that of the documents that the receipt names;
    `where` names them."""
    origin = found.origin
    if origin.profile_digest != digest:
        raise OtherProfile(
            f"{where} says something else of {origin.machine} than it was built by: the digest is"
            f" {digest}, and the receipt names {origin.profile_digest}",
            digest=digest,
        )


def check_content(
    found: InstallReceipt, statement_digest: str, root: str, files: Mapping[str, str], where: str
) -> None:
    """Raises `OtherContent` unless a bundle has the statement and the root that the receipt names,
    and in `files`, digests by path, every artifact as it says. `where` names the bundle."""
    origin = found.origin
    for what, named, there in (
        ("statement", origin.statement, statement_digest),
        ("root", origin.root, root),
    ):
        if named != there:
            raise OtherContent(f"{where} has the {what} {there}, and the receipt names {named}")
    for artifact in origin.artifacts:
        held = files.get(artifact.path)
        if held != artifact.digest:
            there = "is not there" if held is None else f"is {held}"
            raise OtherContent(
                f"{where}: {artifact.path} {there}, and the receipt names {artifact.digest}",
                path=artifact.path,
            )
