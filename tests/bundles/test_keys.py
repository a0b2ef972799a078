"""Key files: those of ssh-keygen and age, and no mixing of the two kinds."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bundles.errors import GooseError
from bundles.files import keyfile
from bundles.files.keyfile import BadKey, KeyExists, KeyExposed, KeyNotWritten
from bundles.signing import agekey, keys, sshsig
from bundles.signing.sshkey import PublicKey, UnsupportedKey
from tests.bundles.signing import MESSAGE, ssh_keygen
from tests.parts import part


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Signing keys


def test_new_key_is_one_of_ssh_keygen(tmp_path: Path) -> None:
    path, public = keys.new_signing(tmp_path / "new" / "folder", "release")
    assert (mode(path), mode(path.with_name("release.pub"))) == (0o600, 0o644)
    assert ssh_keygen("-yf", path).strip() == public.openssh
    assert ssh_keygen("-lf", f"{path}.pub").split() == [
        "256",
        public.fingerprint,
        "release",
        "(ED25519)",
    ]
    assert keys.load_public(path.with_name("release.pub")) == (public, "release")
    assert keys.load_private(path).public == public
    assert sorted(p.name for p in path.parent.iterdir()) == ["release", "release.pub"]


@pytest.mark.parametrize("maker", ["goose", "ssh-keygen"])
def test_key_with_a_passphrase(tmp_path: Path, maker: str) -> None:
    path = tmp_path / "k"
    if maker == "goose":
        keys.new_signing(tmp_path, "k", "correct horse")
    else:
        ssh_keygen("-q", "-t", "ed25519", "-N", "correct horse", "-a", "4", "-f", path)
    assert ssh_keygen("-y", "-P", "correct horse", "-f", path)
    with pytest.raises(subprocess.CalledProcessError):
        ssh_keygen("-y", "-P", "", "-f", path)
    asked: list[Path] = []

    def ask(about: Path) -> str:
        asked.append(about)
        return "correct horse"

    loaded = keys.load_private(path, ask)
    assert asked == [path]
    assert loaded.public == keys.load_public(tmp_path / "k.pub")[0]
    assert keys.describe(path)["fingerprint"] == loaded.public.fingerprint
    with pytest.raises(keys.WrongPassphrase):
        keys.load_private(path, lambda _: "wrong horse")
    with pytest.raises(keys.PassphraseNeeded):
        keys.load_private(path)


def test_nobody_is_asked_for_a_passphrase_that_is_not_there(tmp_path: Path) -> None:
    path, _ = keys.new_signing(tmp_path, "k")
    keys.load_private(path, lambda _: pytest.fail("asked"))


@pytest.mark.parametrize("taken", ["k", "k.pub"])
def test_no_key_takes_the_place_of_a_file(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(KeyExists, match=f"{taken} is already there"):
        keys.new_signing(tmp_path, "k")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(taken, "precious")]


def test_no_key_follows_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "k").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyExists):
        keys.new_signing(tmp_path, "k")
    assert not (tmp_path / "elsewhere").exists()


def test_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyNotWritten, match="Not a directory"):
        keys.new_signing(tmp_path / "file" / "sub", "k")


@pytest.mark.parametrize("nth", range(1, 7))
def test_a_failing_disk_leaves_both_files_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """The nth call that makes something durable or visible fails."""
    calls = iter(range(1, 100))

    def failing(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object) -> object:
            if next(calls) == nth:
                raise OSError(5, "Input/output error", "disk")
            return real(*args)

        return call

    for name in ("fsync", "link"):
        monkeypatch.setattr(os, name, failing(getattr(os, name)))
    try:
        keys.new_signing(tmp_path, "k")
        made = True
    except KeyNotWritten:
        made = False
    assert made == (nth > 5)  # two files of two calls each, and their folder
    assert sorted(p.name for p in tmp_path.iterdir()) == (["k", "k.pub"] if made else [])


@pytest.mark.parametrize("extra", [0o040, 0o004, 0o020, 0o001])
def test_exposed_private_key_is_refused_as_ssh_refuses_it(tmp_path: Path, extra: int) -> None:
    path, _ = keys.new_signing(tmp_path, "k")
    path.chmod(0o600 | extra)
    with pytest.raises(KeyExposed) as caught:
        keys.load_private(path)
    assert "chmod 600" in caught.value.hint
    (tmp_path / "m").write_bytes(MESSAGE)
    with pytest.raises(subprocess.CalledProcessError):
        ssh_keygen("-Y", "sign", "-f", path, "-n", sshsig.BUNDLE, tmp_path / "m")


def private_of(kind: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        ssh_keygen("-q", "-t", kind, "-N", "", "-f", folder / "k")
        return folder / "k"

    return make


def pem(folder: Path) -> Path:
    path = folder / "k.pem"
    path.write_text("-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n")
    return path


def cut_short(folder: Path) -> Path:
    path, _ = keys.new_signing(folder, "k")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[1], lines[-1]]))
    return path


def flipped(folder: Path) -> Path:
    path, _ = keys.new_signing(folder, "k")
    text = path.read_text()
    middle = text.index("\n", 200) - 5
    path.write_text(text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :])
    return path


NOT_PRIVATE: dict[str, tuple[Callable[[Path], Path], type[GooseError], str]] = {
    "public key": (lambda d: public_of(d), BadKey, "is a public key, which cannot sign"),
    "age identity": (lambda d: agekey.generate(d, "k")[0], BadKey, "age keys receive"),
    "RSA": (private_of("rsa"), UnsupportedKey, "'ssh-rsa'"),
    "ECDSA": (private_of("ecdsa"), UnsupportedKey, "'ecdsa-sha2-nistp256'"),
    "PEM": (pem, BadKey, "not an OpenSSH private key"),
    "cut short": (cut_short, BadKey, "is damaged"),
    "flipped": (flipped, BadKey, "is damaged"),
    "missing": (lambda d: d / "none", BadKey, "No such file"),
    "folder": (lambda d: d, BadKey, "Is a directory"),
    "enormous": (lambda d: enormous(d), BadKey, "larger than any key"),
}


def public_of(folder: Path) -> Path:
    return keys.new_signing(folder, "k")[0].with_name("k.pub")


def enormous(folder: Path) -> Path:
    path = folder / "k"
    path.write_bytes(bytes(keyfile.MAX_KEY_FILE + 1))
    return path


@pytest.mark.parametrize("name", NOT_PRIVATE)
def test_what_cannot_sign_is_named(tmp_path: Path, name: str) -> None:
    make, refusal, words = NOT_PRIVATE[name]
    path = make(tmp_path)
    with pytest.raises(refusal, match=words) as caught:
        keys.load_private(path)
    assert str(path) in caught.value.message


# Public keys

LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGHmE9TL9ScNAKcnFkxI2Ff5kZi9NUWCJeNqnyFwGSsI"
# The last letter before the padding has two bits that decode to nothing.
FIDO = PublicKey(bytes(32), b"ssh:").openssh
SPARE_BITS = FIDO[:-2] + chr(ord(FIDO[-2]) + 1) + "="
NOT_PUBLIC = {
    "empty": "",
    "word": "ssh-ed25519",
    "not base64": "ssh-ed25519 AAAA*C3N",
    "another algorithm's name": LINE.replace("ssh-ed25519 ", "ssh-rsa "),
    "two keys": f"{LINE} a\n{LINE} b\n",
    "two keys with a carriage return": f"{LINE} a\r{LINE} b\n",
    "cut short": LINE[:-4],
    "other spelling of its base64": SPARE_BITS,
    "options before it": f'namespaces="x" {LINE}',
    "not text": "\udcff",
}


@pytest.mark.parametrize("name", NOT_PUBLIC)
def test_what_is_no_public_key_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "k.pub"
    path.write_bytes(NOT_PUBLIC[name].encode(errors="surrogateescape"))
    with pytest.raises(BadKey, match=r"k\.pub is not a public key"):
        keys.load_public(path)


@pytest.mark.parametrize(
    "make", [lambda d: keys.new_signing(d, "k")[0], lambda d: agekey.generate(d, "k")[0]]
)
def test_private_file_in_place_of_a_public_one(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    with pytest.raises(BadKey, match="holds a private key"):
        keys.load_public(make(tmp_path))


def test_age_recipient_in_place_of_a_signer(tmp_path: Path) -> None:
    with pytest.raises(BadKey, match="age keys receive, they never sign"):
        keys.load_public(agekey.generate(tmp_path, "k")[1])


def test_public_key_line_with_a_comment_of_words(tmp_path: Path) -> None:
    (tmp_path / "k.pub").write_text(f"{LINE} anna at her desk\n")
    public, comment = keys.load_public(tmp_path / "k.pub")
    assert (public.openssh, comment) == (LINE, "anna at her desk")


# age keys


def test_new_recipient_is_one_of_age(tmp_path: Path) -> None:
    secret, public, recipient = agekey.generate(tmp_path, "site-a")
    assert (mode(secret), mode(public)) == (0o600, 0o644)
    assert public.read_text() == f"{recipient}\n"
    age = part("age")
    sealed = subprocess.run([age, "-R", public], input=MESSAGE, capture_output=True, check=True)
    opened = subprocess.run(
        [age, "-d", "-i", secret], input=sealed.stdout, capture_output=True, check=True
    )
    assert opened.stdout == MESSAGE
    assert agekey.recipient_of(secret) == agekey.recipient_of(public) == recipient


@pytest.mark.parametrize("text", ["", "age1", "AGE-SECRET-KEY-1", "\xff", "age1\nage1\n"])
def test_what_is_no_age_key_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "k").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadKey, match="exactly one age key"):
        agekey.recipient_of(tmp_path / "k")


# What a file is


def test_description_tells_no_secret(tmp_path: Path) -> None:
    path, public = keys.new_signing(tmp_path, "k")
    secret, agepub, recipient = agekey.generate(tmp_path, "r")
    assert keys.describe(path) == {
        "kind": "private signing key without passphrase",
        "fingerprint": public.fingerprint,
        "comment": None,
    }
    assert keys.describe(path.with_name("k.pub"))["comment"] == "k"
    for file in (secret, agepub):
        assert keys.describe(file)["recipient"] == recipient
        assert "SECRET" not in str(keys.describe(file))
