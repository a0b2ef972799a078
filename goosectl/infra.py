"""goosectl infra: the site's profiles."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bundles.errors import UsageError
from goosectl import output, site

if TYPE_CHECKING:
    from goosed_daemon.infra import Infra
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
    pykickstart as the release reads them, preseeds by debconf where it is installed.

    Example: goosectl infra validate examples/infra
    """
    from goosed_daemon.infra import validate as checks

    out = output.get()
    infra = _load(path)
    checks.require_accepted(infra)
    counts = {"machines": len(infra.machines), "profiles": len(infra.profiles)}
    out.result(
        {"site": infra.site.name, **counts, "debconf": checks.debconf() is not None},
        text=f"{infra.site.name}: {counts['machines']} machines and {counts['profiles']} profiles"
        " are valid for their releases",
    )
    if checks.debconf() is None and any(p.installer == "preseed" for p in infra.profiles.values()):
        out.note("debconf is not installed here: preseeds were checked by their form alone")
    if path is None:
        _remark_on_content(infra)


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
    """Show a machine and the profile it is installed with, as they are read. No secrets.

    Example: goosectl infra show db-1
    """
    import yaml

    infra = _load(folder)
    found = _machine(infra, machine)
    profile = infra.profile_of(found)
    value = {
        "machine": _dump(found),
        "profile": _dump(profile),
        "site": _dump(infra.site),
        "places": {
            "machine": str(infra.places["Machine", found.name]),
            "profile": str(infra.places["OSProfile", profile.name]),
            "site": str(infra.places["Site", infra.site.name]),
        },
    }
    output.get().result(value, text=yaml.safe_dump(value, sort_keys=False).rstrip())


@app.command()
def render(machine: Name, folder: FolderOption = None) -> None:
    """Print the file that a machine's installer would fetch. Uses no token.

    It holds password hashes, as the installer needs them. Example: goosectl infra render db-1
    """
    from goosed_daemon.infra import validate as checks

    infra = _load(folder)
    found = _machine(infra, machine)
    boot = checks.placeholder(infra, found)
    text = checks.rendered(boot)
    output.get().result(
        {"machine": found.name, "installer": boot.profile.installer, "text": text},
        text=text.rstrip("\n"),
    )


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
        of = replace(of, infra=lambda: infra.load(profiles))
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
    from bundles.document import nearest
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
    shown: dict[str, Any] = _without_secrets(
        kind.model_dump(mode="json", by_alias=True, exclude_unset=True)
    )
    return shown


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "(not shown)" if key.lower().endswith("passwordhash") else _without_secrets(item)
            for key, item in value.items()
        }
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


def _remark_on_content(infra: Infra) -> None:
    """Says which profiles need content that the site does not have yet."""
    from bundles.catalog import Catalog
    from goosed_daemon import boot
    from goosed_daemon.errors import ArtifactMissing

    catalog = Catalog(site.store())
    for profile in infra.profiles.values():
        try:
            boot.check_content(catalog, profile)
        except ArtifactMissing as missing:
            output.get().note(f"not yet: {missing.message}")
