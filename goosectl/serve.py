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
    boot_listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT|none", help="Where firmware boots from, in plain HTTP."),
    ] = None,
    roles: Annotated[
        str | None,
        typer.Option(metavar="ROLE,...", help="Which parts to be: bootd, api, orchestrator."),
    ] = None,
    lab: Annotated[
        bool, typer.Option("--lab", help="Everything over plain HTTP: for a lab alone.")
    ] = False,
) -> int:
    """Serve until interrupted; then finish what is in flight.

    Serves over TLS, with the certificate that `goosectl pki issue goosed` made, and beside it what
    firmware fetches in plain HTTP. SIGHUP loads a new certificate.

    Prints one line with the addresses once it answers, and logs JSON lines on stderr.
    Settings: docs/settings.md.

    goosed is the same under another name.

    Example: goosectl serve --listen 0.0.0.0:8443 --boot-listen 0.0.0.0:8080
    """
    from goosed_daemon.settings import Settings
    from goosed_daemon.web.listeners import Urls
    from goosed_daemon.web.serve import run

    given = {
        "listen": listen,
        "boot_listen": boot_listen,
        "roles": roles,
        "lab": "true" if lab else None,
    }
    overrides = {key: text for key, text in given.items() if text is not None}
    out = output.get()

    def ready(urls: Urls) -> None:
        boot = f", and machines boot from {urls.boot}" if urls.boot else ""
        out.result(
            {"url": urls.main, "boot_url": urls.boot}, text=f"goosed answers on {urls.main}{boot}"
        )

    return run(Settings.load(overrides=overrides), ready)
