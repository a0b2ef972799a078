"""Faults of layout, signatures and statement, and what a site does not accept: checks 1 to 5."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from tests.vectors import forge
from tests.vectors.case import (
    SIGNATURE,
    STATEMENT,
    Case,
    case,
    data_of,
    drop,
    in_place,
    listed,
    numbered,
    said,
    signer,
    spaced,
    spoiled,
    stated,
)
from tests.vectors.forge import (
    Bundle,
    Key,
    canonical,
)


def layout_faults() -> Iterator[Case]:
    change = data_of("oci-layout", lambda data: data.replace(b"1.0.0", b"1.1.0"))
    yield case("oci-layout-other-version", "bad-layout", 1, "image layout 1.1.0", spoiled(change))
    change = data_of("oci-layout", lambda data: data + b"\n")
    yield case("oci-layout-newline", "bad-layout", 1, "a newline at its end", spoiled(change))
    yield case("oci-layout-missing", "extra-entry", 1, "no oci-layout", spoiled(drop("oci-layout")))
    for name, number in (
        ("zero", "0/1"),
        ("beyond", "2/1"),
        ("padded", "01/1"),
        ("word", "one"),
        ("number", 1),
        ("huge", "1/99999999"),
    ):
        bundle = listed(lambda i, number=number: i["annotations"].update({"goose.volume": number}))
        yield case(f"index-volume-{name}", "bad-layout", 2, f"goose.volume is {number!r}", bundle)
    bundle = listed(lambda i: i.pop("annotations"))
    yield case("index-no-volume", "bad-layout", 2, "index.json without its annotation", bundle)
    yield case(
        "index-spaced", "not-canonical", 2, "a space in index.json", Bundle(encode_index=spaced)
    )
    bundle = Bundle(encode_index=lambda i: b"[" * 4000)
    yield case("index-deep", "not-canonical", 2, "4,000 open brackets", bundle)


def signature_faults() -> Iterator[Case]:
    yield case("unsigned", "too-few-signatures", 3, "no signature", Bundle(signers=[]))
    strange = Bundle(signers=[(Key("stranger"), "goose-bundle@v1")])
    yield case("signed-by-a-stranger", "unknown-signer", 3, "a key nobody trusts", strange)
    for namespace in ("goose-volumes@v1", "goose-trust@v1", "goose-receipt@v1", "file"):
        bundle = Bundle(signers=[(Key("release"), namespace)])
        name = f"signed-as-{namespace.partition('@')[0]}"
        yield case(name, "wrong-namespace", 3, f"signed for {namespace}", bundle)
    change = data_of(STATEMENT, lambda data: data.replace(b'"sequence":1', b'"sequence":9'))
    yield case("statement-changed", "signature-invalid", 3, "changed when signed", spoiled(change))
    other = said(version="2.0.0").entries()[3]
    bundle_data = spoiled(lambda entries: entries.__setitem__(3, other))
    yield case("signature-of-another", "signature-invalid", 3, "another bundle's", bundle_data)
    twice = Bundle(signers=[(Key("release"), "goose-bundle@v1")] * 2)
    two = {"signers": [signer("release"), signer("second")], "threshold": 2}
    yield case("one-signature-twice", "too-few-signatures", 3, "two are asked for", twice, **two)
    yield case("one-of-two", "too-few-signatures", 3, "two are asked for", Bundle(), **two)
    late = {"signers": [signer("release", validAfter="2026-11-24T12:00:01Z")]}
    yield case(
        "signer-not-yet-valid", "signer-not-valid-now", 3, "from next second", Bundle(), **late
    )
    over = {"signers": [signer("release", validBefore="2026-11-24T11:59:59Z")]}
    yield case(
        "signer-no-longer-valid", "signer-not-valid-now", 3, "until a second ago", Bundle(), **over
    )
    lists = {"signers": [signer("release", namespaces=["goose-trust@v1", "goose-volumes@v1"])]}
    yield case(
        "signer-of-lists", "signer-not-allowed", 3, "may sign other things", Bundle(), **lists
    )
    message = Bundle().entries()[2].data
    for name, signature in (
        ("flipped", flip(Key("release").sign(message, "goose-bundle@v1"))),
        ("wide", wide(message)),
        ("reserved", Key("release").sign(message, "goose-bundle@v1", reserved=b"x")),
        ("cut", Key("release").sign(message, "goose-bundle@v1")[:-1]),
        ("crlf", Key("release").sign(message, "goose-bundle@v1").replace(b"\n", b"\r\n")),
        ("empty", b""),
        ("binary", bytes(range(256))),
        ("long", Key("release").sign(message, "goose-bundle@v1") + bytes(16 * 1024)),
    ):
        expect = "signature-invalid" if name == "flipped" else "signature-malformed"
        change = data_of(SIGNATURE, lambda _, signature=signature: signature)
        yield case(f"signature-{name}", expect, 3, f"the signature is {name}", spoiled(change))
    sha1 = hash_named(message, "sha1")
    yield case(
        "signature-sha1",
        "signature-malformed",
        3,
        "hashed with SHA-1",
        spoiled(data_of(SIGNATURE, lambda _: sha1)),
    )
    many = Bundle(signers=[(Key("release"), "goose-bundle@v1")] * 17)
    yield case("seventeen-signatures", "extra-entry", 3, "16 are the most", many)


def flip(armored: bytes) -> bytes:
    """One bit of the signature proper, at the end of what the armor holds."""
    lines = armored.splitlines()
    body = bytearray(base64.b64decode(b"".join(lines[1:-1])))
    body[-20] ^= 1
    return forge.armor(bytes(body))


def wide(message: bytes) -> bytes:
    lines = Key("release").sign(message, "goose-bundle@v1").splitlines()
    return forge.armor(base64.b64decode(b"".join(lines[1:-1])), width=76)


def hash_named(message: bytes, name: str) -> bytes:
    return Key("release").sign(message, "goose-bundle@v1", hashed=name)


def statement_faults() -> Iterator[Case]:
    yield case("statement-spaced", "not-canonical", 4, "a space", Bundle(encode_statement=spaced))
    for name, change in (
        ("duplicate-key", lambda d: d.replace(b'"format":1', b'"format":1,"format":1')),
        ("float", lambda d: d.replace(b'"sequence":1', b'"sequence":1.0')),
        ("exponent", lambda d: d.replace(b'"sequence":1', b'"sequence":1e0')),
        ("unsorted", lambda d: d.replace(b'"audience":[],', b"")[:-1] + b',"audience":[]}'),
        ("escaped", lambda d: d.replace(b'"vector"', b'"\\u0076ector"')),
        ("bom", lambda d: b"\xef\xbb\xbf" + d),
        ("newline", lambda d: d + b"\n"),
        ("not-utf8", lambda d: d.replace(b'"vector"', b'"v\xe9ctor"')),
        ("surrogate", lambda d: d.replace(b'"vector"', b'"\\ud800"')),
        ("huge-integer", lambda d: d.replace(b'"sequence":1', b'"sequence":9007199254740992')),
        ("digits", lambda d: d.replace(b'"sequence":1', b'"sequence":' + b"9" * 5000)),
        ("empty", lambda d: b""),
    ):
        bundle = Bundle(encode_statement=lambda s, change=change: change(canonical(s)))
        yield case(f"statement-{name}", "not-canonical", 4, f"statement: {name}", bundle)
    for name, bundle in (
        ("unknown-field", said(more=1)),
        ("missing-field", stated(lambda s: s.pop("expires"))),
        ("not-an-object", Bundle(statement=lambda s: [s])),
        ("format-0", said(format=0)),
        ("format-2", said(format=2)),
        ("boolean-format", said(format=True)),
        ("name-capital", said(name="Vector")),
        ("name-path", said(name="../vector")),
        ("name-long", said(name="v" * 64)),
        ("version-slash", said(version="1/0")),
        ("version-empty", said(version="")),
        ("sequence-negative", said(sequence=-1)),
        ("sequence-text", said(sequence="1")),
        ("created-impossible", said(created="2026-02-30T00:00:00Z")),
        ("created-offset", said(created="2026-11-24T00:00:00+00:00")),
        ("expires-fraction", said(expires="2027-11-24T00:00:00.0Z")),
        ("audience-unsorted", said(audience=["site-b", "site-a"])),
        ("audience-twice", said(audience=["site-a", "site-a"])),
        ("audience-text", said(audience="site-a")),
        ("volumes-none", Bundle(said={"volumes": []}, index=in_place(numbered("1/1")))),
        ("volumes-too-few-layers", said(volumes=[1])),
        ("volumes-negative", said(volumes=[3, -1])),
        ("totals-unknown-field", stated(lambda s: s["totals"].update(more=0))),
        ("root-unknown-field", stated(lambda s: s["root"].update(more=0))),
    ):
        yield case(f"statement-{name}", "bad-statement", 4, f"statement: {name}", bundle)
    for name, text in (
        ("upper", "sha256:" + "A" * 64),
        ("short", "sha256:" + "a" * 63),
        ("sha512", "sha512:" + "a" * 128),
    ):
        bundle = stated(lambda s, text=text: s["root"].update(digest=text))
        yield case(
            f"statement-root-{name}", "bad-digest", 4, f"the root's digest is {name}", bundle
        )
    yield case(
        "reader-too-old", "reader-too-old", 4, "asks for a reader of format 2", said(reader=2)
    )


def policy_faults() -> Iterator[Case]:
    elsewhere = said(audience=["site-b", "site-c"])
    yield case("for-another-site", "wrong-audience", 5, "made for other sites", elsewhere)
    yield case("for-a-named-site", "wrong-audience", 5, "this site has no id", elsewhere, id=None)
    now = said(expires="2026-11-24T12:00:00Z")
    yield case("expired", "expired", 5, "expires this very second", now)
    yield case(
        "rollback", "rollback-refused", 5, "the site has had sequence 2", Bundle(), sequence=2
    )
