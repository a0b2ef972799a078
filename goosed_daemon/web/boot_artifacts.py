"""/v1/artifacts on the boot listener: kernels and ramdisks that profiles name, and nothing else.

What a machine installs from, and whatever else a bundle holds, is served over HTTPS alone.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from aiohttp import web

from goosed_daemon import boot
from goosed_daemon.errors import BootListenerOnly
from goosed_daemon.infra import Infra
from goosed_daemon.web.artifacts import Artifacts
from goosed_daemon.web.current import Current
from goosed_daemon.web.deps import Deps


class BootArtifacts:
    """The handler."""

    def __init__(self, deps: Deps, current: Current, artifacts: Artifacts) -> None:
        self._deps = deps
        self._current = current
        self._artifacts = artifacts
        self._of: Infra | None = None
        self._named: frozenset[tuple[str, str]] = frozenset()

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Answers for one file. Raises `BootListenerOnly` for what firmware has no need of."""
        bundle = request.match_info["bundle"].partition("@")[0]
        path = request.match_info["path"]
        if not self._more(bundle, path) and (bundle, path) not in await self._wanted():
            raise BootListenerOnly(
                "the boot listener gives out the kernels and ramdisks of profiles, not this"
            )
        return await self._artifacts.get(request)

    def _more(self, bundle: str, path: str) -> bool:
        patterns = self._deps.settings.boot_files or ()
        return any(fnmatchcase(f"{bundle}/{path}", pattern) for pattern in patterns)

    async def _wanted(self) -> frozenset[tuple[str, str]]:
        infra = await self._current.infra()
        if infra is not self._of:
            profiles = {id(one): one for one in infra.profiles.values()}
            profiles |= {id(one): one for one in map(infra.profile_of, infra.machines.values())}
            self._named = frozenset(
                (profile.bundle, path)
                for profile in profiles.values()
                for path in boot.boot_files(profile)
            )
            self._of = infra
        return self._named
