"""Runs the orchestrator beside the listeners: its turns, its metrics, and what it publishes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bundles.errors import GooseError
from bundles.files.document import InvalidDocument
from goosed_daemon import install_key, outbox, place_ends, receipts, rollouts
from goosed_daemon.telemetry import (
    INSTALLS_WAITING,
    ORCHESTRATOR_LAG,
    PLACES_TAKEN,
    WORKFLOW_STEP,
    WORKFLOWS,
)
from goosed_daemon.web.deps import Deps
from goosed_daemon.web.routes import ORCHESTRATOR
from goosed_daemon.workflow import rows
from goosed_daemon.workflow.limits import Limits
from goosed_daemon.workflow.orchestrator import Orchestrator, Sink
from goosed_daemon.workflow.transition import Change

log = logging.getLogger("goosed.workflow")

IDLE = 0.25  # seconds between two looks when there was nothing to do
ROLLOUTS_EVERY = 1.0  # seconds between two looks at the rollouts
RECEIPTS_EVERY = 1.0  # seconds between two looks for receipts to sign
_FAULT = 2.0  # seconds before the next look after the state failed
_COUNT_EVERY = 10.0  # seconds between two counts of the machines by state


@asynccontextmanager
async def running(deps: Deps) -> AsyncIterator[None]:
    """Runs an orchestrator within the block. A turn that is under way at its end is finished."""
    nats = deps.settings.nats()
    sinks: tuple[Sink, ...] = (receipts.ready, place_ends.settle)
    if nats is not None:
        sinks = (*sinks, outbox.put)
    tasks = [
        asyncio.create_task(
            _turns(deps, Orchestrator(deps.state, sinks, Limits(deps.profiles.current)))
        ),
        asyncio.create_task(_rollouts(deps)),
        asyncio.create_task(_receipts(deps)),
        asyncio.create_task(_count(deps)),
    ]
    if nats is not None:
        nats.options()  # files that cannot be used are told at the start
        from goosed_daemon.web.publisher import Publisher  # nats-py takes a while to load

        tasks.append(asyncio.create_task(Publisher(deps, nats, lambda: _site(deps)).run()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _turns(deps: Deps, orchestrator: Orchestrator) -> None:
    failing = False
    while True:
        try:
            turn = await deps.in_state(orchestrator.turn, deps.clock())
        except GooseError as error:
            if not failing:
                log.error("no turn: %s", error.message, extra={"fields": {"code": error.code}})
            failing = True
            await asyncio.sleep(_FAULT)
            continue
        failing = False
        deps.telemetry.set(ORCHESTRATOR_LAG, turn.lag)
        for change in turn.changes:
            _tell(deps, change)
        if not turn.changes:
            await asyncio.sleep(IDLE)


def _tell(deps: Deps, change: Change) -> None:
    trace = change.workflow.trace if deps.otlp is not None else None
    for step in change.left:
        deps.telemetry.observe(WORKFLOW_STEP, step.seconds, step.step, step.outcome, trace=trace)
    if deps.otlp is not None:
        deps.otlp.change(ORCHESTRATOR, change)
    if not change.moved:
        return
    where, workflow = change.position, change.workflow
    fields = {
        "mac": workflow.mac,
        "machine": workflow.machine,
        "state": where.state,
        "step": where.step,
        "attempt": where.attempt,
        "trace_id": workflow.trace,
    }
    if where.reason:
        fields |= {"reason": where.reason, "why": where.words}
    level = logging.WARNING if where.state == "failed" else logging.INFO
    log.log(level, "machine moved", extra={"fields": fields})


async def _rollouts(deps: Deps) -> None:
    while True:
        try:
            await deps.in_state(rollouts.turn, deps.state, deps.clock())
        except GooseError as error:
            fields = {"code": error.code}
            log.error("rollouts wait: %s", error.message, extra={"fields": fields})
            await asyncio.sleep(_FAULT)
        await asyncio.sleep(ROLLOUTS_EVERY)


async def _receipts(deps: Deps) -> None:
    signer, failing = None, False
    while True:
        try:
            if signer is None:
                signer = await deps.in_store(install_key.load, deps.settings.home.install_key)
            signed = await deps.in_state(
                receipts.turn, deps.state, deps.tokens.made, signer, deps.clock()
            )
            failing = False
            if signed:
                log.info("receipts signed", extra={"fields": {"receipts": signed}})
        except GooseError as error:
            # They wait in the state until there is a key, or the state is back.
            if not failing:
                log.error(
                    "receipts wait: %s", error.message, extra={"fields": {"code": error.code}}
                )
            failing = True
            await asyncio.sleep(_FAULT)
        await asyncio.sleep(RECEIPTS_EVERY)


async def _count(deps: Deps) -> None:
    while True:
        with suppress(GooseError):
            for state, number in (await deps.in_state(rows.count, deps.state)).items():
                deps.telemetry.set(WORKFLOWS, number, state)
            taken, waiting = await deps.in_state(place_ends.tidy, deps.state, deps.clock())
            deps.telemetry.set(PLACES_TAKEN, taken)
            deps.telemetry.set(INSTALLS_WAITING, waiting)
        await asyncio.sleep(_COUNT_EVERY)


async def _site(deps: Deps) -> str | None:
    """The site's name; None until there were profiles that are valid."""
    try:
        return (await deps.in_store(deps.profiles.current)).site.name
    except InvalidDocument:
        return None
