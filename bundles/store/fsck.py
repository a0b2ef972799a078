"""Checking a store: every blob is hashed again, and what the refs reach must be there.

The refs are read after the blobs, under the store's lock where it is free, so that an import or a
clean-up meanwhile makes no false finding. Memory: about 300 bytes for each blob, none for content
beyond two chunks.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format.repair_request import RepairRequest, Wanted, wanted
from bundles.progress import Progress
from bundles.store.errors import BadRefs, BlobMissing, StoreBusy, StoreError
from bundles.store.protocol import BundleRef, Leftover, Maintenance, Refs, Store, StoredBlob
from bundles.store.reach import Reference, reach, refuse

_CHUNK = 1024 * 1024  # bytes
_AHEAD = 64  # blobs handed to the threads at once
_THREADS = 2


@dataclass(slots=True)
class Fault:
    """A blob that is not what its digest says, or not here."""

    digest: str
    what: str  # "damaged", "missing" or "unreadable"
    found: int | None  # bytes that are here; None where there are none
    why: str  # in words
    uses: list[Reference] = field(default_factory=list)
    moved: str | None = None  # where it was put aside

    @property
    def size(self) -> int | None:
        """Bytes that it should have, where something that uses it says so."""
        return next((use.size for use in self.uses if use.size is not None), None)

    @property
    def hides_others(self) -> bool:
        """Whether it is a document, so that the uses of what it names are not known."""
        return any(use.is_document for use in self.uses)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found."""

    refs: Refs  # that the blobs were compared with
    blobs: int  # that were hashed
    bytes: int
    faults: tuple[Fault, ...]
    bad_refs: BadRefs | None  # why `refs` are only those before the last switch
    unused_blobs: int  # that are whole, and no imported bundle uses them
    unused_bytes: int
    leftovers: tuple[Leftover, ...]
    busy: StoreBusy | None  # why nothing could be put aside


def requests(checked: Checked, site: str | None) -> list[RepairRequest]:
    """What to ask the builder for: one request for each version that lacks something.

    A blob that several versions use is asked for once, of the current or else the newest of them.
    """
    order = sorted(checked.refs.bundles, key=lambda ref: (ref.current, ref.sequence), reverse=True)
    rank = {(ref.name, ref.version): number for number, ref in enumerate(order)}
    asked: dict[int, list[Reference]] = {}
    for fault in checked.faults:
        if fault.uses:
            use = min(fault.uses, key=lambda use: rank[use.bundle, use.version])
            asked.setdefault(rank[use.bundle, use.version], []).append(use)
    return [
        RepairRequest(
            name=order[number].name,
            version=order[number].version,
            root=order[number].root,
            documents=_wanted(use for use in uses if use.is_document),
            layers=_wanted(use for use in uses if use.kind == "file"),
            site=site,
        )
        for number, uses in sorted(asked.items())
    ]


def _wanted(uses: Iterable[Reference]) -> tuple[Wanted, ...]:
    return wanted((use.digest, use.size) for use in uses if use.size is not None)


def check(store: Store, progress: Progress) -> Checked:
    """Checks `store` and puts damaged blobs aside; see `Checked`. Raises `StoreError`."""
    listed = list(store.blobs())
    refs, bad_refs = _refs(store)
    if not (listed or refs.bundles or bad_refs):
        return Checked(refs, 0, 0, (), None, 0, 0, (), None)  # no store yet, and none is made
    progress.start("checking", sum(blob.size for blob in listed))
    here: dict[bytes, int] = {}
    faults: dict[bytes, Fault] = {}
    for blob, fault in _hashed(store, listed):
        if fault is None:
            here[_key(blob.digest)] = blob.size
        elif fault.what != "missing":  # else a clean-up was faster
            faults[_key(blob.digest)] = fault
        progress.advance(blob.size, blob.digest)
    progress.finish()
    with ExitStack() as stack:
        busy, held = None, None
        try:
            held = stack.enter_context(store.maintain())
        except StoreBusy as error:
            busy = error
        refs, bad_refs = _refs(store)
        used = _compare(store, refs, here, faults)
        leftovers: tuple[Leftover, ...] = ()
        if held is not None:
            _put_aside(store, held, faults)
            leftovers = tuple(held.leftovers())
    unused = [size for key, size in here.items() if key not in used]
    return Checked(
        refs=refs,
        blobs=len(listed),
        bytes=sum(blob.size for blob in listed),
        faults=tuple(faults.values()),
        bad_refs=bad_refs,
        unused_blobs=len(unused),
        unused_bytes=sum(unused),
        leftovers=leftovers,
        busy=busy,
    )


def require_whole(store: Store, ref: BundleRef) -> None:
    """Makes sure that every blob of a version is here in its size; none is hashed.

    Raises `BlobMissing` or `DamagedStore`.
    """
    sizes = {_key(blob.digest): blob.size for blob in store.blobs()}
    for use in reach(ref, store.read, refuse):
        size = sizes.get(_key(use.digest))
        if size is None or use.size not in (None, size):
            raise BlobMissing(
                f"{use.bundle} {use.version} is not whole: blob {use.digest}"
                f" ({use.kind} {use.path}) is {'missing' if size is None else 'damaged'}",
                hint="run `goosectl store fsck`: it tells what is damaged and how to get it again",
                digest=use.digest,
            )


def _key(digest: str) -> bytes:
    """A digest in 32 bytes, for there may be many."""
    return bytes.fromhex(digests.hex_of(digest))


def _hashed(store: Store, blobs: Iterable[StoredBlob]) -> Iterator[tuple[StoredBlob, Fault | None]]:
    """Every blob with what is wrong with it, hashed on two threads."""
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[tuple[StoredBlob, Future[Fault | None]]] = deque()
        try:
            for blob in blobs:
                waiting.append((blob, pool.submit(examine, store, blob.digest)))
                if len(waiting) > _AHEAD:
                    first, work = waiting.popleft()
                    yield first, work.result()
            for first, work in waiting:
                yield first, work.result()
        finally:
            pool.shutdown(cancel_futures=True)


def examine(store: Store, digest: str) -> Fault | None:
    """What is wrong with one blob, or None."""
    hashed, size = hashlib.sha256(), 0
    try:
        with store.open(digest) as file:
            while chunk := file.read(_CHUNK):
                hashed.update(chunk)
                size += len(chunk)
    except BlobMissing as error:
        return Fault(digest, "missing", None, error.message)
    except (OSError, StoreError) as error:
        return Fault(digest, "unreadable", size, f"cannot be read after {size} bytes: {error}")
    found = digests.PREFIX + hashed.hexdigest()
    if found != digest:
        return Fault(digest, "damaged", size, f"its {size} bytes hash to {found}")
    return None


def _refs(store: Store) -> tuple[Refs, BadRefs | None]:
    try:
        return store.refs(), None
    except BadRefs as error:
        try:
            return store.previous_refs(), error
        except BadRefs:
            return Refs(), error


def _compare(
    store: Store, refs: Refs, here: dict[bytes, int], faults: dict[bytes, Fault]
) -> set[bytes]:
    """Adds to `faults` what the refs reach and is not here, and who uses it; the blobs in use."""
    used: set[bytes] = set()
    for ref in refs.bundles:
        for use in reach(ref, store.read, _left_out):
            key = _key(use.digest)
            used.add(key)
            if key not in here and key not in faults:
                # Imported after the blobs were listed, or missing.
                fault = examine(store, use.digest)
                if fault is None:
                    here[key] = store.size(use.digest)
                else:
                    faults[key] = fault
            if key in faults:
                faults[key].uses.append(use)
    return used


def _left_out(what: Reference, error: GooseError) -> None:
    """A document that cannot be read is itself among the faults."""


def _put_aside(store: Store, held: Maintenance, faults: dict[bytes, Fault]) -> None:
    """Moves what is damaged out of the way of what will heal it."""
    for key, fault in list(faults.items()):
        if fault.what == "missing":
            continue
        now = examine(store, fault.digest)
        if now is None:  # an import was faster
            del faults[key]
            continue
        try:
            fault.moved = held.quarantine(fault.digest)
        except StoreError as error:
            fault.why += f"; it could not be put aside: {error.message}"
