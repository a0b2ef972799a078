"""Tokens of the administration API: told once, stored as digests, ended for good."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any

import pytest

from goosed_daemon import admin_tokens, audit
from goosed_daemon.admin_tokens import Role
from goosed_daemon.errors import (
    AdminTokenExists,
    AdminTokenUnknown,
    BadAdminToken,
    NotAuthenticated,
    StateBusy,
)
from goosed_daemon.state import State
from tests.daemon.state_backends import NOW

DAY = timedelta(days=1)


def make(state: State, name: str = "ci", at: datetime = NOW) -> str:
    return admin_tokens.new(state, name, Role.OPERATOR, DAY, at, "operator:root")[1]


def test_the_secret_opens_and_only_its_hash_is_stored(state: State) -> None:
    secret = make(state)
    found = admin_tokens.bearer(state, secret, NOW)
    assert (found.name, found.role, found.created_by) == ("ci", Role.OPERATOR, "operator:root")
    assert found.digest == hashlib.sha256(secret.encode()).hexdigest()
    with state.read() as transaction:
        rows = [
            row
            for table in ("admin_tokens", "events")
            for row in transaction.execute(f"select * from {table}")
        ]
    assert len(rows) == 2
    assert secret not in repr(rows) and secret[-64:] not in repr(rows)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: "", lambda s: s[:-1], lambda s: s + "0", lambda s: s.upper(),
        lambda s: s[:-1] + ("0" if s[-1] != "0" else "1"), lambda s: s + "\n", lambda s: " " + s,
        lambda s: s.replace("goose_admin_", ""), lambda s: "goose_admin_" + "0" * 96,
        lambda s: "goose_admin_" + "0" * 32 + s[-64:], lambda s: "ü", lambda s: "' or 1=1 --",
        lambda s: s[:-64] + "é" * 64,
    ],
)  # fmt: skip
def test_a_guessed_secret_opens_nothing(state: State, spoil: Any) -> None:
    secret = make(state)
    with pytest.raises(BadAdminToken, match="no admin token of this site"):
        admin_tokens.bearer(state, spoil(secret), NOW)


def test_the_digest_of_a_secret_is_no_secret(state: State) -> None:
    """Who reads the database cannot log in with what is there."""
    secret = make(state)
    stored = admin_tokens.known(state)[0].digest
    for guess in (stored, secret[:44] + stored):
        with pytest.raises(BadAdminToken):
            admin_tokens.bearer(state, guess, NOW)


def test_secrets_are_compared_in_constant_time(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return real(a, b)

    secret = make(state)
    monkeypatch.setattr(admin_tokens.hmac, "compare_digest", compare)
    admin_tokens.bearer(state, secret, NOW)
    with pytest.raises(BadAdminToken):
        admin_tokens.bearer(state, "goose_admin_" + "0" * 96, NOW)
    assert len(compared) == 2, "also where no row was found"


def test_a_token_ends_when_its_time_is_over(state: State) -> None:
    secret = make(state)
    admin_tokens.bearer(state, secret, NOW + DAY - timedelta(microseconds=1))
    with pytest.raises(BadAdminToken, match="the admin token ci is expired"):
        admin_tokens.bearer(state, secret, NOW + DAY)


def test_a_revoked_token_opens_nothing_and_stays_listed(state: State) -> None:
    secret = make(state)
    admin_tokens.revoke(state, "ci", NOW, "operator:root")
    with pytest.raises(BadAdminToken, match="is revoked"):
        admin_tokens.bearer(state, secret, NOW)
    with pytest.raises(AdminTokenUnknown):
        admin_tokens.revoke(state, "ci", NOW, "operator:root")
    assert [token.state(NOW) for token in admin_tokens.known(state)] == ["revoked"]
    kinds = [(event.kind, event.detail["name"]) for event in audit.events(state)]
    assert kinds == [("admin-token-new", "ci"), ("admin-token-revoked", "ci")]


def test_a_name_stands_for_one_token_at_a_time(state: State) -> None:
    first = make(state)
    with pytest.raises(AdminTokenExists):
        make(state)
    admin_tokens.revoke(state, "ci", NOW, "operator:root")
    second = make(state, at=NOW + timedelta(seconds=1))
    assert admin_tokens.bearer(state, second, NOW).name == "ci"
    with pytest.raises(BadAdminToken):
        admin_tokens.bearer(state, first, NOW)
    later = NOW + 2 * DAY
    third = admin_tokens.new(state, "ci", Role.VIEWER, DAY, later, "operator:root")[1]
    assert admin_tokens.bearer(state, third, later).role is Role.VIEWER
    assert [token.state(later) for token in admin_tokens.known(state)] == [
        "revoked", "expired", "active",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "a b", "operator:root", "A", "x" * 64, "-x", "a\n", "ü"])
def test_a_name_cannot_pass_for_another_actor(state: State, name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        make(state, name)
    assert admin_tokens.known(state) == []


def test_use_is_remembered_to_the_hour(state: State) -> None:
    secret = make(state)
    for minutes in (0, 59, 61):
        admin_tokens.bearer(state, secret, NOW + timedelta(minutes=minutes))
        used = admin_tokens.known(state)[0].last_used_at
        assert used == NOW + timedelta(minutes=61 if minutes == 61 else 0)


def test_a_busy_state_keeps_nobody_from_looking(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise StateBusy("busy")

    secret = make(state)
    monkeypatch.setattr(admin_tokens, "_note_use", busy)
    assert admin_tokens.bearer(state, secret, NOW).name == "ci"


def test_each_role_may_what_those_below_it_may() -> None:
    allowed = {role: [needed for needed in Role if role.may(needed)] for role in Role}
    assert allowed == {
        Role.VIEWER: [Role.VIEWER],
        Role.OPERATOR: [Role.VIEWER, Role.OPERATOR],
        Role.ADMIN: [Role.VIEWER, Role.OPERATOR, Role.ADMIN],
    }
    assert NotAuthenticated.status == BadAdminToken.status == 401
