"""One site for all boots: signed bundles built from the examples, imported, and served."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.site import ROOT, Site
from tests.parts import part

INFRA = Path(__file__).with_name("infra.yaml")


@pytest.fixture(scope="session")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the guest's vmlinuz and initrd.img."""
    part("kernel")
    part("busybox")
    folder = tmp_path_factory.mktemp("guest")
    command = [sys.executable, str(ROOT / "scripts" / "guest.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, guest: Path) -> Iterator[Site]:
    """A site that serves the guest as its RHEL 9, out of a bundle that came in signed."""
    with Site(tmp_path_factory.mktemp("site")) as made:
        key = made.key("release")
        recipe = made.recipe("base.yaml")
        for name in ("vmlinuz", "initrd.img"):
            shutil.copyfile(guest / name, recipe.parent / "rhel9" / "images" / "pxeboot" / name)
        made.goosectl("bundle", "build", recipe, "--key", key, "--out", made.media)
        made.trust(key)
        made.goosectl("bundle", "verify", made.media)
        imported = made.goosectl("bundle", "import", made.media)
        assert imported["state"] == "complete"
        made.infra(INFRA.read_text())
        made.serve()
        yield made
