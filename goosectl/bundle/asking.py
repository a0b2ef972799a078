"""Writing down what to ask a builder for: `--request` of `bundle verify` and `bundle import`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import GooseError
from goosectl import output, site, sizes

if TYPE_CHECKING:
    from bundles.format.repair_request import RepairRequest

Request = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write what is damaged or missing to FILE, for `bundle repair`."
    ),
]


def write(path: Path, request: RepairRequest) -> None:
    """Puts `request`, with the site's id in it, at `path` and says what to do with it."""
    from bundles.files import durable

    durable.replace_file(path, replace(request, site=_site_id()).encode())
    blobs = sizes.amount(len(request.documents) + len(request.layers), "blob")
    output.get().note(
        f"wrote {path}: it asks for {blobs} of {request.name} {request.version};"
        " its builder answers it with `goosectl bundle repair`"
    )


def _site_id() -> str | None:
    """None where the site has none or its profiles are broken: media are checked on other machines
    too, and on bad days."""
    try:
        return site.site_id()
    except GooseError:
        return None
