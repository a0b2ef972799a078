"""Volumes that every reader takes."""

from __future__ import annotations

from collections.abc import Iterator

from tests.vectors.case import (
    LONG,
    Case,
    case,
    layered,
    pictured,
    said,
    signer,
    split,
)
from tests.vectors.forge import (
    EMPTY,
    FILE,
    A,
    Artifact,
    B,
    Bundle,
    Key,
    layer,
    manifest,
)

DEEP = "/".join(["d" * 250] * 16)  # 4,015 bytes: a path may have 4,096


def accepted() -> Iterator[Case]:
    yield case("plain", "accept", 0, "one tree of two files", Bundle())
    many = Bundle(
        [
            Artifact("os", [manifest("os", [layer("a", A)]), manifest("os", [layer("b", B)])]),
            Artifact("extra/motd", [manifest("extra/motd", [layer("motd", A)], FILE)], FILE),
        ],
    )
    yield case("index-of-manifests", "accept", 0, "an artifact of two manifests, and a file", many)
    names = ["\u00fc \\ {}", "-rf", "a b", "caf\u00e9", DEEP, "x" * 255]
    tree = layered(*(layer(name, A) for name in sorted(names)), blobs=[A])
    yield case("odd-names", "accept", 0, "names that are odd and allowed, and long ones", tree)
    empty = layered(layer("empty", b""), layer("{}", EMPTY), blobs=[b""])
    yield case("empty-file", "accept", 0, "an empty file, and one that is the empty config", empty)
    modes = layered(
        *(layer(m, A, **{"goose.mode": m}) for m in ("0600", "0755", "4755")), blobs=[A]
    )
    yield case("modes", "accept", 0, "files with modes of their own", modes)
    yield case(
        "image", "accept", 0, "an image whose manifest has a spelling of its own", pictured()
    )
    yield case("parts", "accept", 0, "a file in three parts", split(LONG, 4096))
    pair = Bundle(signers=[(Key("stranger"), "goose-bundle@v1"), *Bundle().signers])
    yield case("stranger-and-signer", "accept", 0, "a signature of a stranger is passed over", pair)
    both = Bundle(signers=[(Key("release"), "goose-bundle@v1"), (Key("second"), "goose-bundle@v1")])
    two = {"signers": [signer("release"), signer("second")], "threshold": 2}
    yield case("two-of-two", "accept", 0, "a threshold of two, and two signatures", both, **two)
    yield case(
        "for-us",
        "accept",
        0,
        "made for this site among others",
        said(audience=["site-a", "site-b"]),
    )
    yield case("same-sequence", "accept", 0, "as high as the site has had", Bundle(), sequence=1)
    yield case(
        "last-second", "accept", 0, "expires a second later", said(expires="2026-11-24T12:00:01Z")
    )
