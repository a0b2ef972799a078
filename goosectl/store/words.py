"""What the commands that keep a store say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bundles.store.errors import StoreError
from goosectl import sizes

if TYPE_CHECKING:
    from bundles.store.fsck import Checked, Fault
    from bundles.store.gc import Cleanup
    from bundles.store.protocol import Leftover
    from bundles.store.reach import Reference

_USES = 20  # lines at most about who uses one blob


class StoreDamaged(StoreError):
    """A check found blobs damaged or missing, or refs that cannot be read."""

    code = "store-damaged"
    default_hint = (
        "import the volumes again; or run `goosectl store fsck --request FILE`, send the file to"
        " the builder, who answers with a small bundle: `goosectl bundle repair FILE`"
    )


def faults(checked: Checked) -> Iterator[str]:
    """Every fault with what it hits, line by line."""
    if checked.bad_refs is not None:
        yield f"unreadable  {checked.bad_refs.message}"
        yield "  what follows is measured by the refs before the last switch"
    unused = "no imported bundle uses it"
    if any(fault.hides_others for fault in checked.faults):
        unused = "what uses it cannot be told while a manifest is damaged"
    for fault in checked.faults:
        yield f"{fault.what}  {fault.digest}: {fault.why}{_should(fault)}"
        for use in fault.uses[:_USES]:
            yield f"  {_use(use)}"
        if len(fault.uses) > _USES:
            yield f"  and {len(fault.uses) - _USES} more"
        if not fault.uses:
            yield f"  {unused}"
        if fault.moved:
            yield f"  put aside as {fault.moved}"
    if checked.busy is not None and any(fault.what != "missing" for fault in checked.faults):
        yield f"nothing was put aside: {checked.busy.message}; run it again later"


def damaged(checked: Checked, written: Sequence[Path]) -> StoreDamaged:
    """The error that ends a check which found something."""
    refs, found = checked.bad_refs, len(checked.faults)
    blobs = sizes.amount(checked.blobs, "blob")
    verb = "is" if found == 1 else "are"
    parts = [f"{found} of {blobs} {verb} damaged or missing"] if found else []
    parts += [refs.message] if refs else []
    hint = None
    if refs is not None:
        hint = refs.hint
    elif not any(fault.uses for fault in checked.faults):
        hint = "no imported bundle uses them: nothing is lost"
    elif written:
        files = ", ".join(map(str, written))
        hint = (
            f"send {files} to the builder, who answers with a small bundle"
            f" (goosectl bundle repair {written[0]}); or import the volumes again"
        )
        if any(fault.hides_others for fault in checked.faults):
            hint += "; then check again: files are known when their manifest is"
    return StoreDamaged(
        "; ".join(parts), hint=hint, requests=[str(path) for path in written], **report(checked)
    )


def report(checked: Checked) -> dict[str, object]:
    """What scripts are told by `fsck`."""
    return {
        "blobs": checked.blobs,
        "bytes": checked.bytes,
        "faults": [
            {
                "digest": fault.digest,
                "fault": fault.what,
                "why": fault.why,
                "bytes": fault.size,
                "found": fault.found,
                "quarantine": fault.moved,
                "uses": [
                    {
                        "bundle": use.bundle,
                        "version": use.version,
                        "kind": use.kind,
                        "path": use.path,
                        "offset": use.offset,
                    }
                    for use in fault.uses
                ],
            }
            for fault in checked.faults
        ],
        "refs": "current" if checked.bad_refs is None else "previous",
        "unused_blobs": checked.unused_blobs,
        "unused_bytes": checked.unused_bytes,
        "unfinished": [_leftover(left) for left in checked.leftovers],
    }


def whole(checked: Checked) -> Iterator[str]:
    """What people are told when nothing is wrong."""
    yield f"{sizes.amount(checked.blobs, 'blob')}, {sizes.text(checked.bytes)}: whole"
    yield f"{sizes.amount(len(checked.refs.bundles), 'bundle version')}: complete"
    if checked.unused_blobs:
        size = sizes.text(checked.unused_bytes)
        blobs = sizes.amount(checked.unused_blobs, "blob")
        verb = "is" if checked.unused_blobs == 1 else "are"
        yield f"{blobs} ({size}) {verb} in no imported bundle: see `store gc`"
    for left in checked.leftovers:
        yield f"an import of {left.root} was never completed (last on {_day(left.modified)})"


def cleanup(cleanup: Cleanup, now: datetime) -> Iterator[str]:
    """What a clean-up would do, line by line."""
    for ref in cleanup.dropped:
        yield f"drop   {ref.name} {ref.version}, imported {ref.imported}"
    for left in cleanup.discarded:
        yield f"drop   {_unfinished(left, now)}"
    for left in cleanup.waiting:
        yield f"keep   {_unfinished(left, now)}"
    if cleanup.blobs:
        size = sizes.text(sum(blob.size for blob in cleanup.blobs))
        yield f"remove {sizes.amount(len(cleanup.blobs), 'blob')}, {size}"


def cleaned(cleanup: Cleanup) -> dict[str, object]:
    """What scripts are told by `gc`."""
    return {
        "blobs": len(cleanup.blobs),
        "bytes": cleanup.bytes,
        "dropped": [{"bundle": ref.name, "version": ref.version} for ref in cleanup.dropped],
        "discarded": [_leftover(left) for left in cleanup.discarded],
        "unfinished": [_leftover(left) for left in cleanup.waiting],
    }


def _should(fault: Fault) -> str:
    if fault.found is None or fault.size in (None, fault.found):
        return ""
    return f", and should be {fault.size}"


def _use(use: Reference) -> str:
    where = f"{use.bundle} {use.version}"
    if use.kind != "file":
        return f"{where}: {use.kind}" + (f" of {use.path}" if use.path else "")
    if use.offset:
        return f"{where}: {use.path}, from byte {use.offset}"
    return f"{where}: {use.path}"


def _unfinished(left: Leftover, now: datetime) -> str:
    days = (now - left.modified).days
    age = f"{days} days ago" if days > 1 else f"on {_day(left.modified)}"
    return f"the unfinished import of {left.root}, last continued {age}"


def _leftover(left: Leftover) -> dict[str, object]:
    return {"root": left.root, "bytes": left.size, "modified": left.modified.isoformat()}


def _day(at: datetime) -> str:
    return at.strftime("%Y-%m-%d")
