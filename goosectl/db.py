"""goosectl db: the state database."""

from __future__ import annotations

import typer

from goosectl import operator, output

app = typer.Typer(help="Bring the site's state database to this version.", no_args_is_help=True)


@app.command()
def migrate() -> None:
    """Apply the migrations that are pending. The daemon does so too when it starts.

    Example: goosectl db migrate
    """
    from goosed_daemon.state.migrate import migrate as apply

    with operator.state(migrated=False) as state:
        done = apply(state, operator.now())
    text = "\n".join(f"applied {name}" for name in done) or "nothing to do"
    output.get().result({"applied": done}, text=text)


@app.command()
def status() -> None:
    """Show which migrations were applied, and when. Exit code 1 while one is pending.

    Example: goosectl db status
    """
    from goosed_daemon.state import EMBEDDED
    from goosed_daemon.state.migrate import Step, migrations
    from goosed_daemon.state.migrate import status as steps

    with operator.state_if_any(migrated=False) as state:
        if state is not None:
            found = steps(state)
        else:
            found = [Step(migration, None) for migration in migrations(EMBEDDED)]
    rows = [
        {"migration": str(step.migration), "applied_at": operator.show(step.applied_at)}
        for step in found
    ]
    output.get().table(rows, [("migration", "Migration"), ("applied_at", "Applied")])
    if any(step.applied_at is None for step in found):
        raise typer.Exit(1)
