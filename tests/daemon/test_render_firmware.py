"""Scripts that do not install, run by iPXE's real firmware: what it prints and where it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from goosed_daemon.render import ipxe
from tests.daemon.infra_site import BASE, boot, machine, profile
from tests.integration.qemu import HOST, Machine
from tests.parts import part

MAC = "52:54:00:12:34:56"
NO_SYSTEM = "goose: there is no system on the first disk"


class Server(ThreadingHTTPServer):
    """Answers each path with its scripts in turn, the last for ever; None is a 404."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[str | None]] = {}
        self.asked: list[str] = []
        self.base = f"http://{HOST}:{self.server_port}"

    def answer(self, path: str) -> str | None:
        self.asked.append(path)
        answers = self.answers.get(path.partition("?")[0], [None])
        return answers.pop(0) if len(answers) > 1 else answers[0]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        text = self.server.answer(self.path)
        body = (text or "no").encode()
        self.send_response(404 if text is None else 200)
        self.send_header("Content-Length", str(len(body)))
        if text is not None:
            self.send_header(
                "Retry-After", "600"
            )  # which iPXE heeds where it failed, and only there
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    part("qemu-system-x86_64")
    part("iPXE ROM")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def screen_of(server: Server, path: str, scratch: Path, seconds: float) -> str:
    """What was printed up to the end, lines joined: the screen breaks them at 80 columns."""
    with Machine("bios", mac=MAC, bootfile=server.base + path, scratch=scratch) as booted:
        screen = booted.wait_for("on the first disk", seconds=seconds)
    return screen.replace("\n", "")


def test_hostile_words_on_the_screen_run_nothing(tmp_path: Path) -> None:
    reason = "serial ${net0/mac} || shell && echo ran ; echo ran # echo hidden\necho ran\x1b[2J"
    with serving() as server:
        server.answers["/x"] = [ipxe.refuse(reason, "goosectl infra list")]
        screen = screen_of(server, "/x", tmp_path, 120)
    assert (
        "goose: serial $ {net0/mac} '||' shell '&&' echo ran ';' echo ran '#' echo hidden?echo"
        " ran?[2J" in screen
    )
    assert "goose: goosectl infra list" in screen
    assert "goose: booting this machine's own disk" in screen
    assert screen.count("ran") == 3, "as words, and never as what a command printed"
    assert "iPXE>" not in screen


def test_a_machine_without_answer_asks_again_and_then_boots_its_disk(tmp_path: Path) -> None:
    with serving() as server:
        server.answers["/x"] = [ipxe.chain(server.base)]
        screen = screen_of(server, "/x", tmp_path, 180)
    questions = [path for path in server.asked if path.startswith("/v1/boot/ipxe?")]
    assert len(questions) == ipxe.ATTEMPTS
    assert questions[0].startswith("/v1/boot/ipxe?mac=52-54-00-12-34-56&uuid=")
    assert questions[0].endswith("&platform=pcbios&buildarch=i386") or questions[0].endswith(
        "&platform=pcbios&buildarch=x86_64"
    )
    assert screen.count("goose: no answer, asking again in 10 seconds") == ipxe.ATTEMPTS - 1
    assert "goose: no answer, so this machine boots its own disk" in screen


def test_an_install_whose_files_are_missing_ends_at_the_disk(tmp_path: Path) -> None:
    context = boot(to=profile(kernel="os/100% a+b/vmlinuz"), on=machine(name="db-1"))
    script = ipxe.install(context)
    with serving() as server:
        script = script.replace(BASE, server.base)
        server.answers["/x"] = [script]
        screen = screen_of(server, "/x", tmp_path, 180)
    wanted = "/v1/artifacts/site-base@2026.11.1/os/100% a+b/vmlinuz"
    asked = [unquote(path) for path in server.asked if path != "/x"]
    assert asked == [wanted] * ipxe.ATTEMPTS
    assert "goose: ERASES the disk sda" in screen
    assert screen.count("goose: a fetch failed, trying again") == ipxe.ATTEMPTS - 1
    assert "goose: the installer could not be started" in screen


def test_a_machine_waits_for_its_turn_past_failures_and_is_answered_at_last(
    tmp_path: Path,
) -> None:
    with serving() as server:
        words = "waiting, about 3 min, position 41"
        wait = ipxe.wait(server.base, words, 1)
        server.answers["/x"] = [wait]
        failures: list[str | None] = [None] * (ipxe.ATTEMPTS + 1)
        server.answers["/v1/boot/ipxe"] = [wait, *failures, wait, ipxe.local_disk("done waiting")]
        screen = screen_of(server, "/x", tmp_path, 180)
    questions = [path for path in server.asked if path.startswith("/v1/boot/ipxe?")]
    assert len(questions) == len(failures) + 3
    assert questions[0].startswith("/v1/boot/ipxe?mac=52-54-00-12-34-56&uuid=")
    assert all(path.endswith("&waits=yes") for path in questions)
    assert f"goose: {words}" in screen and "goose: asking again in 1 seconds" in screen
    assert screen.count("goose: no answer, and this machine waits on") == len(failures)
    assert "goose: done waiting" in screen
