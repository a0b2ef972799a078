"""Secrets by reference: read when a machine's file is rendered, and hidden everywhere else.

A profile names a file in one folder, a variable with one prefix, or holds what only the site's
identity opens. So who may write profiles, but is not the daemon, reads none of its other files and
variables through them.
"""

from __future__ import annotations

import os
import stat
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from bundles.errors import GooseError
from bundles.files import keyfile
from bundles.files.document import dotted
from bundles.signing import agekey
from goosed_daemon.errors import SecretExposed, SecretMissing, SecretUnreadable
from goosed_daemon.infra.models import Machine, OSProfile, SecretRef, Site
from goosed_daemon.infra.secret_text import SecretText
from goosed_daemon.render.context import BootContext

if TYPE_CHECKING:
    from bundles.files.yaml_events import Place
    from goosed_daemon.settings import Settings

MAX_FILE = 64 << 10  # bytes
_Thing = TypeVar("_Thing")
_Secret = SecretText | SecretRef


class Secrets:
    """Where a site keeps its secrets. Nothing is kept in memory: a changed secret counts at the
    next render."""

    def __init__(
        self, folder: Path, identity: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self.folder, self.identity = folder, identity
        self._environ = os.environ if environ is None else environ

    @classmethod
    def of(cls, settings: Settings) -> Secrets:
        """Those of a site."""
        home = settings.home
        return cls(settings.secrets or home.secrets, settings.identity or home.identity)

    def value(self, ref: SecretRef) -> SecretText:
        """The secret that `ref` stands for.

        Raises `SecretMissing`, `SecretExposed` or `SecretUnreadable`, none of which has any of it.
        """
        source = ref.secret_from
        if source.file is not None:
            text = _text(self._file(source.file), f"the secret file {self.folder / source.file}")
        elif source.env is not None:
            text = self._variable(source.env)
        else:
            text = _text(self._decrypted(source.age or ""), "the secret encrypted by age")
        try:
            return SecretText(ref.form(text))
        except ValueError as error:
            raise SecretUnreadable(f"the secret {source}: {error}") from None

    def _file(self, name: str) -> bytes:
        path = self.folder / name
        try:
            real = path.resolve(strict=True)
            if not real.is_relative_to(self.folder.resolve()):
                raise SecretUnreadable(f"the secret file {path} leads out of {self.folder}")
            with open(real, "rb", opener=_at_once) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise SecretUnreadable(f"the secret file {path} is not a regular file")
                _refuse_exposed(path, status)
                data = file.read(MAX_FILE + 1)
        except FileNotFoundError:
            raise SecretMissing(
                f"there is no secret file {path}", hint="write it there, with mode 0600"
            ) from None
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            why = getattr(error, "strerror", None) or "it is a loop of links"
            raise SecretUnreadable(f"the secret file {path} cannot be read: {why}") from None
        if len(data) > MAX_FILE:
            raise SecretUnreadable(f"the secret file {path} is larger than {MAX_FILE} bytes")
        return data

    def _variable(self, name: str) -> str:
        value = self._environ.get(name)
        if value is None:
            raise SecretMissing(
                f"the variable {name} is not set",
                hint="set it where the daemon runs, and where you validate",
            )
        return value

    def _decrypted(self, body: str) -> bytes:
        import pyrage

        try:
            keys = _identities(self.identity)
        except GooseError as error:
            kind = SecretExposed if isinstance(error, keyfile.KeyExposed) else SecretMissing
            raise kind(
                f"a secret is encrypted for the site's identity, but {error.message}",
                hint=error.hint
                if kind is SecretExposed
                else f"`goosectl key new-recipient {self.identity.stem} --out"
                f" {self.identity.parent}` makes one; secrets are encrypted for its .agepub",
            ) from None
        try:
            found: bytes = pyrage.decrypt(b64decode(body), keys)
        except (pyrage.DecryptError, ValueError):
            raise SecretUnreadable(
                f"a secret encrypted by age does not open with {self.identity}",
                hint="encrypt it again: `age -a -R` with the .agepub beside the identity",
            ) from None
        return found


def resolved(boot: BootContext, secrets: Secrets) -> BootContext:
    """`boot` with every secret in the place of its reference, for the machine alone.

    Raises as `Secrets.value` does, with the document and field in front.
    """

    def change(secret: _Secret, document: str, path: Place) -> str:
        if isinstance(secret, SecretText):
            return secret
        try:
            return secrets.value(secret)
        except (SecretMissing, SecretExposed, SecretUnreadable) as error:
            field = dotted(tuple(to_camel(p) if isinstance(p, str) else p for p in path))
            raise type(error)(f"{document}: {field}: {error.message}", hint=error.hint) from None

    return _changed(boot, change)


def hidden(boot: BootContext, show: Callable[[_Secret], str] | None = None) -> BootContext:
    """`boot` with words in the place of every secret, for people."""
    say = words if show is None else show
    return _changed(boot, lambda secret, document, path: say(secret))


def words(secret: _Secret) -> str:
    """What people are shown instead of a secret: where it comes from."""
    return str(secret) if isinstance(secret, SecretRef) else "(not shown)"


def any_reference(boot: BootContext) -> bool:
    """Whether there is anything to resolve."""
    found: list[_Secret] = []

    def keep(secret: _Secret, path: Place) -> _Secret:
        found.append(secret)
        return secret

    for part in (boot.site, boot.profile, boot.machine):
        mapped(part, keep)
    return any(isinstance(secret, SecretRef) for secret in found)


def _changed(boot: BootContext, change: Callable[[_Secret, str, Place], str]) -> BootContext:
    def of(document: Site | OSProfile | Machine) -> Any:
        name = f"{document.kind} {document.name}"
        return mapped(document, lambda secret, path: change(secret, name, path))

    return replace(boot, site=of(boot.site), profile=of(boot.profile), machine=of(boot.machine))


def mapped(value: _Thing, change: Callable[[_Secret, Place], Any], path: Place = ()) -> _Thing:
    """`value` with every secret in it changed; the same object where there is none. `path` leads
    to it, by the names of attributes."""
    found: Any = value
    if isinstance(value, SecretText | SecretRef):
        found = change(value, path)
    elif isinstance(value, BaseModel):
        new = _parts(value.__dict__, change, path)
        found = value.model_copy(update=new) if new else value
    elif isinstance(value, tuple):
        new = _parts(dict(enumerate(value)), change, path)
        found = tuple(new.get(n, part) for n, part in enumerate(value)) if new else value
    elif isinstance(value, dict):
        new = _parts(value, change, path)
        found = {**value, **new} if new else value
    return found  # type: ignore[no-any-return]


def _parts(
    values: Mapping[Any, Any], change: Callable[[_Secret, Place], Any], path: Place
) -> dict[Any, Any]:
    """Those of `values` that have secrets in them, changed."""
    new = {}
    for name, part in values.items():
        if type(part) not in _PLAIN and part != ():
            changed = mapped(part, change, (*path, name))
            if changed is not part:
                new[name] = changed
    return new


_PLAIN = frozenset((str, int, bool, type(None)))


def _identities(path: Path) -> list[Any]:
    """Raises `BadKey` or `KeyExposed`."""
    import pyrage

    data = keyfile.read_secret(path)
    try:
        if agekey.is_secret(data):
            lines = data.decode("ascii").splitlines()
            return [
                pyrage.x25519.Identity.from_str(line)
                for line in lines
                if line and not line.startswith("#")
            ]
        return [pyrage.ssh.Identity.from_buffer(data)]
    except (ValueError, pyrage.IdentityError):
        raise keyfile.BadKey(f"{path} holds no age identity", file=str(path)) from None


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # never waits for the other end of a FIFO


def _refuse_exposed(path: Path, status: os.stat_result) -> None:
    """Anyone's right is one too many; of a file of the daemon's own, that of its group as well."""
    mode = stat.S_IMODE(status.st_mode)
    if mode & (0o077 if status.st_uid == os.geteuid() else 0o007):
        raise SecretExposed(f"the secret file {path} has mode {mode:04o}: others may read it")


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SecretUnreadable(f"{what} is not text in UTF-8") from None
