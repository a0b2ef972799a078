"""pydantic's validation errors, in plain words, at their place in a YAML document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from bundles.files.document import Problem, nearest

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from bundles.files.yaml_events import Place

_UNKNOWN = "extra_forbidden"


class Written(Protocol):
    """A document, or what stands in for one: a value whose parts have places."""

    @property
    def value(self) -> Any:
        """What it says."""

    def problem(
        self, path: Place, message: str, suggestion: str | None = None, *, key: bool = False
    ) -> Problem:
        """A problem of the part at `path`."""


def problems(
    document: Written, model: type[BaseModel], error: ValidationError
) -> Iterator[Problem]:
    """All of `error`, each at the value, key or mapping of `document` that it is about."""
    schema: dict[str, Any] | None = None
    for item in error.errors(include_url=False):
        path, value = _locate(document.value, item["loc"])
        if item["type"] == _UNKNOWN:
            schema = schema or model.model_json_schema(by_alias=True)
            known = _known_keys(schema, path[:-1])
            hint = nearest(str(path[-1]), known) or f"known: {', '.join(known)}"
            yield document.problem(path, "no such field", hint, key=True)
        elif item["type"] == "missing":
            yield document.problem((*path, str(item["loc"][-1])), "is missing")
        else:
            at_key = item["loc"][-1:] == ("[key]",)
            yield document.problem(path, _message(item, value), key=at_key)


def _locate(value: Any, loc: tuple[str | int, ...]) -> tuple[Place, Any]:
    """The part of `loc` that stands in the document (the rest names variants), and its value."""
    path: list[str | int] = []
    for part in loc:
        stands = (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if stands:
            value = value[part]
            path.append(part)
    return tuple(path), value


def _known_keys(schema: dict[str, Any], path: Place) -> list[str]:
    """The fields that the models at `path` of a JSON schema have."""
    level = [schema]
    for part in path:
        level = [
            below
            for node in _variants(schema, level)
            for below in (
                node.get("items")
                if isinstance(part, int)
                else node.get("properties", {}).get(part, node.get("additionalProperties")),
            )
            if isinstance(below, dict)
        ]
    keys = (key for node in _variants(schema, level) for key in node.get("properties", ()))
    return list(dict.fromkeys(keys))


def _variants(schema: dict[str, Any], nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    pending = list(nodes)
    while pending:
        node = pending.pop(0)
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        yield node
        for several in ("anyOf", "oneOf", "allOf"):
            pending.extend(node.get(several, ()))


def _message(item: Any, value: object) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return str(context["error"])
    return _WORDS.get(kind, _plain)(context | {"shown": _shown(value), "msg": item["msg"]})


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    return "a mapping" if isinstance(value, dict) else "a list"


def _plain(context: dict[str, Any]) -> str:
    text = str(context["msg"])
    return text[:1].lower() + text[1:]


def _say(form: str) -> Callable[[dict[str, Any]], str]:
    return form.format_map


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "string_type": _say("must be text, not {shown}"),
    "list_type": _say("must be a list, not {shown}"),
    "tuple_type": _say("must be a list, not {shown}"),
    "dict_type": _say("must be a mapping, not {shown}"),
    "model_type": _say("must be a mapping, not {shown}"),
    "model_attributes_type": _say("must be a mapping, not {shown}"),
    "int_type": _say("must be a whole number, not {shown}"),
    "int_parsing": _say("{shown} is not a whole number"),
    "bool_type": _say("must be true or false, not {shown}"),
    "bool_parsing": _say("{shown} is neither true nor false"),
    "literal_error": _say("{shown} is not one of {expected}"),
    "string_too_short": _say("must have at least {min_length} characters"),
    "string_too_long": _say("must have at most {max_length} characters"),
    "string_pattern_mismatch": _say("{shown} does not match {pattern}"),
    "too_short": _say("must have at least {min_length} entries, not {actual_length}"),
    "too_long": _say("must have at most {max_length} entries, not {actual_length}"),
    "greater_than_equal": _say("{shown} is less than {ge}"),
    "greater_than": _say("{shown} is not more than {gt}"),
    "less_than_equal": _say("{shown} is more than {le}"),
    "less_than": _say("{shown} is not less than {lt}"),
    "union_tag_invalid": _say("{tag!r} is not one of {expected_tags}"),
    "union_tag_not_found": _say("needs {discriminator}"),
}
