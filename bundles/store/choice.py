"""What a person decides about imported versions: which is current, which is kept, which goes.

Each takes the refs and returns them changed; whoever holds the store publishes them.
"""

from __future__ import annotations

from dataclasses import replace

from bundles.errors import GooseError
from bundles.store.protocol import BundleRef, Refs


class NotImported(GooseError):
    """The site has no bundle of that name and version."""

    code = "not-imported"
    default_hint = "see `goosectl store ls` for what is here"


class VersionKept(GooseError):
    """A version that is current or pinned cannot be dropped."""

    code = "version-kept"


def chosen(refs: Refs, bundle: str) -> BundleRef:
    """The version that `bundle` names: NAME (the current one), NAME@VERSION or a root digest.

    Raises `NotImported`.
    """
    name, _, version = bundle.partition("@")
    for ref in refs.bundles:
        if ref.root == bundle:
            return ref
        if ref.name == name and (ref.version == version if version else ref.current):
            return ref
    raise NotImported(f"{bundle} is not in the store")


def pinned(refs: Refs, ref: BundleRef, pin: bool) -> Refs:
    """With `ref` pinned, or no longer."""
    return _with(refs, ref, replace(ref, pinned=pin))


def switched(refs: Refs, ref: BundleRef) -> Refs:
    """With `ref` as the current version of its bundle.

    The highest sequence stays as it is, so that the older version which a person chose does not
    open the door to older ones still.
    """
    current = refs.current(ref.name)
    if current is not None:
        refs = _with(refs, current, replace(current, current=False))
        ref = replace(ref, current=False) if ref == current else ref
    return _with(refs, ref, replace(ref, current=True))


def forgotten(refs: Refs, ref: BundleRef) -> Refs:
    """Without `ref`. Raises `VersionKept`."""
    if ref.pinned:
        raise VersionKept(
            f"{ref.name} {ref.version} is pinned",
            hint=f"unpin it first: goosectl store pin {ref.name}@{ref.version} --remove",
        )
    others = [other for other in refs.bundles if other.name == ref.name and other != ref]
    if ref.current and others:
        raise VersionKept(
            f"{ref.name} {ref.version} is the current version",
            hint=f"choose another first: goosectl store switch {ref.name}@{others[-1].version}",
        )
    return replace(refs, bundles=tuple(other for other in refs.bundles if other != ref))


def _with(refs: Refs, old: BundleRef, new: BundleRef) -> Refs:
    return replace(refs, bundles=tuple(new if ref == old else ref for ref in refs.bundles))
