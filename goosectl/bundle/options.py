"""The noun itself, and the arguments that several of its verbs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Build, check and import air-gap bundles.", no_args_is_help=True)

Paths = Annotated[list[Path], typer.Argument(metavar="PATH", help="Volumes or folders of them.")]
Identities = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="An age or SSH private key that opens sealed volumes."),
]
BasePaths = Annotated[
    list[Path] | None,
    typer.Option("--base", metavar="PATH", help="Open volumes of what a delta builds on."),
]
RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.")]
