"""The volume list, strictly: its form, its signatures, and every way in which it may be false."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundles.errors import GooseError
from bundles.format import canonical
from bundles.format.canonical import NotCanonical
from bundles.reading import volumelist
from bundles.reading.volumelist import BadVolumeList, ListedVolume, UnsignedVolumeList, VolumeList
from bundles.signing import sshsig, trust
from tests.bundles.making import NOW
from tests.bundles.signing import signer

DIGEST = "sha256:" + "ab" * 32
LIST = VolumeList(
    "base",
    "1.0.0",
    DIGEST,
    tuple(
        ListedVolume(f"base-1.0.0.{k}of3.goose.tar", 10_000 + k, "sha256:" + f"{k:064x}")
        for k in range(1, 4)
    ),
)


def test_list_is_read_as_it_was_written() -> None:
    assert volumelist.read(LIST.encode(), "list") == LIST


def test_list_of_volumes_with_a_longer_stem() -> None:
    volumes = tuple(
        replace(volume, file=volume.file.replace("1.0.0.", "1.0.0.repair-1."))
        for volume in LIST.volumes
    )
    longer = replace(LIST, volumes=volumes)
    assert longer.stem == "base-1.0.0.repair-1"
    assert volumelist.read(longer.encode(), "list") == longer
    with pytest.raises(BadVolumeList, match="is not of other"):
        volumelist.read(replace(longer, name="other").encode(), "list")


def test_lists_of_the_vectors_are_read() -> None:
    for path in Path(__file__).parents[1].glob("vectors/**/*.volumes.json"):
        assert volumelist.read(path.read_bytes(), path.name).encode() == path.read_bytes()


def changed(change: Callable[[Any], object]) -> bytes:
    value = json.loads(LIST.encode())
    change(value)
    return canonical.dumps(value)


def set_(key: str, value: object) -> Callable[[Any], object]:
    return lambda fields: fields.__setitem__(key, value)


def set_volume(key: str, value: object) -> Callable[[Any], object]:
    return lambda fields: fields["volumes"][1].__setitem__(key, value)


@pytest.mark.parametrize(
    "change",
    [
        set_("format", 2),
        set_("format", True),
        set_("name", "Base"),
        set_("name", "../base"),
        set_("version", "1/2"),
        set_("statement", "sha512:" + "ab" * 64),
        set_("statement", None),
        set_("more", 1),
        lambda fields: fields.pop("statement"),
        set_("volumes", []),
        set_("volumes", {}),
        set_("volumes", [1]),
        set_volume("size", -1),
        set_volume("size", True),
        set_volume("size", "7"),
        set_volume("digest", "ab"),
        set_volume("more", 1),
        lambda fields: fields["volumes"][1].pop("size"),
        set_volume("file", "../base-1.0.0.2of3.goose.tar"),
        set_volume("file", "base-1.0.0.2of3.goose.tar\n"),
        set_volume("file", "base-1.0.0.3of3.goose.tar"),
        set_volume("file", "other-1.0.0.2of3.goose.tar"),
        set_volume("file", "base-1.0.0.2of4.goose.tar"),
        set_volume("file", "base-1.0.0.2of3.goose.tar.age"),
        lambda fields: fields["volumes"].reverse(),
        lambda fields: fields["volumes"].pop(),
    ],
)
def test_list_of_another_form(change: Callable[[Any], object]) -> None:
    with pytest.raises(BadVolumeList, match=r"^list"):
        volumelist.read(changed(change), "list")


@pytest.mark.parametrize("data", [b"", b"{}\n", LIST.encode() + b" ", b"[" * 100_000])
def test_list_that_is_not_canonical(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        volumelist.read(data, "list")


def test_list_that_is_too_long() -> None:
    with pytest.raises(BadVolumeList, match="at most"):
        volumelist.read(b" " * (volumelist.MAX_LIST + 1), "list")


def test_the_longest_list_fits() -> None:
    longest = replace(LIST, name="n" * 63, version="v" * 63)
    stem = volumelist.stem(longest.name, longest.version)
    names = [volumelist.volume_file(stem, k, 10_000, True) for k in range(1, 10_001)]
    volumes = tuple(ListedVolume(name, canonical.MAX_INTEGER, DIGEST) for name in names)
    longest = replace(longest, volumes=volumes)
    assert volumelist.read(longest.encode(), "list") == longest


RELEASE, STRANGER = signer(1), signer(2)
ROOT = trust.first([(RELEASE.public, "release")], 1)


def signed(
    by: sshsig.Signer = RELEASE, namespace: str = sshsig.VOLUMES, data: bytes = LIST.encode()
) -> bytes:
    return sshsig.sign(data, by, namespace)


def test_list_under_a_good_signature() -> None:
    found = volumelist.verify(LIST.encode(), [signed()], ROOT, NOW, "list")
    assert found == (LIST, ("release",))


@pytest.mark.parametrize(
    ("signatures", "code"),
    [
        ([], "unsigned-volume-list"),
        ([signed(STRANGER)], "unknown-signer"),
        ([signed(namespace=sshsig.BUNDLE)], "wrong-namespace"),
        ([signed(data=LIST.encode() + b" ")], "signature-invalid"),
        ([b"no signature"], "signature-malformed"),
    ],
)
def test_list_that_nobody_vouches_for(signatures: list[bytes], code: str) -> None:
    with pytest.raises(GooseError, match=r"^list") as refused:
        volumelist.verify(LIST.encode(), signatures, ROOT, NOW, "list")
    assert refused.value.code == code


def test_list_with_too_few_signatures_is_as_good_as_unsigned() -> None:
    root = trust.first([(RELEASE.public, "release"), (STRANGER.public, "ben")], 2)
    with pytest.raises(UnsignedVolumeList, match="signed by release"):
        volumelist.verify(LIST.encode(), [signed()], root, NOW, "list")
    found = volumelist.verify(LIST.encode(), [signed(), signed(STRANGER)], root, NOW, "list")
    assert found[1] == ("ben", "release")


def test_signature_comes_before_form() -> None:
    with pytest.raises(UnsignedVolumeList):
        volumelist.verify(b"{", [], ROOT, NOW, "list")


def test_list_signed_by_a_signer_who_may_sign_bundles_only() -> None:
    may = (sshsig.BUNDLE, sshsig.TRUST)
    root = replace(ROOT, signers=tuple(replace(s, namespaces=may) for s in ROOT.signers))
    with pytest.raises(trust.SignerNotAllowed):
        volumelist.verify(LIST.encode(), [signed()], root, NOW, "list")
