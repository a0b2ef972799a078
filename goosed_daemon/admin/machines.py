"""Operations on machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bundles.errors import GooseError
from bundles.files.document import InvalidDocument
from bundles.site.catalog import Catalog
from goosed_daemon import agent_rows, audit, boot, forget, machines, simulate, token_rows
from goosed_daemon.admin import cursor
from goosed_daemon.admin.agents import shown as shown_agent
from goosed_daemon.admin.events import event
from goosed_daemon.admin.models import (
    Arming,
    ArmOrder,
    ForgetQuery,
    Forgotten,
    LastToken,
    Machine,
    MachineDetail,
    MachinePage,
    MachineQuery,
    ShowQuery,
    Why,
    WhyQuery,
)
from goosed_daemon.admin.naming import Named, if_good, resolve
from goosed_daemon.admin.operation import Context, Operation
from goosed_daemon.admin_tokens import Role
from goosed_daemon.agent_rows import Agent
from goosed_daemon.errors import (
    DaemonError,
    MachineNotArmed,
    MachineUnknown,
    MachineWaits,
    ProfileInvalid,
    TriesExhausted,
)
from goosed_daemon.infra import Infra, load_good
from goosed_daemon.infra.models import Machine as Profile
from goosed_daemon.infra.models import OSProfile
from goosed_daemon.token_rows import Token

_FIRST = (0, "")  # before every machine's place in a list


@dataclass
class _Outlook:
    """What machines would get, as far as state, profiles and store tell: `why` asks further."""

    infra: Infra | None
    catalog: Catalog
    armings: dict[str, machines.Arming]
    waiting: dict[str, Token]
    held_back: Callable[[str], bool]
    agents: dict[str, Agent]
    now: datetime
    _content: dict[object, str] = field(default_factory=dict)  # a reason code, or none

    def of(self, mac: str, profile: Profile | None) -> str:
        """`install`, or the code of the reason against it, in the order in which the daemon asks
        (`goosed_daemon.simulate`)."""
        if self.infra is None:
            return ProfileInvalid.code
        if self.infra.stop(mac=mac) is not None:
            return ProfileInvalid.code
        if profile is None:
            return MachineUnknown.code
        if code := self._content_of(self.infra.profile_of(profile)):
            return code
        arming = self.armings.get(mac)
        if mac not in self.waiting:
            if arming is None or not arming.armed:
                return MachineNotArmed.code
            if not arming.tries_left:
                return TriesExhausted.code
        return MachineWaits.code if self.held_back(mac) else simulate.INSTALL

    def _content_of(self, profile: OSProfile) -> str:
        """Why `boot.check_content` is against it; asked once for all that need the same."""
        image = profile.windows.image.path if profile.windows is not None else ""
        needed = (profile.bundle, boot.boot_files(profile), profile.repo, image)
        if needed not in self._content:
            self._content[needed] = ""
            try:
                boot.check_content(self.catalog, profile)
            except GooseError as error:
                self._content[needed] = error.code
        return self._content[needed]


def _list(of: Context, query: MachineQuery) -> MachinePage:
    infra, remarks = if_good(of.infra, "machines are listed by MAC alone")
    outlook = _Outlook(
        infra,
        of.catalog(),
        {arming.mac: arming for arming in machines.known(of.state)},
        token_rows.waiting(of.state, of.now),
        of.places().held_back(of.now),
        {agent.mac: agent for agent in agent_rows.known(of.state)},
        of.now,
    )
    described = {m.mac[0]: m for m in infra.machines.values()} if infra is not None else {}
    after = cursor.decode(query.cursor, int, str) or _FIRST
    places = sorted(
        (_place(mac, described.get(mac)), mac)
        for mac in {**described, **outlook.armings, **outlook.waiting, **outlook.agents}
    )
    found: list[Machine] = []
    following = None
    for place, mac in places:
        if place <= after:
            continue
        profile = described.get(mac)
        if not _fits(query, profile, outlook.armings.get(mac)):
            continue
        row = _row(mac, profile, outlook)
        if query.outcome not in (None, row.outcome):
            continue
        if len(found) == query.limit:
            following = cursor.encode(*_place(found[-1].mac, described.get(found[-1].mac)))
            break
        found.append(row)
    return MachinePage(items=found, next=following, remarks=list(remarks))


def _place(mac: str, profile: Profile | None) -> tuple[int, str]:
    return (0, profile.name) if profile is not None else (1, mac)


def _fits(query: MachineQuery, profile: Profile | None, arming: machines.Arming | None) -> bool:
    if query.armed is not None and query.armed != (arming is not None and arming.armed):
        return False
    if query.profile is not None and (profile is None or profile.profile != query.profile):
        return False
    if query.label is not None:
        key, _, value = query.label.partition("=")
        return profile is not None and profile.labels.get(key) == value
    return True


def _row(mac: str, profile: Profile | None, outlook: _Outlook) -> Machine:
    arming, token = outlook.armings.get(mac), outlook.waiting.get(mac)
    agent = outlook.agents.get(mac)
    return Machine(
        name=profile.name if profile is not None else None,
        mac=mac,
        profile=profile.profile if profile is not None else None,
        armed=arming.armed if arming is not None else False,
        tries_left=arming.tries_left if arming is not None else 0,
        state=arming.reason if arming is not None else None,
        changed_at=arming.changed_at if arming is not None else None,
        token=token.id if token is not None else None,
        token_expires_at=token.expires_at if token is not None else None,
        outcome=outlook.of(mac, profile),
        agent=agent.state(outlook.now) if agent is not None else None,
        seen_at=agent.seen_at if agent is not None else None,
    )


def _show(of: Context, machine: str, query: ShowQuery) -> MachineDetail:
    named = resolve(of.infra, machine, needs_profiles=False)
    infra, _ = if_good(of.infra, "")
    arming = machines.show(of.state, named.mac)
    waiting = token_rows.waiting(of.state, of.now).get(named.mac)
    agent = agent_rows.show(of.state, named.mac)
    outlook = _Outlook(
        infra,
        of.catalog(),
        {named.mac: arming} if arming is not None else {},
        {named.mac: waiting} if waiting is not None else {},
        of.places().held_back(of.now),
        {named.mac: agent} if agent is not None else {},
        of.now,
    )
    profile = infra.machine_by_mac(named.mac) if infra is not None else None
    row = _row(named.mac, profile, outlook)
    found = foresee(of, named.mac)
    newest = token_rows.newest(of.state, named.mac, 1)
    events = audit.events(of.state, mac=named.mac, limit=query.events) if query.events else []
    return MachineDetail(
        **row.model_dump(exclude={"outcome"}),
        outcome=found.outcome,
        why=found.why,
        hint=found.hint or None,
        labels=dict(profile.labels) if profile is not None else {},
        changed_by=arming.changed_by if arming is not None else None,
        agent_detail=shown_agent(named.mac, named.name, agent, None, of) if agent else None,
        last_token=_last_token(newest[0], of) if newest else None,
        events=[event(one) for one in events],
        remarks=list(named.remarks),
    )


def _last_token(token: Token, of: Context) -> LastToken:
    return LastToken(
        id=token.id,
        state=token.state(of.now),
        issued_at=token.issued_at,
        used_at=token.used_at,
        used_by=token.used_by,
    )


def _why(of: Context, machine: str, query: WhyQuery) -> Why:
    named = resolve(of.infra, machine, needs_profiles=False)
    found = foresee(of, named.mac, query.uuid, query.serial)
    return Why(
        mac=named.mac,
        name=named.name,
        outcome=found.outcome,
        why=found.why,
        hint=found.hint or None,
        remarks=list(named.remarks),
    )


def foresee(
    of: Context, mac: str, uuid: str | None = None, serial: str | None = None
) -> simulate.Simulation:
    """What a machine with these identities would get now."""
    infra: Infra | DaemonError = usable(of)
    site = infra.site.url if isinstance(infra, Infra) else None
    base = of.settings.public_url or site or of.asked_at
    if not of.settings.lab and base.startswith("http:"):
        infra = boot.insecure_site(base)
    return simulate.simulate(
        infra, of.catalog(), of.tokens(), of.places(), of.now, base, of.settings, mac, uuid, serial
    )


def usable(of: Context) -> Infra | ProfileInvalid:
    """The profiles, or why nothing is installed from them."""
    try:
        found = of.infra()
        # A folder that is not there has no Site, says the daemon, and so does this.
        return found if found is not None else load_good(of.settings.home.infra)
    except InvalidDocument as error:
        return boot.invalid_profiles(error)


def _arm(of: Context, machine: str, body: ArmOrder) -> Arming:
    named = resolve(of.infra, machine)
    tries = of.settings.arm_tries if body.tries is None else body.tries
    machines.arm(of.state, named.mac, tries, of.now, of.actor)
    return _arming(named, True, tries, undescribed(named))


def undescribed(named: Named) -> tuple[str, ...]:
    """What to say where no profile describes a machine."""
    if named.name is not None:
        return ()
    return (f"no Machine document describes {named.mac} yet: until one does, it boots its disk",)


def _disarm(of: Context, machine: str) -> Arming:
    named = resolve(of.infra, machine, needs_profiles=False)
    before = machines.show(of.state, named.mac)
    machines.disarm(of.state, named.mac, of.now, of.actor)
    never = named.name is None and before is None
    more = (f"{named.mac} was never armed: is it the machine's first MAC?",) if never else ()
    return _arming(named, False, 0, (*named.remarks, *more))


def _arming(named: Named, armed: bool, tries: int, remarks: tuple[str, ...]) -> Arming:
    return Arming(
        mac=named.mac, name=named.name, armed=armed, tries_left=tries, remarks=list(remarks)
    )


def _forget(of: Context, machine: str, query: ForgetQuery) -> Forgotten:
    named = resolve(of.infra, machine, needs_profiles=False)
    if query.dry_run:
        kept = forget.kept(of.state, named.mac, of.now)
    else:
        kept = forget.forget(of.state, named.mac, of.now, of.actor)
    return Forgotten(
        mac=named.mac,
        name=named.name,
        forgotten=not query.dry_run,
        armed=kept.armed,
        token=kept.waiting,
        rows=dict(kept.rows),
        remarks=list(named.remarks),
    )


LIST = Operation(
    "GET", "/v1/machines", Role.VIEWER, "List machines", MachinePage, _list, query=MachineQuery
)
SHOW = Operation(
    "GET", "/v1/machines/{machine}", Role.VIEWER, "Show a machine", MachineDetail, _show,
    query=ShowQuery, refusals=(MachineUnknown,),
)  # fmt: skip
WHY = Operation(
    "GET", "/v1/machines/{machine}/why", Role.VIEWER, "Say what a machine would get now, and why",
    Why, _why, query=WhyQuery, refusals=(MachineUnknown,),
)  # fmt: skip
ARM = Operation(
    "POST", "/v1/machines/{machine}/arm", Role.OPERATOR,
    "Let a machine install itself: this erases its disk", Arming, _arm, body=ArmOrder,
    refusals=(MachineUnknown,),
)  # fmt: skip
DISARM = Operation(
    "POST", "/v1/machines/{machine}/disarm", Role.OPERATOR,
    "Keep a machine from installing itself", Arming, _disarm, refusals=(MachineUnknown,),
)  # fmt: skip
FORGET = Operation(
    "DELETE", "/v1/machines/{machine}", Role.OPERATOR, "Forget what the state holds of a machine",
    Forgotten, _forget, query=ForgetQuery, refusals=(MachineUnknown,),
)  # fmt: skip

ALL: tuple[Operation[Any], ...] = (LIST, SHOW, WHY, ARM, DISARM, FORGET)
