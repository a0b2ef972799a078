"""goosectl trust: whose signatures count at this site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import UsageError
from goosectl import output, site

if TYPE_CHECKING:
    from bundles.sshkey import PublicKey
    from bundles.trust import TrustedSigner, TrustRoot

app = typer.Typer(help="Say whose signatures count at this site.", no_args_is_help=True)


@app.command()
def init(
    signer: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]FILE.pub",
            help="A signer's public key; repeatable. Named as its comment says, or NAME.",
        ),
    ],
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
    """
    from bundles import trust
    from bundles.truststore import TrustStore

    out = output.get()
    root = trust.first([_load(text) for text in signer], threshold)
    if dry_run:
        out.result(_facts(root), text=_text(root))
        return
    store = TrustStore(site.home().trust)
    store.require_none()
    if fingerprint is None:
        out.note(_text(root))
        if not out.confirm(f"Pin the trust root {root.fingerprint}?", yes=yes):
            raise UsageError(
                "nothing was pinned", hint="ask the release engineer for the fingerprint"
            )
    store.pin(root, fingerprint or root.fingerprint)
    facts = {**_facts(root), "file": str(store.path)}
    out.result(facts, text=f"pinned {root.fingerprint} in {store.path}")


@app.command()
def show() -> None:
    """Show the trust root in force.

    Example: goosectl trust show
    """
    root = site.trust_root()
    output.get().result(_facts(root), text=_text(root))


@app.command()
def export(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write to FILE, not to stdout.")
    ] = None,
) -> None:
    """Write the trust root as an allowed_signers file for ssh-keygen -Y verify.

    Example: goosectl trust export --out allowed_signers
    """
    text = site.trust_root().allowed_signers()
    report = output.get()
    if out is None:
        report.result({"allowed_signers": text}, text=text.rstrip("\n"))
        return
    out.write_text(text)
    report.result({"file": str(out)}, text=f"wrote {out}")


# A file whose name has an equals sign can be given as ./FILE.
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._@:+-]*)=(.+)")


def _load(text: str) -> tuple[PublicKey, str]:
    from bundles import keys

    named = _NAMED.fullmatch(text)
    key, comment = keys.load_public(Path(named[2] if named else text))
    return key, named[1] if named else comment


def _facts(root: TrustRoot) -> dict[str, object]:
    return {
        "fingerprint": root.fingerprint,
        "version": root.version,
        "threshold": root.threshold,
        "thresholds": dict(root.thresholds),
        "signers": [
            {
                "name": signer.name,
                "fingerprint": signer.key.fingerprint,
                "namespaces": list(signer.namespaces),
                "valid_after": signer.valid_after,
                "valid_before": signer.valid_before,
            }
            for signer in root.signers
        ],
    }


def _text(root: TrustRoot) -> str:
    count = len(root.signers)
    lines = [
        f"trust root {root.fingerprint}",
        f"version {root.version}; {root.threshold} of {count} must sign",
    ]
    lines += [f"  {needed} for {name}" for name, needed in sorted(root.thresholds.items())]
    for signer in root.signers:
        lines.append(f"  {signer.name}  {signer.key.fingerprint}")
        lines.append(f"    for {', '.join(signer.namespaces)}{_validity(signer)}")
    return "\n".join(lines)


def _validity(signer: TrustedSigner) -> str:
    start = f" from {signer.valid_after}" if signer.valid_after else ""
    end = f" until {signer.valid_before}" if signer.valid_before else ""
    return start + end
