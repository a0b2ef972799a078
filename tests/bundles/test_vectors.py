"""The vectors of tests/vectors: what any reader takes or refuses, and what an earlier release
wrote."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.making import recipe
from bundles.progress import SILENT
from bundles.signing import keys, trust
from bundles.signing.policy import Policy
from bundles.signing.trust import TrustRoot
from bundles.site.check import check_volumes
from bundles.site.ingest import import_volumes
from bundles.store import open_store
from tests.bundles.content import served
from tests.bundles.vectors import FOLDER, NOW, VECTORS, Vector
from tests.parts import part
from tests.vectors import sealed
from tests.vectors.cases import all_cases

EARLIER = FOLDER / "v1-open"
EXPECTED: dict[str, Any] = json.loads((EARLIER / "expected.json").read_bytes())
VOLUMES = [EARLIER / name for name in EXPECTED["volumes"]]


def named(vector: Vector) -> str:
    return str(vector.declared["name"])


# One fault each


@pytest.mark.parametrize("vector", VECTORS, ids=named)
def test_vector(vector: Vector, tmp_path: Path) -> None:
    """Verified, and imported: both say the same, and what is refused is nowhere to be seen."""
    expected, store = vector.declared["expect"], open_store(tmp_path)
    for judge in (vector.check, lambda: vector.import_(store)):
        if expected == "accept":
            judge()
            continue
        with pytest.raises(GooseError) as refusal:
            judge()
        assert refusal.value.code == expected, refusal.value.message
        assert refusal.value.hint
    assert [ref.name for ref in store.refs().bundles] == ["vector"] * (expected == "accept")


def test_the_generator_writes_these_vectors() -> None:
    cases = all_cases()
    closed = sealed.all_cases()
    declared = [json.loads(json.dumps(case.declared())) for case in (*cases, *closed)]
    assert [vector.declared for vector in VECTORS] == declared
    for case in cases:
        assert (FOLDER / "volumes" / f"{case.name}.goose.tar").read_bytes() == case.data, case.name
    assert len(list((FOLDER / "volumes").iterdir())) == len(declared)


# The laxer judges: what they refuse, Goose refuses

#: What ssh-keygen takes and this format does not: further spellings of a good signature.
STRICTER = {"refuse-signature-cut", "refuse-signature-long", "refuse-signature-wide"}
OPEN_SIGNATURES = [v for v in VECTORS if v.declared["check"] == 3 and v.path.suffix == ".tar"]


@pytest.mark.parametrize("vector", OPEN_SIGNATURES, ids=named)
def test_ssh_keygen_refuses_these_signatures_too(vector: Vector, tmp_path: Path) -> None:
    """Check 3 has no refusal but those of a stock tool, of the threshold, and of spelling."""
    with tarfile.open(vector.path) as archive:
        entries = {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]
    signatures = [data for name, data in entries.items() if ".sig." in name]
    (tmp_path / "allowed").write_text(vector.root.allowed_signers())
    good = set()
    for number, signature in enumerate(signatures):
        (tmp_path / f"sig.{number}").write_bytes(signature)
        for signer in vector.root.signers:
            command = [
                *(part("ssh-keygen"), "-Y", "verify", "-f", tmp_path / "allowed"),
                *("-I", signer.name, "-n", "goose-bundle@v1", "-s", tmp_path / f"sig.{number}"),
                f"-Overify-time={NOW:%Y%m%d%H%M%SZ}",
            ]
            said = entries["goose/statement.json"]
            if not subprocess.run(command, input=said, capture_output=True).returncode:
                good.add(signer.name)
    enough = len(good) >= vector.root.threshold and len(signatures) <= 16
    assert enough == (named(vector) in STRICTER)


# What an earlier release wrote


@pytest.fixture
def root() -> TrustRoot:
    return trust.first([keys.load_public(EARLIER / "v1.pub")], 1)


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


def test_the_recipe_says_what_the_statement_says(root: TrustRoot) -> None:
    said = check_volumes(VOLUMES, root, Policy(NOW), SILENT).statement
    draft = recipe.draft(recipe.load(EARLIER / "v1-open.yaml"), None, None)
    for field in ("name", "version", "sequence", "audience", "created", "expires"):
        assert getattr(said, field) == getattr(draft, field)


def test_the_volume_list_is_right_by_stock_tools() -> None:
    [listing] = EARLIER.glob("*.volumes.json")
    command = [
        *(part("ssh-keygen"), "-Y", "verify", "-f", EARLIER / "v1.allowed_signers"),
        *("-I", EXPECTED["signer"], "-n", "goose-volumes@v1", "-s", f"{listing}.sig"),
    ]
    subprocess.run(command, input=listing.read_bytes(), check=True, capture_output=True)
    for volume in json.loads(listing.read_bytes())["volumes"]:
        data = (EARLIER / volume["file"]).read_bytes()
        assert (digests.of(data), len(data)) == (volume["digest"], volume["size"])
