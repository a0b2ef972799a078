"""Agents: enrolment, heartbeats, and tokens that rotate without ever locking anyone out who is the
only one to have them. One suite over both state backends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import UUID

import pytest

from goosed_daemon import agent_rows, audit, enrolments, machines
from goosed_daemon.agents import MAX_EVENTS, Agents
from goosed_daemon.errors import (
    AgentRevoked,
    AgentTokenEnded,
    AgentTokenExpired,
    AgentTokenUnknown,
    AgentUnknown,
    DaemonError,
    EnrolmentExpired,
    EnrolmentRevoked,
    EnrolmentUnknown,
    EnrolmentUsed,
)
from goosed_daemon.state import State
from goosed_daemon.token_key import TokenKey
from goosed_daemon.tokens import Tokens
from tests.daemon.state_backends import KEY, MAC, NOW, OTHER

HERE = "192.0.2.7"
DAY = timedelta(days=1)
LIFE = 7 * DAY
ONE, TWO, THREE = ("key-number-" + word * 3 for word in ("one", "two", "three"))


@pytest.fixture
def agents(state: State) -> Agents:
    return Agents(state, TokenKey(KEY), LIFE)


@pytest.fixture
def first(agents: Agents) -> str:
    """The token of an agent that has just enrolled, and was not used."""
    return told(agents.register(agents.permit(MAC, NOW, DAY, "operator"), ONE, NOW, HERE))


def told(lease: object) -> str:
    token = getattr(lease, "token", None)
    assert isinstance(token, str)
    return token


def kinds(state: State) -> list[str]:
    return [event.kind for event in audit.events(state, limit=1000)]


def beat(agents: Agents, token: str, mac: str = MAC) -> None:
    agents.heartbeat(mac, token, NOW, HERE, "test/1")


def test_an_agent_enrols_once_and_says_it_is_alive(agents: Agents, state: State) -> None:
    secret = agents.permit(MAC, NOW, DAY, "operator")
    lease = agents.register(secret, None, NOW, HERE)
    assert (lease.mac, lease.expires_at, lease.event) == (MAC, NOW + LIFE, "enrolled")
    agent = agent_rows.show(state, MAC)
    assert agent is not None and agent.state(NOW) == "enrolled"
    beat(agents, told(lease))
    agent = agent_rows.show(state, MAC)
    assert agent is not None and agent.state(NOW) == "active"
    assert (agent.seen_at, agent.seen_by, agent.version) == (NOW, HERE, "test/1")
    assert kinds(state) == ["enrolment-issued", "agent-enrolled", "agent-alive"]
    beat(agents, told(lease))
    assert len(kinds(state)) == 3, "heartbeats are counted, not recorded"


def test_no_secret_is_in_the_state(agents: Agents, state: State, first: str) -> None:
    second = told(agents.refresh(MAC, first, TWO, NOW, HERE))
    with state.read() as transaction:
        for table in ("agents", "enrolments", "events"):
            text = repr(transaction.execute(f"select * from {table}"))
            assert first not in text and second not in text and ONE not in text and TWO not in text


def test_a_used_enrolment_secret_is_refused_and_ends_what_it_gave(
    agents: Agents, state: State
) -> None:
    secret = agents.permit(MAC, NOW, DAY, "operator")
    thief = told(agents.register(secret, ONE, NOW, "192.0.2.66"))
    beat(agents, thief)
    with pytest.raises(EnrolmentUsed):
        agents.register(secret, TWO, NOW, HERE)
    with pytest.raises(AgentRevoked, match="enrolment re-used"):
        beat(agents, thief)
    assert "enrolment-refused" in kinds(state)


def test_an_enrolment_secret_found_after_its_time_cuts_nobody_off(
    agents: Agents, first: str, state: State
) -> None:
    with state.read() as transaction:
        ((found,),) = transaction.execute("select id from enrolments")
    beat(agents, first)
    with pytest.raises(EnrolmentUsed):
        agents.register(TokenKey(KEY).enrolment(found), TWO, NOW + DAY, HERE)
    beat(agents, first)


def test_a_lost_answer_to_an_enrolment_is_given_again_until_it_is_used(agents: Agents) -> None:
    secret = agents.permit(MAC, NOW, DAY, "operator")
    lost = told(agents.register(secret, ONE, NOW, HERE))
    again = agents.register(secret, ONE, NOW + DAY, HERE)
    assert (again.token, again.event, again.expires_at) == (lost, "retold", NOW + LIFE)
    beat(agents, lost)
    with pytest.raises(EnrolmentUsed):
        agents.register(secret, ONE, NOW, HERE)


@pytest.mark.parametrize("secret", ["", "x", "ü", "a" * 64, "' or 1=1 --"])
def test_a_guessed_enrolment_secret_is_unknown(agents: Agents, state: State, secret: str) -> None:
    agents.permit(MAC, NOW, DAY, "operator")
    with pytest.raises(EnrolmentUnknown):
        agents.register(secret, ONE, NOW, HERE)
    assert kinds(state) == ["enrolment-issued"]


def test_an_enrolment_planted_in_the_database_lets_nobody_in(agents: Agents, state: State) -> None:
    planted = "00000000-0000-4000-8000-000000000001"
    with state.write() as transaction:
        enrolments.issue(transaction, planted, MAC, NOW, NOW + DAY, "thief")
    with pytest.raises(EnrolmentUnknown):
        agents.register(TokenKey(bytes(32)).enrolment(planted), ONE, NOW, HERE)


def test_an_enrolment_ends_by_time_by_a_later_one_and_by_an_operator(agents: Agents) -> None:
    late = agents.permit(MAC, NOW, DAY, "operator")
    with pytest.raises(EnrolmentExpired):
        agents.register(late, ONE, NOW + DAY, HERE)
    later = agents.permit(MAC, NOW, DAY, "operator")
    with pytest.raises(EnrolmentRevoked, match="superseded"):
        agents.register(late, ONE, NOW, HERE)
    agents.revoke(MAC, NOW, "operator")
    with pytest.raises(EnrolmentRevoked, match="revoked"):
        agents.register(later, ONE, NOW, HERE)


def test_a_render_lets_the_agent_in_its_file_enrol(agents: Agents, tokens: Tokens) -> None:
    offer = tokens.issue(MAC, NOW, DAY, "operator")
    secret = agents.enrolment(offer.token.id)
    with pytest.raises(EnrolmentUnknown):
        agents.register(secret, ONE, NOW, HERE)  # nothing was rendered
    tokens.claim(offer.secret, NOW, HERE, "digest", NOW + DAY)
    assert agents.register(secret, ONE, NOW, HERE).mac == MAC


def test_the_workflow_of_the_install_sees_its_agent(
    agents: Agents, tokens: Tokens, state: State
) -> None:
    machines.arm(state, MAC, 1, NOW, "operator")
    offer = tokens.offer(MAC, NOW, HERE)
    tokens.claim(offer.secret, NOW, HERE, "digest", NOW + DAY)
    token = told(agents.register(agents.enrolment(offer.token.id), ONE, NOW, HERE))
    beat(agents, token)
    beat(agents, token)
    agents.register(agents.permit(MAC, NOW, DAY, "operator"), ONE, NOW, HERE)
    with state.read() as transaction:
        seen = transaction.execute(
            "select step from observations where token = ? order by id", (offer.token.id,)
        )
        ((others,),) = transaction.execute(
            "select count(*) from observations where step in ('enrolled', 'ready')"
        )
    assert [step for (step,) in seen][-3:] == ["rendered", "enrolled", "ready"]
    assert others == 2


def test_a_token_is_replaced_and_the_old_one_ends(agents: Agents, first: str, state: State) -> None:
    second = agents.refresh(MAC, first, None, NOW + DAY, HERE)
    assert (second.event, second.expires_at) == ("refreshed", NOW + DAY + LIFE)
    assert second.token != first
    beat(agents, told(second))
    agent = agent_rows.show(state, MAC)
    assert agent is not None and agent.counter == 1


def test_a_lost_response_is_given_again_exactly(agents: Agents, first: str, state: State) -> None:
    lost = agents.refresh(MAC, first, TWO, NOW, HERE)
    for later in range(1, 4):
        again = agents.refresh(MAC, first, TWO, NOW + later * DAY, HERE)
        assert (again.token, again.expires_at) == (lost.token, lost.expires_at)
        assert again.event == "retold"
    beat(agents, told(lost))
    assert kinds(state).count("agent-retold") == 3


def test_a_retry_after_the_new_token_was_used_is_a_reuse(agents: Agents, first: str) -> None:
    second = told(agents.refresh(MAC, first, TWO, NOW, HERE))
    beat(agents, second)
    with pytest.raises(AgentTokenEnded):
        agents.refresh(MAC, first, TWO, NOW, HERE)
    with pytest.raises(AgentRevoked, match="re-used"):
        beat(agents, second)


def test_a_retry_without_a_key_is_a_reuse(agents: Agents, first: str) -> None:
    agents.refresh(MAC, first, None, NOW, HERE)
    with pytest.raises(AgentTokenEnded):
        agents.refresh(MAC, first, None, NOW, HERE)


def test_a_stolen_token_ends_the_family_whoever_comes_second(
    agents: Agents, first: str, state: State
) -> None:
    thief = told(agents.refresh(MAC, first, THREE, NOW, "192.0.2.66"))
    with pytest.raises(AgentTokenEnded):
        agents.refresh(MAC, first, TWO, NOW, HERE)  # the real agent
    with pytest.raises(AgentRevoked):
        agents.refresh(MAC, thief, ONE, NOW, "192.0.2.66")
    with pytest.raises(AgentRevoked):
        beat(agents, thief)
    assert "agent-revoked" in kinds(state)
    agent = agent_rows.show(state, MAC)
    assert agent is not None and agent.state(NOW) == "re-used"


def test_a_heartbeat_with_an_ended_token_ends_the_family(agents: Agents, first: str) -> None:
    second = told(agents.refresh(MAC, first, TWO, NOW, HERE))
    with pytest.raises(AgentTokenEnded):
        beat(agents, first)
    with pytest.raises(AgentRevoked):
        beat(agents, second)


def test_a_token_ended_long_ago_is_known_for_what_it_was(agents: Agents, first: str) -> None:
    token = first
    for number in range(20):
        token = told(agents.refresh(MAC, token, f"{ONE}-{number}", NOW, HERE))
    with pytest.raises(AgentTokenEnded):
        beat(agents, first)
    with pytest.raises(AgentRevoked):
        beat(agents, token)


def test_rotations_do_not_make_the_state_grow(agents: Agents, first: str, state: State) -> None:
    token = first
    for number in range(20):
        token = told(agents.refresh(MAC, token, f"{ONE}-{number}", NOW, HERE))
    with state.read() as transaction:
        assert transaction.execute("select count(*) from agents") == [(1,)]
        assert transaction.execute("select count(*) from enrolments") == [(1,)]


def test_a_token_expires_by_the_servers_clock(agents: Agents, first: str) -> None:
    last = NOW + LIFE - timedelta(seconds=1)
    agents.heartbeat(MAC, first, last, HERE, None)
    with pytest.raises(AgentTokenExpired):
        agents.heartbeat(MAC, first, NOW + LIFE, HERE, None)
    with pytest.raises(AgentTokenExpired):
        agents.refresh(MAC, first, TWO, NOW + LIFE, HERE)
    assert agents.refresh(MAC, first, TWO, last, HERE).event == "refreshed"


def test_a_retry_long_after_does_not_bring_an_expired_token(agents: Agents, first: str) -> None:
    agents.refresh(MAC, first, TWO, NOW, HERE)
    with pytest.raises(DaemonError):
        agents.refresh(MAC, first, TWO, NOW + LIFE, HERE)


def test_a_token_is_of_one_machine(agents: Agents, first: str) -> None:
    agents.register(agents.permit(OTHER, NOW, DAY, "operator"), ONE, NOW, HERE)
    with pytest.raises(AgentTokenUnknown):
        beat(agents, first, OTHER)
    with pytest.raises(AgentTokenUnknown):
        agents.refresh(OTHER, first, TWO, NOW, HERE)
    beat(agents, first)


@pytest.mark.parametrize("token", ["", "x", "ü", "a" * 91, "' or 1=1 --"])
def test_a_guessed_token_is_unknown_and_cuts_nobody_off(
    agents: Agents, first: str, token: str
) -> None:
    with pytest.raises(AgentTokenUnknown):
        beat(agents, token)
    with pytest.raises(AgentTokenUnknown):
        agents.refresh(MAC, token, TWO, NOW, HERE)
    beat(agents, first)


def test_a_bit_flipped_in_a_token_makes_it_unknown(agents: Agents, first: str) -> None:
    for position in (0, 25, 40, 90):
        other = "B" if first[position] == "A" else "A"
        with pytest.raises(AgentTokenUnknown):
            beat(agents, first[:position] + other + first[position + 1 :])
    beat(agents, first)


def test_an_operator_cuts_an_agent_off(agents: Agents, first: str) -> None:
    agents.revoke(MAC, NOW, "operator")
    with pytest.raises(AgentRevoked, match="revoked"):
        beat(agents, first)
    with pytest.raises(AgentUnknown):
        agents.revoke(OTHER, NOW, "operator")


def test_a_machine_enrols_anew_without_an_install(agents: Agents, first: str, state: State) -> None:
    secret = agents.permit(MAC, NOW, DAY, "operator")
    beat(agents, first)  # goes on until the secret is used
    second = told(agents.register(secret, TWO, NOW, HERE))
    with pytest.raises(AgentRevoked, match="another enrolment"):
        beat(agents, first)
    beat(agents, second)  # what is left of the old family does not end the new one
    agents.revoke(MAC, NOW, "operator")
    third = told(agents.register(agents.permit(MAC, NOW, DAY, "o"), THREE, NOW, HERE))
    beat(agents, third)


def test_a_state_restored_from_a_backup_refuses_and_cuts_nobody_off(
    agents: Agents, first: str, state: State
) -> None:
    with state.read() as transaction:
        ((family, digest),) = transaction.execute("select family, token from agents")
    second = told(agents.refresh(MAC, first, TWO, NOW, HERE))
    with state.write() as transaction:
        transaction.execute(
            "update agents set counter = 0, token = ?, previous = null where family = ?",
            (digest, family),
        )
    with pytest.raises(AgentTokenUnknown, match="newer"):
        beat(agents, second)
    agent = agent_rows.show(state, MAC)
    assert agent is not None and agent.ended is None


def test_refusals_without_end_do_not_fill_the_log(agents: Agents, first: str, state: State) -> None:
    agents.revoke(MAC, NOW, "operator")
    for _ in range(3 * MAX_EVENTS):
        with pytest.raises(AgentRevoked):
            beat(agents, first)
    assert kinds(state).count("agent-refused") == MAX_EVENTS
    agent = agent_rows.show(state, MAC)
    assert agent is not None and agent.refusals == 3 * MAX_EVENTS


def test_ten_retries_at_once_get_one_token(agents: Agents, first: str) -> None:
    together = Barrier(10)

    def refresh(_: int) -> str:
        together.wait()
        return told(agents.refresh(MAC, first, TWO, NOW, HERE))

    with ThreadPoolExecutor(10) as pool:
        assert len(set(pool.map(refresh, range(10)))) == 1


def test_of_ten_enrolments_at_once_one_wins(agents: Agents, state: State) -> None:
    secret = agents.permit(MAC, NOW, DAY, "operator")
    together = Barrier(10)

    def register(number: int) -> int:
        together.wait()
        try:
            agents.register(secret, f"{ONE}-{number}", NOW, HERE)
            return 1
        except EnrolmentUsed:
            return 0

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(register, range(10))) == 1
    assert kinds(state).count("agent-enrolled") == 1


def test_permits_at_once_leave_one_that_counts(agents: Agents, state: State) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = list(pool.map(lambda _: agents.permit(MAC, NOW, DAY, "operator"), range(8)))
    won = 0
    for secret in secrets:
        try:
            agents.register(secret, ONE, NOW, HERE)
            won += 1
        except EnrolmentRevoked:
            pass
    assert won == 1
    assert enrolments.waiting(state, NOW) == {}


def test_last_seen_is_bounded_and_expires(
    agents: Agents, first: str, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat(agents, first)
    second = told(agents.register(agents.permit(OTHER, NOW, DAY, "o"), ONE, NOW, HERE))
    agents.heartbeat(OTHER, second, NOW + DAY, HERE, None)
    assert agent_rows.seen(state, NOW + DAY) == {MAC: NOW, OTHER: NOW + DAY}
    assert agent_rows.seen(state, NOW + agent_rows.SEEN_WITHIN) == {OTHER: NOW + DAY}
    monkeypatch.setattr(agent_rows, "MAX_SEEN", 1)
    assert agent_rows.seen(state, NOW + DAY) == {OTHER: NOW + DAY}
    agents.revoke(OTHER, NOW, "operator")
    assert agent_rows.seen(state, NOW + DAY) == {MAC: NOW}


def test_the_same_key_gives_the_same_token_and_tells_its_place() -> None:
    key, family = TokenKey(KEY), str(UUID(int=5))
    token = key.agent(MAC, family, 3, ONE)
    assert token == key.agent(MAC, family, 3, ONE)
    assert key.of_agent(MAC, token) == (family, 3)
    others = {key.agent(OTHER, family, 3, ONE), key.agent(MAC, family, 4, ONE),
              key.agent(MAC, str(UUID(int=6)), 3, ONE), key.agent(MAC, family, 3, TWO),
              TokenKey(bytes(32)).agent(MAC, family, 3, ONE)}  # fmt: skip
    assert token not in others and len(others) == 5
    assert key.of_agent(OTHER, token) is None
    assert TokenKey(bytes(32)).of_agent(MAC, token) is None
