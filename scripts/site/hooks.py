"""What mkdocs is told beside mkdocs.yml: README.md is the first page, docs/README.md tells the
navigation, and files of the checkout that pages link to come along.

Source: mkdocs's hooks (user guide, "Configuration", `hooks`): functions named for its events.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
CONTENTS = "README.md"  # of docs
#: Pages from outside docs, by what they are there.
ABOVE = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
#: Where files that are no pages go; as text, so that a browser shows them.
SOURCE = "source"

_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()#\s]*)(#[^()\s]*)?\)")
_SECTION = re.compile(r"^## (.*)\n((?:(?!## ).*\n)*)", re.MULTILINE)
_PAGE = re.compile(r"^- \[(.*?)\]\((.*?)\)", re.MULTILINE)


def on_config(config: Any) -> Any:
    """Navigation as docs/README.md has it; decisions one below the other."""
    contents = (ROOT / "docs" / CONTENTS).read_text(encoding="utf-8")
    nav: list[Any] = [{"Goose": "index.md"}]
    for title, text in _SECTION.findall(contents):
        nav.append({title: [_entry(name, path) for name, path in _PAGE.findall(text)]})
    nav.append({"Changelog": "changelog.md"})
    config.nav = nav
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages from above, and every file that a page links to."""
    contents = files.get_file_from_path(CONTENTS)
    assert contents is not None
    files.remove(contents)
    for path, page in ABOVE.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        if page == "index.md":
            whole = (ROOT / "docs" / CONTENTS).read_text(encoding="utf-8")
            text = text.partition("\n## Where to go next")[0] + _below(whole)
        files.append(File.generated(config, page, content=text))
    linked = set()
    for file in files.documentation_pages():
        for _, target, _ in _LINK.findall(file.content_string):
            linked.add(_of_checkout(file.src_uri, target))
    for path in sorted(linked - set(ABOVE)):
        if (ROOT / path).is_file() and not path.startswith("docs/"):
            made = File.generated(config, _as_text(path), abs_src_path=str(ROOT / path))
            files.append(made)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Leads links to where the site has what they name; a folder of the checkout is only named."""
    here = page.file.src_uri

    def led(found: re.Match[str]) -> str:
        words, target, anchor = found.group(1), found.group(2), found.group(3) or ""
        if not target or "://" in target:
            return found.group()
        path = _of_checkout(here, target)
        if (ROOT / path).is_dir():
            return words
        if path in ABOVE:
            there = ABOVE[path]
        elif path == f"docs/{CONTENTS}":
            there = "index.md"
        elif path.startswith("docs/"):
            there = path.removeprefix("docs/")
        else:
            there = _as_text(path)
        return f"[{words}]({posixpath.relpath(there, posixpath.dirname(here) or '.')}{anchor})"

    return _LINK.sub(led, markdown)


def on_post_build(config: Any) -> None:
    """Drops what the theme brings for other languages and for its own developers."""
    scripts = Path(config.site_dir) / "assets/javascripts"
    shutil.rmtree(scripts / "lunr")
    for path in Path(config.site_dir).rglob("*.map"):
        path.unlink()


def _entry(name: str, path: str) -> dict[str, Any]:
    """A page of the navigation; the index of a folder has the folder's pages below it."""
    name, folder = name.replace("`", ""), posixpath.dirname(path)
    if posixpath.basename(path) != CONTENTS:
        return {name: path}
    below = _PAGE.findall((ROOT / "docs" / path).read_text(encoding="utf-8"))
    return {name: [path, *(_entry(each, f"{folder}/{there}") for each, there in below)]}


def _of_checkout(page: str, target: str) -> str:
    """The path in the checkout that a page's link means."""
    above = {there: path for path, there in ABOVE.items()}
    base = posixpath.dirname(above.get(page, f"docs/{page}"))
    return posixpath.normpath(posixpath.join(base, target))


def _as_text(path: str) -> str:
    return f"{SOURCE}/{path.removeprefix('.')}.txt"  # what begins with a dot stays out of a site


def _below(contents: str) -> str:
    """docs/README.md as the end of the first page, its links as seen from the checkout's top."""
    text = contents.partition("\n")[2].replace("\n## ", "\n### ")
    return "\n## Page by page\n" + _LINK.sub(r"[\1](docs/\2\3)", text)
