"""The rows of the tokens table, and the questions that need no key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from goosed_daemon.state.protocol import State

COLUMNS = (
    "id, mac, token, expires_at, used, issued_at, issued_to, used_at, used_by, ended, ended_at,"
    " refusals, rendered, replays"
)


@dataclass(frozen=True, slots=True)
class Token:
    """One row of the tokens table."""

    id: str
    mac: str
    digest: str  # SHA-256 of the secret, hexadecimal
    expires_at: datetime
    used: bool
    issued_at: datetime
    issued_to: str
    used_at: datetime | None
    used_by: str | None
    ended: str | None
    ended_at: datetime | None
    refusals: int
    rendered: str | None  # SHA-256 of the file that was rendered, hexadecimal
    replays: int  # how often that was told again, within the replay window

    def state(self, now: datetime) -> str:
        """`active`, `used`, `expired` or why it was ended."""
        if self.used:
            return "used"
        if self.ended is not None:
            return self.ended
        return "active" if self.expires_at > now else "expired"


def newest(state: State, mac: str | None = None, limit: int = 1000) -> list[Token]:
    """The newest `limit` tokens of one machine or of all, oldest first. Needs no key."""
    which, parameters = ("where mac = ?", [mac]) if mac is not None else ("", [])
    with state.read() as transaction:
        rows = transaction.execute(
            f"select {COLUMNS} from tokens {which} order by issued_at desc, id limit ?",
            (*parameters, limit),
        )
    return [Token(*row) for row in reversed(rows)]


_STATES = {
    "active": "not used and ended is null and expires_at > ?",
    "used": "used",
    "expired": "not used and (ended = 'expired' or (ended is null and expires_at <= ?))",
    "ended": "not used and ended is not null and ended <> 'expired'",
}


def page(
    state: State,
    now: datetime,
    mac: str | None,
    which: str | None,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[Token]:
    """The newest `limit` tokens, newest first: of one machine, in one state (a key of `_STATES`),
    issued before the one with this time and id. Needs no key."""
    wanted: list[tuple[str, tuple[object, ...]]] = []
    if mac is not None:
        wanted.append(("mac = ?", (mac,)))
    if which is not None:
        test = _STATES[which]
        wanted.append((test, (now,) if "?" in test else ()))
    if before is not None:
        wanted.append(("(issued_at, id) < (?, ?)", before))
    clause = "where " + " and ".join(test for test, _ in wanted) if wanted else ""
    parameters = [value for _, values in wanted for value in values]
    with state.read() as transaction:
        rows = transaction.execute(
            f"select {COLUMNS} from tokens {clause} order by issued_at desc, id desc limit ?",
            (*parameters, limit),
        )
    return [Token(*row) for row in rows]


def waiting(state: State, now: datetime) -> dict[str, Token]:
    """By MAC, the tokens that wait for their use: these machines install at their next boot."""
    with state.read() as transaction:
        rows = transaction.execute(
            f"select {COLUMNS} from tokens where not used and ended is null and expires_at > ?",
            (now,),
        )
    return {token.mac: token for token in (Token(*row) for row in rows)}
