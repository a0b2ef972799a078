"""goosectl key: keys that sign, and keys that receive."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from bundles.errors import UsageError
from goosectl import output

app = typer.Typer(help="Make and look at keys.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of its files.")]
Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder for the files.")]

# Also the form of a signer's name in a trust root, which a key's comment becomes.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+=-]{0,63}")


@app.command()
def new(
    name: Name,
    out: Folder = Path("."),
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for a passphrase to protect it with.")
    ] = False,
) -> None:
    """Make a signing key: DIR/NAME (secret) and DIR/NAME.pub.

    An Ed25519 key in OpenSSH's files, with NAME as its comment; ssh-keygen reads it, and
    goosectl takes the Ed25519 keys that ssh-keygen makes. It signs; to receive sealed bundles a
    site has a key of the other kind (`goosectl key new-recipient`).

    Example: goosectl key new release --out keys
    """
    from bundles.signing import keys
    from goosectl import ask

    _check_name(name)
    path, public = keys.new_signing(out, name, ask.new_passphrase() if passphrase else None)
    output.get().result(
        {"key": str(path), "public": f"{path}.pub", "fingerprint": public.fingerprint},
        text=f"wrote {path} (keep it secret) and {path}.pub\n{public.fingerprint}",
    )


@app.command()
def new_recipient(name: Name, out: Folder = Path(".")) -> None:
    """Make an age key to receive sealed bundles: DIR/NAME.agekey (secret) and DIR/NAME.agepub.

    The site keeps the first; the builder seals to the second. It receives and never signs.

    Example: goosectl key new-recipient site-a --out keys
    """
    from bundles.signing import agekey

    _check_name(name)
    secret, public, recipient = agekey.generate(out, name)
    output.get().result(
        {"key": str(secret), "public": str(public), "recipient": recipient},
        text=f"wrote {secret} (keep it secret) and {public}\n{recipient}",
    )


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A private or public key file.")],
) -> None:
    """Show what a key file is, its fingerprint or recipient; never a secret.

    Asks for no passphrase. The fingerprint is the one of `ssh-keygen -lf`.

    Example: goosectl key show keys/release.pub
    """
    from bundles.signing import keys

    shown = keys.describe(file)
    lines = [f"{label:11} {value}" for label, value in shown.items() if value]
    output.get().result(shown, text="\n".join(lines))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a key's name",
            hint="use letters, digits and . _ @ + = -, at most 64, a letter or digit first",
        )
