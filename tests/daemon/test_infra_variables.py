"""Variables have types, and every machine's are checked against what its profile declares."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bundles.files.document import InvalidDocument
from goosed_daemon import infra
from goosed_daemon.infra.models import Variable
from goosed_daemon.render import kickstart
from tests.daemon.infra_site import MACHINE_YAML, PROFILE_YAML, SITE_YAML, boot, machine, profile

GROUP = "apiVersion: goose/v1\nkind: Group\nname: g\nselector: {}\n"


def load(folder: Path, declared: str, given: str, *, group: str = "", site: str = "") -> object:
    documents = [
        SITE_YAML + site,
        PROFILE_YAML + f"variables: {declared}\n",
        MACHINE_YAML + f"variables: {given}\n",
        *([GROUP + f"variables: {group}\n"] if group else []),
    ]
    (folder / "x.yaml").write_text("---\n".join(documents))
    try:
        return infra.load(folder).machines["db-1"].variables
    except InvalidDocument as error:
        return [str(problem).removeprefix(f"{folder}/x.yaml:") for problem in error.problems]


@pytest.mark.parametrize(
    ("declared", "given", "seen"),
    [
        ("{}", "a b", "a b"),
        ("{type: string}", "'007'", "007"),
        ("{type: integer}", "42", "42"),
        ("{type: integer}", "-1", "-1"),
        ("{type: integer, minimum: 1, maximum: 5}", "5", "5"),
        ("{type: boolean}", "true", "true"),
        ("{type: boolean}", "false", "false"),
        ("{type: enum, values: [gold, silver]}", "gold", "gold"),
        ("{type: list}", "[a, b-c, d]", "a b-c d"),
        ("{type: list}", "a", "a"),
        ("{type: list}", "[]", ""),
        ("{default: x}", "~", "x"),
        ("{type: list, default: [x, y]}", "~", "x y"),
        ("{type: integer, default: 3}", "~", "3"),
    ],
)
def test_a_value_of_its_type(tmp_path: Path, declared: str, given: str, seen: str) -> None:
    assert load(tmp_path, f"{{A: {declared}}}", f"{{A: {given}}}") == {"A": seen}


def test_a_variable_that_nobody_sets_is_not_there(tmp_path: Path) -> None:
    assert load(tmp_path, "{A: {}}", "{}") == {}


@pytest.mark.parametrize(
    ("declared", "given", "problem"),
    [
        ("{type: integer}", "4x", "23:16: variables.A: '4x' is not a whole number"),
        ("{type: integer}", "1.5", "23:16: variables.A: '1.5' is not a whole number"),
        ("{type: integer}", "007", "23:16: variables.A: '007' is not a whole number"),
        ("{type: integer, minimum: 5}", "4", "23:16: variables.A: 4 is less than 5"),
        ("{type: integer, maximum: 5}", "6", "23:16: variables.A: 6 is more than 5"),
        ("{type: boolean}", "yes", "23:16: variables.A: 'yes' is neither true nor false"),
        ("{type: enum, values: [b, c]}", "d", "23:16: variables.A: 'd' is not one of b, c"),
        ("{type: list}", "[a b]", "23:17: variables.A[0]: contains ' ': a shell that goes"),
        ("{type: list}", "['*']", "23:17: variables.A[0]: contains '*'"),
        ("{type: string}", "[a]", "23:16: variables.A: is of type string, not a list"),
        ("{type: string}", '"a\\nb"', "23:16: variables.A: contains a newline"),
        ("{type: string}", "{secretFrom: {file: x}}", "23:16: variables.A: is of type string, and"),
        ("{type: secret}", "hunter2", "23:16: variables.A: is a secret: give a reference"),
        ("{required: true}", "~", "23:16: variables.A: is missing: OSProfile rhel9 requires it"),
    ],
)
def test_a_value_of_another_type(tmp_path: Path, declared: str, given: str, problem: str) -> None:
    (found,) = load(tmp_path, f"{{A: {declared}}}", f"{{A: {given}}}")  # type: ignore[misc]
    assert found.startswith(problem)
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ("{type: number}", "'number' is not one of 'string', 'integer',"),
        ("{type: enum}", "an enum needs values"),
        ("{values: [a]}", "nothing else has them"),
        ("{minimum: 1}", "is for integers only"),
        ("{type: integer, minimum: 5, maximum: 4}", "is less than the minimum 5"),
        ("{type: integer, default: x}", "'x' is not a whole number"),
        ("{type: enum, values: [a], default: b}", "'b' is not one of a"),
        ("{required: true, default: b}", "a required variable has no default"),
        ("{required: 'yes'}", "'yes' is neither true nor false"),
        ("{type: secret, default: hunter2}", "is a secret: give a reference"),
        ("{typ: string}", "no such field (did you mean type?)"),
    ],
)
def test_mistake_in_a_declaration(tmp_path: Path, declared: str, words: str) -> None:
    found = load(tmp_path, f"{{A: {declared}}}", "{}")
    assert isinstance(found, list)
    assert words in found[0]
    assert "hunter2" not in found[0]


def test_a_variable_that_is_not_declared_is_misspelt(tmp_path: Path) -> None:
    (found,) = load(tmp_path, "{RACK: {}}", "{RAKC: a1}")  # type: ignore[misc]
    assert found == (
        "23:13: variables.RAKC: OSProfile rhel9 declares no such variable (did you mean RACK?)"
    )


def test_what_all_are_told_must_be_declared_by_one_of_their_profiles(tmp_path: Path) -> None:
    other = PROFILE_YAML.replace("name: rhel9", "name: other") + "variables: {B: {}}\n"
    using = MACHINE_YAML.replace("rhel9", "other").replace("db-1", "db-2").replace("56", "57")
    (tmp_path / "y.yaml").write_text(f"{other}---\n{using}")
    assert load(tmp_path, "{A: {}}", "{}", site="variables: {B: x}\n") == {}
    found = load(tmp_path, "{A: {}}", "{}", group="{AA: x}", site="variables: {C: x}\n")
    words = "no OSProfile of the machines that inherit this declares such a variable"
    assert found == [
        f"4:13: variables.C: {words} (declared: A, B)",
        f"30:13: variables.AA: {words} (did you mean A?)",
    ]


def test_a_value_in_a_group_is_checked_there(tmp_path: Path) -> None:
    (found,) = load(tmp_path, "{A: {type: integer}}", "{}", group="{A: x}")  # type: ignore[misc]
    assert found.startswith("29:16: variables.A: 'x' is not a whole number")


def test_a_profile_that_declares_none_takes_any_text(tmp_path: Path) -> None:
    assert load(tmp_path, "{}", "{ANY: 'x y', LIST: [a, b]}") == {"ANY": "x y", "LIST": "a b"}


@given(st.text())
def test_no_value_is_code(text: str) -> None:
    """A value of any kind is one shell word on its own line, or refused."""
    for variable in (Variable(), Variable.model_validate({"type": "list"})):
        try:
            on = machine(variables={"A": [text] if variable.type == "list" else text})
            value = variable.text(on.variables["A"])
        except (ValidationError, ValueError):
            continue
        assert isinstance(value, str)
        told = boot(to=profile(commands=["true"]), on=machine(variables={"A": value}))
        lines = kickstart.render(told).split("\n")
        (at,) = [n for n, line in enumerate(lines) if line.startswith("export A=")]
        assert shlex.split(lines[at]) == ["export", f"A={value}"]
        assert (lines[at - 1], lines[at + 1]) == ("set -eu", "true")
