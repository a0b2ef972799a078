"""Keys that no file holds: a real ssh-agent, and a token that is not there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundles.errors import GooseError
from bundles.files.keyfile import KeyExposed
from bundles.signing import keys, sshsig
from bundles.signing.keys import FileSigner
from bundles.signing.sshkey import UnsupportedKey
from bundles.signing.sshprogram import ProgramSigner, SigningFailed
from bundles.signing.sshsig import BUNDLE, NAMESPACES, VOLUMES
from bundles.signing.trust import TrustedSigner, TrustRoot
from tests.bundles.agent import add, ssh_agent, token, token_file
from tests.bundles.making import Workshop
from tests.bundles.signing import MESSAGE, Token, ssh_keygen, ssh_verify

TOKEN = Token(Ed25519PrivateKey.from_private_bytes(bytes(32)))


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    with ssh_agent(tmp_path) as environ:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        yield environ


@pytest.fixture
def held(tmp_path: Path, agent: dict[str, str]) -> Path:
    """The .pub file of a key that only the agent holds."""
    private, _ = keys.new_signing(tmp_path, "held")
    add(agent, private)
    private.unlink()
    return tmp_path / "held.pub"


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_agent_signs(held: Path, tmp_path: Path, namespace: str) -> None:
    signer = keys.load_signer(held)
    armored = sshsig.sign(MESSAGE, signer, namespace)
    assert len(armored) == sshsig.signature_length(signer.public, namespace)
    allowed = f"release {signer.public.openssh}\n"
    assert ssh_verify(tmp_path, allowed, "release", armored, namespace)


def test_bundle_signed_by_an_agent_is_the_one_of_its_key_file(tmp_path: Path) -> None:
    """Nothing in a volume says where the key was."""
    workshop = Workshop(tmp_path)
    [from_file] = workshop.build(out="file")
    with ssh_agent(tmp_path) as agent, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSH_AUTH_SOCK", agent["SSH_AUTH_SOCK"])
        add(agent, tmp_path / "keys/release")
        (tmp_path / "keys/release").unlink()
        [from_agent] = workshop.build(
            signers=[keys.load_signer(tmp_path / "keys/release.pub")], out="agent"
        )
    assert from_agent.read_bytes() == from_file.read_bytes()
    for name in ("base-1.0.0.volumes.json", "base-1.0.0.volumes.json.sig"):
        assert (tmp_path / "agent" / name).read_bytes() == (tmp_path / "file" / name).read_bytes()


def test_key_that_the_agent_does_not_hold(agent: dict[str, str], tmp_path: Path) -> None:
    private, _ = keys.new_signing(tmp_path, "elsewhere")
    private.unlink()
    with pytest.raises(SigningFailed, match=r"did not sign with .*elsewhere\.pub: ") as caught:
        keys.load_signer(tmp_path / "elsewhere.pub")
    assert "ssh-add -l" in caught.value.hint


def test_agent_that_lost_the_key_or_is_gone(held: Path, agent: dict[str, str]) -> None:
    signer = keys.load_signer(held)
    add(agent, "-D")
    with pytest.raises(SigningFailed):
        signer.sign(MESSAGE, BUNDLE)
    Path(agent["SSH_AUTH_SOCK"]).unlink()
    with pytest.raises(SigningFailed):
        signer.sign(MESSAGE, VOLUMES)


def test_public_file_beside_its_private_one_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    _, public = keys.new_signing(tmp_path, "release")
    armored = sshsig.sign(MESSAGE, keys.load_signer(tmp_path / "release.pub"), BUNDLE)
    assert sshsig.parse(armored).key == public


def test_agent_that_was_given_another_key_under_this_name(held: Path, tmp_path: Path) -> None:
    """The .pub file decides which key signs; what comes back is compared with it."""
    other, _ = keys.new_signing(tmp_path, "other")
    signer = ProgramSigner(other, keys.load_public(held)[0])
    with pytest.raises(sshsig.SignatureInvalid, match="asked for a signature by"):
        sshsig.sign(MESSAGE, signer, BUNDLE)


def test_no_ssh_keygen(held: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SigningFailed, match="cannot be run: No such file"):
        keys.load_signer(held)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_algorithm_that_is_not_taken_is_refused_before_anything_is_built(
    tmp_path: Path, kind: str
) -> None:
    ssh_keygen("-q", "-t", kind, "-N", "", "-f", tmp_path / "k")
    for name in ("k", "k.pub"):
        with pytest.raises(UnsupportedKey, match=kind):
            keys.load_signer(tmp_path / name)


# Tokens


def test_file_of_a_token_is_what_openssh_reads(tmp_path: Path) -> None:
    """Else the tests below would prove nothing."""
    path = token_file(tmp_path / "token", TOKEN.public)
    assert ssh_keygen("-yf", path).split()[:2] == TOKEN.public.openssh.split()


def test_key_show_says_where_the_key_is(tmp_path: Path) -> None:
    path = token_file(tmp_path / "token", TOKEN.public)
    for file in (path, path.with_name("token.pub")):
        told = keys.describe(file)
        assert "in a FIDO token" in str(told["kind"])
        assert told["fingerprint"] == TOKEN.public.fingerprint


@pytest.mark.parametrize("name", ["token", "token.pub"])
def test_token_that_is_not_there(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    token_file(tmp_path / "token", TOKEN.public)
    signer = keys.load_signer(tmp_path / name)
    assert signer.public == TOKEN.public
    with pytest.raises(SigningFailed, match=f"did not sign with .*{name}: ") as caught:
        signer.sign(MESSAGE, BUNDLE)
    assert "touched" in caught.value.hint


def test_exposed_file_of_a_token(tmp_path: Path) -> None:
    path = token_file(tmp_path / "token", TOKEN.public)
    path.chmod(0o640)
    with pytest.raises(KeyExposed):
        keys.load_signer(path)


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a key in a token that is there."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    for name, value in token(tmp_path, "plugged").items():
        monkeypatch.setenv(name, value)
    return tmp_path / "plugged"


@pytest.mark.parametrize("ending", ["", ".pub"])
def test_token_signs_through_openssh(tmp_path: Path, plugged: Path, ending: str) -> None:
    signer = keys.load_signer(plugged.with_name(f"plugged{ending}"))
    assert signer.public.application == b"ssh:"
    armored = sshsig.sign(MESSAGE, signer, BUNDLE)
    assert len(armored) == sshsig.signature_length(signer.public, BUNDLE)
    allowed = f"release {signer.public.openssh}\n"
    assert ssh_verify(tmp_path, allowed, "release", armored, BUNDLE)


def test_token_signs_through_an_agent(
    plugged: Path, agent: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(agent, plugged)
    plugged.unlink()
    monkeypatch.delenv("SSH_SK_PROVIDER")
    signer = keys.load_signer(plugged.with_name("plugged.pub"))
    assert sshsig.verify(MESSAGE, signer.sign(MESSAGE, VOLUMES), VOLUMES) == signer.public


def test_bundle_signed_by_a_token_is_imported(tmp_path: Path, plugged: Path) -> None:
    """Its signature is longer than one of a file, for which the plan leaves room."""
    workshop = Workshop(tmp_path)
    signer = keys.load_signer(plugged)
    [volume] = workshop.build(signers=[signer])
    with pytest.raises(GooseError, match="is not a signer"):
        workshop.import_(volume)
    workshop.root = TrustRoot(1, 1, (TrustedSigner("token", signer.public),))
    assert workshop.import_(volume).signers == ("token",)
    subprocess.run(["tar", "xf", volume, "goose"], cwd=tmp_path, check=True)
    armored = (tmp_path / "goose/statement.sig.1").read_bytes()
    message = (tmp_path / "goose/statement.json").read_bytes()
    allowed = workshop.root.allowed_signers()
    assert ssh_verify(tmp_path, allowed, "token", armored, BUNDLE, message=message)


def test_passphrase_is_asked_for_as_ever(tmp_path: Path) -> None:
    keys.new_signing(tmp_path, "k", "correct horse")
    signer = keys.load_signer(tmp_path / "k", lambda path: "correct horse")
    assert isinstance(signer, FileSigner)
