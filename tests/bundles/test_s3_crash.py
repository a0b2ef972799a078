"""kill -9, lost answers and a service that goes away, at every request that an S3 store makes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundles import digest as digests
from bundles.progress import SILENT
from bundles.site.catalog import Catalog
from bundles.store import S3Address, Store, fsck, open_store
from tests.bundles.content import Tree, artifact, lay_out, noise, served, under
from tests.disk.lives import End, Lane, Life
from tests.disk.many import each, spread
from tests.disk.site import Site
from tests.s3_server import S3Server, environment

KILLED = -signal.SIGKILL
MIB = 1024 * 1024
FIRST: Tree = {"a": (noise("a", 2_000), 0o644), "same": (noise("same", 3_000), 0o644)}
SECOND: Tree = {
    "b": (noise("b", 2_500), 0o755),
    "large": (noise("large", 17 * MIB), 0o644),  # in two parts
    "same": FIRST["same"],
}
CLEAN = ("store", "gc", "--keep", "1", "--unfinished", "--yes")


@dataclass(frozen=True)
class Bucket:
    """A store in a bucket, and the processes that use it."""

    address: S3Address
    home: Path
    told: Path

    @property
    def store(self) -> Store:
        return open_store(self.address)

    def start(self, lane: Lane, *words: str | Path, deed: str = "count", at: int = 0) -> Life:
        plot = {"deed": deed, "at": at, "told": str(self.told)}
        known = environment(self.address)
        return lane.start(
            self.home, *words, environment=known, prepare=("tests.disk.requests:arm", plot)
        )

    def run(self, lane: Lane, *words: str | Path, deed: str = "count", at: int = 0) -> End:
        return self.start(lane, *words, deed=deed, at=at).end()

    def requests(self) -> int:
        """How many the last run made."""
        return int(self.told.read_text())

    def check(self) -> bool:
        """What was served is served; the second version whole or not at all. Returns which."""
        store = self.store
        catalog = Catalog(store)
        came = catalog.ref("base", "2.0") is not None
        expected = under("t", SECOND if came else FIRST)
        found = {file.path: (file.digest, file.mode) for file in catalog.list("base", None)}
        assert found == {path: (digests.of(data), mode) for path, (data, mode) in expected.items()}
        here = {blob.digest: blob.size for blob in store.blobs()}
        for ref in store.refs().bundles:
            for file in catalog.list(ref.name, ref.version):
                assert all(here[part.digest] == part.size for part in file.parts)
        return came

    def check_clean(self) -> None:
        """Nothing is damaged, missing, left over or locked."""
        checked = fsck.check(self.store, SILENT)
        assert (checked.faults, checked.unused_blobs, checked.leftovers) == ((), 0, ())
        assert checked.busy is None

    def check_completed(self) -> None:
        assert self.check()
        assert served(self.store) == under("t", SECOND)
        self.check_clean()


class Buckets:
    """Buckets with the first version of a bundle, or with both."""

    def __init__(self, server: S3Server, site: Site, folder: Path) -> None:
        self._server, self._site, self._folder = server, site, folder
        self.media = {}
        for number, content in ((1, FIRST), (2, SECOND)):
            source = lay_out(folder / f"source{number}", content)
            draft = site.workshop.draft(version=f"{number}.0", sequence=number)
            site.workshop.build(draft, [artifact(source, "t")], out=str(folder / f"m{number}"))
            self.media[number] = folder / f"m{number}"
        self._made: dict[int, Bucket] = {}

    def new(self, lane: Lane, versions: int = 1) -> Bucket:
        """One of its own, with so many versions."""
        if versions not in self._made:
            bucket = self._bucket(self._server.bucket())
            for number in range(1, versions + 1):
                end = bucket.run(lane, "bundle", "import", self.media[number])
                assert end.code == 0, end.err
            self._made[versions] = bucket
        return self._bucket(self._server.copy(self._made[versions].address))

    @property
    def update(self) -> tuple[str | Path, ...]:
        return ("bundle", "import", self.media[2])

    def _bucket(self, address: S3Address) -> Bucket:
        return Bucket(address, self._site.homes["new"], self._folder / address.bucket)


@pytest.fixture(scope="module")
def buckets(
    s3: Callable[[], S3Server],
    site: Site,
    warm: Sequence[Lane],
    tmp_path_factory: pytest.TempPathFactory,
) -> Buckets:
    made = Buckets(s3(), site, tmp_path_factory.mktemp("buckets"))
    for versions in (1, 2):
        made.new(warm[0], versions)
    return made


def requests_of(lane: Lane, bucket: Bucket, words: Sequence[str | Path]) -> int:
    end = bucket.run(lane, *words)
    assert end.code == 0, end.err
    return bucket.requests()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("deed", ["kill before", "kill after"])
def test_an_import_into_s3_killed_at_every_request(
    warm: Sequence[Lane], buckets: Buckets, deed: str
) -> None:
    requests = requests_of(warm[0], buckets.new(warm[0]), buckets.update)

    def die(lane: Lane, at: int) -> None:
        bucket = buckets.new(lane)
        assert bucket.run(lane, *buckets.update, deed=deed, at=at).code == KILLED
        bucket.check()
        end = bucket.run(lane, *buckets.update)
        assert end.code == 0, end.err
        bucket.check_completed()

    each(warm, spread(requests, 30 if deed == "kill before" else 10), die)


@pytest.mark.timeout(600)
def test_gc_over_s3_killed_at_every_request(warm: Sequence[Lane], buckets: Buckets) -> None:
    requests = requests_of(warm[0], buckets.new(warm[0], 2), CLEAN)

    def die(lane: Lane, at: int) -> None:
        bucket = buckets.new(lane, 2)
        assert bucket.run(lane, *CLEAN, deed="kill before", at=at).code == KILLED
        assert bucket.check()
        end = bucket.run(lane, *CLEAN)
        assert end.code == 0, end.err
        bucket.check_completed()
        assert [ref.version for ref in bucket.store.refs().bundles] == ["2.0"]

    each(warm, spread(requests, 15), die)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", ["import", "gc"])
def test_an_answer_lost_at_any_request_is_made_up_for(
    warm: Sequence[Lane], buckets: Buckets, what: str
) -> None:
    words, versions = (buckets.update, 1) if what == "import" else (CLEAN, 2)
    requests = requests_of(warm[0], buckets.new(warm[0], versions), words)

    def lose(lane: Lane, at: int) -> None:
        bucket = buckets.new(lane, versions)
        end = bucket.run(lane, *words, deed="lose", at=at)
        assert end.code == 0, end.err
        bucket.check_completed()

    each(warm, spread(requests, 10), lose)


@pytest.mark.timeout(600)
def test_a_service_that_goes_away_at_any_request(warm: Sequence[Lane], buckets: Buckets) -> None:
    requests = requests_of(warm[0], buckets.new(warm[0]), buckets.update)

    def go(lane: Lane, at: int) -> None:
        bucket = buckets.new(lane)
        end = bucket.run(lane, *buckets.update, deed="gone", at=at)
        came = bucket.check()
        if end.code != 0:
            assert end.error["code"] == "store-unreachable", end.error
            assert end.error["hint"]
        else:
            assert came  # only the lock could not be removed
        end = bucket.run(lane, *buckets.update)
        assert end.code == 0, end.err
        bucket.check_completed()

    each(warm, spread(requests, 10), go)


@pytest.mark.timeout(600)
def test_a_server_killed_at_any_request_and_started_again(
    warm: Sequence[Lane], site: Site, own: S3Server, tmp_path: Path
) -> None:
    """Really killed, while the import stands before a request that it then has to repeat."""
    folder = tmp_path / "buckets"
    folder.mkdir()
    buckets = Buckets(own, site, folder)
    requests = requests_of(warm[0], buckets.new(warm[0]), buckets.update)
    for at in spread(requests, 5):
        bucket = buckets.new(warm[0])
        life = bucket.start(warm[0], *buckets.update, deed="stop", at=at)
        assert life.stopped()
        own.kill()
        own.start()
        os.kill(life.pid, signal.SIGCONT)
        end = life.end()
        assert end.code == 0, end.err
        bucket.check_completed()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", ["import", "gc"])
def test_whoever_comes_while_another_writes_to_s3_is_refused(
    warm: Sequence[Lane], buckets: Buckets, what: str
) -> None:
    """Wherever it stands: an import and a clean-up never work side by side."""
    words, versions = (buckets.update, 1) if what == "import" else (CLEAN, 2)
    requests = requests_of(warm[0], buckets.new(warm[0], versions), words)
    refused = []

    def meet(lane: Lane, at: int) -> None:
        bucket = buckets.new(lane, versions)
        life = bucket.start(lane, *words, deed="stop", at=at)
        assert life.stopped()
        try:
            end = bucket.run(lane, *(CLEAN if at % 2 else buckets.update))
            if end.code != 0:
                assert end.error["code"] == "store-busy", end.error
                refused.append(at)
            bucket.check()
        finally:
            os.kill(life.pid, signal.SIGCONT)
        assert life.end().code == 0
        for again in (buckets.update, CLEAN):
            assert bucket.run(lane, *again).code == 0
        bucket.check_completed()

    each(warm, spread(requests, 8), meet)
    assert len(refused) >= 5
