"""A small site, media for it, and all that is done to its store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bundles import digest as digests
from bundles.progress import SILENT
from bundles.site.catalog import Catalog
from bundles.store import Refs, fsck, open_store
from bundles.store.local import LocalStore
from tests.bundles.content import Tree, artifact, lay_out, noise, served, under
from tests.bundles.making import Workshop
from tests.disk.lives import Lane

_LARGE = noise("large", 400_000)

OLD: Tree = {
    **{f"d{n % 3}/f{n}": (noise(f"old{n // 2}", 900 + n), 0o644) for n in range(8)},
    "large": (_LARGE, 0o644),
}
NEW: Tree = {
    **{f"d{n % 3}/f{n}": (noise(f"new{n}", 700 + n), 0o644 + n % 2 * 0o111) for n in range(12)},
    "shared": OLD["d1/f1"],
    "large": (_LARGE[:200_000] + b"changed" + _LARGE[200_000:], 0o644),
}
OTHER: Tree = {f"f{n}": (noise(f"other{n}", 600), 0o644) for n in range(6)}
HURT = digests.of(NEW["d1/f4"][0])  # what a disk damages

_CONTENT = {("base", "1.0"): OLD, ("base", "2.0"): NEW, ("other", "1.0"): OTHER}
_EXPECTED = {
    which: {path: (digests.of(data), mode) for path, (data, mode) in under("t", tree).items()}
    for which, tree in _CONTENT.items()
}


_RECIPE = """\
apiVersion: goose/v1
kind: Bundle
name: base
version: 2.0
sequence: 2
audience: any
contents:
  - tree: source-base2.0
    as: t
"""


@dataclass(frozen=True, slots=True)
class Act:
    """Something that changes a store, and may be ended at any moment."""

    name: str
    before: Path  # the home that it begins with
    words: tuple[str | Path, ...]
    check: Callable[[Path], None]  # what holds of a home at any moment
    done: Callable[[Path], None]  # and after it came to its end
    code: int = 0  # of its end
    hurt: frozenset[str] = frozenset()  # blobs that are damaged, or not there, until it is done

    @property
    def before_store(self) -> bool:
        """Whether there is a store when it begins."""
        return (self.before / "store/index.json").exists()


class Site:
    """Media with two versions of one bundle and one of another, and homes to begin with."""

    def __init__(self, folder: Path, lane: Lane) -> None:
        self.folder, self._lane = folder, lane
        self.workshop = Workshop(folder)
        self.key = folder / "keys/release"
        self.recipe = folder / "base.yaml"
        self.recipe.write_text(_RECIPE)
        self.media: dict[str, Path] = {}
        for (name, version), content in _CONTENT.items():
            self._media(name, version, content, f"{name}{version}", volume_size=300_000)
        base = self.workshop.since(*sorted(self.media["base1.0"].glob("*.tar")))
        self._media("base", "2.0", NEW, "delta", volume_size=300_000, base=base)
        new = folder / "new"
        (new / "trust").mkdir(parents=True)
        (new / "store").mkdir()
        (new / "trust/root.json").write_bytes(self.workshop.root.render())
        self.homes = {"new": new}
        self._home("old", "new", "base1.0", "other1.0")
        self._home("both", "old", "base2.0")
        self._damage()
        lane.warm(self.copy("warm", "old"), "bundle", "import", self.media["base2.0"])

    def copy(self, name: str, of: str) -> Path:
        """A home with the content of another; blobs are linked, for they never change."""
        return copied(self.homes[of], self.folder / name)

    def acts(self) -> dict[str, Act]:
        """All that is done to a store."""
        homes, media = self.homes, self.media
        clean = ("store", "gc", "--keep", "1", "--unfinished", "--yes")
        found = [
            Act("import", homes["old"], ("bundle", "import", media["base2.0"]), _update, _updated),
            Act("half", homes["old"], ("bundle", "import", self.half), _update, _halfway),
            Act("first import", homes["new"], ("bundle", "import", media["base2.0"]), _new, _came),
            Act("delta", homes["old"], ("bundle", "import", media["delta"]), _update, _updated),
            Act(
                "repair",
                homes["hurt"],
                ("bundle", "import", media["repair"]),
                _hurt,
                _updated,
                hurt=frozenset({HURT}),
            ),
            Act("gc", homes["full"], clean, _update_or_less, _cleaned),
            Act("switch", homes["both"], ("store", "switch", "base@1.0"), _either, _switched),
            Act("fsck", homes["bad"], ("store", "fsck"), _bad, _put_aside, 1, frozenset({HURT})),
        ]
        return {act.name: act for act in found}

    @property
    def half(self) -> Path:
        """The volume of the new version that holds the most."""
        return max(self.media["base2.0"].glob("*.tar"), key=lambda path: path.stat().st_size)

    def _media(self, name: str, version: str, content: Tree, out: str, **options: object) -> None:
        source = lay_out(self.folder / f"source-{name}{version}", content)
        draft = self.workshop.draft(name=name, version=version, sequence=int(version[0]))
        self.workshop.build(draft, [artifact(source, "t")], out=f"media-{out}", **options)  # type: ignore[arg-type]
        self.media[out] = self.folder / f"media-{out}"

    def _home(self, name: str, of: str, *media: str) -> None:
        self.homes[name] = self.copy(f"home-{name}", of)
        for each in media:
            self._run(self.homes[name], "bundle", "import", self.media[each])

    def _damage(self) -> None:
        """A home with a damaged blob, one where it was put aside, and the repair for it; and one
        with an import that was given up."""
        self.homes["bad"] = bad = self.copy("home-bad", "both")
        blob = blob_path(bad, HURT)
        damaged = b"#" + blob.read_bytes()[1:]
        blob.unlink()  # it is linked from other homes
        blob.write_bytes(damaged)
        self.homes["hurt"] = hurt = self.copy("home-hurt", "bad")
        asked, out = self.folder / "repair.json", self.folder / "media-repair"
        assert self._lane.run(hurt, "store", "fsck", "--request", asked).code == 1
        made = ("bundle", "repair", asked, self.media["base2.0"], "--key", self.key, "--out", out)
        self._run(hurt, *made)
        self.media["repair"] = out
        self.homes["full"] = full = self.copy("home-full", "both")
        source = lay_out(self.folder / "source-third", OLD | {"third": (b"third", 0o644)})
        draft = self.workshop.draft(version="3.0", sequence=3)
        third = [artifact(source, "t")]
        volumes = self.workshop.build(draft, third, out="media-third", volume_size=300_000)
        self._run(full, "bundle", "import", volumes[0])

    def _run(self, home: Path, *words: str | Path) -> None:
        end = self._lane.run(home, *words)
        assert end.code == 0, end.err


def copied(home: Path, to: Path) -> Path:
    """A copy of a home; blobs are linked."""
    shutil.copytree(home / "trust", to / "trust")
    shutil.copytree(home / "store", to / "store", copy_function=_linked)
    return to


def _linked(source: str, target: str) -> None:
    (os.link if "/blobs/" in source else shutil.copy)(source, target)


def store_of(home: Path) -> LocalStore:
    return open_store(home / "store")


def blob_path(home: Path, digest: str) -> Path:
    found = store_of(home).path(digest)
    assert found is not None
    return found


_right: set[tuple[str, int, int]] = set()  # blobs that were hashed; other homes link to them


def check_blobs(store: LocalStore, hurt: str | None = None) -> None:
    """What is under a final name is what it is named for."""
    for digest in [blob.digest for blob in store.blobs()]:
        with store.open(digest) as file:
            info = os.fstat(file.fileno())
            key = digest, info.st_ino, info.st_mtime_ns
            if key not in _right and digest != hurt:
                assert digests.of(file.read()) == digest
                _right.add(key)


def has(catalog: Catalog, version: str, name: str = "base") -> bool:
    """Whether a version is here; and if it is, whole. Each blob is right: `check_blobs`."""
    came = catalog.ref(name, version) is not None
    assert _listed(catalog, name, version) == (_EXPECTED[name, version] if came else {})
    return came


def _listed(catalog: Catalog, name: str, version: str | None) -> Mapping[str, tuple[str, int]]:
    """What is served of a bundle: digests and modes, by path."""
    found = {}
    for file in catalog.list(name, version):
        assert all(part.digest == HURT or catalog.store.has(part.digest) for part in file.parts)
        found[file.path] = (file.digest, file.mode)
    return found


def check_update(store: LocalStore) -> bool:
    """The old version and the other bundle are served as ever; the new one is served whole, and
    current, or not at all. Returns which."""
    catalog = Catalog(store)
    assert has(catalog, "1.0") and has(catalog, "1.0", "other")
    came = has(catalog, "2.0")
    assert _listed(catalog, "base", None) == _EXPECTED["base", "2.0" if came else "1.0"]
    check_blobs(store)
    return came


def check_serving(store: LocalStore) -> None:
    """One version or the other is served without its number, whole."""
    found = _listed(Catalog(store), "base", None)
    assert found in (_EXPECTED["base", "1.0"], _EXPECTED["base", "2.0"])


def _update(home: Path) -> None:
    check_update(store_of(home))


def _updated(home: Path) -> None:
    store = store_of(home)
    assert check_update(store)
    assert served(store) == under("t", NEW)
    _tidy(home)


def _halfway(home: Path) -> None:
    """Some came, and is kept for the import of the rest."""
    assert not check_update(store_of(home))
    with store_of(home).maintain() as held:
        (left,) = held.leftovers()
    assert left.size == 0


def _tidy(home: Path) -> None:
    """Nothing is left of how it came about."""
    assert not (home / "store/staging").exists() or not list((home / "store/staging").iterdir())
    assert not list((home / "store").glob(".*.tmp"))


def _new(home: Path) -> None:
    store = store_of(home)
    has(Catalog(store), "2.0")
    check_blobs(store)


def _came(home: Path) -> None:
    _new(home)
    assert served(store_of(home)) == under("t", NEW)
    _tidy(home)


def _hurt(home: Path) -> None:
    """All but the damaged blob is here, and the version stays current."""
    store = store_of(home)
    catalog = Catalog(store)
    assert has(catalog, "1.0") and has(catalog, "1.0", "other") and has(catalog, "2.0")
    assert _listed(catalog, "base", None) == _EXPECTED["base", "2.0"]
    check_blobs(store, HURT)


def _update_or_less(home: Path) -> None:
    store = store_of(home)
    catalog = Catalog(store)
    has(catalog, "1.0")
    assert has(catalog, "2.0") and has(catalog, "1.0", "other")
    assert _listed(catalog, "base", None) == _EXPECTED["base", "2.0"]
    check_blobs(store)


def _cleaned(home: Path) -> None:
    _update_or_less(home)
    store = store_of(home)
    assert not has(Catalog(store), "1.0")
    # On a full disk they are given up for the space.
    assert store.previous_refs() in (store.refs(), Refs())
    checked = fsck.check(store, SILENT)
    assert (checked.faults, checked.unused_blobs, checked.leftovers) == ((), 0, ())
    _tidy(home)


def _either(home: Path) -> None:
    """Both versions are here, and one of them is current."""
    store = store_of(home)
    catalog = Catalog(store)
    assert has(catalog, "1.0") and has(catalog, "2.0") and has(catalog, "1.0", "other")
    check_serving(store)


def _switched(home: Path) -> None:
    _either(home)
    assert served(store_of(home)) == under("t", OLD)


def _bad(home: Path) -> None:
    """The damaged blob is kept, here or there."""
    _hurt(home)
    kept = home / "store/quarantine" / digests.hex_of(HURT)
    assert blob_path(home, HURT).exists() or kept.read_bytes()[:1] == b"#"


def _put_aside(home: Path) -> None:
    _bad(home)
    assert not blob_path(home, HURT).exists()
