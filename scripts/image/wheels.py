"""What the image holds of Python's packages: those that goosed needs at run time, as
constraints.txt pins them, and Goose itself. requirements.txt is that part of constraints.txt."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

from layers import Layer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REQUIREMENTS = HERE / "requirements.txt"
SITE = "usr/local/lib/python3.11/dist-packages"

_HEAD = """\
# What constraints.txt pins of that goosed needs at run time; made by scripts/image/make.py
# --requirements. A test holds the two equal.
"""
PYTHON = "3.11"  # the image's
_TARGET = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "sys_platform": "linux",
}
# PEP 600: whatever runs with the C library of Debian 12, and the older names of the same.
_PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(36, 4, -1)),
    *("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"),
)


def requirements(python: str = PYTHON) -> str:
    """The part of constraints.txt that goosed needs at run time, under that Python."""
    target = _TARGET | {"python_version": python, "python_full_version": f"{python}.2"}
    wanted: set[str] = set()
    waiting = [Requirement("goose-provisioning")]
    seen: set[tuple[str, str]] = set()
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)
        for extra in ("", *sorted(asked.extras)):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            wanted.add(name)
            for text in distribution(name).requires or ():
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({**target, "extra": extra}):
                    waiting.append(needed)
    blocks = re.split(r"^(?=[a-z0-9])", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
    kept = []
    for block in blocks[1:]:
        lines = [line for line in block.splitlines() if not line.lstrip().startswith("#")]
        requirement = Requirement(lines[0].removesuffix(" \\"))
        marker = requirement.marker
        if canonicalize_name(requirement.name) in wanted and (
            marker is None or marker.evaluate(target)
        ):
            kept.append("\n".join(lines))
    return _HEAD + "\n".join(kept) + "\n"


def download(
    folder: Path, epoch: int, pinned: Path = REQUIREMENTS, python: str = PYTHON
) -> list[Path]:
    """The wheels that a file of requirements pins, in the folder, which holds nothing else; what
    comes as source is built by the pinned setuptools."""
    folder.mkdir(parents=True)
    target = [word for each in _PLATFORMS for word in ("--platform", each)]
    version = ["--implementation", "cp", "--python-version", python]
    abis = ["--abi", f"cp{python.replace('.', '')}", "--abi", "abi3", "--abi", "none"]
    hashes = ["--require-hashes", "-r", str(pinned)]
    _pip(epoch, "download", "--no-deps", *target, *version, *abis, *hashes, "-d", str(folder))
    for source in sorted(folder.glob("*.tar.gz")):
        _build(source, folder, epoch)
        source.unlink()
    return sorted(folder.glob("*.whl"))


def own(folder: Path, epoch: int, checkout: Path = ROOT) -> Path:
    """Goose itself as a wheel."""
    _build(checkout, folder, epoch)
    (wheel,) = folder.glob("goose_provisioning-*.whl")
    return wheel


def layer(wheels: list[Path]) -> Layer:
    """The wheels, unpacked (binary distribution format, "Recommended installer features")."""
    made = Layer()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                path = info.filename
                head, _, rest = path.partition("/")
                if head.endswith(".data"):
                    kind, _, path = rest.partition("/")
                    if kind not in ("purelib", "platlib"):
                        continue
                if not info.is_dir() and "/SelfTest/" not in path:
                    made.add(f"{SITE}/{path}", archive.read(info), info.external_attr >> 16)
    return made


def _build(source: Path, folder: Path, epoch: int) -> None:
    words = ["--no-deps", "--no-index", "--no-build-isolation", "-w", str(folder)]
    _pip(epoch, "wheel", *words, str(source))


def _pip(epoch: int, *words: str) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(max(epoch, 315_532_800))}  # zip has no 1970
    if subprocess.run([*pip, *words], env=environ, check=False).returncode:
        sys.exit("error: pip could not get what this is made of; its words are above")
