"""The base of the image: Python and what it stands on, from Debian's packages, of which no script
runs. packages.txt pins each by version and digest."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

from layers import Layer

HERE = Path(__file__).parent
PINS = HERE / "packages.txt"
USER = 10001  # of the charts

_HEAD = """\
# The Debian packages that the image of goosed is made of: name, version, SHA-256 (amd64).
# `python scripts/image/make.py --pin` renews it. No package is here that none of ours needs; a test
# runs the image.
"""
# Debian keeps these as links, so what packages still put there goes behind them (merged /usr).
_MERGED = ("bin", "sbin", "lib", "lib64")
_LEFT_OUT = re.compile(
    r"usr/share/(man|info|locale|lintian|bug|doc-base|pixmaps|applications|binfmts|menu)/"
    r"|usr/share/doc/.*/(?!copyright$)[^/]+$"
    r"|var/cache/|usr/lib/x86_64-linux-gnu/gconv/|usr/lib/python3\.11/(pydoc_data|idlelib|lib2to3|ensurepip|test)/"
)


def fetch(cache: Path) -> list[Path]:
    """The packages, from the cache or by apt-get from whichever mirror this machine uses."""
    cache.mkdir(parents=True, exist_ok=True)
    found = []
    for name, version, digest in pins():
        path = cache / f"{digest}.deb"
        if not path.exists():
            _download(name, version, path)
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            path.unlink()
            sys.exit(f"error: {name} {version} is not the package that {PINS} pins")
        found.append(path)
    return found


def pins() -> list[tuple[str, str, str]]:
    """Name, version and digest of each package."""
    lines = [line.split() for line in PINS.read_text().splitlines() if not line.startswith("#")]
    return [(name, version, digest) for name, version, digest in lines]


def pin() -> None:
    """Renews the pins of the packages that are named, to what this machine's lists have."""
    lines = []
    for name, _, _ in pins():
        told = _run("apt-cache", "show", "--no-all-versions", name).stdout.decode()
        version, digest = (
            re.findall(rf"^{key}: (\S+)$", told, re.MULTILINE)[0] for key in ("Version", "SHA256")
        )
        lines.append(f"{name} {version} {digest}\n")
    PINS.write_text(_HEAD + "".join(lines))


def layer(packages: list[Path]) -> Layer:
    """What is in the packages, and what their scripts would have made."""
    made = Layer()
    for package in packages:
        tar = _run("dpkg-deb", "--fsys-tarfile", str(package)).stdout
        with tarfile.open(fileobj=io.BytesIO(tar)) as members:
            for member in members:
                _take(made, members, member)
    for name in _MERGED:
        made.links[name] = f"usr/{name}"
    authorities = [
        data for path, (_, data) in sorted(made.files.items()) if path.endswith("mozilla.crt")
    ]
    for path, (_, data) in sorted(made.files.items()):
        if path.startswith("usr/share/ca-certificates/") and path.endswith(".crt"):
            authorities.append(data if data.endswith(b"\n") else data + b"\n")
    made.add("etc/ssl/certs/ca-certificates.crt", b"".join(authorities))
    made.links["usr/bin/sleep"] = "busybox"  # what the charts run before a pod ends
    names = "root:x:0:0:root:/:/sbin/nologin\n"
    names += f"goose:x:{USER}:{USER}:goose:/var/lib/goose:/sbin/nologin\n"
    made.add("etc/passwd", names.encode())
    made.add("etc/group", f"root:x:0:\ngoose:x:{USER}:\n".encode())
    made.folders["var/lib/goose"] = (0o750, USER)
    made.folders["tmp"] = (0o1777, 0)
    for name in ("dev", "proc", "run", "sys"):  # where a runtime mounts, whatever it makes itself
        made.folders[name] = (0o755, 0)
    return made


def _take(made: Layer, members: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    path = member.name.removeprefix("./").rstrip("/")
    first, _, rest = path.partition("/")
    if first in _MERGED:
        path = f"usr/{path}" if rest else ""
    if not path or _LEFT_OUT.match(path):
        return
    if member.issym():
        made.links[path] = member.linkname
    elif member.islnk():
        target = member.linkname.removeprefix("./")
        made.files[path] = made.files[target]
    elif member.isreg():
        opened = members.extractfile(member)
        made.add(path, opened.read() if opened else b"", member.mode)


def _download(name: str, version: str, target: Path) -> None:
    folder = target.with_suffix(".part")
    folder.mkdir(exist_ok=True)
    _run("apt-get", "-qq", "download", f"{name}={version}", folder=folder)
    (package,) = folder.glob("*.deb")
    package.rename(target)
    folder.rmdir()


def _run(*command: str, folder: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(command, capture_output=True, check=False, cwd=folder)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        sys.exit(
            f"error: {' '.join(command)}: {said}\n"
            "hint: on Debian 12 run apt-get update; where Debian has moved on:"
            " python scripts/image/make.py --pin; on another system use the Containerfile"
        )
    return done
