"""Install receipts: the one form, who is believed, and what they are compared with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.errors import GooseError
from bundles.format import canonical
from bundles.signing import sshsig
from bundles.site import install_receipt, install_trust
from bundles.site.install_receipt import Artifact, BadInstallReceipt, InstallReceipt, Origin
from bundles.site.install_trust import (
    OtherContent,
    ReceiptOfAnotherInstallation,
    ReceiptOfAnotherMachine,
    UnknownInstallKey,
)
from tests.bundles.signing import signer, ssh_verify

SITE, STRANGER = signer(1), signer(2)


def digest(digit: str) -> str:
    return "sha256:" + digit * 64


RECEIPT = InstallReceipt(
    Origin(
        site="site-a",
        mac="52:54:00:12:34:56",
        machine="web1",
        installer="kickstart",
        rendered=digest("1"),
        profile="rhel9-base",
        profile_digest=digest("2"),
        bundle="site-base",
        version="2026.11.1",
        sequence=7,
        statement=digest("3"),
        root=digest("4"),
        imported="2026-11-24T11:00:00Z",
        artifacts=(
            Artifact("rhel9/images/initrd.img", digest("5"), 8),
            Artifact("rhel9/images/vmlinuz", digest("6"), 9),
        ),
        token="6f1c2a34-0000-4000-8000-000000000001",
        issued="2026-11-24T12:00:00Z",
        issued_to="192.0.2.7",
        used="2026-11-24T12:01:00Z",
        used_by="192.0.2.7",
        event=42,
    ),
    workflow="6f1c2a34-0000-4000-8000-000000000002",
    attempt=1,
    armed="2026-11-24T11:59:00Z",
    ready="2026-11-24T12:20:00Z",
    goose="1.0.0",
)
DATA = RECEIPT.encode()
FILES = {artifact.path: artifact.digest for artifact in RECEIPT.origin.artifacts}


def signed(data: bytes = DATA, by: sshsig.Signer = SITE, namespace: str = sshsig.MACHINE) -> bytes:
    return sshsig.sign(data, by, namespace)


def believed(data: bytes, armored: bytes) -> InstallReceipt:
    return install_trust.believe(data, armored, SITE.public, "web1.json")


def test_what_was_written_is_read_again() -> None:
    assert install_receipt.read(DATA, "it") == RECEIPT
    origin = canonical.dumps(RECEIPT.origin.encode())
    assert install_receipt.read_origin(origin, "it") == RECEIPT.origin


def changed(*path: str | int, to: object) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for step in path[:-1]:
            value = value[step]
        if to is None:
            del value[path[-1]]
        else:
            value[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    {
        "format": (changed("format", to=2), "format is not 1"),
        "field-missing": (changed("rendered", to=None), "missing or unknown: rendered"),
        "field-unknown": (changed("more", to=1), "missing or unknown: more"),
        "part-unknown": (changed("token", "more", to=1), "token has fields missing or unknown"),
        "part-no-object": (changed("token", to=[]), "token is not an object"),
        "mac": (changed("machine", "mac", to="52:54:00:12:34:5G"), "which is no mac"),
        "mac-tail": (changed("machine", "mac", to="52:54:00:12:34:56\n"), "which is no mac"),
        "name": (changed("machine", "name", to="web1 "), "which is no name"),
        "time": (changed("workflow", "ready", to="2026-13-01T00:00:00Z"), "ready is no time"),
        "digest": (changed("profile", "digest", to="sha256:00"), "digest"),
        "token-id": (changed("token", "id", to="x"), "which is no id"),
        "event": (changed("token", "event", to=-1), "event is -1"),
        "issued-to": (changed("token", "issuedTo", to="a\nb"), "which is no issuedTo"),
        "path": (changed("artifacts", 0, "path", to="../etc"), "leaves the bundle's root"),
        "order": (changed("artifacts", 0, "path", to="z"), "not sorted by path"),
        "twice": (changed("artifacts", 0, "path", to="rhel9/images/vmlinuz"), "name one twice"),
        "size": (changed("artifacts", 0, "size", to="8"), "size is '8'"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_receipt(change: Callable[[Any], None], words: str) -> None:
    value = json.loads(DATA)
    change(value)
    with pytest.raises(BadInstallReceipt, match=words):
        install_receipt.read(canonical.dumps(value), "it")


def test_a_receipt_with_another_spelling_is_refused() -> None:
    with pytest.raises(canonical.NotCanonical):
        install_receipt.read(DATA + b"\n", "it")
    with pytest.raises(BadInstallReceipt, match="at most"):
        install_receipt.read(b" " * (install_receipt.MAX_RECEIPT + 1), "it")


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_receipt_altered_anywhere(place: int, flip: int) -> None:
    forged = bytearray(DATA)
    forged[place] ^= flip
    with pytest.raises(sshsig.SignatureInvalid):
        believed(bytes(forged), signed())
    try:
        found = install_receipt.read(bytes(forged), "it")
    except GooseError:
        return
    assert found != RECEIPT and found.encode() == bytes(forged)


@pytest.mark.parametrize("namespace", sshsig.NAMESPACES)
def test_an_install_receipt_signed_in_another_namespace(namespace: str) -> None:
    with pytest.raises(sshsig.WrongNamespace):
        believed(DATA, signed(namespace=namespace))


def test_an_install_receipt_by_another_key_is_not_even_parsed() -> None:
    for data in (DATA, b"[" * 1000):
        with pytest.raises(UnknownInstallKey) as caught:
            believed(data, signed(data, STRANGER))
        assert STRANGER.public.fingerprint in caught.value.message


def test_a_receipt_of_another_machine() -> None:
    found = believed(DATA, signed())
    install_trust.check_machine(found, "52:54:00:12:34:56", "web1.json")
    with pytest.raises(ReceiptOfAnotherMachine, match=r"is of web1, 52:54:00:12:34:56, not of"):
        install_trust.check_machine(found, "52:54:00:12:34:57", "web1.json")


def test_a_receipt_replayed_for_a_later_installation() -> None:
    found, later = believed(DATA, signed()), "6f1c2a34-0000-4000-8000-000000000009"
    install_trust.check_token(found, found.origin.token, "web1.json")
    with pytest.raises(ReceiptOfAnotherInstallation, match="began at 2026-11-24T12:01:00Z"):
        install_trust.check_token(found, later, "web1.json")


@pytest.mark.parametrize("what", ["statement", "root"])
def test_a_bundle_that_the_machine_was_not_built_from(what: str) -> None:
    install_trust.check_content(RECEIPT, digest("3"), digest("4"), FILES, "base")
    other = {"statement": (digest("9"), digest("4")), "root": (digest("3"), digest("9"))}[what]
    with pytest.raises(OtherContent, match=f"base has the {what} {digest('9')}"):
        install_trust.check_content(RECEIPT, *other, FILES, "base")


@pytest.mark.parametrize("held", [None, digest("9")], ids=["missing", "other"])
def test_a_boot_file_that_is_not_the_bundles(held: str | None) -> None:
    files = {path: d for path, d in FILES.items() if not path.endswith("vmlinuz")}
    if held is not None:
        files["rhel9/images/vmlinuz"] = held
    with pytest.raises(OtherContent, match=r"vmlinuz is .* and the receipt names sha256:666"):
        install_trust.check_content(RECEIPT, digest("3"), digest("4"), files, "base")


@pytest.mark.parametrize(
    ("message", "namespace", "taken"),
    [(DATA, sshsig.MACHINE, True), (b"{}", sshsig.MACHINE, False), (DATA, sshsig.RECEIPT, False)],
    ids=["as-it-is", "altered", "another-namespace"],
)
def test_ssh_keygen_judges_as_we_do(
    tmp_path: Path, message: bytes, namespace: str, taken: bool
) -> None:
    allowed = f'site-a namespaces="{sshsig.MACHINE}" {SITE.public.openssh}\n'
    assert ssh_verify(tmp_path, allowed, "site-a", signed(), namespace, message=message) == taken
