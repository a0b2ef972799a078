"""/v2 over real sockets: real clients pull what a bundle brought, byte for byte, and are refused as
the specification says."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from bundles.making import recipe
from bundles.progress import SILENT
from bundles.signing.policy import Policy
from bundles.site import ingest
from bundles.sources import Artifact, SourceFile
from bundles.sources.url import Downloads
from bundles.store import LocalStore
from tests.bundles.making import NOW, Workshop
from tests.daemon.web_site import PROFILES, Lab, running
from tests.images import INDEX, Layout, several
from tests.parts import part
from tests.s3_server import S3Server, environment

NAME = "base/images/app"
RECIPE = """\
apiVersion: goose/v1
kind: Bundle
name: base
version: 1.0.0
audience: any
contents:
  - image: oci:{layout}
    as: images/app
"""


@dataclass
class Site:
    """A daemon with a bundle of one image in version 1.0.0, tagged v1."""

    lab: Lab
    shop: Workshop
    layout: Layout
    top: dict[str, Any]

    @property
    def address(self) -> str:
        """HOST:PORT/NAME of the image."""
        return f"{self.lab.url.removeprefix('http://')}/{NAME}"

    async def get(self, path: str, method: str = "GET", **headers: str) -> ClientResponse:
        return await self.lab.get(f"/v2/{NAME}{path}", method, **headers)

    def blob(self, digest: str) -> bytes:
        return (self.layout.folder / "blobs/sha256" / digest[7:]).read_bytes()

    def layer(self) -> str:
        """The digest of the largest layer."""
        paths = (self.layout.folder / "blobs/sha256").iterdir()
        return f"sha256:{max(paths, key=lambda path: path.stat().st_size).name}"


def expand(folder: Path, layout: Path, more: str = "") -> list[Artifact]:
    path = folder / "bundle.yaml"
    path.write_text(RECIPE.format(layout=layout) + more)
    downloads = Downloads(folder / "cache")
    return recipe.expand(recipe.load(path), path, None, downloads, SILENT)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running(tmp_path / "home", PROFILES) as lab:
        shop = Workshop(tmp_path / "shop")
        assert isinstance(lab.deps.catalog.store, LocalStore)
        shop.store = lab.deps.catalog.store
        layout, top = several(tmp_path / "layout", size=300_000)
        shop.import_(*shop.build(artifacts=expand(tmp_path, layout.folder)))
        yield Site(lab, shop, layout, top)


async def run(*command: str | Path) -> str:
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def blobs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "blobs/sha256").iterdir()}


async def test_skopeo_copies_all_of_it(site: Site, tmp_path: Path) -> None:
    source = ["--all", "--src-tls-verify=false", f"docker://{site.address}:v1"]
    await run(part("skopeo"), "copy", *source, f"oci:{tmp_path / 'out'}:v1")
    assert blobs(tmp_path / "out") == blobs(site.layout.folder)


async def test_crane_pulls_validates_and_lists(site: Site, tmp_path: Path) -> None:
    crane = part("crane")
    assert (await run(crane, "digest", "--insecure", f"{site.address}:v1")).strip() == (
        site.top["digest"]
    )
    assert (await run(crane, "ls", "--insecure", site.address)).split() == ["v1"]
    await run(crane, "validate", "--insecure", "--remote", f"{site.address}:v1")
    by_digest = f"{site.address}@{site.top['digest']}"
    await run(crane, "pull", "--insecure", "--format=oci", by_digest, tmp_path / "out")
    assert blobs(tmp_path / "out").items() >= blobs(site.layout.folder).items()


async def test_oras_copies_and_lists(site: Site, tmp_path: Path) -> None:
    oras = part("oras")
    tags = await run(oras, "repo", "tags", "--plain-http", site.address)
    assert tags.split() == ["v1"]
    target = ["--to-oci-layout", f"{tmp_path / 'out'}:v1"]
    await run(oras, "cp", "--from-plain-http", f"{site.address}:v1", *target)
    assert blobs(tmp_path / "out").items() >= blobs(site.layout.folder).items()


async def test_a_manifest_has_its_own_bytes_type_and_digest(site: Site) -> None:
    for reference in ("v1", site.top["digest"]):
        for method in ("GET", "HEAD"):
            response = await site.get(f"/manifests/{reference}", method)
            assert response.status == 200
            assert response.headers["Content-Type"] == INDEX
            assert response.headers["Docker-Content-Digest"] == site.top["digest"]
            assert response.headers["ETag"] == f'"{site.top["digest"]}"'
            assert response.headers["Content-Length"] == str(site.top["size"])
            body = await response.read()
            assert body == (site.blob(site.top["digest"]) if method == "GET" else b"")


async def test_a_layer_in_ranges_and_under_conditions(site: Site) -> None:
    digest = site.layer()
    data = site.blob(digest)
    whole = await site.get(f"/blobs/{digest}")
    assert (whole.status, await whole.read()) == (200, data)
    assert whole.headers["Docker-Content-Digest"] == digest
    tail = await site.get(f"/blobs/{digest}", Range="bytes=200000-")
    assert (tail.status, await tail.read()) == (206, data[200_000:])
    assert tail.headers["Content-Range"] == f"bytes 200000-{len(data) - 1}/{len(data)}"
    known = await site.get(f"/blobs/{digest}", If_None_Match=f'"{digest}"')
    assert known.status == 304
    beyond = await site.get(f"/blobs/{digest}", Range=f"bytes={len(data)}-")
    assert beyond.status == 416


async def test_a_layer_that_is_stored_in_parts_is_served_whole(site: Site, tmp_path: Path) -> None:
    layout, _ = several(tmp_path / "large", size=3_000_000)
    draft = site.shop.draft(version="1.1.0", sequence=2)
    artifacts = expand(tmp_path, layout.folder)
    volumes = site.shop.build(draft, artifacts, volume_size=4_000_000, out="parts")
    site.shop.import_(*volumes)
    largest = max((layout.folder / "blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)
    response = await site.get(f"/blobs/sha256:{largest.name}", Range="bytes=1000000-2499999")
    assert await response.read() == largest.read_bytes()[1_000_000:2_500_000]


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/v2/base/images/other/manifests/v1", "GET", 404, "NAME_UNKNOWN"),
        ("/v2/base/os/manifests/v1", "GET", 404, "NAME_UNKNOWN"),
        ("/v2/other/manifests/v1", "GET", 404, "NAME_UNKNOWN"),
        ("/v2/Base/../images/app/tags/list", "GET", 404, "NAME_UNKNOWN"),
        ("/v2/BASE/images/app/tags/list", "GET", 404, "NAME_UNKNOWN"),
        (f"/v2/{NAME}/manifests/v2", "GET", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/{NAME}/manifests/sha256:{'0' * 64}", "GET", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/{NAME}/manifests/sha256:0", "GET", 400, "DIGEST_INVALID"),
        (f"/v2/{NAME}/manifests/..%2f..%2fetc", "GET", 400, "DIGEST_INVALID"),
        (f"/v2/{NAME}/blobs/sha256:{'0' * 64}", "GET", 404, "BLOB_UNKNOWN"),
        (f"/v2/{NAME}/blobs/md5:0", "GET", 400, "DIGEST_INVALID"),
        (f"/v2/{NAME}/tags/list?n=x", "GET", 400, "UNKNOWN"),
        (f"/v2/{NAME}/manifests/v1", "PUT", 405, "UNSUPPORTED"),
        (f"/v2/{NAME}/blobs/uploads/", "POST", 404, "UNKNOWN"),
        ("/v2/nothing", "GET", 404, "UNKNOWN"),
    ],
)
async def test_refusals_are_those_of_the_specification(
    site: Site, path: str, method: str, status: int, code: str
) -> None:
    response = await site.lab.get(path, method)
    assert response.status == status, await response.text()
    (error,) = json.loads(await response.read())["errors"]
    assert error["code"] == code
    assert error["message"]
    assert error["detail"]["request_id"] == response.headers["X-Request-ID"]


async def test_a_blob_of_another_bundle_is_not_this_images(site: Site) -> None:
    """Whoever may know a digest learns nothing of what else the store holds."""
    response = await site.lab.get("/v1/artifacts/site-base/rhel9/.treeinfo")
    digest = response.headers["ETag"].strip('"')
    assert (await site.get(f"/blobs/{digest}")).status == 404
    config = json.loads(site.blob(site.top["digest"]))["manifests"][0]["digest"]
    layer = json.loads(site.blob(config))["layers"][0]["digest"]
    assert (await site.get(f"/manifests/{layer}")).status == 404, "a layer is no manifest"


async def test_the_current_version_first_and_older_ones_by_their_tags(
    site: Site, tmp_path: Path
) -> None:
    layout = Layout(tmp_path / "newer")
    new = layout.index([layout.image("linux/amd64", 2000)])
    layout.name(v2=new)
    draft = site.shop.draft(version="1.1.0", sequence=2)
    site.shop.import_(*site.shop.build(draft, expand(tmp_path, layout.folder), out="newer"))
    tags = await (await site.get("/tags/list")).json()
    assert tags == {"name": NAME, "tags": ["v1", "v2"]}
    first = await site.get("/tags/list?n=1")
    assert (await first.json())["tags"] == ["v1"]
    assert first.headers["Link"] == f'</v2/{NAME}/tags/list?n=1&last=v1>; rel="next"'
    rest = await site.get("/tags/list?n=1&last=v1")
    assert ((await rest.json())["tags"], "Link" in rest.headers) == (["v2"], False)
    none = await site.get("/tags/list?n=0")
    assert (await none.json())["tags"] == []
    for tag, digest in (("v1", site.top["digest"]), ("v2", new["digest"])):
        response = await site.get(f"/manifests/{tag}", "HEAD")
        assert response.headers["Docker-Content-Digest"] == digest


async def test_one_tag_in_two_versions_is_the_current_ones(site: Site, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "newer")
    new = layout.index([layout.image("linux/amd64", 2000)])
    layout.name(v1=new)
    draft = site.shop.draft(version="1.1.0", sequence=2)
    site.shop.import_(*site.shop.build(draft, expand(tmp_path, layout.folder), out="newer"))
    response = await site.get("/manifests/v1", "HEAD")
    assert response.headers["Docker-Content-Digest"] == new["digest"]
    old = await site.get(f"/manifests/{site.top['digest']}", "HEAD")
    assert old.status == 200


async def test_an_image_without_a_tag_has_its_bundles_version(site: Site, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "nameless")
    top = layout.image("linux/amd64")
    (layout.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    draft = site.shop.draft(version="1.1.0", sequence=2)
    site.shop.import_(*site.shop.build(draft, expand(tmp_path, layout.folder), out="nameless"))
    assert (await (await site.get("/tags/list")).json())["tags"] == ["1.1.0", "v1"]


async def test_a_platform_that_was_left_out(site: Site, tmp_path: Path) -> None:
    """The index is whole, and a pull by platform works where the platform is there."""
    draft = site.shop.draft(version="1.1.0", sequence=2)
    artifacts = expand(tmp_path, site.layout.folder, "    platforms: [linux/arm64]\n")
    shop = site.shop
    async with running(tmp_path / "second", PROFILES) as lab:
        assert isinstance(lab.deps.catalog.store, LocalStore)
        shop.store = lab.deps.catalog.store
        shop.import_(*shop.build(draft, artifacts, out="chosen"))
        address = f"{lab.url.removeprefix('http://')}/{NAME}"
        pull = [part("crane"), "pull", "--insecure", f"{address}@{site.top['digest']}"]
        await run(*pull, tmp_path / "arm.tar", "--platform=linux/arm64")
        with pytest.raises(AssertionError, match="MANIFEST_UNKNOWN"):
            await run(*pull, tmp_path / "amd.tar", "--platform=linux/amd64")


@pytest.mark.parametrize(
    "index",
    [
        b"no JSON",
        b"{}",
        json.dumps({"schemaVersion": 2, "manifests": []}).encode(),
        json.dumps(
            {
                "schemaVersion": 2,
                "manifests": [{"mediaType": INDEX, "digest": "sha256:" + "0" * 64, "size": 1}] * 2,
            }
        ).encode(),
    ],
)
async def test_index_of_a_builder_that_lies(site: Site, tmp_path: Path, index: bytes) -> None:
    """Signed, imported, and no image: it is told as that, and nothing else suffers."""
    (image,) = expand(tmp_path, site.layout.folder)
    (tmp_path / "index").write_bytes(index)
    odd = SourceFile("index.json", len(index), 0o644, str(tmp_path / "index"))
    files = tuple(odd if file.path == "index.json" else file for file in image.files)
    draft = site.shop.draft(name="odd", version="1.1.0", sequence=2)
    artifact = Artifact("image", "images/app", files)
    site.shop.import_(*site.shop.build(draft, [artifact], out="odd"))
    response = await site.lab.get("/v2/odd/images/app/tags/list")
    assert response.status == 503
    (error,) = json.loads(await response.read())["errors"]
    assert error["detail"]["code"] == "bad-image"
    assert (await site.get("/manifests/v1")).status == 200


@pytest.mark.parametrize("reads", ["proxied", "redirected"])
async def test_a_store_in_s3_is_a_registry_too(
    reads: str, s3: Callable[[], S3Server], tmp_path: Path
) -> None:
    """Also where layers are fetched from the bucket itself."""
    layout, top = several(tmp_path / "layout", size=300_000)
    settings = {**environment(s3().bucket()), "GOOSED_ARTIFACT_READS": reads}
    async with running(tmp_path / "home", PROFILES, **settings) as lab:
        shop = Workshop(tmp_path / "shop")
        volumes = shop.build(artifacts=expand(tmp_path, layout.folder))
        store, rules = lab.deps.catalog.store, Policy(NOW)
        await asyncio.to_thread(ingest.import_volumes, volumes, store, shop.root, rules, SILENT)
        await asyncio.sleep(1.1)  # the refs of a bucket are looked at once a second
        address = f"{lab.url.removeprefix('http://')}/{NAME}"
        source = ["--all", "--src-tls-verify=false", f"docker://{address}@{top['digest']}"]
        await run(part("skopeo"), "copy", *source, f"oci:{tmp_path / 'out'}:v1")
        assert blobs(tmp_path / "out") == blobs(layout.folder)
        largest = max(layout.folder.glob("blobs/sha256/*"), key=lambda path: path.stat().st_size)
        url = f"{lab.url}/v2/{NAME}/blobs/sha256:{largest.name}"
        async with lab.client.get(url, allow_redirects=False) as response:
            assert response.status == (307 if reads == "redirected" else 200)
