"""The site's own certification authority: small, name-constrained, kept in files.

A sealed site has no public authority to ask, and no name that one would vouch for. The authority
here may vouch for the site's names and addresses alone (RFC 5280, section 4.2.1.10, critical), so
whoever installs its certificate does not let the site speak for the rest of the world.

Everything is X.509 and PEM, for openssl to read: `ca.crt`, `ca.key`, and for each name
`issued/NAME.crt` and `issued/NAME.key`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bundles.files import keyfile
from bundles.files.durable import create_files, replace_file
from goosed_daemon.pki.certificate import Certificate, described
from goosed_daemon.pki.certificate import load as load_certificate
from goosed_daemon.pki.errors import AuthorityExists, BadName, NoAuthority, PkiError
from goosed_daemon.pki.names import Address, Permitted

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=397)  # what clients still take (CA/Browser Forum, BR 6.3.2)
SLACK = timedelta(minutes=5)  # before now: clocks of a sealed site differ


class Authority:
    """A certification authority in a folder, loaded with its key."""

    def __init__(self, folder: Path, certificate: x509.Certificate) -> None:
        self._folder = folder
        self._certificate = certificate

    @property
    def permitted(self) -> Permitted:
        """What it may vouch for."""
        constraints = self._certificate.extensions.get_extension_for_class(x509.NameConstraints)
        subtrees = constraints.value.permitted_subtrees or []
        return Permitted(
            tuple(t.value for t in subtrees if isinstance(t, x509.DNSName)),
            tuple(ip_network(t.value) for t in subtrees if isinstance(t, x509.IPAddress)),
        )

    def issue(
        self,
        name: str,
        names: Sequence[str | Address],
        now: datetime,
        *,
        life: timedelta = LEAF_LIFE,
        client: bool = False,
        renew: bool = False,
    ) -> Certificate:
        """A new key and a certificate for `names`, in files called `name`. With `renew` they take
        the place of those that are there, the key first.

        Raises `BadName`, `PkiError`, `KeyExists` or `KeyNotWritten`.
        """
        self._check_names(names)
        signing = _load_key(self._folder / "ca.key")
        key = ec.generate_private_key(ec.SECP256R1())
        end = min(now + life, self._certificate.not_valid_after_utc)
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        certificate = (
            _builder(name, self._certificate.subject, key.public_key(), now, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName(list(map(_general, names))), critical=False)
            .sign(signing, hashes.SHA256())
        )
        private = self._folder / "issued" / f"{name}.key"
        public = private.with_suffix(".crt")
        chain = _pem(certificate) + _pem(self._certificate)
        if renew and public.exists():
            replace_file(private, _secret(key), mode=0o600)
            replace_file(public, chain)
        else:
            keyfile.write_pair(private, _secret(key), public, chain)
        return described(public, certificate)

    def show(self) -> Certificate:
        """The authority itself."""
        return described(self._folder / "ca.crt", self._certificate)

    def issued(self) -> Iterator[Certificate]:
        """What it issued, by name."""
        for path in sorted((self._folder / "issued").glob("*.crt")):
            yield described(path, load_certificate(path))

    def _check_names(self, names: Sequence[str | Address]) -> None:
        if not names:
            raise BadName("a certificate needs a name", hint="give --dns or --ip")
        permitted = self.permitted
        for name in names:
            if not permitted.allows(name):
                raise BadName(
                    f"this authority may not vouch for {name}: every client would refuse it",
                    hint=f"it may for {permitted}",
                )


def init(folder: Path, name: str, permitted: Permitted, now: datetime) -> Authority:
    """A new authority in `folder`. Raises `AuthorityExists`, `BadName` or `KeyNotWritten`."""
    if not permitted.domains and not permitted.networks:
        raise BadName("an authority for everything is none to trust", hint="give --permit")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    subtrees: list[x509.GeneralName] = [x509.DNSName(domain) for domain in permitted.domains]
    subtrees += [x509.IPAddress(network) for network in permitted.networks]
    # Of what kind no subtree is named, all is permitted: so no address, or no name, is excluded.
    excluded: list[x509.GeneralName] = []
    if not permitted.networks:
        excluded = [x509.IPAddress(ip_network(every)) for every in ("0.0.0.0/0", "::/0")]
    if not permitted.domains:
        excluded = [x509.DNSName("")]
    certificate = (
        _builder(name, subject, key.public_key(), now, now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.NameConstraints(subtrees, excluded or None),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "issued").mkdir(exist_ok=True)
        private, public = folder / "ca.key", folder / "ca.crt"
        create_files({private: (_secret(key), 0o600), public: (_pem(certificate), 0o644)})
    except FileExistsError as error:
        raise AuthorityExists(f"{error.filename} is already there") from error
    except OSError as error:
        raise PkiError(
            f"{folder}: {error.strerror}", hint="mend the folder or its permissions"
        ) from error
    return Authority(folder, certificate)


def load(folder: Path) -> Authority:
    """The authority in `folder`. Raises `NoAuthority` or `PkiError`."""
    path = folder / "ca.crt"
    if not path.exists():
        raise NoAuthority(f"{folder} holds no certification authority")
    return Authority(folder, load_certificate(path))


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLACK)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str | Address) -> x509.GeneralName:
    return x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _secret(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Raises `BadKey`, `KeyExposed` or `PkiError`."""
    try:
        key = serialization.load_pem_private_key(keyfile.read_secret(path), None)
    except (ValueError, TypeError) as error:
        raise PkiError(f"{path} is not a private key", hint="restore it from a backup") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError(f"{path} is not an EC key", hint="restore it from a backup")
    return key
