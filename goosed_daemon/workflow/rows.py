"""Workflows in the state."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from goosed_daemon.state.protocol import Row, State, Transaction
from goosed_daemon.state.sql import marks
from goosed_daemon.workflow.model import STATES, Fact, Position, Workflow
from goosed_daemon.workflow.transition import Change, advance

_WORKFLOW = "id, mac, began_at, trace, machine, profile, installer"
_POSITION = "state, step, since, attempt, deadline, reason, words"


@dataclass(frozen=True, slots=True)
class Standing:
    """A workflow without its facts, and where its machine is as of the last turn."""

    workflow: Workflow
    position: Position


def load(transaction: Transaction, ids: Sequence[str]) -> dict[str, Workflow]:
    """The workflows with these ids, with all their facts."""
    if not ids:
        return {}
    which = marks(ids)
    facts: dict[str, list[Fact]] = {}
    for workflow, token, step, at, detail in transaction.execute(
        f"select workflow, token, step, at, detail from facts where workflow in ({which})"
        " order by at, step",
        ids,
    ):
        facts.setdefault(workflow, []).append(Fact(step, at, token, json.loads(detail)))
    rows = transaction.execute(f"select {_WORKFLOW} from workflows where id in ({which})", ids)
    return {row[0]: _workflow(row, facts.get(row[0], ())) for row in rows}


def save(
    transaction: Transaction, workflow: Workflow, position: Position, facts: Iterable[Fact]
) -> None:
    """Keeps where a machine is, and `facts` that are new or earlier than known."""
    for fact in facts:
        transaction.execute(
            "insert into facts (workflow, token, step, at, detail) values (?, ?, ?, ?, ?)"
            " on conflict (workflow, token, step) do update"
            " set at = excluded.at, detail = excluded.detail where excluded.at < facts.at",
            (
                workflow.id, fact.token, fact.step, fact.at,
                json.dumps(dict(fact.detail), sort_keys=True),
            ),
        )  # fmt: skip
    at = position
    transaction.execute(
        "update workflows set machine = ?, profile = ?, installer = ?, state = ?, step = ?,"
        " since = ?, attempt = ?, deadline = ?, reason = ?, words = ? where id = ?",
        (
            workflow.machine, workflow.profile, workflow.installer, at.state, at.step, at.since,
            at.attempt, at.deadline, at.reason, at.words, workflow.id,
        ),
    )  # fmt: skip


def take(transaction: Transaction, state: State, limit: int) -> dict[str, list[tuple[int, Fact]]]:
    """By workflow, what was observed of at most `limit` workflows that nobody else has in hand,
    with the ids of the observations. They stay this transaction's until it ends."""
    ids = [
        row[0]
        for row in transaction.execute(
            "select id from workflows where id in (select workflow from observations"
            f" order by id limit ?) order by id limit ?{state.skip_locked}",
            (limit * 4, limit),
        )
    ]
    found: dict[str, list[tuple[int, Fact]]] = {}
    if ids:
        which = marks(ids)
        for number, workflow, token, step, at, detail in transaction.execute(
            f"select id, workflow, token, step, at, detail from observations"
            f" where workflow in ({which}) order by id",
            ids,
        ):
            fact = Fact(step, at, token, json.loads(detail))
            found.setdefault(workflow, []).append((number, fact))
    return found


def trace(state: State, mac: str) -> str | None:
    """The trace of the machine's last installation; None when it never was armed."""
    return _one(state, "select trace from workflows where mac = ? and current", mac)


def trace_of_token(state: State, token: str) -> str | None:
    """The trace of the installation that this boot token, by id, was offered for."""
    words = "select trace from workflows where current and mac ="
    return _one(state, f"{words} (select mac from tokens where id = ?)", token)


def _one(state: State, statement: str, key: str) -> str | None:
    with state.read() as transaction:
        rows = transaction.execute(statement, (key,))
    return rows[0][0] if rows else None


def count(state: State) -> dict[str, int]:
    """How many machines are in each state."""
    with state.read() as transaction:
        rows = transaction.execute(
            "select state, count(*) from workflows where current group by state"
        )
    return dict.fromkeys(STATES, 0) | dict(rows)


def leave(transaction: Transaction, change: Change) -> None:
    """Keeps how long the steps took that were left, for `medians`."""
    for step in change.left:
        transaction.execute(
            "insert into step_times (workflow, attempt, step, profile, outcome, seconds, ended_at)"
            " values (?, ?, ?, ?, ?, ?, ?) on conflict (workflow, attempt, step) do update"
            " set outcome = excluded.outcome, seconds = excluded.seconds,"
            " ended_at = excluded.ended_at",
            (
                change.workflow.id, step.attempt, step.step, change.workflow.profile, step.outcome,
                step.seconds, step.ended_at,
            ),
        )  # fmt: skip


def medians(state: State, profile: str, steps: Sequence[str], last: int = 200) -> dict[str, float]:
    """By step, the median seconds of the `last` times that machines of `profile` passed it."""
    found = {}
    with state.read() as transaction:
        for step in steps:
            rows = transaction.execute(
                "select seconds from step_times where step = ? and profile = ? and outcome = 'done'"
                " order by ended_at desc limit ?",
                (step, profile, last),
            )
            if rows:
                found[step] = statistics.median(row[0] for row in rows)
    return found


def drop(transaction: Transaction, observations: Sequence[int]) -> None:
    """Forgets observations that were taken up."""
    which = marks(observations)
    transaction.execute(f"delete from observations where id in ({which})", observations)


def due(transaction: Transaction, state: State, now: datetime, limit: int) -> list[str]:
    """At most `limit` workflows whose machine is overdue and that nobody else has in hand."""
    rows = transaction.execute(
        "select id from workflows where deadline is not null and deadline <= ? and current"
        f" order by deadline limit ?{state.skip_locked}",
        (now, limit),
    )
    return [row[0] for row in rows]


def current(state: State, mac: str) -> Workflow | None:
    """The workflow of one machine with all that was seen, also what no orchestrator took up yet."""
    with state.read() as transaction:
        rows = transaction.execute("select id from workflows where mac = ? and current", (mac,))
        if not rows:
            return None
        known = load(transaction, [rows[0][0]])[rows[0][0]]
        waiting = transaction.execute(
            "select token, step, at, detail from observations where workflow = ? order by id",
            (known.id,),
        )
    seen = [Fact(step, at, token, json.loads(detail)) for token, step, at, detail in waiting]
    return advance(known, seen).workflow


def deadline(state: State, workflow: str, where: Position) -> datetime | None:
    """When a machine that is at `where` fails, as an orchestrator found by the limits that count
    for it; what `where` says itself until one has looked."""
    with state.read() as transaction:
        rows = transaction.execute(
            "select deadline from workflows where id = ? and state = ? and step = ? and attempt = ?"
            " and since = ?",
            (workflow, where.state, where.step, where.attempt, where.since),
        )
    return rows[0][0] if rows else where.deadline


def standings(
    state: State, *, limit: int = 10_000, after: str = "", of_state: str | None = None
) -> list[Standing]:
    """Where every machine with a workflow is, by MAC; those behind the MAC `after`, and those in
    one state if it is given."""
    which, parameters = (" and state = ?", (of_state,)) if of_state is not None else ("", ())
    with state.read() as transaction:
        rows = transaction.execute(
            f"select {_WORKFLOW}, {_POSITION} from workflows where current and mac > ?{which}"
            " order by mac limit ?",
            (after, *parameters, limit),
        )
    return [Standing(_workflow(row[:7], ()), Position(*row[7:])) for row in rows]


def _workflow(row: Row, facts: Sequence[Fact]) -> Workflow:
    number, mac, began_at, trace, machine, profile, installer = row
    return Workflow(number, mac, began_at, trace, tuple(facts), machine, profile, installer)
