"""What a bundle holds and where it is from, for people and for scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bundles.errors import GooseError
from goosectl import sizes

if TYPE_CHECKING:
    from bundles.making.provenance import Provenance
    from bundles.site.catalog import StoredFile
    from bundles.site.ingest import OpenVolume


def provenance(
    volumes: Sequence[OpenVolume],
) -> tuple[Provenance | None, GooseError | None]:
    """What the builder wrote down, or why it cannot be read from these volumes."""
    from bundles.format.layout import PROVENANCE
    from bundles.making import provenance as provenances
    from bundles.site import view

    try:
        return provenances.read(view.of_volumes(volumes).added(PROVENANCE), PROVENANCE), None
    except GooseError as error:
        return None, error


def origin_facts(origin: Provenance) -> dict[str, object]:
    """For scripts."""
    return {
        "builder": origin.builder,
        "version": origin.version,
        "recipe": origin.recipe,
        "sources": [
            {"title": each.title, "from": each.origin, "digest": each.digest}
            for each in origin.sources
        ],
    }


def folder_facts(files: Mapping[str, StoredFile], depth: int) -> list[dict[str, object]]:
    """Files and bytes below each folder, `depth` levels down, for scripts."""
    count, size = _below(files, depth)
    return [{"path": path, "files": count[path], "bytes": size[path]} for path in sorted(count)]


def folder_lines(files: Mapping[str, StoredFile], depth: int) -> list[str]:
    """The same for people."""
    count, size = _below(files, depth)
    return [
        f"    {'  ' * path.count('/')}{path.rpartition('/')[2]}/"
        f"  {sizes.amount(count[path], 'file')}, {sizes.text(size[path])}"
        for path in sorted(count, key=lambda path: path.split("/"))
    ]


def file_facts(files: Mapping[str, StoredFile]) -> list[dict[str, object]]:
    """Every file, for scripts; the digest is that of the whole file, `parts` are its layers."""
    return [
        {
            "path": each.path,
            "size": each.size,
            "mode": f"{each.mode:04o}",
            "digest": each.digest,
            "parts": [{"digest": part.digest, "size": part.size} for part in each.parts],
        }
        for each in files.values()
    ]


def file_lines(files: Mapping[str, StoredFile]) -> list[str]:
    """Every file, for people."""
    return [
        f"    {each.mode:04o} {each.size:>13} {each.digest[7:19]} {each.path}"
        for each in files.values()
    ]


def _below(files: Mapping[str, StoredFile], depth: int) -> tuple[Counter[str], Counter[str]]:
    count, size = Counter[str](), Counter[str]()
    for path, file in files.items():
        parents = path.split("/")[:-1][:depth]
        for level in range(1, len(parents) + 1):
            folder = "/".join(parents[:level])
            count[folder] += 1
            size[folder] += file.size
    return count, size
