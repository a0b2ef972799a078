"""The form of a trust root: what must hold before anything is judged by it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundles.errors import GooseError
from bundles.format.statement import format_time, parse_time
from bundles.signing import sshsig

if TYPE_CHECKING:
    from bundles.signing.trust import TrustedSigner, TrustRoot

FORMAT = 1

# It stands in an allowed_signers file, where commas, quotes, spaces, #, !, * and ? have a meaning,
# and on a screen, where two names that look the same must be the same.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:/+=-]{0,63}")
# Of a time that is not after it, an allowed_signers file makes none, or an error.
_EPOCH = "1970-01-01T00:00:00Z"
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class BadTrustRoot(GooseError):
    """A trust root is not of the form that the format prescribes."""

    code = "bad-trust-root"
    default_hint = "see docs/trust.md for the form of a trust root"


def check(root: TrustRoot) -> None:
    """Raises `BadTrustRoot` unless `root` is one that can be in force and be followed."""
    if type(root.version) is not int or root.version < 1:
        raise BadTrustRoot(f"version is {root.version!r}, not a number from 1 on")
    if (root.previous is None) != (root.version == 1):
        raise BadTrustRoot("every version but the first names the one before by fingerprint")
    if root.previous is not None and not _FINGERPRINT.fullmatch(root.previous):
        raise BadTrustRoot(f"previous is {root.previous!r}, not a fingerprint")
    for signer in root.signers:
        _check_signer(signer)
    names = [signer.name for signer in root.signers]
    if len(set(names)) < len(names) or len({signer.key for signer in root.signers}) < len(names):
        raise BadTrustRoot(
            "it names two signers with the same name or the same key",
            hint="each signer has one key and a name of its own: --signer NAME=FILE.pub",
        )
    if names != sorted(names):
        raise BadTrustRoot("its signers are not sorted by name")
    _check_thresholds(root)


def _check_signer(signer: TrustedSigner) -> None:
    if not _NAME.fullmatch(signer.name):
        raise BadTrustRoot(
            f"{signer.name!r} cannot be a signer's name",
            hint="a name has letters, digits and . _ @ : / + = -; give one: --signer NAME=FILE.pub",
        )
    if not set(signer.namespaces) <= set(sshsig.NAMESPACES):
        raise BadTrustRoot(f"{signer.name} may sign for a namespace that format {FORMAT} lacks")
    if not signer.namespaces or list(signer.namespaces) != sorted(set(signer.namespaces)):
        raise BadTrustRoot(f"the namespaces of {signer.name} are none, or not in order, once each")
    moments = [m for m in (signer.valid_after, signer.valid_before) if m is not None]
    for moment in moments:
        try:
            plain = format_time(parse_time(moment)) == moment
        except (ValueError, TypeError):
            plain = False
        if not plain:
            raise BadTrustRoot(f"{signer.name}: {moment!r} is not like 2026-11-24T12:00:00Z")
        if moment <= _EPOCH:
            raise BadTrustRoot(f"{signer.name}: {moment} is before what ssh-keygen can read")
    if moments != sorted(set(moments)):  # ssh-keygen takes no such line either
        raise BadTrustRoot(f"{signer.name} would be valid until a time not after its first")


def _check_thresholds(root: TrustRoot) -> None:
    """A number that no set of signers can reach is a mistake that must show at once."""
    if not set(root.thresholds) <= set(sshsig.NAMESPACES):
        raise BadTrustRoot(f"it has a threshold for a namespace that format {FORMAT} lacks")
    for namespace in sshsig.NAMESPACES:
        may = sum(namespace in signer.namespaces for signer in root.signers)
        needed = root.threshold_for(namespace)
        if type(needed) is not int or needed < 1 or (may and needed > may):
            raise BadTrustRoot(
                f"it asks for {needed!r} of {may} signers of {namespace}",
                hint="a threshold is between 1 and the number of signers who may sign",
            )
    if not any(sshsig.TRUST in signer.namespaces for signer in root.signers):
        raise BadTrustRoot("no signer may sign the next version", hint=f"allow one {sshsig.TRUST}")
