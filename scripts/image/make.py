"""Makes the OCI image of goosed without a container engine: one checkout gives the same bytes.

    python scripts/image/make.py --out FOLDER    a new folder, an OCI image layout
    python scripts/image/make.py --pin           renew the pins of the Debian packages
    python scripts/image/make.py --requirements  renew requirements.txt, after constraints.txt

Three layers: Debian's packages, Python's packages, Goose. So an update of Goose is a small third
layer, and a bundle that brings it a small delta. docs/images.md says more.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import base
import layers
import wheels
from layers import Layer

import bundles

# What compiles is the image's own Python, so that the machine's does not matter; in one order, for
# what marshal writes depends on what was interned before.
_COMPILE = """
import py_compile, sys
root = sys.argv[1]
for path in sys.stdin.read().splitlines():
    source = root + "/" + path
    try:
        py_compile.compile(source, dfile="/" + path, doraise=True, quiet=1,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    except py_compile.PyCompileError:
        pass  # templates of other Pythons that packages bring along
"""
_COMMAND = """\
#!/usr/bin/python3 -I
import sys
from goosectl.main import {function}
sys.exit({function}())
"""


def main() -> None:
    """What the module says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, help="a folder that is not there yet")
    what.add_argument("--pin", action="store_true")
    what.add_argument("--requirements", action="store_true")
    given = parser.parse_args()
    if given.pin:
        base.pin()
    elif given.requirements:
        wheels.REQUIREMENTS.write_text(wheels.requirements())
    else:
        print(image(given.out))


def image(out: Path) -> str:
    """Makes the image in the folder `out`; its digest."""
    epoch = _epoch()
    if out.exists():
        shutil.rmtree(out)
    with tempfile.TemporaryDirectory(prefix="goose-image-") as name:
        work = Path(name)
        debian = base.layer(base.fetch(_cache() / "image"))
        python = wheels.layer(wheels.download(work / "wheels", epoch))
        goose = wheels.layer([wheels.own(work, epoch)])
        for command, function in (("goosectl", "main"), ("goosed", "goosed")):
            text = _COMMAND.format(function=function).encode()
            goose.add(f"usr/local/bin/{command}", text, 0o755)
        made = [debian, python, goose]
        root = work / "root"
        for each in made:
            each.write(root)
        for each in made:
            _compile(root, each)
        tars = [each.tar() for each in made]
        name = "docker.io/library/goosed"
        return layers.write(out, tars, _config(epoch), name, bundles.__version__)


def _config(epoch: int) -> dict[str, object]:
    made = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": made,
        "config": {
            "User": f"{base.USER}:{base.USER}",
            "Env": [
                "PATH=/usr/local/bin:/usr/bin:/bin",
                "LANG=C.UTF-8",
                "PYTHONDONTWRITEBYTECODE=1",
                "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
                "GOOSE_HOME=/var/lib/goose",
                "HOME=/var/lib/goose",
            ],
            "Cmd": ["goosed"],
            "WorkingDir": "/var/lib/goose",
            "Labels": {
                "org.opencontainers.image.title": "goosed",
                "org.opencontainers.image.version": bundles.__version__,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
    }


def _compile(root: Path, layer: Layer) -> None:
    """Adds the compiled form of every module: a root that is read-only keeps none."""
    paths = sorted(path for path in layer.files if path.endswith(".py") and "python3" in path)
    library = root / "usr/lib/x86_64-linux-gnu"
    command = [library / "ld-linux-x86-64.so.2", "--library-path", library]
    command += [root / "usr/bin/python3.11", "-I", "-S", "-c", _COMPILE, str(root)]
    environ = {"PYTHONHOME": str(root / "usr"), "PYTHONHASHSEED": "0"}
    given = "\n".join(paths).encode()
    subprocess.run(command, input=given, env=environ, check=True)
    for path in paths:
        folder, _, name = path.rpartition("/")
        compiled = f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-311.pyc"
        if (root / compiled).exists():
            layer.add(compiled, (root / compiled).read_bytes())


def _epoch() -> int:
    """SOURCE_DATE_EPOCH, or else when what is checked out was committed."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    command = ["git", "-C", str(wheels.ROOT), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout or 0)


def _cache() -> Path:
    named = os.environ.get("GOOSE_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(home) / "goose"


if __name__ == "__main__":
    sys.exit(main())
