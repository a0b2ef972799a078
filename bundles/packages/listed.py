"""Packages as a bundle's bill of materials lists them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bundles.errors import GooseError


class BadBill(GooseError):
    """A bundle's bill of materials is not one."""

    code = "bad-sbom"
    default_hint = "another program built this bundle: ask its builder"


@dataclass(frozen=True, slots=True)
class Listed:
    """A package in a bundle."""

    kind: str  # the type of its package URL
    name: str
    version: str
    arch: str  # of a wheel: the three tags of its file name
    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class Bill:
    """What a bill lists, in its order."""

    packages: tuple[Listed, ...]
    remarks: tuple[tuple[str, str], ...]  # path, why the file could not be read as a package


def read(data: bytes, where: str) -> Bill:
    """The bill that `data` encodes; fields that are not asked for do not matter.

    Raises `BadBill`.
    """
    try:
        value = json.loads(data)
        if value["bomFormat"] != "CycloneDX":
            raise BadBill(f"{where} is no bill of CycloneDX")
        components = value["components"]
        packages = tuple(_packages(components))
        return Bill(packages, tuple(_remarks(components)))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise BadBill(f"{where} cannot be read: {error!r}") from error


def _packages(components: Any) -> Iterator[Listed]:
    from packageurl import PackageURL

    for component in components:
        if "purl" in component:
            purl = PackageURL.from_string(component["purl"])
            qualifiers = dict(purl.qualifiers)
            tags = "-".join(qualifiers.get("file_name", "").removesuffix(".whl").split("-")[-3:])
            name = "/".join(filter(None, (purl.namespace, purl.name)))
            yield Listed(
                kind=purl.type,
                # Images of one name come from several registries: where it stands tells them apart.
                name=_path(component) if purl.type == "oci" else name,
                version=str(component["version"]),
                arch=qualifiers.get("arch", tags),
                path=_path(component),
                digest=str(component["hashes"][0]["content"]),
            )


def _remarks(components: Any) -> Iterator[tuple[str, str]]:
    for component in components:
        for each in component.get("properties", ()):
            if each["name"] == "goose:remark":
                yield _path(component), str(each["value"])


def _path(component: Any) -> str:
    return str(component["evidence"]["occurrences"][0]["location"])
