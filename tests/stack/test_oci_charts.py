"""Helm packages a chart, a bundle carries it, and Helm pulls it from the daemon and renders it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bundles.making import recipe
from bundles.progress import SILENT
from bundles.sources.url import Downloads
from bundles.store import LocalStore
from tests.bundles.making import Workshop
from tests.daemon.web_site import PROFILES, running
from tests.stack.charts import CHARTS, helm

RECIPE = """\
apiVersion: goose/v1
kind: Bundle
name: platform
version: 2026.11.1
audience: any
contents:
  - chart: ./nats-0.1.0+site.1.tgz
    as: charts/nats
"""


async def test_helm_pulls_the_chart_that_a_bundle_brought(tmp_path: Path) -> None:
    version = "0.1.0+site.1"  # whose plus no tag can have
    helm("package", CHARTS / "nats", "--version", version, "--destination", tmp_path)
    packaged = tmp_path / f"nats-{version}.tgz"
    path = tmp_path / "bundle.yaml"
    path.write_text(RECIPE)
    artifacts = recipe.expand(recipe.load(path), path, None, Downloads(tmp_path / "cache"), SILENT)
    shop = Workshop(tmp_path / "shop")
    async with running(tmp_path / "home", PROFILES) as lab:
        assert isinstance(lab.deps.catalog.store, LocalStore)
        shop.store = lab.deps.catalog.store
        shop.import_(*shop.build(shop.draft(name="platform"), artifacts))
        name = f"oci://{lab.url.removeprefix('http://')}/platform/charts/nats"
        out = tmp_path / "pulled"
        out.mkdir()
        words = ("pull", name, "--plain-http", "--destination", out)
        await asyncio.to_thread(helm, *words, "--version", version)
        assert [file.read_bytes() for file in out.iterdir()] == [packaged.read_bytes()]
        # The newest of a range, out of the tags that the daemon lists.
        await asyncio.to_thread(helm, *words, "--version", ">=0.0.1-0", "--untar")
        told = await asyncio.to_thread(
            helm, "template", "x", name, "--plain-http", "--version", version
        )
        assert "kind: StatefulSet" in told
