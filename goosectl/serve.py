"""goosectl serve, and goosed: the daemon in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from goosectl import output

app = typer.Typer(help="Serve boot scripts, rendered files and content.")


@app.command()
def serve(
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 lets the system choose."),
    ] = None,
) -> int:
    """Serve until interrupted; then finish what is in flight.

    Prints one line with the address once it answers, and logs JSON lines on stderr.
    Settings: docs/settings.md.

    goosed is the same under another name.

    Example: goosectl serve --listen 0.0.0.0:8080
    """
    from goosed_daemon.settings import Settings
    from goosed_daemon.web.serve import run

    overrides = {"listen": listen} if listen is not None else {}
    out = output.get()

    def ready(url: str) -> None:
        out.result({"url": url}, text=f"goosed answers on {url}")

    return run(Settings.load(overrides=overrides), ready)
