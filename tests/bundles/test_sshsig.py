"""SSH signatures: the same to ssh-keygen and to us, and nothing but the one form of each."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bundles.signing import keys, sshsig
from bundles.signing.sshkey import PublicKey, UnsupportedKey, string
from bundles.signing.sshsig import BUNDLE, NAMESPACES, VOLUMES, SignatureInvalid, SignatureMalformed
from tests.bundles.signing import MESSAGE, Token, signer, ssh_keygen, ssh_verify

ARMORED = sshsig.sign(MESSAGE, signer(1), BUNDLE)
REFUSALS = (SignatureMalformed, SignatureInvalid, UnsupportedKey, sshsig.WrongNamespace)
TOKEN = Token(Ed25519PrivateKey.from_private_bytes(bytes(32)))
OTHER_TOKEN = Token(TOKEN.private, application=b"ssh:release")


def body(armored: bytes = ARMORED) -> bytes:
    return base64.b64decode(b"".join(armored.splitlines()[1:-1]))


def armor(data: bytes) -> bytes:
    """`data` in the armor of ssh-keygen, written anew so that it shares no code with ours."""
    text = base64.b64encode(data).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join(
        ["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""]
    ).encode()


def signature_body(
    *,
    magic: bytes = b"SSHSIG",
    version: int = 1,
    key: bytes = signer(1).public.wire,
    namespace: bytes = BUNDLE.encode(),
    reserved: bytes = b"",
    hashed: bytes = b"sha512",
    value: bytes | None = None,
    tail: bytes = b"",
) -> bytes:
    """The real signature's fields, one of them changed."""
    if value is None:
        value = body()[-(4 + 11 + 4 + 64) :]
    fields = (key, namespace, reserved, hashed, value)
    return magic + version.to_bytes(4, "big") + b"".join(map(string, fields)) + tail


# Both directions with the stock tool


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("who", [signer(1), TOKEN, OTHER_TOKEN], ids=["file", "token", "other"])
def test_ssh_keygen_accepts_ours(tmp_path: Path, who: sshsig.Signer, namespace: str) -> None:
    armored = sshsig.sign(MESSAGE, who, namespace)
    allowed = f"release {who.public.openssh}\n"
    assert ssh_verify(tmp_path, allowed, "release", armored, namespace)
    assert not ssh_verify(tmp_path, allowed, "release", armored, namespace, message=b"another")
    # (tmp_path / "signature") is what ssh_verify left there
    command = ("-Y", "check-novalidate", "-n", namespace, "-s", tmp_path / "signature")
    assert who.public.fingerprint in ssh_keygen(*command, stdin=MESSAGE)


@pytest.mark.parametrize("hashed", ["sha512", "sha256"])
@pytest.mark.parametrize("message", [b"", MESSAGE, bytes(3_000_000)], ids=["empty", "short", "3MB"])
def test_ours_accepts_ssh_keygen(tmp_path: Path, hashed: str, message: bytes) -> None:
    ssh_keygen("-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "k")
    (tmp_path / "m").write_bytes(message)
    options = ("-O", f"hashalg={hashed}")
    ssh_keygen("-Y", "sign", "-f", tmp_path / "k", "-n", BUNDLE, *options, tmp_path / "m")
    public, _ = keys.load_public(tmp_path / "k.pub")
    armored = (tmp_path / "m.sig").read_bytes()
    assert sshsig.parse(armored).hash_algorithm == hashed
    assert sshsig.verify(message, armored, BUNDLE) == public
    with pytest.raises(SignatureInvalid):
        sshsig.verify(message + b"\0", armored, BUNDLE)


def test_a_key_of_ssh_keygen_signs_the_same_bytes_with_either(tmp_path: Path) -> None:
    """Ed25519 is deterministic, so two right implementations cannot differ in a bit."""
    path, public = keys.new_signing(tmp_path, "k")
    (tmp_path / "m").write_bytes(MESSAGE)
    ssh_keygen("-Y", "sign", "-f", path, "-n", VOLUMES, tmp_path / "m")
    ours = sshsig.sign(MESSAGE, keys.load_private(path), VOLUMES)
    assert ours == (tmp_path / "m.sig").read_bytes()
    assert len(ours) == sshsig.signature_length(public, VOLUMES)


@pytest.mark.parametrize("who", [signer(1), TOKEN], ids=["key file", "token"])
@pytest.mark.parametrize("namespace", NAMESPACES)
def test_length_is_known_before_the_message(who: sshsig.Signer, namespace: str) -> None:
    expected = sshsig.signature_length(who.public, namespace)
    assert {len(sshsig.sign(bytes(n), who, namespace)) for n in (0, 1, 10_000)} == {expected}


def test_length_that_the_docs_tell() -> None:
    assert len(ARMORED) == 310


# Attacks


@pytest.mark.parametrize("made_for", NAMESPACES)
@pytest.mark.parametrize("wanted", NAMESPACES)
def test_wrong_namespace_signature(made_for: str, wanted: str) -> None:
    armored = sshsig.sign(MESSAGE, signer(1), made_for)
    if made_for == wanted:
        assert sshsig.verify(MESSAGE, armored, wanted) == signer(1).public
        return
    with pytest.raises(sshsig.WrongNamespace, match=made_for):
        sshsig.verify(MESSAGE, armored, wanted)


def test_relabelled_namespace() -> None:
    """The namespace in the clear is changed to the wanted one; what was signed is not."""
    armored = sshsig.sign(MESSAGE, signer(1), VOLUMES)
    value = body(armored)[-(4 + 11 + 4 + 64) :]
    with pytest.raises(SignatureInvalid):
        sshsig.verify(MESSAGE, armor(signature_body(value=value)), BUNDLE)


def test_signature_of_other_message() -> None:
    with pytest.raises(SignatureInvalid, match=r"SHA256:[\w+/]{43} does not match"):
        sshsig.verify(MESSAGE + b" ", ARMORED, BUNDLE)


def test_substituted_key() -> None:
    """Another key's name on a signature that it did not make."""
    with pytest.raises(SignatureInvalid):
        sshsig.verify(MESSAGE, armor(signature_body(key=signer(2).public.wire)), BUNDLE)


def test_token_signature_without_a_touch() -> None:
    untouched = Token(TOKEN.private, flags=0)
    armored = untouched.sign(MESSAGE, BUNDLE)
    with pytest.raises(SignatureInvalid):
        sshsig.verify(MESSAGE, armored, BUNDLE)


@pytest.mark.parametrize(
    ("flags", "ours"), [(0x01, True), (0x05, True), (0xC5, True), (0x00, False), (0x04, False)]
)
def test_flags_of_a_token(tmp_path: Path, flags: int, ours: bool) -> None:
    """Touched; touched and PIN; with other bits of FIDO2; neither; PIN without a touch. ssh-keygen
    asks for no touch, which is why a site does not leave it to ssh-keygen alone."""
    token = Token(TOKEN.private, flags=flags)
    armored = token.sign(MESSAGE, BUNDLE)
    allowed = f"release {token.public.openssh}\n"
    assert ssh_verify(tmp_path, allowed, "release", armored, BUNDLE)
    if ours:
        assert sshsig.verify(MESSAGE, armored, BUNDLE) == token.public
        return
    with pytest.raises(SignatureInvalid):
        sshsig.verify(MESSAGE, armored, BUNDLE)


def test_flipped_byte_in_a_token_signature() -> None:
    """Flags and counter are under the signature too; so is the application, in the key."""
    armored = TOKEN.sign(MESSAGE, BUNDLE)
    data = body(armored)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 0x02
        with pytest.raises(REFUSALS):
            sshsig.verify(MESSAGE, armor(bytes(changed)), BUNDLE)


def test_token_signature_for_another_application() -> None:
    """The same key pair answering to a web site does not sign bundles."""
    web = Token(TOKEN.private, application=b"https://example.org")
    value = web.public.encode_signature(sshsig.parse(web.sign(MESSAGE, BUNDLE)).value)
    swapped = armor(signature_body(key=TOKEN.public.wire, value=value))
    with pytest.raises(SignatureInvalid):
        sshsig.verify(MESSAGE, swapped, BUNDLE)


def test_a_signer_that_signs_with_another_key() -> None:
    class Confused:
        public = signer(1).public
        sign = staticmethod(signer(2).sign)

    with pytest.raises(SignatureInvalid, match="asked for"):
        sshsig.sign(MESSAGE, Confused(), BUNDLE)


def test_flipped_byte_anywhere() -> None:
    """Every bit of every byte: no change of the armor goes unseen, none means the same."""
    for at in range(len(ARMORED)):
        for bit in range(8):
            changed = bytearray(ARMORED)
            changed[at] ^= 1 << bit
            with pytest.raises(REFUSALS):
                sshsig.verify(MESSAGE, bytes(changed), BUNDLE)


def test_truncated_anywhere() -> None:
    for length in range(len(ARMORED)):
        with pytest.raises(SignatureMalformed):
            sshsig.parse(ARMORED[:length])


def test_truncated_body_in_a_whole_armor() -> None:
    for length in range(len(body())):
        with pytest.raises(SignatureMalformed):
            sshsig.parse(armor(body()[:length]))


RESPELLED: dict[str, Callable[[bytes], bytes]] = {
    "trailing line": lambda a: a + b"\n",
    "trailing data": lambda a: a + b"x",
    "second signature": lambda a: a + a,
    "leading line": lambda a: b"\n" + a,
    "no last newline": lambda a: a[:-1],
    "carriage returns": lambda a: a.replace(b"\n", b"\r\n"),
    "width 76": lambda a: rewrap(a, 76),
    "one line": lambda a: rewrap(a, 10_000),
    "space in base64": lambda a: a.replace(b"U1NI", b"U1N I", 1),
    "header field": lambda a: a.replace(b"-----\n", b"-----\nComment: x\n", 1),
    "empty": lambda a: b"",
    "armor of nothing": lambda a: armor(b""),
}


def rewrap(armored: bytes, width: int) -> bytes:
    first, *lines, last = armored.splitlines()
    text = b"".join(lines)
    wrapped = [text[at : at + width] for at in range(0, len(text), width)]
    return b"\n".join([first, *wrapped, last, b""])


@pytest.mark.parametrize("name", RESPELLED)
def test_another_spelling_of_the_armor(name: str) -> None:
    with pytest.raises(SignatureMalformed):
        sshsig.parse(RESPELLED[name](ARMORED))


def test_enormous_signature_is_not_read() -> None:
    with pytest.raises(SignatureMalformed, match="at most 16384 are read"):
        sshsig.parse(armor(body() + bytes(sshsig.MAX_SIGNATURE)))


BAD_FIELDS: dict[str, dict[str, object]] = {
    "another magic": {"magic": b"SSHSIh"},
    "version 0": {"version": 0},
    "version 2": {"version": 2},
    "reserved field in use": {"reserved": b"x"},
    "empty namespace": {"namespace": b""},
    "namespace with a NUL": {"namespace": b"goose-bundle@v1\0"},
    "namespace not ASCII": {"namespace": b"goose-b\xc3\xbcndle@v1"},
    "sha1": {"hashed": b"sha1"},
    "no hash": {"hashed": b""},
    "trailing byte": {"tail": b"\0"},
    "short key": {"key": string(b"ssh-ed25519") + string(bytes(31))},
    "long key": {"key": string(b"ssh-ed25519") + string(bytes(33))},
    "trailing byte in the key": {"key": signer(1).public.wire + b"\0"},
    "short value": {"value": string(b"ssh-ed25519") + string(bytes(63))},
    "trailing byte in the value": {"value": string(b"ssh-ed25519") + string(bytes(64)) + b"\0"},
    "value of another algorithm": {"value": string(b"rsa-sha2-512") + string(bytes(64))},
    "token's key without its state": {"key": TOKEN.public.wire},
}


def test_the_fields_unchanged_are_the_signature() -> None:
    """Else the vectors below would prove nothing."""
    assert armor(signature_body()) == ARMORED


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_bad_field(name: str) -> None:
    fields: dict[str, object] = BAD_FIELDS[name]
    with pytest.raises(SignatureMalformed):
        sshsig.parse(armor(signature_body(**fields)))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_algorithms_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    ssh_keygen("-q", "-t", kind, "-N", "", "-f", tmp_path / "k")
    (tmp_path / "m").write_bytes(MESSAGE)
    ssh_keygen("-Y", "sign", "-f", tmp_path / "k", "-n", BUNDLE, tmp_path / "m")
    with pytest.raises(UnsupportedKey, match=kind) as caught:
        sshsig.verify(MESSAGE, (tmp_path / "m.sig").read_bytes(), BUNDLE)
    fingerprint = str(caught.value.details["fingerprint"])
    assert fingerprint in ssh_keygen("-lf", tmp_path / "k.pub")


def test_key_that_is_no_point_on_the_curve() -> None:
    wire = PublicKey(b"\x02" + bytes(31)).wire
    with pytest.raises(SignatureInvalid):
        sshsig.verify(MESSAGE, armor(signature_body(key=wire)), BUNDLE)


# Properties


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_in_our_words(data: bytes) -> None:
    with pytest.raises(REFUSALS):
        sshsig.parse(data)
    with pytest.raises(REFUSALS):
        sshsig.parse(armor(data))
    with pytest.raises(REFUSALS):
        sshsig.parse(armor(b"SSHSIG\0\0\0\1" + data))


@given(st.integers(0, len(body()) - 1), st.binary(max_size=8), st.integers(0, 8))
def test_spliced_bodies_are_refused_in_our_words(at: int, piece: bytes, drop: int) -> None:
    spliced = body()[:at] + piece + body()[at + drop :]
    if spliced == body():
        return
    with pytest.raises(REFUSALS):
        sshsig.verify(MESSAGE, armor(spliced), BUNDLE)


@given(st.binary(max_size=2000), st.sampled_from(NAMESPACES), st.integers(0, 255))
def test_round_trip(message: bytes, namespace: str, number: int) -> None:
    who = signer(number)
    armored = sshsig.sign(message, who, namespace)
    parsed = sshsig.parse(armored)
    assert (parsed.key, parsed.namespace) == (who.public, namespace)
    assert sshsig.verify(message, armored, namespace) == who.public
