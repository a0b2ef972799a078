"""The bill of materials in a bundle: whole, valid, the same each time, and small."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import bundles
from bundles import packages
from bundles.format import layout
from bundles.making import sbom
from bundles.progress import SILENT
from bundles.site.catalog import Catalog
from bundles.sources import Artifact, SourceFault, SourceFile, files, tree
from bundles.sources.artifact import Known
from tests.bundles import packaging
from tests.bundles.making import Workshop


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    shop = Workshop(tmp_path)
    (shop.tree / "Packages").mkdir()
    return shop


def built(shop: Workshop, artifacts: list[Artifact] | None = None, out: str = "out") -> list[Path]:
    artifacts = shop.artifacts() if artifacts is None else artifacts
    draft = shop.draft(created="2026-11-24T12:00:00Z")
    bill = sbom.expand(draft, artifacts, SILENT)
    return shop.build(draft, [*artifacts, bill], out=out)


def served(shop: Workshop) -> bytes:
    """The bill as a site serves it."""
    found = Catalog(shop.store).find("base", None, layout.SBOM)
    assert found is not None
    return shop.store.read(found.digest, 1 << 24)


def bill(shop: Workshop, artifacts: list[Artifact] | None = None) -> Any:
    shop.import_(*built(shop, artifacts))
    return json.loads(served(shop))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_lists_packages_files_and_trees(shop: Workshop) -> None:
    folder = shop.tree / "Packages"
    rpm = packaging.rpm(folder, epoch=2)
    damaged = folder / "zz-damaged.rpm"
    damaged.write_bytes(rpm.read_bytes()[:2000])
    artifacts = [tree.expand(shop.tree, "os"), files.expand(shop.tree / "etc/motd", "extra/motd")]
    said = bill(shop, artifacts)
    found = {
        component.get("evidence", {}).get("occurrences", [{}])[0].get("location"): component
        for component in said["components"]
    }
    size = sum(file.size for file in artifacts[0].files)
    assert found[None] == {
        "type": "data",
        "name": "os",
        "properties": [
            {"name": "goose:bytes", "value": str(size)},
            {"name": "goose:files", "value": str(len(artifacts[0].files))},
        ],
    }
    path = f"os/Packages/{rpm.name}"
    assert found[path] == {
        "type": "library",
        "name": "hello",
        "version": "2:1.2.3-4.el9",
        "purl": "pkg:rpm/hello@1.2.3-4.el9?arch=noarch&epoch=2",
        "licenses": [{"expression": "GPL-2.0-or-later AND MIT", "acknowledgement": "declared"}],
        "hashes": [{"alg": "SHA-256", "content": digest(rpm)}],
        "evidence": {"occurrences": [{"location": path}]},
    }
    assert found["extra/motd"] == {
        "type": "file",
        "name": "extra/motd",
        "hashes": [{"alg": "SHA-256", "content": digest(shop.tree / "etc/motd")}],
        "evidence": {"occurrences": [{"location": "extra/motd"}]},
    }
    remark = {"name": "goose:remark", "value": "is cut short"}
    assert found["os/Packages/zz-damaged.rpm"]["type"] == "file"
    assert found["os/Packages/zz-damaged.rpm"]["properties"] == [remark]
    assert len(said["components"]) == 4


def test_a_package_that_is_an_artifact_of_its_own_is_listed_once(shop: Workshop) -> None:
    path = packaging.deb(shop.folder)
    said = bill(shop, [files.expand(path, "tools/hello.deb")])
    [found] = said["components"]
    assert (found["purl"], found["type"]) == ("pkg:deb/hello@1:1.2-3?arch=amd64", "library")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("MIT", {"license": {"id": "MIT", "acknowledgement": "declared"}}),
        ("GPLv2+ and MIT", {"license": {"name": "GPLv2+ and MIT", "acknowledgement": "declared"}}),
        ("((((MIT", {"license": {"name": "((((MIT", "acknowledgement": "declared"}}),
    ],
)
def test_a_licence_is_what_the_package_declares(
    shop: Workshop, text: str, said: dict[str, object]
) -> None:
    packaging.rpm(shop.tree / "Packages", license=text)
    [found] = [c for c in bill(shop)["components"] if c["type"] == "library"]
    assert found["licenses"] == [said]


@pytest.mark.filterwarnings("ignore:The Component this BOM is describing")  # it has no graph
def test_the_library_of_cyclonedx_reads_every_field_of_it(shop: Workshop) -> None:
    folder = shop.tree / "Packages"
    for name, license_ in (("one", "MIT"), ("two", "GPLv2+"), ("three", "MIT OR BSD-3-Clause")):
        packaging.rpm(folder, name, license=license_)
    packaging.wheel(folder)
    (folder / "none.deb").write_bytes(b"garbage")
    said = bill(shop)
    again = json.loads(JsonV1Dot6(Bom.from_json(said)).output_as_string())
    # The library sorts, writes each graph's edges, and knows no compositions.
    assert said.pop("compositions") == [{"aggregate": "incomplete", "assemblies": ["goose/bundle"]}]
    again.pop("dependencies", None)
    for component in (*again["components"], again["metadata"]["component"]):
        component.pop("bom-ref", None)
    said["metadata"]["component"].pop("bom-ref")
    # 12:00:00Z and 12:00:00+00:00 are one moment.
    again["metadata"]["timestamp"] = again["metadata"]["timestamp"].replace("+00:00", "Z")

    def key(component: Any) -> str:
        return json.dumps(component, sort_keys=True)

    assert sorted(again.pop("components"), key=key) == sorted(said.pop("components"), key=key)
    assert again == said
    assert said["metadata"]["component"] == {"type": "data", "name": "base", "version": "1.0.0"}


def test_the_schema_of_cyclonedx_takes_it(shop: Workshop) -> None:
    """The published schema of 1.6, and no field beside it."""
    packaging.rpm(shop.tree / "Packages", "one", license="GPLv2+")
    packaging.wheel(shop.tree / "Packages")
    said = bill(shop)
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert len(said["components"]) >= 3
    assert validator.validate_str(json.dumps(said)) is None
    said["components"][0]["version"] = 1
    assert validator.validate_str(json.dumps(said)) is not None


def test_the_same_content_has_the_same_bill(shop: Workshop) -> None:
    packaging.rpm(shop.tree / "Packages")
    [first], [second] = built(shop, out="one"), built(shop, out="two")
    assert first.read_bytes() == second.read_bytes()


def test_another_content_has_another_serial_number(shop: Workshop) -> None:
    first = bill(shop)["serialNumber"]
    (shop.tree / "etc/motd").write_bytes(b"WELCOME\n")
    other = Workshop(shop.folder / "other")
    other.tree = shop.tree
    assert bill(other)["serialNumber"] != first


def test_another_version_of_goose_has_another_serial_number(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bill(shop)["serialNumber"]
    monkeypatch.setattr(bundles, "__version__", "99")
    other = Workshop(shop.folder / "other")
    other.tree = shop.tree
    assert bill(other)["serialNumber"] != first


def test_a_tree_of_many_files_has_a_small_bill_and_no_file_of_it_is_opened(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(packages, "read")
    many = Artifact(
        "tree", "os", tuple(SourceFile(f"d/{i}", 1, 0o644, "/nowhere") for i in range(200_000))
    )
    began = time.monotonic()
    made = sbom.expand(shop.draft(), [many], SILENT)
    assert made.files[0].size < 1000
    assert time.process_time() - began < 2


def test_its_length_does_not_depend_on_digests(shop: Workshop) -> None:
    packaging.rpm(shop.tree / "Packages")
    artifacts = shop.artifacts()
    [file] = sbom.expand(shop.draft(), artifacts, SILENT).files
    assert file.make is not None
    count = sum(len(artifact.files) for artifact in artifacts)
    known = Known([f"sha256:{i:064x}" for i in range(count)], ["sha256:" + "f" * 64] * 2)
    assert len(file.make(known)) == file.size


def test_a_package_that_cannot_be_read_ends_the_build(shop: Workshop) -> None:
    gone = SourceFile("a.rpm", 1, 0o644, str(shop.folder / "gone.rpm"))
    with pytest.raises(SourceFault, match=r"gone\.rpm: No such file"):
        sbom.expand(shop.draft(), [Artifact("tree", "os", (gone,))], SILENT)
