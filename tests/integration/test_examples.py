"""Every example works: each recipe builds the same bytes twice, each machine gets its installer."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.site import BUNDLES, ROOT, Site
from tests.parts import part

# Of what a checkout holds and the distribution serves. The others are of what `make` leaves in
# dist: tests/stack builds them.
RECIPES = sorted(p.name for p in BUNDLES.glob("*.yaml") if "../dist/" not in p.read_text())


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Site]:
    """A site of the test's own."""
    with Site(tmp_path / "site") as made:
        made.key("release")
        made.debian_installer(part("debian-installer kernel"))
        yield made


def build(site: Site, recipe: str, media: Path) -> dict[str, bytes]:
    """Build and sign a recipe; returns what was written, by name."""
    key = site.folder / "keys" / "release"
    site.goosectl("bundle", "build", site.recipe(recipe), "--key", key, "--out", media)
    return {path.name: path.read_bytes() for path in media.iterdir()}


@pytest.mark.parametrize("recipe", RECIPES)
def test_example_recipe_builds_the_same_bytes_twice(fresh: Site, recipe: str) -> None:
    first = build(fresh, recipe, fresh.folder / "first")
    kinds = sorted(re.split(r"-2026\.\d+\.1\.", name)[1] for name in first)
    assert kinds == [
        "1of1.goose.tar",
        "sheet.html",
        "sheet.txt",
        "volumes.json",
        "volumes.json.sig",
    ]
    assert build(fresh, recipe, fresh.folder / "second") == first


def test_the_update_brings_only_what_the_base_lacks(fresh: Site) -> None:
    """The next version as its recipe says to build it: the site has all of it afterwards."""
    key = fresh.folder / "keys" / "release"
    fresh.trust(key)
    build(fresh, "base.yaml", fresh.media)
    update = fresh.folder / "update"
    whole = ["bundle", "build", fresh.recipe("update.yaml"), "--key", key, "--out", update]
    saved = fresh.goosectl(*whole, "--since", fresh.media)["delta"]
    assert saved["new_layers"] == 3  # the motd; the bundle's own bill of materials and provenance
    assert fresh.goosectl("bundle", "import", fresh.media)["state"] == "complete"
    assert fresh.goosectl("bundle", "import", update)["state"] == "complete"
    fresh.goosectl("store", "get", "site-base", "site/motd", "--out", fresh.folder / "got")
    assert (fresh.folder / "got").read_bytes() == (BUNDLES / "motd-2026.12").read_bytes()
    fresh.goosectl("store", "fsck")


def test_every_example_machine_gets_its_installer_from_the_example_bundles(fresh: Site) -> None:
    fresh.trust(fresh.folder / "keys" / "release")
    shutil.copytree(ROOT / "examples" / "infra", fresh.home / "infra")  # whose audience we are
    for recipe in RECIPES:
        build(fresh, recipe, fresh.media / recipe)
        fresh.goosectl("bundle", "import", fresh.media / recipe)
    password = fresh.home / "secrets" / "windows" / "administrator"
    password.parent.mkdir(parents=True)
    password.touch(0o600)
    password.write_text("Not-a-real-one 1\n")
    fresh.goosectl("infra", "validate")
    fresh.serve()
    machines = fresh.goosectl("machine", "list")["items"]
    assert len(machines) >= 3
    for machine in machines:
        fresh.goosectl("machine", "arm", machine["name"])
        script = fresh.get(f"/v1/boot/ipxe?mac={machine['mac']}")
        assert f"echo goose: {machine['name']} is about to be installed" in script
        content = re.findall(r"^(?:kernel|initrd --name \S+) (\S+)", script, re.MULTILINE)
        assert len(content) >= 2
        texts = []
        for url in content:
            assert url.startswith("http://")
            texts.append(fresh.fetch(url))
            assert texts[-1]
        if "wimboot" in script:  # its answers are fetched by what WinPE runs
            (script,) = (t.decode() for t in texts if t.startswith(b"@echo off"))
        (rendered,) = re.findall(r"(?: (?:inst\.ks|url)=|xml \")(https:[^\s\"]+)", script)
        assert machine["name"] in fresh.get(rendered.removeprefix(fresh.url))
