"""Makes images of the servers that this machine has: those that the tests build, and Debian's.

    python scripts/cluster/images.py --out FOLDER IMAGE...    each an OCI layout below FOLDER

They stand in for those that the charts name and that no cluster without a registry can pull. An
image is a program with the libraries that it is linked to; what else it needs is below.
scripts/image/make.py makes that of goosed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "image"))

import layers  # noqa: E402
from layers import Layer  # noqa: E402

# What runs, by the image's name: a tool of tests/tools or tests/stack/tools, or the system's.
SERVERS = {
    "goose.invalid/coredns": "coredns",
    "docker.io/library/nats": "nats-server",
    "ghcr.io/versity/versitygw": "versitygw",
    "docker.io/otel/opentelemetry-collector": "otelcol",
    "docker.io/prom/prometheus": "prometheus",
    "docker.io/grafana/loki": "loki",
    "docker.io/grafana/tempo": "tempo",
}
PAUSE = "goose.invalid/pause"
POSTGRES = "docker.io/library/postgres"
APPLETS = ("cat", "mkdir", "mv", "rm", "sh", "sleep")
# The image of PostgreSQL makes its database at its first start; this does, of what the chart says.
ENTRYPOINT = """\
#!/bin/sh
set -eu
if [ ! -e "$PGDATA" ]; then
    rm -rf "$PGDATA.part"
    printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --pgdata "$PGDATA.part" --username "$POSTGRES_USER" --pwfile /tmp/password \\
        --auth scram-sha-256 --encoding UTF8 --locale C
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$PGDATA.part/pg_hba.conf"
    echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D "$PGDATA.part" postgres
    mv "$PGDATA.part" "$PGDATA"
fi
exec postgres -D "$PGDATA" -c listen_addresses='*'
"""


def main() -> None:
    """What the module says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder; those in it stay")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="its whole name, with its tag")
    given = parser.parse_args()
    for image in given.images:
        name, _, tag = image.rpartition(":")
        out = given.out / re.sub(r"[^a-z0-9.]+", "-", image)
        if out.exists():
            shutil.rmtree(out)
        layer, config = _made(name)
        whole = {"architecture": "amd64", "os": "linux", "config": config}
        layers.write(out, [layer.tar()], whole, name, tag)
        print(out)


def _made(name: str) -> tuple[Layer, dict[str, Any]]:
    """The one layer of an image, and what it runs."""
    layer = Layer()
    for folder in ("dev", "etc", "proc", "run", "sys"):
        layer.folders[folder] = (0o755, 0)
    layer.folders["tmp"] = (0o1777, 0)
    if name == PAUSE:  # it holds the pod's namespaces, and is killed
        layer.add("bin/busybox", _command("busybox").read_bytes(), 0o755)
        return layer, {"Entrypoint": ["/bin/busybox", "sleep", "2147483647"]}
    _shell(layer)
    environ = ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"]
    if name == POSTGRES:
        _postgres(layer)
        return layer, {"Entrypoint": ["/usr/local/bin/entrypoint"], "Env": environ}
    if name not in SERVERS:
        sys.exit(f"error: {name} is not made here\nhint: {', '.join([*SERVERS, POSTGRES])}")
    program = SERVERS[name]
    _linked(layer, _tool(program), f"usr/local/bin/{program}")
    return layer, {"Entrypoint": [f"/usr/local/bin/{program}"], "Env": environ}


def _shell(layer: Layer) -> None:
    layer.add("bin/busybox", _command("busybox").read_bytes(), 0o755)
    for applet in APPLETS:
        layer.links[f"bin/{applet}"] = "busybox"


def _postgres(layer: Layer) -> None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        sys.exit("error: PostgreSQL is not installed\nhint: sudo make parts")
    home = found[-1].parents[1]
    share = Path("/usr/share/postgresql") / home.name
    for name in ("initdb", "pg_isready", "postgres", "psql"):
        _linked(layer, home / "bin" / name, f"{home}/bin/{name}"[1:])
        layer.links[f"usr/local/bin/{name}"] = f"{home}/bin/{name}"
    for name in ("dict_snowball.so", "plpgsql.so"):
        _linked(layer, home / "lib" / name, f"{home}/lib/{name}"[1:])
    for folder in (share, Path("/usr/share/zoneinfo")):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                layer.add(str(path)[1:], path.read_bytes())
    layer.add("etc/passwd", b"postgres:x:999:999::/var/lib/postgresql:/bin/sh\n")
    layer.add("usr/local/bin/entrypoint", ENTRYPOINT.encode(), 0o755)


def _linked(layer: Layer, program: Path, at: str) -> None:
    """Adds a program, or a library, and the libraries that the loader finds for it."""
    layer.add(at, program.read_bytes(), 0o755)
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"(/\S+) \(0x", told):
        layer.add(library[1:], Path(library).read_bytes(), 0o755)


def _tool(name: str) -> Path:
    """What the tests build, of exactly the bytes that are pinned there; or else the system's."""
    for folder in (ROOT / "tests/tools", ROOT / "tests/stack/tools"):
        module = folder / name
        if not module.is_dir():
            continue
        files = sorted(path for path in module.rglob("*") if path.is_file())
        pinned = b"".join(path.read_bytes() for path in files if path.name != "go.mod")
        digest = hashlib.sha256(pinned).hexdigest()[:12]
        found = next(_cache().glob(f"tools/{name}-*-{digest}/{name}"), None)
        if found is None:
            sys.exit(f"error: {name} is not built\nhint: make stack-parts builds it")
        return found
    return _command(name)


def _command(name: str) -> Path:
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        sys.exit(f"error: {name} is not on PATH\nhint: sudo make parts")
    return Path(found)


def _cache() -> Path:
    named = os.environ.get("GOOSE_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(home) / "goose"


if __name__ == "__main__":
    main()
