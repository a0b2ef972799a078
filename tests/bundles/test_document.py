"""YAML documents: text stays text, and every refusal has its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from bundles.files import document, yaml_events
from bundles.files.document import InvalidDocument


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    address: str
    ports: list[int] = []


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["Thing"]
    name: str
    ready: bool = False
    inner: Inner | None = None
    several: list[Inner] = Field([], max_length=3)
    by_name: dict[str, Inner] = {}


def refusals(text: str, model: type[BaseModel] | None = None) -> list[str]:
    def read() -> None:
        for found in document.load(text, "f.yaml"):
            if model is not None:
                document.validate(found, model)

    with pytest.raises(InvalidDocument) as caught:
        read()
    assert caught.value.message.splitlines() == [str(p) for p in caught.value.problems]
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "yaml_1_1"),
    [
        ("52:54:00:12:34:56", 41135085296),  # sexagesimal
        ("1:30", 90),
        ("NO", False),  # the country
        ("on", True),
        ("2026.10", 2026.1),
        ("0777", 511),
        ("1_000", 1000),
        ("1e3", "1e3"),
        (".inf", float("inf")),
    ],
)
def test_yaml_1_1_types_nothing(text: str, yaml_1_1: object) -> None:
    assert yaml.safe_load(text) == yaml_1_1
    assert document.load(f"key: {text}", "f")[0].value == {"key": text}


def test_a_date_stays_text() -> None:
    assert document.load("2026-11-24", "f")[0].value == "2026-11-24"


@pytest.mark.parametrize("text", ["", "~", "null"])
def test_nothing_is_none_unless_quoted(text: str) -> None:
    assert document.load(f"key: {text}", "f")[0].value == {"key": None}
    assert document.load(f"key: '{text}'", "f")[0].value == {"key": text}


def test_several_documents_keep_their_own_positions() -> None:
    first, second = document.load("a: 1\n---\n# remark\nb:\n  - c\n  - ü: d\n", "f")
    assert (first.value, second.value) == ({"a": "1"}, {"b": ["c", {"ü": "d"}]})
    assert first.position(("a",)) == (1, 4)
    assert second.position(("b", 0)) == (5, 5)
    assert second.position(("b", 1, "ü")) == (6, 8)
    assert second.position(("b", 1, "ü"), key=True) == (6, 5)
    assert second.position(("b", 1, "missing")) == (6, 5), "the nearest part that exists"


@pytest.mark.parametrize("text", ["  a: 1\n  b: x\n", "--- # remark\n  a: 1\n\n  b: x\n"])
def test_positions_in_an_indented_document(text: str) -> None:
    (found,) = document.load(text, "f")
    last = text.count("\n")
    assert found.position(("b",)) == (last, 6)
    assert found.position(("a",), key=True) == (text.split("a:")[0].count("\n") + 1, 3)


def test_a_document_on_the_line_of_its_marker() -> None:
    _, found = document.load("a: 1\n--- {b: c}\n...\n", "f")
    assert found.position(("b",)) == (2, 9)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a remark\n"])
def test_an_empty_file_has_no_documents(text: str) -> None:
    assert document.load(text, "f") == []


def test_a_byte_order_mark_and_dos_line_ends_are_fine() -> None:
    found = document.load("\ufeffa: 1\r\nb: 2\r\n", "f")[0]
    assert found.value == {"a": "1", "b": "2"}
    assert found.position(("b",)) == (2, 4)


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: a: the key 'a' is given twice in one mapping"),
        ("x: {a: 1, 'a': 2}\n", "f.yaml:1:11: a: the key 'a' is given twice in one mapping"),
        ("ä: 1\nx: !!int 3\n", "f.yaml:2:4: the tag tag:yaml.org,2002:int is not allowed:"),
        ("x: !python/object:os.system {}\n", "f.yaml:1:4: the tag !python/object:os.system"),
        ("x: &a 1\n", "f.yaml:1:4: the anchor &a is not allowed: write the value out"),
        ("x:\n  <<: {a: 1}\n", "f.yaml:2:3: <<: the merge key << is not allowed"),
        ("? [a]\n: b\n", "f.yaml:1:3: a key must be a plain word, not a mapping or a list"),
        ("? {a: b}\n: b\n", "f.yaml:1:3: a key must be a plain word"),
        ("'': b\n", "f.yaml:1:1: a key is empty"),
        ("a: [\n", "f.yaml:2:1: not YAML: did not find expected node content"),
        ("a: b: c\n", "f.yaml:1:5: not YAML: mapping values are not allowed"),
        ("a: '\x07'\n", "f.yaml:1:5: the character U+0007 is not allowed"),
        ("a: b\x1b[31m\n", "f.yaml:1:5: the character U+001B is not allowed"),
        ("a: 1\nb: x\u2028c: 2\n", "f.yaml:2:5: the character U+2028 is not allowed"),
        ("a: 1\rb: 2\n", "f.yaml:1:5: the character U+000D is not allowed"),
        ('a: "\\0"\n', "f.yaml:1:4: the escape for U+0000 is not allowed"),
        ('a: "x\\N"\n', "f.yaml:1:4: the escape for U+0085 is not allowed"),
        ("a: " + "[" * 33 + "]" * 33, "f.yaml:1:35: nested more than 32 deep"),
        ("%TAG ! tag:evil,2000:\n---\na: !x 1\n", "f.yaml:3:4: the tag tag:evil,2000:x"),
    ],
)
def test_refused_with_its_place(text: str, refusal: str) -> None:
    (found,) = refusals(text)
    assert found.startswith(refusal)


def test_a_bomb_of_aliases_is_not_unfolded() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for i in range(1, 40):
        bomb += f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n"
    found = refusals(bomb)
    assert "the anchor &a0 is not allowed" in found[0]
    assert "f.yaml:2:10: the alias *a0 is not allowed" in found[-1]


def test_deep_nesting_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million brackets cost no more than the first few."""
    events = []
    real = yaml_events._events
    monkeypatch.setattr(
        yaml_events, "_events", lambda text: (events.append(e) or e for e in real(text))
    )
    (found,) = refusals("[" * 1_000_000)
    assert "nested more than 32 deep" in found
    assert len(events) < 50


def test_what_is_wrong_with_a_file_is_told_at_once() -> None:
    assert len(refusals("a: 1\na: 2\nb: !x 1\nc: &c 1\n<<: 1\n")) == 4


def test_an_oversized_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text("a: " + "x" * 200)
    assert document.read(path, limit=203)[0].value == {"a": "x" * 200}
    with pytest.raises(InvalidDocument, match=f"{path}:1:1: the file is larger than 202 bytes"):
        document.read(path, limit=202)


def test_text_that_is_not_utf_8_is_refused_at_its_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin1.yaml"
    path.write_bytes("a: ü\nb: ".encode() + "ü".encode("latin-1"))
    with pytest.raises(InvalidDocument, match=rf"{path}:2:4: byte 0xfc is not UTF-8 text"):
        document.read(path)


def test_validation_names_everything_at_once() -> None:
    text = """\
kind: Thnig
nmae: x
ready: perhaps
inner:
  address: [a]
  ports: [1, two, {}]
several:
  - address: a
    prots: []
  - ports: 7
by_name:
  one: {address: a, addres: b}
  two: plain
"""
    assert refusals(text, Outer) == [
        "f.yaml:1:1: name: is missing",
        "f.yaml:1:7: kind: 'Thnig' is not one of 'Thing'",
        "f.yaml:2:1: nmae: no such field (did you mean name?)",
        "f.yaml:3:8: ready: 'perhaps' is neither true nor false",
        "f.yaml:5:12: inner.address: must be text, not a list",
        "f.yaml:6:14: inner.ports[1]: 'two' is not a whole number",
        "f.yaml:6:19: inner.ports[2]: must be a whole number, not a mapping",
        "f.yaml:9:5: several[0].prots: no such field (did you mean ports?)",
        "f.yaml:10:5: several[1].address: is missing",
        "f.yaml:10:12: several[1].ports: must be a list, not '7'",
        "f.yaml:12:21: by_name.one.addres: no such field (did you mean address?)",
        "f.yaml:13:8: by_name.two: must be a mapping, not 'plain'",
    ]


def test_an_unlike_field_is_answered_with_the_known_ones() -> None:
    (found,) = refusals("kind: Thing\nname: x\nzzz: 1\n", Outer)
    assert found == (
        "f.yaml:3:1: zzz: no such field (known: kind, name, ready, inner, several, by_name)"
    )


def test_a_document_that_is_no_mapping() -> None:
    assert refusals("- a\n", Outer) == ["f.yaml:1:1: must be a mapping, not a list"]
    assert refusals("---\n", Outer) == ["f.yaml:2:1: must be a mapping, not nothing"]


def test_values_are_typed_by_the_schema() -> None:
    (found,) = document.load("kind: Thing\nname: 2026.10\nready: yes\ninner: ~\n", "f")
    assert document.validate(found, Outer) == Outer(kind="Thing", name="2026.10", ready=True)


def test_details_repeat_the_problems_as_data() -> None:
    with pytest.raises(InvalidDocument) as caught:
        document.load("a: 1\na: 2\n", "f")
    (problem,) = caught.value.problems
    assert (problem.source, problem.line, problem.column, problem.field) == ("f", 2, 1, "a")
    assert caught.value.details["problems"] == [
        {
            "source": "f",
            "line": 2,
            "column": 1,
            "field": "a",
            "message": "the key 'a' is given twice in one mapping",
            "suggestion": None,
        }
    ]


WORDS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1)
VALUES: st.SearchStrategy[Any] = st.recursive(
    WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_yaml_writes_is_read_back_as_it_was(value: Any) -> None:
    text = yaml.dump(value, Dumper=Spelt, allow_unicode=True)
    (found,) = document.load(text, "f")
    assert found.value == value
    lines = text.splitlines()
    for path in paths(value):
        line, column = found.position(path)
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1


@example("---")
@given(st.text() | st.text("ab:-[]{}'\"&*!#|>%?, \n\t\r\\\ufeff"))
def test_no_text_makes_it_fail_but_with_its_own_error(text: str) -> None:
    wrong: tuple[document.Problem, ...] = ()
    try:
        for found in document.load(text, "f"):
            document.validate(found, Outer)
    except InvalidDocument as error:
        wrong = error.problems
    lines = text.count("\n") + 1
    assert all(1 <= problem.line <= lines and problem.column >= 1 for problem in wrong)


class Spelt(yaml.SafeDumper):
    """Writes no anchors, and quotes what would not be text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def paths(value: Any, above: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value)
    inner = [] if isinstance(value, str) else [p for k, v in below for p in paths(v, (*above, k))]
    return [above, *inner]
