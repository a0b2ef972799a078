"""What is fuzzed: every parser of what comes from outside, each as a function of bytes.

A target lets nothing out but `GooseError`; and what a parser of signed documents takes must be
written again to the very same bytes.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from bundles import digest as digests
from bundles.errors import GooseError, UsageError
from bundles.format import canonical, image, layout, repair_request, statement
from bundles.format.volume import Reader
from bundles.making import recipe
from bundles.progress import SILENT
from bundles.reading import delta, volumelist
from bundles.reading.head import read_head, shares
from bundles.reading.unpack import VolumeContent
from bundles.reading.verify import TrustedHead
from bundles.sealing import identity
from bundles.sealing.unseal import OpenedVolume
from bundles.signing import keys, sshsig, trust, trustchain
from bundles.signing.policy import Policy
from bundles.signing.sshsig import Signature
from bundles.signing.trust import TrustedSigner, TrustRoot
from bundles.site import install_receipt, receipt
from bundles.site.receipt_trust import base_from_receipt
from bundles.sources import lock, reference
from bundles.sources.archives import Archive
from bundles.sources.chart import Packaged
from bundles.sources.url import Downloads
from tests.vectors.forge import Key
from tests.vectors.forge import canonical as forged

_NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
_IDENTITY = Path(__file__).parents[1] / "vectors" / "identity.agekey"


class Anybody:
    """An authority that believes every well-formed signature, or the fuzzer would stop there."""

    def authorise(
        self, message: bytes, signatures: Sequence[bytes], namespace: str, at: datetime
    ) -> tuple[TrustedSigner, ...]:
        for armored in signatures:
            sshsig.parse(armored)
        return ()


def volume(data: bytes) -> None:
    """A whole volume, as an import reads it."""
    reader = Reader(io.BytesIO(data), "V")
    head = TrustedHead(Anybody(), Policy(_NOW, lambda: "site-a"), "V")
    read_head(reader, head)
    share = shares(head)[head.volume - 1]
    VolumeContent(reader, head, Nowhere(), SILENT, _stop, None).read(share)


class Nowhere:
    """A sink that keeps nothing."""

    def has(self, digest: str, size: int) -> bool:
        return False

    def put(self, digest: str, data: memoryview) -> None:
        pass

    def create(self, digest: str) -> Self:
        return self

    def write(self, data: memoryview) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _stop(fault: GooseError) -> None:
    raise fault


def statement_(data: bytes) -> None:
    """A statement."""
    assert statement.read(data, "S").encode() == data


def index(data: bytes) -> None:
    """An index of documents."""
    assert layout.encode_index(*layout.read_index(data, "I")) == data


def manifest(data: bytes) -> None:
    """A manifest of layers, and the parts of its files."""
    kind, title, layers = layout.read_manifest(data, "M")
    texts = [layer.encode(digest, whole) for layer, digest, whole in layers]
    assert layout.encode_manifest(kind, title, texts) == data
    layout.check_parts(layers, "M")


def layout_index(data: bytes) -> None:
    """``index.json`` of a volume."""
    number, count = layout.read_volume_number(data, "L")
    assert 1 <= number <= count


def signature(data: bytes) -> None:
    """An armored SSH signature."""
    found = sshsig.parse(data)
    assert isinstance(found, Signature) and sshsig.parse(data) == found


def public_key(data: bytes) -> None:
    """A .pub file: the line that an allowed_signers file has behind its options."""
    with _file(data) as path:
        key, comment = keys.load_public(path)
    assert keys.parse_public(f"{key.openssh} {comment}") == (key, comment)


def sealed(data: bytes) -> None:
    """A sealed volume, as it is opened."""
    key = identity.X25519Key(_IDENTITY.read_text().splitlines()[-1])  # read() refuses its mode
    with closing(OpenedVolume(io.BytesIO(data), "V", [key])) as opened:
        while opened.read(1 << 20):
            pass


def volume_list(data: bytes) -> None:
    """A volume list."""
    found = volumelist.read(data, "L")
    assert found.encode() == data
    assert [found.number_of(each.file) for each in found.volumes] == [
        *range(1, len(found.volumes) + 1)
    ]


def trust_root(data: bytes) -> None:
    """A trust root, and the allowed_signers that it is rendered to."""
    root = trust.read(data, "T")
    assert root.render() == data
    _check_lines(root)


def allowed_signers(data: bytes) -> None:
    """The allowed_signers of a trust root whose signers `data` describes: a line each of name,
    first moment, last moment and namespaces, apart by tabs."""
    signers = []
    for number, line in enumerate(data.decode("latin-1").split("\n")):
        name, after, before, *namespaces = [*line.split("\t"), "", ""]
        signers.append(
            {
                "key": Key(str(number)).openssh,
                "name": name,
                "namespaces": [each for each in namespaces if each],
                "validAfter": after or None,
                "validBefore": before or None,
            }
        )
    root = {"format": 1, "previous": None, "threshold": 1, "thresholds": {}, "version": 1}
    _check_lines(trust.read(forged({**root, "signers": signers}), "T"))


#: ssh-keygen(1), "ALLOWED SIGNERS", as far as a trust root has a use for it.
_LINE = re.compile(
    r'(?P<name>[^\s"#,!*?]+) namespaces="(?P<namespaces>[a-z@0-9,-]+)"'
    r'(?:,valid-after="(?P<after>\d{14})Z")?(?:,valid-before="(?P<before>\d{14})Z")?'
    r" (?P<key>(?:sk-)?ssh-ed25519(?:@openssh\.com)? [A-Za-z0-9+/=]+)"
)


def _check_lines(root: TrustRoot) -> None:
    """Each line says of one signer what the root says, and nothing else."""
    text = root.allowed_signers()
    assert text.isascii() and "\r" not in text and "\0" not in text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == len(root.signers)
    for line, signer in zip(lines, root.signers, strict=True):
        found = _LINE.fullmatch(line)
        assert found is not None, line
        assert found["name"] == signer.name and found["key"] == signer.key.openssh
        assert found["namespaces"].split(",") == list(signer.namespaces)
        for moment, said in ((signer.valid_after, "after"), (signer.valid_before, "before")):
            assert found[said] == (re.sub("[^0-9]", "", moment) if moment else None)


def recipe_(data: bytes) -> None:
    """A recipe."""
    with _file(data) as path:
        recipe.draft(recipe.load(path), None, None).encode()


def lock_(data: bytes) -> None:
    """A lock."""
    with _file(data) as path:
        found = lock.read(path)
    assert found is not None
    for pin in found.pins:
        digests.check(pin.digest, "K")


def request(data: bytes) -> None:
    """A repair request."""
    assert repair_request.read(data, "R").encode() == data


def receipt_(data: bytes) -> None:
    """A site's receipt."""
    found = receipt.read(data, "R")
    assert found.encode() == data
    base_from_receipt(found, "vector")


def install_receipt_(data: bytes) -> None:
    """A machine's install receipt, and what is looked at of one."""
    found = install_receipt.read(data, "R")
    assert found.encode() == data
    origin = canonical.dumps(found.origin.encode())
    assert install_receipt.read_origin(origin, "R") == found.origin


def trust_chain(data: bytes) -> None:
    """A chain of trust roots, and what would follow from it."""
    links = trustchain.read(data, "C")
    assert trustchain.render(links) == data
    trustchain.follow(links[0].root, links, _NOW, "C")


def delta_document(data: bytes) -> None:
    """A delta document."""
    assert delta.read(data, "D").encode() == data


def json_(data: bytes) -> None:
    """Canonical JSON."""
    assert canonical.dumps(canonical.loads(data, "J")) == data


def image_manifest(data: bytes) -> None:
    """A manifest or index of somebody's image, and the index of a layout."""
    top = image.top(data, "M")
    named = image.children(top, data, "M")
    assert top.digest == digests.of(data)
    assert all(child.size >= 0 and digests.check(child.digest, "M") for child in named)


def image_reference(data: bytes) -> None:
    """An image as a recipe names it."""
    try:
        found = reference.parse(data.decode())
    except ValueError as error:
        raise UsageError(str(error) or "no reference") from error
    if isinstance(found, reference.Remote):
        assert reference.parse(str(found)) == found


def docker_archive(data: bytes) -> None:
    """An image's archive, Docker's or a layout in a tar."""
    with _file(data) as path, tempfile.TemporaryDirectory(dir=_memory()) as cache:
        archive = Archive(path, Downloads(Path(cache)))
        if archive.is_layout():
            archive.images()
        top = archive.convert(None)
        assert image.children(top, archive.document(top.digest), "M")


def chart(data: bytes) -> None:
    """A packaged chart."""
    with _file(data) as path, tempfile.TemporaryDirectory(dir=_memory()) as cache:
        packaged = Packaged(path, Downloads(Path(cache)))
        assert image.children(packaged.top, packaged.document(packaged.top.digest), "M")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "allowed-signers": allowed_signers,
    "canonical": json_,
    "chart": chart,
    "delta": delta_document,
    "docker-archive": docker_archive,
    "image-manifest": image_manifest,
    "image-reference": image_reference,
    "index": index,
    "install-receipt": install_receipt_,
    "layout-index": layout_index,
    "lock": lock_,
    "manifest": manifest,
    "public-key": public_key,
    "receipt": receipt_,
    "recipe": recipe_,
    "repair-request": request,
    "sealed": sealed,
    "signature": signature,
    "statement": statement_,
    "trust-chain": trust_chain,
    "trust-root": trust_root,
    "volume": volume,
    "volume-list": volume_list,
}


def judge(name: str, data: bytes) -> bool:
    """Whether target `name` takes `data`. Whatever else than a refusal it raises is a finding."""
    try:
        TARGETS[name](data)
    except GooseError as refusal:
        return not (refusal.code and refusal.message)
    return True


@contextmanager
def _file(data: bytes) -> Iterator[Path]:
    """A file of these bytes, in memory where that is possible."""
    with tempfile.NamedTemporaryFile(dir=_memory()) as file:
        file.write(data)
        file.flush()
        yield Path(file.name)


def _memory() -> str | None:
    memory = "/dev/shm"  # noqa: S108 - only the fuzzer's own random names
    return memory if Path(memory).is_dir() else None
