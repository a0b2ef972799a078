"""A real registry for tests: distribution's, open, behind a password or behind tokens."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import bcrypt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from tests.parts import part

USER, PASSWORD = "release", "a-password-of-the-tests"


@contextmanager
def running(folder: Path, auth: dict[str, object] | None = None) -> Iterator[str]:
    """A registry over a folder; gives HOST:PORT."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
        **({"auth": auth} if auth else {}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    process = subprocess.Popen(
        [part("docker-registry"), "serve", folder / "config.yml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, "the registry ended"
                assert time.monotonic() < deadline, "the registry does not listen"
                time.sleep(0.02)
        yield address
    finally:
        process.kill()
        process.wait()


def password_file(folder: Path) -> dict[str, object]:
    """The registry's setting for a password that is sent to itself."""
    folder.mkdir(parents=True, exist_ok=True)
    secret = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{USER}:{secret}\n")
    return {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}


def login(path: Path, host: str, secret: str = f"{USER}:{PASSWORD}") -> Path:
    """What `docker login` leaves behind."""
    auth = base64.b64encode(secret.encode()).decode()
    path.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return path


@contextmanager
def tokens(folder: Path) -> Iterator[tuple[dict[str, object], list[dict[str, list[str]]]]]:
    """A service that gives tokens to whoever knows the password, as distribution's own
    documentation has it (docs/spec/auth/jwt); gives the registry's setting, and what was asked."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    chain = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()]
    wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    asked: list[dict[str, list[str]]] = []

    def token(query: dict[str, list[str]]) -> str:
        kind, name, actions = query["scope"][0].split(":")
        access = [{"type": kind, "name": name, "actions": actions.split(",")}]
        stamp = int(time.time())
        claims = {"iss": "tests", "sub": USER, "aud": "registry", "exp": stamp + 300}
        claims |= {"nbf": stamp - 10, "iat": stamp, "jti": "1", "access": access}
        head = {"typ": "JWT", "alg": "RS256", "x5c": chain}
        text = b".".join(_encoded(json.dumps(each).encode()) for each in (head, claims))
        signature = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        return (text + b"." + _encoded(signature)).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            asked.append(query)
            good = self.headers["Authorization"] == wanted
            body = json.dumps({"token": token(query)} if good else {}).encode()
            self.send_response(200 if good else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as address:
        setting = {
            "realm": f"http://{address}/token",
            "service": "registry",
            "issuer": "tests",
            "rootcertbundle": str(folder / "ca.pem"),
        }
        yield {"token": setting}, asked


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server of our own on a free port; gives HOST:PORT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
