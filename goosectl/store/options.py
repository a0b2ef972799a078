"""The noun itself, and what several of its verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Look at what the site holds, and keep it whole.", no_args_is_help=True)

Version = Annotated[
    str,
    typer.Argument(metavar="BUNDLE[@VERSION]", help="A version, the current one, or a digest."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
