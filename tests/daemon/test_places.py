"""So many machines install at once and no more; the others wait in the order in which they asked.

On every backend, with the orchestrator that ends the places.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Barrier, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goosed_daemon import machines, place_ends
from goosed_daemon.errors import MachineWaits
from goosed_daemon.place_ends import GRACE, KEPT
from goosed_daemon.places import PAUSE, SEEN, Places, Standing, seconds_until
from goosed_daemon.state import State
from goosed_daemon.token_key import TokenKey
from goosed_daemon.tokens import Tokens
from goosed_daemon.workflow import observe
from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.orchestrator import Orchestrator
from tests.daemon.state_backends import KEY, NOW, TTL

HERE = "192.0.2.7"
NAMES = {"machine": "web", "profile": "p1", "installer": "kickstart"}


class Rack:
    """Machines that ask for their scripts, and an orchestrator."""

    def __init__(self, state: State, limit: int | None = 2) -> None:
        self.state = state
        self.places = Places(state, limit)
        self.tokens = Tokens(state, TokenKey(KEY), TTL)
        self.now = NOW

    def arm(self, *numbers: int) -> None:
        for number in numbers:
            machines.arm(self.state, mac(number), 3, self.now, "operator:me")

    def ask(self, number: int) -> int:
        """What the machine is told when it asks: its position, or 0 for its boot token."""
        self.forward(1)
        try:
            self.places.ask(mac(number), "p1", self.now)
        except MachineWaits as wait:
            return int(wait.details["position"])
        self.tokens.offer(mac(number), self.now, HERE, NAMES)
        return 0

    def see(self, number: int, step: str) -> None:
        """The machine is seen at `step`, in its last attempt."""
        token = self.tokens.tokens(mac(number))[-1].id
        with self.state.write() as transaction:
            observe(transaction, mac(number), step, self.now, token)
        self.turn()

    def turn(self) -> None:
        Orchestrator(self.state, (place_ends.settle,)).turn(self.now)

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def taken(self) -> int:
        return place_ends.tidy(self.state, self.now)[0]


def mac(number: int) -> str:
    return f"52:54:00:00:{number // 256:02x}:{number % 256:02x}"


@pytest.fixture
def rack(state: State) -> Rack:
    rack = Rack(state)
    rack.arm(*range(6))
    return rack


def test_so_many_install_and_the_others_are_told_their_place(rack: Rack) -> None:
    assert [rack.ask(n) for n in range(6)] == [0, 0, 1, 2, 3, 4]
    assert [rack.ask(n) for n in range(6)] == [0, 0, 1, 2, 3, 4], "asked again"
    assert place_ends.tidy(rack.state, rack.now) == (2, 4)


def test_a_place_that_is_free_goes_to_who_asked_first_whoever_asks_first_now(rack: Rack) -> None:
    for number in range(6):
        rack.ask(number)
    rack.see(0, s.INSTALLED)
    assert [rack.ask(n) for n in (5, 4, 3)] == [4, 3, 2], "nobody overtakes"
    assert rack.ask(2) == 0
    rack.see(1, s.INSTALLED)
    rack.see(2, s.INSTALLED)
    assert [rack.ask(n) for n in (5, 4, 3)] == [3, 0, 0], "two places for the two that are next"


def test_an_installed_machine_that_asks_again_goes_to_its_disk_and_not_to_the_queue(
    rack: Rack,
) -> None:
    rack.ask(0)
    machines.report(
        rack.state, mac(0), "installed", rack.now, HERE, rack.tokens.tokens(mac(0))[-1].id
    )
    rack.turn()
    for number in (1, 2):
        assert rack.ask(number) == 0
    rack.places.ask(mac(0), "p1", rack.now)  # and `Tokens.offer` says why not
    assert rack.places.positions(rack.now) == {}


ENDINGS: dict[str, Callable[[Rack], None]] = {
    "installed": lambda rack: rack.see(0, s.INSTALLED),
    "failed": lambda rack: rack.see(0, s.FAILED),
    "cancelled": lambda rack: (
        machines.disarm(rack.state, mac(0), rack.now, "operator:me"),
        rack.turn(),
    )[-1],
    "timed-out": lambda rack: (
        rack.turn(),
        rack.forward(s.TIMEOUTS[s.OFFERED].total_seconds()),
        keep(rack, 2),
        rack.turn(),
    )[-1],
    "ready-in-one-turn": lambda rack: (
        see_unnoticed(rack, 0, s.INSTALLED),
        see_unnoticed(rack, 0, s.READY),
        rack.turn(),
    )[-1],
}


def keep(rack: Rack, number: int) -> None:
    with rack.state.write() as transaction:
        transaction.execute("update places set seen_at = ? where mac = ?", (rack.now, mac(number)))


def see_unnoticed(rack: Rack, number: int, step: str) -> None:
    token = rack.tokens.tokens(mac(number))[-1].id
    with rack.state.write() as transaction:
        observe(transaction, mac(number), step, rack.now, token)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_place_is_free_when_its_install_is_over(state: State, ending: str) -> None:
    rack = Rack(state, limit=1)
    rack.arm(0, 2)
    assert [rack.ask(0), rack.ask(2)] == [0, 1]
    ENDINGS[ending](rack)
    assert rack.ask(2) == 0
    assert rack.taken() == 1


def test_installing_and_whatever_comes_before_keeps_the_place(rack: Rack) -> None:
    for number in range(3):
        rack.ask(number)
    for step in s.INSTALL_PHASE:
        rack.see(0, step)
        rack.see(1, step)
        assert rack.ask(2) == 1


def test_a_machine_that_boots_again_in_mid_install_keeps_its_place(rack: Rack) -> None:
    for number in range(3):
        rack.ask(number)
    rack.see(0, s.INSTALLING)
    token = rack.tokens.offer(mac(0), rack.now, HERE, NAMES)
    rack.tokens.claim(token.secret, rack.now, HERE)
    assert rack.ask(0) == 0
    rack.turn()
    assert rack.ask(2) == 1 and rack.taken() == 2


def test_the_end_of_an_attempt_that_is_noticed_late_does_not_end_the_place_of_the_next(
    rack: Rack,
) -> None:
    for number in range(3):
        rack.ask(number)
    rack.turn()
    see_unnoticed(rack, 0, s.FAILED)
    orchestrator = Orchestrator(
        rack.state, (lambda *_: rack.places.ask(mac(0), "p1", rack.now), place_ends.settle)
    )
    rack.forward(1)
    if rack.state.dialect == "sqlite":
        rack.places.ask(mac(0), "p1", rack.now)  # a transaction that writes is alone
        orchestrator = Orchestrator(rack.state, (place_ends.settle,))
    orchestrator.turn(rack.now)
    assert rack.taken() == 2 and rack.ask(2) == 1


def test_a_machine_that_vanishes_frees_its_turn_and_has_it_back(rack: Rack) -> None:
    for number in range(5):
        rack.ask(number)
    for _ in range(5):
        rack.forward(PAUSE)
        told = [rack.ask(3), rack.ask(4)]
    assert told == [1, 2], "machine 2 was switched off"
    assert rack.ask(2) == 1, "and is on again"
    assert [rack.ask(3), rack.ask(4)] == [2, 3]
    rack.forward(SEEN.total_seconds())
    rack.see(0, s.INSTALLED)
    assert rack.ask(4) == 0, "the others were not seen for too long"


def test_a_machine_that_stays_away_is_forgotten_and_begins_anew(rack: Rack) -> None:
    for number in range(4):
        rack.ask(number)
    rack.forward(KEPT.total_seconds())
    assert rack.ask(3) == 1
    place_ends.tidy(rack.state, rack.now)
    assert rack.ask(2) == 2


def test_a_place_whose_offer_came_to_nothing_is_free_after_a_while(state: State) -> None:
    rack = Rack(state, limit=1)
    rack.arm(0, 1)
    rack.places.ask(mac(0), "p1", rack.now)  # the daemon dies before it offers a token
    assert rack.ask(1) == 1 and rack.taken() == 1
    rack.forward(GRACE.total_seconds())
    assert rack.taken() == 0 and rack.ask(1) == 0


def test_a_clock_that_is_set_back_holds_up_nobody(state: State) -> None:
    """By an hour: a place that was never used is free after its grace, and who is gone is passed
    over after a few pauses, as if they had come when the clock was set."""
    rack = Rack(state, limit=1)
    rack.arm(*range(3))
    rack.forward(3600)
    rack.places.ask(mac(0), "p1", rack.now)  # and is switched off
    assert [rack.ask(n) for n in (1, 2)] == [1, 2]
    rack.forward(-3600)
    assert place_ends.tidy(state, rack.now) == (1, 2)
    rack.forward((GRACE + SEEN).total_seconds())
    assert rack.taken() == 0
    assert rack.ask(2) == 0, "the one before it is gone"


def test_what_no_orchestrator_looked_at_for_long_keeps_its_place(rack: Rack) -> None:
    assert rack.ask(0) == 0
    rack.forward(10 * GRACE.total_seconds())
    assert rack.taken() == 1, "its offer is not taken up yet"
    see_unnoticed(rack, 0, s.INSTALLING)
    rack.turn()
    assert rack.taken() == 1


@pytest.mark.parametrize("known", ["disarmed", "never-armed", "tries-used-up"])
def test_a_flood_of_machines_that_may_not_install_does_not_fill_the_queue(
    state: State, known: str
) -> None:
    rack = Rack(state, limit=1)
    rack.arm(0)
    rack.ask(0)
    for number in range(1, 30):
        if known == "disarmed":
            machines.disarm(state, mac(number), rack.now, "operator:me")
        if known == "tries-used-up":
            machines.arm(state, mac(number), 0, rack.now, "operator:me")
        rack.places.ask(mac(number), "p1", rack.now)
    assert place_ends.tidy(state, rack.now) == (1, 0)


def test_a_machine_that_is_disarmed_leaves_the_queue(rack: Rack) -> None:
    for number in range(4):
        rack.ask(number)
    machines.disarm(rack.state, mac(2), rack.now, "operator:me")
    rack.places.ask(mac(2), "p1", rack.now)
    assert rack.places.positions(rack.now) == {mac(3): 1}


def test_a_token_issued_by_hand_counts_and_waits_like_any_other(rack: Rack) -> None:
    rack.tokens.issue(mac(9), rack.now, TTL, "operator:me")
    rack.turn()
    assert rack.taken() == 1, "it may be used without asking for a script"
    assert [rack.ask(0), rack.ask(1)] == [0, 1]


def test_a_machine_that_is_heard_of_again_has_its_place_again(rack: Rack) -> None:
    rack.ask(0)
    rack.see(0, s.INSTALLING)
    rack.forward(s.TIMEOUTS[s.INSTALLING].total_seconds())
    rack.turn()
    assert rack.taken() == 0
    rack.see(0, "phase:packages")
    assert rack.taken() == 0, "which moves it nowhere"
    rack.ask(0)
    rack.turn()
    assert rack.taken() == 1


def test_without_a_limit_nobody_waits_and_a_limit_set_later_counts_who_installs(
    state: State,
) -> None:
    rack = Rack(state, limit=None)
    rack.arm(*range(5))
    assert [rack.ask(n) for n in range(4)] == [0, 0, 0, 0]
    rack.turn()
    rack.places = Places(state, 2)
    assert rack.ask(4) == 1
    for number in range(2):
        rack.see(number, s.INSTALLED)
        assert rack.ask(4) == 1
    rack.see(2, s.INSTALLED)
    assert rack.ask(4) == 0


def test_a_restart_keeps_the_queue(state: State, open_backend: Callable[[], State]) -> None:
    rack = Rack(state)
    rack.arm(*range(5))
    for number in range(5):
        rack.ask(number)
    anew = Rack(open_backend())
    anew.now = rack.now
    anew.see(0, s.INSTALLED)
    assert [anew.ask(n) for n in (4, 3, 2)] == [3, 2, 0]


def test_what_is_foreseen_is_what_comes_and_changes_nothing(rack: Rack) -> None:
    for number in range(4):
        rack.ask(number)
    waits = rack.places.held_back(rack.now)
    for number in range(6):
        before = rack.places.positions(rack.now)
        try:
            rack.places.foresee(mac(number), "p1", rack.now)
            foreseen = 0
        except MachineWaits as wait:
            foreseen = int(wait.details["position"])
        assert rack.places.positions(rack.now) == before
        assert waits(mac(number)) == bool(foreseen)
        if number < 5:
            assert rack.ask(number) == foreseen


def test_the_wait_is_told_in_words_and_in_minutes_once_one_was_installed(state: State) -> None:
    rack = Rack(state, limit=1)
    rack.arm(*range(6))
    rack.ask(0)
    rack.ask(1)
    told = rack.places.queued(mac(1), "p1", rack.now)
    assert told is not None and told.words == "waiting, position 1"
    rack.turn()
    rack.see(0, s.INSTALLING)
    rack.forward(170)
    rack.see(0, s.INSTALLED)
    assert rack.ask(1) == 0
    assert [rack.ask(2), rack.ask(3)] == [1, 2]
    for number, words in ((2, "about 3 min, position 1"), (3, "about 6 min, position 2")):
        told = rack.places.queued(mac(number), "p1", rack.now)
        assert told is not None and told.words == f"waiting, {words}"
    other = rack.places.queued(mac(2), "p2", rack.now)
    assert other is not None and other.words == "waiting, position 1", "of another profile"


@pytest.mark.parametrize(
    ("position", "limit", "ages", "seconds"),
    [
        (1, 2, (90, 50), 10),
        (2, 2, (90, 50), 50),
        (3, 2, (90, 50), 110),
        (5, 2, (90, 50), 210),
        (1, 1, (500,), 0),
        (2, 1, (500,), 100),
        (1, 2, (90, 50, 20), 50),
        (2, 2, (90,), 10),
        (3, 2, (90,), 100),
    ],
)
def test_a_wait_is_as_long_as_the_installs_before_it(
    position: int, limit: int, ages: tuple[int, ...], seconds: float
) -> None:
    taken = tuple(NOW - timedelta(seconds=age) for age in ages)
    assert seconds_until(Standing(position, taken), limit, 100.0, NOW) == seconds


@given(
    st.lists(st.integers(0, 300), max_size=6), st.integers(1, 6), st.integers(1, 30),
    st.integers(1, 200),
)  # fmt: skip
def test_a_wait_is_that_of_a_rack_that_is_played_through(
    ages: list[int], limit: int, position: int, length: int
) -> None:
    ends = [max(0, length - age) for age in ages]
    at = 0
    for _ in range(position):
        busy = sorted(end for end in ends if end > at)
        if len(busy) >= limit:
            at = busy[len(busy) - limit]
        ends.append(at + length)
    taken = tuple(NOW - timedelta(seconds=age) for age in sorted(ages, reverse=True))
    assert seconds_until(Standing(position, taken), limit, float(length), NOW) == at


def test_many_daemons_never_let_more_install_than_may(
    state: State, open_backend: Callable[[], State]
) -> None:
    Rack(state).arm(*range(40))
    daemons = [Rack(open_backend(), limit=7) for _ in range(4)]
    start = Barrier(40)
    told: list[int] = []

    def ask(number: int) -> None:
        start.wait()
        told.append(daemons[number % 4].ask(number))

    threads = [Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 40 and told.count(0) == 7
    assert place_ends.tidy(state, NOW) == (7, 33)
    assert in_order(state) == list(range(1, 34))


def in_order(state: State, at: datetime = NOW) -> list[int]:
    return sorted(Places(state, 7).positions(at).values())
