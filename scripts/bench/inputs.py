"""What is measured on: trees and files as they are in life."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

GIB = 1024**3
TREE_BYTES = 1_200_000_000
GOOSECTL = [str(Path(sys.executable).with_name("goosectl"))]


def make_input(folder: Path) -> None:
    """A tree as an operating system has it, and one large file that nothing compresses."""
    tree, size = folder / "usr", 0
    for base, folders, names in os.walk("/usr"):
        folders.sort()
        for name in sorted(names):
            source = Path(base, name)
            if size >= TREE_BYTES or source.is_symlink() or not os.access(source, os.R_OK):
                continue
            target = tree / source.relative_to("/usr")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
            size += target.stat().st_size
    random_file(folder / "large.bin", GIB)


def random_file(path: Path, size: int) -> None:
    """`size` random bytes at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.writelines(os.urandom(1 << 20) for _ in range(size >> 20))


def size_of(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def copy_and_sync(source: Path, target: Path) -> list[str]:
    """`cp -a` and a sync of what it wrote."""
    return ["sh", "-c", 'cp -a "$1" "$2" && sync -f "$2"', "sh", str(source), str(target)]
