"""`store receipt`: what the site holds, for its builder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bundles.errors import UsageError
from goosectl import epoch, output, site, sizes
from goosectl.store.options import app


@app.command()
def receipt(
    key: Annotated[
        Path, typer.Option(metavar="FILE", help="The site's receipt key, a private signing key.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the receipt goes.")],
    bundle: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this bundle's versions.")
    ] = None,
) -> None:
    """Write a signed inventory of what the site holds.

    The builder makes the next version without what it proves to be here (`bundle build --since`).
    Writes FILE and its signature, FILE.sig. Large files are read and hashed; a bundle of which
    something is damaged or missing is left out.

    Example: goosectl store receipt --key site-a --out site-a.receipt.json
    """
    from bundles.files import durable
    from bundles.signing import sshsig
    from bundles.site import inventory
    from bundles.store.choice import NotImported
    from goosectl import ask

    report = output.get()
    signature = out.with_name(out.name + ".sig")
    if key.resolve() in (out.resolve(), signature.resolve()):
        raise UsageError(f"{out} would take the place of the key", hint="choose another --out")
    signer = ask.signer(key)
    store = site.store()
    refs = [ref for ref in store.refs().bundles if bundle in (None, ref.name)]
    if not refs:
        raise NotImported(f"{bundle} is not in the store" if bundle else "the store has no bundle")
    seconds = epoch.source_date()
    now = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    found = inventory.take(store, refs, site.site_id(), now, report.progress())
    data = found.receipt.encode()
    durable.replace_file(signature, sshsig.sign(data, signer, sshsig.RECEIPT))
    durable.replace_file(out, data)
    for left in found.left_out:
        report.note(str(left))
    held = found.receipt.bundles
    report.result(
        {
            "files": [str(out), str(signature)],
            "bytes": len(data),
            "site": found.receipt.site,
            "created": found.receipt.created,
            "signer": signer.public.fingerprint,
            "bundles": [
                {"bundle": each.name, "version": each.version, "sequence": each.sequence}
                for each in held
            ],
            "left_out": [left.as_object() for left in found.left_out],
        },
        text="\n".join(
            [
                f"receipt of {found.receipt.site or 'a site without an id'}:",
                *(f"  {each.name} {each.version}" for each in held),
                f"signed by {signer.public.fingerprint}",
                f"wrote {out} ({sizes.text(len(data))}) and {signature}",
            ]
        ),
    )
