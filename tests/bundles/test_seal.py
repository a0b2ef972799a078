"""Sealed volumes: stock age opens ours and we open its; others learn nothing."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.files.keyfile import BadKey
from bundles.progress import SILENT
from bundles.sealing import agefile, seal, unseal
from bundles.sealing import identity as keys
from bundles.sealing.unseal import DamagedSeal, IdentityNeeded, WrongIdentity
from bundles.signing import agekey, policy
from bundles.signing.keys import PassphraseNeeded, WrongPassphrase
from bundles.site import check, ingest
from bundles.site.catalog import Catalog
from tests.bundles.making import NOW, Workshop
from tests.parts import part


class Sealed:
    """A workshop whose bundle is sealed to an age key and to an SSH host key."""

    def __init__(self, folder: Path) -> None:
        self.shop = Workshop(folder)
        self.secret, self.public, self.recipient = agekey.generate(folder / "keys", "site-a")
        self.host = folder / "keys" / "host"
        command = [part("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(self.host)]
        subprocess.run(command, check=True)
        self.recipients = [seal.recipient(str(self.public)), seal.recipient(f"{self.host}.pub")]

    def build(self, volume_size: int | None = None) -> list[Path]:
        return self.shop.build(recipients=self.recipients, volume_size=volume_size, out="sealed")

    def import_(self, *paths: Path, identity: Path | None = None) -> ingest.Imported:
        shop = self.shop
        return ingest.import_volumes(
            paths,
            shop.store,
            shop.root,
            policy.Policy(NOW, sequences={}),
            SILENT,
            keys.read(identity) if identity else (),
        )


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    return Sealed(tmp_path)


def spoil(volume: Path, at: int) -> Path:
    data = bytearray(volume.read_bytes())
    data[at] ^= 1
    copy = volume.with_name("spoiled.goose.tar.age")
    copy.write_bytes(data)
    return copy


def opened_by_age(identity: Path, volume: Path) -> bytes:
    command = [part("age"), "-d", "-i", str(identity), str(volume)]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.mark.parametrize("which", ["secret", "host"])
def test_age_opens_what_we_sealed(sealed: Sealed, which: str) -> None:
    """And finds, byte for byte, the open volume of the same recipe."""
    (plain,) = sealed.shop.build()
    (volume,) = sealed.build()
    assert volume.name == "base-1.0.0.1of1.goose.tar.age"
    assert opened_by_age(getattr(sealed, which), volume) == plain.read_bytes()


def test_we_open_what_age_sealed(sealed: Sealed, tmp_path: Path) -> None:
    (plain,) = sealed.shop.build()
    volume = tmp_path / "by-age.goose.tar.age"
    command = [part("age"), "-r", sealed.recipient, "-o", str(volume), str(plain)]
    subprocess.run(command, check=True)
    assert sealed.import_(volume, identity=sealed.secret).state == "complete"


@pytest.mark.parametrize("which", ["secret", "host"])
def test_sealed_import_in_any_order(sealed: Sealed, which: str) -> None:
    volumes = sealed.build(volume_size=300_000)
    assert len(volumes) > 2
    states = [
        sealed.import_(volume, identity=getattr(sealed, which)).state
        for volume in reversed(volumes)
    ]
    assert states == ["incomplete"] * (len(volumes) - 1) + ["complete"]
    file = Catalog(sealed.shop.store).find("base", None, "os/lib/large.bin")
    assert file is not None
    data = b"".join(sealed.shop.store.read(p.digest, p.size) for p in file.parts)
    assert data == (sealed.shop.tree / "lib/large.bin").read_bytes()


def test_no_plaintext_is_left_on_the_media(sealed: Sealed) -> None:
    marker = (sealed.shop.tree / "lib/large.bin").read_bytes()[1000:1032]
    (volume,) = sealed.build()
    for path in volume.parent.iterdir():
        assert marker not in path.read_bytes()
        assert b"etc/motd" not in path.read_bytes()


def test_without_identity(sealed: Sealed) -> None:
    with pytest.raises(IdentityNeeded, match="is sealed") as caught:
        sealed.import_(*sealed.build())
    assert "--identity" in caught.value.hint


def test_wrong_identity_is_named_before_any_work(sealed: Sealed, tmp_path: Path) -> None:
    other, _, _ = agekey.generate(tmp_path / "keys", "site-b")
    with pytest.raises(WrongIdentity, match="not sealed to this identity"):
        sealed.import_(*sealed.build(), identity=other)
    assert not sealed.shop.store.folder.exists()


def test_flipped_byte_anywhere_in_a_seal(sealed: Sealed) -> None:
    (volume,) = sealed.build()
    identities = keys.read(sealed.secret)
    size = volume.stat().st_size
    for at in [*range(0, 700, 13), *range(700, size, 50_021), size - 1]:
        with pytest.raises(GooseError):
            check.check_volumes(
                [spoil(volume, at)], sealed.shop.root, policy.Policy(NOW), SILENT, identities
            ).raise_faults()


def test_truncated_seal(sealed: Sealed) -> None:
    (volume,) = sealed.build()
    data = volume.read_bytes()
    for length in (300, 5_000, 70_000, 300_000, len(data) - 1, len(data) - 16):
        volume.write_bytes(data[:length])
        with pytest.raises(DamagedSeal):
            check.check_volumes(
                [volume],
                sealed.shop.root,
                policy.Policy(NOW),
                SILENT,
                keys.read(sealed.secret),
            ).raise_faults()


def test_substituted_seal_of_another_builder(sealed: Sealed, tmp_path: Path) -> None:
    """Anyone can seal to a public recipient: the signature inside decides."""
    stranger = Sealed(tmp_path / "stranger")
    stranger.recipients = sealed.recipients
    with pytest.raises(GooseError) as caught:
        sealed.import_(*stranger.build(), identity=sealed.secret)
    assert caught.value.code == "unknown-signer"


def test_large_files_with_one_content_are_stored_once(sealed: Sealed) -> None:
    """And what only looks alike, by size and first bytes, is stored apart."""
    data = os.urandom(3_000_000)
    (sealed.shop.tree / "twin-1").write_bytes(data)
    (sealed.shop.tree / "twin-2").write_bytes(data)
    (sealed.shop.tree / "twin-3").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (plain,) = sealed.shop.build()
    (volume,) = sealed.build()
    opened = opened_by_age(sealed.secret, volume)
    assert opened == plain.read_bytes()
    assert opened.count(data[1_000_000:1_001_000]) == 2


def test_small_file_that_is_the_end_of_a_large_one(sealed: Sealed) -> None:
    """A large file's last part may be small, and its twin a whole file."""
    data = os.urandom(300_000)
    (sealed.shop.tree / "a-small").write_bytes(data[200_000 // 512 * 512 :])
    (sealed.shop.tree / "b-large").write_bytes(data)
    plain = sealed.shop.build(volume_size=2 * (200_000 // 512 * 512))
    volumes = sealed.build(volume_size=2 * (200_000 // 512 * 512))
    opened = [opened_by_age(sealed.secret, volume) for volume in volumes]
    assert opened == [volume.read_bytes() for volume in plain]
    assert b"".join(opened).count(data[-1000:]) == 1


@pytest.mark.parametrize("step", [1000, 65_536, 700_001, 1 << 24])
@pytest.mark.parametrize("size", [1, 1024, 65_535, 65_536, 65_537, 131_072, 3 * 2**20 + 1])
def test_age_opens_what_was_written_in_any_steps(sealed: Sealed, size: int, step: int) -> None:
    """The last chunk is marked as such wherever the end falls, and is not empty."""
    data = os.urandom(size)
    path = sealed.shop.folder / "steps"
    with seal.SealedFile(path, sealed.recipients) as file:
        for at in range(0, size, step):
            file.write(data[at : at + step])
        digest = file.end()
        file.publish()
        assert opened_by_age(sealed.secret, path) == data
        assert digest == digests.of(path.read_bytes())


def test_chunk_is_never_sealed_twice(sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    """One nonce for two texts would give both away."""
    numbers = list[tuple[int, bool]]()
    original = agefile.Payload.seal

    def noted(
        self: agefile.Payload, index: int, data: memoryview, last: bool, out: memoryview
    ) -> None:
        numbers.append((index, last))
        original(self, index, data, last, out)

    monkeypatch.setattr(agefile.Payload, "seal", noted)
    with seal.SealedFile(sealed.shop.folder / "once", sealed.recipients) as file:
        for size in (10, 65_536, 1 << 21, 65_526, 65_536, 1):
            file.write(bytes(size))
        file.end()
    assert numbers == [(n, n == len(numbers) - 1) for n in range(36)]


def test_nobody_but_the_recipients_is_in_the_header(sealed: Sealed) -> None:
    (volume,) = sealed.build()
    with open(volume, "rb") as file:
        kinds = [stanza.kind for stanza in agefile.read_header(file).stanzas]
    assert sorted(k for k in kinds if not k.endswith("-grease")) == ["X25519", "ssh-ed25519"]


def test_ssh_rsa_key_opens(sealed: Sealed) -> None:
    for form in ("RFC4716", "PEM"):
        key = sealed.shop.folder / f"rsa-{form}"
        command = [part("ssh-keygen"), "-q", "-t", "rsa", "-b", "2048", "-N", "", "-m", form]
        subprocess.run([*command, "-f", str(key)], check=True)
        sealed.recipients = [seal.recipient(f"{key}.pub")]
        (volume,) = sealed.shop.build(recipients=sealed.recipients, out=form)
        assert sealed.import_(volume, identity=key).state == "complete"


@pytest.mark.parametrize("kind", [("ed25519",), ("rsa", "-b", "2048"), ("rsa", "-m", "PEM")])
def test_ssh_key_with_a_passphrase_opens(sealed: Sealed, kind: tuple[str, ...]) -> None:
    key, asked = sealed.shop.folder / "protected", list[Path]()
    command = [part("ssh-keygen"), "-q", "-t", *kind, "-N", "secret", "-f", str(key)]
    subprocess.run(command, check=True)

    def answer(path: Path) -> str:
        asked.append(path)
        return "secret"

    (identity,) = keys.read(key, answer)
    [volume] = sealed.shop.build(recipients=[seal.recipient(f"{key}.pub")], out="protected-out")
    with volume.open("rb") as file:
        assert agefile.read_header(file).file_key([identity])
    assert asked == [key]
    with pytest.raises(WrongPassphrase, match="wrong passphrase"):
        keys.read(key, lambda path: "Secret")
    with pytest.raises(PassphraseNeeded):
        keys.read(key)


@pytest.mark.parametrize("which", ["ssh", "age"])
def test_public_key_in_place_of_an_identity(sealed: Sealed, which: str) -> None:
    """Told as what it is, and not that others may read it."""
    public = sealed.public if which == "age" else sealed.host.with_name("host.pub")
    with pytest.raises(BadKey, match="is a public key") as caught:
        keys.read(public)
    assert "private file" in caught.value.hint


@pytest.mark.parametrize("text", ["age1nonsense", "ssh-ed25519 AAAA", "/nonexistent/file"])
def test_what_is_no_recipient(text: str) -> None:
    with pytest.raises(BadKey):
        seal.recipient(text)


def test_secret_given_as_recipient(sealed: Sealed) -> None:
    with pytest.raises(BadKey, match="holds the secret key"):
        seal.recipient(str(sealed.secret))


def test_what_is_no_identity(sealed: Sealed, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.write_text("hello")
    odd.chmod(0o600)
    with pytest.raises(BadKey, match="holds no identity"):
        keys.read(odd)


def test_abandoned_volume_ends_its_threads(sealed: Sealed) -> None:
    (volume,) = sealed.build()
    before = threading.active_count()
    with open(volume, "rb") as file:
        opened = unseal.OpenedVolume(file, "x", keys.read(sealed.secret))
        assert opened.read(10)
        opened.close()
        assert threading.active_count() == before
