"""A way to a server that loses responses, after the server gave them."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Lock, Thread

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)\r\n")


class Lossy(ThreadingTCPServer):
    """Forwards connections of one request each to `target` (host, port) and loses the response to
    the first request for each path in `lose`. With `identity`, a PEM certificate and its key, it
    speaks TLS on both sides."""

    daemon_threads = True
    allow_reuse_address = True
    target = ("127.0.0.1", 0)

    def __init__(self, lose: list[str], identity: tuple[str, str] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.lose = lose
        self.lost: list[str] = []
        self.guard = Lock()
        self._inside: ssl.SSLContext | None = None
        self.outside: ssl.SSLContext | None = None
        if identity is not None:
            self._inside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._inside.load_cert_chain(*identity)
            self.outside = ssl.create_default_context()
            self.outside.check_hostname = False
            self.outside.verify_mode = ssl.CERT_NONE  # it is the one that was started just now

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def dressed(self, client: socket.socket) -> socket.socket:
        """The client's side, with TLS if that is spoken."""
        return self._inside.wrap_socket(client, server_side=True) if self._inside else client

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are daily bread."""


class _Forward(BaseRequestHandler):
    server: Lossy

    def handle(self) -> None:
        with self.server.dressed(self.request) as client:
            request = _request(client)
            path = request.split()[1].decode()
            request = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
            with socket.create_connection(self.server.target, timeout=60) as plain:
                outside = self.server.outside
                there = outside.wrap_socket(plain) if outside is not None else plain
                there.sendall(request)
                with self.server.guard:
                    loses = path in self.server.lose
                    if loses:
                        self.server.lose.remove(path)
                while data := there.recv(1 << 16):
                    if not loses:
                        client.sendall(data)
                if loses:
                    self.server.lost.append(path)
                there.close()
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


def _request(client: socket.socket) -> bytes:
    """One request, to its last byte."""
    data = b""
    while True:
        head, end, body = data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if end and len(body) >= (int(length[1]) if length else 0):
            return data
        more = client.recv(1 << 16)
        if not more:
            raise ConnectionError("the client went away")
        data += more


@contextmanager
def lossy(lose: list[str], identity: tuple[str, str] | None = None) -> Iterator[Lossy]:
    """One that runs within the block; set its `target` before it is used."""
    with Lossy(lose, identity) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
