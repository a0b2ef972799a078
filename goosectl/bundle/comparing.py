"""`bundle diff`: what is different between two bundles."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goosectl import output, site
from goosectl.bundle import changes as told
from goosectl.bundle import since
from goosectl.bundle.options import BasePaths, Identities, app

if TYPE_CHECKING:
    from bundles.packages.listed import Listed
    from bundles.sealing.agefile import Unwrapper
    from bundles.site.view import View

_Bundle = "A volume, a folder of volumes, or NAME[@VERSION] of the store."


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=_Bundle)],
    b: Annotated[str, typer.Argument(metavar="B", help="The same, to compare with A.")],
    files: Annotated[bool, typer.Option("--files", help="List every change.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 when content differs.")
    ] = False,
    identity: Identities = None,
    base: BasePaths = None,
) -> None:
    """Compare two bundles: packages, files and sizes.

    Reads heads and bills of materials only. Packages are compared by the version rules of their
    kind, files by digest and mode. Says what a delta from A to B would ship at most. A delta is
    compared by what it makes of what it builds on: A, --base or the site's store has that.

    Example: goosectl bundle diff site-base media/site-base-2026.12.1
    """
    from bundles.errors import GooseError
    from bundles.site import compare

    out = output.get()
    with ExitStack() as stack:
        identities = site.identities(identity)
        old = _view(a, stack, identities, base)
        # Of the two the first is most often what the second builds on, if that is a delta.
        new = _view(b, stack, identities, base or ([Path(a)] if Path(a).exists() else None))
        why = None
        try:
            packages = compare.packages(_packages(old), _packages(new))
        except GooseError as error:
            packages, why = [], f"packages are not compared: {error.message}"
    changed = told.Changes(
        old.statement,
        new.statement,
        packages,
        why,
        compare.files(told.content(old), told.content(new)),
        compare.new_bytes(old.files, new.files),
    )
    out.result(changed.facts(files), text="\n".join(changed.lines(files)))
    if why:
        out.note(why)
    if downgraded := changed.downgraded():
        those = "package is" if downgraded == 1 else "packages are"
        out.note(f"warning: {downgraded} {those} older in {changed.named(new.statement)}")
    if exit_code and changed.any():
        raise typer.Exit(1)


def _view(
    text: str, stack: ExitStack, identities: list[Unwrapper], base: list[Path] | None
) -> View:
    """The bundle that `text` names; a path goes before a name of the store."""
    from bundles.site import view
    from bundles.site.ingest import open_volumes
    from bundles.store.choice import chosen

    if Path(text).exists():
        volumes = open_volumes(
            [Path(text)],
            site.witness(),
            site.lenient_policy(),
            stack,
            identities,
            since.known(base).documents,
        )
        return view.of_volumes(volumes)
    store = site.store()
    return view.of_store(store, chosen(store.refs(), text))


def _packages(of: View) -> tuple[Listed, ...]:
    from bundles.format.layout import SBOM
    from bundles.packages import listed

    where = f"{SBOM} of {of.statement.name} {of.statement.version}"
    return listed.read(of.added(SBOM), where).packages
