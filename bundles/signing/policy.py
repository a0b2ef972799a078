"""What a site accepts of a bundle whose signatures are good: its audience, age and sequence.

Each refusal can be overruled by a person, by name; what was overruled is written down with the
refs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bundles.errors import GooseError, UsageError
from bundles.format.statement import Statement, parse_time


class WrongAudience(GooseError):
    """The bundle was made for other sites."""

    code = "wrong-audience"
    default_hint = "ask its builder for a bundle for this site, or pass --allow wrong-audience"


class Expired(GooseError):
    """The bundle's statement has expired."""

    code = "expired"
    default_hint = "ask for a newer bundle, check this host's clock, or pass --allow expired"


class RollbackRefused(GooseError):
    """The site already had a later bundle of this name."""

    code = "rollback-refused"
    default_hint = "to go back on purpose, pass --allow rollback-refused"


_NO_ID = (
    "say which site this is, by the name of the Site in the folder infra (docs/profiles.md),"
    f" or pass --allow {WrongAudience.code}"
)

OVERRIDABLE = (WrongAudience.code, Expired.code, RollbackRefused.code)


def _nameless() -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Policy:
    """A site's side of the decision.

    `site` gives the site's id, None where it has none; it is asked only when a bundle names
    its audience. `sequences` the highest sequence imported
    per bundle name; `allow` the codes of refusals that a person overruled. `held` are the roots
    of the versions that are here: a delta to one of these may be the repair of what the site has
    already, however old.
    """

    now: datetime
    site: Callable[[], str | None] = _nameless
    sequences: dict[str, int] | None = None  # None: rollback is not judged
    allow: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()

    def judge(self, statement: Statement, where: str) -> tuple[str, ...]:
        """The codes that had to be overruled. Raises `WrongAudience`, `Expired` or
        `RollbackRefused`."""
        used = []
        for refusal in self._refusals(statement, where):
            if refusal.code not in self.allow:
                raise refusal
            used.append(refusal.code)
        return tuple(used)

    def _refusals(self, statement: Statement, where: str) -> list[GooseError]:
        name, found = f"{statement.name} {statement.version}", list[GooseError]()
        if statement.audience and (site := self.site()) not in statement.audience:
            sites = ", ".join(statement.audience)
            me = f"this site is {site}" if site else "this site has no id"
            hint = WrongAudience.default_hint if site else _NO_ID
            found.append(WrongAudience(f"{where}: {name} is for {sites}; {me}", hint=hint))
        if statement.base is not None and statement.root in self.held:
            return found
        if statement.expires and parse_time(statement.expires) <= self.now:
            found.append(Expired(f"{where}: {name} expired at {statement.expires}"))
        highest = (self.sequences or {}).get(statement.name, 0)
        if statement.sequence < highest:
            found.append(
                RollbackRefused(
                    f"{where}: {name} has sequence {statement.sequence};"
                    f" this site already had {highest}"
                )
            )
        return found


def check_overrides(codes: list[str]) -> frozenset[str]:
    """`codes` as given by a person. Raises `UsageError` for one that cannot be overruled."""
    for code in codes:
        if code not in OVERRIDABLE:
            raise UsageError(
                f"{code!r} cannot be overruled", hint=f"one of {', '.join(OVERRIDABLE)} can"
            )
    return frozenset(codes)
