"""The noun itself, and what several of its verbs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bundles.errors import GooseError

if TYPE_CHECKING:
    from bundles.store import BundleRef, Refs

app = typer.Typer(help="Look at what the site holds, and keep it whole.", no_args_is_help=True)


class NotImported(GooseError):
    """The site has no bundle of that name and version."""

    code = "not-imported"
    default_hint = "see `goosectl store ls` for what is here"


def imported(refs: Refs, bundle: str) -> BundleRef:
    """The ref of `bundle`, NAME or NAME@VERSION. Raises `NotImported`."""
    name, _, version = bundle.partition("@")
    ref = refs.version(name, version) if version else refs.current(name)
    if ref is None:
        raise NotImported(f"{bundle} is not in the store")
    return ref
