"""`store` verbs by which a person decides about imported versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from goosectl import operator, output, site
from goosectl.store.options import DryRun, Version, Yes, app

if TYPE_CHECKING:
    from bundles.store import BundleRef, Refs


@app.command()
def pin(
    version: Version,
    remove: Annotated[bool, typer.Option("--remove", help="Pin it no longer.")] = False,
) -> None:
    """Keep a version: no clean-up drops it, and it cannot be forgotten.

    Example: goosectl store pin site-base@2026.11.1
    """
    from bundles.store import choice

    store = site.store()
    with store.maintain() as held:
        ref = choice.chosen(store.refs(), version)
        held.publish(lambda refs: choice.pinned(refs, ref, not remove))
    output.get().result(
        {"bundle": ref.name, "version": ref.version, "pinned": not remove},
        text=f"{ref.name} {ref.version} is {'no longer pinned' if remove else 'pinned: kept'}",
    )


@app.command()
def switch(version: Version) -> None:
    """Serve another imported version as the current one.

    For going back when a new version turns out wrong, and forward again. Its blobs must all be
    here. The site still refuses to import anything older than the newest it ever had.

    Example: goosectl store switch site-base@2026.11.1
    """
    from bundles.store import choice, fsck

    store = site.store()
    with store.maintain() as held:
        refs = store.refs()
        ref, before = choice.chosen(refs, version), None
        current = refs.current(ref.name)
        if current is not None and current != ref:
            before = current.version
        fsck.require_whole(store, ref)
        if current != ref:
            _recorded(
                "version-switched",
                lambda: held.publish(lambda refs: choice.switched(refs, ref)),
                ref,
                before,
            )
    output.get().result(
        {"bundle": ref.name, "version": ref.version, "before": before},
        text=f"{ref.name} {ref.version} is served at /v1/artifacts/{ref.name}/"
        + (f"; before it was {before}" if before else ""),
    )


@app.command()
def forget(version: Version, dry_run: DryRun = False, yes: Yes = False) -> None:
    """Stop serving one imported version. The next `store gc` frees what only it used.

    A pinned version stays, and so does the current one while there are others. The site still
    refuses to import anything older than the newest it ever had.

    Example: goosectl store forget site-base@2026.10.1 --yes
    """
    from bundles.store import choice

    out, store = output.get(), site.store()
    ref = choice.chosen(store.refs(), version)
    choice.forgotten(store.refs(), ref)
    what = f"{ref.name} {ref.version}"
    done = False
    if not dry_run and out.confirm(f"Forget {what}, imported {ref.imported}?", yes=yes):
        with store.maintain() as held:
            _recorded(
                "version-forgotten",
                lambda: held.publish(lambda refs: choice.forgotten(refs, ref)),
                ref,
            )
        done = True
    out.result(
        {"bundle": ref.name, "version": ref.version, "forgotten": done},
        text=f"{what} is forgotten; `goosectl store gc` frees its space"
        if done
        else f"{what} would be forgotten"
        if dry_run
        else "nothing was done",
    )


def _recorded(
    kind: str, act: Callable[[], Refs], ref: BundleRef, before: str | None = None
) -> None:
    """Acts, and writes down who did what; if either fails, neither is said to have happened."""
    from goosed_daemon import audit

    with operator.state() as state, state.write() as transaction:
        audit.record(
            transaction,
            operator.now(),
            kind,
            operator.actor(),
            bundle=ref.name,
            version=ref.version,
            before=before,
        )
        act()
