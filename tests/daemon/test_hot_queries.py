"""What every boot, render, heartbeat and turn asks PostgreSQL for is found by an index."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from goosed_daemon import audit_chain, machines, outbox, place_ends, receipts
from goosed_daemon.agents import Agents
from goosed_daemon.errors import MachineWaits
from goosed_daemon.places import Places
from goosed_daemon.state.migrate import migrate
from goosed_daemon.state.postgres import PostgresState, PostgresTransaction
from goosed_daemon.state.protocol import Row
from goosed_daemon.token_key import TokenKey
from goosed_daemon.tokens import Tokens
from goosed_daemon.workflow import rows
from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.model import Fact
from goosed_daemon.workflow.orchestrator import Orchestrator
from goosed_daemon.workflow.transition import advance
from tests.daemon.postgres import database
from tests.daemon.receipts import MADE, SIGNER
from tests.daemon.state_backends import KEY, MAC, NOW, TTL

FLEET = 20_000
HERE = "192.0.2.7"
LARGE = {
    "agents", "enrolments", "events", "facts", "machines", "observations", "outbox", "places",
    "receipts", "sealed", "step_times", "tokens", "workflows",
}  # fmt: skip

# A fleet in the middle of its life, as text of SQL: n is the number of a machine.
_FILL = f"""
create temporary table fleet as
    select n, lpad(to_hex(n), 12, '0') as digits, md5('w' || n)::uuid as workflow,
           md5('t' || n)::uuid as token, timestamptz '{NOW.isoformat()}' as at
    from generate_series(1, {FLEET}) n;
alter table fleet add column mac text;
update fleet set mac = 'aa' || regexp_replace(substr(digits, 3), '(..)', ':\\1', 'g');
insert into machines select mac, n % 2 = 0, 3, at, 'me', 'armed' from fleet;
insert into tokens (id, mac, token, expires_at, used, issued_at, issued_to, used_at)
    select token, mac, md5('s' || n), at + interval '30 minutes', n % 2 = 0, at, 'x',
           case when n % 2 = 0 then at end from fleet;
insert into workflows (id, mac, machine, profile, installer, current, state, step, attempt, since,
                       deadline, began_at, trace)
    select workflow, mac, 'm' || n, 'p' || n % 5, 'kickstart', true, 'running', 'offered', 1, at,
           at + interval '5 days', at, md5('x' || n) from fleet;
insert into facts select workflow, token::text, step, at from fleet,
    unnest(array['offered', 'script-served', 'fetched']) step;
insert into step_times select workflow, 1, step, 'p' || n % 5, 'done', n % 100, at from fleet,
    unnest(array['offered', 'script-served', 'fetched']) step;
alter table events alter column id restart with 440001;
insert into events (at, kind, actor, mac, token) select at, 'token-issued', 'x', mac, token
    from fleet, generate_series(1, 3);
insert into seals select 1, at, {FLEET} * 3, '0', '0' from fleet limit 1;
insert into sealed select id, 1, md5(id::text) from generate_series(1, 500000) id;
insert into outbox (message, mac, event, at, trace, data, queued_at, held_until)
    select 'old' || n, mac, 'offered', at, md5('x' || n), '{{}}', at, at from fleet;
insert into enrolments (id, mac, issued_at, issued_to, expires_at, used, used_at)
    select token, mac, at, 'x', at + interval '1 day', true, at from fleet;
insert into agents (mac, family, token, issued_at, expires_at, enrolled_at, enrolled_by, seen_at)
    select mac, token, md5('a' || n), at, at + interval '9 days', at, 'x', at from fleet;
insert into receipts (token, mac, claimed_at, origin, tag, ready_at, document, signature)
    select token, mac, at, '{{}}', '', at, '{{}}', 'x' from fleet;
insert into places (mac, asked_at, seen_at, admitted_at)
    select mac, at + n * interval '1 second', at, case when n % 50 = 0 then at end from fleet;
insert into observations (workflow, token, step, at, detail)
    select workflow, token::text, 'rendered', at, '{{}}' from fleet;
"""


class Watched(PostgresState):
    """Keeps what it is asked, to ask PostgreSQL how it would go about it."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.asked: dict[str, Sequence[object]] = {}

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[PostgresTransaction]:
        with super()._transaction(begin) as transaction:
            yield _Watching(transaction, self.asked)

    def plans(self) -> Iterator[tuple[str, Any]]:
        """Every statement with its plan; nothing is carried out."""
        with super()._transaction("BEGIN") as transaction:
            for sql, parameters in self.asked.items():
                ((plan,),) = transaction.execute(f"explain (format json) {sql}", parameters)
                yield sql, plan if isinstance(plan, list) else json.loads(plan)


class _Watching(PostgresTransaction):
    def __init__(self, inner: PostgresTransaction, asked: dict[str, Sequence[object]]) -> None:
        super().__init__(inner._connection, inner._state)
        self._asked = asked

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        if sql.lstrip().split()[0].lower() in ("select", "insert", "update", "delete"):
            self._asked.setdefault(sql, parameters)
        return super().execute(sql, parameters)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Watched]:
    state = Watched(database(tmp_path))
    migrate(state, NOW)
    with state.write() as transaction:
        transaction.script(_FILL)
    with state._connection() as connection:
        connection.execute("analyze")
    state.asked.clear()
    yield state
    state.close()


def live(state: Watched) -> None:
    """One machine's whole life, and an orchestrator's turns."""
    tokens = Tokens(state, TokenKey(KEY), TTL)
    places = Places(state, 100)
    agents = Agents(state, TokenKey(KEY), timedelta(days=1))
    names = {"machine": "web1", "profile": "p1", "installer": "kickstart"}
    orchestrator = Orchestrator(state, (receipts.ready, place_ends.settle, outbox.put))
    machines.arm(state, MAC, 3, NOW, "operator:me")
    for _ in range(2):  # joins the queue, and asks again; it counts those before it, and no more
        with pytest.raises(MachineWaits):
            places.ask(MAC, "p1", NOW)
    Places(state, 2 * FLEET).ask(MAC, "p1", NOW)
    offer = tokens.offer(MAC, NOW, HERE, names)
    tokens.offer(MAC, NOW, HERE, names)
    orchestrator.turn(NOW)
    tokens.claim(offer.secret, NOW, HERE, "0" * 64, made=MADE)
    tokens.of_callback(MAC, tokens.callback(offer.token))
    machines.report(state, MAC, "started", NOW, HERE, offer.token.id)
    machines.report(state, MAC, "installed", NOW, HERE, offer.token.id)
    lease = agents.register(agents.permit(MAC, NOW, TTL, "operator:me"), None, NOW, HERE)
    agents.heartbeat(MAC, lease.token, NOW, HERE, "1")
    agents.refresh(MAC, lease.token, "key", NOW, HERE)
    orchestrator.turn(NOW)
    messages = outbox.take(state, NOW)
    outbox.delivered(state, [messages[0].id])
    outbox.release(state, [messages[1].id], NOW)
    workflow = rows.current(state, MAC)
    assert workflow is not None
    with state.write() as transaction:
        seen = [Fact(s.READY, NOW, offer.token.id)]
        receipts.ready(transaction, advance(workflow, seen), NOW)
    assert receipts.turn(state, tokens.made, SIGNER, NOW) == 1
    receipts.newest(state, MAC)
    receipts.newest(state, MAC, offer.token.id)
    rows.medians(state, "p1", s.STEPS)
    audit_chain.seal(state, NOW)


def test_no_hot_query_reads_a_large_table_from_end_to_end(state: Watched) -> None:
    live(state)
    assert len(state.asked) > 30
    slow = {
        sql: sorted(tables)
        for sql, plan in state.plans()
        if (tables := set(_scanned(plan[0]["Plan"])) & LARGE)
    }
    assert slow == {}


def test_a_query_without_an_index_would_be_found(state: Watched) -> None:
    with state.read() as transaction:
        transaction.execute("select count(*) from tokens where issued_to = ?", (HERE,))
    ((_, plan),) = state.plans()
    assert set(_scanned(plan[0]["Plan"])) == {"tokens"}


def _scanned(plan: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan reads whole."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from _scanned(part)
