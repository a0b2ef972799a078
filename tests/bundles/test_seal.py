"""Sealed volumes: stock age opens ours and we open its; others learn nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bundles import agekey, check, ingest, policy, seal
from bundles.catalog import Catalog
from bundles.errors import GooseError
from bundles.keyfile import BadKey
from bundles.progress import SILENT
from bundles.seal import DamagedSeal, IdentityNeeded, WrongIdentity
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
            seal.identity(identity) if identity else (),
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


@pytest.mark.parametrize("which", ["secret", "host"])
def test_age_opens_what_we_sealed(sealed: Sealed, which: str) -> None:
    """And finds, byte for byte, the open volume of the same recipe."""
    (plain,) = sealed.shop.build()
    (volume,) = sealed.build()
    assert volume.name == "base-1.0.0.1of1.goose.tar.age"
    command = [part("age"), "-d", "-i", str(getattr(sealed, which)), str(volume)]
    opened = subprocess.run(command, check=True, capture_output=True).stdout
    assert opened == plain.read_bytes()


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
    identities = seal.identity(sealed.secret)
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
                seal.identity(sealed.secret),
            ).raise_faults()


def test_substituted_seal_of_another_builder(sealed: Sealed, tmp_path: Path) -> None:
    """Anyone can seal to a public recipient: the signature inside decides."""
    stranger = Sealed(tmp_path / "stranger")
    stranger.recipients = sealed.recipients
    with pytest.raises(GooseError) as caught:
        sealed.import_(*stranger.build(), identity=sealed.secret)
    assert caught.value.code == "unknown-signer"


def test_source_that_changes_between_the_passes(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bundles.assemble import Assembly

    original = Assembly._stored

    def meanwhile(self: Assembly, found: object) -> object:
        (sealed.shop.tree / "etc/motd").write_bytes(b"WELCOME\n")
        (sealed.shop.tree / "etc/issue").write_bytes(b"WELCOME\n")
        return original(self, found)  # type: ignore[arg-type]

    monkeypatch.setattr(Assembly, "_stored", meanwhile)
    with pytest.raises(GooseError, match="changed while the bundle was built"):
        sealed.build()
    assert list((sealed.shop.folder / "sealed").iterdir()) == []


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
        seal.identity(odd)


def test_abandoned_volume_ends_its_thread(sealed: Sealed) -> None:
    (volume,) = sealed.build()
    with open(volume, "rb") as file:
        opened = seal.OpenedVolume(file, "x", seal.identity(sealed.secret))
        assert opened.read(10)
        opened.close()
        assert not opened._thread.is_alive()
