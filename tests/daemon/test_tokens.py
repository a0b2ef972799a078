"""Boot tokens: one use, one machine, a limited time."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta
from uuid import UUID

import pytest

from goosed_daemon import audit, machines
from goosed_daemon.errors import (
    DaemonError,
    MachineNotArmed,
    TokenExpired,
    TokenRevoked,
    TokenUnknown,
    TokenUsed,
    TriesExhausted,
)
from goosed_daemon.state import State
from goosed_daemon.token_key import TokenKey
from goosed_daemon.token_refusals import MAX_EVENTS
from goosed_daemon.tokens import Tokens
from tests.daemon.state_backends import KEY, MAC, NOW, OTHER, TTL

HERE = "192.0.2.7"
LATER = NOW + TTL + timedelta(seconds=1)


@pytest.fixture
def armed(state: State) -> None:
    machines.arm(state, MAC, 3, NOW, "operator")


def kinds(state: State) -> list[str]:
    return [event.kind for event in audit.events(state)]


@pytest.mark.usefixtures("armed")
def test_the_secret_is_the_hmac_of_the_id_and_only_its_hash_is_stored(
    tokens: Tokens, state: State
) -> None:
    offer = tokens.offer(MAC, NOW, HERE)
    mac = hmac.new(KEY, UUID(offer.token.id).bytes, hashlib.sha256).digest()
    assert offer.secret == base64.urlsafe_b64encode(mac).decode().rstrip("=")
    with state.read() as transaction:
        rows = transaction.execute("select * from tokens") + transaction.execute(
            "select * from events"
        )
        assert transaction.execute("select token from tokens") == [
            (hashlib.sha256(offer.secret.encode()).hexdigest(),)
        ]
    assert offer.secret not in repr(rows)


@pytest.mark.usefixtures("armed")
def test_a_machine_that_asks_twice_is_offered_the_same_token(tokens: Tokens, state: State) -> None:
    first, second = tokens.offer(MAC, NOW, HERE), tokens.offer(MAC, NOW, HERE)
    assert (first.new, second.new) == (True, False)
    assert first.secret == second.secret
    assert kinds(state) == ["machine-armed", "token-issued"]


@pytest.mark.usefixtures("armed")
def test_a_token_is_used_once(tokens: Tokens, state: State) -> None:
    secret = tokens.offer(MAC, NOW, HERE).secret
    token = tokens.claim(secret, NOW, HERE)
    assert (token.mac, token.used, token.used_by, token.used_at) == (MAC, True, HERE, NOW)
    with pytest.raises(TokenUsed, match=MAC):
        tokens.claim(secret, NOW, HERE)
    assert kinds(state)[-2:] == ["token-claimed", "token-refused"]
    assert audit.events(state)[-1].detail == {"reason": "token-used"}


def test_replaying_a_used_token_does_not_fill_the_log(tokens: Tokens, state: State) -> None:
    secret = tokens.issue(MAC, NOW, TTL, "operator").secret
    tokens.claim(secret, NOW, HERE)
    for _ in range(MAX_EVENTS + 5):
        with pytest.raises(TokenUsed):
            tokens.claim(secret, NOW, "203.0.113.9")
    assert kinds(state).count("token-refused") == MAX_EVENTS
    assert tokens.tokens()[0].refusals == MAX_EVENTS + 5


@pytest.mark.usefixtures("armed")
def test_a_token_is_not_used_after_its_time(tokens: Tokens, state: State) -> None:
    offer = tokens.offer(MAC, NOW, HERE)
    with pytest.raises(TokenExpired):
        tokens.claim(offer.secret, offer.token.expires_at, HERE)
    tokens.claim(offer.secret, offer.token.expires_at - timedelta(microseconds=1), HERE)


@pytest.mark.usefixtures("armed")
def test_an_expired_token_is_followed_by_a_new_one(tokens: Tokens, state: State) -> None:
    first = tokens.offer(MAC, NOW, HERE)
    second = tokens.offer(MAC, LATER, HERE)
    assert second.new and second.secret != first.secret
    with pytest.raises(TokenExpired):
        tokens.claim(first.secret, LATER, HERE)
    ended = [event for event in audit.events(state) if event.kind == "token-ended"]
    assert [(event.token, event.detail) for event in ended] == [
        (first.token.id, {"why": "expired"})
    ]


@pytest.mark.usefixtures("armed")
def test_a_machine_gets_as_many_tokens_as_it_has_tries(tokens: Tokens) -> None:
    for _ in range(3):
        tokens.claim(tokens.offer(MAC, NOW, HERE).secret, NOW, HERE)
    with pytest.raises(TriesExhausted, match=MAC):
        tokens.offer(MAC, NOW, HERE)


@pytest.mark.usefixtures("armed")
def test_arming_again_gives_all_tries_back(tokens: Tokens, state: State) -> None:
    tokens.claim(tokens.offer(MAC, NOW, HERE).secret, NOW, HERE)
    machines.arm(state, MAC, 2, NOW, "operator")
    assert machines.show(state, MAC) == machines.Arming(MAC, True, 2, NOW, "operator", "armed")


def test_an_unarmed_machine_gets_no_token(tokens: Tokens, state: State) -> None:
    with pytest.raises(MachineNotArmed):
        tokens.offer(MAC, NOW, HERE)
    assert kinds(state) == []


@pytest.mark.usefixtures("armed")
def test_arming_one_machine_arms_no_other(tokens: Tokens) -> None:
    with pytest.raises(MachineNotArmed):
        tokens.offer(OTHER, NOW, HERE)


@pytest.mark.usefixtures("armed")
def test_disarming_ends_the_waiting_token(tokens: Tokens, state: State) -> None:
    secret = tokens.offer(MAC, NOW, HERE).secret
    machines.disarm(state, MAC, NOW, "operator")
    with pytest.raises(TokenRevoked, match="disarmed"):
        tokens.claim(secret, NOW, HERE)
    with pytest.raises(MachineNotArmed):
        tokens.offer(MAC, NOW, HERE)


def test_an_operator_issues_a_token_without_arming(tokens: Tokens, state: State) -> None:
    issued = tokens.issue(MAC, NOW, timedelta(minutes=5), "operator")
    assert issued.token.expires_at == NOW + timedelta(minutes=5)
    offered = tokens.offer(MAC, NOW, HERE)
    assert offered.secret == issued.secret
    tokens.claim(offered.secret, NOW, HERE)
    assert machines.show(state, MAC) is None


def test_an_operators_new_token_ends_the_waiting_one(tokens: Tokens) -> None:
    first, second = (tokens.issue(MAC, NOW, TTL, "operator") for _ in range(2))
    with pytest.raises(TokenRevoked, match="superseded"):
        tokens.claim(first.secret, NOW, HERE)
    tokens.claim(second.secret, NOW, HERE)


def test_a_revoked_token_is_refused(tokens: Tokens) -> None:
    offer = tokens.issue(MAC, NOW, TTL, "operator")
    tokens.revoke(offer.token.id, NOW, "operator")
    with pytest.raises(TokenRevoked, match="revoked"):
        tokens.claim(offer.secret, NOW, HERE)


def test_revoking_an_old_token_leaves_the_waiting_one(tokens: Tokens) -> None:
    old, waiting = (tokens.issue(MAC, NOW, TTL, "operator") for _ in range(2))
    tokens.revoke(old.token.id, NOW, "operator")
    tokens.claim(waiting.secret, NOW, HERE)


def test_a_used_token_cannot_be_revoked(tokens: Tokens) -> None:
    offer = tokens.issue(MAC, NOW, TTL, "operator")
    tokens.claim(offer.secret, NOW, HERE)
    with pytest.raises(TokenUsed):
        tokens.revoke(offer.token.id, NOW, "operator")
    with pytest.raises(TokenUnknown):
        tokens.revoke("00000000-0000-4000-8000-000000000000", NOW, "operator")


@pytest.mark.parametrize("secret", ["", "x", "ü", "a" * 43, "' or 1=1 --"])
def test_a_guessed_secret_is_unknown(tokens: Tokens, state: State, secret: str) -> None:
    tokens.issue(MAC, NOW, TTL, "operator")
    with pytest.raises(TokenUnknown):
        tokens.claim(secret, NOW, HERE)
    assert tokens.look(secret) is None
    assert kinds(state) == ["token-issued"]


def test_a_row_planted_in_the_database_is_no_token(tokens: Tokens, state: State) -> None:
    with state.write() as transaction:
        transaction.execute(
            "insert into tokens (id, mac, token, expires_at, issued_at, issued_to)"
            " values ('00000000-0000-4000-8000-000000000001', ?, ?, ?, ?, 'thief')",
            (MAC, hashlib.sha256(b"known").hexdigest(), LATER, NOW),
        )
    with pytest.raises(TokenUnknown):
        tokens.claim("known", NOW, HERE)
    assert tokens.look("known") is None
    assert not tokens.tokens()[0].used


@pytest.mark.usefixtures("armed")
def test_a_replaced_site_key_ends_what_was_issued_before(tokens: Tokens, state: State) -> None:
    old = tokens.offer(MAC, NOW, HERE)
    after = Tokens(state, TokenKey(bytes(32)), TTL)
    new = after.offer(MAC, NOW, HERE)
    assert new.new and new.secret != old.secret
    with pytest.raises(TokenUnknown):
        after.claim(old.secret, NOW, HERE)
    after.claim(new.secret, NOW, HERE)


def test_looking_at_a_token_does_not_use_it(tokens: Tokens) -> None:
    secret = tokens.issue(MAC, NOW, TTL, "operator").secret
    for _ in range(2):
        token = tokens.look(secret)
        assert token is not None and token.state(NOW) == "active"
    tokens.claim(secret, NOW, HERE)


def test_a_callback_secret_reports_for_its_own_install_only(tokens: Tokens) -> None:
    first = tokens.issue(MAC, NOW, TTL, "operator")
    secret = tokens.callback(first.token)
    assert tokens.of_callback(MAC, secret) is None  # not begun
    tokens.claim(first.secret, NOW, HERE)
    assert (token := tokens.of_callback(MAC, secret)) and token.id == first.token.id
    assert tokens.of_callback(OTHER, secret) is None
    with pytest.raises(TokenUnknown):
        tokens.claim(secret, NOW, HERE)  # it can report, not render
    second = tokens.issue(MAC, NOW, TTL, "operator")
    tokens.claim(second.secret, NOW + timedelta(seconds=1), HERE)
    assert tokens.of_callback(MAC, secret) is None  # a later install is at work


def test_every_refusal_has_a_code_and_a_status_of_its_own() -> None:
    codes = {cls.code: cls.status for cls in DaemonError.__subclasses__()}
    assert codes["token-used"] == codes["token-expired"] == codes["token-revoked"] == 410
    assert codes["token-unknown"] == 404
