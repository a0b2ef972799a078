"""What every kind of infra profile, and every part of one, has in common."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from goosed_daemon.infra import fields as f


class Part(BaseModel):
    """Strict and frozen; fields are spelled in camelCase in YAML."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=False
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_not_given(cls, value: Any) -> Any:
        if type(value) is not dict or None not in value.values():
            return value
        known = {field.alias for field in cls.model_fields.values()}
        return {key: v for key, v in value.items() if v is not None or key not in known}


class Kind(Part):
    """A document of its own: `kind` names its model."""

    api_version: Literal["goose/v1"] = Field(description="Always `goose/v1`.")
    name: f.Name = Field(description="Its name, unique among its kind.")
