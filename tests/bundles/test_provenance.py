"""The provenance in a bundle: what it says is so, and stock tools can tell."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement as in_toto
from in_toto_attestation.v1 import statement_pb2

from bundles import digest
from bundles.files.document import InvalidDocument
from bundles.format import canonical, layout
from bundles.making import build, provenance, recipe
from bundles.making.plan import Plan, VolumeTooSmall
from bundles.progress import SILENT
from bundles.sealing import seal
from bundles.signing import agekey
from bundles.signing.sshsig import BUNDLE, signature_length
from bundles.site.catalog import Catalog
from bundles.sources import Artifact, SourceFile
from bundles.sources.lock import Lock, Pin
from bundles.sources.url import Downloads
from tests.bundles.making import Workshop, read_entries
from tests.parts import part

RECIPE = """\
apiVersion: goose/v1
kind: Bundle
name: base
version: 1.2.3
audience: [site-a, site-b]
created: 2026-11-24T12:00:00Z
contents:
  - {tree: ./tree, as: os}
  - {file: ./tree/etc/motd, as: extra/motd}
  - {url: "http://reader:secret@127.0.0.1:1/fw.bin", as: firmware/fw.bin}
"""
FIRMWARE = b"firmware"


class Built:
    """A bundle with its provenance, built from a recipe."""

    def __init__(self, shop: Workshop, volume_size: int | None = None, sealed: bool = False):
        self.shop = shop
        path = shop.folder / "base.yaml"
        path.write_text(RECIPE)
        self.recipe_bytes = path.read_bytes()
        cache = shop.folder / "cache"
        cache.mkdir(exist_ok=True)
        pinned = digest.of(FIRMWARE)
        (cache / digest.hex_of(pinned)).write_bytes(FIRMWARE)
        url = "http://reader:secret@127.0.0.1:1/fw.bin"
        pins = Lock("2026-11-24T12:00:00Z", (Pin(url, pinned, len(FIRMWARE)),))
        loaded, found = recipe.load_with_digest(path)
        draft = recipe.draft(loaded, pins, None)
        artifacts = recipe.expand(loaded, path, pins, Downloads(cache), SILENT)
        artifacts.append(provenance.expand(loaded, found, pins, draft, volume_size, artifacts))
        plan = Plan(artifacts, draft, [signature_length(shop.signer.public, BUNDLE)], volume_size)
        out = shop.folder / ("sealed" if sealed else f"out-{volume_size}")
        recipients: tuple[seal.Recipient, ...] = ()
        if sealed:
            recipients = (seal.recipient(agekey.generate(shop.folder / "age", "site")[2]),)
        self.volumes = build.build(plan, [shop.signer], out, SILENT, recipients).volumes

    def served(self) -> bytes:
        """The provenance as a site serves it."""
        self.shop.import_(*self.volumes, site="site-a")
        found = Catalog(self.shop.store).find("base", None, layout.PROVENANCE)
        assert found is not None
        return self.shop.store.read(found.digest, 1 << 20)

    def said(self) -> Any:
        return json.loads(self.served())


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_it_has_the_fields_of_in_toto_and_slsa_in_their_forms(shop: Workshop) -> None:
    said = Built(shop).said()
    assert set(said) == {"_type", "subject", "predicateType", "predicate"}
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["predicateType"] == "https://slsa.dev/provenance/v1"
    assert set(said["predicate"]) == {"buildDefinition", "runDetails"}
    definition, details = said["predicate"]["buildDefinition"], said["predicate"]["runDetails"]
    assert set(definition) == {"buildType", "externalParameters", "resolvedDependencies"}
    assert set(details) == {"builder"} and set(details["builder"]) == {"id", "version"}
    for uri in (definition["buildType"], details["builder"]["id"]):
        assert re.fullmatch(r"[a-z]+:[!-~]+", uri)
    assert len({subject["name"] for subject in said["subject"]}) == len(said["subject"])
    for resource in (*said["subject"], *definition["resolvedDependencies"]):
        assert set(resource) <= {"name", "uri", "digest"}
        [(algorithm, value)] = resource["digest"].items()
        assert algorithm in ("sha256", "dirHash") and re.fullmatch(r"[0-9a-f]{64}", value)


def test_the_library_of_in_toto_reads_every_field_of_it(shop: Workshop) -> None:
    """By the schemas that the two specifications publish, which refuse an unknown field."""
    said = Built(shop).said()
    attested = json_format.ParseDict(said, statement_pb2.Statement())
    in_toto.Statement.copy_from_pb(attested).validate()
    predicate = json_format.ParseDict(said["predicate"], provenance_pb2.Provenance())
    assert json_format.MessageToDict(predicate) == said["predicate"]
    assert predicate.build_definition.resolved_dependencies[2].uri == "http://127.0.0.1:1/fw.bin"


def test_its_subjects_are_the_documents_of_the_bundle(shop: Workshop) -> None:
    built = Built(shop)
    said = built.said()
    index = json.loads(read_entries(built.volumes[0])[1][1])
    named = {entry["annotations"][layout.REF_NAME]: entry["digest"] for entry in index["manifests"]}
    expected = {name: named[name] for name in ("os", "extra/motd", "firmware/fw.bin")}
    assert {s["name"]: "sha256:" + s["digest"]["sha256"] for s in said["subject"]} == expected


def test_its_parameters_are_the_recipe(shop: Workshop) -> None:
    built = Built(shop, volume_size=700_000)
    said = built.said()["predicate"]["buildDefinition"]["externalParameters"]
    assert said == {
        "recipe": {"digest": {"sha256": hashlib.sha256(built.recipe_bytes).hexdigest()}},
        "name": "base",
        "version": "1.2.3",
        "sequence": 1_000_002_000_003,
        "audience": ["site-a", "site-b"],
        "created": "2026-11-24T12:00:00Z",
        "expires": None,
        "volumeSize": 700_000,
        "contents": [
            {"as": "os", "tree": "./tree", "links": "follow"},
            {"as": "extra/motd", "file": "./tree/etc/motd"},
            {"as": "firmware/fw.bin", "url": "http://127.0.0.1:1/fw.bin"},
        ],
    }


def test_its_dependencies_are_what_stock_tools_find(shop: Workshop) -> None:
    said = Built(shop).said()["predicate"]["buildDefinition"]["resolvedDependencies"]
    command = "find -L . -type f | cut -c3- | LC_ALL=C sort | tr '\\n' '\\0'"
    command += " | xargs -0 sha256sum | sha256sum"
    assert command in (Path(__file__).parents[2] / "docs/bundle-format.md").read_text()
    done = subprocess.run(command, shell=True, cwd=shop.tree, capture_output=True, check=True)  # noqa: S602
    assert said == [
        {"name": "os", "digest": {"dirHash": done.stdout.decode().split()[0]}},
        {
            "name": "extra/motd",
            "digest": {"sha256": hashlib.sha256(b"welcome\n").hexdigest()},
        },
        {
            "name": "firmware/fw.bin",
            "uri": "http://127.0.0.1:1/fw.bin",
            "digest": {"sha256": hashlib.sha256(FIRMWARE).hexdigest()},
        },
    ]


def test_no_password_of_an_address_reaches_the_bundle(shop: Workshop) -> None:
    assert b"secret" not in Built(shop).served()


def test_the_hash_of_a_file_of_several_parts_is_that_of_the_whole(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Built(shop).said()["predicate"]["buildDefinition"]["resolvedDependencies"]
    monkeypatch.setattr(layout, "MAX_PART", 100_000)
    other = Workshop(shop.folder / "other")
    parts = Built(other).said()["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert parts == whole


def test_the_same_inputs_give_the_same_volumes(shop: Workshop) -> None:
    first = [path.read_bytes() for path in Built(shop, volume_size=400_000).volumes]
    for path in (shop.folder / "out-400000").iterdir():
        path.unlink()
    assert [path.read_bytes() for path in Built(shop, volume_size=400_000).volumes] == first
    assert len(first) > 1


def test_a_sealed_bundle_holds_what_the_open_one_does(shop: Workshop) -> None:
    age = part("age")
    [opened], sealed = Built(shop).volumes, Built(shop, sealed=True)
    done = subprocess.run(
        [age, "-d", "-i", next((shop.folder / "age").glob("*.agekey")), sealed.volumes[0]],
        capture_output=True,
        check=True,
    )
    assert done.stdout == opened.read_bytes()


@pytest.mark.parametrize("title", ["goose", "goose/provenance.json", "goose/other"])
def test_a_recipe_may_not_use_the_names_of_the_builder(shop: Workshop, title: str) -> None:
    path = shop.folder / "base.yaml"
    path.write_text(RECIPE.replace("as: os", f"as: {title}"))
    with pytest.raises(InvalidDocument, match="belong to the builder"):
        recipe.load(path)
    path.write_text(RECIPE.replace("as: os", "as: goosefeathers"))
    assert recipe.load(path).contents[0].title == "goosefeathers"


def _broken(known: object) -> bytes:
    return b"short"


def test_a_made_file_of_another_length_than_planned_ends_the_build(shop: Workshop) -> None:
    odd = Artifact("provenance", "goose/x", (SourceFile("x", 99, 0o644, "goose/x", _broken),))
    with pytest.raises(AssertionError, match="planned 99 bytes, made 5"):
        shop.build(artifacts=[*shop.artifacts(), odd])
    assert not list((shop.folder / "out").iterdir())


def test_a_volume_too_small_for_a_made_file_is_refused(shop: Workshop) -> None:
    odd = Artifact(
        "provenance", "goose/x", (SourceFile("x", 10**6, 0o644, "goose/x", lambda _: bytes(10**6)),)
    )
    with pytest.raises(VolumeTooSmall, match="'x'"):
        shop.build(artifacts=[*shop.artifacts(), odd], volume_size=700_000)


def test_it_is_read_as_it_was_written(shop: Workshop) -> None:
    built = Built(shop)
    said = provenance.read(built.served(), "P")
    assert said.recipe == digest.of(built.recipe_bytes)
    assert [(each.title, each.origin) for each in said.sources] == [
        ("os", "./tree"),
        ("extra/motd", "./tree/etc/motd"),
        ("firmware/fw.bin", "http://127.0.0.1:1/fw.bin"),
    ]
    assert said.sources[2].digest == digest.of(FIRMWARE)


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.update(predicateType="https://slsa.dev/provenance/v9"),
        lambda said: said.update(predicate=None),
        lambda said: said["predicate"].pop("runDetails"),
        lambda said: said["predicate"]["buildDefinition"]["resolvedDependencies"].pop(),
        lambda said: said["predicate"]["buildDefinition"].update(resolvedDependencies=7),
        lambda said: said["predicate"]["buildDefinition"]["externalParameters"].pop("recipe"),
        lambda said: said["predicate"]["buildDefinition"]["resolvedDependencies"][0].update(
            digest={}
        ),
        lambda said: said["predicate"]["buildDefinition"]["externalParameters"].update(
            contents=[[], [], []]
        ),
    ],
)
def test_provenance_of_another_form_is_refused(
    shop: Workshop, change: Callable[[Any], Any]
) -> None:
    said = Built(shop).said()
    change(said)
    with pytest.raises(provenance.BadProvenance):
        provenance.read(canonical.dumps(said), "P")
    with pytest.raises(provenance.BadProvenance):
        provenance.read(b"[]", "P")
