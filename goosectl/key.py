"""goosectl key: keys that sign, and keys that receive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bundles.errors import UsageError
from goosectl import output

app = typer.Typer(help="Make and look at keys.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The key's name: its file and comment.")]
Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder for the files.")]


@app.command()
def new(
    name: Name,
    out: Folder = Path("."),
    passphrase: Annotated[bool, typer.Option(help="Ask for a passphrase.")] = False,
) -> None:
    """Make a signing key: DIR/NAME and DIR/NAME.pub, Ed25519, as ssh-keygen makes them.

    Example: goosectl key new release --out keys
    """
    from bundles import keys

    _check_name(name)
    secret = None
    if passphrase:
        secret = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    path, public = keys.new_signing(out, name, secret)
    output.get().result(
        {"key": str(path), "public": f"{path}.pub", "fingerprint": public.fingerprint},
        text=f"wrote {path} (keep it secret) and {path}.pub\n{public.fingerprint}",
    )


@app.command()
def new_recipient(name: Name, out: Folder = Path(".")) -> None:
    """Make an age key to receive sealed bundles: DIR/NAME.agekey and DIR/NAME.agepub.

    Example: goosectl key new-recipient site-a --out keys
    """
    from bundles import keys

    _check_name(name)
    secret, public, recipient = keys.new_recipient(out, name)
    output.get().result(
        {"key": str(secret), "public": str(public), "recipient": recipient},
        text=f"wrote {secret} (keep it secret) and {public}\n{recipient}",
    )


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A private or public key file.")],
) -> None:
    """Show what a key file is, its fingerprint or recipient; never a secret.

    Example: goosectl key show keys/release.pub
    """
    from bundles import keys

    shown = keys.describe(file)
    output.get().result(shown, text="\n".join(f"{k}: {v}" for k, v in shown.items() if v))


def _check_name(name: str) -> None:
    if not name or "/" in name or name.startswith((".", "-")) or not name.isprintable():
        raise UsageError(f"{name!r} cannot be a key's name", hint="use a plain file name")
