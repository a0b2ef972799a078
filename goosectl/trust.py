"""goosectl trust: whose signatures count at this site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import UsageError
from goosectl import output, site

if TYPE_CHECKING:
    from bundles.trust import TrustRoot

app = typer.Typer(help="Say whose signatures count at this site.", no_args_is_help=True)


@app.command()
def init(
    signer: Annotated[
        list[Path], typer.Option(metavar="FILE.pub", help="A signer's public key; repeatable.")
    ],
    threshold: Annotated[int, typer.Option(help="How many signers must have signed.")] = 1,
    fingerprint: Annotated[
        str | None, typer.Option(metavar="SHA256:...", help="Pin only a root that has this one.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Pin without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the fingerprint, pin nothing.")
    ] = False,
) -> None:
    """Pin the site's first trust root.

    The fingerprint follows from the public keys and the threshold: the release engineer learns
    the same one with --dry-run and tells it to the site by another way than the keys.

    Example: goosectl trust init --signer release.pub --fingerprint SHA256:...
    """
    from bundles import keys, trust

    out = output.get()
    root = trust.first([keys.load_public(path) for path in signer], threshold)
    facts = _facts(root)
    text = _text(root)
    if dry_run:
        out.result(facts, text=text)
        return
    if fingerprint is not None:
        if fingerprint != root.fingerprint:
            raise trust.WrongFingerprint(
                f"these signers and threshold have {root.fingerprint}, not {fingerprint}"
            )
    else:
        out.note(text)
        if not out.confirm("Pin this trust root?", yes=yes):
            raise UsageError("nothing was pinned")
    path = trust.init(site.home().trust, root)
    out.result({**facts, "file": str(path)}, text=f"pinned {root.fingerprint} in {path}")


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
    try:
        out.write_text(text)
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror}") from error
    report.result({"file": str(out)}, text=f"wrote {out}")


def _facts(root: TrustRoot) -> dict[str, object]:
    return {
        "fingerprint": root.fingerprint,
        "version": root.version,
        "threshold": root.threshold,
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
    lines = [
        f"trust root {root.fingerprint} (version {root.version},"
        f" {root.threshold} of {len(root.signers)} must sign)"
    ]
    lines += [f"  {signer.name}  {signer.key.fingerprint}" for signer in root.signers]
    return "\n".join(lines)
