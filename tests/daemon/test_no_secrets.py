"""A whole run, with all that goes wrong in one, and then no secret of it in anything that was
written: logs at their most talkative, metrics, the audit log, the state, and answers to others."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from goosed_daemon import admin_tokens, logs
from goosed_daemon.admin_tokens import Role
from goosed_daemon.home import Home
from goosed_daemon.state import open_state
from tests.cli.test_remote import make_site
from tests.daemon.postgres import PASSWORD, database
from tests.daemon.state_backends import MAC
from tests.daemon.test_web_serve import daemon

WORD = re.compile(r"[A-Za-z0-9_-]{43,}")


class Client:
    """Asks, and keeps every answer."""

    def __init__(self, url: str) -> None:
        self._where = urlsplit(url).netloc
        self.answers: list[str] = []

    def __call__(
        self, method: str, path: str, token: str = "", body: object = None, **headers: str
    ) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            named["Content-Type"], data = "application/json", json.dumps(body)
        connection = HTTPConnection(self._where, timeout=30)
        with closing(connection), suppress(ConnectionError):
            connection.request(method, path, data, named)
            text = connection.getresponse().read().decode("utf-8", "replace")
            self.answers.append(text)
            return text
        return ""


def words(text: str) -> set[str]:
    """What in `text` could be a secret: long words that are no digests."""
    return {word for word in WORD.findall(text) if not re.fullmatch(r"[0-9a-f]{64}", word)}


def dump(home: Path, dsn: str | None) -> str:
    """All that the state holds."""
    if dsn is None:
        with closing(sqlite3.connect(home / "state.db")) as opened:
            return "\n".join(opened.iterdump())
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(
            "select tablename from pg_tables where schemaname = 'public'"
        ).fetchall()
        rows = [
            connection.execute(f"select * from {name}".encode()).fetchall() for (name,) in tables
        ]
    return repr(rows)


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
def test_no_secret_is_written_anywhere(tmp_path: Path, backend: str) -> None:
    site, now = make_site(tmp_path / "site"), datetime.now(UTC)
    dsn = database(tmp_path) if backend == "postgres" else None
    environ = {"DB_DSN": dsn} if dsn else {}
    with closing(open_state(Home(site), dsn, now)) as state:
        admin, viewer, ended = (
            admin_tokens.new(state, name, role, timedelta(days=1), now, "test")[1]
            for name, role in (("a", Role.ADMIN), ("v", Role.VIEWER), ("e", Role.ADMIN))
        )
        admin_tokens.revoke(state, "e", now, "test")
    secrets = {admin, viewer, ended, PASSWORD}
    wrong = "goose_admin_" + "ab" * 48
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    with daemon(site, log=log, GOOSED_LOG_LEVEL="debug", **environ) as (process, url):
        ask = Client(url)
        # An install, from arming to a report, with everything tried twice.
        ask("POST", "/v1/machines/web1/arm", admin)
        script = ask("GET", f"/v1/boot/ipxe?mac={MAC}")
        token = re.search(r"token=([\w-]+)", script)
        assert token is not None
        boot = token[1]
        ask("HEAD", f"/v1/render/kickstart?token={boot}")
        ask("GET", f"/v1/render/preseed?token={boot}")
        rendered = ask("GET", f"/v1/render/kickstart?token={boot}")
        found = words(rendered)
        secrets |= found | {boot}
        assert len(found) >= 2, "a callback's secret and an enrolment's"
        ask("GET", f"/v1/render/kickstart?token={boot}")
        (callback,) = re.findall(r"progress\?token=([\w-]+)", rendered)[:1]
        for step in ("started", "installed", "nonsense"):
            ask("POST", f"/v1/machines/{MAC}/progress?token={callback}&step={step}")
        # An agent, up to the re-use that ends it.
        issued = json.loads(ask("POST", "/v1/agents/web1/re-enrol", admin, {}))
        enrolment = issued["enrolment"]
        first = json.loads(ask("POST", "/v1/agents/register", body={"enrolment": enrolment}))
        agent = {"machine_id": MAC, "old_token": first["token"]}
        second = json.loads(ask("POST", "/v1/agents/token/refresh", body=agent))
        secrets |= {enrolment, first["token"], second["token"]}
        ask("POST", "/v1/agents/heartbeat", second["token"], {"machine_id": MAC})
        ask("POST", "/v1/agents/token/refresh", body=agent)
        ask("POST", "/v1/agents/heartbeat", second["token"], {"machine_id": MAC})
        ask("POST", "/v1/agents/register", body={"enrolment": enrolment})
        # Administration: with the right token, and with every wrong one in every wrong place.
        told = json.loads(ask("POST", "/v1/tokens", admin, {"machine": "web1"}))
        made = ask("POST", "/v1/admin-tokens", admin, {"name": "n", "role": "viewer"})
        secrets |= {told["token"], json.loads(made)["token"]}
        own_places = len(ask.answers)
        for secret in [admin, ended, wrong, boot, second["token"], told["token"]]:
            ask("GET", "/v1/machines", secret)
            ask("GET", f"/v1/machines?access_token={secret}")
            ask("GET", "/v1/machines", Authorization=f"Basic {secret}")
            ask("DELETE", f"/v1/tokens/{secret}", viewer)
            ask("GET", "/healthz", User_Agent=f"x {secret}", X_Request_ID=secret[:64])
            ask("GET", f"/nothing/{secret}")
            ask("GET", f"/v1/artifacts/site-base/{secret}")
            ask("PATCH", f"/v1/machines/{secret}")
            ask("GET", f"/v1/boot/ipxe?mac={secret}")
            ask("GET", f"/v1/render/kickstart?TOKEN={secret}&%74oken={secret}")
            ask("POST", "/v1/agents/heartbeat", secret, {"machine_id": secret})
            ask("POST", "/v1/agents/register", body={"enrolment": secret, "x": secret})
        for path in ("machines/web1", "machines", "tokens", "audit", "audit/refusals", "agents",
                     "agents/web1", "admin-tokens", "bundles"):  # fmt: skip
            ask.answers[own_places:] = []  # those above told a client what it had sent itself
            read = ask("GET", f"/v1/{path}?limit=1000" if "/web1" not in path else f"/v1/{path}",
                       admin)  # fmt: skip
            assert '"items"' in read or '"name"' in read, read
            assert not [secret for secret in secrets if secret in read], path
        metrics = ask("GET", "/metrics")
        # Failures of ours: the state goes away under a request.
        if dsn is None:
            with closing(sqlite3.connect(site / "state.db")) as broken:
                broken.execute("alter table tokens rename to lost")
        else:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("alter table tokens rename to lost")
        for path in (
            f"/v1/render/kickstart?token={boot}",
            "/v1/tokens",
            f"/v1/boot/ipxe?mac={MAC}",
        ):
            assert boot not in ask("GET", path, admin)
        process.terminate()
        process.wait(30)
    written = {
        "log": (tmp_path / "log").read_text(),
        "metrics": metrics,
        "state": dump(site, dsn),
    }
    assert len(written["log"].splitlines()) > 80 and "token-claimed" in written["state"]
    for place, text in written.items():
        # The key in the site's folder and the DSN are where they belong; these are not.
        leaked = [secret for secret in (*secrets, wrong) if secret in text]
        assert leaked == [], place
    lines = [json.loads(line) for line in written["log"].splitlines()]
    assert all("Traceback" not in line["message"] for line in lines)


@pytest.mark.parametrize("words", [["machine", "list"], ["db", "status"], ["doctor"]])
def test_a_database_that_refuses_is_named_without_its_password(
    tmp_path: Path, words: list[str]
) -> None:
    dsn = database(tmp_path)
    bad = dsn.replace(PASSWORD, "hunter2hunter2")
    done = subprocess.run(
        [sys.executable, "-m", "goosectl", *words, "-v"],
        env={"PATH": os.environ["PATH"], "GOOSE_HOME": str(tmp_path), "DB_DSN": bad},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "hunter2" not in done.stdout + done.stderr


def test_what_looks_like_a_secret_is_hidden_wherever_it_stands() -> None:
    boot, agent = "aB3_" + "x-Y9" * 9 + "zzz", "Qu" * 47
    for secret in (boot, agent, "goose_admin_" + "0f" * 48):
        for text in (f"/v1/tokens/{secret}", secret, f'"{secret}"', f"Bearer {secret}, x"):
            assert secret not in logs.redact(text) and logs.HIDDEN in logs.redact(text), text
    digest = "sha256:" + "0f" * 32
    for kept in (
        digest,
        "xX" * 21,
        "x" * 80,
        "rhel9/images/pxeboot/vmlinuz",
        "kernel-core-5.14.0-x86_64.rpm",
    ):
        assert logs.redact(kept) == kept
