"""The agent as it is installed, run by dash and by busybox against a real daemon."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from goosed_daemon import agent_rows, audit
from tests.daemon.agent_runs import SHELLS, Agent
from tests.daemon.state_backends import MAC
from tests.daemon.web_site import Lab
from tests.lossy import lossy

DAY = timedelta(days=1)
STRIDES = {"dash": 1, "busybox": 4}  # one shell is killed before each of its commands
SOON = 10**9  # more seconds than any token lasts: a rotation is due


@pytest.fixture(params=SHELLS)
def agent(request: pytest.FixtureRequest, lab: Lab, tmp_path: Path) -> Agent:
    return Agent(tmp_path / "agent", request.param, lab.url)


def permit(lab: Lab, mac: str = MAC) -> str:
    return lab.deps.agents.permit(mac, lab.clock.now, DAY, "operator")


async def enrolled(lab: Lab, agent: Agent) -> None:
    agent.write(enrolment=permit(lab))
    assert await agent.run() == (0, f"goose-agent: enrolled as {MAC}\n")


def row(lab: Lab, mac: str = MAC) -> agent_rows.Agent:
    found = agent_rows.show(lab.deps.state, mac)
    assert found is not None
    return found


@contextmanager
def losing(lab: Lab, route: str) -> Iterator[str]:
    """A way to the daemon that loses the first response to an agent's request."""
    host, _, port = lab.url.removeprefix("http://").rpartition(":")
    with lossy([f"/v1/agents/{route}"]) as network:
        network.target = (host, int(port))
        yield f"http://127.0.0.1:{network.port}"


async def test_it_enrols_says_it_is_alive_and_rotates(lab: Lab, agent: Agent) -> None:
    await enrolled(lab, agent)
    assert (row(lab).version, row(lab).counter) == ("goose-agent/1", 0)
    state = agent.read()
    assert state["machine"] == MAC and state["enrolment"] == state["pending"] == ""
    week = 7 * 86400
    assert week // 4 <= int(state["refresh_below"]) <= week // 2
    assert agent.state.stat().st_mode & 0o777 == 0o600
    assert await agent.run() == (0, "")  # nothing is due
    lab.clock.forward(timedelta(seconds=week - int(state["refresh_below"])))
    assert await agent.run() == (0, "goose-agent: the token was rotated\n")
    assert agent.read()["token"] != state["token"]
    assert (row(lab).counter, row(lab).confirmed) == (1, True)
    assert {path.name for path in agent.home.iterdir()} == {"state", "lock"}


@pytest.mark.timeout(600)
async def test_killed_before_any_command_of_an_enrolment_it_enrols(lab: Lab, agent: Agent) -> None:
    code, kills = -9, 0
    while code != 0:
        kills += STRIDES[agent.shell]
        agent.write(enrolment=permit(lab), token="", machine="", pending="", enrol_key="")
        code, said = await agent.run(kill_at=kills)
        assert code in (-9, 0), said
        agent.calm()
        assert (await agent.run())[0] == 0, f"after a kill at command {kills}"
        assert row(lab).state(lab.clock.now) == "active"
    assert kills > 40, "the whole round was gone through"


@pytest.mark.timeout(600)
async def test_killed_before_any_command_of_a_rotation_it_goes_on(lab: Lab, agent: Agent) -> None:
    await enrolled(lab, agent)
    family, code, kills = row(lab).family, -9, 0
    while code != 0:
        agent.write(refresh_below=SOON)
        kills += STRIDES[agent.shell]
        code, said = await agent.run(kill_at=kills)
        assert code in (-9, 0), said
        agent.calm()
        assert (await agent.run())[0] == 0, f"after a kill at command {kills}"
        assert (row(lab).family, row(lab).state(lab.clock.now)) == (family, "active")
        assert agent.read()["pending"] == ""
    assert kills > 60, "the whole round was gone through"
    kinds = {event.kind for event in audit.events(lab.deps.state, mac=MAC, limit=1000)}
    assert "agent-retold" in kinds or agent.shell == "busybox", "no kill lost an answer"


async def test_a_lost_response_to_a_refresh_is_got_again(lab: Lab, agent: Agent) -> None:
    await enrolled(lab, agent)
    with losing(lab, "token/refresh") as url:
        agent.url = url
        agent.write_conf()
        agent.write(refresh_below=SOON)
        code, said = await agent.run()
        assert code == 1 and "rotation: no answer from" in said
        assert agent.read()["pending"]
        agent.calm()
        assert await agent.run() == (0, "goose-agent: the token was rotated\n")
    assert row(lab).state(lab.clock.now) == "active"
    kinds = [event.kind for event in audit.events(lab.deps.state, mac=MAC)]
    assert kinds[-2:] == ["agent-refreshed", "agent-retold"]


async def test_a_lost_response_to_an_enrolment_is_got_again(lab: Lab, agent: Agent) -> None:
    with losing(lab, "register") as url:
        agent.url = url
        agent.write_conf()
        agent.write(enrolment=permit(lab))
        assert (await agent.run())[0] == 1
        agent.calm()
        assert await agent.run() == (0, f"goose-agent: enrolled as {MAC}\n")


async def test_a_stolen_token_is_found_out_and_the_machine_enrols_anew(
    lab: Lab, agent: Agent, tmp_path: Path
) -> None:
    await enrolled(lab, agent)
    thief = Agent(tmp_path / "thief", agent.shell, lab.url)
    shutil.copy(agent.state, thief.state)
    for one in (thief, agent):
        one.write(refresh_below=SOON)
    assert (await thief.run())[0] == 0
    code, said = await agent.run()
    assert (code, said) == (1, "goose-agent: heartbeat: refused with 401 agent-token-ended\n")
    code, said = await thief.run()
    assert (code, said) == (1, "goose-agent: heartbeat: refused with 401 agent-revoked\n")
    code, said = await agent.run("enrol", stdin=permit(lab) + "\n")
    assert (code, said) == (0, f"goose-agent: enrolled as {MAC}\n")


async def test_a_wrong_secret_does_not_cost_the_enrolment_there_is(lab: Lab, agent: Agent) -> None:
    await enrolled(lab, agent)
    code, said = await agent.run("enrol", stdin="no-secret\n")
    assert (code, said) == (1, "goose-agent: enrolment: refused with 404 enrolment-unknown\n")
    agent.calm()
    assert await agent.run() == (0, "")
    code, said = await agent.run("enrol", stdin='"; x\n')
    assert (code, said) == (1, "goose-agent: this is no enrolment secret\n")


async def test_no_secret_is_an_argument_of_a_process(
    lab: Lab, agent: Agent, tmp_path: Path
) -> None:
    spy = tmp_path / "spy"
    spy.mkdir()
    path = agent._path()
    for name in ("curl", "sed", "sync", "mv", "od", "tr", "cut", "rm", "mkdir", "cat"):
        real = shutil.which(name, path=path)
        assert real is not None
        program = spy / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >>{spy}/log\nexec {real} "$@"\n')
        program.chmod(0o755)
    secret = permit(lab)
    agent.write(enrolment=secret)
    assert (await agent.run(path=f"{spy}:{path}"))[0] == 0
    first = agent.read()["token"]
    agent.write(refresh_below=SOON)
    assert (await agent.run(path=f"{spy}:{path}"))[0] == 0
    log = (spy / "log").read_text()
    assert "curl -q" in log
    for value in (secret, first, agent.read()["token"]):
        assert value not in log


async def test_ten_agents_at_once(lab: Lab, tmp_path: Path) -> None:
    macs = [f"52:54:00:aa:00:{number:02x}" for number in range(10)]
    agents = [Agent(tmp_path / mac[-2:], "dash", lab.url) for mac in macs]
    for one, mac in zip(agents, macs, strict=True):
        one.write(enrolment=permit(lab, mac))
    assert [code for code, _ in await asyncio.gather(*(one.run() for one in agents))] == [0] * 10
    for one in agents:
        one.write(refresh_below=SOON)
    assert [code for code, _ in await asyncio.gather(*(one.run() for one in agents))] == [0] * 10
    assert {row(lab, mac).counter for mac in macs} == {1}
    assert len({one.read()["refresh_below"] for one in agents}) > 1, "they do not come together"


async def test_ten_runs_of_one_agent_at_once_are_one(lab: Lab, tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agent", "dash", lab.url)
    await enrolled(lab, agent)
    agent.write(refresh_below=SOON)
    runs = await asyncio.gather(*(agent.run() for _ in range(10)))
    assert {code for code, _ in runs} == {0}
    assert row(lab).state(lab.clock.now) == "active"


async def test_after_failures_rounds_are_left_out(lab: Lab, agent: Agent) -> None:
    await enrolled(lab, agent)
    agent.url = "http://127.0.0.1:1"
    agent.write_conf()
    (agent.home / "backoff").write_text("2 0\n")
    code, said = await agent.run()
    assert code == 1 and "no answer from http://127.0.0.1:1" in said
    count, skip = map(int, (agent.home / "backoff").read_text().split())
    assert count == 3 and 0 <= skip < 8
    (agent.home / "backoff").write_text("3 2\n")
    for left in (1, 0):
        assert await agent.run() == (0, "")
        assert (agent.home / "backoff").read_text() == f"3 {left}\n"
    agent.url = lab.url
    agent.write_conf()
    assert await agent.run() == (0, "")
    assert not (agent.home / "backoff").exists()


async def test_a_clock_that_is_years_off_does_not_matter(lab: Lab, agent: Agent) -> None:
    """The daemon of this test lives in 2026 whatever this machine's clock says, and moves on."""
    await enrolled(lab, agent)
    for _ in range(3):
        lab.clock.forward(timedelta(days=6))
        assert await agent.run() == (0, "goose-agent: the token was rotated\n")
    lab.clock.forward(timedelta(days=8))
    code, said = await agent.run()
    assert (code, said) == (1, "goose-agent: heartbeat: refused with 401 agent-token-expired\n")


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ("", "does not say url="),
        ("url=http://x\nurk=y\n", "there is no setting 'urk'"),
        ('url=http://x"y\n', "holds a quote or a backslash"),
    ],
)
async def test_a_wrong_configuration_is_told(lab: Lab, agent: Agent, conf: str, words: str) -> None:
    (agent.folder / "conf").write_text(conf)
    code, said = await agent.run()
    assert code == 1 and words in said


async def test_status_tells_no_secret(lab: Lab, agent: Agent) -> None:
    assert await agent.run("status") == (0, "machine: not enrolled\n")
    await enrolled(lab, agent)
    assert await agent.run("status") == (0, f"machine: {MAC}\n")
    assert (await agent.run("nonsense"))[0] == 2
