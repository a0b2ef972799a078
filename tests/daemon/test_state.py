"""What every state backend must do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from goosed_daemon.errors import StateError
from goosed_daemon.state import State
from tests.daemon.state_backends import MAC, NOW

_ADD = "insert into machines (mac, changed_at, changed_by, reason) values (?, ?, 'me', 'armed')"


def test_a_transaction_that_raises_leaves_nothing_behind(state: State) -> None:
    def fail() -> None:
        with state.write() as transaction:
            transaction.execute(_ADD, (MAC, NOW))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with state.read() as transaction:
        assert transaction.execute("select count(*) from machines") == [(0,)]


def test_what_is_committed_is_seen_by_other_connections(
    state: State, open_backend: Callable[[], State]
) -> None:
    with state.write() as transaction:
        transaction.execute(_ADD, (MAC, NOW))
    with open_backend().read() as transaction:
        assert transaction.execute("select mac from machines") == [(MAC,)]


def test_what_is_not_committed_is_not_seen(state: State, open_backend: Callable[[], State]) -> None:
    other = open_backend()
    with state.write() as transaction:
        transaction.execute(_ADD, (MAC, NOW))
        with other.read() as reading:
            assert reading.execute("select mac from machines") == []


def test_values_come_back_as_their_types(state: State) -> None:
    east = datetime(2026, 11, 24, 14, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    with state.write() as transaction:
        row = transaction.execute(_ADD + " returning armed, tries_left, changed_at", (MAC, east))
        again = transaction.execute("select armed, tries_left, changed_at from machines")
    assert row == again == [(False, 0, datetime(2026, 11, 24, 12, 0, 0, 5, tzinfo=UTC))]
    assert row[0][0] is False


def test_times_compare_in_sql_as_times_do(state: State) -> None:
    moments = [NOW, NOW + timedelta(microseconds=1), NOW + timedelta(seconds=1)]
    with state.write() as transaction:
        for number, at in enumerate(moments):
            transaction.execute(_ADD, (f"m{number}", at))
        later = transaction.execute("select mac from machines where changed_at > ?", (NOW,))
    assert sorted(later) == [("m1",), ("m2",)]


def test_faults_of_the_database_are_state_errors(state: State) -> None:
    with pytest.raises(StateError, match="no_such_table"), state.read() as transaction:
        transaction.execute("select * from no_such_table")


def test_a_failed_transaction_does_not_hold_the_writers_up(state: State) -> None:
    with pytest.raises(StateError), state.write() as transaction:
        transaction.execute("insert into machines (mac) values (null)")
    with state.write() as transaction:
        transaction.execute(_ADD, (MAC, NOW))


def test_writers_of_many_threads_lose_no_update(state: State) -> None:
    with state.write() as transaction:
        transaction.execute(_ADD, (MAC, NOW))

    def count() -> None:
        for _ in range(20):
            with state.write(lock=MAC) as transaction:
                ((tries,),) = transaction.execute("select tries_left from machines")
                transaction.execute("update machines set tries_left = ?", (tries + 1,))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with state.read() as transaction:
        assert transaction.execute("select tries_left from machines") == [(160,)]


def test_the_tokens_table_is_the_contract(state: State) -> None:
    """tokens(id uuid primary key, mac text, token text unique, expires_at timestamptz,
    used bool default false)"""
    with state.write() as transaction:
        add = "insert into tokens (id, mac, token, expires_at, issued_at, issued_to)"
        first = ["00000000-0000-4000-8000-000000000001", MAC, "aa", NOW, NOW, "me"]
        (row,) = transaction.execute(
            add + " values (?, ?, ?, ?, ?, ?) returning id, mac, token, expires_at, used", first
        )
        assert row == (first[0], MAC, "aa", NOW, False)
    for clash in ({0: first[0]}, {2: "aa"}):
        values = ["00000000-0000-4000-8000-000000000002", "other", "bb", NOW, NOW, "me"]
        for index, value in clash.items():
            values[index] = value
        with pytest.raises(StateError), state.write() as transaction:
            transaction.execute(add + " values (?, ?, ?, ?, ?, ?)", values)


def test_audit_events_can_be_neither_changed_nor_deleted(state: State) -> None:
    with state.write() as transaction:
        transaction.execute(
            "insert into events (at, kind, actor) values (?, 'armed', 'me')", (NOW,)
        )
    for tampering in ("update events set actor = 'you'", "delete from events"):
        with pytest.raises(StateError, match="cannot be"), state.write() as transaction:
            transaction.execute(tampering)
