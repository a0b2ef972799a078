"""`bundle` verbs of the connected side: recipes in, signed volumes out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bundles.errors import UsageError
from goosectl import epoch, output, site, sizes
from goosectl.bundle import manifest
from goosectl.bundle import words as told
from goosectl.bundle.options import RecipePath, app
from goosectl.bundle.receipt import ReceiptSigners
from goosectl.interruption import interruptible


@app.command()
def init(
    recipe: RecipePath,
    name: Annotated[str, typer.Option(help="The bundle's name.")] = "site-base",
) -> None:
    """Write a recipe to start from.

    Example: goosectl bundle init bundle.yaml --name site-base
    """
    out = output.get()
    try:
        with open(recipe, "x", encoding="utf-8") as file:
            file.write(told.TEMPLATE.format(name=name, version=f"{datetime.now(UTC):%Y.%-m.1}"))
    except OSError as error:
        raise UsageError(f"{recipe}: {error.strerror}", hint="choose another name") from error
    out.result({"recipe": str(recipe)}, text=f"wrote {recipe}; edit it, then build it")


@app.command()
def lock(recipe: RecipePath) -> None:
    """Pin the digest of every `url` of a recipe, and of every image in a registry.

    Fetches each one into the cache and writes the lock beside the recipe. Where there was one
    before, each input that has changed since is named with both digests.

    Example: goosectl bundle lock bundle.yaml
    """
    from bundles.making import recipe as recipes
    from bundles.sources import lock as locks

    out = output.get()
    loaded = recipes.load(recipe)
    with interruptible("no lock was written", "run it again: downloads go on where they stopped"):
        made = recipes.make_lock(loaded, site.downloads(), datetime.now(UTC), out.progress())
    path = locks.path_for(recipe)
    try:
        before = locks.read(path)
    except locks.BadLock:  # it is made anew: nothing can be said of what it pinned
        before = None
    locks.write(path, made)
    changed = list(locks.changed(before, made)) if before else []
    pins = [{"url": p.url, "digest": p.digest, "size": p.size} for p in made.pins]
    out.result(
        {
            "lock": str(path),
            "inputs": pins,
            "changed": [{"url": o.url, "old": o.digest, "new": n.digest} for o, n in changed],
        },
        text="\n".join(
            [
                *(f"changed  {old.url}\n  {old.digest} ->\n  {new.digest}" for old, new in changed),
                f"wrote {path}: {sizes.amount(len(pins), 'input')} pinned",
            ]
        ),
    )


@app.command()
def build(
    recipe: RecipePath,
    key: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="What to sign with; repeatable: a private key, or the .pub of one in an agent.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder for the volumes.")],
    to: Annotated[
        list[str] | None,
        typer.Option(metavar="RECIPIENT", help="Seal to age1..., an SSH key or a file of one."),
    ] = None,
    volume_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Most bytes of a volume: 4G, 700MiB, fat32, dvd5, bd25."),
    ] = None,
    since: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Leave out what the site has: its receipt, or open volumes it was sent.",
        ),
    ] = None,
    receipt_signer: ReceiptSigners = None,
) -> None:
    """Build a bundle and sign it.

    Writes DIR/NAME-VERSION.KofN.goose.tar, the signed list of volumes beside it, and the courier's
    sheet as a page and as text. The same recipe, lock, inputs and goosectl give the same bytes.

    With --since they hold only what is new, down to the changed bytes of large files: a delta. A
    site's receipt (`store receipt`) proves what it has; its key is pinned with --receipt-signer.
    Volumes of an earlier bundle only promise it: one is enough to leave out whole files, with all
    of them large files are compared too.

    Example: goosectl bundle build bundle.yaml --key release --out media --to site-a.agepub

    Example: goosectl bundle build bundle.yaml --key release --out media --since site-a.json
    --receipt-signer site-a=site-a.pub
    """
    from bundles.making import build as builder
    from bundles.making import plan, provenance, sbom
    from bundles.making import recipe as recipes
    from bundles.reading import sheet
    from bundles.sealing import seal
    from bundles.signing.sshsig import BUNDLE, signature_length
    from bundles.sources import lock as locks
    from goosectl import ask
    from goosectl.bundle import since as bases

    report = output.get()
    progress = report.progress()
    loaded, digest = recipes.load_with_digest(recipe)
    pins = locks.read(locks.path_for(recipe))
    most = sizes.parse(volume_size) if volume_size else None
    recipients = [seal.recipient(text) for text in to or []]
    signers = [ask.signer(path) for path in key]
    draft = recipes.draft(loaded, pins, epoch.source_date())
    with interruptible(f"{out} holds nothing new", "run it again: it begins from the start"):
        base = bases.base(since, receipt_signer, draft) if since else None
        artifacts = recipes.expand(loaded, recipe, pins, site.downloads(), progress)
        artifacts.append(sbom.expand(draft, artifacts, progress))
        artifacts.append(provenance.expand(loaded, digest, pins, draft, most, artifacts))
        planned = plan.Plan(
            artifacts,
            draft,
            [signature_length(signer.public, BUNDLE) for signer in signers],
            most,
        )
        built = builder.build(planned, signers, out, progress, recipients, base)
    files = [*built.volumes, built.volume_list, *built.signatures]
    entries = [
        sheet.Entry(each.title, len(each.files), sum(file.size for file in each.files))
        for each in planned.artifacts
    ]
    files += manifest.write(built, entries, signers)
    report.result(
        {
            "bundle": built.statement.name,
            "version": built.statement.version,
            "sequence": built.statement.sequence,
            "files": [str(path) for path in files],
            "bytes": built.bytes,
            "delta": told.delta(base, built) if base else None,
        },
        text="\n".join(
            [
                told.summary(built.statement),
                *(told.savings(base, built) if base else ()),
                f"{sizes.text(built.bytes)} written:",
                *map(told.line, files),
            ]
        ),
    )
