"""Uses of boot tokens that are refused: why, and the record of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from goosed_daemon import audit
from goosed_daemon.errors import DaemonError, TokenExpired, TokenRevoked, TokenUnknown, TokenUsed
from goosed_daemon.state.protocol import State, Transaction
from goosed_daemon.token_rows import COLUMNS, Token

MAX_EVENTS = 10  # audit events per token; further refusals are only counted
UNKNOWN = "this token was never issued here"


@dataclass(frozen=True, slots=True)
class Refused:
    """A use of a token that was refused, and why."""

    token: Token
    error: DaemonError
    at: datetime
    address: str


def judge(token: Token | None, now: datetime) -> DaemonError | None:
    """Why a token cannot be used at `now`; None when it can."""
    if token is None:
        return TokenUnknown(UNKNOWN)
    about = {"mac": token.mac, "token": token.id}
    if token.used:
        return TokenUsed(f"this token of {token.mac} was used at {_show(token.used_at)}", **about)
    if token.ended == "expired" or (token.ended is None and token.expires_at <= now):
        return TokenExpired(
            f"this token of {token.mac} expired at {_show(token.expires_at)}", **about
        )
    if token.ended is not None:
        return TokenRevoked(
            f"this token of {token.mac} was ended at {_show(token.ended_at)}: {token.ended}",
            **about,
        )
    return None


def _show(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else "a time unknown"


def record(state: State, refused: Sequence[Refused]) -> None:
    """Counts refusals with their tokens, any number of them in one transaction, and records the
    first few of each."""
    by_token: dict[str, list[Refused]] = {}
    for each in refused:
        by_token.setdefault(each.token.id, []).append(each)
    with state.write() as transaction:
        # In one order everywhere, so that no two wait for each other.
        for token_id, those in sorted(by_token.items()):
            ((count,),) = transaction.execute(
                "update tokens set refusals = refusals + ? where id = ? returning refusals",
                (len(those), token_id),
            )
            for each in those[: max(0, MAX_EVENTS - (count - len(those)))]:
                audit.record(
                    transaction, each.at, "token-refused", each.address,
                    mac=each.token.mac, token=token_id, reason=each.error.code,
                )  # fmt: skip


def last(transaction: Transaction, mac: str, now: datetime) -> str:
    """What became of the machine's last token, for its screen; nothing where it never had one."""
    rows = transaction.execute(
        f"select {COLUMNS} from tokens where mac = ? order by issued_at desc, id desc limit 1",
        (mac,),
    )
    if not rows:
        return ""
    token = Token(*rows[0])
    if token.used:
        return f"; its last boot token was used at {_show(token.used_at)}"
    if token.state(now) == "expired":
        return f"; its last boot token expired at {_show(token.expires_at)}"
    if token.ended is None:
        return ""  # issued by a key that was replaced
    return f"; its last boot token was ended at {_show(token.ended_at)}: {token.ended}"
