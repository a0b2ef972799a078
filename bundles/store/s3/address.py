"""Where an S3 store is, and as whom it is used."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class S3Address:
    """A bucket and the key to it. Shown or logged, it never shows the secret."""

    endpoint: str  # HOST or HOST:PORT
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)
    secure: bool = True  # TLS; the certificate is checked against the system's authorities
    region: str | None = None  # None: the server is asked
    quota: int | None = None  # bytes that the bucket may hold; None: nobody said

    def __str__(self) -> str:
        return f"s3://{self.endpoint}/{self.bucket}"
