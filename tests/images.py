"""Images for tests: real layers and configs, in the spelling of another program than ours."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bundles.content import noise

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Layout:
    """An OCI image layout in a folder, made by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data: bytes, kind: str, **more: Any) -> dict[str, Any]:
        """Adds a blob; its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data), **more}

    def document(self, value: Any, kind: str, **more: Any) -> dict[str, Any]:
        """Adds a manifest or index; indented, as no canonical JSON is."""
        return self.blob(json.dumps(value, indent=3).encode(), kind, **more)

    def image(self, platform: str, size: int = 1000) -> dict[str, Any]:
        """Adds an image of two layers, one of which all platforms share."""
        os, architecture, *variant = platform.split("/")
        facts = {"os": os, "architecture": architecture}
        facts |= {"variant": variant[0]} if variant else {}
        layers = [layer("base", noise("base", 500)), layer(platform, noise(platform, size))]
        config = {
            **facts,
            "config": {"Env": ["PATH=/bin"]},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers],
            },
        }
        packed = [gzip.compress(each, mtime=0) for each in layers]
        return self.document(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": self.blob(json.dumps(config).encode(), CONFIG),
                "layers": [self.blob(each, LAYER) for each in packed],
            },
            MANIFEST,
            platform=facts,
        )

    def index(self, children: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """Adds an index."""
        return self.document(
            {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(children)}, INDEX, **more
        )

    def name(self, **named: dict[str, Any]) -> None:
        """Writes `index.json`: descriptors by tag."""
        tag = "org.opencontainers.image.ref.name"
        entries = [{**d, "annotations": {tag: key}} for key, d in named.items()]
        value = {"schemaVersion": 2, "manifests": entries}
        (self.folder / "index.json").write_text(json.dumps(value))


def layer(name: str, data: bytes) -> bytes:
    """A tar with one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(f"opt/{name.replace('/', '-')}")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def several(folder: Path, size: int = 1000) -> tuple[Layout, dict[str, Any]]:
    """An image for three platforms, named v1."""
    layout = Layout(folder)
    platforms = ("linux/amd64", "linux/arm64", "linux/arm/v7")
    top = layout.index([layout.image(platform, size) for platform in platforms])
    layout.name(v1=top)
    return layout, top


def saved(name: str = "layer.tar", diff: str | None = None) -> dict[str, bytes]:
    """What `docker save` writes of an image of one layer, which stands under `name`."""
    data = layer("app", b"x" * 100)
    found = diff or f"sha256:{hashlib.sha256(data).hexdigest()}"
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [found]}}).encode()
    entry = {"Config": "config.json", "RepoTags": ["app:1"], "Layers": [name]}
    return {"manifest.json": json.dumps([entry]).encode(), "config.json": config, name: data}
