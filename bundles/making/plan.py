"""The plan of a bundle: its layers in order, their volumes, and the documents around them.

All lengths follow from names, modes and sizes alone. So a builder knows which layer goes into which
volume before it has read any content. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import layout, paths, volume
from bundles.format.layout import Descriptor, Layer
from bundles.format.statement import Statement, Totals
from bundles.sources.artifact import Artifact, Known, SourceFile

_LEAST_PART = 16 * 1024 * 1024  # bytes; of a small volume half of it
_SEPARATOR = 1  # the comma between two layers


class ContentConflict(GooseError):
    """Two entries of a recipe would be served under one path."""

    code = "content-conflict"
    default_hint = "give one of them another `as:`"


class VolumeTooSmall(GooseError):
    """A volume of the size asked for cannot hold its own head."""

    code = "volume-too-small"


class TooManyArtifacts(GooseError):
    """The root index would outgrow what stock clients read."""

    code = "too-many-artifacts"
    default_hint = "put files into trees, or make two bundles"


@dataclass(frozen=True, slots=True)
class Piece:
    """A layer and where its bytes come from."""

    layer: Layer
    location: str  # a file
    offset: int  # bytes into it
    make: Callable[[Known], bytes] | None = None  # instead of the file
    file_digest: str | None = None  # of the whole file, where it is known already


@dataclass(frozen=True, slots=True)
class Described:
    """The documents of one artifact, and what the root refers to."""

    descriptor: Descriptor
    entries: tuple[tuple[str, bytes], ...]  # digest, bytes


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of a bundle, in the order in which a volume holds them."""

    root: Descriptor
    artifacts: tuple[Descriptor, ...]
    entries: tuple[tuple[str, bytes], ...]  # digest, bytes; root first, the empty config last


class Plan:
    """What a bundle holds, before its content is read.

    `volume_size` is the most bytes of one volume, or None for a single volume.
    Raises `ContentConflict`, `VolumeTooSmall` or `TooManyArtifacts`.
    """

    def __init__(
        self,
        artifacts: Sequence[Artifact],
        draft: Statement,
        signatures: Sequence[int],
        volume_size: int | None = None,
    ) -> None:
        """`draft` is the statement without root, totals and volumes; `signatures` are the
        lengths in bytes of the signatures to come."""
        _refuse_conflicts(artifacts)
        self.signatures = tuple(signatures)
        self.volume_size = volume_size
        self._part_size = layout.MAX_PART
        if volume_size is not None:
            # A part that no longer fits ends a volume: a sixteenth is the most that stays empty.
            least = min(volume_size // 2, _LEAST_PART)
            self._part_size = min(layout.MAX_PART, _aligned(max(volume_size // 16, least)))
        self.artifacts = tuple(artifacts)
        self.pieces = tuple(self._cut())
        counts = (sum(map(self._parts, artifact.files)) for artifact in artifacts)
        self._bounds = (0, *accumulate(counts))  # of the artifacts' shares of the pieces
        self.statement = draft
        self.statement = self._statement((len(self.pieces),))
        if volume_size is not None:
            self.statement = self._statement(self._split(volume_size))

    def _statement(self, volumes: tuple[int, ...]) -> Statement:
        digests_to_come = [digests.PLACEHOLDER] * len(self.pieces)
        documents = self.documents(self.described(digests_to_come, {}))
        sizes = [len(data) for _, data in documents.entries]
        totals = Totals(
            artifacts=len(self.artifacts),
            files=sum(len(a.files) for a in self.artifacts),
            layers=len(self.pieces),
            bytes=sum(piece.layer.size for piece in self.pieces),
            documents=len(sizes),
            document_bytes=sum(sizes),
        )
        self._documents = documents
        return _replaced(self.statement, documents.root, totals, volumes)

    def _parts(self, file: SourceFile) -> int:
        """How many layers a file takes; an empty one takes one too."""
        return 1 if file.make else max(1, -(-file.size // self._part_size))

    def _cut(self) -> Iterator[Piece]:
        for artifact in self.artifacts:
            for file in artifact.files:
                parts = self._parts(file)
                for part in range(parts):
                    offset = part * self._part_size
                    size = min(self._part_size, file.size - offset) if parts > 1 else file.size
                    layer = Layer(file.path, size, file.mode, part + 1, parts)
                    yield Piece(layer, file.location, offset, file.make, file.digest)

    def described(
        self, layer_digests: Sequence[str], wholes: dict[int, str], done: Sequence[Described] = ()
    ) -> list[Described]:
        """The documents of each artifact whose layers all have a digest; `done` are those of the
        first ones, known already.

        `wholes` gives the digest of the whole file for each layer that is a part.
        """
        found = list(done)
        for number in range(len(found), len(self.artifacts)):
            start, end = self._bounds[number : number + 2]
            if end > len(layer_digests):
                break
            texts = [
                self.pieces[i].layer.encode(layer_digests[i], wholes.get(i, digests.PLACEHOLDER))
                for i in range(start, end)
            ]
            found.append(_described(self.artifacts[number], texts))
        return found

    def documents(self, artifacts: Sequence[Described]) -> Documents:
        """All documents of the bundle with these `artifacts`. Raises `TooManyArtifacts`."""
        descriptors = tuple(artifact.descriptor for artifact in artifacts)
        root = layout.encode_index(layout.BUNDLE_TYPE, self.statement.name, descriptors)
        if len(root) > layout.MAX_DOCUMENT:
            raise TooManyArtifacts(f"{len(artifacts)} entries are too many for one bundle")
        descriptor = Descriptor(layout.INDEX_TYPE, layout.BUNDLE_TYPE, digests.of(root), len(root))
        entries = [(descriptor.digest, root)]
        entries += [entry for artifact in artifacts for entry in artifact.entries]
        entries.append((layout.EMPTY_DIGEST, layout.EMPTY))
        return Documents(descriptor, descriptors, tuple(entries))

    def head_size(self, number: int, statement: Statement | None = None) -> int:
        """Bytes of volume `number` before its first layer."""
        statement = statement or self.statement
        index = layout.encode_layout_index(
            self._documents.root,
            statement.version,
            self._documents.artifacts,
            number,
            len(statement.volumes),
        )
        sizes = [len(layout.OCI_LAYOUT), len(index), len(statement.encode()), *self.signatures]
        sizes += [len(data) for _, data in self._documents.entries]
        return sum(volume.stored(size) for size in sizes)

    def _split(self, volume_size: int) -> tuple[int, ...]:
        """How many layers each volume takes, filled in order."""
        guess = 1
        while True:
            # No layer count has more digits than their sum: this head is as long as any.
            worst = _replaced(
                self.statement,
                self._documents.root,
                self.statement.totals,
                (len(self.pieces),) * guess,
            )
            room = volume_size - self.head_size(guess, worst) - len(volume.END)
            counts = self._fill(room, volume_size)
            if len(counts) <= guess:
                return counts
            guess = len(counts)

    def _fill(self, room: int, volume_size: int) -> tuple[int, ...]:
        counts, left = [0], room
        for piece in self.pieces:
            need = volume.stored(piece.layer.size)
            if need > room:
                raise VolumeTooSmall(
                    f"a volume of {volume_size} bytes cannot hold its head and"
                    f" {piece.layer.title!r} ({need} bytes)",
                    hint="choose a larger --volume-size",
                )
            if need > left:
                counts.append(0)
                left = room
            counts[-1] += 1
            left -= need
        return tuple(counts)


def _described(artifact: Artifact, texts: Sequence[str]) -> Described:
    """The documents of `artifact`, whose layers are already encoded."""
    kind = layout.ARTIFACT_TYPES[artifact.kind]
    title = artifact.title
    frame = len(layout.encode_manifest(kind, title, ()))
    manifests: list[tuple[Descriptor, bytes]] = []
    group: list[str] = []
    length = frame
    for text in texts:
        need = len(text.encode()) + _SEPARATOR
        if group and length + need > layout.MAX_DOCUMENT:
            manifests.append(_manifest(kind, title, group))
            group, length = [], frame
        group.append(text)
        length += need
    manifests.append(_manifest(kind, title, group))
    entries = [(descriptor.digest, data) for descriptor, data in manifests]
    descriptor = manifests[0][0]
    if len(manifests) > 1:
        # Without the title: oras takes a title for the name of a file, and wants names once.
        children = [replace(descriptor, title=None) for descriptor, _ in manifests]
        index = layout.encode_index(kind, title, children)
        descriptor = Descriptor(layout.INDEX_TYPE, kind, digests.of(index), len(index), title)
        entries.insert(0, (descriptor.digest, index))
    return Described(descriptor, tuple(entries))


def _manifest(kind: str, title: str, texts: Sequence[str]) -> tuple[Descriptor, bytes]:
    data = layout.encode_manifest(kind, title, texts)
    return Descriptor(layout.MANIFEST_TYPE, kind, digests.of(data), len(data), title), data


def _replaced(
    draft: Statement, root: Descriptor, totals: Totals, volumes: tuple[int, ...]
) -> Statement:
    return replace(draft, root=root.digest, root_size=root.size, totals=totals, volumes=volumes)


def _aligned(size: int) -> int:
    return max(volume.BLOCK, size - size % volume.BLOCK)


def _refuse_conflicts(artifacts: Sequence[Artifact]) -> None:
    """Each served path belongs to one file of one artifact, and is no folder of another."""
    seen: dict[str, str] = {}
    titles: set[str] = set()
    for artifact in artifacts:
        if artifact.title in titles:
            raise ContentConflict(f"two entries are both `as: {artifact.title}`")
        titles.add(artifact.title)
        for file in artifact.files:
            path = artifact.title
            if not layout.holds_one_file(layout.ARTIFACT_TYPES[artifact.kind]):
                path += "/" + file.path
            if path in seen:
                raise ContentConflict(
                    f"{file.location} and {seen[path]} would both be {path!r} in the bundle"
                )
            seen[path] = file.location
    if both := paths.file_and_folder(seen):
        raise ContentConflict(f"{both!r} would be a file and a folder in the bundle")
