"""The content type `chart`: a Helm chart, as an OCI image layout of its own.

From a registry or a layout it is taken as an image is. What `helm package` writes becomes what
`helm push` would make of it, but for the time of day: the archive as it is, and a manifest.

Source: HIP-6, "OCI support"; https://helm.sh/docs/topics/registries/.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from pathlib import Path
from typing import IO, cast

import yaml

from bundles import digest as digests
from bundles.errors import shown
from bundles.format import canonical
from bundles.format import image as images
from bundles.format.image import BadImage, Blob
from bundles.format.layout import MANIFEST_TYPE, TITLE
from bundles.sources.artifact import unreadable
from bundles.sources.image import Origin
from bundles.sources.url import Downloads

CONFIG = "application/vnd.cncf.helm.config.v1+json"
CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_VERSION = "org.opencontainers.image.version"
_FIELDS = ("apiVersion", "appVersion", "description", "kubeVersion", "name", "type", "version")
_MOST = 100 * 1024 * 1024  # bytes of a chart, unpacked; Helm takes no more
_CHUNK = 64 * 1024


class Packaged:
    """The `Origin` that is a chart's archive; `top` is the manifest made for it."""

    def __init__(self, path: Path, downloads: Downloads) -> None:
        """Raises `BadImage` or `SourceFault`."""
        self._path, self._downloads = path, downloads
        try:
            said = _chart(path)
            with open(path, "rb") as file:
                digest = digests.PREFIX + hashlib.file_digest(file, "sha256").hexdigest()
            size = path.stat().st_size
        except OSError as error:
            raise unreadable(str(path), error) from error
        config = canonical.dumps(said)
        manifest = canonical.dumps(
            {
                "annotations": {TITLE: said["name"], _VERSION: said["version"]},
                "config": {
                    "digest": digests.of(config),
                    "mediaType": CONFIG,
                    "size": len(config),
                },
                "layers": [{"digest": digest, "mediaType": CONTENT, "size": size}],
                "mediaType": MANIFEST_TYPE,
                "schemaVersion": 2,
            }
        )
        for data in (config, manifest):
            downloads.keep(data)
        self._content = digest
        # A tag has no plus sign: Helm writes and reads a line in its place.
        tag = said["version"].replace("+", "_")
        if not images.TAG.fullmatch(tag):
            raise BadImage(f"{shown(path)}: no tag follows from the version {tag!r}")
        self.top = Blob(MANIFEST_TYPE, digests.of(manifest), len(manifest), name=tag)

    def document(self, digest: str) -> bytes:
        """See `Origin`."""
        return self._downloads.path(digest).read_bytes()

    def file(self, blob: Blob) -> Path:
        """See `Origin`."""
        return self._path if blob.digest == self._content else self._downloads.path(blob.digest)


def refuse_other(top: Blob, origin: Origin, where: str) -> None:
    """Raises `BadImage` for what is no chart."""
    named = [] if top.is_index else images.children(top, origin.document(top.digest), where)
    if not named or named[0].media_type != CONFIG:
        raise BadImage(f"{where} is no Helm chart", hint="use `image:` for an image")


def _chart(path: Path) -> dict[str, str]:
    """What an archive's ``NAME/Chart.yaml`` says of it, the fields that are texts."""
    where = shown(path)
    try:
        with open(path, "rb") as file:
            stream = cast("IO[bytes]", _Unpacked(file, where))
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    folder, _, name = member.name.removeprefix("./").partition("/")
                    if name == "Chart.yaml" and (opened := tar.extractfile(member)):
                        value = yaml.load(opened.read(), yaml.BaseLoader)  # noqa: S506 - texts only
                        return _fields(value, folder, f"{where}: {shown(member.name)}")
    except (tarfile.TarError, zlib.error, EOFError, yaml.YAMLError, RecursionError) as error:
        text = " ".join(str(error).split())
        raise BadImage(
            f"{where} is no chart as `helm package` writes it: {text}",
            hint="make it again with `helm package`",
        ) from error
    raise BadImage(f"{where} holds no chart", hint="make it again with `helm package`")


def _fields(value: object, folder: str, where: str) -> dict[str, str]:
    said = value if isinstance(value, dict) else {}
    found = {key: said[key] for key in _FIELDS if isinstance(said.get(key), str)}
    if found.get("name") != folder or not found.get("version"):
        raise BadImage(f"{where} has not the name of its folder, and a version")
    return found


class _Unpacked:
    """A gzip, unpacked as it is read: at most as much of it as any chart has."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._file, self._where = file, where
        self._unpack = zlib.decompressobj(wbits=31)
        self._done = 0
        self._left = b""

    def read(self, count: int) -> bytes:
        """At most `count` bytes; none only at the end. Raises zlib.error or `BadImage`."""
        while not self._unpack.eof:
            packed = self._left or self._file.read(_CHUNK)
            if not packed:
                raise EOFError("it is cut short")
            data = self._unpack.decompress(packed, count)
            self._left = self._unpack.unconsumed_tail
            self._done += len(data)
            if self._done > _MOST:
                raise BadImage(f"{self._where} unpacks to more than {_MOST} bytes")
            if data:
                return data
        return b""
