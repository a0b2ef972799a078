"""What `goosectl infra diff` says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from bundles.progress import SILENT
from goosectl import operator, output

if TYPE_CHECKING:
    from goosed_daemon.infra import Infra
    from goosed_daemon.infra.difference import Change

_MANY = 1000  # machines; fewer are compared before anyone could read how far it is
_NAMED = 5  # of those that change alike


def show(old: Infra, new: Infra, *, own: bool) -> None:
    """The differences. `own`: the new profiles are the site's, whose state knows what is armed."""
    from goosed_daemon.infra.difference import differences

    out = output.get()
    total = len(old.machines.keys() | new.machines.keys())
    progress = out.progress("machines") if total >= _MANY else SILENT
    progress.start("comparing", total)
    with _armed(own) as armed:
        changes = list(differences(old, new, armed, progress.advance))
    progress.finish()
    counts = {
        what: sum(c.what == what for c in changes) for what in ("changed", "added", "removed")
    }
    same = total - len(changes)
    out.result(
        {**counts, "unchanged": same, "machines": [asdict(change) for change in changes]},
        text="\n".join([*_told(changes), _summary(counts, same)]),
    )


@contextmanager
def _armed(own: bool) -> Iterator[Callable[[str], bool]]:
    if not own:
        yield lambda mac: False
        return
    from goosed_daemon import machines

    with operator.state_if_any(migrated=False) as state:
        if state is None:
            yield lambda mac: False
            return

        def armed(mac: str) -> bool:
            known = machines.show(state, mac)
            return known is not None and known.armed

        yield armed


def _told(changes: list[Change]) -> Iterator[str]:
    """Each change, those that are alike together."""
    alike: dict[object, list[Change]] = {}
    for change in changes:
        essence = tuple((one.name, one.essence) for one in change.documents)
        alike.setdefault((change.what, essence, change.effects), []).append(change)
    for group in alike.values():
        first, names = group[0], [change.machine for change in group]
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        yield f"{first.what}: {', '.join(names[:_NAMED])}{more}"
        yield from (f"  {effect}" for effect in first.effects)
        for one in first.documents:
            yield f"--- old {one.name} of {first.machine}"
            yield f"+++ new {one.name} of {first.machine}"
            yield one.diff
        yield ""


def _summary(counts: dict[str, int], same: int) -> str:
    words = [f"{number:,} {what}" for what, number in counts.items() if number]
    return f"{', '.join(words) or 'nothing changes'}; {same:,} stay as they are"
