"""The certificate that the daemon serves with: loaded, watched, and replaced while it serves.

A new pair takes effect for the next connection, without a restart. A pair that cannot be used
changes nothing: the old one stays, and the log, /readyz and the metrics say so.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from goosed_daemon.errors import CertificateEnded, TlsUnusable

log = logging.getLogger("goosed.tls")

LOOK_EVERY = 5.0  # seconds between two looks at the files
SOON = timedelta(days=30)  # before its end a certificate is worth a warning

# TLS 1.2 with forward secrecy and authenticated encryption only; what TLS 1.3 has is all good.
# WinPE and the iPXE of today speak them.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"

Signature = tuple[tuple[int, int, int], ...]


class ServerTls:
    """The pair in `certificate` and `key`, and the context that serves with it.

    With `client_ca` clients may prove themselves by a certificate of those authorities. Raises
    `TlsUnusable`.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        self._certificate, self._key, self._client_ca = certificate, key, client_ca
        self._seen = self._signature()
        self._failing: Signature | None = None
        self._current, self.not_before, self.not_after = self._load()
        self.problem: TlsUnusable | None = None
        # The server keeps this context. Each connection is handed on to the current one when its
        # first message has been read, by the only way that OpenSSL offers (SSL_set_SSL_CTX).
        self.context = self._current
        self.context.sni_callback = self._hand_on

    def refusal(self, now: datetime) -> CertificateEnded | None:
        """Why no client can believe this certificate at `now`, or None."""
        if now >= self.not_after:
            return CertificateEnded(
                f"the daemon's certificate ended at {self.not_after:%Y-%m-%d %H:%M:%S} UTC"
            )
        if now < self.not_before:
            return CertificateEnded(
                f"the daemon's certificate begins at {self.not_before:%Y-%m-%d %H:%M:%S} UTC only"
            )
        return None

    def look(self) -> bool:
        """Loads the pair if its files changed since the last look, which costs a `stat` each;
        True when another one is served from now on.

        Whoever replaces a pair replaces two files, so that a pair that does not fit is given until
        the next look.
        """
        found = self._signature()
        if found == self._seen:
            return False
        if found != self._failing:
            self._failing = found
            try:
                self._take(found)
            except TlsUnusable:
                return False
            return True
        return self.reload()

    def reload(self) -> bool:
        """Loads the pair now; False, and the old one is kept, when it cannot be used."""
        found = self._signature()
        try:
            self._take(found)
        except TlsUnusable as error:
            self._seen = found
            self.problem = error
            log.error(
                "the new certificate is not used, the old one stays: %s",
                error.message,
                extra={"fields": {"code": error.code, "until": str(self.not_after)}},
            )
            return False
        return True

    def _take(self, found: Signature) -> None:
        loaded, not_before, not_after = self._load()
        self._current, self.not_before, self.not_after = loaded, not_before, not_after
        self._seen, self._failing, self.problem = found, None, None
        log.info("serving with another certificate", extra={"fields": {"until": str(not_after)}})

    def _hand_on(self, connection: ssl.SSLObject, name: str | None, context: object) -> None:
        connection.context = self._current

    def _load(self) -> tuple[ssl.SSLContext, datetime, datetime]:
        leaf = _leaf(self._certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(["http/1.1"])
        try:
            # A passphrase must not be asked for on a terminal that nobody sits at.
            context.load_cert_chain(self._certificate, self._key, _no_passphrase)
        except ssl.SSLError as error:
            why = _WHY.get(error.reason or "", error.reason or str(error))
            raise TlsUnusable(
                f"{self._certificate} and {self._key} cannot be used: {why}"
            ) from error
        except OSError as error:
            raise _unreadable(self._key, error) from error
        if self._client_ca is not None:
            try:
                context.load_verify_locations(self._client_ca)
            except ssl.SSLError as error:
                raise TlsUnusable(f"{self._client_ca} holds no certificate") from error
            except OSError as error:
                raise _unreadable(self._client_ca, error) from error
            context.verify_mode = ssl.CERT_OPTIONAL
        return context, leaf.not_valid_before_utc, leaf.not_valid_after_utc

    def _signature(self) -> Signature:
        """What changes when a file is replaced or written."""
        watched = (self._certificate, self._key, self._client_ca)
        return tuple(_stat(path) for path in watched if path is not None)


class AuthorityFile:
    """The authorities (PEM) in a file, read again when it changes."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._seen: object = None
        self._text: str | None = None

    def pem(self) -> str | None:
        """What the file holds; None where there is none."""
        if self._path is None:
            return None
        found = _stat(self._path)
        if found != self._seen:
            try:
                self._text = self._path.read_text(encoding="ascii")
            except (OSError, UnicodeDecodeError):
                self._text = None
            self._seen = found
        return self._text


def _stat(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _leaf(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError as error:
        raise TlsUnusable(f"there is no certificate {path}") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise TlsUnusable(f"{path} holds no certificate") from error


def _unreadable(path: Path, error: OSError) -> TlsUnusable:
    return TlsUnusable(f"{path} cannot be read: {error.strerror or error}")


class _Encrypted(OSError):
    strerror = "it is encrypted, and the daemon has no passphrase"


def _refuse_passphrase() -> str:
    raise _Encrypted


_no_passphrase: Callable[[], str] = _refuse_passphrase

_WHY = {
    "KEY_VALUES_MISMATCH": "the key is that of another certificate",
    "NO_START_LINE": "one of them is not PEM",
    "KEY_TYPE_MISMATCH": "the key is that of another certificate",
}
