"""The refs of an S3 store: its index.json, switched by one conditional write."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from bundles.format import layout
from bundles.store import refs
from bundles.store.errors import BadRefs, StoreBusy, StoreError, StoreFull
from bundles.store.protocol import Refs
from bundles.store.s3.wire import Precondition, Wire

KEY = "index.json"
PREVIOUS = "index.json.previous"
LAYOUT = "oci-layout"
_RACES = 10
_FRESH = 1.0  # seconds


class Index:
    """Reads and switches the refs."""

    def __init__(self, wire: Wire, clock: Callable[[], float] = time.monotonic) -> None:
        self._wire, self._clock = wire, clock
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._token: str | StoreError | None = None

    def read(self) -> Refs:
        """The refs as they are now. Raises `BadRefs`."""
        return self._read()[0]

    def previous(self) -> Refs:
        """The refs before the last switch. Raises `BadRefs`."""
        found = self._wire.get(PREVIOUS)
        return refs.decode(found.data, self._where(PREVIOUS)) if found else Refs()

    def settle(self) -> None:
        """Makes the previous refs those of now."""
        now = self._read()
        try:
            if self.previous() == now[0]:
                return
        except BadRefs:
            pass
        try:
            self._wire.put(PREVIOUS, now[2])
        except StoreFull:  # and what is removed next is to make room
            self._wire.delete(PREVIOUS)

    def token(self) -> str | None:
        """The ETag of the refs. It may be a second old, so that a server of many small files does
        not ask for it each time; and while the service is down, one waits for it and not all."""
        with self._lock:
            if self._clock() - self._asked >= _FRESH:
                try:
                    found = self._wire.head(KEY)
                    self._token = None if found is None else found.etag
                except StoreError as error:
                    self._token = error
                self._asked = self._clock()
            if isinstance(self._token, StoreError):
                raise self._token
            return self._token

    def begin(self) -> None:
        """Makes the bucket an OCI image layout, if it is none yet."""
        if self._wire.head(LAYOUT) is None:
            # The refs first: a layout without them is a store that lost them.
            with suppress(Precondition):
                self._wire.put(KEY, refs.encode(Refs()), {"If-None-Match": "*"})
            self._wire.put(LAYOUT, layout.OCI_LAYOUT)

    def switch(self, change: Callable[[Refs], Refs]) -> Refs:
        """Replaces the refs by what `change` makes of them; again, when another was faster."""
        for _ in range(_RACES):
            old, etag, data = self._read()
            new = change(old)
            if new == old:
                return new
            condition = {"If-Match": etag} if etag else {"If-None-Match": "*"}
            self._wire.put(PREVIOUS, data)
            try:
                self._wire.put(KEY, refs.encode(new), condition)
            except Precondition:
                if self._read()[2] == refs.encode(new):
                    return new  # it was done, and the answer to it lost
                continue
            return new
        raise StoreBusy(f"{self._wire.address}: others keep changing the refs")

    def _read(self) -> tuple[Refs, str, bytes]:
        found = self._wire.get(KEY)
        if found is None:
            if self._wire.head(LAYOUT) is None:
                return Refs(), "", refs.encode(Refs())
            found = self._wire.get(KEY)  # a first import makes them in this order, maybe just now
        if found is None:
            # Never taken for a new store: the sequences that stop a rollback would be lost.
            raise BadRefs(f"{self._where(KEY)} is missing from a store that has content")
        return refs.decode(found.data, self._where(KEY)), found.etag, found.data

    def _where(self, key: str) -> str:
        return f"{self._wire.address}/{key}"
