"""A site's trust roots on disk: every version, and the one in force.

``root.json`` is the one in force; ``history/N.trust`` is version N with the signatures that brought
it into force, kept so that anybody can follow how the one in force came about, and so that a site
that fell behind can be given every link.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bundles.errors import GooseError
from bundles.files import durable
from bundles.signing import trust, trustchain
from bundles.signing.trust import TrustRoot
from bundles.signing.trustchain import Link, OtherTrustRoot

_ACTIVE = "root.json"
_HISTORY = "history"
_SUFFIX = ".trust"


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
            data = _read(self.path, trust.MAX_ROOT)
        except FileNotFoundError as error:  # check 0
            raise NoTrustRoot(f"{self.folder} holds no trust root") from error
        return trust.read(data, str(self.path))

    def chain(self) -> tuple[Link, ...]:
        """Every version that the site has, from the one that was pinned to the one in force.

        Raises what `root` and `trustchain.read` raise, and `OtherTrustRoot` when the versions kept
        do not lead to the one in force.
        """
        root = self.root()
        parts, version = list[bytes](), root.version
        try:
            while version:
                parts.append(_read(self._kept(version), trustchain.MAX_CHAIN))
                version -= 1
        except FileNotFoundError:
            pass  # the site was pinned with the version after
        if not parts:
            return (Link(root),)
        links = trustchain.read(b"".join(reversed(parts)), str(self.folder / _HISTORY))
        if links[-1].root != root:
            raise OtherTrustRoot(
                f"{self.folder / _HISTORY} leads to {links[-1].root.fingerprint};"
                f" {root.fingerprint} is in force",
                hint="somebody changed a file below the trust folder: compare with another site",
            )
        return links

    def require_none(self) -> None:
        """Raises `TrustRootExists` when the site has or had a root, even an unreadable one."""
        for path in (self.path, *sorted((self.folder / _HISTORY).glob("*"))):
            if path.exists():
                raise TrustRootExists(f"{path} is already there", file=str(path))

    def pin(self, chain: Sequence[Link], fingerprint: str) -> None:
        """Brings the site's first root into force: the last of `chain`, which must be the one
        with the `fingerprint` that was confirmed. It vouches for those before it, which are kept.

        Raises `WrongFingerprint`, `TrustRootExists` or `TrustUnusable`.
        """
        root = chain[-1].root
        if root.fingerprint != fingerprint:
            raise WrongFingerprint(
                f"this trust root is {root.fingerprint}, not {fingerprint}",
                expected=fingerprint,
                found=root.fingerprint,
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            (self.folder / _HISTORY).mkdir(exist_ok=True)
            self.require_none()
            links = trustchain.pruned(None, chain)
            files = {self._kept(link.root.version): (link.render(), 0o644) for link in links}
            # First the one that counts: without the others a site still works.
            durable.create_files({self.path: (root.render(), 0o644), **files})
        except FileExistsError as error:
            raise TrustRootExists(f"{error.filename} is already there") from error
        except OSError as error:
            raise _unusable(error, self.folder) from error

    def advance(self, chain: Sequence[Link], at: datetime, where: str) -> tuple[Link, ...]:
        """Brings the last of `chain` into force, after every check of `trustchain.follow`.

        Returns the versions that are new; none when the last is in force already. Interrupted at
        any point the old root or the new one is in force, whole. Raises what `follow` raises, and
        `TrustUnusable`.
        """
        self.root()
        try:
            with self._locked():
                links = trustchain.follow(self.root(), chain, at, where)
                # What a run that was interrupted left behind was never in force, and goes.
                for link in links:
                    durable.replace_file(self._kept(link.root.version), link.render())
                if links:
                    durable.replace_file(self.path, links[-1].root.render())
                return links
        except OSError as error:
            raise _unusable(error, self.folder) from error

    def _kept(self, version: int) -> Path:
        return self.folder / _HISTORY / f"{version}{_SUFFIX}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Of two at once one waits: each looks at what is in force when its turn comes."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _read(path: Path, limit: int) -> bytes:
    """At most `limit` bytes and one. Raises FileNotFoundError or `TrustUnusable`."""
    try:
        with open(path, "rb") as file:
            return file.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unusable(error, path) from error


def _unusable(error: OSError, path: Path) -> TrustUnusable:
    return TrustUnusable(f"{error.filename or path}: {error.strerror}")
