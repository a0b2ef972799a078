"""Looking at who signed, where nothing is decided by it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bundles.errors import GooseError
from bundles.signing import sshsig
from bundles.signing.sshkey import UnsupportedKey
from bundles.signing.trust import TrustedSigner, TrustRoot


class Witness:
    """An `Authority` that refuses no signer, for `inspect` and `sign`: it names everybody who
    signed, by the names of `root` where that knows them, and remembers what `root` would say.

    A bad signature by anybody whom `root` knows is refused as ever; where there is no root, by
    anybody.
    """

    def __init__(self, root: TrustRoot | None) -> None:
        self.root = root
        self.doubt: GooseError | None = None  # why an import here would refuse the signatures

    @property
    def trusted(self) -> bool:
        """Whether a trust root here vouches for what was signed."""
        return self.root is not None and self.doubt is None

    def words(self) -> str:
        """The same for people."""
        if self.root is None:
            return "NOT CHECKED against a trust root: there is none here"
        return "trusted here" if self.doubt is None else f"NOT ENOUGH here: {self.doubt.message}"

    def authorise(
        self, message: bytes, signatures: Sequence[bytes], namespace: str, at: datetime
    ) -> tuple[TrustedSigner, ...]:
        """Everybody who signed; see `TrustRoot.authorise`."""
        known = {signer.key: signer for signer in self.root.signers} if self.root else {}
        if self.root is not None:
            self.root.tally(message, signatures, namespace, at)  # refuses bad ones
            try:
                self.root.authorise(message, signatures, namespace, at)
                self.doubt = None
            except GooseError as error:
                self.doubt = error
        found: dict[str, TrustedSigner] = {}
        for armored in signatures:
            try:
                key = sshsig.verify(message, armored, namespace)
            except UnsupportedKey:
                continue
            except GooseError:
                if self.root is None:
                    raise
                continue  # a stranger's, which says nothing here
            found[key.fingerprint] = known.get(key) or TrustedSigner(key.fingerprint, key)
        return tuple(found.values())
