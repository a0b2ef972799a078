"""Compares what is here of a bundle with its signed volume list, before anything is read in full.

The numbers go on where `volumelist` ends; see docs/bundle-format.md, "The volume list".

 L3. The list is of the statement that the volumes carry, and has as many volumes as that says.
 L4. Every volume that is here stands in the list, with its size.

L5, the digest of every volume, takes reading: `check` and `transit` do it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bundles import digest as digests
from bundles.errors import GooseError, shown
from bundles.reading import beside, media, volumelist
from bundles.reading.delivery import Candidate, Delivery
from bundles.reading.faults import raise_any
from bundles.reading.media import NoVolumes
from bundles.reading.verify import Authority
from bundles.reading.volumelist import ListedVolume, UnsignedVolumeList, VolumeList
from bundles.sealing.unseal import IdentityNeeded
from bundles.signing import sshsig

#: Remarks: what is no reason to refuse volumes, which speak for themselves.
NO_LIST = "no-volume-list"
NOT_AS_LISTED = "volume-not-as-listed"


_SHOWN = 12  # missing files that are named to people; --json has all


class ForeignVolume(GooseError):
    """A file lies among the volumes of a bundle and is not one of those that its list names."""

    code = "foreign-volume"
    default_hint = "take it away from the media, and ask where it came from"


class DamagedVolume(GooseError):
    """A volume is not the file that the signed list names: its size or its digest differs."""

    code = "damaged-volume"
    default_hint = "copy this volume again"


@dataclass(slots=True)
class Tally:
    """What a list says of a delivery."""

    listed: VolumeList | None = None  # trusted; None: nothing vouches for whole files
    signers: tuple[str, ...] = ()  # of the list
    remarks: list[str] = field(default_factory=list)  # codes
    expected: dict[Path, ListedVolume] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)  # names of files
    faults: list[GooseError] = field(default_factory=list)

    @property
    def absent(self) -> str:
        """Names of missing files, for people; not all of many."""
        more = len(self.missing) - _SHOWN
        return ", ".join(self.missing[:_SHOWN]) + (f" and {more} more" if more > 0 else "")

    def compare(self, path: Path, digest: str) -> list[GooseError]:
        """L5: the faults of the volume at `path`, which is expected, when it has this digest."""
        listed, label = self.expected[path], shown(path.name)
        if digest == listed.digest:  # L5
            return []
        return [
            DamagedVolume(
                f"{label} is not the file that the signed list names: its SHA-256 is"
                f" {digests.hex_of(digest)}, the list says {digests.hex_of(listed.digest)}",
                volume=label,
                expected=listed.digest,
                found=digest,
            )
        ]


def more_exact(told: Sequence[GooseError], seen: Sequence[GooseError]) -> list[GooseError]:
    """The faults that a list `told` and those that were `seen` in reading: of a volume with both,
    what was seen, which says where."""
    named = {fault.details.get("volume") for fault in seen}
    return [*(f for f in told if f.details.get("volume") not in named), *seen]


def take(delivery: Delivery, authority: Authority, at: datetime) -> Tally:
    """What the list that came with `delivery` says of it, if one came.

    A list that is there and cannot be trusted is refused with what `volumelist.verify` raises: it
    was put there to be believed. One without a signature is left aside, with a remark.
    """
    found = Tally()
    try:
        trusted = _trusted(delivery, authority, at)
    except UnsignedVolumeList as error:
        found.remarks.append(error.code)
        trusted = None
    if not delivery.lists:
        found.remarks.append(NO_LIST)
    if trusted is None:
        found.missing = _missing_by_statement(delivery)
        return found
    found.listed, found.signers = trusted
    _compare(delivery, found.listed, found)
    if not delivery.volumes:
        raise_any(found.faults)
        raise NoVolumes(f"none of the volumes of {delivery.label} is here: {found.absent}")
    return found


def require_list(tally: Tally, delivery: Delivery) -> VolumeList:
    """The list that vouches for sealed volumes which nobody here can open.

    Raises `IdentityNeeded`, or `UnsignedVolumeList` when that is all that is wrong.
    """
    if tally.listed is not None:
        return tally.listed
    label = shown(delivery.volumes[0].path.name)
    if UnsignedVolumeList.code in tally.remarks:
        raise UnsignedVolumeList(f"{label} is sealed, and too few signed the list of its volumes")
    raise IdentityNeeded(
        f"{label} is sealed, and no signed list of its volumes is here",
        hint="give the site's age key, --identity FILE.agekey, or the list and its .sig file",
        volume=label,
    )


def _trusted(
    delivery: Delivery, authority: Authority, at: datetime
) -> tuple[VolumeList, tuple[str, ...]] | None:
    """The first list that can be trusted; where none can, why the first one cannot."""
    refusals: list[GooseError] = []
    for path in delivery.lists:
        try:
            data = media.read_small(path, volumelist.MAX_LIST)
            signatures = [armored for _, armored in beside.of_list(path)]
            signatures += _elsewhere(path, data, delivery)
            return volumelist.verify(data, signatures, authority, at, shown(path.name))
        except UnsignedVolumeList as error:
            refusals.append(error)
        except GooseError as error:  # worse than none: told first
            refusals.insert(0, error)
    if refusals:
        raise refusals[0]
    return None


def _elsewhere(path: Path, data: bytes, delivery: Delivery) -> Iterator[bytes]:
    """Signatures of the list from other folders. A list of the open volumes and one of the sealed
    have one name, so those that are of the other one are passed over."""
    files = [file for file in delivery.signatures if file.parent != path.parent]
    for _, armored in beside.signatures_of(path, files):
        try:
            sshsig.verify(data, armored, sshsig.VOLUMES)
        except GooseError:
            continue
        yield armored


def _missing_by_statement(delivery: Delivery) -> list[str]:
    said = delivery.statement
    if said is None:
        return []
    here = {candidate.number for candidate in delivery.volumes}
    sealed = any(candidate.sealed for candidate in delivery.volumes)
    count, stem = len(said.volumes), volumelist.stem(said.name, said.version)
    return [
        volumelist.volume_file(stem, number, count, sealed)
        for number in range(1, count + 1)
        if number not in here
    ]


def _compare(delivery: Delivery, listed: VolumeList, found: Tally) -> None:
    """L3 and L4."""
    here: set[ListedVolume] = set()
    for candidate in delivery.volumes:
        label = shown(candidate.path.name)
        try:
            volume = _listed_as(candidate, listed, here)
        except GooseError as error:
            found.faults.append(error)
            continue
        here.add(volume)
        if candidate.sealed != listed.sealed:  # opened, or sealed again: it still can be imported
            found.remarks += [] if NOT_AS_LISTED in found.remarks else [NOT_AS_LISTED]
        elif candidate.size != volume.size:  # L4
            found.faults.append(
                DamagedVolume(
                    f"{label} has {candidate.size} bytes, the list says {volume.size}"
                    + (": it was cut short" if candidate.size < volume.size else ""),
                    volume=label,
                    expected=volume.size,
                    found=candidate.size,
                )
            )
        else:
            found.expected[candidate.path] = volume
    found.faults += _strays(delivery, listed)
    if here or not delivery.volumes:  # else the list is about another bundle altogether
        stray = {candidate.path.name for candidate in delivery.strays}
        absent = (volume.file for volume in listed.volumes if volume not in here)
        found.missing = [file for file in absent if file not in stray]


def _listed_as(
    candidate: Candidate, listed: VolumeList, taken: Collection[ListedVolume]
) -> ListedVolume:
    """What the list says of a volume: found by what it holds, else by its name, else by its size.

    Raises `ForeignVolume`.
    """
    label, bundle = shown(candidate.path.name), f"{listed.name} {listed.version}"
    if candidate.digest is not None:
        said, count = candidate.statement, len(listed.volumes)
        if candidate.digest != listed.statement:  # L3
            raise ForeignVolume(
                f"{label} is not of the {bundle} that the signed list names: its statement is"
                " another one",
                volume=label,
            )
        if said is not None and len(said.volumes) != count:
            raise ForeignVolume(
                f"{label} says that {bundle} has {len(said.volumes)} volumes, the signed list"
                f" names {count}",
                volume=label,
            )
        if candidate.number is not None and candidate.number <= count:
            return listed.volumes[candidate.number - 1]
    elif number := listed.number_of(candidate.path.name):
        return listed.volumes[number - 1]
    for volume in listed.volumes:
        if volume.size == candidate.size and volume not in taken:
            return volume
    raise ForeignVolume(f"{label} is not in the signed list of {bundle}", volume=label)


def _strays(delivery: Delivery, listed: VolumeList) -> Iterator[ForeignVolume]:
    for candidate in delivery.strays:
        label, said = shown(candidate.path.name), candidate.statement
        of = f"{said.name} {said.version}" if said else "another bundle"
        yield ForeignVolume(
            f"{label} is not of {listed.name} {listed.version}: it holds volume"
            f" {candidate.number} of {of}",
            volume=label,
        )
