"""What git would clone from here, with what is not committed yet."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.parts import part

ROOT = Path(__file__).resolve().parents[1]


def copied(folder: Path) -> Path:
    """Copies every file that is tracked or would be, with its mode, into a folder that is made."""
    listed = subprocess.run(
        [part("git"), "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder
