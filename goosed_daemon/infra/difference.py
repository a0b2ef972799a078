"""What a change of the profiles would do: whose documents would differ, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import unified_diff
from itertools import count

from bundles.errors import GooseError
from goosed_daemon.infra import secrets
from goosed_daemon.infra.known import Infra
from goosed_daemon.infra.models import Machine, SecretRef
from goosed_daemon.infra.secret_text import SecretText
from goosed_daemon.infra.validate import placeholder, rendered
from goosed_daemon.render import ipxe


@dataclass(frozen=True, slots=True)
class Differing:
    """A document of a machine that would not stay as it is."""

    name: str  # boot script, kickstart, preseed
    diff: str  # unified, secrets hidden; without its head

    @property
    def essence(self) -> tuple[str, ...]:
        """The lines that come and go: the same for machines that change alike."""
        return tuple(line for line in self.diff.splitlines() if line[:1] in "+-")


@dataclass(frozen=True, slots=True)
class Change:
    """What would become of one machine."""

    machine: str
    what: str  # added, removed or changed
    documents: tuple[Differing, ...]
    effects: tuple[str, ...]  # what it means for arming and installing, in words


def differences(
    old: Infra,
    new: Infra,
    armed: Callable[[str], bool] = lambda mac: False,
    done: Callable[[int], None] = lambda count: None,
) -> Iterator[Change]:
    """All machines that `new` would change, by name. `armed` tells of a machine's first MAC whether
    it is armed now; `done` is told of every machine that was looked at."""
    show = _labels()
    for name in sorted(old.machines.keys() | new.machines.keys()):
        before, after = old.machines.get(name), new.machines.get(name)
        change = None
        if before is None:
            change = Change(name, "added", (), ("it is not installed until it is armed",))
        elif after is None:
            change = Change(name, "removed", (), _removal(before, armed))
        elif not _same(old, before, new, after):
            documents = tuple(_documents(_all(old, before, show), _all(new, after, show)))
            effects = _effects(before, after, bool(documents), armed)
            if documents or effects:
                change = Change(name, "changed", documents, effects)
        if change is not None:
            yield change
        done(1)


def _labels() -> Callable[[SecretText | SecretRef], str]:
    """Words for secrets that tell one that is written out from another, and neither what it is."""
    known: dict[str, str] = {}
    numbers = count(1)

    def show(secret: SecretText | SecretRef) -> str:
        if isinstance(secret, SecretRef):
            return secrets.words(secret)
        if secret not in known:
            known[secret] = f"(not shown, no. {next(numbers)})"
        return known[secret]

    return show


def _same(old: Infra, before: Machine, new: Infra, after: Machine) -> bool:
    """Whether nothing that a document is made of differs."""
    return (
        before == after
        and old.profile_of(before) == new.profile_of(after)
        and old.site_of(before) == new.site_of(after)
    )


def _all(infra: Infra, machine: Machine, show: Callable[..., str]) -> dict[str, str]:
    """Every document of a machine, or in its place why there is none."""
    boot = secrets.hidden(placeholder(infra, machine), show)
    made = {}
    for name, render in (("boot script", ipxe.install), (boot.profile.installer, rendered)):
        try:
            made[name] = render(boot)
        except GooseError as error:
            made[name] = f"not rendered: {error.message}\n"
    return made


def _documents(before: dict[str, str], after: dict[str, str]) -> Iterator[Differing]:
    for name in dict.fromkeys((*before, *after)):
        was, becomes = before.get(name, ""), after.get(name, "")
        lines = unified_diff(was.splitlines(), becomes.splitlines(), lineterm="", n=2)
        if text := "\n".join(list(lines)[2:]):
            yield Differing(name, text)


def _removal(machine: Machine, armed: Callable[[str], bool]) -> tuple[str, ...]:
    rest = ("it is armed, which is of no use any more: disarm it",) if armed(machine.mac[0]) else ()
    return ("it boots its own disk: no document knows it", *rest)


def _effects(
    before: Machine, after: Machine, differs: bool, armed: Callable[[str], bool]
) -> tuple[str, ...]:
    found = []
    if before.mac[0] != after.mac[0]:
        found.append(f"what is known of it stays with {before.mac[0]}: it is not armed any more")
    if differs and armed(after.mac[0]):
        found.append("it is armed: its next install is the new one")
    elif differs:
        found.append("once installed it stays as it is until it is armed again")
    return tuple(found)
