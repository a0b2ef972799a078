"""Hostile images: registries that lie, layouts and archives that were made to harm, and bundles
whose images are not what their names say."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from bundles.errors import GooseError
from bundles.format import image as images
from bundles.format.image import BadImage
from bundles.format.paths import BadLayout
from bundles.making import recipe
from bundles.progress import SILENT
from bundles.sources import Artifact, SourceFault, SourceFile, lock, reference
from bundles.sources.registry import RegistryRefused
from bundles.sources.transfer import DownloadFailed
from bundles.sources.url import Downloads
from tests import registry_server
from tests.bundles.making import NOW, Workshop
from tests.bundles.test_image import RECIPE
from tests.images import CONFIG, INDEX, LAYER, MANIFEST, Layout, saved, several


def expand(folder: Path, image: str) -> Artifact:
    path = folder / "bundle.yaml"
    path.write_text(RECIPE.format(image=image))
    downloads = Downloads(folder / "cache", lambda _: None)
    (artifact,) = recipe.expand(recipe.load(path), path, None, downloads, SILENT)
    return artifact


@dataclass
class Hostile:
    """A registry of our own: what it has, by the end of the path, and what it was asked."""

    host: str = ""
    has: dict[str, bytes] = field(default_factory=dict)
    headers: list[tuple[str, str | None]] = field(default_factory=list)  # path, Authorization
    answer: Callable[[BaseHTTPRequestHandler], bool] = lambda _: False

    def take(self, layout: Layout, top: dict[str, Any]) -> None:
        """Serves an image as v1."""
        for path in (layout.folder / "blobs/sha256").iterdir():
            self.has[f"sha256:{path.name}"] = path.read_bytes()
        self.has["v1"] = self.has[top["digest"]]

    def pin(self, folder: Path, secret: str | None = None) -> lock.Pin:
        """What `bundle lock` does."""
        path = folder / "bundle.yaml"
        path.write_text(RECIPE.format(image=f"{self.host}/app:v1"))
        downloads = Downloads(folder / "cache", lambda _: None, lambda _: secret)
        (pin,) = recipe.make_lock(recipe.load(path), downloads, NOW, SILENT).pins
        return pin


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    registry = Hostile()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.headers.append((self.path, self.headers["Authorization"]))
            if registry.answer(self):
                return
            data = registry.has.get(self.path.rpartition("/")[2])
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            pass

    with registry_server.serving(Handler) as registry.host:
        yield registry


def first_layer(layout: Layout, descriptor: dict[str, Any]) -> str:
    """The digest of a layer of the first image below `descriptor`."""
    value = json.loads((layout.folder / "blobs/sha256" / descriptor["digest"][7:]).read_bytes())
    if "manifests" in value:
        return first_layer(layout, value["manifests"][0])
    return str(value["layers"][0]["digest"])


def test_honest(hostile: Hostile, tmp_path: Path) -> None:
    """The attacks below fail for what they change alone."""
    layout, top = several(tmp_path / "layout")
    hostile.take(layout, top)
    assert hostile.pin(tmp_path).digest == top["digest"]


def test_manifest_over_the_limit(hostile: Hostile, tmp_path: Path) -> None:
    hostile.has["v1"] = b" " * (images.MAX_MANIFEST + 1)
    with pytest.raises(BadImage, match="more than 4194304 bytes"):
        hostile.pin(tmp_path)


def test_manifest_over_the_limit_in_a_descriptor(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    child = {**layout.image("linux/amd64"), "size": images.MAX_MANIFEST + 1}
    layout.name(v1=layout.index([child]))
    with pytest.raises(BadImage, match="a manifest of 4194305 bytes"):
        expand(tmp_path, "oci:layout")


def test_manifest_whose_digest_lies(hostile: Hostile, tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    hostile.take(layout, top)
    child = json.loads(hostile.has["v1"])["manifests"][1]["digest"]
    hostile.has[child] = hostile.has[child].replace(b"   ", b"  ")
    with pytest.raises(BadImage, match=f"the manifest {child} is sha256:"):
        hostile.pin(tmp_path)


def test_manifest_that_is_not_the_pinned_one(hostile: Hostile, tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    hostile.take(layout, top)
    path = tmp_path / "bundle.yaml"
    pin = hostile.pin(tmp_path)
    hostile.has[pin.digest] = hostile.has["v1"] = hostile.has[top["digest"]] + b" "
    downloads = Downloads(tmp_path / "other", lambda _: None)
    with pytest.raises(BadImage, match="is sha256:"):
        recipe.expand(
            recipe.load(path), path, lock.Lock("2026-01-01T00:00:00Z", (pin,)), downloads, SILENT
        )


def test_blob_whose_digest_lies(hostile: Hostile, tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    hostile.take(layout, top)
    digest = first_layer(layout, top)
    hostile.has[digest] = bytes(len(hostile.has[digest]))
    with pytest.raises(BadImage, match=f"the blob {digest} is sha256:"):
        hostile.pin(tmp_path)
    assert not (tmp_path / "cache" / digest[7:]).exists()
    assert not list((tmp_path / "cache").glob(".*"))


def test_blob_without_end(hostile: Hostile, tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    hostile.take(layout, top)
    digest = first_layer(layout, top)

    def endless(handler: BaseHTTPRequestHandler) -> bool:
        if not handler.path.endswith(digest):
            return False
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(1 << 20))
        except OSError:
            return True

    hostile.answer = endless
    with pytest.raises(DownloadFailed, match=r"has more than the \d+ bytes said"):
        hostile.pin(tmp_path)


def test_blob_that_breaks_off_is_continued(hostile: Hostile, tmp_path: Path) -> None:
    """Twice, and once the registry is busy: no byte is fetched again."""
    layout, top = several(tmp_path / "layout", size=200_000)
    hostile.take(layout, top)
    digest = max(hostile.has, key=lambda key: len(hostile.has[key]))
    data, asked = hostile.has[digest], list[str | None]()

    def breaking(handler: BaseHTTPRequestHandler) -> bool:
        if not handler.path.endswith(digest):
            return False
        asked.append(handler.headers["Range"])
        start = int((asked[-1] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if len(asked) == 2:
            handler.send_response(503)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return True
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        handler.wfile.write(data[start : start + 80_000])
        return True

    hostile.answer = breaking
    assert hostile.pin(tmp_path).digest == top["digest"]
    assert asked == [None, "bytes=80000-", "bytes=80000-", "bytes=160000-"]


def test_blob_that_rots_in_the_cache(hostile: Hostile, tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    hostile.take(layout, top)
    path, pin = tmp_path / "bundle.yaml", hostile.pin(tmp_path)
    cached = tmp_path / "cache" / first_layer(layout, top)[7:]
    cached.write_bytes(bytes(cached.stat().st_size))
    pins, downloads = lock.Lock("2026-01-01T00:00:00Z", (pin,)), Downloads(tmp_path / "cache")
    artifacts = recipe.expand(recipe.load(path), path, pins, downloads, SILENT)
    with pytest.raises(SourceFault, match=cached.name) as caught:
        Workshop(tmp_path / "shop").build(artifacts=artifacts)
    assert "remove it first" in caught.value.hint


def test_layer_missing_from_a_registry(hostile: Hostile, tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    hostile.take(layout, top)
    digest = first_layer(layout, top)
    del hostile.has[digest]
    with pytest.raises(DownloadFailed, match=f"{digest}: 404"):
        hostile.pin(tmp_path)


def test_layer_missing_from_a_layout(tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    digest = first_layer(layout, top)
    (layout.folder / "blobs/sha256" / digest[7:]).unlink()
    with pytest.raises(SourceFault, match=f"{digest[7:]}: No such file"):
        expand(tmp_path, "oci:layout")


def test_layer_cut_short_in_a_layout(tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    path = layout.folder / "blobs/sha256" / first_layer(layout, top)[7:]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadImage, match="is no file of the"):
        expand(tmp_path, "oci:layout")


def test_layer_whose_digest_lies_in_a_layout(tmp_path: Path) -> None:
    """It is hashed once, in the pass that builds: nothing is left of the bundle."""
    layout, top = several(tmp_path / "layout")
    path = layout.folder / "blobs/sha256" / first_layer(layout, top)[7:]
    path.write_bytes(bytes(path.stat().st_size))
    artifact = expand(tmp_path, "oci:layout")
    shop = Workshop(tmp_path / "shop")
    with pytest.raises(SourceFault, match=f"and should be sha256:{path.name}"):
        shop.build(artifacts=[artifact])
    assert not list((tmp_path / "shop/out").iterdir())


def test_layer_that_is_a_link_out_of_the_layout(tmp_path: Path) -> None:
    """As long as the layer should be: it is hashed, and not what it should be."""
    layout, top = several(tmp_path / "layout")
    path = layout.folder / "blobs/sha256" / first_layer(layout, top)[7:]
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * path.stat().st_size)
    path.unlink()
    path.symlink_to(secret)
    artifact = expand(tmp_path, "oci:layout")
    with pytest.raises(SourceFault, match="and should be sha256:"):
        Workshop(tmp_path / "shop").build(artifacts=[artifact])


def test_nested_indexes_without_end(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    top = layout.image("linux/amd64")
    for _ in range(4):
        top = layout.index([top])
    layout.name(v1=top)
    with pytest.raises(BadImage, match="indexes stand in one another 5 deep"):
        expand(tmp_path, "oci:layout")


def test_index_that_names_itself(tmp_path: Path) -> None:
    """No bytes hold their own digest: what stands under it is something else."""
    layout = Layout(tmp_path / "layout")
    top = layout.index([layout.image("linux/amd64")])
    path = layout.folder / "blobs/sha256" / top["digest"][7:]
    value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [top]}
    path.write_text(json.dumps(value))
    layout.name(v1={**top, "size": path.stat().st_size})
    with pytest.raises(BadImage, match=f"manifest {top['digest']} has"):
        expand(tmp_path, "oci:layout")


def test_nested_indexes_that_multiply(tmp_path: Path) -> None:
    """Three levels, each naming the next a thousand times: each is read once."""
    layout = Layout(tmp_path / "layout")
    top = layout.image("linux/amd64")
    for _ in range(3):
        platforms = ({"os": "linux", "architecture": f"a{n}"} for n in range(1000))
        top = layout.index([{**top, "platform": each} for each in platforms])
    layout.name(v1=top)
    assert len(expand(tmp_path, "oci:layout").files) == 2 + 3 + 4


def test_more_manifests_than_any_image_has(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    config = layout.blob(b"{}", CONFIG)
    value = {"schemaVersion": 2, "config": config, "layers": []}
    children = [
        layout.document({**value, "annotations": {"n": str(n)}}, MANIFEST) for n in range(1001)
    ]
    layout.name(v1=layout.index(children))
    with pytest.raises(BadImage, match="has more than 1000 manifests"):
        expand(tmp_path, "oci:layout")


@pytest.mark.parametrize(
    "value",
    [
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "layers": []},
        {"schemaVersion": 2, "mediaType": MANIFEST, "manifests": []},
        {"schemaVersion": 1, "manifests": []},
        {"schemaVersion": 2, "manifests": {}},
        {"schemaVersion": 2, "manifests": [1]},
        *(
            {"schemaVersion": 2, "manifests": [{"mediaType": kind, "digest": digest, "size": size}]}
            for kind, digest, size in (
                (MANIFEST, "md5:0", 1),
                (MANIFEST, "sha256:../" + "0" * 61, 1),
                (LAYER, "sha256:" + "0" * 64, 1),
                (MANIFEST, "sha256:" + "0" * 64, -1),
            )
        ),
        [],
    ],
)
def test_index_that_is_something_else_too(tmp_path: Path, value: Any) -> None:
    """One reader's index, another's manifest (CVE-2021-41190), and other forms that none has."""
    layout = Layout(tmp_path / "layout")
    layout.name(v1=layout.document(value, INDEX))
    with pytest.raises(BadImage):
        expand(tmp_path, "oci:layout")


def archive(folder: Path, entries: dict[str, bytes], *more: tarfile.TarInfo) -> None:
    with tarfile.open(folder / "app.tar", "w") as tar:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in more:
            tar.addfile(info)


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_archive_as_docker_writes_it(tmp_path: Path) -> None:
    """Also with a layer that is a link to one that was written before."""
    files = saved("1/layer.tar")
    value = json.loads(files["manifest.json"])
    value[0]["Layers"].append("2/layer.tar")
    config = json.loads(files["config.json"])
    config["rootfs"]["diff_ids"] *= 2
    files |= {"manifest.json": json.dumps(value).encode()}
    files |= {"config.json": json.dumps(config).encode()}
    archive(tmp_path, files, link("2/layer.tar", "../1/layer.tar"))
    assert len(expand(tmp_path, "docker-archive:app.tar").files) == 2 + 3


@pytest.mark.parametrize(
    ("files", "more", "words"),
    [
        (saved("../../layer.tar"), (), "leaves the archive"),
        (saved("/etc/passwd"), (), "leaves the archive"),
        (saved(), (link("layer.tar", "x"),), "stands there twice"),
        (saved(), (link("dev", "", tarfile.CHRTYPE),), "is no plain file"),
        ({**saved(), "manifest.json": b"[}"}, (), "is not JSON"),
        ({**saved(), "manifest.json": b"[1]"}, (), "is not what `docker save` writes"),
        ({**saved(), "manifest.json": b"[]"}, (), "holds 0 images"),
        (saved(diff="sha256:" + "0" * 64), (), "the config says sha256:0000"),
        ({k: v for k, v in saved().items() if k != "layer.tar"}, (), "has no 'layer.tar'"),
        (
            {k: v for k, v in saved().items() if k != "layer.tar"},
            (link("layer.tar", "/etc/passwd"),),
            "has no 'layer.tar'",
        ),
        (
            {k: v for k, v in saved().items() if k != "layer.tar"},
            (link("layer.tar", "../../../../etc/passwd"),),
            "has no 'layer.tar'",
        ),
    ],
)
def test_archive_whose_names_lead_elsewhere(
    tmp_path: Path, files: dict[str, bytes], more: tuple[tarfile.TarInfo, ...], words: str
) -> None:
    archive(tmp_path, files, *more)
    with pytest.raises(BadImage, match=words):
        expand(tmp_path, "docker-archive:app.tar")
    assert not (tmp_path.parent / "layer.tar").exists()


def test_archive_that_is_cut_short(tmp_path: Path) -> None:
    archive(tmp_path, saved())
    path = tmp_path / "app.tar"
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(GooseError) as caught:
        expand(tmp_path, "docker-archive:app.tar")
    assert caught.value.code in ("bad-image", "bad-source")


def test_password_asked_for_without_tls(hostile: Hostile, tmp_path: Path) -> None:
    """The place for tokens is another's: no request goes there, and no password."""

    def challenge(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", 'Bearer realm="http://192.0.2.1/t",service="s"')
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    hostile.answer = challenge
    with pytest.raises(RegistryRefused, match=r"'http://192\.0\.2\.1/t', without TLS"):
        hostile.pin(tmp_path, "name:secret")
    assert [told for _, told in hostile.headers] == [None]


def test_password_lured_away_by_a_redirect(hostile: Hostile, tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    hostile.take(layout, top)
    basic = "Basic " + base64.b64encode(b"name:secret").decode()
    elsewhere: list[str | None] = []

    class Storage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            elsewhere.append(self.headers["Authorization"])
            data = hostile.has[self.path.rpartition("/")[2]]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with registry_server.serving(Storage) as other:

        def guarded(handler: BaseHTTPRequestHandler) -> bool:
            if handler.headers["Authorization"] != basic:
                handler.send_response(401)
                handler.send_header("WWW-Authenticate", 'Basic realm="r"')
            elif "/blobs/" in handler.path:
                handler.send_response(307)
                handler.send_header("Location", f"http://{other}{handler.path}")
            else:
                return False
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return True

        hostile.answer = guarded
        assert hostile.pin(tmp_path, "name:secret").digest == top["digest"]
    assert elsewhere
    assert set(elsewhere) == {None}


@pytest.mark.parametrize(
    "text",
    [
        "", "Upper/case", "host.example/UPPER", "host.example/app:", "host.example/app:a/b",
        "host.example/app@sha256:1", "host.example/../app", "host.example:99999999/app",
        "user:secret@host.example/app", "oci:", "host.example/" + "a" * 255, "host.example/a\nb",
        "http://host.example/app",
    ],
)  # fmt: skip
def test_reference_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        reference.parse(text)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("blobs/sha256/" + "0" * 64, "is a blob of the digest"),
        ("etc/passwd", "has no place in an image layout"),
        ("blobs/sha256/../x", "leaves the bundle's root"),
    ],
)
def test_bundle_whose_image_has_a_blob_of_another_name(
    tmp_path: Path, path: str, words: str
) -> None:
    """A registry serves blobs by their names: a reader refuses such a bundle before it writes."""
    several(tmp_path / "layout")
    artifact = expand(tmp_path, "oci:layout")
    secret = tmp_path / "odd"
    secret.write_bytes(b"odd")
    odd = SourceFile(path, 3, 0o644, str(secret))
    files = tuple(sorted((*artifact.files, odd), key=lambda file: file.path))
    shop = Workshop(tmp_path / "shop")
    (volume,) = shop.build(artifacts=[Artifact("image", "images/app", files)])
    with pytest.raises(BadLayout, match=words):
        shop.import_(volume)
    assert not list(shop.store.blobs())


@pytest.mark.parametrize("lacking", ["oci-layout", "index.json"])
def test_bundle_whose_image_is_no_layout(tmp_path: Path, lacking: str) -> None:
    several(tmp_path / "layout")
    artifact = expand(tmp_path, "oci:layout")
    files = tuple(file for file in artifact.files if file.path != lacking)
    shop = Workshop(tmp_path / "shop")
    (volume,) = shop.build(artifacts=[Artifact("image", "images/app", files)])
    with pytest.raises(BadLayout, match=f"an image layout without {lacking}"):
        shop.import_(volume)
