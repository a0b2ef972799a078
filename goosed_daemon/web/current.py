"""The profiles, for the event loop: at most one look at the files is under way at a time."""

from __future__ import annotations

import asyncio
import logging
import time

from bundles.files.document import InvalidDocument
from goosed_daemon import boot
from goosed_daemon.errors import ProfileInvalid
from goosed_daemon.infra import Infra
from goosed_daemon.telemetry import PROFILES_VALID
from goosed_daemon.web.deps import Deps

log = logging.getLogger("goosed.profiles")

LOOK_EVERY = 1.0  # seconds between two looks at the files


class Current:
    """The profiles as they are now, or why they cannot be used.

    A mistake stops the machines that it concerns: whoever edits a profile wants the edit, and a
    machine is better left alone than erased by what stood there before. The others go on.
    """

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._found: Infra | ProfileInvalid = ProfileInvalid("the profiles were not read yet")
        self._valid = False
        self._until = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def infra(self) -> Infra:
        """The profiles. Raises `ProfileInvalid`."""
        if time.monotonic() >= self._until:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            await asyncio.shield(self._looking)
        if isinstance(self._found, Infra):
            return self._found
        raise self._found.with_traceback(None)

    async def _look(self) -> None:
        before = self._found
        try:
            self._found = await self._deps.in_store(self._deps.profiles.current)
        except InvalidDocument as error:
            self._found = boot.invalid_profiles(error)
        valid = isinstance(self._found, Infra) and self._found.error is None
        if before is not self._found and (self._until == 0 or valid != self._valid):
            self._deps.telemetry.set(PROFILES_VALID, valid)
            level = logging.INFO if valid else logging.ERROR
            log.log(level, "infra profiles", extra={"fields": {"valid": valid}})
        self._valid = valid
        self._until = time.monotonic() + LOOK_EVERY
