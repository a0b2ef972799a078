"""goosectl infra: the site's profiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bundles.errors import UsageError
from bundles.progress import SILENT
from goosectl import output, site, sizes

if TYPE_CHECKING:
    from goosed_daemon.infra import Infra
    from goosed_daemon.infra.explain import Effective
    from goosed_daemon.infra.models import Machine

app = typer.Typer(help="Check and show the site's machines and profiles.", no_args_is_help=True)

Folder = Annotated[
    Path | None,
    typer.Argument(metavar="[PATH]", help="The folder of profiles; else the site's own."),
]
FolderOption = Annotated[
    Path | None,
    typer.Option("--folder", metavar="PATH", help="The folder of profiles; else the site's own."),
]
Name = Annotated[
    str, typer.Argument(metavar="NAME|MAC", help="The machine's name, or its MAC in any spelling.")
]


@app.command()
def validate(path: Folder = None) -> None:
    """Check all profiles, and what is rendered from them, for each machine's release.

    Every problem is reported at once, with file, line, column and field. Kickstarts are read by
    pykickstart as the release reads them, preseeds by debconf where it is installed. Of the site's
    own profiles the secrets that they name are looked at too.

    Example: goosectl infra validate examples/infra
    """
    from goosed_daemon.infra import validate as checks
    from goosed_daemon.infra.secret_check import references

    out = output.get()
    infra = _load(path)
    many = len(infra.machines) >= _MANY
    progress = out.progress("machines") if many else SILENT
    progress.start("rendering and checking", len(infra.machines))
    # Another folder's secrets are not here to be looked at.
    checks.require_accepted(infra, site.secrets() if path is None else None, progress.advance)
    progress.finish()
    counts = {"machines": len(infra.machines), "profiles": len(infra.profiles)}
    out.result(
        {"site": infra.site.name, **counts, "debconf": checks.debconf() is not None},
        text=f"{infra.site.name}: {sizes.amount(len(infra.machines), 'machine')}"
        f" and {sizes.amount(len(infra.profiles), 'profile')}"
        " are valid for their releases",
    )
    if checks.debconf() is None and any(p.installer == "preseed" for p in infra.profiles.values()):
        out.note("debconf is not installed here: preseeds were checked by their form alone")
    if path is None:
        _remark_on_content(infra)
    elif secrets := len({str(ref) for ref, _ in references(infra)}):
        verb = "was" if secrets == 1 else "were"
        out.note(f"secrets are looked at where they are kept: {secrets} {verb} not, here")


@app.command("list")
def list_(folder: FolderOption = None) -> None:
    """List the machines that the profiles describe.

    Example: goosectl infra list
    """
    out = output.get()
    infra = _load(folder)
    rows = [
        {
            "name": machine.name,
            "mac": machine.mac[0],
            "profile": machine.profile,
            "release": infra.profile_of(machine).release,
            "labels": dict(machine.labels) if out.as_json else _words(machine.labels),
            "place": str(infra.places["Machine", machine.name]),
        }
        for machine in infra.machines.values()
    ]
    out.table(rows, _COLUMNS)


@app.command()
def show(machine: Name, folder: FolderOption = None) -> None:
    """Show what a machine is installed by, and where each field of it comes from.

    Every line names the document that said so, and what it overruled. No secrets.

    Example: goosectl infra show db-1
    """
    from goosed_daemon.infra.explain import explain

    infra = _load(folder)
    found = _machine(infra, machine)
    profile, groups = infra.profile_of(found), infra.groups_of(found)
    fields = explain(infra, found)
    value = {
        "machine": _dump(found),
        "profile": _dump(profile),
        "site": _dump(infra.site_of(found)),
        "groups": [group.name for group in groups],
        "places": {
            "machine": str(infra.places["Machine", found.name]),
            "profile": str(infra.places["OSProfile", profile.name]),
            "site": str(infra.places["Site", infra.site.name]),
            "groups": [str(infra.places["Group", group.name]) for group in groups],
        },
        "fields": [asdict(field) for field in fields],
    }
    among = f", groups {', '.join(group.name for group in groups)}" if groups else ""
    head = f"# Machine {found.name}: profile {profile.name}{among}"
    output.get().result(value, text="\n".join([head, *_explained(fields)]))


@app.command()
def render(
    machine: Name,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Print secrets as the installer is told them.")
    ] = False,
    folder: FolderOption = None,
) -> None:
    """Print the file that a machine's installer would fetch. Uses no token.

    In the place of secrets it says where they come from, unless they are to be revealed.

    Example: goosectl infra render db-1
    """
    from goosed_daemon.infra import secrets
    from goosed_daemon.infra import validate as checks

    infra = _load(folder)
    found = _machine(infra, machine)
    boot = checks.placeholder(infra, found)
    shown = secrets.resolved(boot, site.secrets()) if reveal else secrets.hidden(boot)
    text = checks.rendered(shown)
    output.get().result(
        {"machine": found.name, "installer": boot.profile.installer, "text": text},
        text=text.rstrip("\n"),
    )


@app.command()
def diff(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="A folder, or a git revision of the new one.")
    ],
    new: Annotated[
        Path | None, typer.Argument(metavar="[NEW]", help="A folder; else the site's own.")
    ] = None,
) -> None:
    """Say which machines a change of the profiles would change, and how.

    Every document that a machine is given is rendered from both and compared. Machines that change
    alike are told together; with --json each by itself. Secrets are hidden: of two that are written
    out it is said that they differ.

    Example: goosectl infra diff HEAD~1 infra
    """
    from goosectl import infra_diff, revision

    after = _load(new)
    with revision.folder(old, site.home().infra if new is None else new) as folder:
        before = _load(folder)
    infra_diff.show(before, after, own=new is None)


@app.command()
def schema(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="Site, OSProfile, Group or Machine.")
    ] = None,
) -> None:
    """Print the JSON Schema of profiles, for editors: of one kind, or of all.

    A first line `# yaml-language-server: $schema=infra.schema.json` in a file tells an editor.

    Example: goosectl infra schema >infra.schema.json
    """
    import json

    from bundles.files.document import nearest
    from goosed_daemon.infra import schema as schemas
    from goosed_daemon.infra.models import KINDS

    if kind not in (None, *KINDS):
        known = f"known: {', '.join(KINDS)}"
        raise UsageError(f"no such kind {kind!r}", hint=nearest(str(kind), list(KINDS)) or known)
    made = schemas.schema(kind)
    output.get().result(made, text=json.dumps(made, indent=1))


@app.command()
def simulate(
    mac: Annotated[str, typer.Option(metavar="MAC", help="The MAC it asks with, or its name.")],
    uuid: Annotated[str | None, typer.Option(help="The UUID it reports.")] = None,
    serial: Annotated[str | None, typer.Option(help="The serial number it reports.")] = None,
    folder: FolderOption = None,
) -> None:
    """Show what a machine would get now: the decision, script, rendered file and digests.

    No token is issued or used, and nothing is written; where secrets would stand, others do.

    Example: goosectl infra simulate --mac 52:54:00:12:34:56
    """
    from dataclasses import replace

    from goosectl import local
    from goosectl.machine_words import verb
    from goosed_daemon import infra
    from goosed_daemon.admin import machines, naming

    profiles = _folder(folder)
    with local.context(looks=True) as of:
        of = replace(of, infra=lambda: infra.load_good(profiles))
        named = naming.resolve(of.infra, mac, needs_profiles=False)
        found = machines.foresee(of, named.mac, uuid, serial)
    for remark in named.remarks:
        output.get().note(remark)
    parts = [f"{named.mac} would {verb(found.outcome)}: {found.why}"]
    parts += [f"hint: {found.hint}"] if found.hint else []
    parts += ["", "The script:", "", found.script.rstrip("\n")]
    if found.rendered is not None:
        parts += ["", "The rendered file:", "", found.rendered.rstrip("\n"), "", "Fetched:", ""]
        parts += [f"{file.digest}  {file.size}  {file.path}" for file in found.artifacts]
    output.get().result(
        {
            "mac": named.mac,
            "machine": found.machine.name if found.machine is not None else None,
            "outcome": found.outcome,
            "why": found.why,
            "hint": found.hint,
            "script": found.script,
            "rendered": found.rendered,
            "artifacts": [asdict(file) for file in found.artifacts],
        },
        text="\n".join(parts),
    )


_MANY = 200  # machines; fewer are checked before anyone could read how far it is
_COLUMNS = [
    ("name", "Name"),
    ("mac", "MAC"),
    ("profile", "Profile"),
    ("release", "Release"),
    ("labels", "Labels"),
    ("place", "Written in"),
]


def _words(labels: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())


def _load(folder: Path | None) -> Infra:
    from goosed_daemon import infra

    return infra.load(_folder(folder))


def _folder(folder: Path | None) -> Path:
    folder = site.home().infra if folder is None else folder
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder" if folder.exists() else f"there is no folder {folder}",
            hint="write profiles there, or name another folder; examples/infra shows how",
        )
    return folder


def _machine(infra: Infra, name: str) -> Machine:
    from bundles.files.document import nearest
    from goosed_daemon.errors import MachineUnknown
    from goosed_daemon.infra import mac

    if (found := infra.machine(name)) is not None:
        return found
    try:
        found = infra.machine_by_mac(mac.normalise(name))
    except mac.BadMac:
        found = None
    if found is None:
        hint = nearest(name, list(infra.machines)) or "`goosectl infra list` names all machines"
        raise MachineUnknown(f"no machine has the name or MAC {name!r}", hint=hint)
    return found


def _dump(kind: Any) -> dict[str, Any]:
    """A document as it counts in the end, without secrets."""
    from goosed_daemon.infra import secrets

    shown = secrets.mapped(kind, lambda secret, path: secrets.words(secret))
    value: dict[str, Any] = shown.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return value


def _explained(fields: list[Effective]) -> Iterator[str]:
    """One line a field, like YAML, with its origin as a comment."""
    lines = [(f"{one.field}: {_inline(one.value)}", one) for one in fields]
    width = min(max((len(text) for text, _ in lines), default=0), 60)
    for text, one in lines:
        where = str(one.origin) if one.origin is not None else "default"
        others = "".join(f"; overrules {_inline(o.value)} of {o}" for o in one.overruled)
        yield f"{text.ljust(width)}  # {where}{others}"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_inline(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return str(value)


def _remark_on_content(infra: Infra) -> None:
    """Says which profiles need content that the site does not have yet."""
    from bundles.site.catalog import Catalog
    from goosed_daemon import boot
    from goosed_daemon.errors import ArtifactMissing

    catalog = Catalog(site.store())
    for profile in infra.profiles.values():
        try:
            boot.check_content(catalog, profile)
        except ArtifactMissing as missing:
            output.get().note(f"not yet: {missing.message}")
