"""Import into an S3 store beside the S3 client's own upload of the same files.

The server is the tests' one (versitygw), on this machine and so on the same disk and cores. The
peer is `Minio.fput_object` on eight threads, in parts of the same size; it checks no signature of a
bundle and hashes nothing for its own sake.

Usage: python scripts/bench/s3.py [--rounds N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from measure import HEADER, Side, compare, row
from run import GOOSECTL, Bench, random_file

from tests import s3_server

_PEER = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from minio import Minio
endpoint, bucket, access, secret, folder = sys.argv[1:]
client = Minio(endpoint, access, secret, secure=False, region="us-east-1")
files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
def send(path):
    client.fput_object(bucket, str(path.relative_to(folder)), str(path), part_size=16 << 20)
with ThreadPoolExecutor(8) as pool:
    list(pool.map(send, files))
"""


def small_files(folder: Path, count: int) -> None:
    """`count` files of 1 to 64 KiB."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:05}").write_bytes(os.urandom(1024 << number % 7))


class S3Bench(Bench):
    """One run, in a folder of its own."""

    def compare(self, title: str, server: s3_server.S3Server, name: str) -> str:
        """One line: the folder `name` as a bundle into a bucket, and plainly into another."""
        out = self.folder / f"{name}-out"
        recipe = self.prepare(name, f"  - tree: ./{name}\n    as: data\n")
        key = str(self.folder / "release")
        self.goosectl("bundle", "build", str(recipe), "--key", key, "--out", str(out))
        used: list[str] = []

        def fresh() -> s3_server.S3Address:
            for bucket in used:
                shutil.rmtree(self.folder / "server" / "data" / bucket)
            address = server.bucket()
            used[:] = [address.bucket]
            os.sync()
            return address

        def ours() -> None:
            os.environ.update(s3_server.environment(fresh()))

        sides = [
            Side("goosectl", [*GOOSECTL, "bundle", "import", str(out), "--quiet"], ours),
            Side("fput_object, 8 threads", []),
        ]

        def theirs() -> None:
            at = fresh()
            folder = str(self.folder / name)
            sides[1].command = [
                sys.executable, "-c", _PEER,
                at.endpoint, at.bucket, at.access_key, at.secret_key, folder,
            ]  # fmt: skip

        sides[1].before = theirs
        compare(sides[0], sides[1], self.rounds, self.folder)
        return row(title, sides[0], sides[1], "1.15")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work (default: a new folder in /tmp)")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="goose-bench-s3-", dir=asked.folder))
    try:
        with s3_server.running(folder / "server") as server:
            bench = S3Bench(folder, asked.rounds)
            for number in range(2):
                random_file(folder / "large" / f"{number}.bin", 512 << 20)
            small_files(folder / "small", 10_000)
            print(HEADER)
            print(bench.compare("two files of 512 MiB", server, "large"), flush=True)
            print(bench.compare("10,000 files of 1 to 64 KiB", server, "small"), flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
