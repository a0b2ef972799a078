"""The ramdisk that brings the authority, unpacked over what installers have, and believed by the
tools that they use."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from goosed_daemon import ca_image, pki
from tests.parts import part

NOW = datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> bytes:
    made = pki.init(tmp_path / "pki", "Site  A  CA", pki.permitted(["10.0.0.0/8"]), NOW)
    made.issue("goosed", [pki.address("10.0.0.1")], NOW)
    return (tmp_path / "pki" / "ca.crt").read_bytes()


def unpacked(folder: Path, image: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    subprocess.run([part("cpio"), "-idu", "--quiet"], input=image, cwd=folder, check=True)
    return folder


def believes(folder: Path, *trust: object) -> bool:
    """Whether openssl believes the daemon's certificate by what the ramdisk holds alone."""
    certificate = folder.parent / "pki" / "issued" / "goosed.crt"
    alone = ["-no-CAfile", "-no-CApath", "-no-CAstore"]
    if "-CAfile" in trust:
        alone.remove("-no-CAfile")
    else:
        alone.remove("-no-CApath")
    command = [part("openssl"), "verify", *alone, *map(str, trust), certificate]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("release", ["rhel8", "rhel9", "rhel10"])
def test_curl_of_a_rhel_ramdisk_finds_the_authority(
    authority: bytes, tmp_path: Path, release: str
) -> None:
    # As dracut installs it: the name that curl reads is a link to the extracted bundle.
    root = tmp_path / "root"
    bundle = root / "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
    bundle.parent.mkdir(parents=True)
    bundle.write_text("public authorities\n")
    link = root / "etc/pki/tls/certs/ca-bundle.crt"
    link.parent.mkdir(parents=True)
    link.symlink_to("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem")
    unpacked(root, ca_image.image(release, authority))
    for read in (link, bundle):
        assert not read.is_symlink()
        assert believes(root, "-CAfile", read)
    assert (root / "etc/pki/ca-trust/source/anchors/goose-site-ca.crt").read_bytes() == authority


@pytest.mark.parametrize("release", ["debian12", "debian13"])
def test_wget_of_the_debian_installer_finds_the_authority(
    authority: bytes, tmp_path: Path, release: str
) -> None:
    root = unpacked(tmp_path / "root", ca_image.image(release, authority))
    assert believes(root, "-CAfile", root / "usr/lib/ssl/cert.pem")
    assert believes(root, "-CApath", root / "etc/ssl/certs")


def test_the_debian_hook_hands_the_authority_to_the_new_system(
    authority: bytes, tmp_path: Path
) -> None:
    root = unpacked(tmp_path / "root", ca_image.image("debian12", authority))
    hook = root / "usr/lib/base-installer.d/05goose-site-ca"
    assert hook.stat().st_mode & 0o777 == 0o755
    # The same script, with the roots of installer and target moved into the test's folder.
    text = hook.read_text().replace("/target", f"{tmp_path}/target")
    text = text.replace("in /usr/local", f"in {root}/usr/local")
    subprocess.run(["sh", "-c", text], check=True)
    target = tmp_path / "target"
    assert (target / "etc/ssl/certs/ca-certificates.crt").read_bytes() == authority
    kept = target / "usr/local/share/ca-certificates/goose-site-ca.crt"
    assert kept.read_bytes() == authority


def test_several_authorities_are_all_believed(authority: bytes, tmp_path: Path) -> None:
    # Of the same name: OpenSSL tells them apart by a number behind the hash.
    other = pki.init(tmp_path / "other", "Site  A  CA", pki.permitted(["10.0.0.0/8"]), NOW)
    both = other.show().path.read_bytes() + b"# a remark\n" + authority
    root = unpacked(tmp_path / "root", ca_image.image("debian12", both))
    assert believes(root, "-CApath", root / "etc/ssl/certs")
    hashed = [path.name for path in (root / "etc/ssl/certs").iterdir()]
    assert sorted(name.rpartition(".")[2] for name in hashed) == ["0", "1"]
    rhel = unpacked(tmp_path / "rhel", ca_image.image("rhel9", both))
    assert believes(rhel, "-CAfile", rhel / "etc/pki/tls/certs/ca-bundle.crt")


@pytest.mark.parametrize(
    "attributes",
    [
        [(NameOID.COMMON_NAME, "Goose site CA")],
        [(NameOID.COMMON_NAME, "  Goose \t SITE   ca  ")],
        [(NameOID.COMMON_NAME, "G\u00e4nse \u00c4 CA")],
        [
            (NameOID.COUNTRY_NAME, "DE"),
            (NameOID.ORGANIZATION_NAME, "O" * 60 + " " + "o" * 60),
            (NameOID.DOMAIN_COMPONENT, "Example"),
            (NameOID.EMAIL_ADDRESS, "Root@Example.ORG"),
        ],
    ],
)
def test_the_hash_of_a_name_is_that_of_openssl(
    tmp_path: Path, attributes: list[tuple[x509.ObjectIdentifier, str]]
) -> None:
    name = x509.Name([x509.NameAttribute(oid, text, _validate=False) for oid, text in attributes])
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(NOW).not_valid_after(NOW.replace(year=NOW.year + 1, day=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path / "x.crt"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    command = [part("openssl"), "x509", "-noout", "-subject_hash", "-in", path]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    read = x509.load_pem_x509_certificate(path.read_bytes())
    assert f"{ca_image.subject_hash(read.subject):08x}" == told


def test_the_ramdisk_is_the_same_whenever_it_is_made(authority: bytes) -> None:
    assert ca_image.image("rhel9", authority) == ca_image.image("rhel9", authority)


def test_what_is_no_certificate_and_no_release_is_refused(authority: bytes) -> None:
    with pytest.raises(ValueError, match="ramdisk for 'plan9'"):
        ca_image.image("plan9", authority)
    with pytest.raises(ValueError, match="PEM"):
        ca_image.image("rhel9", b"nothing")
