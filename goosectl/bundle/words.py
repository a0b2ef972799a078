"""What the commands about bundles say of one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from bundles.errors import shown
from goosectl import sizes

if TYPE_CHECKING:
    from bundles.format.statement import Statement
    from bundles.making.build import Built
    from bundles.making.provenance import Provenance
    from bundles.reading.base import Base
    from bundles.reading.verify import TrustedHead

TEMPLATE = """\
apiVersion: goose/v1
kind: Bundle
name: {name}
version: {version}
audience: any                 # or the ids of the sites it is for: [site-a]
contents:
  - tree: ./content           # a folder, with all files below it
    as: content
"""


#: What is said of a volume list's remark; docs/bundle-format.md, "The volume list".
REMARKS = {
    "no-volume-list": "no volume list is here: each volume was checked by what it holds",
    "unsigned-volume-list": "the volume list is NOT signed by enough signers, and was left aside",
    "volume-not-as-listed": "sealed or opened since the list was signed: not compared with it",
}


def summary(said: Statement) -> str:
    """A bundle in one line."""
    totals = said.totals
    return (
        f"{said.name} {said.version} (sequence {said.sequence}):"
        f" {sizes.amount(totals.files, 'file')}, {sizes.text(totals.bytes)}"
    )


def line(path: Path) -> str:
    """A file that was written."""
    return f"  {path}"


def numbers(of: tuple[int, ...]) -> str:
    """Volume numbers as a list."""
    return ", ".join(map(str, of))


def delta(base: Base, built: Built) -> dict[str, object]:
    """What scripts are told of a delta that was built."""
    saved = built.saved
    return {
        "base": [f"{bundle.name} {bundle.version}" for bundle in base.bundles],
        "changed_bytes": saved.changed_bytes if saved else 0,
        "new_layers": saved.new_layers if saved else 0,
    }


def savings(base: Base, built: Built) -> list[str]:
    """What people are told of a delta that was built."""
    from bundles.reading.missing import named

    total, saved = built.statement.totals.bytes, built.saved
    changed = saved.changed_bytes if saved else 0
    part = f", {built.bytes / changed:.3f} times that on the media" if changed else ""
    on = named(base.bundles)
    return [f"a delta on {on}: {sizes.text(changed)} of {sizes.text(total)} are new{part}"]


def builds_on(head: TrustedHead) -> list[str]:
    """The bundles that a delta needs at the site."""
    return [f"{b.name} {b.version}" for b in head.delta.bundles] if head.delta else []


def facts(head: TrustedHead, pinned: bool) -> dict[str, object]:
    """What scripts are told by `inspect`."""
    said = head.statement
    return {
        "bundle": said.name,
        "version": said.version,
        "sequence": said.sequence,
        "audience": list(said.audience) or "any",
        "created": said.created,
        "expires": said.expires,
        "root": said.root,
        "builds_on": builds_on(head),
        "signers": list(head.signers),
        "trusted": pinned,
        "of": len(said.volumes),
        "artifacts": [
            {"title": title, "files": files, "bytes": size}
            for title, (files, size) in artifacts(head).items()
        ],
        "bytes": said.totals.bytes,
    }


def artifacts(head: TrustedHead) -> dict[str, tuple[int, int]]:
    """Files and bytes of each artifact, by title."""
    files, size = Counter[str](), Counter[str]()
    for content in head.contents:
        files[content.artifact] += content.layer.part == 1
        size[content.artifact] += content.layer.size
    return {title: (files[title], size[title]) for title in files}


def description(
    head: TrustedHead, vouched: str, numbers: list[int], origin: Provenance | None = None
) -> list[str]:
    """What people are told of a bundle's head, line by line, and of where its content is from."""
    said = head.statement
    lines = [
        summary(said),
        f"for       {', '.join(said.audience) or 'any site'}",
        f"created   {said.created or 'not stated'}; expires {said.expires or 'never'}",
        f"signed by {', '.join(head.signers) or 'nobody'} ({vouched})",
        f"volumes   {', '.join(map(str, numbers))} of {len(said.volumes)} given",
    ]
    if base := builds_on(head):
        lines.insert(1, f"delta     on {', '.join(base)}, which must be imported first")
    if origin:
        lines.append(f"built by  goosectl {shown(origin.version)} from the recipe {origin.recipe}")
    sources = {source.title: source for source in origin.sources} if origin else {}
    for title, (count, size) in artifacts(head).items():
        lines.append(f"  {title}: {sizes.amount(count, 'file')}, {sizes.text(size)}")
        if source := sources.get(title):
            lines.append(f"    from {shown(source.origin)}, {source.digest}")
    return lines
