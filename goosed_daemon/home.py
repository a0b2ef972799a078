"""Where a site keeps everything: one folder, `GOOSE_HOME`."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from goosed_daemon.errors import BadSetting


class Home:
    """The paths inside the site's folder. Nothing here changes the disk."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def find(cls, environ: Mapping[str, str] | None = None, *, uid: int | None = None) -> Home:
        """The folder that `GOOSE_HOME` names. Without it: /var/lib/goose for root, for others
        `goose` in their data folder (XDG Base Directory Specification, `XDG_DATA_HOME`).

        It need not be there yet. Raises `BadSetting` for what can be no folder.
        """
        environ = os.environ if environ is None else environ
        if named := environ.get("GOOSE_HOME"):
            return cls(_possible(_expanded(Path(named)).absolute()))
        if (os.getuid() if uid is None else uid) == 0:
            return cls(_possible(Path("/var/lib/goose")))
        data = environ.get("XDG_DATA_HOME", "")
        base = Path(data) if os.path.isabs(data) else _expanded(Path("~/.local/share"))
        return cls(_possible(base / "goose"))

    def __repr__(self) -> str:
        return f"Home({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Home) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    @property
    def store(self) -> Path:
        """The local store of imported content."""
        return self.path / "store"

    @property
    def trust(self) -> Path:
        """Trust roots: who may sign what comes in."""
        return self.path / "trust"

    @property
    def infra(self) -> Path:
        """Infra profiles."""
        return self.path / "infra"

    @property
    def keys(self) -> Path:
        """Keys that never leave the site."""
        return self.path / "keys"

    @property
    def token_key(self) -> Path:
        """The key from which boot tokens are derived (32 bytes, mode 0600)."""
        return self.keys / "token.key"

    @property
    def install_key(self) -> Path:
        """The key that signs install receipts (32 bytes, mode 0600)."""
        return self.keys / "install.key"

    @property
    def secrets(self) -> Path:
        """Files with secrets that profiles name."""
        return self.path / "secrets"

    @property
    def identity(self) -> Path:
        """The age identity that opens secrets in profiles."""
        return self.keys / "site.agekey"

    @property
    def pki(self) -> Path:
        """The site's certification authority and what it issued."""
        return self.path / "pki"

    @property
    def state(self) -> Path:
        """The embedded SQLite database."""
        return self.path / "state.db"

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.path / "goosed.yaml"


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        user = path.parts[0].removeprefix("~")
        why = f"there is no user {user!r}" if user else "this user has no home folder"
        raise BadSetting(f"GOOSE_HOME: {why}", hint=_HINT, setting="GOOSE_HOME") from error


def _possible(path: Path) -> Path:
    """`path`, if it is a folder or could become one."""
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            return path
        why = "is not a folder"
    except FileNotFoundError:
        return path
    except OSError as error:
        why = f"cannot be used: {error.strerror}"
    raise BadSetting(f"GOOSE_HOME: {path} {why}", hint=_HINT, setting="GOOSE_HOME")


_HINT = "set GOOSE_HOME to the site's folder; it need not be there yet"
