"""The bill of materials of a release (CycloneDX 1.6, ECMA-424): every package, what it is licensed
as, what it stands on, and the wheels of it that the wheelhouse holds."""

from __future__ import annotations

import email
import hashlib
import io
import uuid
import zipfile
from collections import defaultdict
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from wheelhouse import Wheelhouse


def of(house: Wheelhouse, own: Path, epoch: int) -> str:
    """The bill, as JSON. Its serial number follows from the wheels: made again it is the same."""
    packages: dict[str, list[str]] = defaultdict(list)
    for name in sorted(house.files):
        packages[canonicalize_name(name.split("-")[0])].append(name)
    metadata = {name: _metadata(house.files[names[0]]) for name, names in packages.items()}
    components = {
        name: _component(name, metadata[name], {each: house.files[each] for each in names})
        for name, names in packages.items()
    }
    root = components.pop(canonicalize_name(own.name.split("-")[0]))
    root.type = ComponentType.APPLICATION
    sums = "".join(hashlib.sha256(house.files[name]).hexdigest() for name in sorted(house.files))
    made = datetime.fromtimestamp(epoch, UTC)
    bom = Bom(
        components=components.values(),
        metadata=BomMetaData(component=root, timestamp=made),
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"goose-release:{sums}"),
    )
    known = {**components, root.name: root}
    for name, component in known.items():
        needed = _needed(metadata[name])
        bom.register_dependency(component, [known[each] for each in sorted(needed & set(known))])
    written = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    return written.output_as_string(indent=2) + "\n"


def _component(name: str, metadata: Message, files: dict[str, bytes]) -> Component:
    version = str(metadata["Version"])
    declared = str(metadata["License-Expression"] or metadata["License"] or "").strip()
    # Some put the whole text there, which names nothing.
    licenses = [LicenseFactory().make_from_string(declared)] if 0 < len(declared) <= 100 else []
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=name,
        purl=PackageURL("pypi", None, name, version),
        licenses=licenses,
        components=[
            Component(
                type=ComponentType.FILE,
                name=file,
                bom_ref=file,
                hashes=[
                    HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(data).hexdigest())
                ],
            )
            for file, data in files.items()
        ],
    )


def _metadata(wheel: bytes) -> Message:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def _needed(metadata: Message) -> set[str]:
    """What it stands on, under any condition; what no wheel is here of does not count."""
    return {
        canonicalize_name(Requirement(text).name) for text in metadata.get_all("Requires-Dist", ())
    }
