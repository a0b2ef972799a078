"""Faults of the documents: checks 6 to 9."""

from __future__ import annotations

from collections.abc import Iterator

from tests.vectors import forge
from tests.vectors.case import (
    LONG,
    Case,
    case,
    data_of,
    drop,
    layered,
    listed,
    numbered,
    pictured,
    relaxed,
    rooted,
    spaced,
    split,
    spoiled,
    stated,
    titled,
)
from tests.vectors.forge import (
    EMPTY,
    MANIFEST,
    TITLE,
    TREE,
    A,
    Artifact,
    B,
    Bundle,
    Entry,
    blob,
    layer,
    manifest,
)


def document_faults() -> Iterator[Case]:
    entries = Bundle().entries()
    root, tree = entries[4].name, entries[5].name
    for name, what in (("root", root), ("manifest", tree), ("config", blob(EMPTY).name)):
        change = data_of(what, lambda data: data[:-1] + b" ")
        yield case(
            f"{name}-damaged", "damaged-document", 6, f"a byte of the {name}", spoiled(change)
        )

    def swap(entries: list[Entry]) -> None:
        entries[4], entries[5] = entries[5], entries[4]

    yield case("documents-swapped", "extra-entry", 6, "the manifest first", spoiled(swap))
    yield case("manifest-missing", "extra-entry", 6, "no manifest", spoiled(drop(tree)))
    big = rooted(lambda r: r["manifests"][0].update(size=2 * 1024 * 1024 + 1))
    yield case("manifest-too-large", "bad-layout", 7, "of 2 MiB and a byte, it says", big)
    unknown = rooted(lambda r: r["manifests"][0].update(mediaType="text/plain"))
    yield case("document-media-type", "bad-layout", 7, "neither index nor manifest", unknown)
    spaced_one = Bundle(encode_manifest=spaced)
    yield case("manifest-spaced", "not-canonical", 7, "a space in a manifest", spaced_one)
    for name, change in (
        ("extra-field", lambda m: m.update(subject=None)),
        ("schema-1", lambda m: m.update(schemaVersion=1)),
        ("config", lambda m: m["config"].update(size=3)),
        ("no-layers-field", lambda m: m.pop("layers")),
    ):
        bundle = relaxed(change)
        yield case(f"manifest-{name}", "bad-layout", 7, f"manifest: {name}", bundle)
    for name, item in (
        ("media-type", {**layer("a", A), "mediaType": "text/plain"}),
        ("extra-field", {**layer("a", A), "urls": []}),
        ("extra-note", layer("a", A, more="x")),
        ("too-large", {**layer("a", A), "size": 1024**3 + 1}),
        ("size-negative", {**layer("a", A), "size": -1}),
        ("size-boolean", {**layer("a", A), "size": True}),
        ("mode", layer("a", A, **{"goose.mode": "0999"})),
        ("mode-default", layer("a", A, **{"goose.mode": "0644"})),
        (
            "part",
            layer("a.part-00001", A, **{"goose.part": "1", "goose.file.digest": forge.digest(A)}),
        ),
    ):
        yield case(f"layer-{name}", "bad-layout", 7, f"layer: {name}", layered(item, layer("b", B)))
    upper = {**layer("a", A), "digest": "sha256:" + "A" * 64}
    yield case(
        "layer-digest-upper", "bad-digest", 7, "a digest in capitals", layered(upper, layer("b", B))
    )
    none = Bundle([Artifact("os", [manifest("os", [])])], [])
    yield case("manifest-empty", "inconsistent-bundle", 7, "a manifest of no layers", none)
    odd = rooted(lambda r: r["manifests"][0].update(artifactType="application/vnd.goose.other.v1"))
    yield case("artifact-type-unknown", "inconsistent-bundle", 7, "an unknown type", odd)
    bundle = Bundle([Artifact("os", [manifest("other", [layer("a", A)])])], [A])
    yield case("manifest-other-title", "inconsistent-bundle", 7, "not its parent's title", bundle)
    again = [manifest("os", [layer("a", A)])] * 2
    bundle = Bundle([Artifact("os", again)], [A])
    yield case("manifest-twice", "inconsistent-bundle", 7, "one manifest twice", bundle)


def path_faults() -> Iterator[Case]:
    for name, path, expect in (
        ("parent", "../a", "path-escapes"),
        ("parent-within", "x/../a", "path-escapes"),
        ("absolute", "/a", "path-escapes"),
        ("empty-component", "x//a", "bad-layout"),
        ("dot", "./a", "bad-layout"),
        ("trailing-slash", "a/", "bad-layout"),
        ("newline", "a\nb", "bad-layout"),
        ("nul", "a\0b", "bad-layout"),
        ("escape", "a\x1b[2Jb", "bad-layout"),
        ("empty", "", "bad-layout"),
        ("long", "/".join(["d" * 255] * 17), "bad-layout"),
        ("long-component", "d" * 256, "bad-layout"),
    ):
        yield case(f"path-{name}", expect, 8, f"a file whose path is {name}", titled(path))
    other = f"blobs/sha256/{forge.digest(B)[7:]}"
    for name, changed, what in (
        ("blob", {other: A}, "a blob of an image under the digest of another"),
        ("marker", {"oci-layout": b"{}"}, "an image that is no layout of version 1.0.0"),
        ("without-index", {"index.json": None}, "an image without index.json"),
        ("stranger", {"etc/passwd": A}, "a file beside an image's layout"),
    ):
        yield case(f"image-{name}", "bad-layout", 8, what, pictured(changed))
    outside = Bundle([Artifact("../os", [manifest("../os", [layer("a", A)])])], [A])
    yield case("title-parent", "path-escapes", 8, "an artifact outside the root", outside)
    yield case(
        "path-twice",
        "inconsistent-bundle",
        8,
        "one path twice",
        layered(layer("a", A), layer("a", B)),
    )
    both = layered(layer("a", A), layer("a/b", B))
    yield case("file-and-folder", "inconsistent-bundle", 8, "a is a file and a folder", both)
    sizes = layered(layer("a", A), {**layer("c", A), "size": 5}, blobs=[A])
    yield case("one-digest-two-sizes", "inconsistent-bundle", 8, "4 bytes, and 5", sizes)
    for field_name in ("artifacts", "bytes", "documentBytes", "documents", "files"):
        bundle = stated(lambda s, f=field_name: s["totals"].update({f: s["totals"][f] + 1}))
        about = f"totals: one {field_name} too many"
        yield case(f"totals-{field_name}", "inconsistent-bundle", 8, about, bundle)
    for name, change in (
        ("missing", lambda layers: layers.pop(1)),
        ("swapped", lambda layers: layers.insert(0, layers.pop(1))),
        ("short", lambda layers: layers[0].update(size=4095)),
        ("mode", lambda layers: layers[1]["annotations"].update({"goose.mode": "0755"})),
        (
            "whole",
            lambda layers: layers[1]["annotations"].update({"goose.file.digest": forge.digest(A)}),
        ),
    ):
        yield case(
            f"parts-{name}", "bad-layout", 8, f"parts of a file: {name}", split(LONG, 4096, change)
        )


def index_faults() -> Iterator[Case]:
    bundle = listed(lambda i: i["manifests"].pop())
    yield case("index-artifact-missing", "bad-layout", 9, "an artifact less", bundle)
    bundle = listed(lambda i: i["manifests"].reverse())
    yield case("index-order", "bad-layout", 9, "the root last", bundle)
    more = {"artifactType": TREE, "digest": forge.digest(A), "mediaType": MANIFEST, "size": 4}
    bundle = listed(lambda i: i["manifests"].append(more))
    yield case("index-artifact-extra", "bad-layout", 9, "an artifact that is not there", bundle)
    bundle = listed(lambda i: i["manifests"][0].update(digest=forge.digest(A)))
    yield case("index-other-root", "bad-layout", 9, "another root for stock tools", bundle)
    bundle = listed(lambda i: i["annotations"].update({TITLE: "x"}))
    yield case("index-extra-note", "bad-layout", 9, "an annotation more", bundle)
    yield case("volume-number", "bad-layout", 9, "volume 1 of 2, of one", listed(numbered("1/2")))
