"""`trust sign`: a signature for the next version of the trust root."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import UsageError
from goosectl import ask, operator, output, site
from goosectl.trust import options, words
from goosectl.trust.options import app

if TYPE_CHECKING:
    from bundles.signing.trust import TrustRoot
    from bundles.signing.trustchain import Link


@app.command()
def sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `trust rotate` wrote.")],
    key: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="What to sign with, as in `bundle build`; repeatable."),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Sign without asking.")] = False,
) -> None:
    """Sign the newest version in a chain file, after showing what it changes.

    Adds the signature to FILE. People sign one copy after another, or each a copy of his own:
    `trust import` takes several files and counts all signatures.

    Where this machine has a trust root, FILE must belong to its chain.

    Example: goosectl trust sign root-2.trust --key ben
    """
    from bundles.signing import trustchain
    from bundles.signing.truststore import NoTrustRoot

    out, chain = output.get(), options.chain([file])
    try:
        pinned = site.trust_root()
    except NoTrustRoot:
        pinned = None
    before = trustchain.predecessor(chain, pinned, file.name)
    link, signers = chain[-1], [ask.signer(path) for path in key]
    for signer in signers:
        trustchain.check_signer(before, link, signer.public)
    if pinned is None:
        out.note(
            f"no trust root here vouches for version {before.version}:"
            f" compare {before.fingerprint} with what you know"
        )
    out.note("\n".join(description(before, chain)))
    if not out.confirm(f"Sign version {link.root.version}, {link.root.fingerprint}?", yes=yes):
        raise UsageError("nothing was signed", hint="ask whoever proposed it what it is for")
    for signer in signers:
        link = trustchain.sign(before, link, signer)
    chain = (*chain[:-1], link)
    write(file, chain)
    report(file, before, chain, [f"signed {file}"])


def write(path: Path, chain: Sequence[Link]) -> None:
    """Puts a chain file in its place, whole or not at all. Raises OSError."""
    from bundles.files import durable
    from bundles.signing import trustchain

    durable.replace_file(path, trustchain.render(chain))


def report(path: Path, before: TrustRoot, chain: Sequence[Link], done: Sequence[str]) -> None:
    """The result of a command that made or signed the last version; `done` says which."""
    link = chain[-1]
    standing = words.standing(before, link, operator.now())
    next_step = "complete: carry it to the sites, there `goosectl trust import`"
    if not standing.complete:
        next_step = "not complete: have it signed with `goosectl trust sign`"
    output.get().result(
        {
            "file": str(path),
            **words.facts(link.root),
            "changes": words.changes(before, link.root),
            "standing": standing.facts(),
            "doubts": words.doubts(chain, operator.now()),
        },
        text="\n".join([*done, *standing.lines(), next_step]),
    )


def description(before: TrustRoot, chain: Sequence[Link]) -> list[str]:
    """What the last version of `chain` is, for whoever is to sign it."""
    root = chain[-1].root
    lines = [f"version {root.version}, {root.fingerprint}"]
    lines.append(f"follows version {before.version}, {before.fingerprint}")
    lines += [f"  {line}" for line in words.changes(before, root)]
    return lines + [f"attention: {text}" for text in words.doubts(chain, operator.now())]
