"""One-time boot tokens.

A token is bound to one MAC and waits a limited time for its one use, the first render. Its secret
is derived from the site's key and the row's id, so that it can be told again (a ROM and then iPXE
ask twice) while only its SHA-256 is stored.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from goosed_daemon import (
    audit,
    enrolments,
    machines,
    receipts,
    token_key,
    token_refusals,
    workflow,
)
from goosed_daemon.errors import (
    MachineNotArmed,
    TokenUnknown,
    TokenUsed,
    TriesExhausted,
)
from goosed_daemon.receipts import MadeOf
from goosed_daemon.state.protocol import State, Transaction
from goosed_daemon.token_key import TokenKey
from goosed_daemon.token_memory import Ended
from goosed_daemon.token_refusals import UNKNOWN, Refused, judge
from goosed_daemon.token_rows import COLUMNS, Token, newest
from goosed_daemon.workflow import steps


@dataclass(frozen=True, slots=True)
class Offer:
    """A token and its secret; `new` tells whether it was issued just now."""

    token: Token
    secret: str
    new: bool


class Tokens:
    """The boot tokens of a site. Thread-safe; methods block on the state."""

    def __init__(
        self,
        state: State,
        key: TokenKey,
        ttl: timedelta,
        new_id: Callable[[], UUID] = uuid4,
        replay_window: timedelta = timedelta(0),
    ) -> None:
        self._state = state
        self._key = key
        self._ttl = ttl
        self._new_id = new_id
        self._replay_window = replay_window
        self._ended = Ended()

    def offer(
        self, mac: str, now: datetime, address: str, names: Mapping[str, str] | None = None
    ) -> Offer:
        """The machine's waiting token again, or a new one when it is armed and has tries left.
        `names` are the machine's, its profile's and its installer's, for its workflow.

        Raises `MachineNotArmed` or `TriesExhausted`.
        """
        with self._state.read() as transaction:
            if found := self._waiting(transaction, mac, now):
                return found
        with self._state.write(lock=mac) as transaction:
            if found := self._waiting(transaction, mac, now):
                return found  # of another request that was first
            try:
                _tries_left(transaction, mac, now)
            except TriesExhausted as refusal:
                words = {"words": refusal.message}
                workflow.observe(transaction, mac, steps.EXHAUSTED, now, detail=words)
                exhausted = refusal  # raised once that is kept
            else:
                left = machines.take_try(transaction, mac)
                return self._issue(
                    transaction, mac, now, self._ttl, address, names, tries_left=left
                )
        raise exhausted

    def foresee(self, mac: str, now: datetime) -> tuple[int, Token | None]:
        """What `offer` would find: the tries left, and the token that waits. Changes nothing, and
        raises as `offer` does."""
        with self._state.read() as transaction:
            if found := self._waiting(transaction, mac, now):
                return 0, found.token
            return _tries_left(transaction, mac, now), None

    def issue(self, mac: str, now: datetime, ttl: timedelta, actor: str) -> Offer:
        """A new token by an operator's word: the machine need not be armed, and no try is
        counted. A token that was waiting is ended, since a machine has at most one."""
        with self._state.write(lock=mac) as transaction:
            arming = machines.arming(transaction, mac)
            if arming is None or not arming.armed:
                workflow.begin(transaction, mac, now, self._new_id())
            return self._issue(transaction, mac, now, ttl, actor, None)

    def sample(self, mac: str, now: datetime) -> Offer:
        """An offer of the form of any other, for trying out what is made of one. It is no token:
        nothing is issued."""
        token_id = str(UUID(int=0))
        secret = self._key.boot(token_id)
        return Offer(
            Token(
                token_id, mac, token_key.digest(secret), now + self._ttl, False, now, "", None,
                None, "sample", None, 0, None, 0,
            ),
            secret,
            False,
        )  # fmt: skip

    def look(self, secret: str) -> Token | None:
        """The token with this secret, whatever its state; it is not used by this."""
        if found := self.known(secret):
            return found
        with self._state.read() as transaction:
            return self._find(transaction, secret)

    def known(self, secret: str) -> Token | None:
        """The token with this secret if it is remembered as used or ended. Blocks on nothing."""
        return self._ended.get(token_key.digest(secret))

    def claim(
        self,
        secret: str,
        now: datetime,
        address: str,
        rendered: str | None = None,
        enrol_until: datetime | None = None,
        made: MadeOf | None = None,
    ) -> Token:
        """Uses the token: of any number of callers, in any number of processes, one succeeds.

        `rendered` is the SHA-256 of the file that is told for it, and `made` what that is made of,
        for the machine's install receipt. Within the replay window the address that used it may
        have the very same file again; the token's `replays` is then not 0. `enrol_until` lets the
        agent in that file enrol until then.

        Raises `TokenUsed`, `TokenExpired`, `TokenRevoked` or `TokenUnknown`, which it records.
        """
        outcome = self.attempt(secret, now, address, rendered, enrol_until, made)
        if isinstance(outcome, Refused):
            self.refuse([outcome])
            raise outcome.error
        return outcome

    def attempt(
        self,
        secret: str,
        now: datetime,
        address: str,
        rendered: str | None = None,
        enrol_until: datetime | None = None,
        made: MadeOf | None = None,
    ) -> Token | Refused:
        """As `claim`, but for who records refusals together: `refuse` is still to be called.

        Raises `TokenUnknown`.
        """
        found = self.known(secret)
        if found is None or self._may_have_again(found, now, address, rendered):
            with self._state.write() as transaction:
                won = transaction.execute(
                    "update tokens set used = true, used_at = ?, used_by = ?, rendered = ?"
                    " where token = ? and not used and ended is null and expires_at > ?"
                    f" returning {COLUMNS}",
                    (now, address, rendered, token_key.digest(secret), now),
                )
                if won:
                    token, until = Token(*won[0]), enrol_until
                    return self._won(transaction, token, secret, now, address, until, made)
                found = self._find(transaction, secret)
                if found is not None and self._may_have_again(found, now, address, rendered):
                    return _replay(transaction, found, now, address)
        if found is None:
            raise TokenUnknown(UNKNOWN)
        return Refused(found, judge(found, now) or TokenUnknown(UNKNOWN), now, address)

    def refuse(self, refused: Sequence[Refused]) -> None:
        """See `token_refusals.record`."""
        token_refusals.record(self._state, refused)

    def _won(
        self,
        transaction: Transaction,
        token: Token,
        secret: str,
        now: datetime,
        address: str,
        enrol_until: datetime | None,
        made: MadeOf | None,
    ) -> Token:
        if not self._is_secret_of(token, secret):
            raise TokenUnknown(UNKNOWN)  # undoes the use of a row that no site key made
        event = audit.record(
            transaction, now, "token-claimed", address,
            mac=token.mac, token=token.id, issued_to=token.issued_to,
        )  # fmt: skip
        workflow.observe(transaction, token.mac, steps.RENDERED, now, token.id)
        if made is not None:
            receipts.keep(transaction, self._key, token, made, event)
        if enrol_until is not None:
            enrolments.issue(transaction, token.id, token.mac, now, enrol_until, address)
        return token

    def replayable(self, token: Token, now: datetime, address: str) -> bool:
        """Whether a used token's file might be told to `address` again, if it is still the same."""
        return (
            bool(self._replay_window)  # whoever asked before it was used has an earlier time
            and token.used_at is not None
            and token.rendered is not None
            and token.used_by == address
            and now < token.used_at + self._replay_window
        )

    def _may_have_again(
        self, token: Token, now: datetime, address: str, rendered: str | None
    ) -> bool:
        return self.replayable(token, now, address) and token.rendered == rendered

    def tokens(self, mac: str | None = None, limit: int = 1000) -> list[Token]:
        """See `newest`."""
        return newest(self._state, mac, limit)

    def revoke(self, token_id: str, now: datetime, actor: str) -> Token:
        """Ends a waiting token. Raises `TokenUnknown`, or `TokenUsed` when it is too late."""
        with self._state.write() as transaction:
            rows = transaction.execute(f"select {COLUMNS} from tokens where id = ?", (token_id,))
            if not rows:
                raise TokenUnknown(
                    f"there is no token {token_id}", hint="see `goosectl token list`"
                )
            token = Token(*rows[0])
            if token.used:
                raise TokenUsed(f"token {token_id} was used at {token.used_at}", hint="")
            machines.end_open(transaction, token.mac, "revoked", now, actor, token=token_id)
        return token

    def callback(self, token: Token) -> str:
        """The secret with which the install begun by `token` reports its progress."""
        return self._key.callback(token.id)

    def made(self, origin: str, tag: str) -> bool:
        """Whether `receipts` has `origin` from a render of this site."""
        return token_key.same(self._key.receipt_tag(origin), tag)

    def of_callback(self, mac: str, secret: str) -> Token | None:
        """The token whose install reports with `secret`: only the machine's last used one."""
        with self._state.read() as transaction:
            rows = transaction.execute(
                f"select {COLUMNS} from tokens where mac = ? and used"
                " order by used_at desc limit 1",
                (mac,),
            )
        if not rows:
            return None
        token = Token(*rows[0])
        expected = self._key.callback(token.id).encode()
        return token if hmac.compare_digest(expected, secret.encode()) else None

    def _waiting(self, transaction: Transaction, mac: str, now: datetime) -> Offer | None:
        rows = transaction.execute(
            f"select {COLUMNS} from tokens"
            " where mac = ? and not used and ended is null and expires_at > ?",
            (mac, now),
        )
        if not rows:
            return None
        token = Token(*rows[0])
        secret = self._key.boot(token.id)
        # A key that was replaced tells other secrets; what was issued before is then lost.
        return Offer(token, secret, False) if token_key.digest(secret) == token.digest else None

    def _issue(
        self,
        transaction: Transaction,
        mac: str,
        now: datetime,
        ttl: timedelta,
        actor: str,
        names: Mapping[str, str] | None,
        **detail: object,
    ) -> Offer:
        machines.end_open(transaction, mac, "superseded", now, actor)
        token_id = str(self._new_id())
        secret = self._key.boot(token_id)
        rows = transaction.execute(
            "insert into tokens (id, mac, token, expires_at, issued_at, issued_to)"
            f" values (?, ?, ?, ?, ?, ?) returning {COLUMNS}",
            (token_id, mac, token_key.digest(secret), now + ttl, now, actor),
        )
        audit.record(
            transaction, now, "token-issued", actor,
            mac=mac, token=token_id, expires_at=(now + ttl).isoformat(), **detail,
        )  # fmt: skip
        workflow.observe(transaction, mac, steps.OFFERED, now, token_id, names)
        return Offer(Token(*rows[0]), secret, True)

    def _find(self, transaction: Transaction, secret: str) -> Token | None:
        rows = transaction.execute(
            f"select {COLUMNS} from tokens where token = ?", (token_key.digest(secret),)
        )
        token = Token(*rows[0]) if rows else None
        if token is None or not self._is_secret_of(token, secret):
            return None
        self._ended.keep(token)
        return token

    def _is_secret_of(self, token: Token, secret: str) -> bool:
        return hmac.compare_digest(self._key.boot(token.id).encode(), secret.encode())


def _tries_left(transaction: Transaction, mac: str, now: datetime) -> int:
    """At least 1. Raises `MachineNotArmed` or `TriesExhausted`."""
    arming = machines.arming(transaction, mac)
    if arming is not None and arming.armed and arming.tries_left > 0:
        return arming.tries_left
    last = token_refusals.last(transaction, mac, now)
    if arming is not None and arming.armed:
        raise TriesExhausted(f"{mac} has used up the tries it was armed with{last}", mac=mac)
    if arming is not None and arming.reason == "installed":
        raise MachineNotArmed(f"{mac} is not to be installed: it is installed", mac=mac)
    raise MachineNotArmed(f"{mac} is not to be installed: it is not armed{last}", mac=mac)


def _replay(transaction: Transaction, token: Token, now: datetime, address: str) -> Token:
    """Tells a render again. Anyone at the address can ask for that without end, so that only the
    first few are worth an event."""
    rows = transaction.execute(
        f"update tokens set replays = replays + 1 where id = ? returning {COLUMNS}", (token.id,)
    )
    if token.replays < token_refusals.MAX_EVENTS:
        audit.record(transaction, now, "token-replayed", address, mac=token.mac, token=token.id)
    return Token(*rows[0])
