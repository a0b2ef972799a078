"""The trust root: whose signatures count at a site.

A versioned document; version 1 is pinned by its fingerprint, later versions are signed by the
thresholds of both their predecessor and themselves (docs/trust.md). Verification here takes bytes
and does no I/O; only `Trust` and `init` touch the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bundles import canonical, keys, sshsig
from bundles.errors import GooseError
from bundles.sshsig import PublicKey
from bundles.statement import parse_time
from bundles.store import durable

FORMAT = 1
MAX_ROOT = 1024 * 1024  # bytes
DEFAULT_NAMESPACES = (sshsig.BUNDLE, sshsig.TRUST, sshsig.VOLUMES)
_FILE = "root.json"


class NoTrustRoot(GooseError):
    """The site has no trust root, so no signature means anything to it."""

    code = "no-trust-root"
    default_hint = "run `goosectl trust init --signer FILE.pub`, with keys from a trusted hand"


class BadTrustRoot(GooseError):
    """A trust root is not of the form that the format prescribes."""

    code = "bad-trust-root"


class TrustRootExists(GooseError):
    """The site already has a trust root."""

    code = "trust-root-exists"
    default_hint = "see it with `goosectl trust show`"


class WrongFingerprint(GooseError):
    """A trust root is not the one whose fingerprint was given."""

    code = "wrong-fingerprint"
    default_hint = "compare the signers with whoever gave you the fingerprint"


class UnknownSigner(GooseError):
    """Nobody whom the trust root names has signed."""

    code = "unknown-signer"
    default_hint = "ask who built it; see `goosectl trust show` for who may sign here"


class SignerNotAllowed(GooseError):
    """A signer whom the trust root names may not sign this kind of document."""

    code = "signer-not-allowed"
    default_hint = "see `goosectl trust show` for who may sign what"


class SignerNotValidNow(GooseError):
    """A signer's time has not come, or is over."""

    code = "signer-not-valid-now"
    default_hint = "check this host's clock, or ask for a signature of a signer valid now"


class TooFewSignatures(GooseError):
    """Fewer signers have signed than the trust root asks for."""

    code = "too-few-signatures"
    default_hint = "have it signed by another signer of the trust root"


@dataclass(frozen=True, slots=True)
class TrustedSigner:
    """A signer whom a trust root names."""

    name: str
    key: PublicKey
    namespaces: tuple[str, ...] = DEFAULT_NAMESPACES
    valid_after: str | None = None  # RFC 3339, UTC
    valid_before: str | None = None


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """Signers, and how many of them must sign."""

    version: int
    threshold: int
    signers: tuple[TrustedSigner, ...]

    def render(self) -> bytes:
        """The document."""
        return canonical.dumps(
            {
                "format": FORMAT,
                "signers": [_encode(signer) for signer in self.signers],
                "threshold": self.threshold,
                "version": self.version,
            }
        )

    @property
    def fingerprint(self) -> str:
        """``SHA256:...`` over the document."""
        return sshsig.fingerprint(self.render())

    def allowed_signers(self) -> str:
        """The same as a file for ``ssh-keygen -Y verify -f`` (ssh-keygen(1), "ALLOWED SIGNERS")."""
        lines = []
        for signer in self.signers:
            options = [f'namespaces="{",".join(signer.namespaces)}"']
            for option, moment in (
                ("valid-after", signer.valid_after),
                ("valid-before", signer.valid_before),
            ):
                if moment:
                    options.append(f'{option}="{parse_time(moment):%Y%m%d%H%M%SZ}"')
            lines.append(f"{signer.name} {','.join(options)} {signer.key.openssh}\n")
        return "".join(lines)

    def authorise(
        self, message: bytes, signatures: Sequence[bytes], namespace: str, at: datetime
    ) -> tuple[TrustedSigner, ...]:
        """The signers that count for `message` as a document of `namespace` at the moment `at`.

        a. Every signature is well formed and made for `namespace`.
        b. One of a key that the root does not name is passed over: it may be for other sites.
        c. One of a key that the root names must be good: a bad one is never an accident of
           addressing, and is not passed over even where enough others are good.
        d. The signer may sign this kind of document, now.
        e. Each key counts once, and there are at least `threshold`.

        Raises `SignatureMalformed`, `WrongNamespace`, `UnknownSigner`, `SignatureInvalid`,
        `SignerNotAllowed`, `SignerNotValidNow` or `TooFewSignatures`.
        """
        named = {signer.key.raw: signer for signer in self.signers}
        found: dict[bytes, TrustedSigner] = {}
        strangers = []
        for armored in signatures:
            signature = sshsig.parse(armored)
            signer = named.get(signature.key.raw)
            if signature.namespace != namespace:
                sshsig.verify(message, armored, namespace)
            elif signer is None:
                strangers.append(signature.key.fingerprint)
            else:
                sshsig.verify(message, armored, namespace)
                _check_signer(signer, namespace, at)
                found[signer.key.raw] = signer
        if not found and strangers:
            raise UnknownSigner(
                f"signed by {', '.join(strangers)}, whom the trust root does not name",
                fingerprints=strangers,
            )
        if len(found) < self.threshold:
            have = ", ".join(signer.name for signer in found.values()) or "nobody"
            raise TooFewSignatures(
                f"signed by {have}; the trust root asks for {self.threshold} of"
                f" {len(self.signers)} signers"
            )
        return tuple(found.values())


def read(data: bytes, where: str) -> TrustRoot:
    """The trust root that `data` encodes. Raises `NotCanonical` or `BadTrustRoot`."""
    value = canonical.loads(data, where)
    try:
        root = TrustRoot(
            version=value["version"],
            threshold=value["threshold"],
            signers=tuple(_decode(item) for item in value["signers"]),
        )
        # Also refuses every field that is missing, unknown or of another type.
        same = root.render() == data
        _check_root(root, where)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadTrustRoot(f"{where} is not a trust root: {error!r}") from error
    except keys.BadKey as error:
        raise BadTrustRoot(f"{where}: {error.message}") from error
    if not same:
        raise BadTrustRoot(f"{where} is not a trust root of format {FORMAT}")
    return root


def first(signers: Sequence[tuple[PublicKey, str]], threshold: int) -> TrustRoot:
    """Version 1 for these keys and names, whatever their order: whoever has the same keys and
    threshold gets the same fingerprint. Raises `BadTrustRoot`."""
    named = tuple(
        TrustedSigner(name or key.fingerprint, key)
        for key, name in sorted(signers, key=lambda item: item[0].raw)
    )
    root = TrustRoot(1, threshold, named)
    _check_root(root, "the trust root")
    return root


@dataclass(frozen=True, slots=True)
class Trust:
    """A site's folder of trust roots, and the one in force."""

    folder: Path
    root: TrustRoot

    @classmethod
    def open(cls, folder: Path) -> Trust:
        """The trust of the site whose folder this is. Raises `NoTrustRoot` or `BadTrustRoot`."""
        path = folder / _FILE
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise NoTrustRoot(f"{folder} holds no trust root") from error
        except OSError as error:
            raise BadTrustRoot(f"{path}: {error.strerror}") from error
        return cls(folder, read(data, str(path)))


def init(folder: Path, root: TrustRoot) -> Path:
    """Pins `root` as the site's first; returns its file.

    Raises `TrustRootExists` or `BadTrustRoot`.
    """
    path = folder / _FILE
    if path.exists():
        raise TrustRootExists(f"{path} is already there", file=str(path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        durable.replace_file(path, root.render())
    except OSError as error:
        raise BadTrustRoot(f"{error.filename or path}: {error.strerror}") from error
    return path


def _check_signer(signer: TrustedSigner, namespace: str, at: datetime) -> None:
    if namespace not in signer.namespaces:
        raise SignerNotAllowed(f"{signer.name} may not sign documents of {namespace}")
    if signer.valid_after and at < parse_time(signer.valid_after):
        raise SignerNotValidNow(f"{signer.name} may sign only after {signer.valid_after}")
    if signer.valid_before and at >= parse_time(signer.valid_before):
        raise SignerNotValidNow(f"{signer.name} may sign only before {signer.valid_before}")


def _check_root(root: TrustRoot, where: str) -> None:
    if not root.signers:
        raise BadTrustRoot(f"{where} names no signer", hint="give --signer FILE.pub")
    if not 1 <= root.threshold <= len(root.signers):
        raise BadTrustRoot(
            f"{where} asks for {root.threshold} of {len(root.signers)} signers",
            hint="the threshold is between 1 and the number of signers",
        )
    if root.version < 1:
        raise BadTrustRoot(f"{where} has version {root.version}")
    for what in ("name", "key"):
        if len({getattr(signer, what) for signer in root.signers}) < len(root.signers):
            raise BadTrustRoot(
                f"{where} names two signers with the same {what}",
                hint="each signer has one key and a name of its own",
            )
    for signer in root.signers:
        # The name stands in an allowed_signers file, where it is a pattern in a list.
        if not signer.name or any(c in ' \t"\\,*?!#' or not c.isprintable() for c in signer.name):
            raise BadTrustRoot(
                f"{where}: {signer.name!r} cannot be a signer's name",
                hint="no space, comma, quote, or any of \\ * ? ! # in the comment of a .pub file",
            )
        for moment in (signer.valid_after, signer.valid_before):
            if moment is not None:
                parse_time(moment)
        if not set(signer.namespaces) <= set(sshsig.NAMESPACES):
            raise BadTrustRoot(f"{where}: {signer.name} has unknown namespaces")


def _encode(signer: TrustedSigner) -> dict[str, object]:
    return {
        "key": signer.key.openssh,
        "name": signer.name,
        "namespaces": list(signer.namespaces),
        "validAfter": signer.valid_after,
        "validBefore": signer.valid_before,
    }


def _decode(item: Any) -> TrustedSigner:
    key, comment = keys.parse_public(item["key"])
    if comment:
        raise ValueError("a key with a comment")
    return TrustedSigner(
        name=item["name"],
        key=key,
        namespaces=tuple(item["namespaces"]),
        valid_after=item["validAfter"],
        valid_before=item["validBefore"],
    )
