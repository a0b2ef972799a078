"""The administration over HTTP: who may, what is answered, what is written down. On both states."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from goosed_daemon import admin_tokens, audit, audit_chain, machines
from goosed_daemon.admin import operations
from goosed_daemon.admin_tokens import Role
from goosed_daemon.web import access, current, limits
from tests.daemon.postgres import database
from tests.daemon.state_backends import MAC, NOW, OTHER
from tests.daemon.web_site import PROFILES, Lab, running

MORE = "".join(
    f"---\napiVersion: goose/v1\nkind: Machine\nname: db{n}\nmac: 52:54:00:00:01:{n:02x}\n"
    f"profile: rhel9-base\nlabels:\n  rack: r{n % 2}\n"
    for n in range(1, 8)
)


@pytest.fixture(params=["sqlite", "postgres"])
async def lab(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Lab]:
    environ = {"DB_DSN": database(tmp_path)} if request.param == "postgres" else {}
    async with running(tmp_path / "site", PROFILES + MORE, **environ) as lab:
        yield lab


def bearer(lab: Lab, role: Role = Role.ADMIN, name: str = "") -> dict[str, str]:
    name = name or str(role)
    made = admin_tokens.new(lab.deps.state, name, role, timedelta(days=1), lab.clock.now, "x")
    return {"Authorization": f"Bearer {made[1]}"}


class Asking:
    """A client with a token."""

    def __init__(self, lab: Lab, headers: dict[str, str]) -> None:
        self.lab, self.headers = lab, headers

    async def __call__(
        self, method: str, path: str, body: object = None, **query: object
    ) -> tuple[int, Any]:
        url = URL(self.lab.url + path).update_query({k: str(v) for k, v in query.items()})
        more = {"json": body} if body is not None else {}
        async with self.lab.client.request(method, url, headers=self.headers, **more) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def all(self, path: str, **query: object) -> list[Any]:
        """Every item, page by page."""
        found: list[Any] = []
        while True:
            status, page = await self("GET", path, **query)
            assert status == 200, page
            found += page["items"]
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]


@pytest.fixture
def ask(lab: Lab) -> Asking:
    return Asking(lab, bearer(lab))


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["code"]


def concrete(path: str) -> str:
    """`path` with something in place of its variables."""
    return re.sub(r"{\w+}", "0" * 32, path)


async def test_every_operation_asks_for_a_token_of_its_role(lab: Lab) -> None:
    bearers = {role: bearer(lab, role) for role in Role}

    async def status(operation: Any, headers: dict[str, str]) -> tuple[int, str]:
        url = lab.url + concrete(operation.path)
        async with lab.client.request(operation.method, url, headers=headers) as response:
            return response.status, response.headers.get("WWW-Authenticate", "")

    for operation in operations.ALL:
        assert await status(operation, {}) == (401, 'Bearer realm="goose"'), operation.path
        for role in Role:
            found, challenge = await status(operation, bearers[role])
            if role.may(operation.role):
                assert found not in (401, 403), (operation.path, role)
            else:
                assert found == 403, (operation.path, role)
                assert f'error="insufficient_scope", scope="{operation.role}"' in challenge


async def test_what_is_no_bearer_token_opens_nothing(lab: Lab) -> None:
    for wrong in ("Basic eDp5", "Bearer", "Bearer ", "bearer goose_admin_x", "x", "Bearer a b"):
        response = await lab.get("/v1/machines", Authorization=wrong)
        assert response.status == 401, wrong
        assert response.headers["WWW-Authenticate"].startswith('Bearer realm="goose"')


async def test_a_wrong_token_is_told_so_as_rfc_6750_has_it(lab: Lab) -> None:
    headers = {"Authorization": "Bearer goose_admin_" + "0" * 96}
    async with lab.client.get(f"{lab.url}/v1/machines", headers=headers) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="goose", error="invalid_token"'
        assert (await response.json())["error"]["code"] == "bad-admin-token"


async def test_a_token_in_the_query_is_none(lab: Lab) -> None:
    secret = bearer(lab)["Authorization"].removeprefix("Bearer ")
    response = await lab.get(f"/v1/machines?access_token={secret}")
    assert response.status == 401


async def test_a_revoked_token_ends_at_once(lab: Lab, ask: Asking) -> None:
    other = Asking(lab, bearer(lab, Role.VIEWER, "night"))
    assert (await other("GET", "/v1/machines"))[0] == 200
    assert (await ask("DELETE", "/v1/admin-tokens/night"))[1]["state"] == "revoked"
    assert code(await other("GET", "/v1/machines")) == (401, "bad-admin-token")


async def test_too_many_wrong_tokens_from_an_address_are_held_back(lab: Lab) -> None:
    good = Asking(lab, bearer(lab))
    assert (await good("GET", "/v1/bundles"))[0] == 200
    late = Asking(lab, bearer(lab, Role.VIEWER, "late"))
    bad = Asking(lab, {"Authorization": "Bearer goose_admin_" + "0" * 96})
    for _ in range(access.FAILURES):
        assert code(await bad("GET", "/v1/bundles")) == (401, "bad-admin-token")
    async with lab.client.get(f"{lab.url}/v1/bundles", headers=bad.headers) as response:
        assert response.status == 429 and int(response.headers["Retry-After"]) >= 1
    # Who was good a moment ago works on; who was not yet seen waits with the attacker.
    assert (await good("GET", "/v1/bundles"))[0] == 200
    assert code(await late("GET", "/v1/bundles")) == (429, "too-many-failures")
    lab.clock.forward(timedelta(seconds=access.EVERY))
    assert (await late("GET", "/v1/bundles"))[0] == 200
    assert code(await bad("GET", "/v1/bundles")) == (401, "bad-admin-token")
    assert code(await bad("GET", "/v1/bundles")) == (429, "too-many-failures")
    (counted,) = [one for one in lab.deps.strangers.take() if one.reason == "bad-admin-token"]
    assert counted.count == access.FAILURES + 1


def test_guessers_do_not_fill_the_memory_and_share_their_network() -> None:
    failures = access.failures(lambda: 0.0)
    for number in range(access.FAILURES):
        assert failures.wait(limits.bucket_of("2001:db8:1::ffff")) == 0
        failures.take(limits.bucket_of(f"2001:db8:1::{number:x}"))
    assert failures.wait(limits.bucket_of("2001:db8:1::ffff")) == access.EVERY
    assert failures.wait(limits.bucket_of("2001:db8:2::1")) == 0
    for number in range(limits.MOST + 10):
        failures.take(f"{number}")
    assert len(failures) == limits.MOST


async def test_arming_is_done_as_the_tokens_name(lab: Lab, ask: Asking) -> None:
    status, done = await ask("POST", "/v1/machines/WEB1/arm".lower(), {"tries": 2})
    assert (status, done["armed"], done["tries_left"], done["mac"]) == (200, True, 2, MAC)
    assert audit.events(lab.deps.state)[-1].actor == "api:admin"
    assert (await ask("GET", f"/v1/machines/{MAC.upper()}/why"))[1]["outcome"] == "install"
    assert (await ask("POST", "/v1/machines/web1/arm"))[1]["tries_left"] == 3
    done = (await ask("POST", "/v1/machines/web1/disarm"))[1]
    assert (done["armed"], done["tries_left"]) == (False, 0)


async def test_a_machine_is_forgotten(lab: Lab, ask: Asking) -> None:
    lab.arm()
    secret = await lab.token()
    await lab.get(f"/v1/render/kickstart?token={secret}")
    await lab.token()
    status, would = await ask("DELETE", "/v1/machines/web1", dry_run="true")
    assert (status, would["forgotten"], would["armed"]) == (200, False, True)
    assert would["rows"]["tokens"] == 2 and would["rows"]["machines"] == 1 and would["token"]
    assert machines.show(lab.deps.state, MAC) is not None
    done = (await ask("DELETE", "/v1/machines/web1"))[1]
    assert done == would | {"forgotten": True}
    assert code(await ask("DELETE", "/v1/machines/web1")) == (404, "machine-unknown")
    assert (await ask("GET", "/v1/machines/web1"))[1]["state"] is None
    assert await ask.all("/v1/tokens") == []
    assert (await lab.get(f"/v1/render/kickstart?token={secret}")).status == 404
    assert "not armed" in await lab.script()
    kinds = [event.kind for event in audit.events(lab.deps.state, mac=MAC)]
    assert kinds[-2:] == ["token-ended", "machine-forgotten"]
    assert audit_chain.verify(lab.deps.state).faults == ()


async def test_a_token_is_issued_listed_and_revoked(lab: Lab, ask: Asking) -> None:
    status, made = await ask("POST", "/v1/tokens", {"machine": "web1", "ttl": "5m"})
    assert status == 201 and made["expires_at"] == "2026-11-24T12:05:00Z"
    assert made["url"] == f"{lab.url}/v1/render/kickstart?token={made['token']}"
    (row,) = await ask.all("/v1/tokens", state="active")
    assert row["issued_to"] == "api:admin" and made["token"] not in json.dumps(row)
    assert (await ask("DELETE", f"/v1/tokens/{made['id']}"))[1]["state"] == "revoked"
    assert await ask.all("/v1/tokens", state="active") == []
    assert len(await ask.all("/v1/tokens", state="ended", machine=MAC)) == 1
    assert code(await ask("DELETE", "/v1/tokens/nonsense")) == (400, "usage")
    missing = "00000000-0000-4000-8000-000000000000"
    assert code(await ask("DELETE", f"/v1/tokens/{missing}")) == (404, "token-unknown")


async def test_tokens_are_told_apart_by_state(lab: Lab, ask: Asking) -> None:
    tokens = lab.deps.tokens
    minute = timedelta(minutes=1)
    tokens.claim(tokens.issue(MAC, NOW, minute, "x").secret, NOW, "192.0.2.1")
    tokens.issue(OTHER, NOW, minute, "x")
    lab.clock.forward(2 * minute)
    tokens.issue(OTHER, lab.clock.now, minute, "x")
    tokens.issue(OTHER, lab.clock.now, minute, "x")
    states = [token["state"] for token in await ask.all("/v1/tokens")]
    assert sorted(states) == ["active", "expired", "superseded", "used"]
    for state, expected in (("used", "used"), ("expired", "expired"), ("ended", "superseded")):
        (token,) = await ask.all("/v1/tokens", state=state)
        assert token["state"] == expected


async def test_machines_are_filtered_and_paged(lab: Lab, ask: Asking) -> None:
    for mac in ("52:54:00:00:01:02", "52:54:00:ff:00:01"):
        machines.arm(lab.deps.state, mac, 3, NOW, "x")
    expected: list[tuple[dict[str, str], list[str | None]]] = [
        ({}, ["db1", "db2", "db3", "db4", "db5", "db6", "db7", "web1", None]),
        ({"armed": "true"}, ["db2", None]),
        ({"label": "rack=r1"}, ["db1", "db3", "db5", "db7"]),
        ({"profile": "other"}, []),
        ({"outcome": "install"}, ["db2"]),
        ({"outcome": "machine-unknown"}, [None]),
        ({"armed": "false", "label": "rack=r0"}, ["db4", "db6"]),
    ]
    for query, names in expected:
        for limit in (1, 2, 3, 100):
            rows = await ask.all("/v1/machines", limit=limit, **query)
            assert [row["name"] for row in rows] == names, (query, limit)


async def test_pages_neither_repeat_nor_skip_while_others_write(lab: Lab, ask: Asking) -> None:
    for number in range(12):
        lab.deps.tokens.issue(MAC, NOW + timedelta(seconds=number), timedelta(hours=1), "x")
        machines.arm(lab.deps.state, f"52:54:00:ff:00:{number:02x}", 3, NOW, "x")
    before = {path: await ask.all(path) for path in ("/v1/audit", "/v1/tokens", "/v1/machines")}
    for path, key in (("/v1/audit", "id"), ("/v1/tokens", "id"), ("/v1/machines", "mac")):
        seen: list[Any] = []
        query: dict[str, object] = {"limit": 2}
        number = 0
        while True:
            page = (await ask("GET", path, **query))[1]
            seen += [row[key] for row in page["items"]]
            # In between: a new token and events at the front, and a machine gone that was seen.
            lab.deps.tokens.issue(OTHER, NOW + timedelta(hours=1), timedelta(hours=1), "x")
            if path == "/v1/machines" and number == 5:
                assert (await ask("DELETE", f"/v1/machines/{seen[9]}"))[0] == 200
            number += 1
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
        assert len(seen) == len(set(seen)), path
        assert {row[key] for row in before[path]} <= set(seen), path


async def test_a_forged_cursor_is_refused(ask: Asking) -> None:
    paths = ("machines", "tokens", "audit", "audit/refusals", "bundles", "admin-tokens")
    forged = ["x", "W10", "bnVsbA", "e30", "WzFd", "WyJhIiwiYiJd", "ü", "W" * 150, "WyJcdTAwMDAiXQ"]
    for path in paths:
        for cursor in forged:
            status, told = await ask("GET", f"/v1/{path}", cursor=cursor)
            place_of_another_list = status == 200 and told["items"] == []
            assert place_of_another_list or code((status, told)) == (400, "bad-query"), told


async def test_a_parameter_of_another_form_is_named(ask: Asking) -> None:
    wrong: list[tuple[str, str, str]] = [
        ("machines", "limi", "1"), ("machines", "limit", "0"), ("machines", "limit", "1001"),
        ("machines", "limit", "+1"), ("machines", "armed", "yes"), ("machines", "label", "x"),
        ("machines/web1", "events", "1.0"), ("tokens", "state", "lost"),
        ("audit", "since", "yesterday"), ("audit", "since", "2026-11-24T12:00:00"),
        ("audit", "kind", "a\0b"), ("machines/web1/why", "uuid", ""),
    ]  # fmt: skip
    for path, name, value in wrong:
        status, told = await ask("GET", f"/v1/{path}", **{name: value})
        assert code((status, told)) == (400, "bad-query"), (path, name, value)
        assert name in told["error"]["message"]


async def test_a_parameter_given_twice_is_refused(lab: Lab, ask: Asking) -> None:
    response = await lab.get("/v1/machines?limit=1&limit=2", **ask.headers)
    assert response.status == 400


async def test_a_body_of_another_form_is_named_and_not_repeated(ask: Asking) -> None:
    wrong: list[tuple[object, str]] = [
        ({}, "machine: Field required"), ({"machine": 1}, "machine: "), ([], "body: "),
        ({"machine": "web1", "mac": MAC}, "mac: Extra"), ({"machine": ""}, "machine: "),
        ({"machine": "a\0"}, "machine: "), ({"machine": "x" * 300}, "machine: "),
    ]  # fmt: skip
    for body, words in wrong:
        status, told = await ask("POST", "/v1/tokens", body)
        assert code((status, told)) == (400, "bad-body"), body
        assert words in told["error"]["message"] and "x" * 200 not in json.dumps(told)


async def test_a_body_that_is_no_json_is_refused(lab: Lab, ask: Asking) -> None:
    wrong: list[tuple[bytes, str, tuple[int, str]]] = [
        (b"{", "application/json", (400, "bad-body")),
        (b"\xff", "application/json", (400, "bad-body")),
        (b'{"machine": "web1"}', "text/plain", (415, "no-json")),
        (b"{" + b" " * 70_000 + b"}", "application/json", (413, "body-too-large")),
        (b"[" * 30_000, "application/json", (400, "bad-body")),
    ]
    for data, kind, expected in wrong:
        headers = ask.headers | {"Content-Type": kind}
        async with lab.client.post(f"{lab.url}/v1/tokens", data=data, headers=headers) as response:
            assert code((response.status, await response.json())) == expected


async def test_the_audit_log_is_read_by_filters(lab: Lab, ask: Asking) -> None:
    lab.arm()
    lab.clock.forward(timedelta(hours=1))
    await ask("POST", "/v1/machines/web1/disarm")
    await ask("POST", "/v1/machines/db1/arm")
    of = {"machine": "web1"}
    assert [e["kind"] for e in await ask.all("/v1/audit", **of)] == [
        "machine-disarmed", "machine-armed",
    ]  # fmt: skip
    later = {"since": "2026-11-24T13:00:00Z"}
    assert len(await ask.all("/v1/audit", actor="api:admin", **later)) == 2
    assert await ask.all("/v1/audit", until="2026-11-24T12:00:00Z") == []
    assert len(await ask.all("/v1/audit", kind="machine-armed")) == 2
    assert await ask.all("/v1/audit", since="9999-12-31T23:59:59-23:59") == []
    assert await ask.all("/v1/audit", until="0001-01-01T00:00:00+23:59") == []


async def test_the_audit_log_is_checked_against_an_anchor(lab: Lab, ask: Asking) -> None:
    lab.arm()
    found = (await ask("POST", "/v1/audit/verify", {"seal": True}))[1]
    assert found["faults"] == [] and found["waiting"] == 0 and found["last"]["seal"] == 1
    again = (await ask("POST", "/v1/audit/verify", {"anchor": found["last"]}))[1]
    assert again == found
    wrong = {"seal": 1, "digest": "0" * 64}
    (fault,) = (await ask("POST", "/v1/audit/verify", {"anchor": wrong}))[1]["faults"]
    assert "not the one of the anchor" in fault
    (fault,) = (await ask("POST", "/v1/audit/verify", {"anchor": wrong | {"seal": 9}}))[1]["faults"]
    assert "cut off" in fault


async def test_refusals_of_strangers_are_paged(lab: Lab, ask: Asking) -> None:
    for number in range(5):
        await lab.script(f"52:54:00:00:00:{number:02x}")
        lab.clock.forward(timedelta(seconds=1))
    audit.tally(lab.deps.state, lab.deps.strangers.take())
    rows = await ask.all("/v1/audit/refusals", limit=2)
    assert [row["mac"][-1] for row in rows] == ["4", "3", "2", "1", "0"]
    assert {row["reason"] for row in rows} == {"machine-unknown"}


async def test_wrong_profiles_stop_no_disarming(lab: Lab, ask: Asking) -> None:
    lab.arm()
    lab.write_profiles("kind: Sit\n")
    status, told = await ask("POST", "/v1/machines/web1/arm")
    assert code((status, told)) == (503, "invalid-document")
    assert told["error"]["details"]["problems"][0]["line"] == 1
    status, done = await ask("POST", f"/v1/machines/{MAC}/disarm")
    assert (status, done["armed"]) == (200, False) and "taken as it is" in done["remarks"][0]
    status, page = await ask("GET", "/v1/machines")
    assert page["items"][0]["outcome"] == "profile-invalid" and page["remarks"]


async def test_every_reason_is_told_in_the_words_of_the_screen(
    lab: Lab, ask: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "LOOK_EVERY", 0.0)

    async def told(code: str, words: str, mac: str = MAC) -> None:
        found = (await ask("GET", f"/v1/machines/{mac}/why"))[1]
        assert (found["outcome"], words in found["why"]) == (code, True), found
        shown = (await ask("GET", f"/v1/machines/{mac}"))[1]
        assert (shown["outcome"], shown["why"]) == (code, found["why"])
        listed = {row["mac"]: row["outcome"] for row in await ask.all("/v1/machines")}
        assert listed.get(mac, code) == code
        if code != "install":
            script = await lab.script(mac)
            assert f"echo goose: {found['why']}" in script and "sanboot" in script

    await told("machine-unknown", f"no machine has MAC {OTHER}", OTHER)
    await told("machine-not-armed", "it is not armed")
    lab.deps.tokens.issue(MAC, NOW, timedelta(minutes=1), "x")
    await told("install", "a boot token waits for it until 2026-11-24 12:01:00 UTC")
    lab.clock.forward(timedelta(minutes=2))
    await told("machine-not-armed", "its last boot token expired at 2026-11-24 12:01:00 UTC")
    secret = lab.deps.tokens.issue(MAC, lab.clock.now, timedelta(minutes=1), "x").secret
    await lab.get(f"/v1/render/kickstart?token={secret}")
    await told("machine-not-armed", "its last boot token was used at 2026-11-24 12:02:00 UTC")
    lab.clock.forward(timedelta(seconds=1))
    lab.arm(tries=1)
    await told("install", "it is armed, and 1 try is left")
    await lab.get(f"/v1/render/kickstart?token={await lab.token()}")
    await told(
        "tries-exhausted", "has used up the tries it was armed with; its last boot token was"
    )
    lab.clock.forward(timedelta(seconds=1))
    lab.arm()
    await lab.token()
    machines.disarm(lab.deps.state, MAC, lab.clock.now, "x")
    await told("machine-not-armed", "was ended at 2026-11-24 12:02:02 UTC: disarmed")
    machines.disarm(lab.deps.state, MAC, lab.clock.now, "x", "installed")
    await told("machine-not-armed", "it is installed")
    lab.arm()
    lab.write_profiles(PROFILES.replace("vmlinuz", "no-such-kernel"))
    await told("artifact-missing", "needs rhel9/images/pxeboot/no-such-kernel")
    lab.write_profiles(PROFILES.replace("bundle: site-base", "bundle: other"))
    await told("artifact-missing", "needs bundle other, which is not imported")
    lab.write_profiles(PROFILES.replace("installer:", "instaler:"))
    await told("profile-invalid", "the infra profiles have errors that stop machine web1: ")


async def test_admin_tokens_are_made_and_ended_over_http(lab: Lab, ask: Asking) -> None:
    order = {"name": "night", "role": "viewer", "ttl": "1h"}
    status, made = await ask("POST", "/v1/admin-tokens", order)
    assert status == 201 and made["expires_at"] == "2026-11-24T13:00:00Z"
    assert code(await ask("POST", "/v1/admin-tokens", order)) == (409, "admin-token-exists")
    viewer = Asking(lab, {"Authorization": f"Bearer {made['token']}"})
    assert (await viewer("GET", "/v1/machines"))[0] == 200
    assert code(await viewer("POST", "/v1/machines/web1/arm")) == (403, "role-too-low")
    rows = await ask.all("/v1/admin-tokens", limit=1)
    assert sorted(row["name"] for row in rows) == ["admin", "night"]  # both of one moment
    assert made["token"] not in json.dumps(rows)
    lab.clock.forward(timedelta(hours=1))
    assert code(await viewer("GET", "/v1/machines")) == (401, "bad-admin-token")
    assert code(await ask("DELETE", "/v1/admin-tokens/nobody")) == (404, "admin-token-unknown")
    for bad in ({"role": "root"}, {"name": "operator:x"}, {"ttl": "9999d"}):
        assert (await ask("POST", "/v1/admin-tokens", order | bad))[0] == 400


async def test_an_answer_is_kept_by_no_cache(lab: Lab, ask: Asking) -> None:
    for path in ("/v1/machines", "/v1/bundles"):
        response = await lab.get(path, **ask.headers)
        assert response.headers["Cache-Control"] == "no-store"
        assert (await lab.get(path, "HEAD", **ask.headers)).status == 200
        assert (await lab.get(path, "HEAD")).status == 401
