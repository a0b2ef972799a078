"""The generated pages, the codes they list, and the links of all pages."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from bundles.errors import UsageError
from goosectl import main
from scripts import gendocs, reading
from tests.shell_blocks import shell_blocks

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", sorted(gendocs.pages()))
def test_generated_pages_equal_the_code(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == gendocs.pages()[name], "run `make generated`"


def test_every_code_means_one_thing() -> None:
    codes = Counter(cls.code for cls in gendocs.known_errors())
    assert [code for code, count in codes.items() if count > 1] == []


def test_the_exit_code_of_every_code_is_told() -> None:
    rows = re.findall(r"^\| `(\S+)` \| (\d+) \|", gendocs.errors(), re.MULTILINE)
    codes = {code: int(number) for code, number in rows}
    assert len(codes) == len(list(gendocs.known_errors()))
    assert codes["usage"] == 2 and codes["interrupted"] == 130 and codes["failed"] == 1
    for cls in gendocs.known_errors():
        assert (codes[cls.code] == 2) == issubclass(cls, UsageError), cls


def test_codes_are_kebab_case_and_errors_say_what_they_mean() -> None:
    for cls in gendocs.known_errors():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", cls.code), cls
        assert cls.__doc__, f"{cls.__qualname__} needs a docstring: docs/errors.md shows it"
        assert cls.__doc__ != (cls.__base__.__doc__ if cls.__base__ else None), cls


def test_every_verb_shows_an_example() -> None:
    verbs = re.findall(r"### (goosectl \S+ \S+)\n(.*?)(?=\n###? |\Z)", gendocs.cli(), re.DOTALL)
    assert len(verbs) > 15
    without = [verb for verb, text in verbs if not re.search(rf"Examples?:\s+{verb}\b", text)]
    assert without == []


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target
    ]
    assert len(links) > 10
    missing = [(page, target) for page, target in links if not (page.parent / target).exists()]
    assert [f"{page.relative_to(ROOT)}: {target}" for page, target in missing] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {page.name for page in ROOT.glob("docs/*.md")} - {"README.md"}
    assert [page for page in sorted(pages) if f"]({page})" not in index] == []


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "threat-model.md").read_text()))
    there = {
        name
        for path in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert len(named) > 40
    assert named - there == set()


def commands(program: str) -> list[tuple[str, list[str]]]:
    """Every command of a program in a block of a page, as the page and the command's words."""
    found = []
    for page in [ROOT / "README.md", *sorted({*ROOT.glob("docs/*.md")} - {ROOT / "docs/cli.md"})]:
        text = page.read_text().replace("\\\n", " ")
        for line in re.findall(rf"^(?: {{4}})?({program} .*)$", text, re.MULTILINE):
            command = re.split(r"\s#|&|\||>|\s2>", line)[0]
            found.append((str(page.relative_to(ROOT)), shlex.split(command)))
    return found


@pytest.mark.parametrize(
    ("page", "words"), commands("goosectl"), ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_command_of_a_page_is_one_that_there_is(page: str, words: list[str]) -> None:
    known = gendocs.cli()
    verb = 2 if words[1] in ("serve", "doctor") else 3
    help_ = known.split(f"### {' '.join(words[:verb])}\n", 1)[1].split("\n###", 1)[0]
    for word in words[verb:]:
        name = word.partition("=")[0]
        everywhere = name in (*main.FLAGS, *main.OPTIONS)
        assert not word.startswith("--") or everywhere or named(name, help_), word
    options = [line for line in help_.splitlines() if line.startswith("  --")]
    needed = {line.split()[0] for line in options if "[required]" in line}
    assert needed <= set(words), "an option that it cannot do without is missing"


def named(option: str, help_: str) -> bool:
    """Whether a help has a line for the option."""
    return re.search(rf"^  (?:.* )?{option}\b", help_, re.MULTILINE) is not None


def test_a_target_of_a_page_is_one_that_make_knows() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    blocks = [*shell_blocks("README.md"), *shell_blocks("docs/quickstart.md")]
    commands = [words for block in blocks for words in block.commands() if words[0] == "make"]
    named = {word for words in commands for word in words[1:]}
    assert "quickstart" in named
    assert named - targets == set()


def test_an_auditor_is_led_through_every_module_once() -> None:
    read = [reading.path_of(name) for names in reading.ORDER.values() for name in names.split()]
    packages = {room / "__init__.py" for room in (reading.BUNDLES, *reading.rooms())}
    there = set(reading.BUNDLES.rglob("*.py")) - (packages - set(read))
    assert sorted(set(read) ^ there) == [], "scripts/reading.py has the order"
    assert len(read) == len(set(read))
    folders = {path.parent for path in reading.BUNDLES.glob("*/__init__.py")}
    assert set(reading.rooms()) == folders, "setup.cfg has the contract of the rooms"


def test_numbers_in_the_code_are_those_of_the_documented_checks() -> None:
    documented = reading.documented()
    assert len(documented) == 18 + 5 + 4 + 5 + 5
    assert sorted(reading.in_code()) == sorted(documented)


def test_a_vector_or_a_named_attack_shows_every_check() -> None:
    shown = reading.shown_by()
    assert [number for number in reading.documented() if not shown[number]] == []
