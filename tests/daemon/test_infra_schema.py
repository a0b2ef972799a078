"""The exported JSON Schema says of documents what the models say, as far as a schema can tell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from bundles.files import document
from goosed_daemon.infra import schema
from goosed_daemon.infra.models import KINDS
from tests.daemon.infra_site import HASH, KEY

EXAMPLES = Path(__file__).parents[2] / "examples" / "infra"
ALL = Draft202012Validator(schema.schema())
ONE = {kind: Draft202012Validator(schema.schema(kind)) for kind in KINDS}

# What a schema can tell: anything else is a matter of several fields, or of arithmetic.
STRUCTURAL = re.compile(
    r"missing|extra_forbidden|literal_error|.*_type|too_short|union_tag_invalid|string_too_short"
)

LEAST: dict[str, dict[str, Any]] = {
    "Site": {},
    "OSProfile": {
        "installer": "kickstart",
        "release": "rhel9",
        "bundle": "b",
        "kernel": "k",
        "initrd": "i",
        "repo": "r",
        "disk": {"device": "sda"},
    },
    "Group": {"selector": {}},
    "Machine": {"mac": "52:54:00:12:34:56"},
}

WORDS = (
    "a A 12 -3 007 true no 10.0.0.1 10.0.0.5/24 a.b.c In Exists rhel9 debian12 preseed list enum"
    " secret goose/v1 525400123456 52-54-00-12-34-56 ttyS0 Europe/Berlin de_DE.UTF-8"
)
TEXTS = st.sampled_from([*WORDS.split(), "", " a", "a b", "x\ny", KEY, HASH])
KEYS = (
    "a A RACK role device name address gateway key operator values matchLabels matchExpressions"
    " secretFrom file env age type default required minimum layout nameservers"
)
NAMES = st.sampled_from(KEYS.split())
VALUES = st.recursive(
    TEXTS | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A document that is right, or nearly, in whatever way."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    made = {"apiVersion": "goose/v1", "kind": kind, "name": "a", **LEAST[kind]}
    fields = [field.alias for field in KINDS[kind].model_fields.values() if field.alias != "kind"]
    for name in draw(st.lists(st.sampled_from(fields) | NAMES, max_size=3)):
        made[str(name)] = draw(VALUES)
    for name in draw(st.lists(st.sampled_from(sorted(made)), max_size=1)):
        if name != "kind":
            del made[name]
    return made


def verdict(made: dict[str, Any]) -> ValidationError | None:
    try:
        KINDS[made["kind"]].model_validate(made)
    except ValidationError as error:
        return error
    return None


@given(documents())
@example({"apiVersion": "goose/v1", "kind": "Machine", "name": "a", "mac": []})
@example({"apiVersion": "goose/v1", "kind": "Machine", "name": "a", "mac": "x", "labels": None})
@example({"apiVersion": "goose/v1", "kind": "Group", "name": "a", "selector": None})
@example({"apiVersion": "goose/v1", "kind": "Site", "name": "a", "variables": {"A": None}})
@example({"apiVersion": "goose/v1", "kind": "Site", "name": "a", "variables": {"a": None}})
def test_models_and_schema_agree(made: dict[str, Any]) -> None:
    error = verdict(made)
    for validator in (ALL, ONE[made["kind"]]):
        accepted = validator.is_valid(made)
        if error is None:
            assert accepted, list(validator.iter_errors(made))
        elif any(STRUCTURAL.fullmatch(item["type"]) for item in error.errors()):
            assert not accepted, error


TYPED: list[tuple[str, Any]] = [
    ("name", "12"),
    ("labels", {"version": "2026.10", "on": "true"}),
    ("uuid", "~"),
    ("domain", "7"),
    ("variables", {"A": "1", "B": ["1", "true"]}),
    ("priority", "5"),
]


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_scalars_may_be_what_an_editor_takes_them_for(kind: str, data: st.DataObject) -> None:
    """An editor types what Goose reads as text: 2026.10 is a number to it, and true a boolean."""
    text = {"apiVersion": "goose/v1", "kind": kind, "name": "a", **LEAST[kind]}
    field, value = data.draw(st.sampled_from(TYPED))
    if field not in {one.alias for one in KINDS[kind].model_fields.values()}:
        return
    if kind == "OSProfile" and field == "variables":
        value = {"A": {"required": "true", "type": "integer", "minimum": "3"}}
    (item,) = document.load(yaml.safe_dump(text | {field: value}).replace("'", ""), "x")
    KINDS[kind].model_validate(item.value)
    typed = yaml.safe_load(yaml.safe_dump(text | {field: value}).replace("'", ""))
    assert ALL.is_valid(typed), list(ALL.iter_errors(typed))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "Machin"}, "is not one of"),
        ({"kind": "Machine", "macc": "x"}, "'macc' was unexpected"),
        ({"kind": "Machine", "hostname": "a b"}, "is not valid under any of"),
        ({"kind": "Machine", "mac": "hello"}, "is not valid under any of"),
        ({"kind": "Group", "selector": {"matchLabel": {}}}, "'matchLabel' was unexpected"),
        ({"kind": "OSProfile", "release": "rhel7"}, "is not one of"),
        ({}, "'kind' is a required property"),
    ],
)
def test_what_an_editor_underlines(wrong: dict[str, Any], words: str) -> None:
    kind = wrong.get("kind", "")
    made = {"apiVersion": "goose/v1", "name": "a", **LEAST.get(kind, {}), **wrong}
    assert any(words in error.message for error in ALL.iter_errors(made))


def test_the_schema_is_one_and_strict() -> None:
    Draft202012Validator.check_schema(schema.schema())
    for kind, model in KINDS.items():
        own = schema.schema()["$defs"][kind]
        assert own["additionalProperties"] is False
        assert set(own["properties"]) == {field.alias for field in model.model_fields.values()}
        assert all("description" in part or "$ref" in part for part in own["properties"].values())


def test_examples_carry_the_hint_and_fulfil_the_schema() -> None:
    files = sorted(EXAMPLES.glob("*.yaml"))
    assert files
    for file in files:
        first = file.read_text().splitlines()[0]
        assert first == f"{schema.HINT}infra.schema.json"
        assert (file.parent / first.removeprefix(schema.HINT)).is_file()
        for typed in yaml.safe_load_all(file.read_text()):
            assert ALL.is_valid(typed), list(ALL.iter_errors(typed))
