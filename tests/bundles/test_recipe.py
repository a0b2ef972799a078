"""Recipes: what they may say, where a mistake is, and what follows from them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bundles.files.document import InvalidDocument
from bundles.format import statement
from bundles.making import recipe
from bundles.progress import SILENT
from bundles.sources import SourceFault
from bundles.sources.lock import Lock, NotLocked
from bundles.sources.url import Downloads

DOCS = Path(__file__).parents[2] / "docs" / "recipes.md"
PLAIN = """\
apiVersion: goose/v1
kind: Bundle
name: site-base
version: 2026.10
audience: any
contents:
  - file: ./one
    as: one
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "bundle.yaml"
    path.write_text(text)
    return path


def test_version_stays_text(tmp_path: Path) -> None:
    """YAML 1.1 would make 2026.1 of it."""
    loaded = recipe.load(write(tmp_path, PLAIN))
    assert loaded.version == "2026.10"
    assert recipe.draft(loaded, None, None).sequence == 2026_000010_000000


@pytest.mark.parametrize(
    ("wrong", "place", "words"),
    [
        (PLAIN.replace("name: site-base", "name: Site Base"), "3:7: name", "not a bundle name"),
        (PLAIN.replace("audience: any", "audience: [site_A]"), "5:", "site id"),
        (PLAIN.replace("as: one", "as: ../one"), "8:9: contents[0].as", "leaves the bundle's root"),
        (PLAIN.replace("    as: one\n", ""), "7:5: contents[0]", "as"),
        (PLAIN.replace("file:", "flie:"), "7:5: contents[0].flie", "file"),
        (
            PLAIN + "    tree: ./two\n",
            "7:5: contents[0]",
            "exactly one of tree, file, url, image and chart",
        ),
        (PLAIN + "    platforms: [linux/amd64]\n", "7:5: contents[0]", "platforms are an image's"),
        (PLAIN.replace("file: ./one", "image: A/b"), "7:12: contents[0].image", "HOST/NAME"),
        (
            PLAIN.replace("file: ./one", "image: app").replace("as: one", "as: One"),
            "1:1:",
            "'site-base/One' is no name of a repository",
        ),
        (PLAIN + "expires: tomorrow\n", "9:10: expires", "2026-11-24T12:00:00Z"),
        (PLAIN.replace("contents:\n  - file: ./one\n    as: one\n", "contents: []\n"), "6:", ""),
    ],
)
def test_mistake_is_named_with_its_place(
    tmp_path: Path, wrong: str, place: str, words: str
) -> None:
    path = write(tmp_path, wrong)
    with pytest.raises(InvalidDocument) as caught:
        recipe.load(path)
    assert f"{path}:{place}" in caught.value.message
    assert words in caught.value.message


def test_no_sequence_follows_from_a_word(tmp_path: Path) -> None:
    loaded = recipe.load(write(tmp_path, PLAIN.replace("2026.10", "spring")))
    with pytest.raises(recipe.NoSequence) as caught:
        recipe.draft(loaded, None, None)
    assert "sequence:" in caught.value.hint


def test_no_sequence_follows_from_a_version_too_large(tmp_path: Path) -> None:
    loaded = recipe.load(write(tmp_path, PLAIN.replace("2026.10", "9999.1.1")))
    with pytest.raises(recipe.NoSequence, match="above 2"):
        recipe.draft(loaded, None, None)


def test_sequences_grow_with_versions() -> None:
    versions = ["1.0", "1.0.1", "1.1", "1.10", "2.0", "2026.9.30", "2026.10", "2026.10.1"]
    found = [
        recipe.draft(
            recipe.Recipe.model_validate(
                {
                    "apiVersion": "goose/v1",
                    "kind": "Bundle",
                    "name": "x",
                    "version": version,
                    "audience": "any",
                    "contents": [{"file": "a", "as": "a"}],
                }
            ),
            None,
            None,
        ).sequence
        for version in versions
    ]
    assert found == sorted(set(found))


def test_created_comes_from_recipe_then_lock_then_environment(tmp_path: Path) -> None:
    plain = recipe.load(write(tmp_path, PLAIN))
    lock = Lock("2026-01-02T03:04:05Z", ())
    dated = recipe.load(write(tmp_path, PLAIN + "created: 2025-01-01T00:00:00Z\n"))
    assert recipe.draft(plain, None, None).created is None
    assert recipe.draft(plain, None, 86400).created == "1970-01-02T00:00:00Z"
    assert recipe.draft(plain, lock, 86400).created == lock.created
    assert recipe.draft(dated, lock, 86400).created == "2025-01-01T00:00:00Z"
    assert statement.parse_time(lock.created).year == 2026


def test_url_without_lock(tmp_path: Path) -> None:
    text = PLAIN.replace("file: ./one", "url: http://127.0.0.1:9/one")
    path = write(tmp_path, text)
    with pytest.raises(NotLocked, match=r"127\.0\.0\.1:9/one is not pinned") as caught:
        recipe.expand(recipe.load(path), path, None, Downloads(tmp_path / "cache"), SILENT)
    assert "bundle lock" in caught.value.hint


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda f: (f / "tree/link").symlink_to("/etc/passwd"), "link out of the tree"),
        (lambda f: (f / "tree/link").symlink_to("nowhere"), "link to nothing"),
        (lambda f: (f / "tree/link").symlink_to("."), "folder above itself"),
        (lambda f: (f / "tree/a\nb").write_text("x"), "not a plain relative path"),
    ],
)
def test_tree_that_cannot_be_taken(tmp_path: Path, make: object, words: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("x")
    make(tmp_path)  # type: ignore[operator]
    path = write(tmp_path, PLAIN.replace("file: ./one", "tree: ./tree"))
    with pytest.raises(SourceFault, match=words):
        recipe.expand(recipe.load(path), path, None, Downloads(tmp_path / "cache"), SILENT)


def test_links_inside_a_tree_are_followed_or_skipped(tmp_path: Path) -> None:
    (tmp_path / "tree/real").mkdir(parents=True)
    (tmp_path / "tree/real/file").write_text("x")
    (tmp_path / "tree/alias").symlink_to("real")
    (tmp_path / "tree/same").symlink_to("real/file")
    text = PLAIN.replace("file: ./one", "tree: ./tree")
    for links, expected in (
        ("follow", ["alias/file", "real/file", "same"]),
        ("skip", ["real/file"]),
    ):
        path = write(tmp_path, text + f"    links: {links}\n")
        (artifact,) = recipe.expand(
            recipe.load(path), path, None, Downloads(tmp_path / "cache"), SILENT
        )
        assert [file.path for file in artifact.files] == expected


def test_tables_in_the_docs_are_the_models() -> None:
    text = DOCS.read_text()
    for model in (recipe.Recipe, recipe.Entry):
        rows = [
            f"| `{field.alias or name}` | {field.description} |"
            for name, field in model.model_fields.items()
        ]
        assert "\n".join(rows) in text
    assert len(re.findall(r"^\| `", text, re.MULTILINE)) == len(recipe.Recipe.model_fields) + len(
        recipe.Entry.model_fields
    )
