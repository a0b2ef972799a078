"""Refusals of an S3 service, each by its name, with a next step and without a secret."""

from __future__ import annotations

import io
import ssl
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import minio.time
import pytest
from minio import Minio

from bundles import digest as digests
from bundles.store import S3Address
from bundles.store.errors import StoreError, StoreFull
from bundles.store.s3 import errors
from bundles.store.s3.retry import Retry
from bundles.store.s3.store import S3Store
from bundles.store.s3.wire import Wire
from tests import s3_server
from tests.bundles.content import noise
from tests.bundles.making import Workshop
from tests.bundles.test_s3_parts import begin_large
from tests.bundles.test_store_conformance import ROOT, put
from tests.s3_server import SECRET, S3Server

MIB = 1024 * 1024
SHORT = Retry(patience=1)


def refusal(address: S3Address) -> StoreError:
    found = []
    for look in (
        lambda: S3Store(address, SHORT).refs(),
        lambda: S3Store(address, SHORT).refs_token(),
        lambda: S3Store(address, SHORT, SHORT).ingest(ROOT),
    ):
        with pytest.raises(StoreError) as caught:
            look()
        assert SECRET not in caught.value.message + caught.value.hint + repr(caught.value.details)
        assert caught.value.hint
        found.append(caught.value)
    assert len({type(error) for error in found}) == 1
    return found[0]


@pytest.mark.parametrize("region", [None, s3_server.REGION])
def test_a_wrong_secret_is_refused(address: S3Address, region: str | None) -> None:
    error = refusal(replace(address, secret_key="another-secret-entirely", region=region))
    assert type(error) is errors.StoreKeyRefused
    assert "another-secret" not in error.message


@pytest.mark.parametrize("region", [None, s3_server.REGION])
def test_an_unknown_key_is_refused(address: S3Address, region: str | None) -> None:
    found = S3Store(replace(address, access_key="nobody", region=region), SHORT)
    with pytest.raises(errors.StoreKeyRefused):
        found.refs()
    with pytest.raises(StoreError):
        found.ingest(ROOT)


def test_a_missing_bucket_is_named(address: S3Address) -> None:
    error = refusal(replace(address, bucket="not-there"))
    assert type(error) is errors.BucketMissing
    assert "not-there" in error.message


def test_a_wrong_region_is_named(address: S3Address) -> None:
    error = refusal(replace(address, region="eu-west-1"))
    assert type(error) is errors.StoreRegion
    assert "eu-west-1" in error.message


@pytest.mark.parametrize("endpoint", ["127.0.0.1:1", "no-such-host.invalid"])
def test_a_service_that_is_not_there_is_told_soon(address: S3Address, endpoint: str) -> None:
    began = time.monotonic()
    with pytest.raises(errors.StoreUnreachable, match=endpoint):
        S3Store(replace(address, endpoint=endpoint)).refs()
    assert time.monotonic() - began < 10


def test_a_service_that_is_no_s3_is_told(address: S3Address) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>welcome</html>")

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(StoreError):
                S3Store(replace(address, endpoint=f"127.0.0.1:{server.server_port}")).refs()
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wrong_clock_is_told(
    address: S3Address, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    now = minio.time.utcnow
    monkeypatch.setattr(minio.time, "utcnow", lambda: now() + timedelta(hours=hours))
    error = refusal(address)
    assert type(error) is errors.StoreClock
    assert f"{datetime.now(UTC):%Y-%m-%d}" in error.message


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of its own authority for 127.0.0.1, and its key."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def test_tls_holds_or_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known, other = certificate(tmp_path, "known"), certificate(tmp_path, "other")
    server = S3Server(tmp_path / "server", known)
    server.start()
    try:
        monkeypatch.setenv("SSL_CERT_FILE", str(known[0]))
        trusting = ssl.create_default_context(cafile=str(known[0]))
        assert trusting.get_ca_certs()
        import urllib3

        pool = urllib3.PoolManager(ssl_context=trusting)
        plain = Minio(server.endpoint, s3_server.ACCESS, SECRET, secure=True, http_client=pool)
        plain.make_bucket("goose")
        address = S3Address(server.endpoint, "goose", s3_server.ACCESS, SECRET)
        store = S3Store(address, SHORT, SHORT)
        (digest,) = put(store, b"over TLS")
        assert store.read(digest, 100) == b"over TLS"
        with store.ingest(ROOT) as ingest, ingest.create(digests.of(noise("l", 40 * MIB))) as blob:
            blob.write(noise("l", 40 * MIB))

        monkeypatch.setenv("SSL_CERT_FILE", str(other[0]))
        error = refusal(address)
        assert type(error) is errors.StoreTls
        assert "SSL_CERT_FILE" in error.hint
        with pytest.raises(StoreError):
            S3Store(replace(address, secure=False), SHORT).refs()
    finally:
        server.kill()


def test_a_service_without_tls_is_told(address: S3Address) -> None:
    error = refusal(replace(address, secure=True))
    assert type(error) is errors.StoreTls
    assert "speaks none" in error.message


def test_a_full_service_is_told(wire: Wire) -> None:
    from minio.error import S3Error
    from urllib3 import HTTPResponse

    for code, status in (("QuotaExceeded", 400), ("XMinioStorageFull", 507)):
        answer = HTTPResponse(status=status)
        error = S3Error(answer, code, "full", "/x", "1", "1")
        assert not errors.passing(error)
        assert type(errors.translated(error, "s3://x", "y")) is StoreFull


def test_a_quota_is_a_preflight(address: S3Address, client: Minio, tmp_path: Path) -> None:
    """What the bucket holds counts, the parts of an unfinished upload too."""
    shop = Workshop(tmp_path)
    media = shop.build()
    store = S3Store(replace(address, quota=700_000))
    assert store.free() == 700_000
    assert S3Store(address).free() is None
    client.put_object(
        address.bucket, "blobs/sha256/" + "0" * 64, io.BytesIO(bytes(300_000)), 300_000
    )
    assert store.free() == 400_000
    shop.store = store  # type: ignore[assignment]
    with pytest.raises(StoreFull, match=r"needs \d+ bytes, \d+ are free"):
        shop.import_(*media)
    assert len(list(store.blobs())) == 1
    shop.store = S3Store(replace(address, quota=2_000_000))  # type: ignore[assignment]
    assert shop.import_(*media).state == "complete"
    begin_large(address, noise("large", 17 * MIB), digests.of(b"?"))
    left = S3Store(replace(address, quota=17 * MIB)).free()
    assert left is not None and left < MIB  # one part came
