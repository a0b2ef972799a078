"""Sorts what lies on media by bundle, before anything is checked.

What is said here of a volume is what it says of itself, and only decides with which others it is
read: every check comes after. So a renamed volume finds its bundle, and one bundle's fault does not
keep the next from being imported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from bundles import digest as digests
from bundles.errors import GooseError, shown
from bundles.format import layout, statement
from bundles.format.statement import MAX_STATEMENT, Statement
from bundles.format.volume import Reader, Source
from bundles.reading import beside, media, volumelist
from bundles.reading.beside import StraySignature
from bundles.reading.media import NoVolumes
from bundles.reading.volumelist import VolumeList
from bundles.sealing import unseal
from bundles.sealing.agefile import Unwrapper


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that should be a volume, and what it says of itself."""

    path: Path
    size: int  # bytes
    sealed: bool
    number: int | None = None  # which volume; None where that cannot be read
    digest: str | None = None  # of its statement; None where that cannot be read
    statement: Statement | None = None  # not verified

    @property
    def stem(self) -> str:
        """The name and version of its bundle, as file names begin with them."""
        if self.statement is not None:
            return volumelist.stem(self.statement.name, self.statement.version)
        return beside.stem(self.path)


@dataclass(slots=True)
class Delivery:
    """What is here of one bundle. Nothing of it is verified."""

    volumes: list[Candidate] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)  # copies of one, or rivals
    signatures: list[Path] = field(default_factory=list)  # of its statement, and of its list
    strays: list[Candidate] = field(default_factory=list)  # named as of this bundle, and of another
    listed: VolumeList | None = None

    @property
    def label(self) -> str:
        """How people are told which bundle it is."""
        if said := self.statement:
            return f"{said.name} {said.version}"
        if self.listed:
            return f"{self.listed.name} {self.listed.version}"
        return shown(self.volumes[0].stem)

    @property
    def statement(self) -> Statement | None:
        """What a volume of it says, if one can be read."""
        return next((c.statement for c in self.volumes if c.statement), None)

    @property
    def paths(self) -> list[Path]:
        """The files of its volumes, and of the signatures of its statement."""
        signatures = filter(beside.is_signature, self.signatures)
        return [*(candidate.path for candidate in self.volumes), *signatures]

    @property
    def order(self) -> tuple[bool, str, int]:
        """By name, then as its builder counts: what cannot be read comes last."""
        said = self.statement
        return (said is None, said.name if said else self.label, said.sequence if said else 0)


@dataclass(frozen=True, slots=True)
class _ListFile:
    path: Path
    listed: VolumeList | None  # None where it cannot be read

    @property
    def statement(self) -> str | None:
        return self.listed.statement if self.listed else None

    @property
    def stem(self) -> str:
        return self.listed.stem if self.listed else self.path.name.removesuffix(volumelist.SUFFIX)


def sort_out(paths: Sequence[Path], identities: Sequence[Unwrapper] = ()) -> list[Delivery]:
    """The bundles among `paths`, in the order to import them in; sealed volumes are looked into
    with `identities`.

    Raises `NoVolumes`. A bundle of which there is a list and no volume is left out, unless it is
    the only one, or a file bears a name of that list and holds another bundle.
    """
    found = media.search(paths)
    lists = [_look_at_list(path) for path in (*found.lists, *found.near)]
    candidates = [look_at(path, identities) for path in found.volumes]
    candidates += [look_at(path, identities) for path in _renamed(found, lists)]
    groups: dict[str, Delivery] = {}
    for candidate in candidates:
        key = candidate.digest or _owner(candidate, lists, candidates)
        groups.setdefault(key, Delivery()).volumes.append(candidate)
    names = {candidate.path.name for candidate in candidates}
    near = [each for each in lists[len(found.lists) :] if _names(each.listed, names)]
    _hand_out(lists, groups, [*lists[: len(found.lists)], *near])
    if not groups:
        raise NoVolumes("no volume was given")
    vouched = {path for delivery in groups.values() for path in _vouched(delivery)}
    for delivery in groups.values():
        delivery.strays = list(_strays(delivery, candidates, vouched))
    for path in found.signatures:
        _hand_to(path, groups.values(), path in paths)
    whole = [delivery for delivery in groups.values() if delivery.volumes or delivery.strays]
    return sorted(whole or groups.values(), key=lambda delivery: delivery.order)


def look_at(path: Path, identities: Sequence[Unwrapper]) -> Candidate:
    """What the file at `path` says of itself, as far as it can be read. Raises `NoVolumes`."""
    with ExitStack() as stack:
        file = stack.enter_context(media.open_regular(path))
        size = file.seek(0, 2)
        file.seek(0)
        sealed = file.peek(len(unseal.MAGIC)).startswith(unseal.MAGIC)
        if sealed and not identities:
            return Candidate(path, size, sealed)
        try:
            source: Source = file
            if sealed:
                source = stack.enter_context(
                    closing(unseal.OpenedVolume(file, path.name, identities))
                )
            reader = Reader(source, path.name)
            reader.next_small("oci-layout", 1024)
            index = reader.next_small("index.json", layout.MAX_DOCUMENT)
            message = reader.next_small(statement.ENTRY, MAX_STATEMENT)
            number, _ = layout.read_volume_number(index, path.name)
        except (GooseError, OSError):  # told when it is read in earnest
            return Candidate(path, size, sealed)
        try:
            said = statement.read(message, path.name)
        except GooseError:
            said = None
        return Candidate(path, size, sealed, number, digests.of(message), said)


def _look_at_list(path: Path) -> _ListFile:
    try:
        data = media.read_small(path, volumelist.MAX_LIST)
        return _ListFile(path, volumelist.read(data, path.name))
    except GooseError:
        return _ListFile(path, None)


def _renamed(found: media.Media, lists: Sequence[_ListFile]) -> Iterator[Path]:
    """Files of other names that have the size of a listed volume which is not here by name."""
    names = {path.name for path in found.volumes}
    sizes = {
        volume.size
        for each in lists
        if each.listed
        for volume in each.listed.volumes
        if volume.file not in names
    }
    for path in found.others:
        if path.is_file() and path.stat().st_size in sizes:
            yield path


def _owner(
    candidate: Candidate, lists: Sequence[_ListFile], candidates: Sequence[Candidate]
) -> str:
    """The bundle of a volume that does not say it: by its name, by its size, by its stem."""
    readable = [each.listed for each in lists if each.listed]
    for listed in readable:
        if listed.number_of(candidate.path.name):
            return listed.statement
    names = {each.path.name for each in candidates}
    for listed in readable:
        free = {volume.size for volume in listed.volumes if volume.file not in names}
        if candidate.sealed == listed.sealed and candidate.size in free:
            return listed.statement
    same = [listed.statement for listed in readable if listed.stem == candidate.stem]
    same += [each.digest for each in candidates if each.digest and each.stem == candidate.stem]
    return same[0] if same else candidate.stem


def _names(listed: VolumeList | None, files: Collection[str]) -> bool:
    return listed is not None and any(volume.file in files for volume in listed.volumes)


def _hand_out(
    lists: Sequence[_ListFile], groups: dict[str, Delivery], given: Sequence[_ListFile]
) -> None:
    """Gives each delivery the lists of its statement; where there is none, those of its name and
    version, which then contradict it. Only the lists `given` count without a volume."""
    own = {key: [each for each in lists if each.statement == key] for key in groups}
    for key, delivery in groups.items():
        stems = {candidate.stem for candidate in delivery.volumes}
        about = own[key] or [each for each in lists if each.stem in stems]
        delivery.lists = [each.path for each in about]
        delivery.listed = next((each.listed for each in about if each.listed), None)
    taken = {path for delivery in groups.values() for path in delivery.lists}
    for each in given:
        if each.listed and each.path not in taken:
            alone = groups.setdefault(each.listed.statement, Delivery(listed=each.listed))
            alone.lists.append(each.path)


def _hand_to(signature: Path, deliveries: Iterable[Delivery], given: bool) -> None:
    """A signature that lies with volumes of its name is theirs; else it is of all of that name.

    Raises `StraySignature` for one that was `given` and is of no bundle here.
    """
    stem, folder = beside.stem_of_signature(signature), signature.parent
    meant = [d for d in deliveries if any(each.stem == stem for each in d.volumes)]
    near = [d for d in meant if any(each.path.parent == folder for each in d.volumes)]
    for delivery in near or meant:
        delivery.signatures.append(signature)
    if given and not meant:
        raise StraySignature(f"{shown(signature.name)} belongs to none of the volumes given")


def _vouched(delivery: Delivery) -> Iterator[Path]:
    """The files that bear the name which the list of what they hold gives them."""
    if listed := delivery.listed:
        for candidate in delivery.volumes:
            if candidate.digest == listed.statement and listed.number_of(candidate.path.name):
                yield candidate.path


def _strays(
    delivery: Delivery, candidates: Sequence[Candidate], vouched: Collection[Path]
) -> Iterator[Candidate]:
    listed = delivery.listed
    if listed is None:
        return
    if delivery.volumes and listed.statement not in {each.digest for each in delivery.volumes}:
        return  # nothing here is of that list
    here = {None, *(each.number for each in delivery.volumes)}
    for candidate in candidates:
        if not delivery.volumes and candidate.path in vouched:
            continue  # two builds of one version, and of one of them the list alone
        if listed.number_of(candidate.path.name) not in here and candidate not in delivery.volumes:
            yield candidate
