"""Volumes that an earlier release wrote are read by this one, and spoiled ones are refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bundles import digest as digests
from bundles import keys, recipe, trust
from bundles.check import check_volumes
from bundles.errors import GooseError
from bundles.ingest import import_volumes
from bundles.policy import Policy
from bundles.progress import SILENT
from bundles.store import open_store
from bundles.trust import TrustRoot
from tests.bundles.content import served
from tests.bundles.making import NOW
from tests.parts import part

VECTORS = Path(__file__).parents[1] / "vectors"
EXPECTED: dict[str, Any] = json.loads((VECTORS / "expected.json").read_bytes())
VOLUMES = [VECTORS / name for name in EXPECTED["volumes"]]


@pytest.fixture
def root() -> TrustRoot:
    return trust.first([keys.load_public(VECTORS / "v1.pub")], 1)


def test_the_volumes_verify(root: TrustRoot) -> None:
    checked = check_volumes(VOLUMES, root, Policy(NOW), SILENT)
    checked.raise_faults()
    assert checked.signers == (EXPECTED["signer"],)
    assert checked.missing == ()
    for field in ("version", "sequence", "created"):
        assert getattr(checked.statement, field) == EXPECTED[field]


def test_what_the_volumes_hold_is_served(root: TrustRoot, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    done = import_volumes(VOLUMES, store, root, Policy(NOW), SILENT)
    assert done.state == "complete"
    found = {
        path: {"digest": digests.of(data), "size": len(data), "mode": f"{mode:04o}"}
        for path, (data, mode) in served(store, EXPECTED["bundle"]).items()
    }
    assert found == EXPECTED["files"]


@pytest.mark.parametrize("name", EXPECTED["refusals"])
def test_a_spoiled_volume_is_refused(root: TrustRoot, name: str) -> None:
    with pytest.raises(GooseError) as refusal:
        check_volumes([VECTORS / name], root, Policy(NOW), SILENT).raise_faults()
    assert refusal.value.code == EXPECTED["refusals"][name]


def test_every_volume_here_is_tested() -> None:
    named = {*EXPECTED["volumes"], *EXPECTED["refusals"]}
    assert {path.name for path in VECTORS.glob("*.goose.tar")} == named


def test_the_recipe_says_what_the_statement_says(root: TrustRoot) -> None:
    said = check_volumes(VOLUMES, root, Policy(NOW), SILENT).statement
    draft = recipe.draft(recipe.load(VECTORS / "v1-open.yaml"), None, None)
    for field in ("name", "version", "sequence", "audience", "created", "expires"):
        assert getattr(said, field) == getattr(draft, field)


def test_the_volume_list_is_right_by_stock_tools() -> None:
    [listing] = VECTORS.glob("*.volumes.json")
    command = [
        *(part("ssh-keygen"), "-Y", "verify", "-f", VECTORS / "v1.allowed_signers"),
        *("-I", EXPECTED["signer"], "-n", "goose-volumes@v1", "-s", f"{listing}.sig"),
    ]
    subprocess.run(command, input=listing.read_bytes(), check=True, capture_output=True)
    for volume in json.loads(listing.read_bytes())["volumes"]:
        data = (VECTORS / volume["file"]).read_bytes()
        assert (digests.of(data), len(data)) == (volume["digest"], volume["size"])
