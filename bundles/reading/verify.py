"""The checks that make a volume's head trusted, in the order in which a reader meets its bytes.

Takes bytes, never paths, and does no I/O, so that this file and `trust` are what an auditor has to
read. The numbers are those of docs/bundle-format.md, "What a reader checks"; checks 10 to 12, on
layers and the end of the volume, are in `scan`. A delta has further ones, 13 to 15 here.

 1. ``oci-layout`` is the one that format 1 has.
 2. ``index.json`` says which volume this is.
 3. The statement carries enough good signatures of signers that the trust root allows for
    bundles, now.
 4. The statement is well formed and asks for no newer reader.
 5. The site accepts it: audience, expiry, sequence.
 6. Every document has the digest and size that its parent gives; the root's are the statement's.
 7. Every document is of the form that format 1 has, and stands once, in order.
 8. Paths stay inside and are served once; files are whole; images are layouts whose blobs bear
    their digests; the totals are the statement's.
 9. ``index.json`` is, byte for byte, the one that follows from the documents.
13. After 5: the delta document has the digest and size that the statement gives, and is of the form
    that format 1 has.
14. Before 6: the patch has its digest, and makes of the base's documents as many bytes as the
    statement says.
15. After 8: the packs make layers of the bundle, each once, of as many bytes as they hold and copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import image, layout, statement
from bundles.format.content import Content
from bundles.format.layout import Descriptor
from bundles.format.paths import BadLayout, file_and_folder
from bundles.format.statement import Statement, Totals
from bundles.reading import delta, packs, patch
from bundles.reading.base import BaseBundle
from bundles.reading.delta import BadDelta, Delta
from bundles.reading.packs import Packed
from bundles.signing.policy import Policy
from bundles.signing.sshsig import BUNDLE
from bundles.signing.trust import TrustedSigner


class DamagedDocument(GooseError):
    """A manifest or index does not have the digest that its parent gives."""

    code = "damaged-document"
    default_hint = "the volume is damaged: copy it again"


class InconsistentBundle(GooseError):
    """A bundle's documents contradict each other or its statement."""

    code = "inconsistent-bundle"
    default_hint = "do not use this bundle; ask its builder where it came from"


class Authority(Protocol):
    """Who says which signatures count; at a site, its `TrustRoot`."""

    def authorise(
        self, message: bytes, signatures: Sequence[bytes], namespace: str, at: datetime
    ) -> tuple[TrustedSigner, ...]:
        """The signers that count, or a refusal."""


class TrustedHead:
    """Fed with the bytes of a volume's head; each method either trusts them or raises.

    `where` names the volume in errors. `beside` has the name and content of signatures that lie
    beside it, to be judged with those inside.
    """

    def __init__(
        self,
        authority: Authority,
        policy: Policy,
        where: str,
        beside: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        self._authority, self._policy, self._where = authority, policy, where
        self._beside = beside
        self._index = b""
        self.volume = 0  # which one this is, from 1
        self.message = b""  # the statement's bytes
        self.signatures: tuple[bytes, ...] = ()
        self.signers: tuple[str, ...] = ()  # names of those that count
        self.overruled: tuple[str, ...] = ()
        self.documents: dict[str, bytes] = {}
        self.contents: list[Content] = []
        self.delta: Delta | None = None
        self.packs: list[Packed] = []  # of a delta
        self._artifacts: list[Descriptor] = []
        self._expected: list[tuple[Descriptor, str | None]] = []
        self._files = 0

    def layout(self, data: bytes) -> None:
        """Check 1."""
        if data != layout.OCI_LAYOUT:  # check 1
            raise BadLayout(f"{self._where}: oci-layout is not the one of format 1")

    def index(self, data: bytes) -> None:
        """Check 2; its content is compared in check 9."""
        self._index = data
        where = f"{self._where}: index.json"
        self.volume, _ = layout.read_volume_number(data, where)  # check 2

    def sign(self, message: bytes, signatures: Sequence[bytes]) -> None:
        """Checks 3, 4 and 5."""
        names = [self._where] * len(signatures) + [name for name, _ in self._beside]
        signatures = (*signatures, *(armored for _, armored in self._beside))
        try:
            now = self._policy.now
            signers = self._authority.authorise(message, signatures, BUNDLE, now)  # check 3
        except GooseError as error:
            number = error.details.pop("signature", None)  # one of them is bad
            where = names[number - 1] if isinstance(number, int) else self._where
            text = f"{where}: {error.message}"
            raise type(error)(text, hint=error.hint, **error.details) from error
        self.signers = tuple(signer.name for signer in signers)
        self.message, self.signatures = message, tuple(dict.fromkeys(signatures))
        self.statement = statement.read(message, f"{self._where}: statement")  # check 4
        self.overruled = self._policy.judge(self.statement, self._where)  # check 5
        said = self.statement
        root = Descriptor(layout.INDEX_TYPE, layout.BUNDLE_TYPE, said.root, said.root_size)
        self._expected = [(root, None)]

    @property
    def repairs(self) -> bool:
        """Whether it is a delta of a bundle version against itself."""
        said = self.statement
        # The version too: another one may have the same root.
        itself = BaseBundle(said.name, said.version, said.root)
        return self.delta is not None and itself in self.delta.bundles

    def build_on(self, data: bytes) -> Delta:
        """Check 13, for the delta document that the statement names as its base."""
        what = f"{self._where}: delta document"
        said = self.statement.base
        # check 13
        if said is None or len(data) != said.size or digests.of(data) != said.digest:
            raise DamagedDocument(f"{what} does not hash to its name", volume=self._where)
        found = self.delta = delta.read(data, what)
        if self.volume > len(self.statement.volumes):
            raise BadLayout(f"{self._where}: index.json does not follow from the bundle")
        if sum(self.statement.volumes) != len(found.packs):
            raise BadDelta(f"{what}: the statement's volumes do not cover its packs")
        return found

    def check_patch(self, data: bytes) -> None:
        """The part of check 14 that takes no base."""
        said = self.delta and self.delta.documents
        # check 14
        if not said or len(data) != said.size or digests.of(data) != said.digest:
            raise DamagedDocument(
                f"{self._where}: the documents' patch does not hash to its name",
                volume=self._where,
            )

    def patched(self, data: bytes, base: bytes) -> None:
        """Check 14, and 6 and 7 for the documents that a patch makes of those of the base."""
        size = self.statement.totals.document_bytes - len(layout.EMPTY)
        documents = memoryview(patch.expand(data, base, size, self._where))  # check 14
        while (wanted := self.wanted()) is not None:
            self.document(bytes(documents[: wanted.size]))
            documents = documents[wanted.size :]
        if documents:
            raise BadDelta(f"{self._where}: the documents' patch makes more than the documents")

    def wanted(self) -> Descriptor | None:
        """The document that must come next, or None after the last."""
        return self._expected[-1][0] if self._expected else None

    def document(self, data: bytes) -> None:
        """Checks 6 and 7 for the document that `wanted` names."""
        descriptor, artifact = self._expected.pop()
        what = f"{self._where}: document {descriptor.digest}"
        if len(data) != descriptor.size or digests.of(data) != descriptor.digest:  # check 6
            raise DamagedDocument(f"{what} does not hash to its name", volume=self._where)
        if descriptor.digest in self.documents:  # check 7: once, in order, and of its form
            raise InconsistentBundle(f"{what} stands in the bundle twice")
        self.documents[descriptor.digest] = data
        if descriptor.media_type == layout.INDEX_TYPE:
            self._read_index(descriptor, artifact, data, what)
        else:
            self._read_manifest(descriptor, artifact, data, what)

    def complete(self) -> Statement:
        """Checks 8, 9 and 15; afterwards everything in this object is trusted."""
        said, where = self.statement, self._where
        self._check_paths()  # check 8: paths, whole files
        self._check_sizes()  # check 8: one size of a digest
        if self.delta is not None:
            self.packs = packs.resolve(self.delta, self.contents, where)  # check 15
        self.documents[layout.EMPTY_DIGEST] = layout.EMPTY
        found = Totals(
            artifacts=len(self._artifacts),
            files=self._files,
            layers=len(self.contents),
            bytes=sum(item.layer.size for item in self.contents),
            documents=len(self.documents),
            document_bytes=sum(map(len, self.documents.values())),
        )
        if found != said.totals:  # check 8: totals
            raise InconsistentBundle(
                f"{where}: the statement's totals, {said.totals}, are not those of the"
                f" documents, {found}"
            )
        root = Descriptor(layout.INDEX_TYPE, layout.BUNDLE_TYPE, said.root, said.root_size)
        count = len(said.volumes)
        derived = layout.encode_layout_index(
            root, said.version, self._artifacts, self.volume, count
        )
        if self.volume > count or derived != self._index:  # check 9
            raise BadLayout(f"{where}: index.json does not follow from the bundle")
        return said

    def _read_index(
        self, descriptor: Descriptor, artifact: str | None, data: bytes, what: str
    ) -> None:
        kind, title, children = layout.read_index(data, what)
        expected = self.statement.name if artifact is None else artifact
        if (kind, title) != (descriptor.artifact_type, expected) or not children:
            raise InconsistentBundle(f"{what} is not what its parent says")
        if artifact is None:
            titles = [child.title for child in children]
            kinds = {child.artifact_type for child in children}
            if None in titles or len(set(titles)) < len(titles):
                raise InconsistentBundle(f"{what} has artifacts without a title of their own")
            if not kinds <= set(layout.ARTIFACT_TYPES.values()):
                raise InconsistentBundle(f"{what} has artifacts of an unknown type: {kinds}")
            self._artifacts = children
        elif {(c.media_type, c.artifact_type, c.title) for c in children} != {
            (layout.MANIFEST_TYPE, kind, None)
        }:
            raise InconsistentBundle(f"{what} holds more than the manifests of {artifact!r}")
        # A stack: the first child is next, and its own children come before the second.
        self._expected.extend((child, artifact or child.title) for child in reversed(children))

    def _read_manifest(
        self, descriptor: Descriptor, artifact: str | None, data: bytes, what: str
    ) -> None:
        kind, title, layers = layout.read_manifest(data, what)
        if kind != descriptor.artifact_type or title != artifact or not layers:
            raise InconsistentBundle(f"{what} is not what its parent says")
        paths = {layer.path for layer, _, _ in layers}
        is_file = layout.holds_one_file(kind)
        if is_file and paths != {title.rsplit("/", 1)[-1]}:
            raise InconsistentBundle(f"{what} is not one file named as its title")
        folder = title.rpartition("/")[0] if is_file else title
        for layer, digest, whole in layers:
            # Parts follow one another, also from one manifest to the next: check 8.
            last = self.contents[-1] if layer.part > 1 and self.contents else None
            offset = last.offset + last.layer.size if last else 0
            self.contents.append(Content(title, folder, layer, digest, whole, offset))

    def _check_sizes(self) -> None:
        """A blob is read once, however many layers name it: they must agree on its size."""
        sizes = {layout.EMPTY_DIGEST: len(layout.EMPTY)}
        for item in self.contents:
            if sizes.setdefault(item.digest, item.layer.size) != item.layer.size:
                raise InconsistentBundle(
                    f"{self._where}: {item.name} gives {item.digest} another size"
                )

    def _check_paths(self) -> None:
        """Files are grouped per artifact, for their parts may lie in two manifests."""
        served: set[str] = set()
        start = 0
        for artifact in self._artifacts:
            end = start
            while end < len(self.contents) and self.contents[end].artifact == artifact.title:
                end += 1
            group = [(c.layer, c.digest, c.file_digest) for c in self.contents[start:end]]
            where = f"{self._where}: {artifact.title}"
            layout.check_parts(group, where)
            if artifact.artifact_type in layout.IMAGE_TYPES:
                # Of a file in parts the digest is the builder's word, as ever.
                image.check_files([(layer.path, whole) for layer, _, whole in group], where)
            for parts in layout.files(group):
                path = f"{artifact.title}/{parts[0][0].path}"
                if layout.holds_one_file(artifact.artifact_type):
                    path = str(artifact.title)
                if path in served:
                    raise InconsistentBundle(f"{self._where}: {path!r} stands in the bundle twice")
                served.add(path)
            start = end
        if both := file_and_folder(served):
            raise InconsistentBundle(f"{self._where}: {both!r} is both a file and a folder")
        self._files = len(served)
