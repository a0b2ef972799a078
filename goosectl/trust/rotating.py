"""`trust rotate`: the next version of the trust root, as a proposal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import UsageError
from goosectl import ask, site
from goosectl.trust import options, signing
from goosectl.trust.options import app

if TYPE_CHECKING:
    from bundles.signing.rotation import Changes

_NONE = "none"  # takes a limit away


@app.command()
def rotate(
    add: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]FILE.pub", help="A new signer; repeatable."),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A signer, by name or fingerprint, to count no more."),
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How many signers must sign.")
    ] = None,
    threshold_for: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND=N", help="Another number for bundle, trust, ...; or none."),
    ] = None,
    valid_after: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TIME", help="From when on: 2026-11-24T12:00:00Z, or none."),
    ] = None,
    valid_before: Annotated[
        list[str] | None, typer.Option(metavar="NAME=TIME", help="Until when, or none.")
    ] = None,
    may: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=KIND,KIND", help="What a signer may sign: bundle, trust, ..."),
    ] = None,
    chain: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The chain to go on from; else this machine's own."),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Sign it at once, with this key; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write it; else root-N.trust.")
    ] = None,
) -> None:
    """Propose the next version of the trust root.

    Where the signing keys are: it writes a chain file that holds every version and the new one,
    still to be signed (`trust sign`) by as many signers as the version before asks for, and as
    many as the new one asks for itself. Then it crosses the gap; `trust import` accepts it.

    Who is removed counts no more, also for what was signed before. For a new key under the same
    name give --remove and --add.

    Examples:

    goosectl trust rotate --remove anna --add dora.pub --key ben

    goosectl trust rotate --threshold 2 --valid-before ben=2027-12-31T23:59:59Z --out next.trust
    """
    from bundles.signing import rotation, trustchain
    from bundles.signing.trustchain import Link

    chained = options.chain([chain]) if chain else site.trust_store().chain()
    before = chained[-1].root
    changes = _changes(add, remove, threshold, threshold_for, valid_after, valid_before, may)
    link = Link(rotation.successor(before, changes))
    for path in key or ():
        link = trustchain.sign(before, link, ask.signer(path))
    target = out or Path(f"root-{link.root.version}.trust")
    if target.exists():
        raise UsageError(f"{target} is already there", hint="choose another file with --out")
    proposed = (*chained, link)
    signing.write(target, proposed)
    done = [f"wrote {target}", *signing.description(before, proposed)]
    signing.report(target, before, proposed, done)


def _changes(
    add: list[str] | None,
    remove: list[str] | None,
    threshold: int | None,
    threshold_for: list[str] | None,
    valid_after: list[str] | None,
    valid_before: list[str] | None,
    may: list[str] | None,
) -> Changes:
    from bundles.signing.rotation import Changes

    def limits(option: str, texts: list[str] | None) -> dict[str, str | None]:
        found = options.pairs(option, texts)
        return {name: None if value == _NONE else value for name, value in found.items()}

    numbers: dict[str, int | None] = {}
    for kind, number in limits("--threshold-for", threshold_for).items():
        if number is not None and not number.isdecimal():
            raise UsageError(f"--threshold-for {kind}={number}", hint="N is a number, or none")
        numbers[options.namespace(kind)] = None if number is None else int(number)
    return Changes(
        add=[options.signer(text) for text in add or ()],
        remove=remove or (),
        threshold=threshold,
        thresholds=numbers,
        valid_after=limits("--valid-after", valid_after),
        valid_before=limits("--valid-before", valid_before),
        namespaces={
            name: [options.namespace(kind) for kind in kinds.split(",")]
            for name, kinds in options.pairs("--may", may).items()
        },
    )
