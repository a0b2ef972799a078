"""Our verdict and that of ssh-keygen, over every key, namespace and moment that makes a difference.

``trust export`` gives a courier or an auditor an allowed_signers file; what ssh-keygen says with it
must be what a site says.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundles.errors import GooseError
from bundles.signing import sshsig
from bundles.signing.sshsig import BUNDLE, INSTALL, NAMESPACES, RECEIPT, TRUST, VOLUMES
from bundles.signing.trust import TrustedSigner, TrustRoot
from tests.bundles.signing import MESSAGE, Token, signer, ssh_verify

FROM, LAST, UNTIL = "2026-11-01T00:00:00Z", "2026-11-30T23:59:58Z", "2026-11-30T23:59:59Z"
START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MOMENTS = [
    *(START - SECOND, START, START + SECOND, END - SECOND, END, END + SECOND),
    *(datetime(1971, 1, 1, tzinfo=UTC), datetime(2999, 12, 31, tzinfo=UTC)),
]
KEYS: dict[str, sshsig.Signer] = {
    "after": signer(1),
    "before": signer(2),
    "between": signer(3),
    "ever": signer(4),
    "moment": signer(5),
    "token": Token(Ed25519PrivateKey.from_private_bytes(bytes(32))),
    "stranger": signer(9),
}
ROOT = TrustRoot(
    1,
    1,
    (
        TrustedSigner("after", signer(1).public, (BUNDLE,), valid_after=FROM),
        TrustedSigner("before", signer(2).public, (TRUST, VOLUMES), valid_before=UNTIL),
        TrustedSigner("between", signer(3).public, NAMESPACES, FROM, UNTIL),
        TrustedSigner("ever", signer(4).public),
        TrustedSigner("moment", signer(5).public, (INSTALL, RECEIPT), LAST, UNTIL),
        TrustedSigner("token", KEYS["token"].public, (BUNDLE, RECEIPT), valid_before=UNTIL),
    ),
)
SIGNATURES = {
    (name, namespace): sshsig.sign(MESSAGE, key, namespace)
    for (name, key), namespace in itertools.product(KEYS.items(), NAMESPACES)
}


def ours(name: str, made_for: str, wanted: str, at: datetime) -> bool:
    try:
        counted = ROOT.authorise(MESSAGE, [SIGNATURES[name, made_for]], wanted, at)
    except GooseError:
        return False
    return [one.name for one in counted] == [name]


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("name", KEYS)
def test_same_verdict_at_every_moment(tmp_path: Path, name: str, namespace: str) -> None:
    armored, allowed = SIGNATURES[name, namespace], ROOT.allowed_signers()
    for at in MOMENTS:
        option = f"verify-time={at:%Y%m%d%H%M%SZ}"
        theirs = ssh_verify(tmp_path, allowed, name, armored, namespace, "-O", option)
        assert ours(name, namespace, namespace, at) == theirs, at


@pytest.mark.parametrize(("made_for", "wanted"), list(itertools.permutations(NAMESPACES, 2)))
def test_same_verdict_on_a_signature_of_another_kind(
    tmp_path: Path, made_for: str, wanted: str
) -> None:
    option = f"verify-time={START:%Y%m%d%H%M%SZ}"
    armored, allowed = SIGNATURES["between", made_for], ROOT.allowed_signers()
    assert not ssh_verify(tmp_path, allowed, "between", armored, wanted, "-O", option)
    assert not ours("between", made_for, wanted, START)


def test_same_verdict_under_another_name(tmp_path: Path) -> None:
    """To ssh-keygen the name is part of the question; a key under another's name is refused."""
    allowed = ROOT.allowed_signers()
    assert ssh_verify(tmp_path, allowed, "ever", SIGNATURES["ever", BUNDLE], BUNDLE)
    assert not ssh_verify(tmp_path, allowed, "after", SIGNATURES["ever", BUNDLE], BUNDLE)


def test_the_matrix_has_both_verdicts() -> None:
    """Else two readers that refuse everything would agree."""
    found = {
        (name, verdict)
        for name, namespace, at in itertools.product(KEYS, NAMESPACES, MOMENTS)
        if (verdict := ours(name, namespace, namespace, at)) or True
    }
    assert found == set(itertools.product(KEYS, (True, False))) - {("stranger", True)}
