"""Real packages for tests, made by the tools that distributions make theirs with."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.parts import part

SPEC = """\
Name: {name}
{epoch}
Version: {version}
Release: {release}
Summary: For tests
License: {license}
BuildArch: noarch
%description
For tests
%install
mkdir -p %{{buildroot}}/usr/share/{name}
for i in $(seq {files}); do echo $i > %{{buildroot}}/usr/share/{name}/file$i; done
%files
/usr/share/{name}
"""


def rpm(
    folder: Path,
    name: str = "hello",
    version: str = "1.2.3",
    release: str = "4.el9",
    *,
    epoch: int | None = None,
    license: str = "GPL-2.0-or-later AND MIT",  # noqa: A002 - the field's name
    files: int = 3,
    source: bool = False,
) -> Path:
    """A package, or its source package, by rpmbuild."""
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        out = work / "out"
        spec = work / f"{name}.spec"
        spec.write_text(
            SPEC.format(
                name=name,
                epoch="" if epoch is None else f"Epoch: {epoch}",
                version=version,
                release=release,
                license=license,
                files=files,
            )
        )
        command = [part("rpmbuild"), "--quiet", "-bs" if source else "-bb", spec]
        for macro in (f"_topdir {work}", f"_rpmdir {out}", f"_srcrpmdir {out}", "dist %{nil}"):
            command += ["--define", macro]
        subprocess.run(command, check=True, capture_output=True)
        [made] = out.rglob("*.rpm")
        return Path(shutil.move(made, folder / made.name))


def deb(folder: Path, name: str = "hello", version: str = "1:1.2-3", packed: str = "xz") -> Path:
    """A package by dpkg-deb, its control archive packed as `packed` says."""
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place)
        tree.chmod(0o755)
        (tree / "DEBIAN").mkdir()
        (tree / "usr/share" / name).mkdir(parents=True)
        (tree / "usr/share" / name / "file").write_text("content\n")
        (tree / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
            "Maintainer: Tests <tests@localhost>\nDescription: For tests\n of packages\n"
        )
        path = folder / f"{name}_{packed}.deb"
        command = [part("dpkg-deb"), "--root-owner-group", f"-Z{packed}", "-b", tree, path]
        subprocess.run(command, check=True, capture_output=True)
        return path


def wheel(folder: Path, name: str = "Hello_World", version: str = "1.2.0rc1") -> Path:
    """A wheel by setuptools."""
    with tempfile.TemporaryDirectory() as place:
        source = Path(place)
        (source / "hello.py").write_text("")
        (source / "pyproject.toml").write_text(
            f'[project]\nname = "{name}"\nversion = "{version}"\nlicense = "Apache-2.0"\n'
            '[tool.setuptools]\npy-modules = ["hello"]\n'
            '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        )
        code = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
        subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
        [made] = folder.glob("*.whl")
        return made
