"""The bill of materials of a bundle: which software packages it holds, and where.

Source: CycloneDX 1.6 (ECMA-424), JSON. It stands in the bundle as an artifact of its own. What it
lists is docs/bundle-format.md, "Bill of materials".

The JSON is written here, since cyclonedx-python-lib takes over a millisecond for a package: longer
than to read, hash and write most of them. It says which licences SPDX knows, and in the tests it
reads every field of what is written here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from functools import cache

import bundles
from bundles import digest as digests
from bundles import packages
from bundles.format import canonical, layout
from bundles.format.statement import Statement
from bundles.packages import NotAPackage, Package
from bundles.progress import Progress
from bundles.sources import made
from bundles.sources.artifact import Artifact, Known, Named, SourceFile, unreadable

FILES, BYTES, REMARK = "goose:files", "goose:bytes", "goose:remark"  # properties of components
_BUNDLE = f"{layout.RESERVED}/bundle"  # a reference that no path in the bundle can be


def expand(said: Statement, before: Sequence[Artifact], progress: Progress) -> Artifact:
    """The bill of the artifacts `before` it. Raises `SourceFault` when a package cannot be read."""
    before = tuple(before)
    found = list(_components(before, progress))

    def make(known: Known) -> bytes:
        listed = [
            component if number is None else component | {"hashes": [_hash(known.files[number])]}
            for number, component in found
        ]
        bill = _bill(said, listed)
        # The same bill has the same number, another bill another one (RFC 9562, section 5.5).
        number = uuid.uuid5(uuid.NAMESPACE_URL, digests.of(canonical.dumps(bill)))
        return canonical.dumps(bill | {"serialNumber": f"urn:uuid:{number}"})

    return made.expand("sbom", layout.SBOM, make, before)


def _bill(said: Statement, components: list[dict[str, object]]) -> dict[str, object]:
    subject = {"type": "data", "bom-ref": _BUNDLE, "name": said.name, "version": said.version}
    tool = {"type": "application", "name": "goosectl", "version": bundles.__version__}
    metadata: dict[str, object] = {"component": subject, "tools": {"components": [tool]}}
    if said.created is not None:
        metadata["timestamp"] = said.created
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": components,
        # A tree's files that are no packages are counted, not listed.
        "compositions": [{"aggregate": "incomplete", "assemblies": [_BUNDLE]}],
    }


def _components(
    artifacts: Sequence[Artifact], progress: Progress
) -> Iterator[tuple[int | None, dict[str, object]]]:
    """The components in the order of the bundle, each with the number of the file that it is."""
    number = 0
    if any(packages.is_package(file.path) for each in artifacts for file in each.files):
        progress.start("reading packages", None)
    for artifact in artifacts:
        single = layout.holds_one_file(layout.ARTIFACT_TYPES[artifact.kind])
        if artifact.named is not None:
            yield None, _image(artifact, artifact.named)
        elif not single:
            yield None, _tree(artifact)
        for file in artifact.files:
            path = artifact.title if single else f"{artifact.title}/{file.path}"
            if artifact.named is not None:
                pass  # what is in its layers is its maker's to say
            elif packages.is_package(file.path):
                progress.advance(0, path)
                yield number, _located(_package(file), path)
            elif single:
                yield number, _located({"type": "file", "name": path}, path)
            number += 1
    progress.finish()


def _tree(artifact: Artifact) -> dict[str, object]:
    size = sum(file.size for file in artifact.files)
    properties = [(BYTES, str(size)), (FILES, str(len(artifact.files)))]
    return {"type": "data", "name": artifact.title, "properties": _properties(properties)}


def _image(artifact: Artifact, named: Named) -> dict[str, object]:
    """An image or a chart by the digest of its own manifest (package-url, type "oci")."""
    from packageurl import PackageURL

    qualifiers = {"repository_url": named.repository, "tag": named.tag}
    name = (named.repository or artifact.title).rpartition("/")[2]
    purl = PackageURL(
        "oci", None, name, named.digest, {key: text for key, text in qualifiers.items() if text}
    )
    component: dict[str, object] = {
        "type": "container" if artifact.kind == "image" else "application",
        "name": artifact.title,
        "version": named.tag or named.digest,
        "purl": purl.to_string(),
        "hashes": [_hash(named.digest)],
    }
    return _located(component, artifact.title)


def _package(file: SourceFile) -> dict[str, object]:
    try:
        found = packages.read(file.location, file.path)
    except NotAPackage as error:
        remark = _properties([(REMARK, str(error))])
        return {"type": "file", "name": file.path.rsplit("/", 1)[-1], "properties": remark}
    except OSError as error:
        raise unreadable(file.location, error) from error
    return _described(found)


def _described(package: Package) -> dict[str, object]:
    described: dict[str, object] = {
        "type": "library",
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
    }
    if package.license:
        described["licenses"] = [_license(package.license)]
    return described


@cache
def _license(text: str) -> dict[str, object]:
    """A licence as the package declares it: by SPDX's name where it is one."""
    from cyclonedx.spdx import is_expression, is_supported_id

    declared = {"acknowledgement": "declared"}
    if is_supported_id(text):
        return {"license": {"id": text, **declared}}
    if is_expression(text):
        return {"expression": text, **declared}
    return {"license": {"name": text, **declared}}


def _located(component: dict[str, object], path: str) -> dict[str, object]:
    return component | {"evidence": {"occurrences": [{"location": path}]}}


def _properties(pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _hash(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digests.hex_of(digest)}
