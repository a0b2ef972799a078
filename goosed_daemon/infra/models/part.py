"""What every kind of infra profile, and every part of one, has in common."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, get_origin

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
        if type(value) is not dict:
            return value
        known, of_words = _names(cls)
        given = value
        if None in value.values():
            given = {key: v for key, v in value.items() if v is not None or key not in known}
        for name in of_words & given.keys():
            words = given[name]
            if type(words) is dict and None in words.values():
                given = {**given, name: {k: v for k, v in words.items() if v is not None}}
        return given


@cache
def _names(model: type[BaseModel]) -> tuple[frozenset[str], frozenset[str]]:
    """What its fields are called, and which of them hold words of the writer's own (labels)."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    of_words = {name for name, field in fields.items() if get_origin(field.annotation) is dict}
    return frozenset(fields), frozenset(of_words)


class Kind(Part):
    """A document of its own: `kind` names its model."""

    api_version: Literal["goose/v1"] = Field(description="Always `goose/v1`.")
    name: f.Name = Field(description="Its name, unique among its kind.")
