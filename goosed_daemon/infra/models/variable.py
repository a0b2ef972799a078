"""`Variable`: what a profile lets its machines say, and the values that they give."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo, field_validator

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.part import Part
from goosed_daemon.infra.models.secret import SecretRef


def _word(text: str) -> str:
    f.line(text)
    if bad := set(text) & set(" *?[\\"):
        raise ValueError(
            f"contains {min(bad)!r}: a shell that goes through the list would not see it as it is"
        )
    return text


def _form(value: Any) -> str:
    if isinstance(value, dict | SecretRef):
        return "secret"
    return "list" if isinstance(value, list | tuple) else "text"


VariableValue = Annotated[
    Annotated[f.Line, Tag("text")]
    | Annotated[tuple[Annotated[str, AfterValidator(_word)], ...], Tag("list")]
    | Annotated[SecretRef, Tag("secret")],
    Discriminator(_form),
]


class Variable(Part):
    """A variable that a profile's commands use."""

    type: Literal["string", "integer", "boolean", "list", "enum", "secret"] = Field(
        "string",
        description="`boolean` is `true` or `false`; a `list` of words reaches the commands with"
        " blanks in between; a `secret` is given by reference only.",
    )
    description: f.Line | None = Field(None, description="What it is for.")
    required: f.Boolean = Field(
        False, description="Whether every machine must be given one; not together with `default`."
    )
    values: tuple[f.Line, ...] = Field(
        (), validate_default=True, description="The values that an `enum` may have."
    )
    minimum: f.Integer | None = Field(None, description="The least `integer`.")
    maximum: f.Integer | None = Field(None, description="The greatest `integer`.")
    default: VariableValue | None = Field(
        None, description="The value where none is given; without it the variable is not set."
    )

    @field_validator("values")
    @classmethod
    def _enums_have_values(cls, values: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if (info.data.get("type") == "enum") != bool(values):
            raise ValueError("an enum needs values, and nothing else has them")
        return values

    @field_validator("minimum", "maximum")
    @classmethod
    def _integers_have_bounds(cls, bound: int | None, info: ValidationInfo) -> int | None:
        if bound is not None and info.data.get("type") not in ("integer", None):
            raise ValueError("is for integers only")
        if info.field_name == "maximum" and bound is not None:
            least = info.data.get("minimum")
            if least is not None and bound < least:
                raise ValueError(f"is less than the minimum {least}")
        return bound

    @field_validator("default")
    @classmethod
    def _default_fits(cls, default: Any, info: ValidationInfo) -> Any:
        if default is not None and info.data.get("required"):
            raise ValueError("a required variable has no default")
        if default is not None and {"type", "values", "minimum", "maximum"} <= info.data.keys():
            text(info.data, default)
        return default

    def text(self, value: Any) -> str | SecretRef:
        """`value` as the commands see it. Raises ValueError when it is not of this type."""
        return text(dict(self), value)


def text(declared: dict[str, Any], value: Any) -> str | SecretRef:
    """See `Variable.text`; `declared` are the fields of one, since it may not be whole yet."""
    kind = declared["type"]
    if (kind == "secret") != isinstance(value, SecretRef):
        if kind == "secret":
            raise ValueError("is a secret: give a reference, such as {secretFrom: {file: NAME}}")
        raise ValueError(f"is of type {kind}, and not a secret")
    if isinstance(value, SecretRef):
        return value
    if kind == "list":
        return " ".join(value) if isinstance(value, tuple) else f.line(_word(value))
    if not isinstance(value, str):
        raise ValueError(f"is of type {kind}, not a list")
    if kind == "integer":
        return str(_integer(declared, value))
    if kind == "boolean":
        return str(f.boolean(value)).lower()
    if kind == "enum" and value not in declared["values"]:
        raise ValueError(f"{value[:60]!r} is not one of {', '.join(declared['values'])}")
    return value


def _integer(declared: dict[str, Any], value: str) -> int:
    number = f.integer(value)
    least, most = declared["minimum"], declared["maximum"]
    if least is not None and number < least:
        raise ValueError(f"{number} is less than {least}")
    if most is not None and number > most:
        raise ValueError(f"{number} is more than {most}")
    return number
