"""Agents over real sockets: from the rendered file to a rotated token."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientResponse

from goosed_daemon import audit
from tests.daemon.state_backends import MAC
from tests.daemon.web_site import PROFILES, Lab

KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = "f" * 32


async def post(lab: Lab, route: str, body: object, **headers: str) -> ClientResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await lab.client.post(f"{lab.url}/v1/agents/{route}", json=body, headers=named)
    await response.read()
    return response


async def rendered_secret(lab: Lab) -> str:
    """The enrolment secret in the file that the machine's installer fetches."""
    lab.arm()
    response = await lab.get(f"/v1/render/kickstart?token={await lab.token()}")
    found = re.search(r"printf 'enrolment=%s\\n' (\S+) ", await response.text())
    assert found is not None
    return found[1]


async def enrolled(lab: Lab) -> dict[str, Any]:
    response = await post(lab, "register", {"enrolment": await rendered_secret(lab)})
    assert response.status == 200
    told: dict[str, Any] = await response.json()
    return told


async def beat(lab: Lab, token: str) -> ClientResponse:
    body = {"machine_id": MAC, "agent": "test/1"}
    return await post(lab, "heartbeat", body, Authorization=f"Bearer {token}")


async def test_from_the_rendered_file_to_a_rotated_token(lab: Lab) -> None:
    told = await enrolled(lab)
    assert told == {
        "machine_id": MAC,
        "token": told["token"],
        "now": "2026-11-24T12:00:00Z",
        "expires_at": "2026-12-01T12:00:00Z",
        "expires_in": 7 * 86400,
    }
    lab.clock.forward(timedelta(days=4))
    response = await beat(lab, told["token"])
    assert await response.json() == {
        "machine_id": MAC,
        "now": "2026-11-28T12:00:00Z",
        "expires_at": "2026-12-01T12:00:00Z",
        "expires_in": 3 * 86400,
    }
    assert response.headers["Cache-Control"] == "no-store"
    body = {"machine_id": "52-54-00-12-34-56", "old_token": told["token"]}
    response = await post(lab, "token/refresh", body, Idempotency_Key=KEY)
    new = await response.json()
    assert new["expires_at"] == "2026-12-05T12:00:00Z" and new["token"] != told["token"]
    again = await post(lab, "token/refresh", body, Idempotency_Key=f'"{KEY}"')
    assert await again.json() == new
    assert (await beat(lab, new["token"])).status == 200
    kinds = [event.kind for event in audit.events(lab.deps.state, mac=MAC)]
    assert kinds[-5:] == [
        "enrolment-issued", "agent-enrolled", "agent-alive", "agent-refreshed", "agent-retold",
    ]  # fmt: skip
    for line, count in {
        'goosed_agent_enrolments_total{outcome="enrolled"}': 1,
        'goosed_agent_heartbeats_total{outcome="seen"}': 2,
        'goosed_agent_refreshes_total{outcome="refreshed"}': 1,
        'goosed_agent_refreshes_total{outcome="retold"}': 1,
        'goosed_agent_last_seen_timestamp_seconds{machine="web1"}': lab.clock.now.timestamp(),
    }.items():
        assert await lab.metric(line) == count, line


async def test_a_reused_token_cuts_the_agent_off_and_is_audited(lab: Lab) -> None:
    told = await enrolled(lab)
    body = {"machine_id": MAC, "old_token": told["token"]}
    new = await (await post(lab, "token/refresh", body, Idempotency_Key=KEY)).json()
    response = await post(lab, "token/refresh", body, Idempotency_Key=OTHER_KEY)
    error = (await response.json())["error"]
    assert (response.status, error["code"]) == (401, "agent-token-ended")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    response = await beat(lab, new["token"])
    assert (response.status, (await response.json())["error"]["code"]) == (401, "agent-revoked")
    events = [(e.kind, e.detail.get("why")) for e in audit.events(lab.deps.state, mac=MAC)]
    assert ("agent-revoked", "re-used") in events
    line = 'goosed_agent_refreshes_total{outcome="agent-token-ended"}'
    assert await lab.metric(line) == 1


async def test_a_profile_may_do_without_an_agent(lab: Lab) -> None:
    lab.write_profiles(PROFILES.replace("disk:\n", "agent: false\ndisk:\n"))
    lab.arm()
    response = await lab.get(f"/v1/render/kickstart?token={await lab.token()}")
    assert response.status == 200 and "goose-agent" not in await response.text()
    kinds = [event.kind for event in audit.events(lab.deps.state)]
    assert "token-claimed" in kinds and "enrolment-issued" not in kinds


@pytest.mark.parametrize(
    ("route", "body", "headers", "status", "code"),
    [
        ("register", {}, {}, 400, "bad-query"),
        ("register", [], {}, 400, "bad-query"),
        ("register", {"enrolment": 7}, {}, 400, "bad-query"),
        ("register", {"enrolment": "x" * 201}, {}, 400, "bad-query"),
        ("register", {"enrolment": "x" * 5000}, {}, 400, "bad-query"),
        ("register", {"enrolment": "guess"}, {}, 404, "enrolment-unknown"),
        ("register", {"enrolment": "x"}, {"Idempotency_Key": "short"}, 400, "bad-query"),
        ("register", {"enrolment": "x"}, {"Idempotency_Key": "x" * 129}, 400, "bad-query"),
        ("heartbeat", {"machine_id": MAC}, {}, 401, "agent-token-unknown"),
        ("heartbeat", {"machine_id": MAC}, {"Authorization": "Basic x"}, 401,
         "agent-token-unknown"),
        ("heartbeat", {"machine_id": MAC}, {"Authorization": "Bearer x"}, 401,
         "agent-token-unknown"),
        ("heartbeat", {"machine_id": MAC, "agent": "a\nb"}, {"Authorization": "Bearer x"}, 400,
         "bad-query"),
        ("heartbeat", {"machine_id": "x"}, {"Authorization": "Bearer x"}, 400, "bad-mac"),
        ("token/refresh", {"machine_id": MAC}, {}, 400, "bad-query"),
        ("token/refresh", {"machine_id": MAC, "old_token": "x"}, {}, 401, "agent-token-unknown"),
    ],
)  # fmt: skip
async def test_what_is_no_request_of_an_agent_is_refused_in_the_one_envelope(
    lab: Lab, route: str, body: object, headers: dict[str, str], status: int, code: str
) -> None:
    response = await post(lab, route, body, **headers)
    error = (await response.json())["error"]
    assert (response.status, error["code"]) == (status, code)
    assert sorted(error) == ["code", "details", "hint", "message", "request_id"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 4000, b"x" * 100_000])
async def test_a_body_that_is_no_json_is_refused(lab: Lab, data: bytes) -> None:
    response = await lab.client.post(f"{lab.url}/v1/agents/register", data=data)
    assert response.status == 400
    assert (await response.json())["error"]["code"] == "bad-query"


async def test_strangers_who_guess_are_counted_and_not_recorded(lab: Lab) -> None:
    before = len(audit.events(lab.deps.state))
    for _ in range(5):
        await beat(lab, "guess")
        await post(lab, "register", {"enrolment": "guess"})
    assert len(audit.events(lab.deps.state)) == before
    counted = {(row.reason, row.count) for row in lab.deps.strangers.take()}
    assert counted == {("agent-token-unknown", 5), ("enrolment-unknown", 5)}


async def test_no_secret_of_an_agent_is_logged(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    secret = await rendered_secret(lab)
    told = await (await post(lab, "register", {"enrolment": secret})).json()
    await beat(lab, told["token"])
    body = {"machine_id": MAC, "old_token": told["token"]}
    new = await (await post(lab, "token/refresh", body)).json()
    await post(lab, "token/refresh", body)
    text = caplog.text + repr([record.__dict__ for record in caplog.records])
    for value in (secret, told["token"], new["token"]):
        assert value not in text
