"""The trust root: whose signatures count at a site.

Takes bytes, never paths, and does no I/O; `truststore` keeps the file. The format, the reasons for
the rules and the numbers of the checks are those of docs/trust.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bundles.errors import GooseError
from bundles.format import canonical
from bundles.format.statement import format_time, parse_time
from bundles.signing import keys, sshkey, sshsig, trustform
from bundles.signing.sshkey import PublicKey, UnsupportedKey
from bundles.signing.trustform import FORMAT, BadTrustRoot

MAX_ROOT = 256 * 1024  # bytes

#: What a signer may sign in a first trust root. Fixed with format 1: the fingerprint follows from
#: it. Not receipts: those a site signs, and no builder speaks for what a site holds.
DEFAULT_NAMESPACES = (sshsig.BUNDLE, sshsig.INSTALL, sshsig.TRUST, sshsig.VOLUMES)


class UnknownSigner(GooseError):
    """Nobody whom the trust root names has signed."""

    code = "unknown-signer"
    default_hint = "ask who made it; `goosectl trust show` says who may sign here"


class SignerNotAllowed(GooseError):
    """A signer whom the trust root names may not sign this kind of document."""

    code = "signer-not-allowed"
    default_hint = "have it signed by one who may; `goosectl trust show` says who"


class SignerNotValidNow(GooseError):
    """A signer's time has not come, or is over."""

    code = "signer-not-valid-now"
    default_hint = "check this host's clock, or have it signed by a signer who is valid now"


class TooFewSignatures(GooseError):
    """Fewer signers have signed than the trust root asks for."""

    code = "too-few-signatures"
    default_hint = "have another signer sign it: goosectl bundle sign, or goosectl trust sign"


@dataclass(frozen=True, slots=True)
class TrustedSigner:
    """A signer whom a trust root names."""

    name: str
    key: PublicKey
    namespaces: tuple[str, ...] = DEFAULT_NAMESPACES
    valid_after: str | None = None  # RFC 3339, UTC; itself included
    valid_before: str | None = None  # RFC 3339, UTC; itself included, as ssh-keygen has it

    def why_not(self, namespace: str, at: datetime) -> GooseError | None:
        """Why a signature of this signer would not count, or None."""
        if namespace not in self.namespaces:
            return SignerNotAllowed(f"{self.name} may not sign for {namespace}")
        if self.valid_after and at < parse_time(self.valid_after):
            when = f"from {self.valid_after} on"
        elif self.valid_before and at > parse_time(self.valid_before):
            when = f"until {self.valid_before}"
        else:
            return None
        return SignerNotValidNow(f"{self.name} may sign {when}; it is {format_time(at)}")


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """Signers, and how many of them must sign. Raises `BadTrustRoot` when made wrongly.

    `thresholds` has the namespaces that ask for another number than `threshold`. `previous` is
    the fingerprint of the version before.
    """

    version: int
    threshold: int
    signers: tuple[TrustedSigner, ...]  # sorted by name
    thresholds: Mapping[str, int] = field(default_factory=dict, hash=False)
    previous: str | None = None

    def __post_init__(self) -> None:
        trustform.check(self)

    def render(self) -> bytes:
        """The document."""
        return canonical.dumps(
            {
                "format": FORMAT,
                "previous": self.previous,
                "signers": [
                    {
                        "key": signer.key.openssh,
                        "name": signer.name,
                        "namespaces": list(signer.namespaces),
                        "validAfter": signer.valid_after,
                        "validBefore": signer.valid_before,
                    }
                    for signer in self.signers
                ],
                "threshold": self.threshold,
                "thresholds": dict(self.thresholds),
                "version": self.version,
            }
        )

    @property
    def fingerprint(self) -> str:
        """``SHA256:...`` over the document."""
        return sshkey.fingerprint(self.render())

    def threshold_for(self, namespace: str) -> int:
        """How many signers a document of `namespace` needs."""
        return self.thresholds.get(namespace, self.threshold)

    def allowed_signers(self) -> str:
        """The same for ``ssh-keygen -Y verify -f`` (ssh-keygen(1), "ALLOWED SIGNERS").

        That format knows no thresholds: whoever checks with it counts for himself.
        """
        more = "".join(f", {number} for {name}" for name, number in sorted(self.thresholds.items()))
        lines = [
            f"# trust root version {self.version}, {self.fingerprint}",
            f"# signers that a document needs: {self.threshold}{more}",
        ]
        for signer in self.signers:
            options = [f'namespaces="{",".join(signer.namespaces)}"']
            for option, moment in (
                ("valid-after", signer.valid_after),
                ("valid-before", signer.valid_before),
            ):
                if moment:
                    options.append(f'{option}="{parse_time(moment):%Y%m%d%H%M%SZ}"')
            lines.append(f"{signer.name} {','.join(options)} {signer.key.openssh}")
        return "\n".join(lines) + "\n"

    def authorise(
        self, message: bytes, signatures: Sequence[bytes], namespace: str, at: datetime
    ) -> tuple[TrustedSigner, ...]:
        """The signers that count for `message` as a document of `namespace` at the moment `at`.

        T1. Each signature is well formed.
        T2. One by a key that the root does not name is passed over.
        T3. One by a key that the root names is made for `namespace` and is good.
        T4. The signer may sign for `namespace`, now; else the signature does not count.
        T5. Each key counts once, and enough count.

        A fault in T1 or T3 ends it whatever else was signed; the reasons for the others are told
        when too few count. Raises `SignatureMalformed`, `WrongNamespace`, `SignatureInvalid`,
        `UnknownSigner`, `SignerNotAllowed`, `SignerNotValidNow` or `TooFewSignatures`.
        """
        counted, doubts = self.tally(message, signatures, namespace, at)
        self._check_count(counted, doubts, namespace)  # T5
        return counted

    def tally(
        self, message: bytes, signatures: Sequence[bytes], namespace: str, at: datetime
    ) -> tuple[tuple[TrustedSigner, ...], Mapping[str, GooseError]]:
        """The signers that count (T1 to T4), however few, and by name or fingerprint why others
        do not. Raises `SignatureMalformed`, `WrongNamespace` or `SignatureInvalid`, with the
        number of the signature, from 1, in `details`."""
        named = {signer.key: signer for signer in self.signers}
        counted: set[str] = set()
        doubts: dict[str, GooseError] = {}
        for number, armored in enumerate(signatures, 1):
            try:
                signature = sshsig.parse(armored)  # T1
                signer = named.get(signature.key)
                stranger = signature.key.fingerprint
                if signer is not None:
                    signature.check(message, namespace)  # T3
            except UnsupportedKey as error:  # well formed; no root can name such a key
                signer, stranger = None, str(error.details["fingerprint"])
            except GooseError as error:
                error.details["signature"] = number
                raise
            if signer is None:  # T2
                doubts[stranger] = UnknownSigner(f"{stranger} is not a signer of the trust root")
            elif doubt := signer.why_not(namespace, at):  # T4
                doubts[signer.name] = doubt
            else:
                counted.add(signer.name)
        return tuple(signer for signer in self.signers if signer.name in counted), doubts

    def _check_count(
        self,
        counted: Sequence[TrustedSigner],
        doubts: Mapping[str, GooseError],
        namespace: str,
    ) -> None:
        needed = self.threshold_for(namespace)
        if len(counted) >= needed:
            return
        reasons = "; ".join(doubt.message for doubt in doubts.values())
        kinds = {type(doubt) for doubt in doubts.values()}
        if not counted and len(kinds) == 1:
            (kind,) = kinds
            raise kind(reasons, signers=list(doubts), needed=needed)
        names = [signer.name for signer in counted]
        may = sum(namespace in signer.namespaces for signer in self.signers)
        raise TooFewSignatures(
            f"signed by {', '.join(names) or 'no signer that counts'};"
            f" the trust root asks for {needed} of {may} signers"
            + (f" ({reasons})" if reasons else ""),
            counted=names,
            needed=needed,
        )


def read(data: bytes, where: str) -> TrustRoot:
    """The trust root that `data` encodes. Raises `NotCanonical` or `BadTrustRoot`."""
    if len(data) > MAX_ROOT:
        raise BadTrustRoot(f"{where} has {len(data)} bytes; a trust root at most {MAX_ROOT}")
    value = canonical.loads(data, where)
    try:
        _require(value, _FIELDS)
        root = TrustRoot(
            version=value["version"],
            threshold=value["threshold"],
            signers=tuple(_read_signer(item) for item in value["signers"]),
            thresholds=value["thresholds"],
            previous=value["previous"],
        )
    except (BadTrustRoot, UnsupportedKey) as error:
        raise BadTrustRoot(f"{where}: {error.message}", hint=error.hint) from error
    except (TypeError, AttributeError, ValueError) as error:
        raise BadTrustRoot(f"{where} is not a trust root: {error}") from error
    # Also refuses any other format number, and a key with a comment.
    if root.render() != data:
        raise BadTrustRoot(f"{where} is not a trust root of format {FORMAT}")
    return root


def first(signers: Sequence[tuple[PublicKey, str]], threshold: int) -> TrustRoot:
    """Version 1 for these keys and their names, in whatever order: whoever has the same keys,
    names and threshold gets the same fingerprint. A key without a name is named by its own
    fingerprint. Raises `BadTrustRoot`."""
    named = [TrustedSigner(name or key.fingerprint, key) for key, name in signers]
    return TrustRoot(1, threshold, tuple(sorted(named, key=lambda signer: signer.name)))


_FIELDS = {"format", "previous", "signers", "threshold", "thresholds", "version"}
_SIGNER_FIELDS = {"key", "name", "namespaces", "validAfter", "validBefore"}


def _require(value: Any, fields: set[str]) -> None:
    if set(value) != fields:
        odd = ", ".join(sorted(set(value) ^ fields))
        raise BadTrustRoot(f"it has fields missing or unknown: {odd}")


def _read_signer(item: Any) -> TrustedSigner:
    _require(item, _SIGNER_FIELDS)
    key, _ = keys.parse_public(item["key"])
    return TrustedSigner(
        name=item["name"],
        key=key,
        namespaces=tuple(item["namespaces"]),
        valid_after=item["validAfter"],
        valid_before=item["validBefore"],
    )
