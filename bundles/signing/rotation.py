"""The next version of a trust root, made from the one before by what is to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bundles.errors import UsageError
from bundles.signing.sshkey import PublicKey
from bundles.signing.trust import DEFAULT_NAMESPACES, TrustedSigner, TrustRoot


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be different in the next version; whatever is not named stays.

    `remove` has names or fingerprints of keys. In `thresholds` None takes a namespace back to the
    common threshold; in `valid_after` and `valid_before` None takes the limit away.
    """

    add: Sequence[tuple[PublicKey, str]] = ()  # key, name
    remove: Sequence[str] = ()
    threshold: int | None = None
    thresholds: Mapping[str, int | None] = field(default_factory=dict)
    valid_after: Mapping[str, str | None] = field(default_factory=dict)  # RFC 3339, by name
    valid_before: Mapping[str, str | None] = field(default_factory=dict)
    namespaces: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by name


def successor(root: TrustRoot, changes: Changes) -> TrustRoot:
    """The version after `root`. Who is removed and added by the same name has a new key: he may
    sign what he might before, from when until when is to be said anew.

    Raises `UsageError` for a name that is not there or changes that change nothing, and
    `BadTrustRoot`.
    """
    named = {signer.name: signer for signer in root.signers}
    gone = {}
    for text in changes.remove:
        name = _name_of(named, text)
        gone[name] = named.pop(name)
    for key, name in changes.add:
        name = name or key.fingerprint
        if name in named:
            raise UsageError(
                f"{name} is a signer already, with {named[name].key.fingerprint}",
                hint=f"for a new key also give --remove {name}; else another name: NAME=FILE.pub",
            )
        before = gone.get(name)
        may = before.namespaces if before else DEFAULT_NAMESPACES
        named[name] = TrustedSigner(name, key, may)
    for name, after in changes.valid_after.items():
        named[name] = replace(_present(named, name), valid_after=after)
    for name, until in changes.valid_before.items():
        named[name] = replace(_present(named, name), valid_before=until)
    for name, allowed in changes.namespaces.items():
        named[name] = replace(_present(named, name), namespaces=tuple(sorted(set(allowed))))
    thresholds = {**root.thresholds, **changes.thresholds}
    same = replace(
        root,
        threshold=root.threshold if changes.threshold is None else changes.threshold,
        thresholds={name: number for name, number in thresholds.items() if number is not None},
        signers=tuple(sorted(named.values(), key=lambda signer: signer.name)),
    )
    if same == root:
        raise UsageError("nothing would change", hint="say what is to be different: --add, ...")
    return replace(same, version=root.version + 1, previous=root.fingerprint)


def _name_of(named: Mapping[str, TrustedSigner], text: str) -> str:
    for name, signer in named.items():
        if text in (name, signer.key.fingerprint):
            return name
    raise UsageError(
        f"{text!r} is no signer that can be removed", hint=f"these can: {', '.join(named)}"
    )


def _present(named: Mapping[str, TrustedSigner], name: str) -> TrustedSigner:
    if name not in named:
        hint = f"it has {', '.join(named)}"
        raise UsageError(f"{name!r} is no signer of the next version", hint=hint)
    return named[name]
