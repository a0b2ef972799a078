"""A site's trust roots on disk: every version, and the one in force.

``root.json`` is the one in force; ``history/N.json`` is version N, kept so that anybody can follow
how the one in force came about.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bundles import trust
from bundles.errors import GooseError
from bundles.store import durable
from bundles.trust import TrustRoot

_ACTIVE = "root.json"
_HISTORY = "history"


class NoTrustRoot(GooseError):
    """The site has no trust root, so no signature means anything to it."""

    code = "no-trust-root"
    default_hint = "run `goosectl trust init --signer FILE.pub`, with keys from a trusted hand"


class TrustRootExists(GooseError):
    """The site already has a trust root."""

    code = "trust-root-exists"
    default_hint = "see it with `goosectl trust show`; a new version follows it by rotation"


class WrongFingerprint(GooseError):
    """A trust root is not the one whose fingerprint was given."""

    code = "wrong-fingerprint"
    default_hint = "compare signers, names and threshold with whoever gave you the fingerprint"


class TrustUnusable(GooseError):
    """The folder of trust roots cannot be read or written."""

    code = "trust-unusable"
    default_hint = "look at the folder's mode and its disk; GOOSE_HOME says where it is"


@dataclass(frozen=True, slots=True)
class TrustStore:
    """The folder of a site's trust roots."""

    folder: Path

    @property
    def path(self) -> Path:
        """The file of the root in force."""
        return self.folder / _ACTIVE

    def root(self) -> TrustRoot:
        """The root in force.

        Raises `NoTrustRoot`, `TrustUnusable`, `NotCanonical` or `BadTrustRoot`.
        """
        try:
            with open(self.path, "rb") as file:
                data = file.read(trust.MAX_ROOT + 1)
        except FileNotFoundError as error:
            raise NoTrustRoot(f"{self.folder} holds no trust root") from error
        except OSError as error:
            raise TrustUnusable(f"{self.path}: {error.strerror}") from error
        return trust.read(data, str(self.path))

    def require_none(self) -> None:
        """Raises `TrustRootExists` when the site has or had a root, even an unreadable one."""
        for path in self._files_of(1):
            if path.exists():
                raise TrustRootExists(f"{path} is already there", file=str(path))

    def pin(self, root: TrustRoot, fingerprint: str) -> None:
        """Brings the site's first root into force: `root`, which must be the one with the
        `fingerprint` that was confirmed.

        Raises `WrongFingerprint`, `TrustRootExists` or `TrustUnusable`.
        """
        if root.fingerprint != fingerprint:
            raise WrongFingerprint(
                f"these signers and this threshold make {root.fingerprint}, not {fingerprint}",
                expected=fingerprint,
                found=root.fingerprint,
            )
        files = self._files_of(root.version)
        try:
            files[-1].parent.mkdir(parents=True, exist_ok=True)
            durable.create_files({path: (root.render(), 0o644) for path in files})
        except FileExistsError as error:
            raise TrustRootExists(f"{error.filename} is already there") from error
        except OSError as error:
            raise TrustUnusable(f"{error.filename or self.folder}: {error.strerror}") from error

    def _files_of(self, version: int) -> tuple[Path, Path]:
        return self.path, self.folder / _HISTORY / f"{version}.json"
