"""`trust` verbs that look: the root in force and its history, or a chain file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goosectl import operator, output, site
from goosectl.trust import options, words
from goosectl.trust.options import app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundles.signing.trustchain import Link


@app.command()
def show(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A chain of trust roots; else this site's."),
    ] = None,
) -> None:
    """Show the trust root in force, or one that is to come.

    Signers, thresholds and fingerprints; how each version came about; who expires soon. Of a FILE
    made by `trust rotate` also who signed it and whose signature is missing.

    Example: goosectl trust show
    """
    now = operator.now()
    chain = options.chain([file]) if file else site.trust_store().chain()
    root = chain[-1].root
    history = _history(chain)
    warnings = words.warnings(root, now)
    facts = {**words.facts(root), "history": history, "warnings": warnings}
    lines = [words.text(root)]
    if file and len(chain) > 1:
        state = words.standing(chain[-2].root, chain[-1], now)
        facts["standing"] = state.facts()
        lines += state.lines()
    lines += [f"attention: {text}" for text in words.doubts(chain, now)]
    lines.append("history")
    for version, item in zip(chain, history, strict=True):
        lines.append(f"  version {version.root.version}  {version.root.fingerprint}")
        lines += [f"    {line}" for line in item["changes"] or ["pinned"]]
    output.get().result(facts, text="\n".join(lines))


def _history(chain: Sequence[Link]) -> list[dict[str, Any]]:
    """Every version with what it changed; the first one here was pinned by a person."""
    before = [None, *(link.root for link in chain)]
    return [
        {
            "version": link.root.version,
            "fingerprint": link.root.fingerprint,
            "changes": words.changes(old, link.root) if old else [],
            "signatures": len(link.signatures),
        }
        for old, link in zip(before, chain, strict=False)
    ]
