"""What a builder believes of a receipt, and what a delta may leave out because of it.

The builder pins each site's receipt key: whoever else signs, a receipt is refused before a byte
of it is parsed. What it says then is the site's word; a site that lies gets a bundle that it
cannot complete, and its import names what is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from bundles.errors import GooseError
from bundles.format.chunks import Chunk
from bundles.reading.base import Base, BaseBundle
from bundles.signing import sshsig
from bundles.signing.policy import WrongAudience
from bundles.signing.sshkey import PublicKey
from bundles.site import receipt
from bundles.site.receipt import HeldBundle, Receipt


class UnknownReceiptSigner(GooseError):
    """A receipt is signed by a key that the builder has not pinned."""

    code = "unknown-receipt-signer"
    default_hint = "compare the fingerprint with the site, then --receipt-signer [SITE=]FILE.pub"


class ReceiptOfAnotherSite(GooseError):
    """A receipt speaks for another site than its signer may."""

    code = "receipt-of-another-site"
    default_hint = "do not use it; ask the site whose key it is how it came about"


@dataclass(frozen=True, slots=True)
class ReceiptSigner:
    """A pinned receipt key; with `site` it speaks for that site alone."""

    key: PublicKey
    site: str | None = None  # an id


def believe(
    message: bytes, armored: bytes, signers: Sequence[ReceiptSigner], where: str
) -> Receipt:
    """The receipt `message`, when one of `signers` has signed it for the site that it names.

    RC1. The signature is well formed, made for receipts, and good.
    RC2. Its key is pinned.
    RC3. The receipt is well formed, and its documents hash up to their roots.
    RC4. It speaks for the site that the key is pinned to.

    Raises what `sshsig.verify` raises, `UnknownReceiptSigner`, what `receipt.read` raises, or
    `ReceiptOfAnotherSite`.
    """
    key = sshsig.verify(message, armored, sshsig.RECEIPT)  # RC1
    pins = [signer for signer in signers if signer.key == key]
    if not pins:  # RC2
        raise UnknownReceiptSigner(
            f"{where} is signed by {key.fingerprint}, which is not pinned as a site's receipt key",
            fingerprint=key.fingerprint,
        )
    found = receipt.read(message, where)  # RC3
    sites = {pin.site for pin in pins}
    if None not in sites and found.site not in sites:  # RC4
        told = f"site {found.site}" if found.site else "a site without an id"
        named = ", ".join(sorted(site for site in sites if site))
        raise ReceiptOfAnotherSite(
            f"{where} speaks for {told}; its key, {key.fingerprint}, is pinned to {named}"
        )
    return found


def check_audience(found: Receipt, audience: Collection[str], where: str) -> None:
    """Refuses a receipt of a site that could not import the bundle. Raises `WrongAudience`."""
    if audience and found.site not in audience:
        told = f"site {found.site}" if found.site else "a site without an id"
        raise WrongAudience(
            f"{where} is of {told}; the recipe is for {', '.join(sorted(audience))}",
            hint="take a receipt of one of these sites, or add the site to the recipe's audience",
        )


def base_from_receipt(found: Receipt, name: str) -> Base:
    """What a delta of the bundle `name` may leave out: all that the site holds of the newest
    version of `name` and of the current versions of other bundles."""
    ours = [bundle for bundle in found.bundles if bundle.name == name]  # sorted by sequence
    others = [bundle for bundle in found.bundles if bundle.name != name and bundle.current]
    # The one most like the new version comes last: that is nearest for a compressor.
    held = [*others, *ours[-1:]]
    layers = {digest: size for bundle in held for digest, size in bundle.tree.layers().items()}
    cut = [layer for layer in found.layers if layer.digest in layers]

    def chunks(wanted: Collection[str]) -> Iterator[tuple[str, Chunk]]:
        for layer in cut:
            if layer.digest in wanted:
                for chunk in layer.chunks():
                    yield layer.digest, chunk

    return Base(
        bundles=tuple(BaseBundle(b.name, b.version, b.root) for b in held),
        layers=layers,
        documents=b"".join(_documents(held)),
        chunks=chunks,
    )


def _documents(held: Sequence[HeldBundle]) -> Iterator[bytes]:
    for bundle in held:
        for _, data in bundle.tree.documents:
            yield data
