"""How a registry refuses: OCI distribution specification 1.1, "Error Codes". What our own envelope
tells is in the detail."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field

from bundles.errors import GooseError
from goosed_daemon import errors

PREFIX = "/v2/"

_CODES: dict[type[GooseError], str] = {
    errors.RepositoryUnknown: "NAME_UNKNOWN",
    errors.ManifestUnknown: "MANIFEST_UNKNOWN",
    errors.ImageBlobUnknown: "BLOB_UNKNOWN",
    errors.DigestInvalid: "DIGEST_INVALID",
    errors.MethodNotAllowed: "UNSUPPORTED",
    errors.TooManyRequests: "TOOMANYREQUESTS",
    errors.NotABootNetwork: "DENIED",
}


class OciRefusal(BaseModel):
    """What went wrong, for a registry's clients."""

    code: str = Field(description="One of the specification, or UNKNOWN.")
    message: str
    detail: dict[str, Any] = Field(description="What every other route tells in its envelope.")


class OciEnvelope(BaseModel):
    """The body of a registry's refusals."""

    errors: list[OciRefusal]


def envelope(error: GooseError, told: dict[str, object]) -> bytes:
    """The JSON body of a refusal; `told` is what our own envelope has."""
    code = _CODES.get(type(error), "UNKNOWN")
    refusal = {"code": code, "message": error.message, "detail": told}
    return json.dumps({"errors": [refusal]}, default=str).encode() + b"\n"
