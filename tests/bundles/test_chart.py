"""Helm charts in bundles. That Helm pulls them is shown in tests/stack."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundles.format.image import BadImage
from bundles.making import recipe
from bundles.progress import SILENT
from bundles.sources import Artifact, lock
from bundles.sources.chart import CONFIG, CONTENT
from bundles.sources.url import Downloads
from tests import registry_server
from tests.bundles.content import served
from tests.bundles.making import NOW, Workshop
from tests.bundles.test_image import push
from tests.images import Layout

CHART = (
    b"apiVersion: v2\nname: app\nversion: 1.2.3+build.4\ndescription: An app\ndeprecated: true\n"
)
RECIPE = """\
apiVersion: goose/v1
kind: Bundle
name: base
version: 1.0.0
audience: any
contents:
  - chart: {chart}
    as: charts/app
"""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with registry_server.running(tmp_path / "registry") as address:
        yield address


def package(files: dict[str, bytes]) -> bytes:
    """A chart's archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def expand(folder: Path, chart: str = "app.tgz") -> Artifact:
    path = folder / "bundle.yaml"
    path.write_text(RECIPE.format(chart=chart))
    pins = lock.read(lock.path_for(path))
    (found,) = recipe.expand(recipe.load(path), path, pins, Downloads(folder / "cache"), SILENT)
    return found


def test_a_package_is_carried_as_helm_would_push_it(tmp_path: Path) -> None:
    data = package({"app/Chart.yaml": CHART, "app/values.yaml": b"a: 1\n"})
    (tmp_path / "app.tgz").write_bytes(data)
    artifact = expand(tmp_path)
    assert artifact.named is not None
    assert artifact.named.tag == "1.2.3_build.4"
    shop = Workshop(tmp_path / "shop")
    shop.import_(*shop.build(artifacts=[artifact]))
    files = served(shop.store)
    blobs = "charts/app/blobs/sha256/"
    (top,) = json.loads(files["charts/app/index.json"][0])["manifests"]
    manifest = json.loads(files[blobs + top["digest"][7:]][0])
    assert (manifest["config"]["mediaType"], manifest["layers"][0]["mediaType"]) == (
        CONFIG,
        CONTENT,
    )
    assert files[blobs + manifest["layers"][0]["digest"][7:]][0] == data
    config = json.loads(files[blobs + manifest["config"]["digest"][7:]][0])
    assert config == {
        "apiVersion": "v2",
        "name": "app",
        "version": "1.2.3+build.4",
        "description": "An app",
    }
    assert expand(tmp_path).named == artifact.named


def chart(layout: Layout, kind: str = CONFIG) -> dict[str, object]:
    """A chart in a layout, in the spelling of another program."""
    value = {
        "schemaVersion": 2,
        "config": layout.blob(b'{ "name": "app" }', kind),
        "layers": [layout.blob(package({"app/Chart.yaml": CHART}), CONTENT)],
    }
    return layout.document(value, "application/vnd.oci.image.manifest.v1+json")


def test_a_registrys_chart_is_pinned(registry: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    top = chart(layout)
    layout.name(v1=top)
    push(layout, registry)
    path = tmp_path / "bundle.yaml"
    path.write_text(RECIPE.format(chart=f"oci://{registry}/team/app:v1"))
    made = recipe.make_lock(recipe.load(path), Downloads(tmp_path / "first"), NOW, SILENT)
    assert [pin.digest for pin in made.pins] == [top["digest"]]
    lock.write(lock.path_for(path), made)
    artifact = expand(tmp_path, f"oci://{registry}/team/app:v1")
    assert artifact.named is not None
    assert artifact.named.digest == top["digest"]
    assert expand(tmp_path, "oci:layout").named is not None


def test_image_where_a_chart_is_asked_for(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.name(v1=layout.image("linux/amd64"))
    with pytest.raises(BadImage, match="is no Helm chart") as caught:
        expand(tmp_path, "oci:layout")
    assert "`image:`" in caught.value.hint


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no gzip", "no chart as `helm package` writes it"),
        (gzip.compress(b"no tar" * 1000), "no chart as `helm package` writes it"),
        (package({"app/values.yaml": b""}), "holds no chart"),
        (package({"app/Chart.yaml": CHART})[:-40], "cut short"),
        (package({"other/Chart.yaml": CHART}), "has not the name of its folder"),
        (package({"../Chart.yaml": CHART}), "has not the name of its folder"),
        (package({"app/Chart.yaml": b"name: app\n"}), "has not the name of its folder"),
        (package({"app/Chart.yaml": b"[" * 100_000}), "no chart as"),
        (package({"app/Chart.yaml": b"{"}), "no chart as"),
        (package({"app/Chart.yaml": CHART.replace(b"1.2.3+build.4", b"../1")}), "no tag follows"),
    ],
    ids=[
        "not gzip",
        "not tar",
        "no Chart.yaml",
        "cut short",
        "another folder",
        "out of the folder",
        "no name",
        "yaml bomb",
        "broken yaml",
        "version is a path",
    ],
)
def test_package_that_is_none(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "app.tgz").write_bytes(data)
    with pytest.raises(BadImage, match=words):
        expand(tmp_path)


def test_package_that_unpacks_without_end(tmp_path: Path) -> None:
    """A hundred kilobytes of two hundred megabytes of nothing, before what is looked for."""
    head = tarfile.TarInfo("app/big")
    head.size = 200 << 20
    data = gzip.compress(head.tobuf() + bytes(200 << 20), 1)
    (tmp_path / "app.tgz").write_bytes(data)
    with pytest.raises(BadImage, match="unpacks to more than 104857600 bytes"):
        expand(tmp_path)
