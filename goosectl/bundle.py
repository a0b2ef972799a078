"""goosectl bundle: recipes in, signed volumes out; volumes in, served content out."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bundles.errors import UsageError
from goosectl import bundle_words as told
from goosectl import operator, output, site, sizes

app = typer.Typer(help="Build, check and import air-gap bundles.", no_args_is_help=True)

Paths = Annotated[list[Path], typer.Argument(metavar="PATH", help="Volumes or folders of them.")]
Identities = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="An age or SSH private key that opens sealed volumes."),
]
RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.")]


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
    """Pin the digest of every `url` of a recipe.

    Fetches each one into the cache and writes the lock beside the recipe.

    Example: goosectl bundle lock bundle.yaml
    """
    from bundles import lock as locks
    from bundles import recipe as recipes

    out = output.get()
    loaded = recipes.load(recipe)
    made = recipes.make_lock(loaded, site.downloads(), datetime.now(UTC), out.progress())
    path = locks.path_for(recipe)
    locks.write(path, made)
    pins = [{"url": p.url, "digest": p.digest, "size": p.size} for p in made.pins]
    out.result({"lock": str(path), "inputs": pins}, text=f"wrote {path}: {len(pins)} inputs pinned")


@app.command()
def build(
    recipe: RecipePath,
    key: Annotated[
        list[Path], typer.Option(metavar="FILE", help="A private key to sign with; repeatable.")
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
) -> None:
    """Build a bundle and sign it.

    Writes DIR/NAME-VERSION.KofN.goose.tar and the signed list of volumes beside it. The same
    recipe, lock and inputs give the same bytes.

    Example: goosectl bundle build bundle.yaml --key release --out media --to site-a.agepub
    """
    from bundles import build as builder
    from bundles import keys, plan, seal
    from bundles import lock as locks
    from bundles import recipe as recipes
    from bundles.sshsig import BUNDLE, signature_length
    from goosectl import ask

    report = output.get()
    progress = report.progress()
    loaded = recipes.load(recipe)
    pins = locks.read(locks.path_for(recipe))
    recipients = [seal.recipient(text) for text in to or []]
    signers = [keys.load_private(path, ask.passphrase_of) for path in key]
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is not None and not (epoch.isdecimal() and len(epoch) < 13):
        raise UsageError(f"SOURCE_DATE_EPOCH is {epoch!r}", hint="it is seconds since 1970")
    draft = recipes.draft(loaded, pins, int(epoch) if epoch else None)
    artifacts = recipes.expand(loaded, recipe, pins, site.downloads(), progress)
    planned = plan.Plan(
        artifacts,
        draft,
        [signature_length(signer.public, BUNDLE) for signer in signers],
        sizes.parse(volume_size) if volume_size else None,
    )
    built = builder.build(planned, signers, out, progress, recipients)
    files = [*built.volumes, built.volume_list, *built.signatures]
    report.result(
        {
            "bundle": built.statement.name,
            "version": built.statement.version,
            "sequence": built.statement.sequence,
            "files": [str(path) for path in files],
            "bytes": built.bytes,
        },
        text="\n".join(
            [
                told.summary(built.statement),
                f"{sizes.text(built.bytes)} written:",
                *map(told.line, files),
            ]
        ),
    )


@app.command()
def inspect(
    paths: Paths,
    files: Annotated[bool, typer.Option("--files", help="List every file.")] = False,
    identity: Identities = None,
) -> None:
    """Show what volumes hold.

    Reads their heads only, and needs no store. Says whether a trust root on this machine vouches
    for the signers.

    Example: goosectl bundle inspect media/site-base-2026.11.1.1of1.goose.tar
    """
    from contextlib import ExitStack

    from bundles.ingest import open_volumes

    out = output.get()
    authority, pinned = site.authority_or_any()
    with ExitStack() as stack:
        volumes = open_volumes(
            paths, authority, site.lenient_policy(), stack, site.identities(identity)
        )
        head = volumes[0].head
    numbers = sorted({volume.head.volume for volume in volumes})
    out.result(
        {
            **told.facts(head, pinned),
            "volumes": numbers,
            "files": told.files(head) if files else None,
        },
        text="\n".join(told.description(head, pinned, numbers, files)),
    )


@app.command()
def verify(paths: Paths, identity: Identities = None) -> None:
    """Check signatures and every byte.

    Names each file that is damaged, and changes nothing.

    Example: goosectl bundle verify /media/courier
    """
    from bundles.check import check_volumes

    out = output.get()
    checked = check_volumes(
        paths,
        site.trust_root(),
        site.lenient_policy(),
        out.progress(),
        site.identities(identity),
    )
    checked.raise_faults()
    text = [told.summary(checked.statement), f"signed by {', '.join(checked.signers)}: good"]
    text.append(f"{len(checked.volumes)} of {len(checked.statement.volumes)} volumes read: good")
    if checked.missing:
        text.append(f"not given: {told.numbers(checked.missing)}")
    text += [f"an import here would refuse it: {code}" for code in checked.remarks]
    out.result(
        {
            "bundle": checked.statement.name,
            "version": checked.statement.version,
            "sequence": checked.statement.sequence,
            "signers": list(checked.signers),
            "volumes": list(checked.volumes),
            "missing": list(checked.missing),
            "remarks": list(checked.remarks),
            "bytes_read": checked.bytes_read,
        },
        text="\n".join(text),
    )


@app.command("import")
def import_(
    paths: Paths,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="Overrule a refusal by its code; it is recorded."),
    ] = None,
    identity: Identities = None,
) -> None:
    """Verify volumes and store what they hold.

    Volumes come in any order, in one call or several. Interrupted, run it again: it goes on.
    What was served before is served until the last byte is safe.

    Example: goosectl bundle import /media/courier
    """
    from bundles.ingest import import_volumes
    from bundles.policy import check_overrides
    from goosed_daemon import audit

    out = output.get()
    overrides = check_overrides(allow or [])
    authority, store = site.trust_root(), site.store()
    policy = site.policy(store, overrides)
    done = import_volumes(
        paths, store, authority, policy, out.progress(), site.identities(identity)
    )
    said = done.statement
    if done.overruled:
        with operator.state() as state, state.write() as transaction:
            audit.record(
                transaction,
                policy.now,
                "import-overruled",
                operator.actor(),
                bundle=said.name,
                version=said.version,
                codes=list(done.overruled),
            )
    text = [told.summary(said), f"signed by {', '.join(done.signers)}"]
    text += [f"overruled: {code}" for code in done.overruled]
    if done.missing:
        text.append(f"incomplete: still to come are volumes {told.numbers(done.missing)}")
    else:
        text.append(f"complete: served at /v1/artifacts/{said.name}/")
    text.append(f"{sizes.text(done.bytes_read)} read, {sizes.text(done.bytes_written)} written")
    out.result(
        {
            "bundle": said.name,
            "version": said.version,
            "sequence": said.sequence,
            "state": done.state,
            "missing": list(done.missing),
            "bytes_read": done.bytes_read,
            "bytes_written": done.bytes_written,
            "signers": list(done.signers),
            "overruled": list(done.overruled),
        },
        text="\n".join(text),
    )


@app.command("list")
def list_() -> None:
    """List the bundles that were imported.

    Example: goosectl bundle list
    """
    refs = site.store().refs()
    output.get().table(
        [
            {
                "bundle": ref.name,
                "version": ref.version,
                "sequence": ref.sequence,
                "served": "current" if ref.current else "by version",
                "imported": ref.imported,
                "overruled": list(ref.overruled),
            }
            for ref in refs.bundles
        ],
        [
            ("bundle", "Bundle"),
            ("version", "Version"),
            ("sequence", "Sequence"),
            ("served", "Served"),
            ("imported", "Imported"),
            ("overruled", "Overruled"),
        ],
    )
