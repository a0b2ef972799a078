"""docs/ as a site: links lead somewhere, nothing comes from elsewhere, search needs no server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.parts import part

ROOT = Path(__file__).resolve().parents[1]

#: Attributes by which a page has something fetched; a link to follow is not among them.
LOADS = {"src", "srcset", "data", "poster", "action"}

#: What the theme's script would ask for, and of which pages only.
NAMED = {
    "https://api.github.com/repos/": "data-md-component=source",
    "https://api.github.com/users/": "data-md-component=source",
    "https://bit.ly/": "",  # in the words of an error
    "https://unpkg.com/mermaid": "class=mermaid",
    "https://unpkg.com/resize-observer-polyfill": "",  # in the words of an error
}


class Page(HTMLParser):
    """What a page loads, the text of its paragraphs, and its attributes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.attributes: set[str] = set()
        self.paragraphs: list[str] = []
        self._inside = 0
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {f"{name}={value}" for name, value in attrs}
        self.loads += [value or "" for name, value in attrs if name in LOADS]
        if tag == "link":
            self.loads.append(dict(attrs)["href"] or "")
        self.loads += [value or "" for name, value in attrs if name == "style" and "url(" in value]
        if tag == "p":
            self._inside += 1
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag == "p"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.paragraphs[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` builds it: a link or an anchor that leads nowhere ends it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    found = {str(path.relative_to(site)): Page(path) for path in site.rglob("*.html")}
    assert len(found) > 40
    return found


def test_every_page_of_docs_is_in_it(pages: dict[str, Page]) -> None:
    docs = {str(path.relative_to(ROOT / "docs")) for path in ROOT.glob("docs/**/*.md")}
    made = {path.removesuffix(".md") + ".html" for path in docs - {"README.md", "adr/README.md"}}
    assert made | {"index.html", "adr/index.html", "changelog.html", "404.html"} == set(pages)


def test_nothing_comes_from_elsewhere(site: Path, pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        assert [each for each in page.loads if re.match(r"\s*(\w+:)?//", each)] == [], name
    for path in site.rglob("*.css"):
        text = path.read_text()
        assert not re.search(r"@import|url\(\s*[\"']?(\w+:)?//", text), path.name
    for path in (*site.rglob("*.js"), *site.rglob("*.svg")):
        if path.name == "search_index.js":
            continue
        text = re.sub(r"/\*.*?\*/|http://www\.w3\.org/", "", path.read_text(), flags=re.DOTALL)
        for address in re.findall(r"https?://[\w./-]+", text):
            (known,) = (each for each in NAMED if address.startswith(each))
            for name, page in pages.items():
                assert NAMED[known] not in page.attributes, f"{name} would load {address}"


def test_what_a_page_loads_is_there(site: Path, pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        if name == "404.html":
            continue  # its addresses are those of a server
        for each in filter(None, page.loads):
            if not each.startswith(("data:", "#", "javascript:")):
                assert ((site / name).parent / each.partition("?")[0]).exists(), f"{name}: {each}"


def test_no_list_table_or_block_is_taken_for_a_paragraph(pages: dict[str, Page]) -> None:
    """GitHub is content without an empty line before a list; here it would be text."""
    for name, page in pages.items():
        for text in page.paragraphs:
            assert not re.search(r"^\s*(- |\d+\. |\||```)|```", text, re.MULTILINE), (name, text)


def test_anchors_of_the_readme_lead_somewhere() -> None:
    """Within README.md and from it to pages; those between pages the build itself checks."""
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", (ROOT / "README.md").read_text()):
        text = (ROOT / (target or "README.md")).read_text()
        titles = re.findall(r"^#+ (.*)", text, re.MULTILINE)
        known = [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]
        assert anchor in known, f"{target}#{anchor}"


def test_search_works_from_the_folder(site: Path, tmp_path: Path) -> None:
    """In a browser, with no server, no name that resolves, and no address but the file's."""
    done = subprocess.run(
        [
            part("chromium"), "--headless", "--no-sandbox", "--disable-gpu",
            f"--user-data-dir={tmp_path}", "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=10000", "--dump-dom",
            f"{(site / 'cli.html').as_uri()}?q=idempotency",
        ],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found = re.findall(r'<a href="([^"]*)" class="md-search-result__link"', done.stdout)
    assert any("agents.html" in address for address in found), found
