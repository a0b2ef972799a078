"""The image of goosed: made twice it is the same bytes, and it runs on a root that is read-only."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import bundles
from bundles.making import recipe
from bundles.progress import SILENT
from bundles.sources.url import Downloads
from tests import containerd
from tests.observability import ROOT
from tests.parts import part

# What the daemon has no use for, and what nothing in the image stands on then.
WITHOUT = ("_curses", "_dbm", "_gdbm", "_tkinter", "nis", "readline")
LOAD = """
import ctypes, pathlib, sys
odd = {}
for path in sorted(pathlib.Path("/usr").rglob("*.so")):
    if "python3" in str(path) and not path.name.startswith(%r):
        try:
            ctypes.CDLL(str(path))
        except OSError as error:
            odd[str(path)] = str(error)
print(odd or "all")
"""
# The root is read-only, and there is a volume, a /tmp and what a runtime mounts.
INSIDE = """
set -eu
root=$1 home=$2; shift 2
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"; mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$home" "$root/var/lib/goose"
mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
"""

ENVIRON = {
    "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "GOOSE_HOME": "/var/lib/goose",
    "HOME": "/var/lib/goose",
}


def make(out: Path, checkout: Path = ROOT, **environ: str) -> str:
    """Makes the image in `out`; its digest."""
    command = [sys.executable, checkout / "scripts/image/make.py", "--out", out]
    known = os.environ | {"SOURCE_DATE_EPOCH": "1790000000"} | environ
    done = subprocess.run(
        command, capture_output=True, text=True, env=known, cwd=checkout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    part("dpkg-deb")
    out = tmp_path_factory.mktemp("image") / "layout"
    make(out)
    return out


@pytest.fixture(scope="module")
def root(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image, unpacked."""
    folder = tmp_path_factory.mktemp("root")
    for layer in manifest(image)["layers"]:
        with tarfile.open(image / "blobs/sha256" / layer["digest"][7:]) as tar:
            tar.extractall(folder, filter="tar")
    return folder


def manifest(image: Path) -> Any:
    """The image's manifest."""
    (top,) = json.loads((image / "index.json").read_bytes())["manifests"]
    return json.loads((image / "blobs/sha256" / top["digest"][7:]).read_bytes())


@contextmanager
def started(
    root: Path, home: Path, *command: str, **environ: str
) -> Iterator[subprocess.Popen[str]]:
    """A command in the image."""
    script = [part("unshare"), "-r", "-m", "sh", "-c", INSIDE, "sh", root, home, *command]
    process = subprocess.Popen(
        script, env=ENVIRON | environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def run(root: Path, home: Path, *command: str) -> str:
    with started(root, home, *command) as process:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        return said


def test_made_elsewhere_it_is_the_same_bytes(image: Path, tmp_path: Path) -> None:
    """In another folder, time zone and umask, from a checkout with what tools leave behind."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, files):
        target = tmp_path / "other" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, target)
            target.chmod(0o755 if os.access(ROOT / name, os.X_OK) else 0o600)
    before = os.umask(0o077)
    try:
        again = make(tmp_path / "layout", tmp_path / "other", TZ="Asia/Tokyo")
    finally:
        os.umask(before)
    (top,) = json.loads((image / "index.json").read_bytes())["manifests"]
    assert again == top["digest"]
    names = {path.name for path in (image / "blobs/sha256").iterdir()}
    assert {path.name for path in (tmp_path / "layout/blobs/sha256").iterdir()} == names


def test_it_says_who_it_runs_as_and_which_version_it_is(image: Path) -> None:
    path = image / "blobs/sha256" / manifest(image)["config"]["digest"][7:]
    config = json.loads(path.read_bytes())
    assert config["config"]["User"] == "10001:10001"
    assert config["created"] == "2026-09-21T14:13:20Z"
    inspected = subprocess.run(
        [part("skopeo"), "inspect", f"oci:{image}:{bundles.__version__}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(inspected.stdout)["Layers"]
    helpers = (ROOT / "charts/goosed/templates/_helpers.tpl").read_text()
    assert "runAsUser: 10001\n" in helpers, "the charts run it as whom it is made for"


def test_every_library_in_it_finds_what_it_stands_on(root: Path, tmp_path: Path) -> None:
    code = LOAD % (WITHOUT,)
    assert run(root, tmp_path, "/usr/bin/python3", "-I", "-c", code).strip() == "all"


def test_its_commands_run(root: Path, tmp_path: Path) -> None:
    assert bundles.__version__ in run(root, tmp_path, "goosectl", "--version")
    assert run(root, tmp_path, "sleep", "0") == ""
    assert "applied" in run(root, tmp_path, "goosectl", "db", "migrate")


def test_it_serves_on_a_root_that_is_read_only(root: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "infra").mkdir()
    settings = {"GOOSED_LISTEN": f"127.0.0.1:{port}", "GOOSED_LAB": "true"}
    with started(root, tmp_path, "goosed", **settings) as process:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as said:
                    assert json.loads(said.read())["ready"]
                    return
            except (OSError, urllib.error.URLError):
                if process.poll() is not None:
                    pytest.fail(process.communicate()[0])
                assert time.monotonic() < deadline
                time.sleep(0.1)


def test_a_bundle_carries_it(image: Path, tmp_path: Path) -> None:
    path = tmp_path / "bundle.yaml"
    path.write_text(
        "apiVersion: goose/v1\nkind: Bundle\nname: platform\nversion: 1.0.0\naudience: any\n"
        f"contents: [{{image: 'oci:{image}', as: goosed}}]\n"
    )
    (found,) = recipe.expand(recipe.load(path), path, None, Downloads(tmp_path / "c"), SILENT)
    assert found.named is not None
    assert found.named.tag == bundles.__version__


def test_containerd_imports_it_under_the_name_that_the_charts_say(image: Path) -> None:
    """By the commands of docs/images.md."""
    assert "tar -C dist/image -cf goosed.tar .\n" in (ROOT / "docs/images.md").read_text()
    folder = Path(tempfile.mkdtemp(prefix="goose-"))
    try:
        subprocess.run([part("tar"), "-C", image, "-cf", folder / "goosed.tar", "."], check=True)
        with containerd.running(folder) as ctr:
            ctr("images", "import", "--no-unpack", folder / "goosed.tar")
            named = f"docker.io/library/goosed:{bundles.__version__}"
            assert ctr("images", "ls", "-q").split() == [named]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_what_the_image_needs_of_python_is_what_constraints_pin() -> None:
    """After `make constraints`: python scripts/image/make.py --requirements."""
    sys.path.insert(0, str(ROOT / "scripts/image"))
    try:
        import wheels  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    assert wheels.REQUIREMENTS.read_text() == wheels.requirements()


def test_the_containerfile_makes_one_that_runs_the_same(image: Path) -> None:
    path = image / "blobs/sha256" / manifest(image)["config"]["digest"][7:]
    config = json.loads(path.read_bytes())["config"]
    text = (ROOT / "Containerfile").read_text()
    last = text[text.rindex("FROM ") :]
    assert f"USER {config['User']}\n" in last
    assert f"WORKDIR {config['WorkingDir']}\n" in last
    assert f"CMD {json.dumps(config['Cmd'])}\n" in last
    for variable in config["Env"]:
        assert variable.startswith("PATH=") or f" {variable}" in last
    ignored = (ROOT / ".containerignore").read_text()
    assert (ROOT / ".dockerignore").read_text() == ignored
    for words in (line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ")):
        for word in words:
            if not word.startswith(("--", "/")):
                assert (ROOT / word).exists()
                assert f"!{word}\n" in ignored
