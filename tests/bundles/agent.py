"""A real ssh-agent for tests, and FIDO tokens: one in software behind OpenSSH's own helper, and the
file of a key whose token is not there."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bundles.signing.sshkey import PublicKey, string
from tests.parts import TOOLS, part

_PROVIDER = TOOLS / "sk" / "provider.c"
_API_VERSIONS = ("0x000a0000", "0x00090000", "0x000b0000")  # of OpenSSH 9.x, 8.9, what may come


@contextmanager
def ssh_agent(folder: Path) -> Iterator[dict[str, str]]:
    """An agent without keys; what it yields goes into the environment of whoever is to use it."""
    socket = folder / "agent.socket"
    # -P: whose tokens it may ask.
    command = [part("ssh-agent"), "-D", "-a", socket, "-P", f"{folder.resolve()}/*"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as agent:
        try:
            while not socket.exists():
                assert agent.poll() is None
                time.sleep(0.01)
            yield {"SSH_AUTH_SOCK": str(socket)}
        finally:
            agent.terminate()


def add(agent: dict[str, str], *args: str | Path) -> None:
    """What ssh-add does with `args`."""
    subprocess.run(
        [part("ssh-add"), *args], env=os.environ | agent, capture_output=True, check=True
    )


def token(folder: Path, name: str) -> dict[str, str]:
    """Makes the key `name` in a token, as ``ssh-keygen -t ed25519-sk`` does, and its two files.

    The token is tests/tools/sk in the place of a USB device; what it yields goes into the
    environment of whoever is to use it.
    """
    part("OpenSSL's headers")
    library = folder / "token.so"
    for version in _API_VERSIONS:
        compiler = [part("gcc"), "-shared", "-fPIC", f"-DAPI_VERSION={version}", "-o", library]
        subprocess.run([*compiler, _PROVIDER, "-lcrypto"], capture_output=True, check=True)
        environ = {"SSH_SK_PROVIDER": str(library.resolve())}
        made = subprocess.run(
            [part("ssh-keygen"), "-q", "-t", "ed25519-sk", "-N", "", "-f", folder / name],
            env=os.environ | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if made.returncode == 0:
            return environ
    raise AssertionError(made.stderr.decode())


def token_file(path: Path, public: PublicKey) -> Path:
    """The private file of a key in a token (OpenSSH, PROTOCOL.key, PROTOCOL.u2f): it says how to
    find the token, and holds no secret."""
    assert public.application is not None
    secret = bytes(8) + public.wire + b"\x01" + string(b"a key handle") + string(b"") + string(b"")
    secret += bytes(range(1, 1 + -len(secret) % 8))
    fields = string(b"none") + string(b"none") + string(b"") + (1).to_bytes(4, "big")
    body = b"openssh-key-v1\0" + fields + string(public.wire) + string(secret)
    text = base64.encodebytes(body).decode()
    path.write_text(
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}-----END OPENSSH PRIVATE KEY-----\n"
    )
    path.chmod(0o600)
    path.with_name(f"{path.name}.pub").write_text(f"{public.openssh} token\n")
    return path
