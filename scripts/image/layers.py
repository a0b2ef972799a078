"""Layers and the layout of an image: the same files give the same bytes, on any machine.

Source: OCI image specification 1.1 (layer.md, config.md, image-layout.md). Layers are not
compressed: zlib's output changes with its version, and a delta between two versions of a bundle
finds what is the same.
"""

from __future__ import annotations

import hashlib
import io
import json
import stat
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass
class Layer:
    """Files of a layer by path, without a slash in front. Every time in it is 1970."""

    files: dict[str, tuple[int, bytes]] = field(default_factory=dict)  # mode, content
    links: dict[str, str] = field(default_factory=dict)  # target
    folders: dict[str, tuple[int, int]] = field(default_factory=dict)  # mode, owner

    def add(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """A file; only who may execute it tells modes apart."""
        self.files[path] = (0o755 if mode & stat.S_IXUSR else 0o644, data)

    def tar(self) -> bytes:
        """The layer, in the order of the paths, each folder before what is in it."""
        folders = dict(self.folders)
        for path in (*self.files, *self.links, *self.folders):
            while path := path.rpartition("/")[0]:
                folders.setdefault(path, (0o755, 0))
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted({*folders, *self.files, *self.links}):
                info = tarfile.TarInfo(path)
                if path in self.links:
                    info.type, info.linkname, info.mode = tarfile.SYMTYPE, self.links[path], 0o777
                    tar.addfile(info)
                elif path in self.files:
                    info.mode, data = self.files[path]
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
                else:
                    info.type = tarfile.DIRTYPE
                    info.mode, info.uid = folders[path]
                    info.gid = info.uid
                    tar.addfile(info)
        return buffer.getvalue()

    def write(self, root: Path) -> None:
        """Puts the layer's files and links below `root`, to run what is in it."""
        for path, (mode, data) in self.files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            target.chmod(mode)
        for path, to in self.links.items():
            link = root / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(to)


def write(out: Path, layers: list[bytes], config: dict[str, Any], name: str, tag: str) -> str:
    """Writes a layout with one image into the new folder `out`; returns its digest. `name`
    is whole, with its registry."""
    blobs = out / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    parts = [blob(data, LAYER) for data in layers]
    config["rootfs"] = {"type": "layers", "diff_ids": [part["digest"] for part in parts]}
    manifest = blob(
        _json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": blob(_json(config), CONFIG),
                "layers": parts,
            }
        ),
        MANIFEST,
    )
    platform = {"architecture": config["architecture"], "os": config["os"]}
    named = {
        "org.opencontainers.image.ref.name": tag,
        "io.containerd.image.name": f"{name}:{tag}",  # what it imports as
    }
    entries = [{**manifest, "annotations": named, "platform": platform}]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    (out / "index.json").write_bytes(_json(index))
    (out / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    return str(manifest["digest"])


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
