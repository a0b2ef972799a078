"""`SecretRef`: where a secret is kept, in place of the secret."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo, field_validator

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.part import Part

MAX_AGE = 64 << 10  # characters of an encrypted value
_ARMOR = re.compile(
    r"-----BEGIN AGE ENCRYPTED FILE-----\s+(?P<body>[A-Za-z0-9+/=\s]+?)"
    r"\s+-----END AGE ENCRYPTED FILE-----\s*"
)
_MAGIC = b"age-encryption.org/v1\n"


def _environment(name: str) -> str:
    f.line(name)
    if not re.fullmatch(r"GOOSE_SECRET_[A-Z0-9_]{1,64}", name):
        raise ValueError("is not GOOSE_SECRET_ and capital letters, digits or _")
    return name


def _encrypted(text: str) -> str:
    """The armor that `age -a` writes, or its body alone on one line, as the latter."""
    if len(text) > MAX_AGE:
        raise ValueError(f"is longer than {MAX_AGE} characters")
    armor = _ARMOR.fullmatch(text.strip())
    body = "".join((armor["body"] if armor else text).split())
    try:
        data = b64decode(body, validate=True)
    except ValueError:
        data = b""
    if not data.startswith(_MAGIC):
        raise ValueError("is not what `age -a` writes (put it in a block: `age: |`)")
    return body


class SecretSource(Part):
    """Where a secret is kept: exactly one of these."""

    file: f.ContentPath | None = Field(
        None, description="A file in the site's folder of secrets (`secrets`); its one line."
    )
    env: Annotated[str, AfterValidator(_environment)] | None = Field(
        None, description="A variable of the daemon's environment, `GOOSE_SECRET_...`."
    )
    age: Annotated[str, AfterValidator(_encrypted)] | None = Field(
        None, description="The secret itself, encrypted by `age -a` for the site's identity."
    )

    def __str__(self) -> str:
        if self.file is not None:
            return f"from the file {self.file}"
        return f"from the variable {self.env}" if self.env is not None else "encrypted by age"


class SecretRef(Part):
    """Stands in place of a secret. Its value is one line; a subclass may demand another `form`,
    which raises ValueError in words that quote none of it."""

    secret_from: SecretSource = Field(description="Where the secret is kept.")

    form: ClassVar[Any] = staticmethod(f.line)

    @field_validator("secret_from")
    @classmethod
    def _exactly_one(cls, source: SecretSource, info: ValidationInfo) -> SecretSource:
        if len([one for one in (source.file, source.env, source.age) if one is not None]) != 1:
            raise ValueError("needs exactly one of file, env, age")
        return source

    def __str__(self) -> str:
        return f"(secret {self.secret_from})"


class PasswordHashRef(SecretRef):
    """Stands in place of a password hash."""

    form: ClassVar[Any] = staticmethod(f.password_hash)


def text_or_ref(value: Any) -> str:
    """Which of the two variants of a field that may be a secret `value` is meant to be."""
    return "secret" if isinstance(value, dict | SecretRef) else "text"


PasswordHash = Annotated[
    Annotated[f.PasswordHash, Tag("text")] | Annotated[PasswordHashRef, Tag("secret")],
    Discriminator(text_or_ref),
]
