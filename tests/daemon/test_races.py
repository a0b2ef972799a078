"""Several processes and threads at the same state, and processes that are killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from threading import Barrier, Timer

import pytest

from goosed_daemon import machines, token_key
from goosed_daemon.errors import BadTokenKey, DaemonError, MigrationError, StateTooNew, TokenRevoked
from goosed_daemon.state import State
from goosed_daemon.state.migrate import Migration, migrate, migrations, status
from goosed_daemon.state.sqlite import SqliteState
from goosed_daemon.token_key import TokenKey
from goosed_daemon.tokens import Tokens
from tests.daemon.state_backends import BACKENDS, KEY, MAC, NOW, TTL

THREADS = 8
ROUNDS = 15

# Claims each secret that it is told, in several threads at once; answers how many won.
CLAIMER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from goosed_daemon.errors import TokenUsed
from goosed_daemon.token_key import TokenKey
from goosed_daemon.tokens import Tokens
from tests.daemon.state_backends import BACKENDS, KEY, NOW, TTL

tokens = Tokens(BACKENDS[sys.argv[1]](Path(sys.argv[2])), TokenKey(KEY), TTL)

def claim(secret):
    try:
        tokens.claim(secret, NOW, "192.0.2.1")
        return 1
    except TokenUsed:
        return 0

with ThreadPoolExecutor(int(sys.argv[3])) as pool:
    list(pool.map(lambda _: tokens.look(""), range(int(sys.argv[3]))))
    print("ready", flush=True)
    for line in sys.stdin:
        print(sum(pool.map(claim, [line.strip()] * int(sys.argv[3]))), flush=True)
"""


def python(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_of_many_claims_from_two_processes_exactly_one_wins(tmp_path: Path, backend: str) -> None:
    state = BACKENDS[backend](tmp_path)
    migrate(state, NOW)
    tokens = Tokens(state, TokenKey(KEY), TTL)
    claimers = [python("-c", CLAIMER, backend, str(tmp_path), str(THREADS)) for _ in range(2)]
    try:
        for claimer in claimers:
            assert claimer.stdout is not None and claimer.stdout.readline() == "ready\n"
        for _ in range(ROUNDS):
            secret = tokens.issue(MAC, NOW, TTL, "operator").secret
            for claimer in claimers:
                assert claimer.stdin is not None
                claimer.stdin.write(secret + "\n")
                claimer.stdin.flush()
            won = [int(claimer.stdout.readline()) for claimer in claimers if claimer.stdout]
            assert sum(won) == 1
        assert all(token.used and token.refusals == 2 * THREADS - 1 for token in tokens.tokens())
    finally:
        for claimer in claimers:
            claimer.communicate()
        state.close()


def test_of_many_offers_at_once_one_token_is_issued(tokens: Tokens, state: State) -> None:
    for _ in range(ROUNDS):
        machines.arm(state, MAC, 1, NOW, "operator")
        together = Barrier(THREADS)

        def offer(_: int, together: Barrier = together) -> str:
            together.wait()
            return tokens.offer(MAC, NOW, "192.0.2.1").secret

        with ThreadPoolExecutor(THREADS) as pool:
            secrets = set(pool.map(offer, range(THREADS)))
        assert len(secrets) == 1
        tokens.claim(secrets.pop(), NOW, "192.0.2.1")
    assert len(tokens.tokens()) == ROUNDS


def test_a_claim_and_a_disarming_do_not_both_win(tokens: Tokens, state: State) -> None:
    for _ in range(ROUNDS):
        machines.arm(state, MAC, 1, NOW, "operator")
        secret = tokens.offer(MAC, NOW, "192.0.2.1").secret
        together = Barrier(2)

        def claim(secret: str = secret, together: Barrier = together) -> None:
            together.wait()
            with suppress(TokenRevoked):
                tokens.claim(secret, NOW, "192.0.2.1")

        def disarm(together: Barrier = together) -> None:
            together.wait()
            machines.disarm(state, MAC, NOW, "operator")

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(claim), pool.submit(disarm)]:
                done.result()
        token = tokens.tokens()[-1]
        assert token.used is (token.ended is None)


MIGRATE = """
import sys
from pathlib import Path
from goosed_daemon.state.migrate import Migration, migrate
from tests.daemon.state_backends import BACKENDS, NOW
known = tuple(Migration(n, f"m{n}", f"create table t{n} (x integer);\\n"
    + f"insert into t{n} values ({n});\\n" * 400) for n in range(1, 9))
print("go", flush=True)
print(len(migrate(BACKENDS[sys.argv[1]](Path(sys.argv[2])), NOW, known)), flush=True)
"""


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_daemons_that_start_at_once_migrate_once(tmp_path: Path, backend: str) -> None:
    BACKENDS[backend](tmp_path).close()  # so that all find the one server
    started = [python("-c", MIGRATE, backend, str(tmp_path)) for _ in range(5)]
    done = [process.communicate()[0].split() for process in started]
    assert sum(int(line[1]) for line in done) == 8
    with closing(BACKENDS[backend](tmp_path)) as state, state.read() as transaction:
        for number in range(1, 9):
            assert transaction.execute(f"select count(*) from t{number}") == [(400,)]


DAEMON = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from goosed_daemon.state.migrate import migrate
from tests.daemon.state_backends import BACKENDS
state = BACKENDS[sys.argv[1]](Path(sys.argv[2]))
print("go", flush=True)
sys.stdin.readline()
print(len(migrate(state, datetime.now(UTC))), flush=True)
"""


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_ten_daemons_start_at_once_and_one_is_killed_in_the_middle(
    tmp_path: Path, backend: str
) -> None:
    """Over the migrations there are: the state is whole, whoever did which part of it."""
    BACKENDS[backend](tmp_path).close()  # so that all find the one server
    started = [python("-c", DAEMON, backend, str(tmp_path)) for _ in range(10)]
    for process in started:
        assert process.stdout is not None and process.stdout.readline() == "go\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    killed, *others = started
    time.sleep(0.02)
    killed.kill()
    done = [int(process.communicate()[0]) for process in others]
    killed.communicate()
    assert [process.returncode for process in others] == [0] * 9
    with closing(BACKENDS[backend](tmp_path)) as state:
        known = migrations(state.dialect)
        assert sum(done) <= len(known)
        assert all(step.applied_at is not None for step in status(state))
        assert migrate(state, NOW) == []


TABLES = {
    "sqlite": "select name from sqlite_master where name like 't_'",
    "postgres": "select table_name from information_schema.tables where table_name like 't_'",
}


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_migration_killed_anywhere_leaves_whole_migrations(tmp_path: Path, backend: str) -> None:
    """kill -9 at moments spread over the whole run; the next start finishes the work."""
    partial = set()
    for folder in ("whole", *map(str, range(16))):  # so that the time is the migrations' alone
        BACKENDS[backend](tmp_path / folder).close()
    whole = python("-c", MIGRATE, backend, str(tmp_path / "whole"))
    assert whole.stdout is not None and whole.stdout.readline() == "go\n"
    ready = time.monotonic()
    whole.communicate()
    length = time.monotonic() - ready
    for attempt in range(16):
        folder = tmp_path / str(attempt)
        process = python("-c", MIGRATE, backend, str(folder))
        assert process.stdout is not None and process.stdout.readline() == "go\n"
        time.sleep(length * attempt / 16)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        state = BACKENDS[backend](folder)
        with state.migrating() as transaction:
            tables = TABLES[backend]
            names = sorted(row[0] for row in transaction.execute(tables))
            assert names == [f"t{number}" for number in range(1, len(names) + 1)]
            for name in names:
                assert transaction.execute(f"select count(*) from {name}") == [(400,)]
        partial.add(len(names))
        state.close()
        assert python("-c", MIGRATE, backend, str(folder)).communicate()[0].split() == [
            "go",
            str(8 - len(names)),
        ]
    assert partial - {0, 8}, f"no kill hit the middle: {partial}"


def test_a_changed_migration_is_refused(open_backend: Callable[[], State]) -> None:
    state = open_backend()
    known = migrations(state.dialect)
    migrate(state, NOW)
    edited = (*known[:1], Migration(2, known[1].name, known[1].sql + "-- edited\n"), *known[2:])
    with pytest.raises(MigrationError, match="0002_tokens"):
        migrate(state, NOW, edited)


def test_a_state_of_a_newer_version_is_refused(open_backend: Callable[[], State]) -> None:
    state = open_backend()
    known = migrations(state.dialect)
    migrate(state, NOW, (*known, Migration(9999, "later", "create table later (x integer);")))
    with pytest.raises(StateTooNew, match="9999_later"):
        migrate(state, NOW)


def test_a_migration_that_fails_leaves_nothing_of_itself(
    open_backend: Callable[[], State],
) -> None:
    state = open_backend()
    broken = Migration(1, "broken", "create table half (x integer);\ncreate tabel other (x);\n")
    with pytest.raises(DaemonError, match="tabel"):
        migrate(state, NOW, (broken,))
    assert [step.applied_at for step in status(state, (broken,))] == [None]
    migrate(state, NOW, (Migration(1, "mended", "create table half (x integer);"),))


def test_every_migration_is_numbered_without_gaps() -> None:
    for dialect in BACKENDS:
        numbers = [migration.number for migration in migrations(dialect)]
        assert numbers == list(range(1, len(numbers) + 1)) and numbers
        assert "0002_tokens" in map(str, migrations(dialect))


def test_processes_that_make_the_token_key_at_once_agree(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from goosed_daemon import token_key;"
        "print(token_key.load(Path(sys.argv[1])).boot('00000000-0000-4000-8000-000000000001'))"
    )
    path = tmp_path / "keys" / "token.key"
    started = [python("-c", code, str(path)) for _ in range(5)]
    assert len({process.communicate()[0] for process in started}) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["token.key"]


def test_a_token_key_made_by_another_process_meanwhile_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    others = bytes(range(32))

    def random(size: int) -> bytes:
        token_key.load(path, lambda _: others)  # the other process is first
        return bytes(size)

    made = token_key.load(path, random)
    token_id = "00000000-0000-4000-8000-000000000001"
    assert made.boot(token_id) == TokenKey(others).boot(token_id)


def test_a_token_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    token_key.load(path)
    path.chmod(0o644)
    with pytest.raises(BadTokenKey, match="0644"):
        token_key.load(path)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_token_key_of_another_size_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "token.key"
    path.write_bytes(bytes(size))
    path.chmod(0o600)
    with pytest.raises(BadTokenKey, match="32 bytes"):
        token_key.load(path)


def test_the_state_file_is_private_from_the_first_moment(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    migrate(state, NOW)
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
    state.close()


def test_a_state_is_opened_while_another_process_writes_its_first_page(tmp_path: Path) -> None:
    """SQLite does not wait, but fails at once, when WAL is asked for in this moment."""
    writing = sqlite3.connect(tmp_path / "state.db", isolation_level=None, check_same_thread=False)
    writing.execute("begin immediate")
    finish = Timer(0.3, writing.execute, ["commit"])
    finish.start()
    state = SqliteState(tmp_path / "state.db")
    migrate(state, NOW)
    finish.join()
    writing.close()
    state.close()


def test_a_writer_that_hangs_makes_the_others_say_so(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db", busy_seconds=0.2)
    migrate(state, NOW)
    hanging = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    hanging.execute("begin immediate")
    with pytest.raises(DaemonError, match="locked") as caught, state.write():
        pass
    assert caught.value.code == "state-busy"
    with state.read() as transaction:  # readers do not wait
        assert transaction.execute("select count(*) from machines") == [(0,)]
    hanging.close()
    state.close()
