"""What every kind of infra profile, and every part of one, has in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
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
        for name in of_words.keys() & given.keys():
            words = given[name]
            if type(words) is dict and None in words.values():
                kept = {k: v for k, v in words.items() if v is not None or not of_words[name](k)}
                given = {**given, name: kept}
        return given


@cache
def _names(model: type[BaseModel]) -> tuple[frozenset[str], dict[str, Callable[[str], bool]]]:
    """What its fields are called; of those that hold words of the writer's own (labels), whether a
    key is a good one."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    of_words = {
        name: _checker(get_args(field.annotation)[0])
        for name, field in fields.items()
        if get_origin(field.annotation) is dict
    }
    return frozenset(fields), of_words


def _checker(form: Any) -> Callable[[str], bool]:
    adapter = TypeAdapter(form)

    def good(key: str) -> bool:
        try:
            adapter.validate_python(key)
        except ValidationError:
            return False
        return True

    return good


class Kind(Part):
    """A document of its own: `kind` names its model."""

    api_version: Literal["goose/v1"] = Field(description="Always `goose/v1`.")
    name: f.Name = Field(description="Its name, unique among its kind.")
