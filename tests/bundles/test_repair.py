"""From damage to a whole site: request, repair bundle, import; and what is not answered."""

from __future__ import annotations

import random
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import layout, repair_request
from bundles.format.repair_request import RepairRequest, wanted
from bundles.making import repair, repairbuild, spool
from bundles.making.build import Built
from bundles.making.repair import ForeignBlob, NotInVolumes, RequestMismatch
from bundles.making.spool import SpoolFull
from bundles.progress import SILENT
from bundles.reading.missing import MissingBase
from bundles.reading.scan import DamagedBlob
from bundles.sealing import identity, seal
from bundles.sealing.agefile import Unwrapper
from bundles.sealing.unseal import IdentityNeeded
from bundles.signing import trust
from bundles.signing.agekey import generate
from bundles.signing.policy import Policy, RollbackRefused
from bundles.site.ingest import Imported, import_volumes
from bundles.store import fsck
from bundles.store.protocol import Store
from tests.bundles.content import artifact, lay_out, noise, served
from tests.bundles.making import NOW, Workshop
from tests.bundles.signing import signer
from tests.parts import part

PART = 300_000
CONTENT = {
    "a/small": (b"small\n", 0o644),
    "b/other": (b"other\n", 0o755),
    "big.iso": (noise("big", 2 * PART + 1000), 0o644),
    "config": (b"{}", 0o644),  # the bytes of the empty config
    "empty": (b"", 0o644),
    "middle": (noise("middle", 100_000), 0o644),
    "twin": (b"small\n", 0o644),
}
SERVED = {f"os/{path}": file for path, file in CONTENT.items()}


class Builder:
    """A builder's volumes of `base` 1.0.0, and a site that trusts the builder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.shop = folder, Workshop(folder)
        self.tree = lay_out(folder / "content", CONTENT)
        self.volumes = self.built()

    def built(self, version: str = "1.0.0", sequence: int = 1, **options: object) -> list[Path]:
        draft = self.shop.draft(version=version, sequence=sequence, expires="2026-12-01T00:00:00Z")
        return self.shop.build(
            draft, [artifact(self.tree, "os")], out=f"media-{version}", **options
        )

    @property
    def store(self) -> Store:
        return self.shop.store

    def take(
        self,
        *volumes: Path,
        now: datetime = NOW,
        ask: Callable[[RepairRequest], None] | None = None,
    ) -> Imported:
        refs = self.store.refs()
        held = frozenset(ref.root for ref in refs.bundles)
        rules = Policy(now, sequences=refs.sequences, held=held)
        return import_volumes(volumes, self.store, self.shop.root, rules, SILENT, ask=ask)

    def damage(self, *contents: bytes) -> None:
        """Changes blobs in the store, behind its back."""
        for data in contents:
            path = self.blob(digests.of(data))
            path.write_bytes(path.read_bytes()[:-1] + b"?" if data else b"?")

    def blob(self, digest: str) -> Path:
        path = self.store.path(digest)
        assert path is not None
        return path

    def requests(self) -> list[RepairRequest]:
        """What fsck asks for, read back as the builder reads it."""
        found = fsck.requests(fsck.check(self.store, SILENT), "site-a")
        return [repair_request.read(request.encode(), "it") for request in found]

    def answer(
        self,
        request: RepairRequest,
        *volumes: Path,
        out: str = "repair",
        recipients: Sequence[seal.Recipient] = (),
        identities: Sequence[Unwrapper] = (),
        volume_size: int | None = None,
    ) -> Built:
        with ExitStack() as stack:
            found = repair.find(
                request,
                volumes or self.volumes,
                self.shop.root,
                Policy(NOW),
                SILENT,
                stack,
                identities,
            )
            signers, folder = [self.shop.signer], self.folder / out
            return repairbuild.build(
                request, found, signers, folder, SILENT, recipients, volume_size
            )

    def heal(self, request: RepairRequest) -> RepairRequest | None:
        """Imports the answer; where that names more that is missing, asks once more for all."""
        asked: list[RepairRequest] = []
        for number in range(2):
            built = self.answer(request, out=f"repair-{number}")
            try:
                self.take(*built.volumes, ask=asked.append)
                break
            except MissingBase:
                [request] = asked
        for number in range(2):
            shutil.rmtree(self.folder / f"repair-{number}", ignore_errors=True)
        return asked[0] if asked else None

    def whole(self) -> bool:
        """Whether everything is served, and fsck finds nothing."""
        checked = fsck.check(self.store, SILENT)
        return not checked.faults and served(self.store) == SERVED


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    monkeypatch.setattr(layout, "MAX_PART", PART)
    return Builder(tmp_path)


def request_of(builder: Builder, asked: Iterable[bytes], **fields: object) -> RepairRequest:
    """A request for these layers of the builder's bundle, with other fields where given."""
    builder.take(*builder.volumes)
    ref = builder.store.refs().bundles[0]
    blobs = wanted((digests.of(data), len(data)) for data in asked)
    plain = {"name": "base", "version": "1.0.0", "root": ref.root, "documents": (), "layers": blobs}
    return RepairRequest(**{**plain, **fields})  # type: ignore[arg-type]


# A site heals


def test_a_store_with_bad_blobs_heals(builder: Builder) -> None:
    builder.take(*builder.volumes)
    second = CONTENT["big.iso"][0][PART : 2 * PART]
    builder.damage(b"small\n", second)
    [request] = builder.requests()
    assert {w.digest for w in request.layers} == {digests.of(b"small\n"), digests.of(second)}
    assert not builder.whole()
    built = builder.answer(request)
    assert built.bytes < PART + 20_000, "a repair is about as large as what it brings"
    done = builder.take(*built.volumes)
    assert (done.state, done.statement.version) == ("complete", "1.0.0")
    assert builder.whole()


@pytest.mark.parametrize("data", [data for data, _ in CONTENT.values() if len(data) < PART])
def test_any_blob_alone(builder: Builder, data: bytes) -> None:
    builder.take(*builder.volumes)
    builder.damage(data)
    for request in builder.requests():
        builder.take(*builder.answer(request).volumes)
    assert builder.whole()


@pytest.mark.parametrize("what", ["root", "manifest", "statement", "signature"])
def test_a_store_with_bad_documents_heals(builder: Builder, what: str) -> None:
    builder.take(*builder.volumes)
    [ref] = builder.store.refs().bundles
    root = layout.read_index(builder.store.read(ref.root, layout.MAX_DOCUMENT), "root")
    digest = {
        "root": ref.root,
        "manifest": root[2][0].digest,
        "statement": ref.statement,
        "signature": ref.signatures[0],
    }[what]
    builder.blob(digest).write_bytes(b"not any more")
    [request] = builder.requests()
    assert bool(request.documents) == (what in ("root", "manifest"))
    builder.take(*builder.answer(request).volumes)
    assert builder.whole()


def test_everything_is_gone_but_the_refs(builder: Builder) -> None:
    """One request for the documents, a second one for what they name."""
    builder.take(*builder.volumes)
    for blob in list(builder.store.blobs()):
        builder.blob(blob.digest).unlink()
    [first] = builder.requests()
    assert first.layers == ()
    second = builder.heal(first)
    assert second is not None
    asked = {w.digest for w in second.layers}
    assert asked == {digests.of(piece) for piece in (*pieces(), layout.EMPTY)}
    assert builder.whole()


def pieces() -> list[bytes]:
    """The layers of `CONTENT`."""
    return [
        data[at : at + PART]
        for data, _ in CONTENT.values()
        for at in range(0, max(len(data), 1), PART)
        if data != layout.EMPTY
    ]


def test_damaged_media_and_a_repair_are_as_good_as_the_media(builder: Builder) -> None:
    [volume] = builder.volumes
    with tarfile.open(volume) as archive:
        bad = [info for info in archive if info.size in (len(b"small\n"), PART)]
    copy = builder.shop.spoiled(
        volume, lambda data: [data.__setitem__(i.offset_data, 0x55) for i in bad] and None
    )
    asked: list[RepairRequest] = []
    with pytest.raises(GooseError):
        import_volumes(
            [copy],
            builder.store,
            builder.shop.root,
            Policy(NOW),
            SILENT,
            ask=asked.append,
        )
    assert builder.store.refs().bundles == ()
    assert len(asked[0].layers) == len(bad)
    built = builder.answer(asked[0])
    builder.take(*built.volumes)
    assert builder.whole()
    assert builder.store.refs().sequences == {"base": 1}


def test_a_repair_alone_names_what_must_come_first(builder: Builder) -> None:
    request = request_of(builder, [b"small\n"])
    built = builder.answer(request)
    shutil.rmtree(builder.folder / "store")
    with pytest.raises(MissingBase, match=r"base 1\.0\.0"):
        builder.take(*built.volumes)
    assert builder.store.refs().bundles == ()


def test_a_repair_of_an_older_version_leaves_the_newer_one_current(builder: Builder) -> None:
    builder.take(*builder.volumes)
    (builder.tree / "b/other").write_bytes(b"newer\n")
    builder.take(*builder.built("2.0.0", 2))
    builder.damage(b"other\n")
    [request] = builder.requests()
    assert request.version == "1.0.0"
    builder.take(*builder.answer(request).volumes)
    old, new = builder.store.refs().bundles
    assert (old.version, old.current) == ("1.0.0", False)
    assert (new.version, new.current) == ("2.0.0", True)
    assert not fsck.check(builder.store, SILENT).faults
    assert builder.store.refs().sequences == {"base": 2}


def test_only_a_repair_leaves_another_version_current(builder: Builder) -> None:
    """An old version that is here, brought again in full or as a delta, is a rollback."""
    source = [artifact(builder.tree, "os")]
    delta = builder.shop.build(
        builder.shop.draft(version="1.5.0", sequence=2),
        source,
        base=builder.shop.since(*builder.volumes),
        out="delta",
    )
    for volumes in (builder.volumes, delta, builder.built("2.0.0", 3)):
        builder.take(*volumes)
    for volumes in (builder.volumes, delta):
        with pytest.raises(RollbackRefused):
            builder.take(*volumes)
    current = builder.store.refs().current("base")
    assert current is not None
    assert current.version == "2.0.0"


def test_a_repair_is_no_way_back_to_a_version_that_is_not_here(builder: Builder) -> None:
    request = request_of(builder, [b"small\n"])
    built = builder.answer(request)
    shutil.rmtree(builder.folder / "store")
    builder.take(*builder.built("2.0.0", 2))
    with pytest.raises(RollbackRefused):
        builder.take(*built.volumes)


def test_a_repair_heals_what_has_expired(builder: Builder) -> None:
    builder.take(*builder.volumes)
    builder.damage(b"small\n")
    [request] = builder.requests()
    built = builder.answer(request)
    builder.take(*built.volumes, now=NOW.replace(year=2030))
    assert builder.whole()


def test_a_repair_is_imported_again_without_harm(builder: Builder) -> None:
    request = request_of(builder, [b"small\n"])
    built = builder.answer(request)
    for _ in range(2):
        builder.take(*built.volumes)
        assert builder.whole()


def test_the_same_request_gives_the_same_repair(builder: Builder) -> None:
    request = request_of(builder, [b"small\n", b"other\n"])
    one, two = (builder.answer(request, out=out).volumes[0] for out in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert one.name == two.name
    assert one.name.startswith("base-1.0.0.repair-")


def test_a_repair_lies_beside_the_volumes(builder: Builder) -> None:
    request = request_of(builder, [b"small\n"])
    media = builder.volumes[0].parent
    builder.answer(request, out=media.name)
    for old in media.iterdir():
        if "repair" not in old.name:
            old.unlink()
    assert builder.built() == builder.volumes, "and is not taken for a volume of the bundle"


def test_a_repair_in_several_volumes(builder: Builder) -> None:
    request = request_of(builder, pieces())
    built = builder.answer(request, volume_size=500_000)
    assert len(built.volumes) > 1
    assert all(volume.stat().st_size <= 500_000 for volume in built.volumes)
    for data in set(pieces()):
        builder.blob(digests.of(data)).unlink()
    assert builder.take(built.volumes[1]).state == "incomplete"
    assert builder.take(built.volumes[0]).state == "complete"
    assert builder.whole()


# Sealed, both ways


def test_a_repair_from_sealed_volumes_and_sealed(builder: Builder) -> None:
    secret, public, _ = generate(builder.folder / "keys", "site")
    recipients, identities = [seal.recipient(str(public))], identity.read(secret)
    sealed = builder.built("1.0.0-s", 1, recipients=recipients)
    open_ = builder.built("1.0.0-o", 1)
    del open_
    import_volumes(sealed, builder.store, builder.shop.root, Policy(NOW), SILENT, identities)
    builder.damage(b"small\n", CONTENT["middle"][0], CONTENT["big.iso"][0][:PART])
    [request] = builder.requests()
    with pytest.raises(IdentityNeeded):
        builder.answer(request, *sealed)
    built = builder.answer(request, *sealed, recipients=recipients, identities=identities)
    [volume] = built.volumes
    assert volume.name.endswith(".goose.tar.age")
    assert b"small" not in volume.read_bytes()
    held = frozenset(ref.root for ref in builder.store.refs().bundles)
    rules = Policy(NOW, sequences=builder.store.refs().sequences, held=held)
    import_volumes([volume], builder.store, builder.shop.root, rules, SILENT, identities)
    assert builder.whole()


def test_what_came_sealed_is_bounded_in_memory(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, public, _ = generate(builder.folder / "keys", "site")
    request = request_of(builder, [b"small\n", b"other\n"])
    sealed = builder.shop.build(
        builder.shop.draft(expires="2026-12-01T00:00:00Z"),
        [artifact(builder.tree, "os")],
        out="sealed",
        recipients=[seal.recipient(str(public))],
    )
    identities = identity.read(secret)
    builder.answer(request, *sealed, identities=identities)
    monkeypatch.setattr(spool, "MAX_HELD", 11)
    with pytest.raises(SpoolFull, match="more than 11 bytes"):
        builder.answer(request, *sealed, identities=identities, out="no")


# What is not answered


def test_a_request_that_names_a_foreign_blob(builder: Builder) -> None:
    foreign = wanted([(digests.of(b"/etc/shadow"), 11)])
    for fields in ({"layers": foreign}, {"documents": foreign}):
        with pytest.raises(ForeignBlob) as caught:
            builder.answer(request_of(builder, [b"small\n"], **fields))
        assert digests.of(b"/etc/shadow") in caught.value.message
    assert not (builder.folder / "repair").exists()


def test_a_request_that_gives_a_blob_another_size(builder: Builder) -> None:
    other = wanted([(digests.of(b"small\n"), 7)])
    with pytest.raises(ForeignBlob):
        builder.answer(request_of(builder, [], layers=other))


def test_a_layer_that_is_asked_for_as_a_document(builder: Builder) -> None:
    layer = wanted([(digests.of(b"small\n"), 6)])
    with pytest.raises(ForeignBlob, match="no document of that digest"):
        builder.answer(request_of(builder, [], documents=layer))


@pytest.mark.parametrize(
    "fields", [{"name": "other"}, {"version": "1.0.1"}, {"root": digests.of(b"other")}]
)
def test_a_request_for_another_bundle(builder: Builder, fields: dict[str, str]) -> None:
    with pytest.raises(RequestMismatch, match=r"the volumes hold base 1\.0\.0"):
        builder.answer(request_of(builder, [b"small\n"], **fields))


def test_volumes_of_a_stranger_are_not_signed_again(builder: Builder) -> None:
    request = request_of(builder, [b"small\n"])
    stranger = builder.shop.build(
        builder.shop.draft(expires="2026-12-01T00:00:00Z"),
        [artifact(builder.tree, "os")],
        signers=[signer(9)],
        out="stranger",
    )
    with pytest.raises(trust.UnknownSigner):
        builder.answer(request, *stranger)


def test_a_volume_that_was_not_given(builder: Builder) -> None:
    volumes = builder.shop.build(
        builder.shop.draft(version="3.0.0"),
        [artifact(builder.tree, "os")],
        volume_size=700_000,
        out="split",
    )
    builder.volumes = volumes
    request = request_of(builder, [b"small\n", CONTENT["middle"][0]], version="3.0.0")
    with pytest.raises(NotInVolumes, match="os/middle is not in the volumes given"):
        builder.answer(request, volumes[0])
    assert builder.answer(request, *volumes).volumes


def test_the_builders_own_volume_is_damaged(builder: Builder) -> None:
    request = request_of(builder, [b"small\n"])
    [volume] = builder.volumes
    data = volume.read_bytes()
    at = data.rindex(b"small\n")
    copy = builder.shop.spoiled(volume, lambda d: d.__setitem__(at, 0x55))
    with pytest.raises(DamagedBlob, match="own volume is damaged: os/a/small"):
        builder.answer(request, copy)
    assert not (builder.folder / "repair").exists()


# Any damage


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_damaged_heals(builder: Builder, data: st.DataObject) -> None:
    shutil.rmtree(builder.folder / "store", ignore_errors=True)
    builder.take(*builder.volumes)
    blobs = sorted(blob.digest for blob in builder.store.blobs())
    chosen = data.draw(st.lists(st.sampled_from(blobs), unique=True, min_size=1))
    dice = random.Random(data.draw(st.integers(0, 2**16)))
    for digest in chosen:
        path = builder.blob(digest)
        dice.choice([lose, cut, change])(path)
    for _ in range(3):  # what damaged documents name is only known once they are whole
        for request in builder.requests():
            builder.heal(request)
        if builder.whole():
            return
    pytest.fail("not whole after three rounds")


def lose(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change(path: Path) -> None:
    path.write_bytes(b"?" + path.read_bytes()[1:])


# Stock tools


def test_tar_gets_a_large_layer_out_of_a_repair(builder: Builder, tmp_path: Path) -> None:
    middle = CONTENT["middle"][0]
    request = request_of(builder, [middle])
    [volume] = builder.answer(request).volumes
    name = f"blobs/sha256/{digests.hex_of(digests.of(middle))}"
    command = [part("tar"), "xOf", volume, name]
    assert subprocess.run(command, capture_output=True, check=True).stdout == middle
