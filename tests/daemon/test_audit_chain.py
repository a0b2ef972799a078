"""The chain over the audit log: what was written stays, or it shows. On every backend."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from goosed_daemon import audit, audit_chain
from goosed_daemon.audit_chain import Anchor, BadAnchor
from goosed_daemon.errors import StateError
from goosed_daemon.state import State
from tests.daemon.state_backends import MAC, NOW

#: What lets the owner of a database get past its triggers.
UNLOCK = {
    "sqlite": [
        "drop trigger {table}_{is_are}_not_changed",
        "drop trigger {table}_{is_are}_not_deleted",
    ],
    "postgres": ["alter table {table} disable trigger all"],
}
VERBS = {"events": "are", "seals": "are", "sealed": "is"}


def write(state: State, count: int, first: int = 0) -> None:
    with state.write() as transaction:
        for number in range(first, first + count):
            audit.record(transaction, NOW, "armed", "me", mac=MAC, number=number)


def tamper(state: State, sql: str) -> None:
    """As one who owns the database does it."""
    table = sql.removeprefix("update ").removeprefix("delete from ").split()[0]
    with state.write() as transaction:
        for statement in UNLOCK[state.dialect]:
            transaction.execute(statement.format(table=table, is_are=VERBS[table]))
        transaction.execute(sql)


def test_what_is_sealed_is_whole(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_chain, "BATCH", 3)
    write(state, 7)
    assert audit_chain.verify(state).waiting == 7
    assert audit_chain.seal(state, NOW) == 7
    assert audit_chain.seal(state, NOW) == 0
    write(state, 2)
    found = audit_chain.verify(state)
    assert (found.seals, found.sealed, found.waiting, found.faults) == (3, 7, 2, ())


def test_an_empty_log_is_whole(state: State) -> None:
    assert audit_chain.seal(state, NOW) == 0
    assert audit_chain.verify(state) == audit_chain.Verdict(0, 0, 0, (), None)


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        ("update events set actor = 'you' where id = 2", "event 2, sealed by seal 1, was changed"),
        ("update events set detail = '{}' where id = 4", "event 4, sealed by seal 2, was changed"),
        ("delete from events where id = 3", "event 3, sealed by seal 1, is gone"),
        (
            "update sealed set digest = 'x' where event = 1",
            "event 1, sealed by seal 1, was changed",
        ),
        ("delete from sealed where event = 2", "seal 1 covers 3 events, but 2 are recorded"),
        ("update seals set digest = 'x' where number = 1", "seal 1 is not the digest"),
        ("update seals set previous = 'x' where number = 2", "seal 2 does not follow seal 1"),
        ("update seals set events = 9 where number = 2", "seal 2 covers 9 events"),
    ],
)
def test_tampering_with_the_log_shows(
    state: State, monkeypatch: pytest.MonkeyPatch, attack: str, words: str
) -> None:
    monkeypatch.setattr(audit_chain, "BATCH", 3)
    write(state, 6)
    audit_chain.seal(state, NOW)
    tamper(state, attack)
    faults = audit_chain.verify(state).faults
    assert any(words in fault for fault in faults), faults


def test_a_chain_that_was_made_anew_is_not_the_anchors(state: State) -> None:
    write(state, 3)
    audit_chain.seal(state, NOW)
    anchor = audit_chain.verify(state).last
    tamper(state, "update events set actor = 'you' where id = 1")
    tamper(state, "delete from sealed where event > 0")
    tamper(state, "delete from seals where number > 0")
    audit_chain.seal(state, NOW)
    assert audit_chain.verify(state).faults == ()
    [fault] = audit_chain.verify(state, anchor).faults
    assert "not the one of the anchor" in fault


def test_a_log_that_was_cut_off_lacks_the_anchor(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_chain, "BATCH", 3)
    write(state, 6)
    audit_chain.seal(state, NOW)
    anchor = audit_chain.verify(state).last
    tamper(state, "delete from sealed where seal = 2")
    tamper(state, "delete from seals where number = 2")
    tamper(state, "delete from events where id > 3")
    assert audit_chain.verify(state).faults == ()
    [fault] = audit_chain.verify(state, anchor).faults
    assert "ends at seal 1, before seal 2 of the anchor" in fault


def test_seals_are_only_added_to(state: State) -> None:
    write(state, 1)
    audit_chain.seal(state, NOW)
    for attack in ("update seals set events = 2", "delete from seals", "delete from sealed"):
        with pytest.raises(StateError, match="cannot be"), state.write() as transaction:
            transaction.execute(attack)


def test_an_event_that_commits_late_is_sealed_by_the_next(
    state: State, open_backend: Callable[[], State]
) -> None:
    """Its id is lower than that of an event that was sealed before."""
    if state.dialect == "sqlite":  # one writer at a time: no other order than of the ids
        return
    written, go = threading.Event(), threading.Event()

    def late() -> None:
        with open_backend().write() as transaction:
            audit.record(transaction, NOW, "late", "me")
            written.set()
            assert go.wait(10)

    thread = threading.Thread(target=late)
    thread.start()
    assert written.wait(10)
    write(state, 2)
    assert audit_chain.seal(state, NOW) == 2
    go.set()
    thread.join()
    assert audit_chain.seal(state, NOW) == 1
    assert audit_chain.verify(state) == audit_chain.Verdict(
        2, 3, 0, (), audit_chain.verify(state).last
    )


def test_many_sealers_at_once_make_one_chain(state: State) -> None:
    write(state, 200)
    threads = [threading.Thread(target=audit_chain.seal, args=(state, NOW)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = audit_chain.verify(state)
    assert (found.sealed, found.faults) == (200, ())


def test_an_anchor_is_read_strictly() -> None:
    anchor = Anchor(3, "a" * 64)
    assert audit_chain.read_anchor(anchor.encode(), "it") == anchor
    for data in (b"", b"{}", b"[]", anchor.encode() * 2, anchor.encode().replace(b"3", b"3.0")):
        with pytest.raises(BadAnchor):
            audit_chain.read_anchor(data, "it")
