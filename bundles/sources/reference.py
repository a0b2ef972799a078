"""How a recipe names an image: in a registry, or in files beside the recipe.

Source: the grammar of names and tags of the OCI distribution specification 1.1; what is left out is
filled in as Docker and containerd do (distribution, reference/normalize.go); files are named as
containers-transports(5) has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bundles import digest as digests
from bundles.format.image import MAX_REPOSITORY, REPOSITORY, TAG

TRANSPORTS = ("oci", "oci-archive", "docker-archive")
PACKAGE = "chart"  # what `helm package` writes
_SCHEME = re.compile(r"(?:docker|oci)://")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]")
_DOCKER, _DOCKER_API = "docker.io", "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Remote:
    """An image in a registry. ``str()`` of it is what a lock and errors call it."""

    host: str
    name: str
    tag: str | None
    digest: str | None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"docker://{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def repository(self) -> str:
        """HOST/NAME."""
        return f"{self.host}/{self.name}"

    @property
    def base(self) -> str:
        """The address of its repository's API. Only a registry of this machine is asked without
        TLS."""
        host = _DOCKER_API if self.host == _DOCKER else self.host
        return f"{'http' if is_loopback(host) else 'https'}://{host}/v2/{self.name}"


@dataclass(frozen=True, slots=True)
class Local:
    """An image in files: `transport` is one of `TRANSPORTS`, or `PACKAGE`; `name` tells one of
    several."""

    transport: str
    path: str
    name: str | None


def is_loopback(host: str) -> bool:
    """Whether HOST[:PORT] is this machine."""
    return _LOOPBACK.fullmatch(re.sub(r":[0-9]+$", "", host)) is not None


def parse(text: str) -> Remote | Local:
    """What `text` names. Raises ValueError."""
    transport, colon, rest = text.partition(":")
    if colon and transport in TRANSPORTS and not rest.startswith("//"):
        path, _, name = rest.partition(":")
        if not path:
            raise ValueError(f"{text!r} names no path")
        return Local(transport, path, name or None)
    return _remote(_SCHEME.sub("", text, count=1))


def parse_chart(text: str) -> Remote | Local:
    """The chart that `text` names: in a registry only with ``oci://``, as Helm has it; else it is
    the path of a package, or a layout. Raises ValueError."""
    if text.startswith("oci://") or text.partition(":")[0] in TRANSPORTS[:2]:
        return parse(text)
    if "://" in text:
        raise ValueError(f"{text!r} is neither oci:// nor a path; use `url:` for another address")
    return Local(PACKAGE, text, None)


def _remote(text: str) -> Remote:
    named, at, digest = text.partition("@")
    if at:
        try:
            digests.check(digest, text)
        except digests.BadDigest as error:
            raise ValueError(error.message) from error
    host, slash, name = named.partition("/")
    if not slash or not (host == "localhost" or re.search("[.:]", host)):
        host, name = _DOCKER, named
    name, colon, tag = name.partition(":")
    if host == _DOCKER and "/" not in name:
        name = f"library/{name}"
    if not _HOST.fullmatch(host) or not REPOSITORY.fullmatch(name):
        raise ValueError(f"{text!r} is not of the form HOST/NAME[:TAG][@DIGEST], in lower case")
    if len(host) + 1 + len(name) > MAX_REPOSITORY:
        raise ValueError(f"{text!r} is longer than {MAX_REPOSITORY} characters")
    if colon and not TAG.fullmatch(tag):
        raise ValueError(f"{tag!r} is no tag")
    return Remote(host, name, tag or (None if at else "latest"), digest or None)
