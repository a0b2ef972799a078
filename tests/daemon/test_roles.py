"""Three processes of one site, each with one role, over one PostgreSQL and one bucket."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from bundles import __version__
from goosed_daemon import machines
from goosed_daemon.errors import BadSetting
from goosed_daemon.home import Home
from goosed_daemon.settings import Settings
from goosed_daemon.state import open_state
from tests.daemon.content import make_store
from tests.daemon.postgres import database
from tests.daemon.state_backends import MAC
from tests.daemon.test_web_serve import daemon
from tests.daemon.web_site import FILES, PROFILES
from tests.s3_server import S3Server, environment

ROLES = ("bootd", "api", "orchestrator")


@pytest.fixture
def rack(tmp_path: Path, s3: Callable[[], S3Server]) -> Iterator[dict[str, str]]:
    """The URL of each role, at a site where `MAC` is armed."""
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "site.yaml").write_text(PROFILES)
    address = s3().bucket()
    make_store(address, FILES)
    dsn = database(tmp_path)
    environ = {"DB_DSN": dsn, **environment(address)}
    with ExitStack() as closing:
        urls: dict[str, str] = {}
        for role in ("api", "bootd", "orchestrator"):
            log = closing.enter_context(open(tmp_path / f"{role}.log", "w"))
            if role == "bootd":
                environ["GOOSED_API_URL"] = urls["api"]
            started = daemon(tmp_path, log=log.fileno(), GOOSED_ROLES=role, **environ)
            _, urls[role] = closing.enter_context(started)
        state = open_state(Home(tmp_path), dsn, datetime.now(UTC))
        closing.callback(state.close)
        machines.arm(state, MAC, 3, datetime.now(UTC), "operator")
        yield urls


def ask(url: str, body: object = None, **headers: str) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    headers |= {"Content-Type": "application/json"} if body is not None else {}
    try:
        with urlopen(Request(url, data, headers), timeout=20) as response:
            return response.status, response.read().decode(errors="replace")
    except HTTPError as error:
        return error.code, error.read().decode()


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    assert match is not None, text
    return match[1]


def test_a_machine_is_installed_and_enrolled_by_processes_of_one_role_each(
    rack: dict[str, str],
) -> None:
    _, script = ask(f"{rack['bootd']}/v1/boot/ipxe?mac={MAC}")
    status, kickstart = ask(found(r"inst\.ks=(\S+)", script))
    assert status == 200
    report = found(rf"({rack['api']}/v1/machines/\S+/progress\?token=[^\s&'\"]+)", kickstart)
    assert ask(f"{report}&step=installed", {})[0] == 204
    assert f"'url=%s\\n' {rack['api']} " in kickstart
    enrolment = found(r"printf 'enrolment=%s\\n' (\S+) ", kickstart)
    status, told = ask(f"{rack['api']}/v1/agents/register", {"enrolment": enrolment})
    assert status == 200
    token, said = json.loads(told)["token"], {"machine_id": MAC, "agent": "test/1"}
    beat = ask(f"{rack['api']}/v1/agents/heartbeat", said, Authorization=f"Bearer {token}")
    assert beat[0] == 200, beat
    # What bootd and the api saw, the orchestrator makes a whole of.
    end = time.monotonic() + 20
    while 'goosed_workflows{state="ready"} 1.0' not in (
        metrics := ask(f"{rack['orchestrator']}/metrics")[1]
    ):
        assert time.monotonic() < end, metrics
        time.sleep(0.5)


def test_each_serves_what_is_its_role_and_nothing_else(rack: dict[str, str]) -> None:
    wanted = {"/boot.ipxe": "bootd", "/v1/artifacts/site-base/rhel9/empty": "bootd"}
    wanted |= {"/v1/machines": "api", "/v1/agents/heartbeat": "api"}
    for path, owner in wanted.items():
        for role, url in rack.items():
            status, text = ask(url + path, {} if "agents" in path else None)
            if role == owner:
                assert status in (200, 400, 401), (path, role, text)
            else:
                assert (status, json.loads(text)["error"]["code"]) == (404, "role-elsewhere")


@pytest.mark.parametrize("role", ROLES)
def test_each_is_watched_under_its_own_name(rack: dict[str, str], role: str) -> None:
    assert ask(f"{rack[role]}/healthz") == (200, "ok\n")
    status, text = ask(f"{rack[role]}/readyz")
    assert (status, json.loads(text)["ready"]) == (200, True)
    assert ("store" in json.loads(text)["checks"]) == (role != "orchestrator")
    named = set(re.findall(r'http_server_duration_seconds_count{.*service="([^"]+)"',
                           ask(f"{rack[role]}/metrics")[1]))  # fmt: skip
    assert named == {f"goosed-{role}"}


def test_a_scrape_tells_of_the_process_and_of_what_it_stands_on(rack: dict[str, str]) -> None:
    time.sleep(1.5)  # a beat of the loop
    for role, url in rack.items():
        text = ask(f"{url}/metrics")[1]
        assert f'goosed_build_info{{service="goosed-{role}",version="{__version__}"}} 1.0' in text
        assert float(found(r"^goosed_event_loop_lag_seconds_count (\S+)", text)) >= 1
        assert float(found(r'^goosed_db_connections{state="open"} (\S+)', text)) >= 1
        assert found(r"^goosed_bundle_versions (\S+)", text) == "1.0"
        assert float(found(r"^goosed_last_import_timestamp_seconds (\S+)", text)) > 1.7e9


def test_a_role_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="GOOSED_ROLES: 'dhcp' is no role; roles are bootd, api"):
        Settings.load({"GOOSE_HOME": str(tmp_path), "GOOSED_ROLES": "bootd,dhcp"})


@pytest.mark.parametrize(("roles", "listens"), [("bootd", True), ("api,orchestrator", False)])
def test_the_boot_listener_is_of_bootd(tmp_path: Path, roles: str, listens: bool) -> None:
    settings = Settings.load({"GOOSE_HOME": str(tmp_path), "GOOSED_ROLES": roles})
    assert (settings.boot_listen is not None) == listens
