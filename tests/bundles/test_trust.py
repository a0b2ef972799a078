"""Whose signatures count: the checks of docs/trust.md, and what ssh-keygen makes of them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bundles.errors import GooseError
from bundles.format import canonical
from bundles.signing import keys, sshsig, trust
from bundles.signing.sshkey import PublicKey
from bundles.signing.sshsig import BUNDLE, NAMESPACES, RECEIPT, TRUST, VOLUMES
from bundles.signing.trust import TrustedSigner, TrustRoot
from bundles.signing.trustform import BadTrustRoot
from tests.bundles.signing import MESSAGE, Token, signer, ssh_keygen, ssh_verify

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ANNA, BEN, CLEO, STRANGER = (signer(n) for n in (1, 2, 3, 9))


def named(name: str, number: int, **fields: object) -> TrustedSigner:
    return replace(TrustedSigner(name, signer(number).public), **fields)  # type: ignore[arg-type]


def root(*signers: TrustedSigner, threshold: int = 1, **fields: object) -> TrustRoot:
    made = signers or (named("anna", 1), named("ben", 2), named("cleo", 3))
    return TrustRoot(1, threshold, made, **fields)  # type: ignore[arg-type]


def by(*signers: sshsig.Signer, namespace: str = BUNDLE, message: bytes = MESSAGE) -> list[bytes]:
    return [sshsig.sign(message, who, namespace) for who in signers]


def counted(
    of: TrustRoot, signatures: Sequence[bytes], namespace: str = BUNDLE, at: datetime = NOW
) -> list[str]:
    return [who.name for who in of.authorise(MESSAGE, signatures, namespace, at)]


# Who counts


def test_enough_signers_in_any_order_and_more_than_enough() -> None:
    assert counted(root(threshold=2), by(CLEO, ANNA)) == ["anna", "cleo"]
    assert counted(root(threshold=2), by(CLEO, BEN, ANNA)) == ["anna", "ben", "cleo"]


def test_token_signer_counts() -> None:
    token = Token(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    assert counted(root(TrustedSigner("anna", token.public)), by(token)) == ["anna"]


def test_no_signature() -> None:
    with pytest.raises(trust.TooFewSignatures, match=r"no signer that counts.* 1 of 3"):
        counted(root(), [])


def test_doubled_signature_counts_once() -> None:
    with pytest.raises(trust.TooFewSignatures, match=r"signed by anna; .* 2 of 3"):
        counted(root(threshold=2), by(ANNA, ANNA))


def test_two_signatures_of_one_key_count_once(tmp_path: Path) -> None:
    """Different bytes, for the hash differs, but still one signer."""
    path, public = keys.new_signing(tmp_path, "anna")
    (tmp_path / "m").write_bytes(MESSAGE)
    ssh_keygen("-Y", "sign", "-f", path, "-n", BUNDLE, "-O", "hashalg=sha256", tmp_path / "m")
    both = [*by(keys.load_private(path)), (tmp_path / "m.sig").read_bytes()]
    assert both[0] != both[1]
    two = root(TrustedSigner("anna", public), named("ben", 2), threshold=2)
    with pytest.raises(trust.TooFewSignatures, match="signed by anna"):
        counted(two, both)
    assert counted(two, [*both, *by(BEN)]) == ["anna", "ben"]


def test_unknown_signer_is_named() -> None:
    with pytest.raises(trust.UnknownSigner) as caught:
        counted(root(), by(STRANGER))
    assert STRANGER.public.fingerprint in caught.value.message


def test_key_substitution_with_the_same_name(tmp_path: Path) -> None:
    """A comment is whatever its writer likes; the key is what counts."""
    path, impostor = keys.new_signing(tmp_path, "anna")
    with pytest.raises(trust.UnknownSigner, match=impostor.fingerprint.replace("+", r"\+")):
        counted(root(), by(keys.load_private(path)))


def test_stranger_beside_enough_known_signers_does_not_block() -> None:
    assert counted(root(), by(STRANGER, ANNA)) == ["anna"]
    elsewhere = by(STRANGER, namespace=VOLUMES, message=b"another")
    assert counted(root(), [*elsewhere, *by(ANNA)]) == ["anna"]


def test_unsupported_key_beside_enough_known_signers_does_not_block(tmp_path: Path) -> None:
    ssh_keygen("-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "k")
    (tmp_path / "m").write_bytes(MESSAGE)
    ssh_keygen("-Y", "sign", "-f", tmp_path / "k", "-n", BUNDLE, tmp_path / "m")
    foreign = (tmp_path / "m.sig").read_bytes()
    assert counted(root(), [foreign, *by(ANNA)]) == ["anna"]
    with pytest.raises(trust.UnknownSigner) as caught:
        counted(root(), [foreign])
    assert caught.value.message.split()[-1] in ssh_keygen("-lf", tmp_path / "k.pub")


def test_stranger_does_not_count_towards_the_threshold() -> None:
    with pytest.raises(trust.TooFewSignatures) as caught:
        counted(root(threshold=2), by(ANNA, STRANGER))
    assert STRANGER.public.fingerprint in caught.value.message


@pytest.mark.parametrize("first", [True, False])
def test_bad_signature_of_a_known_signer_is_fatal(first: bool) -> None:
    bad, good = by(BEN, message=b"another"), by(ANNA)
    with pytest.raises(sshsig.SignatureInvalid, match="does not match"):
        counted(root(), bad + good if first else good + bad)


@pytest.mark.parametrize("first", [True, False])
def test_malformed_signature_is_fatal(first: bool) -> None:
    bad, good = [b"garbage"], by(ANNA)
    with pytest.raises(sshsig.SignatureMalformed):
        counted(root(), bad + good if first else good + bad)


@pytest.mark.parametrize("made_for", NAMESPACES)
@pytest.mark.parametrize("wanted", NAMESPACES)
def test_wrong_namespace_signature_of_a_known_signer(made_for: str, wanted: str) -> None:
    everything = root(named("anna", 1, namespaces=NAMESPACES))
    signatures = by(ANNA, namespace=made_for)
    if made_for == wanted:
        assert counted(everything, signatures, wanted) == ["anna"]
        return
    with pytest.raises(sshsig.WrongNamespace):
        counted(everything, signatures, wanted)


def test_restricted_signer_signs_another_kind() -> None:
    limited = root(named("anna", 1, namespaces=(BUNDLE, VOLUMES)), named("ben", 2))
    assert counted(limited, by(ANNA)) == ["anna"]
    with pytest.raises(trust.SignerNotAllowed, match=f"anna may not sign for {TRUST}"):
        counted(limited, by(ANNA, namespace=TRUST), TRUST)
    assert counted(limited, by(ANNA, BEN, namespace=TRUST), TRUST) == ["ben"]


def test_signer_by_default_does_not_speak_for_what_a_site_holds() -> None:
    with pytest.raises(trust.SignerNotAllowed):
        counted(root(), by(ANNA, namespace=RECEIPT), RECEIPT)


FROM, UNTIL = "2026-11-01T00:00:00Z", "2026-11-30T23:59:59Z"
START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
LIMITED = named("ben", 2, valid_after=FROM, valid_before=UNTIL)


@pytest.mark.parametrize(
    ("at", "valid"),
    [(START - SECOND, False), (START, True), (NOW, True), (END, True), (END + SECOND, False)],
)
def test_validity_ends_where_that_of_ssh_keygen_ends(
    tmp_path: Path, at: datetime, valid: bool
) -> None:
    limited = root(named("anna", 1), LIMITED)
    option = f"verify-time={at:%Y%m%d%H%M%SZ}"
    (signature,) = by(BEN)
    allowed = limited.allowed_signers()
    assert ssh_verify(tmp_path, allowed, "ben", signature, BUNDLE, "-O", option) == valid
    if valid:
        assert counted(limited, [signature], at=at) == ["ben"]
        return
    with pytest.raises(trust.SignerNotValidNow, match=f"ben may sign .*; it is {at:%Y-%m-%dT%H}"):
        counted(limited, [signature], at=at)


def test_expired_signer_beside_enough_others_does_not_block() -> None:
    limited = root(named("anna", 1), LIMITED)
    assert counted(limited, by(ANNA, BEN), at=END + SECOND) == ["anna"]


def test_expired_signer_does_not_count_towards_the_threshold() -> None:
    limited = root(named("anna", 1), LIMITED, threshold=2)
    with pytest.raises(trust.TooFewSignatures, match=r"signed by anna; .*ben may sign until"):
        counted(limited, by(ANNA, BEN), at=END + SECOND)


def test_threshold_of_a_kind() -> None:
    strict = root(thresholds={TRUST: 3})
    assert counted(strict, by(ANNA)) == ["anna"]
    with pytest.raises(trust.TooFewSignatures, match="asks for 3 of 3"):
        counted(strict, by(ANNA, BEN, namespace=TRUST), TRUST)
    assert len(counted(strict, by(ANNA, BEN, CLEO, namespace=TRUST), TRUST)) == 3


@given(
    st.lists(st.sampled_from(["anna", "ben", "cleo", "stranger"]), max_size=6), st.integers(1, 3)
)
def test_count_is_that_of_distinct_known_signers(who: list[str], threshold: int) -> None:
    people = {"anna": ANNA, "ben": BEN, "cleo": CLEO, "stranger": STRANGER}
    expected = sorted(set(who) - {"stranger"})
    signatures = by(*(people[name] for name in who))
    if len(expected) >= threshold:
        assert counted(root(threshold=threshold), signatures) == expected
        return
    with pytest.raises((trust.TooFewSignatures, trust.UnknownSigner)):
        counted(root(threshold=threshold), signatures)


# allowed_signers


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_ssh_keygen_reads_the_same_from_allowed_signers(tmp_path: Path, namespace: str) -> None:
    limited = root(named("anna", 1, namespaces=(BUNDLE, VOLUMES)), named("ben", 2))
    for who, name in ((ANNA, "anna"), (BEN, "ben"), (STRANGER, "anna")):
        (signature,) = by(who, namespace=namespace)
        try:
            ours = counted(limited, [signature], namespace) == [name]
        except (trust.SignerNotAllowed, trust.UnknownSigner):
            ours = False
        allowed = limited.allowed_signers()
        assert ssh_verify(tmp_path, allowed, name, signature, namespace) == ours


def test_name_without_a_comment_is_a_principal_to_ssh_keygen(tmp_path: Path) -> None:
    nameless = trust.first([(ANNA.public, "")], 1)
    name = ANNA.public.fingerprint
    assert ssh_verify(tmp_path, nameless.allowed_signers(), name, by(ANNA)[0], BUNDLE)


def test_allowed_signers_says_what_its_format_cannot() -> None:
    strict = root(LIMITED, named("cleo", 3), threshold=2, thresholds={VOLUMES: 1})
    assert strict.allowed_signers().splitlines() == [
        f"# trust root version 1, {strict.fingerprint}",
        "# signers that a document needs: 2, 1 for goose-volumes@v1",
        'ben namespaces="goose-bundle@v1,goose-install@v1,goose-trust@v1,goose-volumes@v1",'
        'valid-after="20261101000000Z",valid-before="20261130235959Z" ' + BEN.public.openssh,
        'cleo namespaces="goose-bundle@v1,goose-install@v1,goose-trust@v1,goose-volumes@v1" '
        + CLEO.public.openssh,
    ]


# The document


def test_fingerprint_is_that_of_stock_tools() -> None:
    made = root()
    digest = hashlib.sha256(made.render()).digest()
    assert made.fingerprint == "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def test_fingerprint_of_a_known_root() -> None:
    """Sites compare it with what they were told by an earlier goosectl: it must never change."""
    known = trust.first([(BEN.public, "ben"), (ANNA.public, "")], 2)
    assert known.fingerprint == "SHA256:SQ9cMEI+5heL6hiYFFfHwEdq3orz4q2H/UmpOxBXoCI"


@given(st.permutations([(ANNA.public, "anna"), (BEN.public, ""), (CLEO.public, "cleo")]))
def test_fingerprint_does_not_depend_on_the_order_of_the_signers(
    order: list[tuple[PublicKey, str]],
) -> None:
    in_order = sorted(order, key=lambda item: item[0].raw)
    assert trust.first(order, 2) == trust.first(in_order, 2)


def test_fingerprint_depends_on_everything_else() -> None:
    anna, ben = (ANNA.public, "anna"), (BEN.public, "ben")
    roots = [
        trust.first([anna], 1),
        trust.first([anna, ben], 1),
        trust.first([anna, ben], 2),
        trust.first([(ANNA.public, "anja"), ben], 2),
        trust.first([(STRANGER.public, "anna"), ben], 2),
        root(named("anna", 1), LIMITED),
        root(named("anna", 1), named("ben", 2), thresholds={TRUST: 2}),
        replace(root(named("anna", 1)), version=2, previous=root().fingerprint),
        replace(root(named("anna", 1)), version=3, previous=root().fingerprint),
    ]
    assert len({made.fingerprint for made in roots}) == len(roots)


signers = st.lists(
    st.builds(
        lambda number, namespaces, start, length: named(
            f"signer{number:03}",
            number,
            namespaces=tuple(sorted({TRUST, *namespaces})),
            valid_after=start and f"{start}-01-01T00:00:00Z",
            valid_before=length and f"{(start or 1999) + length}-01-01T00:00:00Z",
        ),
        st.integers(0, 255),
        st.lists(st.sampled_from(NAMESPACES)),
        st.none() | st.integers(1971, 4000),
        st.none() | st.integers(1, 4000),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda made: made.name,
).map(lambda made: sorted(made, key=lambda one: one.name))


@given(signers, st.integers(1, 2**53 - 1))
def test_round_trip(made: list[TrustedSigner], version: int) -> None:
    previous = None if version == 1 else root().fingerprint
    original = TrustRoot(version, 1, tuple(made), {}, previous)
    again = trust.read(original.render(), "root.json")
    assert again == original
    assert again.render() == original.render()


BAD: dict[str, tuple[object, ...]] = {
    "format 2": ("format", 2),
    "format as true": ("format", True),
    "version 0": ("version", 0),
    "version as true": ("version", True),
    "version as text": ("version", "1"),
    "version 2 without the one before": ("version", 2),
    "version 1 with one before": ("previous", "SHA256:" + "A" * 43),
    "no signer": ("signers", []),
    "signers as text": ("signers", "anna"),
    "threshold 0": ("threshold", 0),
    "threshold as true": ("threshold", True),
    "threshold out of reach": ("threshold", 4),
    "thresholds as a list": ("thresholds", [TRUST]),
    "threshold of a kind out of reach": ("thresholds", {TRUST: 4}),
    "threshold of a kind 0": ("thresholds", {TRUST: 0}),
    "threshold of no kind": ("thresholds", {"file": 1}),
    "threshold of a kind as null": ("thresholds", {TRUST: None}),
    "unknown field": ("expires", None),
    "signer twice": ("signers", 1, "name", "anna"),
    "key twice": ("signers", 1, "key", ANNA.public.openssh),
    "signers out of order": ("signers", 0, "name", "zoe"),
    "name of spaces": ("signers", 0, "name", "an na"),
    "name with a comma": ("signers", 0, "name", "a,*"),
    "name with a wildcard": ("signers", 0, "name", "a*"),
    "name with a line break": ("signers", 0, "name", "anna\nben"),
    "name ends in a line break": ("signers", 0, "name", "anna\n"),
    "name of look-alikes": ("signers", 0, "name", "\u0430nna"),
    "name empty": ("signers", 0, "name", ""),
    "name as number": ("signers", 0, "name", 1),
    "key with a comment": ("signers", 0, "key", ANNA.public.openssh + " anna"),
    "key with options": ("signers", 0, "key", "cert-authority " + ANNA.public.openssh),
    "key with a line break": ("signers", 0, "key", ANNA.public.openssh + "\n"),
    "key of another kind": ("signers", 0, "key", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQ=="),
    "key as null": ("signers", 0, "key", None),
    "no namespace": ("signers", 0, "namespaces", []),
    "namespaces as text": ("signers", 0, "namespaces", TRUST),
    "unknown namespace": ("signers", 0, "namespaces", ["file"]),
    "namespace twice": ("signers", 0, "namespaces", [TRUST, TRUST]),
    "namespaces out of order": ("signers", 0, "namespaces", [VOLUMES, BUNDLE]),
    "namespaces of lists": ("signers", 0, "namespaces", [[]]),
    "moment without a zone": ("signers", 0, "validAfter", "2026-11-24T12:00:00"),
    "moment of another calendar": ("signers", 0, "validAfter", "2026-02-30T12:00:00Z"),
    "moment in other digits": ("signers", 0, "validAfter", "\u0662026-11-24T12:00:00Z"),
    "moment as number": ("signers", 0, "validBefore", 0),
    "moment before ssh-keygen's time": ("signers", 0, "validBefore", "1970-01-01T00:00:00Z"),
    "unknown field of a signer": ("signers", 0, "comment", ""),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_trust_root(name: str) -> None:
    *path, last, value = BAD[name]
    document = canonical.loads(root().render(), "root")
    place = document
    for step in path:
        place = place[step]
    place[last] = value
    with pytest.raises(BadTrustRoot, match=r"site/root\.json"):
        trust.read(canonical.dumps(document), "site/root.json")


@pytest.mark.parametrize("end", [FROM, "2026-10-31T23:59:59Z"])
def test_ends_when_or_before_it_begins(end: str) -> None:
    with pytest.raises(BadTrustRoot, match="until a time not after its first"):
        root(named("anna", 1, valid_after=FROM, valid_before=end))


def test_nobody_may_sign_the_next() -> None:
    with pytest.raises(BadTrustRoot, match="no signer may sign the next"):
        root(named("anna", 1, namespaces=(BUNDLE,)))


@pytest.mark.parametrize("field", ["format", "previous", "signers", "threshold", "version"])
def test_missing_field(field: str) -> None:
    document = canonical.loads(root().render(), "root")
    del document[field]
    with pytest.raises(BadTrustRoot, match=field):
        trust.read(canonical.dumps(document), "root.json")


def test_other_spellings_of_the_same_root() -> None:
    data = root().render()
    for other in (data + b"\n", b" " + data, data.replace(b'"anna"', b'"\\u0061nna"')):
        with pytest.raises(canonical.NotCanonical):
            trust.read(other, "root.json")


def test_enormous_root_is_not_read() -> None:
    with pytest.raises(BadTrustRoot, match="at most"):
        trust.read(b"[" * (trust.MAX_ROOT + 1), "root.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(BAD)), json_values)
def test_any_value_in_any_place_is_refused_in_our_words(name: str, value: object) -> None:
    *path, last, _ = BAD[name]
    document = canonical.loads(root().render(), "root")
    place = document
    for step in path:
        place = place[step]
    place[last] = value
    try:
        made = trust.read(canonical.dumps(document), "root.json")
    except GooseError:
        return
    assert made.render() == canonical.dumps(document)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_in_our_words(data: bytes) -> None:
    with pytest.raises(GooseError):
        trust.read(data, "root.json")
