"""`trust` verbs that bring the first root in, and take any out to others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bundles.errors import UsageError
from goosectl import operator, output, site
from goosectl.trust import options, words
from goosectl.trust.options import app


@app.command()
def init(
    signer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE.pub",
            help="A signer's public key; repeatable. Named as its comment says, or NAME.",
        ),
    ] = None,
    chain: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Instead of --signer: pin the newest root of a chain file."
        ),
    ] = None,
    threshold: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many of the signers must sign.")
    ] = 1,
    fingerprint: Annotated[
        str | None,
        typer.Option(metavar="SHA256:...", help="Pin the root with this fingerprint, or none."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Pin without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show signers and fingerprint, pin nothing.")
    ] = False,
) -> None:
    """Pin the site's first trust root.

    Its fingerprint follows from the keys, their names and the threshold, in whatever order they
    are given. The release engineer learns it with --dry-run and tells it to the site by another
    way than the keys take; there --fingerprint compares.

    Examples:

    goosectl trust init --signer release.pub --dry-run

    goosectl trust init --signer release.pub --fingerprint SHA256:...

    goosectl trust init --signer anna=a.pub --signer ben=b.pub --threshold 2

    goosectl trust init --chain root-7.trust --fingerprint SHA256:...
    """
    from bundles.signing import trust, trustchain
    from bundles.signing.trustchain import Link

    out = output.get()
    if bool(signer) == bool(chain):
        raise UsageError("give the keys with --signer, or a chain of trust roots with --chain")
    if chain:
        links = options.chain([chain])
        trustchain.check_itself(links[-1], operator.now(), chain.name)
    else:
        links = (Link(trust.first([options.signer(text) for text in signer or ()], threshold)),)
    root = links[-1].root
    if dry_run:
        out.result(words.facts(root), text=words.text(root))
        return
    store = site.trust_store()
    store.require_none()
    if fingerprint is None:
        out.note(words.text(root))
        if not out.confirm(f"Pin the trust root {root.fingerprint}?", yes=yes):
            raise UsageError(
                "nothing was pinned", hint="ask the release engineer for the fingerprint"
            )
    # Stock tools print it with the padding of base64 (docs/trust.md).
    store.pin(links, fingerprint.strip().rstrip("=") if fingerprint else root.fingerprint)
    facts = {**words.facts(root), "file": str(store.path)}
    out.result(facts, text=f"pinned {root.fingerprint} in {store.path}")


@app.command()
def export(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write to FILE, not to stdout.")
    ] = None,
    chain: Annotated[
        bool,
        typer.Option("--chain", help="The chain of all versions, for another site or to rotate."),
    ] = False,
) -> None:
    """Write the trust root as an allowed_signers file for ssh-keygen -Y verify.

    With --chain it writes every version with its signatures, as `trust import` takes it.

    Example: goosectl trust export --out allowed_signers
    """
    from bundles.signing import trustchain

    report = output.get()
    if chain:
        name, text = "chain", trustchain.render(site.trust_store().chain()).decode("ascii")
    else:
        name, text = "allowed_signers", site.trust_root().allowed_signers()
    if out is None:
        report.result({name: text}, text=text.rstrip("\n"))
        return
    out.write_text(text)
    report.result({"file": str(out)}, text=f"wrote {out}")
