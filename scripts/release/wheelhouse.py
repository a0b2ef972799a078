"""The wheelhouse: every wheel that goosectl and goosed need, and a script that installs them.

docs/adr/0018-a-wheelhouse.md says why it is not one file.
"""

from __future__ import annotations

import hashlib
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import sdist
import wheels

HERE = Path(__file__).parent
#: Debian 12's. Another one joins when every package has a wheel for it: fastcdc has none yet.
PYTHONS = ("3.11",)


class Wheelhouse:
    """All wheels, in a new folder; of a package that compiles nothing there is one for all Pythons.

    `of_python` has the names of the wheels that each Python takes.
    """

    def __init__(self, folder: Path, own: Path, epoch: int) -> None:
        self.epoch = epoch
        self.files: dict[str, bytes] = {}
        self.of_python: dict[str, list[str]] = {}
        for python in PYTHONS:
            pinned = folder / f"{python}.txt"
            pinned.parent.mkdir(exist_ok=True)
            pinned.write_text(wheels.requirements(python))
            found = wheels.download(folder / python, epoch, pinned, python)
            names = [self._add(path, pinned) for path in found]
            self.of_python[python] = sorted([*names, self._add(own, pinned)])
        pinned = HERE / "requirements.txt"
        for pip in wheels.download(folder / "pip", epoch, pinned):
            self._add(pip, pinned)

    def _add(self, path: Path, pinned: Path) -> str:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() not in pinned.read_text():  # it was built here
            data = plain(path, self.epoch).read_bytes()
        known = self.files.setdefault(path.name, data)
        assert known == data, path.name
        return path.name

    def requirements(self, python: str) -> bytes:
        """What pip is told to install: these wheels and no others, by digest."""
        lines = []
        for name in self.of_python[python]:
            project, version = name.split("-")[:2]
            digest = hashlib.sha256(self.files[name]).hexdigest()
            lines.append(f"{project}=={version} --hash=sha256:{digest}\n")
        return "".join(lines).encode()

    def write(self, target: Path, top: str) -> None:
        """Writes it as a tar with the one folder `top`. Wheels are compressed; the tar is not."""
        files = {f"wheels/{name}": data for name, data in self.files.items()}
        for python in PYTHONS:
            files[f"requirements-{python}.txt"] = self.requirements(python)
        files["install.sh"] = (HERE / "install.sh").read_bytes()
        files["SHA256SUMS"] = sums(files)
        modes = {"install.sh": 0o755}
        entries = {f"{top}/{path}": (modes.get(path, 0o644), data) for path, data in files.items()}
        target.write_bytes(sdist.tar(entries, self.epoch))


def sums(files: dict[str, bytes]) -> bytes:
    """What `sha256sum -c` reads."""
    lines = [
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())
    ]
    return "".join(lines).encode()


def plain(wheel: Path, epoch: int) -> Path:
    """A wheel that was built here, written again: not compressed, since zlib's output changes with
    its version, and with modes that no umask has changed."""
    with zipfile.ZipFile(wheel) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    made = zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED)
    with made:
        for info, data in entries:
            entry = zipfile.ZipInfo(info.filename, _date(epoch))
            mode = 0o755 if info.external_attr >> 16 & 0o100 else 0o644
            entry.create_system, entry.external_attr = 3, (0o100000 | mode) << 16
            made.writestr(entry, data)
    return wheel


def _date(epoch: int) -> tuple[int, int, int, int, int, int]:
    made = datetime.fromtimestamp(max(epoch, 315_532_800), UTC)  # zip has no 1970
    return made.year, made.month, made.day, made.hour, made.minute, made.second
