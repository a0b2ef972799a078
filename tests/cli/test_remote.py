"""goosectl --server: what is done by a daemon elsewhere is what would be done here."""

from __future__ import annotations

import json
import os
import re
import ssl
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer

from goosectl import frame
from goosectl.main import NOUNS, REMOTE, main
from goosed_daemon import admin_tokens
from goosed_daemon.home import Home
from goosed_daemon.state import open_state
from tests.cli.test_machines_and_tokens import Ran
from tests.daemon.content import make_store
from tests.daemon.test_web_serve import daemon
from tests.daemon.web_site import FILES, PROFILES

STRANGER = "52:54:00:00:00:77"
NOBODY = "00000000-0000-4000-8000-000000000000"

#: One after the other, here and there. `{id}` is the id of the token that was issued last.
COMMANDS = """
machine list
machine show web1
machine why web1
machine why 52:54:00:00:00:99
machine arm web1 --tries 2
machine arm wbe1
machine arm 52:54:00
machine arm 52:54:00:00:00:77
machine why web1
machine show web1
machine show web1 --events 1
machine list
machine list --armed
machine list --not-armed
machine list --profile rhel9-base --outcome install
machine list --label rack
workflow list
workflow list --state ready
workflow list --state lost
workflow show web1
workflow show nobody
workflow show 52:54:00:00:00:99
workflow export web1
receipt show web1
receipt show nobody
receipt show web1 --token nonsense
receipt export web1 --out receipt.json
receipt key
receipt verify receipt.json --key key.pub
token issue --mac web1 --ttl 5m
token issue --mac 52:54:00:00:00:78
token issue --mac nobody
token issue --mac web1 --ttl soon
token list
token list --mac web1 --limit 1
token list --state ended
token list --state lost
token revoke {id}
token revoke {id}
token revoke nonsense
token revoke 00000000-0000-4000-8000-000000000000
agent list
agent show web1
agent re-enrol web1 --ttl 1h
agent re-enrol web1 --ttl soon
agent list
agent show web1
agent revoke web1 --yes
agent revoke web1
agent revoke nobody --yes
rollout list
rollout status
rollout start --selector rack=r9 --dry-run
rollout start --selector {long}=r9 --dry-run
rollout start --profile rhel9-base --dry-run
rollout start --profile rhel9-base
rollout pause
rollout resume 00000000-0000-4000-8000-000000000000
rollout abort 00000000-0000-4000-8000-000000000000 --yes
rollout abort nonsense --yes
workflow cancel web1
workflow watch web1
machine disarm web1
machine disarm 52:54:00:00:00:79
machine forget web1 --dry-run
machine forget web1
machine forget web1 --yes
machine forget web1 --yes
machine show web1
admin-token new night --role viewer --ttl 1h
admin-token new night --role viewer
admin-token new x:y --role viewer
admin-token new other --role root
admin-token list
admin-token revoke night
admin-token revoke night
audit show
audit show --mac web1 --limit 3
audit show --mac wbe1
audit show --kind machine-armed
audit show --since yesterday
audit show --refused
audit show --refused --mac web1
audit verify --write-anchor {anchor}
audit verify
audit verify --anchor {anchor}
audit verify --anchor /dev/null
""".strip().splitlines()


def make_site(folder: Path) -> Path:
    (folder / "infra").mkdir(parents=True)
    (folder / "infra" / "site.yaml").write_text(PROFILES)
    make_store(folder / "store", FILES)
    key = Home(folder).install_key
    key.parent.mkdir(mode=0o700)
    key.touch(0o600)
    key.write_bytes(bytes(32))
    return folder


def plain(text: str, site: Path) -> str:
    """`text` without what no two runs have in common."""
    text = text.replace(str(site), "SITE").replace("api:parity", "ACTOR")
    text = re.sub(r"operator:\w+", "ACTOR", text)
    text = re.sub(r"goose_admin_[0-9a-f]+", "SECRET", text)
    text = re.sub(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00| UTC)?", "TIME", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", text)
    text = re.sub(r"\b[0-9a-f]{32}\b", "TRACE", text)
    text = re.sub(r"\"seconds\": ?[0-9.]+|\b\d+\.\d s\b|[▏▎▍▌▋▊▉█]+", "SECONDS", text)
    text = re.sub(r"[\w-]{43,}(?=\W|$)", "SECRET", text)
    # A daemon seals every now and then.
    text = re.sub(r"under \d+ seals|seal \d+|\"seals\": \d+", "SEALS", text)
    # Its orchestrator gives places, and ends them a moment later.
    text = re.sub(r"; 1 of places|\"places\": ?\d", "", text)
    return re.sub(r" +", " ", text)  # columns are as wide as the actor's name


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> str:
    """The admin token of a site `there`; one like it is made `here`, so that both logs match."""
    made = []
    for name in ("here", "there"):
        monkeypatch.setenv("GOOSE_HOME", str(make_site(tmp_path / name)))
        made.append(Ran(capsys, "admin-token", "new", "parity", "--role", "admin", "--json").json)
    # There it is about to be used, and lists tell so; here it is nobody's.
    with closing(open_state(Home(tmp_path / "here"), None, datetime.now(UTC))) as state:
        admin_tokens.bearer(state, made[0]["token"], datetime.now(UTC))
    token: str = made[1]["token"]
    return token


def test_every_command_gives_there_what_it_gives_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], secret: str
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    url = "http://boot.example.org"
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    monkeypatch.setenv("GOOSED_PUBLIC_URL", url)
    monkeypatch.setenv("GOOSED_LAB", "true")
    ids: dict[Path, str] = {here: NOBODY, there: NOBODY}

    def run(site: Path, command: str, how: list[str], server: str | None) -> tuple[int, str, str]:
        if server is None:
            monkeypatch.setenv("GOOSE_HOME", str(site))
            monkeypatch.delenv("GOOSE_SERVER", raising=False)
        else:
            monkeypatch.setenv("GOOSE_HOME", "/dev/null/no-site")
            monkeypatch.setenv("GOOSE_SERVER", server)
            monkeypatch.setenv("GOOSE_TOKEN", secret)
        anchor = site.parent / f"{site.name}.anchor"
        words = [
            word.format(id=ids[site], anchor=anchor, long="x" * 200) for word in command.split()
        ]
        ran = Ran(capsys, *words, *how)
        if words[:2] == ["token", "issue"] and how and ran.code == 0:
            ids[site] = ran.json["id"]
        out, err = (text.replace(str(anchor), "ANCHOR") for text in (ran.out, ran.err))
        return ran.code, plain(out, site), plain(err, site)

    with daemon(there, log=log, GOOSED_PUBLIC_URL=url) as (_, server):
        for command in COMMANDS:
            for how in ([], ["--json"]):
                expected = run(here, command, how, None)
                assert run(there, command, how, server) == expected, (command, how)
                assert expected[0] in (0, 1, 2)
                assert expected[1] or expected[2], command


def test_no_command_is_left_out_of_the_comparison() -> None:
    compared = {tuple(command.split()[:2]) for command in COMMANDS}
    for noun in REMOTE:
        app: Any = typer.main.get_command(frame.load(noun))
        for verb in app.commands:
            assert (noun, verb) in compared


class Told(BaseHTTPRequestHandler):
    """Answers as it is told to, and keeps what it was asked."""

    answer: Callable[[BaseHTTPRequestHandler], None]
    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers)))
        type(self).answer(self)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def told() -> type[Told]:
    return type("Kind", (Told,), {"asked": []})


def serve(kind: type[Told], context: ssl.SSLContext | None = None) -> tuple[HTTPServer, str]:
    server = HTTPServer(("127.0.0.1", 0), kind)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    scheme = "http" if context is None else "https"
    return server, f"{scheme}://localhost:{server.server_address[1]}"


def page(handler: BaseHTTPRequestHandler) -> None:
    body = json.dumps({"items": [], "next": None, "remarks": []}).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOSE_TOKEN", "goose_admin_secret")


def test_the_token_follows_no_redirect(
    capsys: pytest.CaptureFixture[str], told: type[Told]
) -> None:
    other: type[Told] = type("Other", (Told,), {"asked": [], "answer": page})
    elsewhere, target = serve(other)

    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(307)
        handler.send_header("Location", target + "/v1/machines")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    told.answer = redirect
    server, url = serve(told)
    ran = Ran(capsys, "--server", url, "machine", "list", "--json")
    assert (ran.code, ran.json["code"]) == (1, "bad-answer")
    assert told.asked[0][1]["Authorization"] == "Bearer goose_admin_secret"
    assert other.asked == []
    for one in (server, elsewhere):
        one.shutdown()
        one.server_close()


@pytest.mark.parametrize(
    "url", ["http://goose.example", "http://10.0.0.1:8080", "http://[2001:db8::1]", "ftp://x", "x"]
)
def test_the_token_goes_nowhere_unencrypted(capsys: pytest.CaptureFixture[str], url: str) -> None:
    ran = Ran(capsys, "machine", "list", "--server", url, "--json")
    assert (ran.code, ran.json["code"]) == (2, "usage")
    assert "secret" not in ran.err


def test_the_certificate_must_come_from_the_authority_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    told: type[Told],
) -> None:  # fmt: skip
    for name in ("a", "b"):
        monkeypatch.setenv("GOOSE_HOME", str(tmp_path / name))
        assert main(["pki", "init", "--permit", "localhost"]) == 0
        assert main(["pki", "issue", "server", "--dns", "localhost"]) == 0
    capsys.readouterr()
    own, other = tmp_path / "a" / "pki", tmp_path / "b" / "pki" / "ca.crt"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = next(own.rglob("server.crt"))
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    told.answer = page
    server, url = serve(told, context)
    good = Ran(capsys, "machine", "list", "--server", url, "--ca", str(own / "ca.crt"), "--json")
    assert (good.code, good.json) == (0, {"items": []}), good.err
    asked = len(told.asked)
    for more in ([], ["--ca", str(other)]):
        ran = Ran(capsys, "machine", "list", "--server", url, *more, "--json")
        assert (ran.code, ran.json["code"]) == (1, "server-untrusted")
    ran = Ran(capsys, "machine", "list", "--server", url, "--ca", str(tmp_path / "none"))
    assert ran.code == 2 and "none" in ran.err
    assert len(told.asked) == asked, "the token was told to nobody else"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "answer", [b"", b"x", b"HTTP/1.1 200 OK\r\n\r\n<html>", b"HTTP/1.1 500 x\r\n\r\n{}",
               b'HTTP/1.1 200 OK\r\n\r\n{"items": 1}', b"HTTP/1.1 404 x\r\n\r\n[]"],
)  # fmt: skip
def test_what_is_no_daemon_is_named_so(
    capsys: pytest.CaptureFixture[str], told: type[Told], answer: bytes
) -> None:
    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(answer)

    told.answer = write
    server, url = serve(told)
    ran = Ran(capsys, "machine", "list", "--server", url, "--json")
    server.shutdown()
    server.server_close()
    assert (ran.code, ran.json["code"]) == (1, "bad-answer"), ran.err


def test_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "machine", "list", "--server", "http://127.0.0.1:1", "--json")
    assert (ran.code, ran.json["code"]) == (1, "server-unreachable")


def test_the_tokens_file_is_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    told: type[Told],
) -> None:  # fmt: skip
    monkeypatch.delenv("GOOSE_TOKEN")
    told.answer = page
    server, url = serve(told)
    (file := tmp_path / "token").write_text("goose_admin_filed\n")
    command = ["--server", url, "--token-file", str(file), "machine", "list", "--json"]
    for mode in (0o640, 0o604, 0o622):
        file.chmod(mode)
        ran = Ran(capsys, *command)
        assert (ran.code, ran.json["code"]) == (1, "token-exposed")
    file.chmod(0o600)
    assert Ran(capsys, *command).code == 0
    assert told.asked[-1][1]["Authorization"] == "Bearer goose_admin_filed"
    for wrong in ("", "a b", "é", "a\nb"):
        file.write_text(wrong)
        assert Ran(capsys, *command).code == 2
    assert Ran(capsys, "--server", url, "machine", "list").code == 2
    monkeypatch.setenv("GOOSE_TOKEN_FILE", str(tmp_path / "none"))
    assert Ran(capsys, "--server", url, "machine", "list").code == 2
    assert len(told.asked) == 1
    server.shutdown()
    server.server_close()


def test_only_some_nouns_take_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "--server", "https://goose.example", "store", "ls", "--json")
    assert (ran.code, ran.json["code"]) == (2, "usage")
    assert "does its work here" in ran.json["error"]
    assert Ran(capsys, "store", "ls", "--server", "https://goose.example").code == 2
    assert Ran(capsys, "machine", "list", "--server").code == 2
    assert Ran(capsys, "machine", "list", "--ca", "x").code == 2
    assert set(NOUNS) >= REMOTE


def test_a_token_on_the_command_line_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    """Every process on the machine could read it there."""
    ran = Ran(capsys, "machine", "list", "--token", "goose_admin_x", "--json")
    assert (ran.code, ran.json["code"]) == (2, "usage")
