"""What OpenAPI says of the routes that machines, installers and monitoring use; those of the
administration tell it themselves."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, Field

from goosed_daemon import errors
from goosed_daemon.infra.mac import BadMac
from goosed_daemon.web.routes import BYTES, OCI, PEM, TEXT, About


class Readiness(BaseModel):
    """How the daemon is."""

    ready: bool
    checks: dict[str, str] = Field(description="`ok`, or an error code.")


class Document(BaseModel):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


class Nothing(BaseModel):
    """Nothing more than that there is an answer."""


class TagList(BaseModel):
    """The tags of a repository, in order."""

    name: str
    tags: list[str]


class TagsQuery(BaseModel):
    """Which tags."""

    n: int | None = Field(None, description="At most so many.", ge=0, lt=10**8)
    last: str | None = Field(None, description="Those after this one.")


class ScriptQuery(BaseModel):
    """Who asks for a script."""

    mac: str | None = Field(None, description="In any spelling.")
    uuid: str | None = Field(None, description="The SMBIOS UUID.")
    serial: str | None = Field(None, description="The SMBIOS serial number.")
    waits: str | None = Field(
        None, description="`yes` where the script before had it wait for its turn."
    )


class RenderQuery(BaseModel):
    """Who asks for a rendered file."""

    token: str = Field(description="The boot token in the machine's script.", max_length=200)


class ProgressQuery(BaseModel):
    """What an install says of itself."""

    token: str = Field(description="The callback token in the rendered file.", max_length=200)
    step: str = Field(description="`started`, `failed` or `installed`.", max_length=200)


class EnrolBody(BaseModel):
    """An agent that enrols."""

    enrolment: str = Field(description="The secret of its enrolment.", max_length=200)


class HeartbeatBody(BaseModel):
    """An agent that is alive."""

    machine_id: str = Field(description="The machine's MAC.", max_length=200)
    agent: str | None = Field(None, description="What the agent says that it is.")


class RefreshBody(BaseModel):
    """An agent that wants a new token."""

    machine_id: str = Field(description="The machine's MAC.", max_length=200)
    old_token: str = Field(description="The token that ends with this.", max_length=200)


class Lease(BaseModel):
    """How long an agent's token lasts."""

    machine_id: str
    token: str | None = Field(None, description="A new token; not in answers to heartbeats.")
    now: AwareDatetime
    expires_at: AwareDatetime
    expires_in: int = Field(description="Seconds.")


HEALTHZ = About("Whether the process answers", {200: TEXT})
READYZ = About("Whether the daemon can do its work", {200: Readiness, 503: Readiness})
METRICS = About("Metrics, for Prometheus", {200: TEXT})
OPENAPI = About("This description", {200: Document})
CHAIN = About("The iPXE script that asks for a machine's own", {200: TEXT})
SCRIPT = About(
    "What a machine boots now, as an iPXE script; refusals too are scripts, with status 200",
    {200: TEXT},
    ScriptQuery,
)
GRUB_CHAIN = About("The GRUB configuration that asks for a machine's own", {200: TEXT})
GRUB_SCRIPT = About(
    "What a machine boots now, as a GRUB configuration; refusals too have status 200",
    {200: TEXT},
    ScriptQuery,
)
AUTHORITY = About(
    "The authorities that the daemon's certificate is to be believed by",
    {200: PEM},
    refusals=(errors.RouteUnknown,),
)
AUTHORITY_IMAGE = About(
    "A ramdisk that brings them to the installer of a release",
    {200: BYTES},
    refusals=(errors.RouteUnknown,),
)
RENDER = About(
    "What an installer is told, once for each token",
    {200: TEXT},
    RenderQuery,
    refusals=(
        errors.TokenUnknown,
        errors.TokenUsed,
        errors.TokenExpired,
        errors.TokenRevoked,
        errors.MachineUnknown,
        errors.WrongInstaller,
        errors.ArtifactMissing,
        errors.ProfileInvalid,
    ),
)
WINDOWS_FILE = About(
    "A script of WinPE: `winpeshl.ini`, `startnet.cmd` or `goose-disk.txt`; it uses no token",
    {200: TEXT},
    RenderQuery,
    refusals=(
        errors.RouteUnknown,
        errors.TokenUnknown,
        errors.TokenUsed,
        errors.TokenExpired,
        errors.TokenRevoked,
        errors.MachineUnknown,
        errors.WrongInstaller,
        errors.ArtifactMissing,
        errors.ProfileInvalid,
    ),
)
ARTIFACT = About(
    "A file of an imported bundle",
    {200: BYTES, 206: BYTES, 304: None, 307: None, 412: None, 416: None},
    refusals=(errors.ArtifactMissing,),
)
REGISTRY = About("That this is a registry", {200: Nothing})
_OF_IMAGES = (errors.RepositoryUnknown,)
MANIFEST = About(
    "A manifest or index of an image or chart, by tag or digest",
    {200: OCI, 206: OCI, 304: None, 412: None, 416: None},
    refusals=(*_OF_IMAGES, errors.ManifestUnknown, errors.DigestInvalid),
)
IMAGE_BLOB = About(
    "A config or layer of an image or chart",
    {200: BYTES, 206: BYTES, 304: None, 307: None, 412: None, 416: None},
    refusals=(*_OF_IMAGES, errors.ImageBlobUnknown, errors.DigestInvalid),
)
TAGS = About(
    "The tags of an image or chart",
    {200: TagList},
    TagsQuery,
    refusals=_OF_IMAGES,
)
PROGRESS = About(
    "Take an install's report of itself",
    {204: None},
    ProgressQuery,
    refusals=(errors.TokenUnknown, errors.BadQuery, BadMac),
)
REGISTER = About(
    "Enrol the agent of an installed system",
    {200: Lease},
    body=EnrolBody,
    refusals=(
        errors.CertificateNeeded,
        errors.EnrolmentUnknown,
        errors.EnrolmentUsed,
        errors.EnrolmentExpired,
        errors.EnrolmentRevoked,
    ),
)
_OF_AGENTS = (
    errors.CertificateNeeded,
    BadMac,
    errors.AgentTokenUnknown,
    errors.AgentTokenExpired,
    errors.AgentTokenEnded,
    errors.AgentRevoked,
)
HEARTBEAT = About(
    "Note that an agent is alive", {200: Lease}, body=HeartbeatBody, refusals=_OF_AGENTS
)
REFRESH = About("Replace an agent's token", {200: Lease}, body=RefreshBody, refusals=_OF_AGENTS)
