"""A folder as it was in a revision of the git repository that it is in."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bundles.errors import UsageError
from bundles.files.document import InvalidDocument


@contextmanager
def folder(named: str, beside: Path) -> Iterator[Path]:
    """The folder `named`, or, where there is none, `beside` as it was in the revision of that name.

    Within the block; problems of its documents name the revision. Raises `UsageError`.
    """
    if Path(named).is_dir():
        yield Path(named)
        return
    if named.startswith("-"):
        raise _nothing(named, beside)
    commit = _git(beside, "rev-parse", "--verify", "--quiet", f"{named}^{{commit}}")
    if commit is None:
        raise _nothing(named, beside)
    prefix = (_git(beside, "rev-parse", "--show-prefix") or b"").decode().strip().rstrip("/")
    tree = f"{commit.decode().strip()}:{prefix}"
    # From the top: git takes the folder it is in for a part of the tree.
    top = (_git(beside, "rev-parse", "--show-toplevel") or b"").decode().rstrip("\n")
    archive = _git(Path(top), "archive", "--format=tar", tree)
    if archive is None:
        raise UsageError(f"revision {named} has no folder {prefix}", hint="name another revision")
    with TemporaryDirectory() as made:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(made, filter="data")
        try:
            yield Path(made)
        except InvalidDocument as error:
            raise InvalidDocument(
                replace(one, source=one.source.replace(made, f"{named}:{prefix}", 1))
                for one in error.problems
            ) from None


def _git(at: Path, *arguments: str) -> bytes | None:
    """What git prints, or None where it refuses or there is none."""
    try:
        done = subprocess.run(
            ["git", "-C", at, *arguments],
            capture_output=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def _nothing(named: str, beside: Path) -> UsageError:
    return UsageError(
        f"{named} is neither a folder nor a revision of the git repository that {beside} is in",
        hint="give a folder of profiles, or a revision such as HEAD~1",
    )
