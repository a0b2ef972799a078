"""examples/bundles/platform.yaml: one bundle brings every image that the charts use."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import bundles
from bundles.making import recipe
from bundles.progress import SILENT
from bundles.sources import lock
from bundles.sources.reference import Local, Remote
from bundles.sources.url import Downloads
from bundles.store import LocalStore
from tests import registry_server
from tests.bundles.making import NOW, Workshop
from tests.daemon.web_site import PROFILES, running
from tests.images import Layout
from tests.observability import ROOT
from tests.parts import part
from tests.stack.charts import CHARTS, DEV, built, helm, render

PLATFORM = ROOT / "examples/bundles/platform.yaml"


def images(value: Any) -> Iterator[str]:
    """Whatever is the image of something below `value`."""
    if isinstance(value, dict):
        if isinstance(value.get("image"), str):
            yield value["image"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from images(each)


def used(*words: object) -> set[str]:
    """The images of the umbrella chart with everything switched on."""
    return set(images(render("goose", "-f", DEV, *words)))


def test_it_names_every_image_of_the_charts_and_no_other() -> None:
    named = set()
    for entry in recipe.load(PLATFORM).contents:
        of = entry.oci
        if isinstance(of, Remote):
            named.add(str(of).removeprefix("docker://"))
            assert of.name == entry.title, "the name that global.imageRegistry is put before"
        elif isinstance(of, Local) and entry.kind == "image":
            named.add(f"{entry.title}:{of.name}")
    assert named == used()


def test_it_carries_the_chart_of_this_checkout() -> None:
    said = yaml.safe_load((CHARTS / "goose/Chart.yaml").read_text())
    (entry,) = (e for e in recipe.load(PLATFORM).contents if e.kind == "chart")
    assert entry.chart == f"../../dist/{said['name']}-{said['version']}.tgz"
    assert f"--version {said['version']} " in PLATFORM.read_text()
    assert yaml.safe_load((CHARTS / "goosed/Chart.yaml").read_text())["appVersion"] == (
        bundles.__version__
    ), "the tag of the image that `make image` makes"


async def test_a_sealed_cluster_finds_all_of_it_at_the_daemon(tmp_path: Path) -> None:
    """With stand-ins for the images, in a registry in the place of those that they are in: locked,
    built, imported and pulled under the names that the charts say."""
    built()
    helm("package", CHARTS / "goose", "--destination", tmp_path)
    stand_ins: dict[str, str] = {}
    with registry_server.running(tmp_path / "registry") as registry:
        text = PLATFORM.read_text()
        entries = re.findall(r"image: (\S+)\n    as: (\S+)", text)
        for number, (name, served) in enumerate(entries):
            layout = Layout(tmp_path / f"image{number}")
            image = layout.image("linux/amd64", 1000 + number)
            layout.name(**{"0.1.0": image})
            new = f"oci:{layout.folder}:0.1.0"
            if not name.startswith("oci:"):
                top = layout.index([image, layout.image("linux/arm64")])
                layout.name(v1=top)
                new = f"{registry}/{name.partition('/')[2]}"
                push = [part("oras"), "cp", "--from-oci-layout", f"{layout.folder}:v1"]
                command = [*push, "--to-plain-http", new]
                await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
                image = top
            text = text.replace(name, new)
            stand_ins[served] = image["digest"]
        path = tmp_path / "platform.yaml"
        path.write_text(text.replace("../../dist", str(tmp_path)))
        loaded, downloads = recipe.load(path), Downloads(tmp_path / "cache")
        pins = await asyncio.to_thread(recipe.make_lock, loaded, downloads, NOW, SILENT)
        lock.write(lock.path_for(path), pins)
    artifacts = recipe.expand(loaded, path, pins, downloads, SILENT)
    shop = Workshop(tmp_path / "shop")
    async with running(tmp_path / "home", PROFILES) as lab:
        assert isinstance(lab.deps.catalog.store, LocalStore)
        shop.store = lab.deps.catalog.store
        shop.import_(*shop.build(shop.draft(name="platform"), artifacts))
        host = f"{lab.url.removeprefix('http://')}/platform"
        chart = [f"oci://{host}/charts/goose", "--plain-http", "--version", "0.1.0"]
        said = await asyncio.to_thread(
            helm, "template", "goose", *chart, "-f", DEV, "--set", f"global.imageRegistry={host}"
        )
        wanted = set(images(list(yaml.safe_load_all(said))))
        assert {n.removeprefix(f"{host}/").rpartition(":")[0] for n in wanted} == set(stand_ins)
        for name in wanted:
            crane = [part("crane"), "pull", "--insecure", "--platform=linux/amd64", name]
            command = [*crane, tmp_path / "pulled.tar"]
            await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
            digest = await asyncio.to_thread(
                subprocess.run,
                [part("crane"), "digest", "--insecure", name],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            served = name.removeprefix(f"{host}/").rpartition(":")[0]
            assert digest.stdout.strip() == stand_ins[served]
