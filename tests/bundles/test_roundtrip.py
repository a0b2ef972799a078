"""What goes in comes out: any tree, any volume size, any order of volumes."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bundles import digest as digests
from bundles.format import layout
from bundles.making.plan import VolumeTooSmall
from bundles.progress import SILENT
from bundles.signing.policy import Policy
from bundles.site.catalog import Catalog
from bundles.site.ingest import import_volumes
from bundles.site.switch import VersionTaken
from bundles.sources import SourceFault, files, tree
from bundles.store import open_store
from bundles.store.local import LocalStore
from bundles.store.local_ingest import LocalIngest
from tests.bundles.content import Tree, artifact, lay_out, listing, noise, served, take, under
from tests.bundles.making import NOW, Workshop

# What is not a control character, a slash or a surrogate is a name.
_CHARACTERS = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/")
_NAMES = st.one_of(
    st.sampled_from(["{}", "a", "a.part-00001", "with space", "back\\slash", 'quo"te', "ü", "-x"]),
    st.text(_CHARACTERS, min_size=1, max_size=12).filter(lambda name: name not in (".", "..")),
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_BYTES = st.one_of(
    st.sampled_from([b"", b"{}", b"same", b"x" * 5000]),
    st.binary(max_size=3000),
    # Longer than what is read whole, and compressible for nobody.
    st.integers(262_100, 262_200).map(lambda size: noise(str(size), size)),
)
_MODES = st.sampled_from([0o644, 0o755, 0o600, 0o444, 0o4755])


def _holdable(content: Tree) -> bool:
    """Whether a file system holds it: no file is also a folder."""
    paths = set(content)
    return not any(
        path[:at] in paths for path in paths for at in range(len(path)) if path[at] == "/"
    )


TREES = st.dictionaries(_PATHS, st.tuples(_BYTES, _MODES), min_size=1, max_size=8).filter(_holdable)
SIZES = st.one_of(st.none(), st.integers(8_000, 400_000))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def scratch(workshop: Workshop) -> Iterator[Path]:
    """A folder for one test, inside the workshop's."""
    with tempfile.TemporaryDirectory(dir=workshop.folder) as folder:
        yield Path(folder)


def _build(
    workshop: Workshop, content: Tree, folder: Path, volume_size: int | None = None
) -> list[Path]:
    source = lay_out(folder / "tree", content)
    out = str((folder / "out").relative_to(workshop.folder))
    artifacts = [tree.expand(source, "os/tree")]
    return workshop.build(artifacts=artifacts, volume_size=volume_size, out=out)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, SIZES, st.randoms(use_true_random=False))
def test_every_tree_comes_back_from_volumes_in_any_order(
    workshop: Workshop, content: Tree, size: int | None, order: random.Random
) -> None:
    with tempfile.TemporaryDirectory(dir=workshop.folder) as name:
        folder = Path(name)
        try:
            volumes = _build(workshop, content, folder, size)
        except VolumeTooSmall:
            assume(False)
        if size is not None:
            assert all(volume.stat().st_size <= size for volume in volumes)
        order.shuffle(volumes)
        store = open_store(folder / "store")
        for volume in volumes:
            assert served(store) == {}
            if take(workshop, folder / "store", volume).state == "complete":
                break  # those left hold nothing but what came before
        assert served(store) == under("os/tree", content)
        # The order is part of the format; a file system has another.
        assert list(served(store)) == [f"os/tree/{path}" for path in sorted(content)]
        for file in Catalog(store).list("base", "1.0.0"):
            data = content[file.path.removeprefix("os/tree/")][0]
            assert (file.digest, file.size) == (digests.of(data), len(data))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, SIZES, st.randoms(use_true_random=False))
def test_the_same_inputs_give_the_same_bytes(
    workshop: Workshop, content: Tree, size: int | None, order: random.Random
) -> None:
    shuffled = list(content.items())
    order.shuffle(shuffled)
    with tempfile.TemporaryDirectory(dir=workshop.folder) as name:
        once, again = Path(name, "once"), Path(name, "elsewhere/again")
        lay_out(again / "tree", dict(shuffled))
        for path in content:
            moment = order.randrange(2**31)
            os.utime(again / "tree" / path, (moment, moment))
        try:
            _build(workshop, content, once, size)
        except VolumeTooSmall:
            assume(False)
        _build(workshop, {}, again, size)
        assert listing(once / "out") == listing(again / "out")


def test_a_build_leaves_its_volumes_and_their_list_and_nothing_else(
    workshop: Workshop, scratch: Path
) -> None:
    content = {f"f{n}": (noise(f"{n}", 90_000), 0o644) for n in range(6)}
    _build(workshop, content, scratch, 250_000)
    stem = "base-1.0.0"
    volumes = [f"{stem}.{k}of3.goose.tar" for k in (1, 2, 3)]
    lists = [f"{stem}.volumes.json", f"{stem}.volumes.json.sig"]
    assert sorted(listing(scratch / "out")) == sorted(volumes + lists)


def test_a_build_that_fails_leaves_nothing(workshop: Workshop, scratch: Path) -> None:
    """The last file has shrunk since the plan was made; the volumes before it are written."""
    content = {f"f{n}": (noise(f"{n}", 90_000), 0o644) for n in range(6)}
    artifacts = [artifact(lay_out(scratch / "t", content), "t")]
    (scratch / "t/f5").write_bytes(b"")
    out = str((scratch / "out").relative_to(workshop.folder))
    with pytest.raises(SourceFault, match="f5 changed "):
        workshop.build(artifacts=artifacts, volume_size=250_000, out=out)
    assert listing(scratch / "out") == {}


def test_an_import_leaves_a_store_and_nothing_else(workshop: Workshop, scratch: Path) -> None:
    content = {"a": (b"a", 0o644), "large": (noise("1", 300_000), 0o644)}
    done = take(workshop, scratch / "store", *_build(workshop, content, scratch))
    assert done.state == "complete"
    assert {entry.name for entry in (scratch / "store").iterdir()} == {
        *("blobs", "index.json", "index.json.previous", "lock", "oci-layout")
    }
    store = open_store(scratch / "store")
    for digest in [blob.digest for blob in store.blobs()]:
        assert digests.of(store.read(digest, 10**6)) == digest


def test_identical_files_are_stored_once(workshop: Workshop, scratch: Path) -> None:
    data = noise("2", 300_000)
    content = dict.fromkeys(("a", "b", "c/d"), (data, 420))
    [volume] = _build(workshop, content, scratch)
    assert len(data) < volume.stat().st_size < 2 * len(data)
    done = take(workshop, scratch / "store", volume)
    assert len(data) < done.bytes_written < 2 * len(data)
    assert served(open_store(scratch / "store")) == under("os/tree", content)


@pytest.mark.parametrize("volume_size", [None, 120_000])
def test_long_files_travel_in_parts(
    workshop: Workshop, scratch: Path, monkeypatch: pytest.MonkeyPatch, volume_size: int | None
) -> None:
    """With the largest part at 50,000 bytes instead of a gibibyte."""
    monkeypatch.setattr(layout, "MAX_PART", 50_000)
    long = noise("3", 333_333)
    content = {
        "before": (b"before", 0o644),
        "exact": (long[:100_000], 0o755),
        "long": (long, 0o600),
        "same parts": (long[:50_000] * 3 + b"!", 0o644),
        "whole": (long[:50_000], 0o644),
    }
    volumes = _build(workshop, content, scratch, volume_size)
    assert (len(volumes) > 3) == (volume_size is not None)
    take(workshop, scratch / "store", *reversed(volumes))
    store = open_store(scratch / "store")
    assert served(store) == under("os/tree", content)
    parts = {}
    for file in Catalog(store).list("base", None):
        name = file.path.removeprefix("os/tree/")
        assert file.digest == "sha256:" + hashlib.sha256(content[name][0]).hexdigest()
        assert all(part.size == 50_000 for part in file.parts[:-1])
        parts[name] = len(file.parts)
    assert parts == {"before": 1, "exact": 2, "long": 7, "same parts": 4, "whole": 1}


def test_parts_of_one_file_may_lie_in_many_volumes(workshop: Workshop, scratch: Path) -> None:
    """A file larger than a volume is cut to fit, without being told to."""
    content = {"long": (noise("4", 500_000), 0o755)}
    volumes = _build(workshop, content, scratch, 60_000)
    assert len(volumes) > 8
    shutil.rmtree(scratch / "tree")
    for volume in volumes[1::2] + volumes[::2]:
        done = take(workshop, scratch / "store", volume)
    assert done.missing == ()
    assert served(open_store(scratch / "store")) == under("os/tree", content)


def test_a_site_serves_the_new_version_and_keeps_the_old(workshop: Workshop, scratch: Path) -> None:
    for number, text in ((1, b"old"), (2, b"new")):
        source = lay_out(scratch / f"t{number}", {"motd": (text, 0o644), "same": (b"s", 0o755)})
        draft = workshop.draft(version=f"{number}.0", sequence=number)
        out = str((scratch / f"out{number}").relative_to(workshop.folder))
        take(workshop, scratch / "store", *workshop.build(draft, [artifact(source, "t")], out=out))
    store = open_store(scratch / "store")
    assert served(store)["t/motd"] == (b"new", 0o644)
    assert served(store, version="1.0")["t/motd"] == (b"old", 0o644)
    assert served(store, version="3.0") == {}


def test_one_file_is_served_under_its_title(workshop: Workshop, scratch: Path) -> None:
    source = lay_out(scratch / "t", {"source.bin": (b"firmware", 0o755)}) / "source.bin"
    out = str((scratch / "out").relative_to(workshop.folder))
    volumes = workshop.build(artifacts=[files.expand(source, "fw/ü name.bin")], out=out)
    take(workshop, scratch / "store", *volumes)
    assert served(open_store(scratch / "store")) == {"fw/ü name.bin": (b"firmware", 0o755)}


@pytest.mark.parametrize("created", ["1969-12-31T23:59:59Z", "2300-01-01T00:00:00Z"])
def test_a_time_that_tar_cannot_hold_is_left_to_the_statement(
    workshop: Workshop, scratch: Path, created: str
) -> None:
    source = lay_out(scratch / "t", {"a": (b"a", 0o644)})
    out = str((scratch / "out").relative_to(workshop.folder))
    volumes = workshop.build(workshop.draft(created=created), [artifact(source, "t")], out=out)
    assert workshop.check(*volumes).statement.created == created
    with tarfile.open(volumes[0]) as archive:
        assert {info.mtime for info in archive} == {0}


def test_a_version_keeps_its_content_though_two_imports_race(
    workshop: Workshop, scratch: Path
) -> None:
    """The other import is done between this one's look at the refs and its taking the lock."""
    media = []
    for text in (b"first", b"second"):
        source = lay_out(scratch / text.decode(), {"motd": (text, 0o644)})
        out = str((scratch / f"out-{text.decode()}").relative_to(workshop.folder))
        media += workshop.build(artifacts=[artifact(source, "t")], out=out)

    class Overtaken(LocalStore):
        def ingest(self, root: str) -> LocalIngest:
            take(workshop, self.folder, media[0])
            return super().ingest(root)

    store = Overtaken(scratch / "store")
    with pytest.raises(VersionTaken):
        import_volumes(media[1:], store, workshop.root, Policy(NOW), SILENT)
    assert served(store) == {"t/motd": (b"first", 0o644)}
