"""`store` verbs that keep a store whole and small: fsck and gc."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goosectl import operator, output, site, sizes
from goosectl.store import words
from goosectl.store.options import DryRun, Yes, app

if TYPE_CHECKING:
    from bundles.store.fsck import Checked


@app.command()
def fsck(
    request: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write down what a repair bundle must bring."),
    ] = None,
) -> None:
    """Hash every blob again, and look for what is missing.

    Damaged blobs are put aside, in the store's `quarantine`, so that an import or a repair bundle
    brings them anew; nothing is deleted. The site may go on serving meanwhile.

    Example: goosectl store fsck --request repair.json
    """
    from bundles.store import fsck as check

    out = output.get()
    checked = check.check(site.store(), out.progress())
    written = _write_requests(checked, request) if request else []
    if checked.faults or checked.bad_refs:
        for line in words.faults(checked):
            out.say(line)
        raise words.damaged(checked, written)
    out.result(words.report(checked), text="\n".join(words.whole(checked)))


def _write_requests(checked: Checked, path: Path) -> list[Path]:
    """Writes a request for each version that lacks something, and tells where."""
    from bundles.files import durable
    from bundles.store import fsck

    written = []
    wanted = fsck.requests(checked, site.site_id())
    for asked in wanted:
        name = path.name
        if len(wanted) > 1:
            name = f"{path.stem}-{asked.name}-{asked.version}{path.suffix}"
        durable.replace_file(path.with_name(name), asked.encode())
        written.append(path.with_name(name))
    return written


@app.command()
def gc(
    dry_run: DryRun = False,
    yes: Yes = False,
    keep: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Drop all but the N newest versions of a bundle."),
    ] = None,
    unfinished: Annotated[
        bool,
        typer.Option("--unfinished", help="Drop what imports brought that were never completed."),
    ] = False,
) -> None:
    """Remove what no imported version uses.

    Never removes what an import is about to use: while one runs, this command refuses to. Without
    --keep no version is dropped; with it, the current one and pinned ones stay in any case.

    Example: goosectl store gc --keep 2 --dry-run
    """
    from bundles.store import gc as clean
    from goosed_daemon import audit

    out, store = output.get(), site.store()
    done = False
    with store.maintain() as held:
        cleanup = clean.plan(store, held, keep, unfinished)
        for line in words.cleanup(cleanup, operator.now()):
            out.say(line)
        size = sizes.text(cleanup.bytes)
        if cleanup and not dry_run and out.confirm(f"Remove this and free {size}?", yes=yes):
            if cleanup.dropped:
                with operator.state() as state, state.write() as transaction:
                    for ref in cleanup.dropped:
                        audit.record(
                            transaction,
                            operator.now(),
                            "version-forgotten",
                            operator.actor(),
                            bundle=ref.name,
                            version=ref.version,
                            keep=keep,
                        )
                    clean.drop(cleanup, held)
            clean.remove(cleanup, held, out.progress())
            done = True
    told = f"{size} {'freed' if done else 'could be freed'}" if cleanup else "nothing to remove"
    out.result({**words.cleaned(cleanup), "removed": done}, text=told)
