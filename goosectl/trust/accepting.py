"""`trust import`: a newer trust root comes into force."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goosectl import operator, output, site
from goosectl.trust import options, words
from goosectl.trust.options import app

if TYPE_CHECKING:
    from bundles.signing.trust import TrustRoot
    from bundles.signing.trustchain import Link
    from goosed_daemon.state import State


@app.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Chain files; their signatures add up.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and show, change nothing.")
    ] = False,
) -> None:
    """Bring a newer trust root into force.

    Every version after the one in force must be signed by enough signers of the version before it
    and by enough of its own, and these must be valid now. Killed at any moment, the old root or
    the new one is in force. The change is written to the audit log.

    Example: goosectl trust import /media/courier/root-2.trust
    """
    from bundles.signing import trustchain

    out, now, store = output.get(), operator.now(), site.trust_store()
    root, chain, where = store.root(), options.chain(files), options.named(files)
    links = trustchain.follow(root, chain, now, where)
    if links and not dry_run:
        # Opened first: what cannot be written down does not come into force.
        with operator.state() as state:
            if links := store.advance(chain, now, where):
                _record(state, root, links, now)
    versions, lines = _told(root, links, now)
    newest = links[-1].root if links else root
    warnings = words.warnings(newest, now)
    verb = "would come into force" if links and dry_run else "is in force"
    out.result(
        {
            "version": newest.version,
            "fingerprint": newest.fingerprint,
            "in_force": not (links and dry_run),
            "versions": versions,
            "warnings": warnings,
        },
        text="\n".join(
            [
                *lines,
                f"version {newest.version} {verb}: {newest.fingerprint}",
                *(f"attention: {item['text']}" for item in warnings),
            ]
        ),
    )


def _told(
    root: TrustRoot, links: Sequence[Link], now: datetime
) -> tuple[list[dict[str, object]], list[str]]:
    """What each new version changes and who signed it, for scripts and for people."""
    versions, lines = list[dict[str, object]](), list[str]()
    for link in links:
        signed = words.standing(root, link, now).signed
        changes = words.changes(root, link.root)
        versions.append({**words.facts(link.root), "signed": signed, "changes": changes})
        lines.append(f"version {link.root.version}, signed by {', '.join(signed)}")
        lines += [f"  {line}" for line in changes]
        root = link.root
    return versions, lines


def _record(state: State, root: TrustRoot, links: Sequence[Link], now: datetime) -> None:
    from goosed_daemon import audit

    before = links[-2].root if len(links) > 1 else root
    with state.write() as transaction:
        audit.record(
            transaction,
            now,
            "trust-rotated",
            operator.actor(),
            version=links[-1].root.version,
            fingerprint=links[-1].root.fingerprint,
            previous=root.fingerprint,
            signed=words.standing(before, links[-1], now).signed,
        )
