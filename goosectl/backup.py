"""goosectl site: a whole site in one sealed file, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goosectl import operator, output, site, sizes

if TYPE_CHECKING:
    from goosed_daemon.backup.archive import Entry
    from goosed_daemon.state import State, Transaction

app = typer.Typer(help="Back a site up, and get it back.", no_args_is_help=True)


@app.command()
def backup(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    to: Annotated[
        list[str],
        typer.Option("--to", metavar="RECIPIENT", help="Who can open it: a key, or its file."),
    ],
) -> None:
    """Write state, profiles, trust roots and keys of the site into one file, sealed.

    The daemon may run meanwhile: the state is that of one moment. Content is not in it; which
    bundles there were is, and `site restore` names those that are to be imported again. Keep the
    identity that opens it apart from the site: whoever has both has the site.

    `age -d -i IDENTITY FILE | tar -tv` shows what is in it.

    Example: goosectl site backup /media/site-a.backup.age --to keys/vault.agepub
    """
    from bundles import __version__
    from bundles.sealing.seal import recipient
    from goosed_daemon import audit
    from goosed_daemon.backup import archive, tables

    recipients = [recipient(text) for text in to]
    home, now = site.home(), operator.now()
    refs = site.store().refs()
    with operator.state() as state:
        about = archive.About(
            created=now.isoformat(timespec="seconds"),
            goose=__version__,
            migration=tables.version(state.dialect),
            bundles=tuple((ref.name, ref.version, ref.root) for ref in refs.bundles),
        )
        with state.write() as transaction:
            audit.record(transaction, now, "site-backed-up", operator.actor(), file=str(out))
        with state.read() as transaction:
            rows = _rows(state, transaction)
            entries = (entry for part in (rows, archive.home_entries(home)) for entry in part)
            files, size = archive.write(out, about, entries, recipients)
    output.get().result(
        {"file": str(out), "files": files, "bytes": size, "bundles": len(about.bundles)},
        text=f"{out}: {files} files, {sizes.text(size)}, sealed to {len(recipients)}",
    )


def _rows(state: State, transaction: Transaction) -> Iterator[Entry]:
    from goosed_daemon.backup import tables
    from goosed_daemon.backup.archive import Entry

    for name, data in tables.dump(state, transaction):
        yield Entry(f"state/{name}", data)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `site backup` wrote.")],
    identity: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="The age identity or SSH key that opens it; repeatable."),
    ],
) -> None:
    """Make the site again out of a backup: all of it, or nothing.

    GOOSE_HOME must be empty or not be there, and the database at DB_DSN hold nothing. No daemon of
    the old site may run any more: it would go on with tokens that this one knows as well.

    Example: goosectl site restore /media/site-a.backup.age --identity vault.agekey
    """
    from goosed_daemon.backup.archive import Backup
    from goosed_daemon.backup.restore import restore as put_back
    from goosed_daemon.settings import Settings

    out, settings = output.get(), Settings.load()
    with Backup(file, site.identities(identity)) as found:
        count = put_back(found, settings.home, settings.db_dsn, operator.now(), operator.actor())
        here = {ref.root for ref in site.store().refs().bundles}
        about = found.about
    missing = [f"{name} {version}" for name, version, root in about.bundles if root not in here]
    text = f"the site of {about.created} is at {settings.home.path}: {count} files"
    if missing:
        text += "\nits content is to be imported again:" + "".join(f"\n  {one}" for one in missing)
    out.result(
        {"created": about.created, "files": count, "missing": missing},
        text=text,
    )
