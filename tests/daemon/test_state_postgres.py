"""What only a server does: it goes away and comes back, hangs, and wants a password."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from goosed_daemon.errors import StateBusy, StateError
from goosed_daemon.home import Home
from goosed_daemon.settings import Settings
from goosed_daemon.state import connect
from goosed_daemon.state.migrate import migrate
from goosed_daemon.state.postgres import PostgresState
from tests.daemon.postgres import PASSWORD, Server, database
from tests.daemon.state_backends import MAC, NOW

_COUNT = "select count(*) from machines"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[PostgresState]:
    state = PostgresState(database(tmp_path), busy_seconds=1)
    migrate(state, NOW)
    yield state
    state.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of its own, for tests that end it."""
    server = Server()
    yield server
    server.remove()


def test_a_server_that_was_restarted_is_found_again(server: Server) -> None:
    state = PostgresState(server.dsn("postgres"), busy_seconds=5)
    migrate(state, NOW)
    server.stop()
    with pytest.raises(StateError) as caught, state.read() as transaction:
        transaction.execute(_COUNT)
    assert "127.0.0.1" in caught.value.message
    server.start()
    with state.read() as transaction:
        assert transaction.execute(_COUNT) == [(0,)]
    state.close()


def test_a_server_that_ends_in_a_transaction_leaves_nothing_of_it(server: Server) -> None:
    state = PostgresState(server.dsn("postgres"), busy_seconds=5)
    migrate(state, NOW)

    def cut() -> None:
        with state.write() as transaction:
            add = "insert into machines (mac, changed_at, changed_by, reason) values (?, ?, '', '')"
            transaction.execute(add, (MAC, NOW))
            server.stop()

    with pytest.raises(StateError):
        cut()
    server.start()
    with state.read() as transaction:
        assert transaction.execute(_COUNT) == [(0,)]
    state.close()


def test_a_lock_that_is_not_let_go_is_told_in_time(state: PostgresState, tmp_path: Path) -> None:
    other = PostgresState(database(tmp_path))
    with other.write(lock=MAC), pytest.raises(StateBusy), state.write(lock=MAC):
        pass
    with state.write(lock=MAC):  # and is free again afterwards
        pass
    other.close()


def test_locks_of_other_names_do_not_wait(state: PostgresState) -> None:
    with state.write(lock=MAC), state.write(lock="another"):
        pass


def test_more_threads_than_connections_wait_their_turn(tmp_path: Path) -> None:
    state = PostgresState(database(tmp_path), busy_seconds=30)
    migrate(state, NOW)
    faults: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                with state.write() as transaction:
                    transaction.execute("select pg_sleep(0.002)")
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    state.close()


def test_a_daemon_that_freezes_does_not_hold_a_lock_for_ever(state: PostgresState) -> None:
    with state.read() as transaction:
        shown = transaction.execute("show idle_in_transaction_session_timeout")
    assert shown == [("1min",)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((PASSWORD, "wrong-secret"), "password authentication failed"),
        (("/postgres", "/nowhere"), 'database "nowhere" does not exist'),
    ],
)
def test_a_server_that_cannot_be_used_is_named_without_its_password(
    server: Server, change: tuple[str, str], words: str
) -> None:
    state = PostgresState(server.dsn("postgres").replace(*change), busy_seconds=1)
    with pytest.raises(StateError) as caught, state.read():
        pass
    assert words in caught.value.message
    for secret in (PASSWORD, "wrong-secret"):
        assert secret not in f"{caught.value} {caught.value.hint} {caught.value.details} {state}"


def test_a_server_that_is_not_there_is_named() -> None:
    state = PostgresState("postgresql://goose:secret@127.0.0.1:1/goose", busy_seconds=1)
    with (
        pytest.raises(StateError, match=r"PostgreSQL goose at 127\.0\.0\.1") as caught,
        state.read(),
    ):
        pass
    assert "secret" not in str(caught.value)


def test_settings_do_not_show_the_password(tmp_path: Path) -> None:
    environ = {"GOOSE_HOME": str(tmp_path), "DB_DSN": "postgresql://goose:hunter2@h/d"}
    settings = Settings.load(environ)
    assert settings.db_dsn == environ["DB_DSN"]
    assert "hunter2" not in repr(settings)


def test_what_is_no_connection_string_is_refused_and_not_repeated(tmp_path: Path) -> None:
    environ = {"GOOSE_HOME": str(tmp_path), "DB_DSN": "goose:secret@h/d"}
    with pytest.raises(Exception, match="DB_DSN: it is neither postgresql://") as caught:
        Settings.load(environ)
    assert "secret" not in str(caught.value)


def test_events_cannot_be_truncated(state: PostgresState) -> None:
    with pytest.raises(StateError, match="cannot be changed"), state.write() as transaction:
        transaction.execute("truncate events")


def test_the_state_of_the_settings_is_the_server(tmp_path: Path) -> None:
    state = connect(Home(tmp_path), database(tmp_path))
    with state.read() as transaction:
        ((version,),) = transaction.execute("select version()")
    assert version.startswith("PostgreSQL")
    state.close()
