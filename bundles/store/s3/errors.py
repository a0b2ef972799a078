"""What an S3 server refuses or fails at, in words that say what to do next."""

from __future__ import annotations

import ssl
from email.utils import parsedate_to_datetime
from typing import Any

from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import HTTPError, SSLError

from bundles.store.errors import StoreError, StoreFull

# Codes of answers that another try may better: https://docs.aws.amazon.com/AmazonS3/latest/API/
# ErrorResponses.html; the last two are the answers to a race for the same object.
_PASSING_CODES = {
    "InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "SlowDownRead",
    "SlowDownWrite", "ConditionalRequestConflict", "OperationAborted",
}  # fmt: skip
_PASSING_STATUS = {429, 500, 502, 503, 504}
_FULL = {"QuotaExceeded", "XAdminBucketQuotaExceeded", "XMinioStorageFull", "InsufficientStorage"}
_WRONG_KEY = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "XAdminUserNotFound", "InvalidToken"}
_WRONG_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraint"}


class StoreUnreachable(StoreError):
    """The service behind the store does not answer."""

    code = "store-unreachable"
    default_hint = "check S3_ENDPOINT, S3_SECURE and the network, and that the service runs"


class StoreKeyRefused(StoreError):
    """The service does not know the key, or the secret does not belong to it."""

    code = "store-key-refused"
    default_hint = "check S3_ACCESS_KEY and S3_SECRET_KEY"


class StoreDenied(StoreError):
    """The key may not do what the store needs."""

    code = "store-denied"
    default_hint = "docs/store-s3.md lists the permissions that the key needs on the bucket"


class BucketMissing(StoreError):
    """The bucket does not exist."""

    code = "bucket-missing"
    default_hint = "create it, or check S3_BUCKET: Goose never makes a bucket"


class StoreClock(StoreError):
    """The clocks of this machine and of the service are too far apart to sign requests."""

    code = "store-clock"
    default_hint = "set the clock right on the machine where it is wrong (`timedatectl`)"


class StoreRegion(StoreError):
    """The bucket is in another region."""

    code = "store-region"
    default_hint = "set S3_REGION to the region of the bucket, or leave it out"


class StoreTls(StoreError):
    """The connection to the service cannot be made safe."""

    code = "store-tls"
    default_hint = (
        "name the authority that signed the certificate in SSL_CERT_FILE;"
        " set S3_SECURE=false only if the service speaks no TLS"
    )


def status_of(error: Exception) -> int | None:
    """The HTTP status that an error of the client stands for."""
    if isinstance(error, S3Error):
        return int(error.response.status)
    if isinstance(error, ServerError):
        return int(error.status_code)
    if isinstance(error, InvalidResponseError):
        return int(error._code)  # the client tells it in no other way
    return None


def passing(error: Exception) -> bool:
    """Whether the same request may succeed when it is made again."""
    if isinstance(error, S3Error) and error.code in _PASSING_CODES:
        return True
    status = status_of(error)
    if status is not None:
        return status in _PASSING_STATUS
    return isinstance(error, (HTTPError, OSError)) and _tls(error) is None


def translated(error: Exception, where: str, what: str) -> StoreError:
    """The store's error for one of the client's. `where` names the store, `what` the object."""
    if isinstance(error, StoreError):
        return error
    said = f"{where}: {what}"
    status = status_of(error)
    if isinstance(error, S3Error):
        return _refused(error, said, where)
    if status is not None:
        if status == 507:
            return StoreFull(f"{said}: the service has no space left")
        return StoreUnreachable(f"{said}: the answer, HTTP {status}, is not that of an S3 service")
    if (why := _tls(error)) is not None:
        return StoreTls(f"{said}: no TLS: {why}")
    if isinstance(error, (HTTPError, OSError)):
        return StoreUnreachable(f"{said}: {_reason(error)}")
    return StoreError(f"{said}: {error}")


def _refused(error: S3Error, said: str, where: str) -> StoreError:
    code, message = error.code or "", error.message or ""
    if code in _FULL or status_of(error) == 507:
        return StoreFull(f"{said}: the service has no space left ({code})")
    if code == "RequestTimeTooSkewed":
        return StoreClock(f"{where}: the clocks differ too much{_service_time(error)}")
    if code in _WRONG_KEY:
        return StoreKeyRefused(f"{where}: the key is refused ({code})")
    if code in _WRONG_REGION:
        return StoreRegion(f"{where}: {message or code}")
    if code == "NoSuchBucket":
        return BucketMissing(f"{where}: there is no such bucket")
    if status_of(error) == 403:
        return StoreDenied(f"{said}: not permitted ({code})")
    return StoreError(f"{said}: {code}: {message}")


def _service_time(error: S3Error) -> str:
    try:
        at = parsedate_to_datetime(error.response.headers.get("Date", ""))
    except ValueError:
        return ""
    return f": the service has {at:%Y-%m-%d %H:%M:%S} UTC"


def _tls(error: BaseException | None) -> str | None:
    """What is wrong with TLS, when that is what an error is about."""
    seen: Any = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return seen.verify_message or "the certificate is not trusted"
        if isinstance(seen, ssl.SSLEOFError):
            return None  # the connection broke
        if isinstance(seen, ssl.SSLError):
            if seen.reason == "WRONG_VERSION_NUMBER":
                return "the service speaks none on this port"
            return seen.reason or "the handshake failed"
        if isinstance(seen, SSLError) and seen.args and isinstance(seen.args[0], Exception):
            seen = seen.args[0]
        else:
            seen = seen.__cause__ or seen.__context__
    return None


def _reason(error: BaseException) -> str:
    """The shortest true words about a connection that failed."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    return str(error).rpartition(": ")[2] or type(error).__name__
