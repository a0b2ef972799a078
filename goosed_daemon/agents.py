"""Agents: how an installed machine proves itself, and keeps doing so.

An enrolment secret, good for one use, gives the first token of a family; each refresh ends a token
and gives the next. Tokens are derived from the site's key, so that an answer that was lost can be
given again while only hashes are stored: the same request, by its idempotency key, gets the same
token until that is first used. Any other use of an ended token means that two have it, and ends the
family (RFC 9700, section 4.14.2). Only the time of the caller of these methods decides, the
server's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from goosed_daemon import agent_rows, audit, enrolments, token_key, workflow
from goosed_daemon.agent_rows import Agent
from goosed_daemon.enrolments import Enrolment
from goosed_daemon.errors import (
    AgentRevoked,
    AgentTokenEnded,
    AgentTokenExpired,
    AgentTokenUnknown,
    AgentUnknown,
    DaemonError,
    EnrolmentUnknown,
)
from goosed_daemon.state.protocol import State, Transaction
from goosed_daemon.token_key import TokenKey
from goosed_daemon.workflow import steps

MAX_EVENTS = 10  # audit events of a kind that a client can cause without end, for each family
REUSED, REENROLLED = "re-used", "enrolment re-used"


@dataclass(frozen=True, slots=True)
class Lease:
    """What an agent is given: its machine, and how long its token lasts. `token` is None where the
    token that it has goes on. `event` is for metrics: `enrolled`, `refreshed`, `retold`, `seen`."""

    mac: str
    expires_at: datetime
    event: str
    token: str | None = None


class Agents:
    """The agents of a site. Thread-safe; methods block on the state."""

    def __init__(
        self,
        state: State,
        key: TokenKey,
        ttl: timedelta,
        new_id: Callable[[], UUID] = uuid4,
        random: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    ) -> None:
        self._state = state
        self._key = key
        self._ttl = ttl
        self._new_id = new_id
        self._random = random

    def permit(self, mac: str, now: datetime, ttl: timedelta, actor: str) -> str:
        """An enrolment secret by an operator's word, for a system that runs already. The agent that
        there is goes on until the secret is used."""
        enrolment_id = str(self._new_id())
        with self._state.write(lock=mac) as transaction:
            enrolments.issue(transaction, enrolment_id, mac, now, now + ttl, actor)
        return self._key.enrolment(enrolment_id)

    def enrolment(self, enrolment_id: str) -> str:
        """The secret of an enrolment."""
        return self._key.enrolment(enrolment_id)

    def register(
        self, secret: str, idempotency_key: str | None, now: datetime, address: str
    ) -> Lease:
        """Enrols the agent of the secret's machine; whichever there was before is cut off.

        Raises `EnrolmentUnknown`, `EnrolmentUsed`, `EnrolmentExpired` or `EnrolmentRevoked`.
        """
        enrolment_id = self._key.of_enrolment(secret)
        found = self._enrolment(enrolment_id) if enrolment_id is not None else None
        if found is None:
            raise EnrolmentUnknown("this enrolment secret was never issued here")
        with self._state.write(lock=found.mac) as transaction:
            outcome = self._register(transaction, found.id, idempotency_key, now, address)
        return _given(outcome)

    def machine_of(self, secret: str) -> str | None:
        """MAC of the machine that an enrolment secret is for, which stays unused; None for a secret
        that was never issued here."""
        enrolment_id = self._key.of_enrolment(secret)
        found = self._enrolment(enrolment_id) if enrolment_id is not None else None
        return found.mac if found is not None else None

    def heartbeat(
        self, mac: str, token: str, now: datetime, address: str, version: str | None
    ) -> Lease:
        """Notes that the agent of the machine is alive.

        Raises `AgentTokenUnknown`, `AgentTokenExpired`, `AgentTokenEnded` or `AgentRevoked`.
        """
        place = self._place(mac, token)
        with self._state.write(lock=mac) as transaction:
            outcome = self._heartbeat(transaction, mac, place, token, now, address, version)
        return _given(outcome)

    def refresh(
        self, mac: str, token: str, idempotency_key: str | None, now: datetime, address: str
    ) -> Lease:
        """Ends the token and gives the next. The same request again, by its key, gets the same
        token until that is first used; without a key nothing can be had again.

        Raises as `heartbeat` does.
        """
        place = self._place(mac, token)
        with self._state.write(lock=mac) as transaction:
            outcome = self._refresh(transaction, mac, place, token, idempotency_key, now, address)
        return _given(outcome)

    def revoke(self, mac: str, now: datetime, actor: str) -> Agent | None:
        """Cuts the machine's agent off, and ends a leave to enrol that waits; the agent as it was
        (None: only a leave waited). Raises `AgentUnknown` when there is neither."""
        with self._state.write(lock=mac) as transaction:
            waited = enrolments.end_open(transaction, mac, "revoked", now, actor)
            agent = agent_rows.get(transaction, mac)
            if agent is None and not waited:
                raise AgentUnknown(f"no agent of {mac} ever enrolled")
            if agent is not None and agent.ended is None:
                _end(transaction, agent, "revoked", now, actor)
        return agent

    def _enrolment(self, enrolment_id: str) -> Enrolment | None:
        with self._state.read() as transaction:
            return enrolments.get(transaction, enrolment_id)

    def _register(
        self,
        transaction: Transaction,
        enrolment_id: str,
        idempotency_key: str | None,
        now: datetime,
        address: str,
    ) -> Lease | DaemonError:
        enrolment = enrolments.get(transaction, enrolment_id)  # as it is under the machine's lock
        if enrolment is None:
            return EnrolmentUnknown("this enrolment secret was never issued here")
        mac = enrolment.mac
        agent = agent_rows.get(transaction, mac)
        refusal = enrolments.judge(enrolment, now)
        if refusal is None:
            enrolments.use(transaction, enrolment.id, now, address)
            return self._enrol(transaction, enrolment, agent, idempotency_key, now, address)
        ours = agent if agent is not None and agent.family == enrolment.id else None
        if ours is not None and ours.counter == 0:
            token = self._retold(ours, idempotency_key, now)
            if token is not None:
                return _retell(transaction, ours, token, now, address)
        if enrolment.refusals < MAX_EVENTS:
            audit.record(
                transaction, now, "enrolment-refused", address,
                mac=mac, enrolment=enrolment.id, reason=refusal.code,
            )  # fmt: skip
        transaction.execute(
            "update enrolments set refusals = refusals + 1 where id = ?", (enrolment.id,)
        )
        if ours is not None and ours.ended is None and now < enrolment.expires_at:
            # Two have the secret (RFC 6749, section 4.1.2): who was first is not known.
            _end(transaction, ours, REENROLLED, now, address)
        return refusal

    def _enrol(
        self,
        transaction: Transaction,
        enrolment: Enrolment,
        before: Agent | None,
        idempotency_key: str | None,
        now: datetime,
        address: str,
    ) -> Lease:
        token = self._key.agent(enrolment.mac, enrolment.id, 0, idempotency_key or self._random())
        expires_at = now + self._ttl
        transaction.execute("delete from agents where mac = ?", (enrolment.mac,))
        transaction.execute(
            "insert into agents (mac, family, token, issued_at, expires_at, enrolled_at,"
            " enrolled_by) values (?, ?, ?, ?, ?, ?, ?)",
            (enrolment.mac, enrolment.id, token_key.digest(token), now, expires_at, now, address),
        )
        audit.record(
            transaction, now, "agent-enrolled", address,
            mac=enrolment.mac, family=enrolment.id, expires_at=expires_at.isoformat(),
            replaces=before.family if before is not None else None,
        )  # fmt: skip
        _observe(transaction, enrolment.mac, steps.ENROLLED, now, enrolment.id)
        return Lease(enrolment.mac, expires_at, "enrolled", token)

    def _heartbeat(
        self,
        transaction: Transaction,
        mac: str,
        place: tuple[str, int],
        token: str,
        now: datetime,
        address: str,
        version: str | None,
    ) -> Lease | DaemonError:
        agent = agent_rows.get(transaction, mac)
        refusal = _judge(agent, mac, place, token, now)
        if refusal is not None or agent is None:
            return self._refuse(transaction, agent, place, refusal, now, address)
        transaction.execute(
            "update agents set seen_at = ?, seen_by = ?, version = ?, confirmed = true"
            " where mac = ?",
            (now, address, version, mac),
        )
        if agent.seen_at is None:
            audit.record(
                transaction, now, "agent-alive", address,
                mac=mac, family=agent.family, version=version,
            )  # fmt: skip
            _observe(transaction, mac, steps.READY, now, agent.family)
        return Lease(mac, agent.expires_at, "seen")

    def _refresh(
        self,
        transaction: Transaction,
        mac: str,
        place: tuple[str, int],
        token: str,
        idempotency_key: str | None,
        now: datetime,
        address: str,
    ) -> Lease | DaemonError:
        agent = agent_rows.get(transaction, mac)
        refusal = _judge(agent, mac, place, token, now)
        if agent is not None and agent.previous == token_key.digest(token):
            again = self._retold(agent, idempotency_key, now)
            if again is not None:
                return _retell(transaction, agent, again, now, address)
        if refusal is not None or agent is None:
            return self._refuse(transaction, agent, place, refusal, now, address)
        counter, expires_at = agent.counter + 1, now + self._ttl
        new = self._key.agent(mac, agent.family, counter, idempotency_key or self._random())
        transaction.execute(
            "update agents set counter = ?, token = ?, previous = ?, confirmed = false,"
            " issued_at = ?, expires_at = ?, retold = 0 where mac = ?",
            (counter, token_key.digest(new), agent.digest, now, expires_at, mac),
        )
        audit.record(
            transaction, now, "agent-refreshed", address,
            mac=mac, family=agent.family, number=counter, expires_at=expires_at.isoformat(),
        )  # fmt: skip
        return Lease(mac, expires_at, "refreshed", new)

    def _retold(self, agent: Agent, idempotency_key: str | None, now: datetime) -> str | None:
        """The current token, if this is the key of the request that it answered, and if it was
        never used."""
        if idempotency_key is None or agent.confirmed or agent.ended is not None:
            return None
        if agent.expires_at <= now:
            return None
        token = self._key.agent(agent.mac, agent.family, agent.counter, idempotency_key)
        return token if token_key.same(token_key.digest(token), agent.digest) else None

    def _place(self, mac: str, token: str) -> tuple[str, int]:
        place = self._key.of_agent(mac, token)
        if place is None:
            raise AgentTokenUnknown(f"this is no token of an agent of {mac}")
        return place

    def _refuse(
        self,
        transaction: Transaction,
        agent: Agent | None,
        place: tuple[str, int],
        refusal: DaemonError | None,
        now: datetime,
        address: str,
    ) -> DaemonError:
        if agent is None or refusal is None:
            return refusal or AgentTokenUnknown("there is no such agent")
        if agent.refusals < MAX_EVENTS:
            audit.record(
                transaction, now, "agent-refused", address,
                mac=agent.mac, family=place[0], number=place[1], reason=refusal.code,
            )  # fmt: skip
        transaction.execute("update agents set refusals = refusals + 1 where mac = ?", (agent.mac,))
        if isinstance(refusal, AgentTokenEnded):
            _end(transaction, agent, REUSED, now, address)
        return refusal


def _judge(
    agent: Agent | None, mac: str, place: tuple[str, int], token: str, now: datetime
) -> DaemonError | None:
    """Why a token that the site's key made cannot be used at `now`; None when it can."""
    family, counter = place
    if agent is None:
        return AgentRevoked(f"the agent of {mac} was forgotten", mac=mac)
    if agent.family != family:
        return AgentRevoked(f"another enrolment of {mac} has replaced this one", mac=mac)
    if agent.ended is not None:
        return AgentRevoked(f"the agent of {mac} was cut off: {agent.ended}", mac=mac)
    if token_key.same(token_key.digest(token), agent.digest):
        if agent.expires_at <= now:
            return AgentTokenExpired(
                f"the token of {mac} expired at {agent.expires_at:%Y-%m-%d %H:%M:%S} UTC", mac=mac
            )
        return None
    if counter > agent.counter:
        # The state is older than the token: it was restored from a backup.
        return AgentTokenUnknown(f"this token of {mac} is newer than what is known of it", mac=mac)
    return AgentTokenEnded(
        f"this token of {mac} was replaced: two have it, so that its agent is cut off",
        mac=mac,
    )


def _observe(
    transaction: Transaction, mac: str, step: str, now: datetime, enrolment_id: str
) -> None:
    """Moves the workflow of the install that the enrolment came from; an operator's came from
    none."""
    if transaction.execute("select 1 from tokens where id = ?", (enrolment_id,)):
        workflow.observe(transaction, mac, step, now, enrolment_id)


def _retell(
    transaction: Transaction, agent: Agent, token: str, now: datetime, address: str
) -> Lease:
    if agent.retold < MAX_EVENTS:
        audit.record(
            transaction, now, "agent-retold", address,
            mac=agent.mac, family=agent.family, number=agent.counter,
        )  # fmt: skip
    transaction.execute("update agents set retold = retold + 1 where mac = ?", (agent.mac,))
    return Lease(agent.mac, agent.expires_at, "retold", token)


def _end(transaction: Transaction, agent: Agent, why: str, now: datetime, actor: str) -> None:
    transaction.execute(
        "update agents set ended = ?, ended_at = ? where mac = ?", (why, now, agent.mac)
    )
    audit.record(
        transaction, now, "agent-revoked", actor, mac=agent.mac, family=agent.family, why=why
    )


def _given(outcome: Lease | DaemonError) -> Lease:
    """A refusal is recorded in the transaction, so it is raised only after that was committed."""
    if isinstance(outcome, DaemonError):
        raise outcome
    return outcome
