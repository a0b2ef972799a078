"""Signatures beside volumes: who counts, and what else somebody may lay there."""

from __future__ import annotations

import base64
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pyrage import x25519

from bundles.errors import GooseError
from bundles.format.statement import Statement
from bundles.making import build, cosign
from bundles.progress import SILENT
from bundles.reading import beside, media
from bundles.reading.beside import StraySignature
from bundles.sealing import unseal
from bundles.sealing.identity import X25519Key
from bundles.signing import sshsig, trust
from bundles.signing.policy import Policy
from bundles.signing.rotation import Changes, successor
from bundles.signing.sshsig import BUNDLE, TRUST, VOLUMES
from bundles.site import ingest
from tests.bundles.content import listing
from tests.bundles.making import NOW, Workshop, read_entries
from tests.bundles.signing import Token, ssh_keygen, ssh_verify
from tests.bundles.signing import signer as numbered

BEN, CLEO, STRANGER = numbered(2), numbered(3), numbered(9)


class TwoOfThree(Workshop):
    """A site whose trust root asks for two of release, ben and cleo; `volume` is by release."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        signers = [(self.signer.public, "release"), (BEN.public, "ben"), (CLEO.public, "cleo")]
        self.root = trust.first(signers, 2)
        [self.volume] = self.build()
        self.media = self.volume.parent

    @property
    def statement(self) -> bytes:
        return read_entries(self.volume)[2][1]

    def lay(
        self, *signers: sshsig.Signer, message: bytes | None = None, kind: str = BUNDLE
    ) -> None:
        """Signatures beside the volume."""
        for number, signer in enumerate(signers):
            armored = sshsig.sign(message or self.statement, signer, kind)
            (self.media / f"base-1.0.0.statement.json.{number}.sig").write_bytes(armored)

    def refusal(self, *paths: Path) -> GooseError:
        """Of an import, which must have left no trace."""
        with pytest.raises(GooseError) as caught:
            self.import_(*(paths or (self.media,)))
        assert self.store.refs().bundles == ()
        return caught.value


@pytest.fixture
def shop(tmp_path: Path) -> TwoOfThree:
    return TwoOfThree(tmp_path)


# Who counts


def test_builder_alone_is_too_few(shop: TwoOfThree) -> None:
    assert shop.refusal().code == "too-few-signatures"


def test_signature_beside_counts_and_is_kept(shop: TwoOfThree) -> None:
    shop.lay(BEN)
    done = shop.import_(shop.media)
    assert done.signers == ("ben", "release")
    [ref] = shop.store.refs().bundles
    assert len(ref.signatures) == 2
    assert shop.check(shop.volume).signers == ("ben", "release")


def test_signers_beside_without_the_builder(shop: TwoOfThree) -> None:
    """His key is no longer trusted; two others vouch for what he built."""
    shop.root = trust.first([(BEN.public, "ben"), (CLEO.public, "cleo")], 2)
    shop.lay(BEN)
    assert shop.refusal().code == "too-few-signatures"
    shop.lay(BEN, CLEO)
    assert shop.import_(shop.media).signers == ("ben", "cleo")


def test_token_signs_beside(shop: TwoOfThree) -> None:
    token = Token(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    shop.root = trust.first([(shop.signer.public, "release"), (token.public, "token")], 2)
    shop.lay(token)
    assert shop.import_(shop.media).signers == ("release", "token")


def test_signatures_in_another_folder(shop: TwoOfThree, tmp_path: Path) -> None:
    shop.lay(BEN)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    [file] = shop.media.glob("*.statement.json.*")
    moved = file.rename(elsewhere / file.name)
    assert shop.refusal().code == "too-few-signatures"
    assert shop.import_(shop.media, elsewhere).signers == ("ben", "release")
    assert shop.import_(shop.volume, moved).signers == ("ben", "release")


def test_every_volume_is_judged_with_all_signatures(shop: TwoOfThree, tmp_path: Path) -> None:
    """Volumes on two drives, the signature on one of them."""
    volumes = shop.build(volume_size=300_000, out="many")
    (tmp_path / "drive").mkdir()
    last = volumes[-1].rename(tmp_path / "drive" / volumes[-1].name)
    message = read_entries(volumes[0])[2][1]
    file = tmp_path / "drive/base-1.0.0.statement.json.sig"
    file.write_bytes(sshsig.sign(message, BEN, BUNDLE))
    assert shop.import_(*volumes[:-1], last).state == "complete"


def test_hidden_files_beside_say_nothing(shop: TwoOfThree) -> None:
    shop.lay(BEN)
    (shop.media / "._base-1.0.0.statement.json.0.sig").write_bytes(b"what some systems strew")
    assert shop.import_(shop.media).signers == ("ben", "release")


# Attacks


def test_signature_of_another_bundle_beside(shop: TwoOfThree) -> None:
    [other] = shop.build(shop.draft(version="2.0.0", sequence=2), out="other")
    shop.lay(BEN, message=read_entries(other)[2][1])
    refusal = shop.refusal()
    assert refusal.code == "signature-invalid"
    assert refusal.message.startswith("base-1.0.0.statement.json.0.sig: ")


@pytest.mark.parametrize("kind", [VOLUMES, TRUST])
def test_cross_namespace_signature_beside(shop: TwoOfThree, kind: str) -> None:
    shop.lay(BEN, kind=kind)
    refusal = shop.refusal()
    assert refusal.code == "wrong-namespace"
    assert "base-1.0.0.statement.json.0.sig" in refusal.message


def test_signature_of_the_list_beside_as_one_of_the_statement(shop: TwoOfThree) -> None:
    data = (shop.media / "base-1.0.0.volumes.json").read_bytes()
    shop.lay(BEN, message=data, kind=VOLUMES)
    assert shop.refusal().code == "wrong-namespace"


def test_signer_counted_twice_inside_and_beside(shop: TwoOfThree) -> None:
    shop.lay(shop.signer, shop.signer)
    refusal = shop.refusal()
    assert refusal.code == "too-few-signatures"
    assert "signed by release;" in refusal.message


def test_stranger_beside_neither_counts_nor_blocks(shop: TwoOfThree) -> None:
    shop.lay(STRANGER)
    assert shop.refusal().code == "too-few-signatures"
    shop.lay(STRANGER, BEN)
    assert shop.import_(shop.media).signers == ("ben", "release")


@pytest.mark.parametrize("data", [b"", b"garbage", bytes(1 << 20)], ids=["empty", "short", "long"])
def test_garbage_beside_is_named(shop: TwoOfThree, data: bytes) -> None:
    shop.lay(BEN)
    (shop.media / "base-1.0.0.statement.json.x.sig").write_bytes(data)
    refusal = shop.refusal()
    assert refusal.code == "signature-malformed"
    assert refusal.message.startswith("base-1.0.0.statement.json.x.sig: ")


def test_what_is_no_file_beside(shop: TwoOfThree) -> None:
    """None of them makes the reader wait, or ends it without a word."""
    odd = shop.media / "base-1.0.0.statement.json.x.sig"
    for make in (os.mkfifo, os.mkdir, lambda path: os.symlink("nowhere", path)):
        make(odd)
        assert shop.refusal().code == "signature-malformed"
        odd.rmdir() if odd.is_dir() else odd.unlink()


def test_very_many_signatures_beside(shop: TwoOfThree) -> None:
    shop.lay(*(numbered(100 + n) for n in range(beside.MAX_BESIDE + 1)))
    refusal = shop.refusal()
    assert (refusal.code, "over 64" in refusal.message) == ("signature-malformed", True)


def test_signature_of_another_bundle_in_the_same_folder_is_not_looked_at(
    shop: TwoOfThree,
) -> None:
    shop.lay(BEN)
    (shop.media / "other-1.0.0.statement.json.sig").write_bytes(b"of somebody else")
    assert shop.import_(shop.media).signers == ("ben", "release")


def test_signature_given_that_belongs_to_nothing(shop: TwoOfThree, tmp_path: Path) -> None:
    stray = tmp_path / "other-1.0.0.statement.json.sig"
    stray.write_bytes(sshsig.sign(shop.statement, BEN, BUNDLE))
    with pytest.raises(
        StraySignature, match=r"other-1\.0\.0\.statement\.json\.sig belongs to none"
    ):
        shop.import_(shop.volume, stray)


def test_signature_alone_is_no_volume(shop: TwoOfThree, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "base-1.0.0.statement.json.sig").write_bytes(b"")
    with pytest.raises(media.NoVolumes, match="no volume was given"):
        shop.import_(alone)


def test_build_does_not_mix_with_signatures_of_an_earlier_one(shop: TwoOfThree) -> None:
    shop.lay(BEN)
    for path in (shop.volume, *shop.media.glob("*.volumes.json*")):
        path.unlink()
    with pytest.raises(build.OutputExists, match=r"statement\.json"):
        shop.build()


def test_revoked_builder_is_replaced_by_a_signature_beside(shop: TwoOfThree) -> None:
    """A new trust root without him: his old bundle needs another signer, not a new build."""
    shop.lay(BEN)
    shop.root = successor(shop.root, Changes(remove=["release"]))
    refusal = shop.refusal()
    assert (refusal.code, "signed by ben;" in refusal.message) == ("too-few-signatures", True)
    shop.lay(BEN, CLEO)
    assert shop.import_(shop.media).signers == ("ben", "cleo")


# Making them


def documents(shop: TwoOfThree, *volumes: Path) -> list[cosign.Document]:
    used = volumes or (shop.volume,)
    head = opened(shop, *used)
    found = cosign.list_of(used, head[0])
    return [cosign.statement_of(used[0], *head[1:]), *([found] if found else [])]


def opened(shop: TwoOfThree, *volumes: Path) -> tuple[Statement, bytes, tuple[bytes, ...]]:
    builder = trust.first([(shop.signer.public, "release")], 1)
    with ExitStack() as stack:
        head = ingest.open_volumes(volumes, builder, Policy(NOW), stack)[0].head
    return head.statement, head.message, head.signatures


def test_signing_adds_two_files_and_changes_none(shop: TwoOfThree) -> None:
    before = listing(shop.media)
    written = cosign.sign(documents(shop), [BEN], None)
    key = beside.key_id(BEN.public)
    assert sorted(path.name for path in written) == [
        f"base-1.0.0.statement.json.{key}.sig",
        f"base-1.0.0.volumes.json.{key}.sig",
    ]
    after = listing(shop.media)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2
    assert shop.import_(shop.media).signers == ("ben", "release")


def test_ssh_keygen_accepts_what_was_signed_later(shop: TwoOfThree, tmp_path: Path) -> None:
    for path in cosign.sign(documents(shop), [BEN], None):
        is_list = "volumes" in path.name
        message = (
            (shop.media / "base-1.0.0.volumes.json").read_bytes() if is_list else shop.statement
        )
        armored, kind = path.read_bytes(), VOLUMES if is_list else BUNDLE
        allowed = shop.root.allowed_signers()
        assert ssh_verify(tmp_path, allowed, "ben", armored, kind, message=message)


def test_who_has_signed_is_not_asked_again(shop: TwoOfThree) -> None:
    cosign.sign(documents(shop), [BEN], None)
    assert cosign.sign(documents(shop), [BEN, shop.signer], None) == []


def test_fingerprint_and_key_id_are_the_same_digest(tmp_path: Path) -> None:
    digest = BEN.public.fingerprint.removeprefix("SHA256:") + "="
    assert base64.b64decode(digest).hex()[:16] == beside.key_id(BEN.public)
    (tmp_path / "k.pub").write_text(BEN.public.openssh + "\n")
    assert BEN.public.fingerprint in ssh_keygen("-lf", tmp_path / "k.pub")


def test_list_of_another_build_is_not_signed(shop: TwoOfThree) -> None:
    [other] = shop.build(shop.draft(created="2026-11-24T12:00:00Z"), out="other")
    other.replace(shop.volume)
    with pytest.raises(cosign.ListMismatch, match=r"is not the list of this base 1\.0\.0"):
        documents(shop)


def test_volume_that_the_list_does_not_name(shop: TwoOfThree) -> None:
    renamed = shop.volume.rename(shop.media / "base-1.0.0.7of7.goose.tar")
    with pytest.raises(cosign.ListMismatch, match="does not name base"):
        documents(shop, renamed)


def test_changed_digest_in_the_list(shop: TwoOfThree) -> None:
    path = shop.media / "base-1.0.0.volumes.json"
    text = path.read_text()
    at = text.index('"digest":"sha256:') + len('"digest":"sha256:')
    path.write_text(text[:at] + "0" * 64 + text[at + 64 :])
    with pytest.raises(cosign.ListMismatch, match="is not the file that"):
        documents(shop)


def test_list_whose_signature_is_bad(shop: TwoOfThree) -> None:
    path = shop.media / "base-1.0.0.volumes.json.sig"
    path.write_bytes(sshsig.sign(b"another", shop.signer, VOLUMES))
    with pytest.raises(sshsig.SignatureInvalid, match=r"^base-1\.0\.0\.volumes\.json\.sig: "):
        documents(shop)


@pytest.mark.parametrize("data", [b"[]", b'{"name":"base"}', b"{}", b'{"volumes":1}', b"no"])
def test_list_that_is_none(shop: TwoOfThree, data: bytes) -> None:
    (shop.media / "base-1.0.0.volumes.json").write_bytes(data)
    with pytest.raises(GooseError, match=r"base-1\.0\.0\.volumes\.json"):
        documents(shop)


def test_without_a_list_only_the_statement_is_signed(shop: TwoOfThree) -> None:
    (shop.media / "base-1.0.0.volumes.json").unlink()
    assert len(cosign.sign(documents(shop), [BEN], None)) == 1


def test_folder_that_cannot_be_written(shop: TwoOfThree, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(cosign.SignatureNotWritten, match="Not a directory"):
        cosign.sign(documents(shop), [BEN], tmp_path / "file" / "out")


def test_signature_from_before_in_the_folder_for_new_ones(shop: TwoOfThree, tmp_path: Path) -> None:
    """It lies where nobody looked for it, and is not written over."""
    made = cosign.sign(documents(shop), [BEN], tmp_path / "signatures")
    before = [path.read_bytes() for path in made]
    with pytest.raises(cosign.SignatureNotWritten, match="already there") as caught:
        cosign.sign(documents(shop), [BEN], tmp_path / "signatures")
    assert "signed before" in caught.value.hint
    assert [path.read_bytes() for path in made] == before


def test_signature_of_the_open_volumes_serves_the_sealed_ones(
    shop: TwoOfThree, tmp_path: Path
) -> None:
    """Both builds have one statement, so a signer need not be able to open what is sealed."""
    identity = x25519.Identity.generate()
    [sealed] = shop.build(out="sealed", recipients=[identity.to_public()])
    [file, _] = cosign.sign(documents(shop), [BEN], tmp_path / "signatures")
    rules = Policy(NOW, sequences={})
    with pytest.raises(unseal.IdentityNeeded):
        documents(shop, sealed)
    done = ingest.import_volumes(
        [sealed, file], shop.store, shop.root, rules, SILENT, identities=[X25519Key(str(identity))]
    )
    assert done.signers == ("ben", "release")


# Names


@given(st.text(max_size=40), st.sampled_from(["", ".0", ".9b4640aa", ".x-y_z"]))
def test_a_signature_goes_to_the_volumes_that_its_name_begins_with(text: str, key: str) -> None:
    if "/" in text or not text.isprintable() or not text or ".statement.json" in text:
        return
    assert beside.is_signature(Path(f"{text}.statement.json{key}.sig"))
    assert beside.stem(Path(f"{text}.1of2.goose.tar.age")) == text
    assert not beside.is_signature(Path(f"{text}.volumes.json{key}.sig"))
    assert not beside.is_signature(Path(f"{text}.1of2.goose.tar"))
