"""Uploads in parts (https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html)."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from minio.datatypes import ListMultipartUploadsResult, ListPartsResult

from bundles.store.errors import StoreError
from bundles.store.s3.wire import Wire, etag_of

PART = 16 * 1024 * 1024  # bytes; 10,000 parts at most, and layers are of 1 GiB at most
_PAGE = 1000
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An upload that was neither completed nor aborted: nobody can see its bytes."""

    key: str
    upload: str
    begun: datetime


@dataclass(frozen=True, slots=True)
class UploadedPart:
    """A part that the server has."""

    etag: str  # unquoted
    size: int  # bytes

    def holds(self, data: bytes) -> bool:
        """Whether its bytes are `data`. A server that encrypts may give another ETag than the
        MD5: the part is then sent again."""
        if self.size != len(data):
            return False
        return hashlib.md5(data, usedforsecurity=False).hexdigest() == self.etag


class Multipart:
    """Requests about uploads in parts."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def begin(self, key: str) -> str:
        """Opens an upload; returns its id."""
        answer = self._wire.run(key, lambda: self._wire.send("POST", key, query={"uploads": ""}))
        return _text(answer.data, "UploadId")

    def send(self, key: str, upload: str, number: int, data: bytes) -> str:
        """Stores part `number`, counted from 1; returns its ETag, unquoted."""
        query = {"partNumber": str(number), "uploadId": upload}
        answer = self._wire.run(
            f"{key}, part {number}", lambda: self._wire.send("PUT", key, data, query=query)
        )
        return etag_of(answer).strip('"')

    def complete(self, key: str, upload: str, etags: Mapping[int, str], size: int) -> None:
        """Makes the object of `size` bytes visible, in one step."""
        document = ET.Element("CompleteMultipartUpload")
        for number in sorted(etags):
            part = ET.SubElement(document, "Part")
            ET.SubElement(part, "PartNumber").text = str(number)
            ET.SubElement(part, "ETag").text = f'"{etags[number]}"'
        data = ET.tostring(document)
        answer = self._wire.maybe(
            key, lambda: self._wire.send("POST", key, data, query={"uploadId": upload})
        )
        # Only the object itself tells. The answer to an earlier try may have been lost, so that now
        # there is no such upload; and an error may come with status 200, when the server had begun
        # to answer.
        found = self._wire.head(key)
        if found is None or found.size != size:
            why = _text(answer.data, "Code") if answer else "someone else gave the upload up"
            raise StoreError(
                f"{self._wire.address}: {key} could not be put together"
                f": {why or 'the object has another size'}"
            )

    def abort(self, key: str, upload: str) -> None:
        """Gives up an upload and frees its space."""
        self._wire.maybe(key, lambda: self._wire.send("DELETE", key, query={"uploadId": upload}))

    def open(self, key: str) -> list[OpenUpload]:
        """The open uploads of one key, the newest last."""
        query = {"uploads": "", "prefix": key, "max-uploads": str(_PAGE)}
        answer = self._wire.run(key, lambda: self._wire.send("GET", None, query=query))
        found = [
            OpenUpload(each.object_name, str(each.upload_id), each.initiated_time or _EPOCH)
            for each in ListMultipartUploadsResult(answer).uploads
            if each.object_name == key
        ]
        return sorted(found, key=lambda upload: upload.begun)

    def parts(self, key: str, upload: str) -> dict[int, UploadedPart]:
        """The parts of an open upload, by number; none when it is gone."""
        found: dict[int, UploadedPart] = {}
        query = {"uploadId": upload, "max-parts": str(_PAGE)}
        while True:
            answer = self._wire.maybe(key, partial(self._wire.send, "GET", key, query=query))
            if answer is None:
                return {}
            page = ListPartsResult(answer)
            for part in page.parts:
                found[part.part_number] = UploadedPart(part.etag, part.size or 0)
            if not page.is_truncated or not page.parts:
                return found
            query |= {"part-number-marker": str(page.parts[-1].part_number)}


def _root(document: bytes) -> ET.Element:
    # Whoever runs the service could do worse; the client reads its answers in the same way.
    return ET.fromstring(document)  # noqa: S314


def _text(document: bytes, name: str) -> str:
    for element in _root(document).iter():
        if _local(element.tag) == name:
            return element.text or ""
    return ""


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
