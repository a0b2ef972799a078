"""How often an address may ask, and a machine from there; and from where machines may boot.

Both tables are bounded: whoever asks from very many addresses has the oldest of them forgotten, and
gains no more than a fresh start for each.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

from aiohttp import web

from goosed_daemon.errors import NotABootNetwork, TooManyRequests
from goosed_daemon.infra.mac import BadMac, normalise
from goosed_daemon.setting_forms import Network, Rate
from goosed_daemon.settings import Settings

MOST = 20_000  # addresses, and machines, remembered

# Content is asked for thousands of times in one install, and monitoring asks for ever.
UNLIMITED = frozenset(
    {
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/artifacts/{bundle}/{path}",
        "/v2/",
        "/v2/{name}/manifests/{reference}",
        "/v2/{name}/blobs/{digest}",
        "/v2/{name}/tags/list",
    },
)
# Where machines ask before they are installed.
OF_BOOTING = (
    "/boot.",
    "/v1/boot/",
    "/v1/render/",
    "/v1/artifacts/",
    "/v2/",
    "/v1/machines/{mac}/progress",
)


class Buckets:
    """A token bucket for each key: `rate.count` at once, and as many again in each `rate.span`."""

    def __init__(
        self, rate: Rate, clock: Callable[[], float] = time.monotonic, most: int = MOST
    ) -> None:
        self._span = rate.span.total_seconds()
        self._each = self._span / rate.count
        self._clock = clock
        self._most = most
        # When the bucket is full again: all there is to remember (GCRA, ITU-T I.371, annex A).
        self._full: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full)

    def take(self, key: str) -> float:
        """Takes one; 0 when there was one, or else the seconds until there is."""
        now = self._clock()
        full, wait = self._after_one(key, now)
        if wait:
            return wait
        self._full[key] = full
        self._full.move_to_end(key)
        if len(self._full) > self._most:
            self._full.popitem(last=False)
        return 0.0

    def wait(self, key: str) -> float:
        """The seconds until `take` would find one; takes none."""
        return self._after_one(key, self._clock())[1]

    def _after_one(self, key: str, now: float) -> tuple[float, float]:
        """When the bucket would be full after one more, and for how long there is none to take."""
        full = max(self._full.get(key, now), now) + self._each
        short = full - now - self._span
        return full, short if short > 1e-9 else 0.0


class Limits:
    """The limits of `settings`. The event loop owns it."""

    def __init__(self, settings: Settings) -> None:
        self._networks = settings.boot_networks or ()
        self._addresses = Buckets(settings.rate_address) if settings.rate_address else None
        self._machines = Buckets(settings.rate_machine) if settings.rate_machine else None

    def check(self, request: web.Request, route: str) -> None:
        """Raises `NotABootNetwork` or `TooManyRequests`."""
        where = request.remote or ""
        if self._networks and route.startswith(OF_BOOTING) and not within(where, self._networks):
            raise NotABootNetwork(f"{where} is in none of the networks that machines boot from")
        if route in UNLIMITED:
            return
        key = bucket_of(where)
        if self._addresses is not None and (wait := self._addresses.take(key)):
            raise TooManyRequests(
                "too many requests came from this address", retry_after=ceil(wait)
            )
        mac = request.match_info.get("mac") or request.query.get("mac")
        if self._machines is None or not mac:
            return
        try:
            machine = normalise(mac)
        except BadMac:
            return  # the route says so
        # By address too: whoever tells another machine's MAC uses up nothing of its.
        if wait := self._machines.take(f"{key} {machine}"):
            raise TooManyRequests("too many requests were for this machine", retry_after=ceil(wait))


def bucket_of(where: str) -> str:
    """What stands for an address: an IPv6 host has a /64 of them."""
    try:
        known = ip_address(where)
    except ValueError:
        return where
    if isinstance(known, IPv6Address):
        if known.ipv4_mapped is not None:
            return str(known.ipv4_mapped)
        return str(ip_network((known.packed[:8] + bytes(8), 64)))
    return str(known)


def within(where: str, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of `networks`."""
    try:
        known = ip_address(where)
    except ValueError:
        return False
    if isinstance(known, IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped
    return any(known in network for network in networks if network.version == known.version)


def client(request: web.Request, proxies: tuple[Network, ...]) -> str:
    """The address that asks: the peer's, or where that is a trusted proxy the last one in
    X-Forwarded-For that is none; what stands further left anybody could have written there."""
    where = request.remote or ""
    told = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    while within(where, proxies) and told:
        try:
            where = str(ip_address(told.pop().strip()))
        except ValueError:
            break
    return where
