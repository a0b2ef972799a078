"""containerd, as a node of a cluster runs it, pulls from /v2 over HTTPS as docs/images.md says."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundles.progress import SILENT
from bundles.site import extract
from bundles.site.catalog import Catalog
from bundles.store import LocalStore
from tests import containerd
from tests.bundles.making import Workshop
from tests.containerd import Ctr
from tests.daemon.test_web_registry import NAME, expand, run
from tests.daemon.tls_site import running_tls
from tests.images import Layout
from tests.parts import part

DOCS = Path(__file__).parents[2] / "docs/images.md"


@pytest.fixture
def ctr() -> Iterator[Ctr]:
    folder = tempfile.mkdtemp(prefix="goose-")
    try:
        with containerd.running(Path(folder)) as ctr:
            yield ctr
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def hosts(folder: Path, host: str, authority: Path | None) -> Path:
    """The folder certs.d with what the page says of HOST."""
    blocks = re.findall(r"(?:^    .*\n)+", DOCS.read_text(), re.MULTILINE)
    (said,) = (block for block in blocks if 'server = "https://HOST"' in block)
    text = "\n".join(line.removeprefix("    ") for line in said.splitlines())
    text = text.replace("HOST", host).replace("/etc/containerd/certs.d", str(folder))
    if authority is None:
        text = "\n".join(line for line in text.splitlines() if " ca = " not in line)
    (folder / host).mkdir(parents=True)
    (folder / host / "hosts.toml").write_text(text)
    if authority is not None:
        shutil.copy(authority, folder / host / "ca.crt")
    return folder


async def test_a_node_pulls_what_a_bundle_brought(ctr: Ctr, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    top = layout.index([layout.image(each) for each in ("linux/amd64", "linux/arm64")])
    layout.name(v1=top)
    artifacts = expand(tmp_path, layout.folder, "    platforms: [linux/amd64]\n")
    shop = Workshop(tmp_path / "shop")
    async with running_tls(tmp_path / "home") as site:
        assert isinstance(site.lab.deps.catalog.store, LocalStore)
        shop.store = site.lab.deps.catalog.store
        shop.import_(*shop.build(artifacts=artifacts))
        host = f"127.0.0.1:{site.port}"
        pull = ["images", "pull", "--snapshotter", "native", "--platform", "linux/amd64"]
        for reference in (f"{host}/{NAME}:v1", f"{host}/{NAME}@{top['digest']}"):
            known = hosts(tmp_path / f"certs-{len(reference)}", host, site.ca)
            await asyncio.to_thread(ctr, *pull, "--hosts-dir", known, reference)
            listed = await asyncio.to_thread(ctr, "images", "ls", f"name=={reference}")
            assert top["digest"] in listed
        unknown = hosts(tmp_path / "stranger", host, None)
        with pytest.raises(AssertionError, match="certificate"):
            await asyncio.to_thread(ctr, *pull, "--hosts-dir", unknown, f"{host}/{NAME}:v1")


async def test_a_node_imports_what_was_taken_out_of_the_store(ctr: Ctr, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    top = layout.index([layout.image(each) for each in ("linux/amd64", "linux/arm64")])
    layout.name(v1=top)
    artifacts = expand(tmp_path, layout.folder, "    platforms: [linux/amd64]\n")
    shop = Workshop(tmp_path / "shop")
    shop.import_(*shop.build(artifacts=artifacts))
    catalog = Catalog(shop.store)
    (ref,) = catalog.refs().bundles
    files, out = extract.below(catalog, ref, "images/app"), tmp_path / "app.oci"
    extract.extract_folder(shop.store, files, "images/app", out, SILENT)
    archive = tmp_path / "app.tar"
    await run(part("tar"), "-C", out, "-cf", archive, ".")
    words = ["--no-unpack", "--platform", "linux/amd64", "--base-name", "docker.io/site/app"]
    assert all(word in DOCS.read_text() for word in words[1:4])
    await asyncio.to_thread(ctr, "images", "import", *words, archive)
    assert top["digest"] in await asyncio.to_thread(
        ctr, "images", "ls", "name==docker.io/site/app:v1"
    )
