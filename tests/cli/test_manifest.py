"""The courier's sheet: its commands work as they are printed, and no name breaks out of it."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bundles.format import statement
from bundles.reading import sheet
from bundles.reading.sheet import Entry, Sheet, Signed
from goosectl.main import main
from tests.bundles.test_volumelist import DIGEST, LIST
from tests.cli.test_bundle import Person, person
from tests.cli.test_media import build
from tests.parts import part

__all__ = ["person"]

SIGNED = [Signed("base-1.0.0.volumes.json.sig", "SHA256:abc")]
SAID = statement.Statement(
    "base", "1.0.0", 7, ("site-a",), DIGEST, 1, statement.Totals(0, 0, 0, 0, 0, 0), (1, 1, 1)
)


class Page(HTMLParser):
    """What a browser would make of a page: its elements, and the text of each `pre`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.commands: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "pre":
            self._inside = True
            self.commands.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.commands[-1] += data


def commands_of_text(text: str) -> list[str]:
    """The paragraphs of a text sheet that are commands."""
    return [p for p in text.split("\n\n") if p.startswith(("ssh-keygen", "grep"))]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    part("ssh-keygen")
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("kind", [sheet.HTML, sheet.TEXT])
@pytest.mark.parametrize("sealed", [False, True])
def test_commands_of_the_sheet_work_as_printed(person: Person, kind: str, sealed: bool) -> None:
    person.ok("key", "new-recipient", "site")
    volumes = build(person, "1.0.0", *(("--to", "site.agepub") if sealed else ()))
    folder = person.folder / "media-1.0.0"
    text = (folder / f"base-1.0.0{kind}").read_text()
    verify, sums = Page(text).commands if kind == sheet.HTML else commands_of_text(text)
    (folder / "allowed_signers").write_text(person.ok("trust", "export"))
    said = run(verify, folder)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith('Good "goose-volumes@v1" signature for release')
    said = run(sums, folder)
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines() == [f"{path.name}: OK" for path in volumes]
    data = bytearray(volumes[1].read_bytes())
    data[-1] ^= 1
    volumes[1].write_bytes(data)
    said = run(sums, folder)
    assert (said.returncode, f"{volumes[1].name}: FAILED" in said.stdout) == (1, True)
    volumes[1].unlink()
    assert run(sums, folder).returncode == 1
    assert run(sums.rstrip() + " --ignore-missing", folder).returncode == 0
    listed = folder / "base-1.0.0.volumes.json"
    listed.write_bytes(listed.read_bytes().replace(b"1.0.0", b"1.0.1"))
    assert run(verify, folder).returncode != 0


def test_build_and_manifest_make_the_same_sheet(person: Person) -> None:
    build(person, "1.0.0")
    folder = person.folder / "media-1.0.0"
    told = person.json("bundle", "manifest", str(folder), "--html", "a.html", "--text", "a.txt")
    assert told["files"] == ["a.html", "a.txt"]
    assert Path("a.html").read_bytes() == (folder / "base-1.0.0.sheet.html").read_bytes()
    assert Path("a.txt").read_bytes() == (folder / "base-1.0.0.sheet.txt").read_bytes()
    assert person.ok("bundle", "manifest", str(folder)) == Path("a.txt").read_text()
    assert person.ok("bundle", "manifest", str(folder), "--text", "-") == Path("a.txt").read_text()
    assert told["volumes"][0]["label"] == "base 1.0.0  1/3"


def test_sheet_of_sealed_volumes_tells_nothing_of_what_they_hold(person: Person) -> None:
    person.ok("key", "new-recipient", "site")
    build(person, "1.0.0", "--to", "site.agepub")
    text = (person.folder / "media-1.0.0/base-1.0.0.sheet.txt").read_text()
    assert "Holds     sealed: what it holds is not told here" in text
    assert "os:" not in text
    blind = person.ok("bundle", "manifest", "media-1.0.0")
    assert "sequence, audience and dates can be read by its site only" in blind
    opened = person.ok("bundle", "manifest", "media-1.0.0", "--identity", "site.agekey")
    assert opened == text


def test_a_sheet_needs_a_signed_list(person: Person) -> None:
    build(person, "1.0.0")
    (person.folder / "media-1.0.0/base-1.0.0.volumes.json.sig").unlink()
    code, _, err = person.run("bundle", "manifest", "media-1.0.0", "--json")
    assert (code, json.loads(err)["code"]) == (1, "volume-list-needed")


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=http://evil/x onerror=alert(1)>',
    "</pre></td><iframe src=//evil>",
    "{{ 7*7 }}{% include 'x' %}",
    "a\x1b]0;owned\x07b",
    "safe\u202egpj.exe",
    "line\nHANDED OVER\n",
    "&lt;b&gt;",
    "x" * 4000,
]


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_names_do_not_break_out_of_the_sheet(title: str) -> None:
    made = Sheet(LIST, SIGNED, SAID, [Entry(title, 1, 1)])
    plain = Sheet(LIST, SIGNED, SAID, [Entry("os", 1, 1)])
    page, known = Page(made.html()), Page(plain.html())
    assert page.tags == known.tags
    assert page.commands == known.commands
    for text in (made.html(), made.text()):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert len(made.text().splitlines()) == len(plain.text().splitlines())
    assert len(made.text()) < len(plain.text()) + 200


def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    page = Page(Sheet(LIST, SIGNED, SAID, [Entry("os", 1, 1)]).html())
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "embed", "form", "base", "a"}
    attributes = {name for _, attrs in page.tags for name in attrs}
    assert not any(name.startswith("on") or name in ("src", "href") for name in attributes)
    assert ("meta", "Content-Security-Policy") in [(t, a.get("http-equiv")) for t, a in page.tags]


def test_a_renamed_list_writes_no_commands_of_its_own(person: Person) -> None:
    build(person, "1.0.0")
    folder = person.folder / "media-1.0.0"
    for ending in ("", ".sig"):
        path = folder / f"base-1.0.0.volumes.json{ending}"
        path.rename(folder / f"$(touch owned);.volumes.json{ending}")
    text = person.ok("bundle", "manifest", str(folder))
    assert "touch" not in text
    assert "-s base-1.0.0.volumes.json.sig" in text


def test_much_content_is_cut_to_a_few_lines() -> None:
    made = Sheet(LIST, SIGNED, SAID, [Entry(f"tree-{n}", n, n) for n in range(30)])
    assert made.contents[-1] == "and 22 more"
    assert len(made.contents) == 9
    assert replace(made, entries=made.entries[:8]).contents[-1] == "tree-7: 7 files, 7 B"


def test_the_same_bundle_gives_the_same_sheet(person: Person) -> None:
    build(person, "1.0.0")
    first = (person.folder / "media-1.0.0/base-1.0.0.sheet.html").read_bytes()
    words = ("--key", "release", "--out", "again", "--volume-size", "900kB")
    assert main(["bundle", "build", "base.yaml", *words]) == 0
    assert (person.folder / "again/base-1.0.0.sheet.html").read_bytes() == first
