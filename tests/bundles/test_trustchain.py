"""Rotation: which version follows which (R1 to R5 of docs/trust.md), and the file that says so."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.errors import GooseError, UsageError
from bundles.signing import sshsig, trust, trustchain
from bundles.signing.rotation import Changes, successor
from bundles.signing.sshsig import BUNDLE, NAMESPACES, RECEIPT, TRUST, VOLUMES
from bundles.signing.trust import TrustedSigner, TrustRoot
from bundles.signing.trustchain import Link
from bundles.signing.trustform import BadTrustRoot
from tests.bundles.signing import MESSAGE, signer

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
PAST, FUTURE = "2026-11-24T11:59:59Z", "2026-11-24T12:00:01Z"
NAMES = {"anna": 1, "ben": 2, "cleo": 3, "dora": 4, "eve": 9}
ANNA, BEN, CLEO, DORA = "anna", "ben", "cleo", "dora"


def keyed(*names: str) -> list[tuple[trust.PublicKey, str]]:
    return [(signer(NAMES[name]).public, name) for name in names]


#: Two of anna, ben and cleo must sign.
FIRST = trust.first(keyed(ANNA, BEN, CLEO), 2)


def signed(root: TrustRoot, *names: str, namespace: str = TRUST) -> Link:
    return Link(root, tuple(sshsig.sign(root.render(), signer(NAMES[n]), namespace) for n in names))


def next_root(before: TrustRoot = FIRST, **changes: object) -> TrustRoot:
    return successor(before, Changes(**changes))  # type: ignore[arg-type]


def follow(*links: Link, after: TrustRoot = FIRST) -> list[int]:
    """The versions that come into force."""
    return [link.root.version for link in trustchain.follow(after, links, NOW, "f.trust")]


SECOND = next_root(add=keyed(DORA), remove=[ANNA])
THIRD = next_root(SECOND, threshold=1)
GOOD = signed(SECOND, BEN, CLEO)


# What comes into force


def test_enough_of_both_versions() -> None:
    assert follow(GOOD) == [2]
    assert follow(Link(FIRST), GOOD) == [2]
    assert follow(signed(SECOND, ANNA, BEN, DORA)) == [2]


def test_the_version_in_force_again_changes_nothing() -> None:
    assert follow(Link(FIRST)) == []
    assert follow(Link(FIRST), GOOD, after=SECOND) == []


def test_a_site_that_fell_behind_follows_every_link() -> None:
    assert follow(GOOD, signed(THIRD, BEN, DORA)) == [2, 3]
    assert follow(Link(FIRST), GOOD, signed(THIRD, BEN, DORA), after=SECOND) == [3]


# Attacks


def test_rotation_by_a_minority() -> None:
    with pytest.raises(trust.TooFewSignatures) as caught:
        follow(signed(SECOND, BEN, DORA))
    assert caught.value.message == (
        "f.trust: version 2, judged by version 1: signed by ben; the trust root asks for 2 of 3"
        f" signers ({signer(4).public.fingerprint} is not a signer of the trust root)"
    )


def test_rotation_with_one_stolen_key() -> None:
    """The thief makes himself the only signer; his own version is content with him."""
    mine = next_root(remove=[BEN, CLEO], threshold=1)
    with pytest.raises(trust.TooFewSignatures, match="judged by version 1"):
        follow(signed(mine, ANNA))


def test_rotation_by_those_who_come_without_those_who_are_there() -> None:
    with pytest.raises(trust.UnknownSigner, match="judged by version 1"):
        follow(signed(next_root(add=keyed(DORA, "eve")), DORA, "eve"))


def test_rotation_without_those_who_come() -> None:
    """Old signers cannot name others who never agreed, nor a key that nobody holds."""
    strangers = next_root(add=keyed(DORA, "eve"), remove=[ANNA, BEN])
    with pytest.raises(trust.TooFewSignatures, match="judged by version 2: signed by cleo"):
        follow(signed(strangers, ANNA, BEN, CLEO))


def test_downgraded_threshold() -> None:
    """A version that asks for one signer does not come in by one."""
    weak = next_root(threshold=1)
    with pytest.raises(trust.TooFewSignatures, match="judged by version 1"):
        follow(signed(weak, ANNA))
    assert follow(signed(weak, ANNA, BEN)) == [2]


def test_downgraded_threshold_of_trust_roots_only() -> None:
    with pytest.raises(trust.TooFewSignatures, match="judged by version 1"):
        follow(signed(next_root(thresholds={TRUST: 1}), ANNA))


def test_raised_threshold_holds_for_the_version_that_raises_it() -> None:
    strict = next_root(threshold=3)
    with pytest.raises(trust.TooFewSignatures, match="judged by version 2"):
        follow(signed(strict, ANNA, BEN))


def test_unsigned_version() -> None:
    with pytest.raises(trust.TooFewSignatures, match="no signer that counts"):
        follow(Link(SECOND))


def test_replayed_old_root() -> None:
    with pytest.raises(
        trustchain.TrustRollback, match="ends with version 2; version 3 is in force"
    ):
        follow(Link(FIRST), GOOD, after=THIRD)
    with pytest.raises(trustchain.TrustRollback):
        follow(Link(FIRST), after=SECOND)


def test_skipped_version() -> None:
    with pytest.raises(trustchain.MissingTrustVersion) as caught:
        follow(signed(THIRD, BEN, CLEO))
    assert caught.value.details["missing"] == [2]
    with pytest.raises(trustchain.MissingTrustVersion, match="version 3 stands after 1"):
        trustchain.read(trustchain.render([Link(FIRST), signed(THIRD, BEN, CLEO)]), "f")


def test_skipped_version_in_between_by_a_minority() -> None:
    """A good end does not heal a link on the way to it."""
    with pytest.raises(trust.TooFewSignatures, match="version 2, judged by version 1"):
        follow(signed(SECOND, BEN), signed(THIRD, BEN, CLEO))


def test_another_root_of_the_same_version() -> None:
    other = signed(next_root(threshold=1), ANNA, BEN)
    with pytest.raises(trustchain.OtherTrustRoot):
        follow(other, after=SECOND)


def test_next_root_of_another_site() -> None:
    """The two sites share all signers."""
    elsewhere = trust.first(keyed(ANNA, BEN, CLEO), 3)
    link = signed(next_root(elsewhere, add=keyed(DORA)), ANNA, BEN, CLEO)
    for chain in ([link], [Link(elsewhere), link]):
        with pytest.raises(trustchain.OtherTrustRoot):
            follow(*chain)


def test_signer_counted_twice() -> None:
    link = signed(SECOND, BEN)
    inner = b"".join(link.signatures[0].splitlines()[1:-1])
    assert len(base64.b64decode(inner)) > 100
    with pytest.raises(trust.TooFewSignatures, match="signed by ben;"):
        follow(replace(link, signatures=link.signatures * 2))


def test_same_key_under_two_names() -> None:
    with pytest.raises(BadTrustRoot, match="same key"):
        next_root(add=[(signer(1).public, "another")])


@pytest.mark.parametrize("namespace", [name for name in NAMESPACES if name != TRUST])
def test_cross_namespace_signature_of_a_root(namespace: str) -> None:
    with pytest.raises(sshsig.WrongNamespace, match=f"for {namespace!r}"):
        follow(
            replace(
                GOOD,
                signatures=GOOD.signatures + signed(SECOND, DORA, namespace=namespace).signatures,
            )
        )


def test_signature_of_another_root() -> None:
    moved = replace(signed(SECOND, BEN), root=next_root(threshold=1))
    with pytest.raises(sshsig.SignatureInvalid, match="judged by version 1"):
        follow(moved)


@pytest.mark.parametrize("limit", [{"valid_before": {BEN: PAST}}, {"valid_after": {BEN: FUTURE}}])
def test_expired_or_not_yet_valid_signer_rotates(limit: dict[str, dict[str, str]]) -> None:
    """By the rules of the version before, whatever the new one says of him."""
    limited = next_root(**limit)  # type: ignore[arg-type]
    free = next_root(limited, valid_before={BEN: None}, valid_after={BEN: None})
    with pytest.raises(trust.TooFewSignatures, match="judged by version 2: signed by cleo"):
        follow(signed(free, BEN, CLEO), after=limited)
    assert follow(signed(free, ANNA, CLEO), after=limited) == [3]


def test_version_whose_signers_are_not_valid_yet_must_wait() -> None:
    later = next_root(valid_after={BEN: FUTURE, CLEO: FUTURE})
    with pytest.raises(trust.TooFewSignatures, match="judged by version 2: signed by anna"):
        follow(signed(later, ANNA, BEN, CLEO))


def test_signer_of_bundles_only_rotates() -> None:
    builder = next_root(namespaces={ANNA: [BUNDLE, VOLUMES]})
    after = next_root(builder, threshold=1)
    with pytest.raises(trust.TooFewSignatures, match=f"anna may not sign for {TRUST}"):
        follow(signed(after, ANNA, BEN), after=builder)


def test_revoked_signer_counts_no_more_whenever_he_signed() -> None:
    """No signature bears a date that its maker could not have chosen."""
    old = [sshsig.sign(MESSAGE, signer(NAMES[name]), BUNDLE) for name in (ANNA, BEN)]
    assert len(FIRST.authorise(MESSAGE, old, BUNDLE, NOW)) == 2
    with pytest.raises(trust.TooFewSignatures, match="signed by ben;"):
        SECOND.authorise(MESSAGE, old, BUNDLE, NOW)
    mended = [*old, sshsig.sign(MESSAGE, signer(NAMES[DORA]), BUNDLE)]
    assert [s.name for s in SECOND.authorise(MESSAGE, mended, BUNDLE, NOW)] == [BEN, DORA]


def test_revoked_signer_does_not_come_back_by_an_old_root() -> None:
    back = next_root(SECOND, add=keyed(ANNA))
    with pytest.raises(trust.TooFewSignatures, match="judged by version 2: signed by ben"):
        follow(signed(back, ANNA, BEN), after=SECOND)


PEOPLE = sorted(NAMES)


@given(
    st.sets(st.sampled_from(PEOPLE[:4]), min_size=1),
    st.sets(st.sampled_from(PEOPLE[:4]), min_size=1),
    st.sets(st.sampled_from(PEOPLE)),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_comes_into_force_exactly_by_both_thresholds(
    old: set[str], new: set[str], by: set[str], first: int, second: int
) -> None:
    first, second = min(first, len(old)), min(second, len(new))
    before = trust.first(keyed(*old), first)
    signers = tuple(TrustedSigner(name, signer(NAMES[name]).public) for name in sorted(new))
    after = TrustRoot(2, second, signers, {}, before.fingerprint)
    enough = len(by & old) >= first and len(by & new) >= second
    try:
        came = follow(signed(after, *sorted(by)), after=before) == [2]
    except (trust.TooFewSignatures, trust.UnknownSigner):
        came = False
    assert came == enough


# Making the next version


def test_what_is_not_named_stays() -> None:
    limited = next_root(
        threshold=1,
        thresholds={TRUST: 3, VOLUMES: 1},
        valid_before={ANNA: FUTURE},
        valid_after={BEN: PAST},
        namespaces={CLEO: [TRUST, RECEIPT]},
    )
    assert (limited.version, limited.previous) == (2, FIRST.fingerprint)
    again = next_root(limited, thresholds={VOLUMES: None}, valid_before={ANNA: None})
    assert again.thresholds == {TRUST: 3}
    anna, ben, cleo = again.signers
    assert (anna.valid_before, ben.valid_after) == (None, PAST)
    assert cleo.namespaces == (RECEIPT, TRUST)


def test_new_key_under_the_same_name() -> None:
    limited = next_root(valid_before={ANNA: PAST}, namespaces={ANNA: [BUNDLE, TRUST]})
    again = next_root(limited, remove=[ANNA], add=[(signer(4).public, ANNA)])
    anna = again.signers[0]
    assert (anna.key, anna.namespaces, anna.valid_before) == (
        signer(4).public,
        (BUNDLE, TRUST),
        None,
    )


def test_removed_by_fingerprint() -> None:
    assert next_root(remove=[signer(1).public.fingerprint], add=keyed(DORA)) == SECOND


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({}, UsageError),
        ({"threshold": 2}, UsageError),
        ({"remove": ["eve"]}, UsageError),
        ({"remove": [ANNA, ANNA]}, UsageError),
        ({"add": [(signer(9).public, ANNA)]}, UsageError),
        ({"valid_before": {"eve": PAST}}, UsageError),
        ({"namespaces": {"eve": [TRUST]}}, UsageError),
        ({"valid_before": {ANNA: "tomorrow"}}, BadTrustRoot),
        ({"remove": [ANNA, BEN]}, BadTrustRoot),
        ({"threshold": 4}, BadTrustRoot),
        ({"namespaces": {ANNA: ["file"]}}, BadTrustRoot),
    ],
)
def test_what_cannot_be_changed(changes: dict[str, object], refusal: type[GooseError]) -> None:
    with pytest.raises(refusal):
        next_root(**changes)


# Signing


def test_a_stranger_does_not_sign() -> None:
    with pytest.raises(trust.UnknownSigner, match="neither by version 1 nor by version 2"):
        trustchain.sign(FIRST, Link(SECOND), signer(NAMES["eve"]))


def test_signing_twice_is_signing_once() -> None:
    link = trustchain.sign(FIRST, Link(SECOND), signer(2))
    assert trustchain.sign(FIRST, link, signer(2)) == link


def test_predecessor() -> None:
    chain = (Link(FIRST), Link(SECOND))
    assert trustchain.predecessor(chain, None, "f") == FIRST
    assert trustchain.predecessor(chain[1:], FIRST, "f") == FIRST
    assert trustchain.predecessor(chain, SECOND, "f") == FIRST
    for alone in (Link(FIRST), Link(SECOND)):
        with pytest.raises(trustchain.MissingTrustVersion):
            trustchain.predecessor([alone], None, "f")
    with pytest.raises(trustchain.OtherTrustRoot):
        trustchain.predecessor(chain, next_root(threshold=3), "f")


def test_signatures_of_copies_add_up() -> None:
    copies = [[Link(FIRST), signed(SECOND, name)] for name in (BEN, CLEO, BEN)]
    merged = trustchain.merge(copies, "f")
    assert merged == (Link(FIRST), GOOD)
    with pytest.raises(trustchain.OtherTrustRoot):
        trustchain.merge([*copies, [Link(next_root(threshold=3))]], "f")
    with pytest.raises(trustchain.MissingTrustVersion):
        trustchain.merge([[Link(FIRST)], [Link(THIRD)]], "f")


# The file

CHAIN = (Link(FIRST), GOOD, signed(THIRD, BEN, DORA))
DATA = trustchain.render(CHAIN)


def test_round_trip() -> None:
    assert trustchain.read(DATA, "f") == CHAIN


def test_versions_of_two_chains_in_one_file() -> None:
    other = next_root(trust.first(keyed(ANNA, BEN, CLEO), 3), threshold=1)
    with pytest.raises(trustchain.OtherTrustRoot):
        trustchain.read(trustchain.render([Link(FIRST), Link(other)]), "f")


def test_enormous_chain_is_not_read() -> None:
    with pytest.raises(trustchain.BadTrustChain, match="at most"):
        trustchain.read(b"{" * (trustchain.MAX_CHAIN + 1), "f")


def test_signatures_that_a_courier_adds_are_not_kept() -> None:
    """They would fill the site's history until it is too large to read."""
    strangers = [sshsig.sign(SECOND.render(), signer(n), TRUST) for n in range(100, 140)]
    stuffed = replace(GOOD, signatures=(*strangers, *GOOD.signatures))
    assert trustchain.follow(FIRST, [stuffed], NOW, "f") == (GOOD,)
    assert trustchain.pruned(None, [Link(FIRST), stuffed]) == (Link(FIRST), GOOD)
    malformed = replace(GOOD, signatures=(b"garbage", *GOOD.signatures))
    assert trustchain.pruned(FIRST, [malformed]) == (GOOD,)


def test_copies_with_more_signatures_together_than_a_version_may_have() -> None:
    copies = [
        [Link(SECOND, tuple(sshsig.sign(b"%d" % n, signer(9), TRUST) for n in numbers))]
        for numbers in (range(40), range(40, 80))
    ]
    with pytest.raises(trustchain.BadTrustChain, match="over 64"):
        trustchain.merge(copies, "f")


def test_same_signature_twice_in_a_file() -> None:
    double = replace(GOOD, signatures=GOOD.signatures * 2)
    with pytest.raises(trustchain.BadTrustChain, match="twice"):
        trustchain.read(double.render(), "f")


def test_too_many_signatures() -> None:
    many = tuple(sshsig.sign(b"%d" % n, signer(1), TRUST) for n in range(65))
    with pytest.raises(trustchain.BadTrustChain, match="over 64"):
        trustchain.read(replace(GOOD, signatures=many).render(), "f")


@pytest.mark.parametrize("length", range(0, len(DATA), 7))
def test_truncated_chain(length: int) -> None:
    """What is left is refused, or a shorter chain whose end lacks signatures."""
    try:
        found = trustchain.read(DATA[:length], "f")
    except GooseError:
        return
    assert trustchain.render(found) == DATA[:length]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_in_our_words(data: bytes) -> None:
    with pytest.raises(GooseError):
        trustchain.read(data, "f")
    with pytest.raises(GooseError):
        trustchain.read(DATA + b"\n" + data, "f")


@given(st.integers(0, len(DATA) - 1), st.binary(max_size=8), st.integers(0, 8))
def test_spliced_chain_is_refused_or_means_what_it_says(at: int, piece: bytes, drop: int) -> None:
    spliced = DATA[:at] + piece + DATA[at + drop :]
    try:
        found = trustchain.read(spliced, "f")
    except GooseError:
        return
    assert trustchain.render(found) == spliced


@given(st.integers(0, len(DATA) - 1), st.integers(0, 7))
def test_flipped_bit_never_leads_to_another_root(at: int, bit: int) -> None:
    changed = bytearray(DATA)
    changed[at] ^= 1 << bit
    try:
        links = trustchain.follow(FIRST, trustchain.read(bytes(changed), "f"), NOW, "f")
    except GooseError:
        return
    assert [link.root for link in links] == [SECOND, THIRD]


def names_of(links: Sequence[Link]) -> list[int]:
    return [link.root.version for link in links]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_any_part_of_a_chain_leads_from_where_it_is_to_its_end(
    first: int, last: int, in_force: int
) -> None:
    part = CHAIN[first - 1 : last]
    root = CHAIN[in_force - 1].root
    if not part:
        return
    try:
        found = names_of(trustchain.follow(root, part, NOW, "f"))
    except trustchain.TrustRollback:
        assert part[-1].root.version < in_force
    except trustchain.MissingTrustVersion:
        assert part[0].root.version > in_force + 1
    else:
        assert found == list(range(in_force + 1, part[-1].root.version + 1))
