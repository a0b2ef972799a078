"""The site's certificates, as openssl judges them."""

from __future__ import annotations

import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from socket import create_connection, create_server

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bundles.files.keyfile import KeyExists, KeyExposed
from goosed_daemon import pki
from tests.parts import part

NOW = datetime.now(UTC).replace(microsecond=0)
DOMAIN, NETWORK = "site-a.example", "10.0.0.0/8"


@pytest.fixture
def authority(tmp_path: Path) -> pki.Authority:
    return pki.init(tmp_path / "pki", "Site A", pki.permitted([DOMAIN, NETWORK]), NOW)


def openssl(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([part("openssl"), *map(str, words)], capture_output=True, text=True)


def accepts(folder: Path, certificate: Path, *more: str) -> bool:
    """Whether openssl takes `certificate` with nothing but the authority trusted."""
    trusted = ("-no-CApath", "-no-CAstore", "-CAfile", folder / "ca.crt")
    return openssl("verify", "-x509_strict", *trusted, *more, certificate).returncode == 0


def forged(folder: Path, *names: x509.GeneralName) -> Path:
    """A certificate signed with the stolen key of the authority, for any names."""
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    own = ec.generate_private_key(ec.SECP256R1()).public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(own)
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "forged.crt"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


def test_what_is_issued_is_accepted(authority: pki.Authority, tmp_path: Path) -> None:
    names = ["goose.site-a.example", DOMAIN, ip_address("10.1.2.3")]
    made = authority.issue("goosed", names, NOW)
    folder = tmp_path / "pki"
    for check in (
        ("-verify_hostname", "goose.site-a.example"),
        ("-verify_ip", "10.1.2.3"),
        ("-purpose", "sslserver"),
    ):
        assert accepts(folder, made.path, *check)
    assert not accepts(folder, made.path, "-verify_hostname", "other.site-a.example")
    assert not accepts(folder, made.path, "-purpose", "sslclient")
    client = authority.issue("agent", [DOMAIN], NOW, client=True)
    assert accepts(folder, client.path, "-purpose", "sslclient")


@pytest.mark.parametrize(
    ("permitted", "names"),
    [
        ([DOMAIN, NETWORK], [x509.DNSName("bank.example")]),
        ([DOMAIN, NETWORK], [x509.DNSName("evilsite-a.example")]),
        ([DOMAIN, NETWORK], [x509.DNSName(DOMAIN), x509.DNSName("bank.example")]),
        ([DOMAIN, NETWORK], [x509.IPAddress(ip_address("192.0.2.1"))]),
        ([DOMAIN, NETWORK], [x509.IPAddress(ip_address("2001:db8::1"))]),
        ([DOMAIN], [x509.IPAddress(ip_address("10.0.0.1"))]),
        ([DOMAIN], [x509.IPAddress(ip_address("2001:db8::1"))]),
        ([NETWORK], [x509.DNSName(DOMAIN)]),
    ],
)
def test_a_stolen_authority_cannot_speak_for_others(
    tmp_path: Path, permitted: list[str], names: list[x509.GeneralName]
) -> None:
    folder = tmp_path / "pki"
    pki.init(folder, "Site A", pki.permitted(permitted), NOW)
    assert not accepts(folder, forged(folder, *names))


@pytest.mark.parametrize("permitted", [[DOMAIN], [NETWORK], [DOMAIN, NETWORK]])
def test_and_can_for_its_own(tmp_path: Path, permitted: list[str]) -> None:
    """What the test before refuses, it refuses for the name alone."""
    folder = tmp_path / "pki"
    pki.init(folder, "Site A", pki.permitted(permitted), NOW)
    own = [x509.DNSName(f"a.{DOMAIN}")] if DOMAIN in permitted else []
    own += [x509.IPAddress(ip_address("10.9.9.9"))] if NETWORK in permitted else []
    assert accepts(folder, forged(folder, *own))


@pytest.mark.parametrize("name", ["bank.example", "evilsite-a.example", ip_address("192.0.2.1")])
def test_what_clients_would_refuse_is_not_issued(authority: pki.Authority, name: str) -> None:
    with pytest.raises(pki.BadName, match="every client would refuse it") as refusal:
        authority.issue("goosed", [name], NOW)
    assert DOMAIN in refusal.value.hint


def test_what_is_issued_serves_tls(authority: pki.Authority, tmp_path: Path) -> None:
    made = authority.issue("goosed", ["goose.site-a.example"], NOW)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(made.path, made.path.with_suffix(".key"))
    asking = ssl.create_default_context(cafile=str(tmp_path / "pki" / "ca.crt"))
    with create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with serving.wrap_socket(connection, server_side=True) as served:
                served.sendall(b"goose")

        thread = threading.Thread(target=answer)
        thread.start()
        with (
            create_connection(listener.getsockname(), 10) as raw,
            asking.wrap_socket(raw, server_hostname="goose.site-a.example") as connection,
        ):
            assert connection.recv(5) == b"goose"
        thread.join()


def test_no_certificate_outlives_its_authority(authority: pki.Authority) -> None:
    made = authority.issue("goosed", [DOMAIN], NOW, life=timedelta(days=36_500))
    assert made.not_after == authority.show().not_after


def test_a_second_authority_is_refused_and_the_first_stays(
    authority: pki.Authority, tmp_path: Path
) -> None:
    before = (tmp_path / "pki" / "ca.key").read_bytes()
    with pytest.raises(pki.AuthorityExists):
        pki.init(tmp_path / "pki", "Other", pki.permitted([DOMAIN]), NOW)
    assert (tmp_path / "pki" / "ca.key").read_bytes() == before


def test_one_is_renewed_only_when_asked(authority: pki.Authority, tmp_path: Path) -> None:
    made = authority.issue("goosed", [DOMAIN], NOW)
    key = made.path.with_suffix(".key")
    before = key.read_bytes()
    with pytest.raises(KeyExists):
        authority.issue("goosed", [DOMAIN], NOW)
    assert key.read_bytes() == before
    again = authority.issue("goosed", [DOMAIN], NOW, renew=True)
    assert again.fingerprint != made.fingerprint and key.read_bytes() != before
    assert key.stat().st_mode & 0o777 == 0o600
    assert accepts(tmp_path / "pki", again.path)
    assert [one.name for one in pki.load(tmp_path / "pki").issued()] == ["goosed"]


def test_a_key_that_others_can_read_signs_nothing(authority: pki.Authority, tmp_path: Path) -> None:
    (tmp_path / "pki" / "ca.key").chmod(0o644)
    with pytest.raises(KeyExposed):
        authority.issue("goosed", [DOMAIN], NOW)


def test_a_site_without_an_authority(tmp_path: Path) -> None:
    with pytest.raises(pki.NoAuthority, match="holds no certification authority"):
        pki.load(tmp_path / "pki")
    with pytest.raises(pki.BadName, match="for everything"):
        pki.init(tmp_path / "pki", "Site A", pki.permitted([]), NOW)


@pytest.mark.parametrize("text", ["", "a..b", "-a", "a_b", "10.0.0.0/33", "10.0.0.1/8", "*.a"])
def test_what_nothing_can_be_permitted_for(text: str) -> None:
    with pytest.raises(pki.BadName):
        pki.permitted([text])


@pytest.mark.parametrize("file", ["ca.crt", "ca.key"])
def test_a_damaged_file_is_named(authority: pki.Authority, tmp_path: Path, file: str) -> None:
    (tmp_path / "pki" / file).write_bytes(b"-----BEGIN nothing\n")
    with pytest.raises(pki.PkiError, match=file):
        pki.load(tmp_path / "pki").issue("goosed", [DOMAIN], NOW)
