"""A machine that is forgotten leaves nothing but what the audit log says. On both states."""

from __future__ import annotations

import pytest

from goosed_daemon import audit, forget, machines
from goosed_daemon.errors import MachineUnknown
from goosed_daemon.state import State
from goosed_daemon.tokens import Tokens
from goosed_daemon.workflow.orchestrator import Orchestrator
from tests.daemon.state_backends import MAC, NOW, OTHER

HERE = "192.0.2.7"

#: With a machine's MAC, and not forgotten.
KEPT = {
    "events": "the audit log is only added to",
    "outbox": "subscribers are told at least once what happened, and then it goes",
}

_COLUMNS = {
    "sqlite": "select m.name, c.name from sqlite_master m join pragma_table_info(m.name) c"
    " where m.type = 'table'",
    "postgres": "select table_name, column_name from information_schema.columns"
    " where table_schema = 'public'",
}


def test_every_table_that_knows_machines_is_decided_about(state: State) -> None:
    with state.read() as transaction:
        columns = [tuple(row) for row in transaction.execute(_COLUMNS[state.dialect])]
    of_machines = {table for table, column in columns if column == "mac"}
    of_workflows = {table for table, column in columns if column == "workflow"}
    assert of_machines == set(forget.TABLES) | set(KEPT)
    assert of_workflows - of_machines == set(forget.PARTS)


def install(state: State, tokens: Tokens, mac: str) -> None:
    machines.arm(state, mac, 3, NOW, "operator")
    token = tokens.claim(tokens.offer(mac, NOW, HERE).secret, NOW, HERE)
    machines.report(state, mac, "started", NOW, HERE, token.id)
    Orchestrator(state).turn(NOW)
    machines.arm(state, mac, 3, NOW, "operator")
    tokens.offer(mac, NOW, HERE)
    refused = audit.Strangers()
    refused.refused(NOW, "machine-not-armed", mac, HERE)
    audit.tally(state, refused.take())


def rows(state: State) -> dict[str, int]:
    with state.read() as transaction:
        found = {}
        for table in (*forget.TABLES, *forget.PARTS):
            ((found[table],),) = transaction.execute(f"select count(*) from {table}")
    return found


def test_all_of_one_machine_goes_and_nothing_of_another(state: State, tokens: Tokens) -> None:
    install(state, tokens, OTHER)
    Orchestrator(state).turn(NOW)  # nothing of it waits for the turn that the other one brings
    before = rows(state)
    install(state, tokens, MAC)
    assert rows(state)["observations"], "taken up by nobody yet"
    kept = forget.kept(state, MAC, NOW)
    assert kept.armed and kept.waiting is not None
    assert kept.rows["tokens"] == 2 and kept.rows["workflows"] == 2
    assert forget.forget(state, MAC, NOW, "operator") == kept
    assert rows(state) == before
    assert machines.show(state, MAC) is None
    kinds = [event.kind for event in audit.events(state, mac=MAC)]
    assert kinds[-2:] == ["token-ended", "machine-forgotten"]
    with pytest.raises(MachineUnknown):
        forget.forget(state, MAC, NOW, "operator")
