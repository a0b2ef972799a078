"""The chain of trust roots: how one version follows another, and the file that carries them.

Takes bytes, never paths, and does no I/O; `truststore` keeps the chain of a site. The rules R1 to
R5 are those of docs/trust.md, "Rotation"; their model is the root of The Update Framework (TUF
specification 1.0.33, section 5.3).

A chain file is text: for each version its document on one line, then the armored signatures of
those who brought it into force. So whoever signs with ssh-keygen appends what it wrote.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bundles.errors import GooseError
from bundles.signing import sshsig, trust
from bundles.signing.sshkey import PublicKey, UnsupportedKey
from bundles.signing.sshsig import MAX_SIGNATURE, TRUST, Signer
from bundles.signing.trust import TrustRoot, UnknownSigner

MAX_CHAIN = 4 * 1024 * 1024  # bytes of a chain file
MAX_SIGNATURES = 64  # of one version

_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"


class BadTrustChain(GooseError):
    """A file of trust roots is not of the form that the format prescribes."""

    code = "bad-trust-chain"
    default_hint = "it was damaged on its way, or is none: get it again from whoever rotates"


class OtherTrustRoot(GooseError):
    """A trust root does not follow the one in force: it belongs to another chain."""

    code = "other-trust-root"
    default_hint = "do not use it: compare the fingerprints of `trust show` with its maker's"


class TrustRollback(GooseError):
    """A chain of trust roots ends before the version in force."""

    code = "trust-rollback"
    default_hint = "ask for the newest; a site never goes back to an older trust root"


class MissingTrustVersion(GooseError):
    """A version between the trust root in force and the one given is missing."""

    code = "missing-trust-version"
    default_hint = "ask for the whole chain: goosectl trust export --chain, where it is known"


@dataclass(frozen=True, slots=True)
class Link:
    """A version, and what brought it into force; nothing does the first, which is pinned."""

    root: TrustRoot
    signatures: tuple[bytes, ...] = ()  # armored, over `root.render()`, namespace goose-trust@v1

    def render(self) -> bytes:
        """The part of a chain file that it is."""
        return self.root.render() + b"\n" + b"".join(self.signatures)

    def signed(self, armored: bytes) -> Link:
        """The same with one more signature, which may be there already."""
        return replace(self, signatures=tuple(dict.fromkeys((*self.signatures, armored))))


def render(chain: Iterable[Link]) -> bytes:
    """The chain file."""
    return b"".join(link.render() for link in chain)


def read(data: bytes, where: str) -> tuple[Link, ...]:
    """The chain that a file holds; `render` gives the file back.

    R1. Each version is a trust root, one more than the version before it, and names that one by
        its fingerprint.

    Raises `BadTrustChain`, `MissingTrustVersion`, `OtherTrustRoot`, and what `trust.read` raises.
    No signature is checked here; `follow` does that.
    """
    if len(data) > MAX_CHAIN:
        raise BadTrustChain(f"{where} has {len(data)} bytes; a chain at most {MAX_CHAIN}")
    links: list[Link] = []
    at = 0
    while at < len(data) or not links:
        end = data.find(b"\n", at, at + trust.MAX_ROOT + 1)
        if end < 0 or not data.startswith(b"{", at):
            raise BadTrustChain(f"{where}: no trust root stands on a line where one must begin")
        root = trust.read(data[at:end], f"{where}: trust root {len(links) + 1}")
        at = end + 1
        signatures = _read_signatures(data, at, f"{where}: version {root.version}")
        at += sum(map(len, signatures))
        links.append(Link(root, signatures))
    _check_links(links, where)
    return tuple(links)


def merge(chains: Sequence[Sequence[Link]], where: str) -> tuple[Link, ...]:
    """One chain of several, whose signatures add up: people sign copies in different places.

    Raises `OtherTrustRoot` when two differ in a version, `MissingTrustVersion`, or `BadTrustChain`
    when one version has too many signatures.
    """
    found: dict[int, Link] = {}
    for link in (link for chain in chains for link in chain):
        known = found.setdefault(link.root.version, link)
        if known.root.fingerprint != link.root.fingerprint:
            raise _other(where, link.root, known.root)
        for armored in link.signatures:
            known = known.signed(armored)
        if len(known.signatures) > MAX_SIGNATURES:
            raise BadTrustChain(f"{where}: version {link.root.version} has over {MAX_SIGNATURES}")
        found[link.root.version] = known
    merged = [found[version] for version in sorted(found)]
    _check_links(merged, where)
    return tuple(merged)


def beyond(root: TrustRoot, chain: Sequence[Link], where: str) -> tuple[Link, ...]:
    """The links of `chain` that come after `root`; none when it ends there.

    R2. It does not end before `root`.
    R3. It holds `root` itself, or begins with the version after it, which names `root`.

    Raises `TrustRollback`, `MissingTrustVersion` or `OtherTrustRoot`. Signatures are not checked.
    """
    first, last = chain[0].root, chain[-1].root
    if last.version < root.version:  # R2
        raise TrustRollback(
            f"{where} ends with version {last.version}; version {root.version} is in force",
            given=last.version,
            in_force=root.version,
        )
    if first.version > root.version + 1:  # R3
        raise MissingTrustVersion(
            f"{where} begins with version {first.version}; version {root.version} is in force",
            in_force=root.version,
            missing=list(range(root.version + 1, first.version)),
        )
    for link in chain:
        if link.root.version == root.version and link.root.fingerprint != root.fingerprint:
            raise _other(where, link.root, root)
    after = tuple(link for link in chain if link.root.version > root.version)
    if after and after[0].root.previous != root.fingerprint:
        raise _unrelated(where, after[0].root, root)
    return after


def follow(root: TrustRoot, chain: Sequence[Link], at: datetime, where: str) -> tuple[Link, ...]:
    """The links after `root` that are to come into force, every one checked (R2 to R5).

    R4. Each is signed by as many signers of the version before as that version asks for.
    R5. Each is signed by as many of its own signers as it asks for itself.

    Both at the moment `at`, also for versions in between. What is returned is as `pruned` leaves
    it. Raises what `beyond` and `TrustRoot.authorise` raise.
    """
    links = beyond(root, chain, where)
    before = root
    for link in links:
        _authorise(before, link, at, where)  # R4
        _authorise(link.root, link, at, where)  # R5
        before = link.root
    return pruned(root, links)


def pruned(root: TrustRoot | None, chain: Sequence[Link]) -> tuple[Link, ...]:
    """`chain`, which follows `root`, with one signature of each key that the version before or
    the version itself names. Strangers' say nothing, and a courier could add them without end."""
    found = []
    for link in chain:
        left = {s.key for judge in (root, link.root) if judge for s in judge.signers}
        kept = []
        for armored in link.signatures:
            try:
                key = sshsig.parse(armored).key
            except (sshsig.SignatureMalformed, UnsupportedKey):
                continue
            if key in left:
                left.remove(key)
                kept.append(armored)
        found.append(replace(link, signatures=tuple(kept)))
        root = link.root
    return tuple(found)


def check_itself(link: Link, at: datetime, where: str) -> None:
    """R5 alone, for a version above 1 that a person vouches for. Raises what `follow` raises."""
    if link.root.version > 1:
        _authorise(link.root, link, at, where)


def predecessor(chain: Sequence[Link], pinned: TrustRoot | None, where: str) -> TrustRoot:
    """The version before the last of `chain`, whose signers must sign that one: in the chain, or
    `pinned`, the root in force where it is to be signed. Where there is one, `chain` must belong
    to it.

    Raises `MissingTrustVersion` and what `beyond` raises.
    """
    if pinned is not None:
        beyond(pinned, chain, where)
        if chain[-1].root.version == pinned.version + 1:
            return pinned
    if len(chain) < 2:
        raise MissingTrustVersion(
            f"{where} holds version {chain[-1].root.version} and not the one before it",
            hint="the first is not signed but pinned; a later one stands in a chain",
        )
    return chain[-2].root


def check_signer(before: TrustRoot, link: Link, key: PublicKey) -> None:
    """Raises `UnknownSigner` unless `before` or the version of `link` itself lets `key` sign it."""
    may = {s.key for root in (before, link.root) for s in root.signers if TRUST in s.namespaces}
    if key not in may:
        raise UnknownSigner(
            f"{key.fingerprint} may sign trust roots neither by version"
            f" {before.version} nor by version {link.root.version}",
            hint="sign with the key of a signer; `goosectl trust show FILE` names them",
        )


def sign(before: TrustRoot, link: Link, signer: Signer) -> Link:
    """`link` with the signature of `signer` too.

    Raises what `check_signer` and `sshsig.sign` raise.
    """
    check_signer(before, link, signer.public)
    return link.signed(sshsig.sign(link.root.render(), signer, TRUST))


def _authorise(judge: TrustRoot, link: Link, at: datetime, where: str) -> None:
    try:
        judge.authorise(link.root.render(), link.signatures, TRUST, at)
    except GooseError as error:
        new = link.root.version
        raise type(error)(
            f"{where}: version {new}, judged by version {judge.version}: {error.message}",
            hint=error.hint,
            version=new,
            judge=judge.version,
            **error.details,
        ) from error


def _read_signatures(data: bytes, at: int, what: str) -> tuple[bytes, ...]:
    """The signatures that begin at `at`. That each is well formed is for `authorise` to say."""
    found: list[bytes] = []
    while data.startswith(_BEGIN, at):
        end = data.find(_END, at, at + MAX_SIGNATURE)
        if end < 0 or len(found) == MAX_SIGNATURES:
            raise BadTrustChain(f"{what} has a signature without end, or over {MAX_SIGNATURES}")
        found.append(data[at : end + len(_END)])
        at = end + len(_END)
    if len(set(found)) < len(found):
        raise BadTrustChain(f"{what} has the same signature twice")
    return tuple(found)


def _check_links(links: Sequence[Link], where: str) -> None:
    for before, after in itertools.pairwise(links):
        if after.root.version != before.root.version + 1:  # R1
            raise MissingTrustVersion(
                f"{where}: version {after.root.version} stands after {before.root.version}"
            )
        if after.root.previous != before.root.fingerprint:
            raise _unrelated(where, after.root, before.root)


def _unrelated(where: str, after: TrustRoot, before: TrustRoot) -> OtherTrustRoot:
    return OtherTrustRoot(
        f"{where}: version {after.version} follows {after.previous}, which is not version"
        f" {before.version} here, {before.fingerprint}"
    )


def _other(where: str, one: TrustRoot, known: TrustRoot) -> OtherTrustRoot:
    return OtherTrustRoot(
        f"{where}: version {one.version} is {one.fingerprint}, not {known.fingerprint}",
        expected=known.fingerprint,
        found=one.fingerprint,
    )
