"""What operations are asked with, and what they answer: the bodies of the HTTP interface and the
objects that `goosectl --json` prints."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

from goosed_daemon.admin_tokens import Role

LIMIT = 1000  # items of a page at most


def show(at: datetime) -> str:
    """A time as people and scripts read it: RFC 3339, UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[AwareDatetime, PlainSerializer(show, return_type=str, when_used="json")]


class Answer(BaseModel):
    """Readers ignore what they do not know, so that a newer daemon may say more."""

    model_config = ConfigDict(frozen=True)


class Order(BaseModel):
    """A body. What it does not have or not in that form is an error."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Query(BaseModel):
    """Query parameters. A misspelt filter is an error, since it would filter nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _number(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ValueError("is not a whole number")
    return value


def _truth(value: object) -> object:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return value == "true" if isinstance(value, str) else value


Number = Annotated[int, BeforeValidator(_number)]
Truth = Annotated[bool, BeforeValidator(_truth)]
# RFC 3339, section 5.6. The tests of times clamp: no event is older, and none from after year 9000.
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,20})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_OLDEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _moment(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _RFC3339.fullmatch(value):
        raise ValueError("is not a time such as 2026-11-24T12:00:00Z")
    if value[:4] < "1971":
        return _OLDEST
    return _LATEST if value[:4] > "8999" else value.upper()


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class PageQuery(Query):
    """Which part of a list."""

    limit: Annotated[Number, Field(ge=1, le=LIMIT)] = Field(100, description="Items at most.")
    cursor: Word | None = Field(None, description="`next` of the page before.")


class Page(Answer):
    """A part of a list."""

    next: str | None = Field(None, description="The `cursor` of what follows; null at the end.")
    remarks: list[str] = Field([], description="What a person should know beside it.")


# Machines


class MachineQuery(PageQuery):
    """Which machines."""

    armed: Truth | None = Field(None, description="Only armed ones, or only others.")
    profile: Word | None = Field(None, description="Only those of this OSProfile.")
    label: Annotated[str, Field(max_length=200, pattern="^[^=]+=")] | None = Field(
        None, description="Only those with this label, `KEY=VALUE`."
    )
    outcome: Word | None = Field(
        None, description="Only those that would get this: `install`, or a reason code."
    )


class Machine(Answer):
    """A machine, and what would become of it now."""

    name: str | None = Field(description="Null where no profile describes it.")
    mac: str
    profile: str | None
    armed: bool
    tries_left: int
    state: str | None = Field(description="armed, disarmed or installed; null: never armed.")
    changed_at: Time | None
    token: str | None = Field(description="The id of a boot token that waits for it.")
    token_expires_at: Time | None
    outcome: str = Field(
        description="What it would get at its next network boot: `install`, or the reason code."
    )
    agent: str | None = Field(description="How its agent is; null: none ever enrolled.")
    seen_at: Time | None = Field(description="When its agent was heard of last.")


class MachinePage(Page):
    """Machines, those with names first."""

    items: list[Machine]


class Event(Answer):
    """One event of the audit log."""

    id: int
    at: Time
    kind: str
    actor: str = Field(description="`operator:LOGIN`, `api:TOKEN'S NAME`, or an address.")
    mac: str | None
    token: str | None = Field(description="The id of the boot token that it is about.")
    detail: dict[str, Any]


class LastToken(Answer):
    """The boot token that was issued last."""

    id: str
    state: str = Field(description="active, used, expired, or why it was ended.")
    issued_at: Time
    used_at: Time | None
    used_by: str | None


class ShowQuery(Query):
    """How much of a machine."""

    events: Annotated[Number, Field(ge=0, le=LIMIT)] = Field(20, description="Events at most.")


class MachineDetail(Machine):
    """All that is known of a machine."""

    labels: dict[str, str]
    changed_by: str | None
    why: str = Field(description="Why it would get that, in words.")
    hint: str | None
    last_token: LastToken | None
    agent_detail: Agent | None
    events: list[Event] = Field(description="The newest, oldest first.")
    remarks: list[str] = []


class WhyQuery(Query):
    """What else the machine says of itself."""

    uuid: Word | None = Field(None, description="The SMBIOS UUID it reports.")
    serial: Word | None = Field(None, description="The serial number it reports.")


class Why(Answer):
    """What a machine would get now, and why, in the words of its screen."""

    mac: str
    name: str | None
    outcome: str = Field(description="`install`, or the reason code.")
    why: str
    hint: str | None
    remarks: list[str] = []


class ArmOrder(Order):
    """How often it may try."""

    tries: int | None = Field(None, ge=1, le=100, description="Null: as the daemon is set.")


class Arming(Answer):
    """Whether a machine may install itself now."""

    mac: str
    name: str | None
    armed: bool
    tries_left: int
    remarks: list[str] = []


class ForgetQuery(Query):
    """Whether to do it."""

    dry_run: Truth = Field(False, description="Only say what would be forgotten.")


class Forgotten(Answer):
    """What was, or would be, forgotten of a machine."""

    mac: str
    name: str | None
    forgotten: bool
    armed: bool = Field(description="It was armed.")
    token: str | None = Field(description="The id of the boot token that waited.")
    rows: dict[str, int] = Field(description="How much of what was kept, by table.")
    remarks: list[str] = []


# Boot tokens


class TokenQuery(PageQuery):
    """Which boot tokens."""

    machine: Word | None = Field(None, description="Only this machine's, by name or MAC.")
    state: Literal["active", "used", "expired", "ended"] | None = Field(
        None, description="Only those in this state; `ended`: by a person or a later token."
    )


class Token(Answer):
    """A boot token; never its secret."""

    id: str
    mac: str
    state: str = Field(description="active, used, expired, or why it was ended.")
    issued_at: Time
    issued_to: str
    expires_at: Time
    used_at: Time | None
    used_by: str | None
    refusals: int


class TokenPage(Page):
    """Boot tokens, the newest first."""

    items: list[Token]


class TokenOrder(Order):
    """A boot token for a machine."""

    machine: Word = Field(description="Its name, or its MAC in any spelling.")
    ttl: Word | None = Field(None, description="How long it waits: 90s, 30m, 2h; at most 7d.")


class IssuedToken(Answer):
    """A new boot token, and its secret, for the only time."""

    token: str
    mac: str
    name: str | None
    expires_at: Time
    url: str
    id: str
    remarks: list[str] = []


class EndedToken(Answer):
    """A boot token that waits no longer."""

    id: str
    mac: str
    state: str = Field(description="revoked, or why it had ended before.")


# Agents


class AgentQuery(PageQuery):
    """Which agents."""

    state: Word | None = Field(None, description="Only those in this state, such as `active`.")


class Agent(Answer):
    """The agent of a machine, or that one may enrol."""

    name: str | None
    mac: str
    state: str = Field(
        description="enrolled, active, expired, why it was cut off, or `not enrolled`."
    )
    enrolled_at: Time | None
    seen_at: Time | None = Field(description="Its last heartbeat.")
    seen_by: str | None = Field(description="The address it came from.")
    expires_at: Time | None = Field(description="When its token does, unless it is refreshed.")
    ended_at: Time | None
    rotations: int | None
    refusals: int | None
    version: str | None
    may_enrol_until: Time | None


class AgentPage(Page):
    """Agents by MAC."""

    items: list[Agent]


class AgentDetail(Agent):
    """All that is known of an agent."""

    events: list[Event] = Field(description="The newest, oldest first.")
    remarks: list[str] = []


class CutOff(Answer):
    """An agent that is cut off."""

    mac: str
    name: str | None
    before: str | None = Field(description="Why it was cut off before; null: it is now.")
    remarks: list[str] = []


class EnrolOrder(Order):
    """How long a secret waits."""

    ttl: Word | None = Field(None, description="30m, 2h; null: as the daemon is set.")


class Enrolment(Answer):
    """Leave to enrol, and its secret, for the only time."""

    mac: str
    name: str | None
    enrolment: str
    expires_at: Time
    command: str = Field(description="What takes the secret, on the machine.")
    remarks: list[str] = []


# Audit


class EventQuery(PageQuery):
    """Which events."""

    machine: Word | None = Field(None, description="Only of this machine, by name or MAC.")
    kind: Word | None = Field(None, description="Only of this kind, such as `token-issued`.")
    actor: Word | None = Field(None, description="Only what this actor did.")
    since: Moment | None = Field(None, description="Only from then on (RFC 3339).")
    until: Moment | None = Field(None, description="Only before (RFC 3339).")


class EventPage(Page):
    """Events, the newest first."""

    items: list[Event]


class Refusal(Answer):
    """How often something was refused to one stranger."""

    reason: str
    mac: str
    address: str
    count: int
    first_at: Time
    last_at: Time


class RefusalPage(Page):
    """Strangers that were refused, the last first."""

    items: list[Refusal]


class Anchor(Order):
    """A seal as it was once: what the log must still hold."""

    seal: int = Field(ge=0, le=2**31 - 1)
    digest: str = Field(pattern="^[0-9a-f]{64}$")


class VerifyOrder(Order):
    """How to check the audit log."""

    anchor: Anchor | None = Field(None, description="What the log must still hold.")
    seal: bool = Field(False, description="Seal first what waits.")


class Verification(Answer):
    """What a check of the audit log found."""

    seals: int
    sealed: int = Field(description="Events under seals.")
    waiting: int = Field(description="Events that no seal covers yet.")
    faults: list[str] = Field(description="In words; empty: the log is whole.")
    last: Anchor | None = Field(description="The newest seal, to be kept as an anchor.")


# Bundles


class BundleQuery(PageQuery):
    """Which bundles."""

    name: Word | None = Field(None, description="Only versions of this bundle.")


class Bundle(Answer):
    """An imported version of a bundle."""

    name: str
    version: str
    sequence: int
    current: bool = Field(description="Whether it is served without its version being named.")
    pinned: bool
    imported: str
    root: str = Field(description="Digest of its root index.")
    overruled: list[str] = Field(description="Refusals that a person overruled at its import.")


class BundlePage(Page):
    """Imported bundles, by name and sequence."""

    items: list[Bundle]


# Admin tokens


class AdminToken(Answer):
    """Who may use this interface; never the secret."""

    name: str
    role: Role
    state: str = Field(description="active, expired or revoked.")
    created_at: Time
    created_by: str
    expires_at: Time
    last_used_at: Time | None = Field(description="To the hour.")
    id: str


class AdminTokenPage(Page):
    """Admin tokens, oldest first."""

    items: list[AdminToken]


class AdminTokenOrder(Order):
    """A new admin token."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._\-]{0,62}$")]
    role: Annotated[Role, Field(strict=False)]
    ttl: Word | None = Field(None, description="How long it is good: 12h, 90d; at most 3650d.")


class NewAdminToken(Answer):
    """A new admin token, and its secret, for the only time."""

    token: str
    name: str
    role: Role
    expires_at: Time
    id: str


# Rollouts


class RolloutOrder(Order):
    """Which machines to install, and how carefully."""

    selector: list[Annotated[str, Field(max_length=200, pattern="^[^=]+=")]] = Field(
        [], max_length=20, description="Labels that a machine must have, each `KEY=VALUE`."
    )
    profile: Word | None = Field(None, description="Only machines of this OSProfile.")
    at_once: int = Field(10, ge=1, le=10_000, description="Machines under way at most.")
    max_failures: int = Field(0, ge=0, le=10_000, description="More failed machines stop it.")
    tries: int | None = Field(
        None, ge=1, le=100, description="Boot tokens for each; null: `arm_tries`."
    )
    dry_run: bool = Field(False, description="Only tell which machines it would be.")


class RolloutMachine(Answer):
    """A machine of a rollout."""

    name: str
    mac: str
    state: str = Field(description="waiting, running, ready, failed or cancelled.")
    step: str | None
    words: str | None


class Rollout(Answer):
    """A rollout, and how far it is."""

    id: str | None = Field(description="Null of one that was not begun (`dry_run`).")
    state: str = Field(description="running, paused, stopped, aborted or done.")
    words: str | None = Field(description="Why it is in that state.")
    selector: str
    profile: str | None
    at_once: int
    max_failures: int
    started_at: Time | None
    started_by: str | None
    machines: int
    waiting: int
    under_way: int
    ready: int
    failed: int


class RolloutDetail(Rollout):
    """A rollout with its machines."""

    items: list[RolloutMachine]
    remarks: list[str] = []


class RolloutPage(Page):
    """Rollouts, newest first."""

    items: list[Rollout]
