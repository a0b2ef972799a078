"""Files in parts, hashed as a whole while their parts go by.

A reader checks each part; the digest of the whole file is a second word of the builder's about the
same bytes, for whoever joins the parts again. Where all parts go by in order this tells whether it
is true. Parts that are not read (they stood before, or are damaged) leave it open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bundles import digest as digests
from bundles.format.content import Content
from bundles.reading.verify import InconsistentBundle


@dataclass(slots=True)
class _File:
    path: str
    digest: str  # of the whole, as its builder says
    parts: list[str]  # digests
    hashed: hashlib._Hash = field(default_factory=hashlib.sha256)
    done: int = 0  # parts


class Wholes:
    """The files in parts among the layers of a bundle. Fed by one thread at a time."""

    def __init__(self, contents: Sequence[Content]) -> None:
        self._files: list[_File] = []
        self._next: dict[str, list[_File]] = {}  # by the digest of the part to come
        self._fed: list[_File] = []
        for content in contents:
            if content.layer.parts > 1:
                if content.layer.part == 1:
                    self._files.append(_File(content.path, content.file_digest, []))
                self._files[-1].parts.append(content.digest)
        for file in self._files:
            self._expect(file)

    def begin(self, digest: str) -> None:
        """The layer of this digest goes by now."""
        self._fed = self._next.pop(digest, [])

    def feed(self, data: memoryview) -> None:
        """More of its bytes."""
        for file in self._fed:
            file.hashed.update(data)

    def end(self, good: bool) -> None:
        """It is over, and has its digest or not."""
        fed, self._fed = self._fed, []
        for file in fed if good else ():
            file.done += 1
            self._expect(file)

    def faults(self, where: str) -> Iterator[InconsistentBundle]:
        """The files all of whose parts went by and do not make what the builder says."""
        for file in self._files:
            found = digests.PREFIX + file.hashed.hexdigest()
            if file.done == len(file.parts) and found != file.digest:
                yield InconsistentBundle(
                    f"{where}: the parts of {file.path} hash to {found}, and its manifest says"
                    f" {file.digest}",
                    path=file.path,
                    expected=file.digest,
                    found=found,
                )

    def _expect(self, file: _File) -> None:
        if file.done < len(file.parts):
            self._next.setdefault(file.parts[file.done], []).append(file)
