"""What an import makes of a store's refs."""

from __future__ import annotations

from dataclasses import replace

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format.statement import Statement, format_time
from bundles.reading.verify import TrustedHead
from bundles.signing.policy import Policy
from bundles.store.protocol import BundleRef, Refs
from bundles.store.refs import with_bundle


class VersionTaken(GooseError):
    """The site has other content under this bundle's name and version."""

    code = "version-taken"
    default_hint = "ask its builder to raise the version: a version never changes its content"


def check_version(refs: Refs, said: Statement) -> None:
    """Refuses other content under a version that is here."""
    known = refs.version(said.name, said.version)
    if known is not None and known.root != said.root:
        raise VersionTaken(f"{said.name} {said.version} is already here with other content")


def switched(refs: Refs, head: TrustedHead, policy: Policy) -> Refs:
    """`refs` with the bundle of `head` as the current version of its name.

    Version and sequence are judged again, and what had to be overruled now is what is recorded:
    another import may have been faster than this one. A repair of a version that is here changes
    nothing of what is current, so neither its age nor its sequence says anything against it.
    """
    said = head.statement
    check_version(refs, said)
    known = refs.version(said.name, said.version)
    repair = known is not None and head.repairs
    held = policy.held if repair else frozenset()
    now = replace(policy, sequences=refs.sequences, held=held)
    overruled = now.judge(said, f"{said.name} {said.version}")
    return with_bundle(
        refs,
        BundleRef(
            name=said.name,
            version=said.version,
            sequence=said.sequence,
            root=said.root,
            root_size=said.root_size,
            statement=digests.of(head.message),
            signatures=tuple(digests.of(signature) for signature in head.signatures),
            imported=known.imported if known else format_time(policy.now),
            current=known.current if known and repair else True,
            overruled=known.overruled if known and repair else overruled,
        ),
    )
