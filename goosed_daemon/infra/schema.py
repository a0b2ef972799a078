"""The JSON Schema of infra profiles (draft 2020-12), for editors.

It accepts every document that the models accept, read as an editor reads it: a scalar that Goose
takes as text is a number or a boolean to others, and what is empty is null. What it refuses the
models refuse; what depends on other fields, or other documents, is theirs alone.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from pydantic.json_schema import (
    GenerateJsonSchema,
    JsonSchemaMode,
    JsonSchemaValue,
    models_json_schema,
)
from pydantic_core import core_schema

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models import KINDS
from goosed_daemon.infra.models.secret import SecretSource

DIALECT = "https://json-schema.org/draft/2020-12/schema"
HINT = "# yaml-language-server: $schema="
_MODE: JsonSchemaMode = "validation"
_SCALAR = ["string", "number", "boolean"]
_NULL = {"type": "null"}
_INTEGER = {
    "anyOf": [
        {"type": "integer", "minimum": -(10**18) + 1, "maximum": 10**18 - 1},
        {"type": "string", "pattern": "^-?(?:0|[1-9][0-9]{0,17})$"},
    ]
}
_BOOLEAN = {"enum": [True, False, "true", "false"]}


def schema(kind: str | None = None) -> dict[str, Any]:
    """The schema of documents of one kind, or of any, told apart by their `kind`."""
    wanted = {name: model for name, model in KINDS.items() if kind in (None, name)}
    refs, found = models_json_schema(
        [(model, _MODE) for model in wanted.values()], schema_generator=_AsText
    )
    defs = {name: _tidy(part) for name, part in found["$defs"].items()}
    head: dict[str, Any] = {
        "$schema": DIALECT,
        "title": f"Goose infra profiles: {kind or 'all kinds'}",
    }
    if kind is not None:
        return {**head, **refs[wanted[kind], _MODE], "$defs": defs}
    cases = [
        {
            "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
            "then": refs[model, _MODE],
        }
        for name, model in wanted.items()
    ]
    return {
        **head,
        "type": ["object", "null"],  # a document of which only the line of hyphens is there
        "properties": {
            "kind": {"enum": list(wanted), "description": "What the document describes."},
        },
        "if": {"type": "object"},
        "then": {"required": ["kind"], "allOf": cases},
        "$defs": defs,
    }


class _AsText(GenerateJsonSchema):
    """What pydantic says of the models, with what it cannot see: the forms of texts, and that
    scalars are text to Goose alone."""

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        return {**super().str_schema(schema), "type": _SCALAR}

    def function_after_schema(
        self, schema: core_schema.AfterValidatorFunctionSchema
    ) -> JsonSchemaValue:
        shape = getattr(schema["function"]["function"], "shape", {})
        return {**super().function_after_schema(schema), **shape}

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        function = schema["function"]["function"]
        if function is f.integer:
            return deepcopy(_INTEGER)  # since pydantic adds to what it is given
        if function is f.boolean:
            return deepcopy(_BOOLEAN)
        inner = super().function_before_schema(schema)
        if function is f.one_or_more:
            return {"anyOf": [inner["items"], inner]}
        return inner

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        keys = self.generate_inner(schema["keys_schema"]) if "keys_schema" in schema else {}
        values = self.generate_inner(schema["values_schema"]) if "values_schema" in schema else {}
        names = {key: value for key, value in keys.items() if key != "type"}
        return {
            "type": "object",
            "propertyNames": names,
            "additionalProperties": _or_null(values),
        }

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        required = made.get("required", ())
        made["properties"] = {
            name: part if name in required else _or_null(part)
            for name, part in made.get("properties", {}).items()
        }
        if schema["cls"] is SecretSource:
            made["oneOf"] = [
                {"required": [name], "properties": {name: {"not": _NULL}}}
                for name in made["properties"]
            ]
        return made


def _or_null(part: JsonSchemaValue) -> JsonSchemaValue:
    """`part`, or nothing: what is empty counts as not given."""
    if _NULL in part.get("anyOf", ()):
        return part
    about: dict[str, Any] = {
        key: part[key] for key in ("title", "description", "default") if key in part
    }
    rest = {key: value for key, value in part.items() if key not in about}
    return {"anyOf": [rest, _NULL], **about}


def _tidy(part: Any) -> Any:
    """Without what says nothing to a reader: titles made of names, defaults that are empty."""
    if isinstance(part, list):
        return [_tidy(one) for one in part]
    if not isinstance(part, dict):
        return part
    tidied = {}
    for key, value in part.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "default" and value in (None, "", [], {}, ()):
            continue
        if key == "minLength" and "items" in str(part.get("anyOf", "")):
            key = "minItems"  # pydantic counts a list behind a validator as text
        tidied[key] = _named(value) if key == "properties" else _tidy(value)
    return tidied


def _named(properties: dict[str, Any]) -> dict[str, Any]:
    """The same for a mapping whose keys are names of fields."""
    return {name: _tidy(part) for name, part in properties.items()}
