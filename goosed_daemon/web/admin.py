"""The routes of the administration: every operation, over HTTP."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from aiohttp import web

from goosed_daemon.admin import events, operations
from goosed_daemon.admin.models import Query
from goosed_daemon.admin.operation import Context, Operation, arguments
from goosed_daemon.admin_tokens import AdminToken
from goosed_daemon.infra import Infra
from goosed_daemon.web import asked, urls
from goosed_daemon.web.access import Access
from goosed_daemon.web.deps import Deps
from goosed_daemon.web.routes import API, About, Handler, Route

_HEADERS = {"Cache-Control": "no-store"}


class Admin:
    """The handlers."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._access = Access(deps)
        self._one_check = asyncio.Lock()  # of the audit log: it may take minutes

    def routes(self) -> tuple[Route, ...]:
        """A route for each operation."""
        return tuple(
            Route(op.method, op.path, API, self._handler(op), _about(op)) for op in operations.ALL
        )

    def _handler(self, operation: Operation[Any]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            bearer = await self._access.bearer(request, operation.role)
            query = asked.query(request, operation.query or Query)
            body = None
            if operation.body is not None:
                body = await asked.posted(request, operation.body)
            given = arguments(query if operation.query else None, body, dict(request.match_info))
            alone: AbstractAsyncContextManager[Any] = (
                self._one_check if operation is events.VERIFY else nullcontext()
            )
            of = self._context(request, bearer)
            async with alone:
                answer = await self._deps.in_admin(operation.run, of, **given)
            return web.Response(
                status=operation.status,
                body=answer.model_dump_json().encode() + b"\n",
                content_type="application/json",
                headers=_HEADERS,
            )

        return handle

    def _context(self, request: web.Request, bearer: AdminToken) -> Context:
        deps = self._deps
        return Context(
            state=deps.state,
            settings=deps.settings,
            infra=self._infra,
            tokens=lambda: deps.tokens,
            agents=lambda: deps.agents,
            catalog=lambda: deps.catalog,
            now=deps.clock(),
            actor=f"api:{bearer.name}",
            asked_at=urls.bases(deps, request, None).main,
        )

    def _infra(self) -> Infra | None:
        profiles = self._deps.profiles
        if not profiles.folder.is_dir():
            return None
        return profiles.current()


def _about(operation: Operation[Any]) -> About:
    return About(
        operation.summary,
        {operation.status: operation.answer},
        operation.query,
        operation.body,
        operation.role,
        operation.refusals,
    )
