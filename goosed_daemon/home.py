"""Where a site keeps everything: one folder, `GOOSE_HOME`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


class Home:
    """The paths inside the site's folder. Nothing here touches the disk."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def find(cls, environ: Mapping[str, str] | None = None, *, uid: int | None = None) -> Home:
        """The folder that `GOOSE_HOME` names. Without it: /var/lib/goose for root, for others
        `goose` in their data folder (XDG Base Directory Specification, `XDG_DATA_HOME`)."""
        environ = os.environ if environ is None else environ
        if named := environ.get("GOOSE_HOME"):
            return cls(Path(named).expanduser().absolute())
        if (os.getuid() if uid is None else uid) == 0:
            return cls(Path("/var/lib/goose"))
        data = environ.get("XDG_DATA_HOME", "")
        base = Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share"
        return cls(base / "goose")

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
    def state(self) -> Path:
        """The embedded SQLite database."""
        return self.path / "state.db"

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.path / "goosed.yaml"
