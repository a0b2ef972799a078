"""Install receipts: what one machine was built from, told under the site's signature.

The format is in docs/receipts.md. Takes bytes, never paths, and does no I/O; the daemon makes the
documents, and `install_trust` tells what is believed of one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bundles.errors import GooseError
from bundles.format import canonical, statement
from bundles.format.fields import Fields
from bundles.format.paths import check_path

FORMAT = 1
MAX_RECEIPT = 1024 * 1024  # bytes

MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,62}")
_WHO = re.compile(r"[^\x00-\x1f\x7f]{1,300}")


class BadInstallReceipt(GooseError):
    """An install receipt is not of the form that the format prescribes."""

    code = "bad-install-receipt"
    default_hint = "have the site give it again: goosectl receipt export"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of the bundle that the machine booted or was applied from."""

    path: str  # within the bundle
    digest: str  # of the whole file
    size: int  # bytes

    def encode(self) -> dict[str, object]:
        """As JSON data."""
        return {"digest": self.digest, "path": self.path, "size": self.size}


@dataclass(frozen=True, slots=True)
class Origin:
    """What a machine's answers were rendered from, and the token that they were told for: known
    the moment that the token is used."""

    site: str
    mac: str
    machine: str
    installer: str
    rendered: str  # digest of the answers that the installer was told
    profile: str
    profile_digest: str
    bundle: str
    version: str
    sequence: int
    statement: str  # digest
    root: str  # digest
    imported: str  # RFC 3339, when the site got the version
    artifacts: tuple[Artifact, ...]  # sorted by path
    token: str  # id, no secret
    issued: str  # RFC 3339, as every time here
    issued_to: str  # an address, or who issued it by hand
    used: str
    used_by: str  # an address
    event: int  # of the audit log: the use of the token

    def encode(self) -> dict[str, object]:
        """As JSON data."""
        return {
            "artifacts": [artifact.encode() for artifact in self.artifacts],
            "bundle": {
                "imported": self.imported,
                "name": self.bundle,
                "root": self.root,
                "sequence": self.sequence,
                "statement": self.statement,
                "version": self.version,
            },
            "installer": self.installer,
            "machine": {"mac": self.mac, "name": self.machine},
            "profile": {"digest": self.profile_digest, "name": self.profile},
            "rendered": self.rendered,
            "site": self.site,
            "token": {
                "event": self.event,
                "id": self.token,
                "issued": self.issued,
                "issuedTo": self.issued_to,
                "used": self.used,
                "usedBy": self.used_by,
            },
        }


@dataclass(frozen=True, slots=True)
class InstallReceipt:
    """An installation that came to its end."""

    origin: Origin
    workflow: str  # id
    attempt: int  # which of its tries
    armed: str
    ready: str
    goose: str  # the version that wrote it

    def encode(self) -> bytes:
        """The signed bytes."""
        return canonical.dumps(
            {
                **self.origin.encode(),
                "format": FORMAT,
                "goose": self.goose,
                "workflow": {
                    "armed": self.armed,
                    "attempt": self.attempt,
                    "id": self.workflow,
                    "ready": self.ready,
                },
            }
        )


def read(data: bytes, where: str) -> InstallReceipt:
    """The receipt that `data` encodes; `where` names it in errors.

    Raises `NotCanonical` or `BadInstallReceipt`; afterwards `encode` of the result is `data`.
    """
    if len(data) > MAX_RECEIPT:
        raise BadInstallReceipt(f"{where} has {len(data)} bytes; at most {MAX_RECEIPT} are read")
    fields = Fields(canonical.loads(data, where), {*_ORIGIN, *_END}, where, BadInstallReceipt)
    if fields.whole("format") != FORMAT:
        raise fields.wrong("format", f"is not {FORMAT}")
    flow = fields.part("workflow", {"armed", "attempt", "id", "ready"})
    return InstallReceipt(
        origin=_origin(fields, where),
        workflow=flow.text("id", UUID),
        attempt=flow.whole("attempt"),
        armed=_time(flow, "armed"),
        ready=_time(flow, "ready"),
        goose=fields.text("goose", _WORD),
    )


def read_origin(data: bytes, where: str) -> Origin:
    """The part of a receipt that is known before its end. Raises as `read` does."""
    return _origin(Fields(canonical.loads(data, where), _ORIGIN, where, BadInstallReceipt), where)


_ORIGIN = {
    "artifacts", "bundle", "installer", "machine", "profile", "rendered", "site", "token",
}  # fmt: skip
_END = {"format", "goose", "workflow"}
_BUNDLE = {"imported", "name", "root", "sequence", "statement", "version"}
_TOKEN = {"event", "id", "issued", "issuedTo", "used", "usedBy"}


def _origin(fields: Fields, where: str) -> Origin:
    bundle, token = fields.part("bundle", _BUNDLE), fields.part("token", _TOKEN)
    machine = fields.part("machine", {"mac", "name"})
    profile = fields.part("profile", {"digest", "name"})
    artifacts = tuple(
        _artifact(item, f"{where}: artifact {number}")
        for number, item in enumerate(fields.items("artifacts"), 1)
    )
    paths = [artifact.path for artifact in artifacts]
    if paths != sorted(set(paths)):
        raise fields.wrong("artifacts", "are not sorted by path, or name one twice")
    return Origin(
        site=fields.text("site", statement.NAME),
        mac=machine.text("mac", MAC),
        machine=machine.text("name", statement.NAME),
        installer=fields.text("installer", _WORD),
        rendered=fields.digest("rendered"),
        profile=profile.text("name", statement.NAME),
        profile_digest=profile.digest("digest"),
        bundle=bundle.text("name", statement.NAME),
        version=bundle.text("version", statement.VERSION),
        sequence=bundle.whole("sequence"),
        statement=bundle.digest("statement"),
        root=bundle.digest("root"),
        imported=_time(bundle, "imported"),
        artifacts=artifacts,
        token=token.text("id", UUID),
        issued=_time(token, "issued"),
        issued_to=token.text("issuedTo", _WHO),
        used=_time(token, "used"),
        used_by=token.text("usedBy", _WHO),
        event=token.whole("event"),
    )


def _artifact(item: Any, where: str) -> Artifact:
    fields = Fields(item, {"digest", "path", "size"}, where, BadInstallReceipt)
    path = fields.text("path", _ANY)
    try:
        check_path(path, where)
    except GooseError as error:
        raise BadInstallReceipt(error.message) from error
    return Artifact(path, fields.digest("digest"), fields.whole("size"))


_ANY = re.compile(r".*", re.DOTALL)


def _time(fields: Fields, name: str) -> str:
    text = fields.text(name, statement.TIME)
    try:
        statement.parse_time(text)
    except ValueError as error:
        raise fields.wrong(name, f"is no time: {error}") from error
    return text
