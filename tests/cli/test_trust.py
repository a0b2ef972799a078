"""goosectl trust: pinning by fingerprint, and the courier's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundles.signing import keys, sshsig
from bundles.signing.sshsig import BUNDLE, VOLUMES
from goosectl.main import main
from tests.bundles.signing import MESSAGE, ssh_verify
from tests.cli.terminal import converse


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the keys of anna and ben, and beside it a site without a trust root."""
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path / "site"))
    for name in ("anna", "ben"):
        keys.new_signing(tmp_path / "keys", name)
    return tmp_path / "keys"


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, dict[str, Any]]:
    """The exit code, and the object on stdout or stderr."""
    code = main([*map(str, args), "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out if code == 0 else err)


def test_both_sides_get_the_same_fingerprint(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The release engineer's dry run is what the site compares with, in whatever order."""
    a, b = folder / "anna.pub", folder / "ben.pub"
    init = ("trust", "init", "--threshold", 2)
    code, told = run(capsys, *init, "--signer", a, "--signer", b, "--dry-run")
    assert code == 0
    assert not (folder.parent / "site").exists()
    renamed = b.rename(folder / "other-file-name.pub")
    order = ("--signer", renamed, "--signer", a)
    padded = f" {told['fingerprint']}= "  # as it comes from base64 and a clipboard
    code, pinned = run(capsys, *init, *order, "--fingerprint", padded)
    assert code == 0
    assert Path(pinned["file"]) == folder.parent / "site" / "trust" / "root.json"
    code, shown = run(capsys, "trust", "show")
    assert (code, {name: shown[name] for name in told}) == (0, told)
    assert [item["version"] for item in shown["history"]] == [1]
    assert [signer["name"] for signer in shown["signers"]] == ["anna", "ben"]


def test_other_fingerprint_is_refused_with_both_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "SHA256:" + "A" * 43
    init = ("trust", "init", "--signer", folder / "anna.pub", "--fingerprint", told)
    for more in ((), ("--yes",)):
        code, error = run(capsys, *init, *more)
        assert (code, error["code"]) == (1, "wrong-fingerprint")
        assert error["details"]["expected"] == told
        assert error["details"]["found"] in error["error"]
    assert not (folder.parent / "site").exists()


def test_second_init_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "trust", "init", "--signer", folder / "anna.pub", "--yes")[0] == 0
    code, error = run(capsys, "trust", "init", "--signer", folder / "ben.pub", "--yes")
    assert (code, error["code"]) == (1, "trust-root-exists")


def test_nobody_to_ask(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = run(capsys, "trust", "init", "--signer", folder / "anna.pub")
    assert (code, error["code"]) == (2, "usage")
    assert "SHA256:" in error["error"]
    assert not (folder.parent / "site").exists()


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("no", 2), ("", 2)])
@pytest.mark.parametrize("quiet", [False, True])
def test_yes_after_it_was_shown(folder: Path, answer: str, code: int, quiet: bool) -> None:
    more = ["--quiet"] if quiet else []
    command = ["trust", "init", "--signer", str(folder / "anna.pub"), *more]
    done, seen = converse(command, [("[y/N]", answer)])
    assert "Pin the trust root SHA256:" in seen
    assert done == code
    assert (folder.parent / "site" / "trust" / "root.json").exists() == (code == 0)


@pytest.mark.parametrize("verb", ["show", "export"])
def test_no_root_yet(folder: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = run(capsys, "trust", verb)
    assert (code, error["code"]) == (1, "no-trust-root")
    assert "trust init" in error["hint"]


def test_signer_is_named_by_the_one_who_pins(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    public = folder / "anna.pub"
    public.write_text(public.read_text().replace(" anna", " Anna at her desk"))
    code, error = run(capsys, "trust", "init", "--signer", public, "--dry-run")
    assert (code, error["code"]) == (1, "bad-trust-root")
    assert "--signer NAME=FILE.pub" in error["hint"]
    code, shown = run(capsys, "trust", "init", "--signer", f"anna.k={public}", "--dry-run")
    assert (code, shown["signers"][0]["name"]) == (0, "anna.k")


def test_file_with_an_equals_sign(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = (folder / "anna.pub").rename(folder / "a=b.pub")
    assert run(capsys, "trust", "init", "--signer", odd, "--dry-run")[0] == 0


def test_threshold_out_of_reach(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    signers = ("--signer", folder / "anna.pub", "--signer", folder / "ben.pub")
    code, error = run(capsys, "trust", "init", *signers, "--threshold", 3, "--yes")
    assert (code, error["code"]) == (1, "bad-trust-root")
    assert "between 1 and the number of signers" in error["hint"]


@pytest.mark.parametrize("threshold", [0, -1])
def test_threshold_that_asks_for_nobody(
    folder: Path, threshold: int, capsys: pytest.CaptureFixture[str]
) -> None:
    signer = ("--signer", folder / "anna.pub")
    code, error = run(capsys, "trust", "init", *signer, "--threshold", threshold, "--yes")
    assert (code, error["code"]) == (2, "usage")
    assert "--threshold" in error["error"]


def test_exported_file_serves_the_courier(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "trust", "init", "--signer", folder / "anna.pub", "--yes")[0] == 0
    exported = folder / "allowed_signers"
    assert main(["trust", "export", "--out", str(exported)]) == 0
    capsys.readouterr()
    assert main(["trust", "export"]) == 0
    assert capsys.readouterr().out == exported.read_text()
    armored = sshsig.sign(MESSAGE, keys.load_private(folder / "anna"), BUNDLE)
    stranger = sshsig.sign(MESSAGE, keys.load_private(folder / "ben"), BUNDLE)
    allowed = exported.read_text()
    assert ssh_verify(folder, allowed, "anna", armored, BUNDLE)
    assert not ssh_verify(folder, allowed, "anna", armored, VOLUMES)
    assert not ssh_verify(folder, allowed, "anna", stranger, BUNDLE)


def test_export_to_where_nothing_can_be(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "trust", "init", "--signer", folder / "anna.pub", "--yes")[0] == 0
    code, error = run(capsys, "trust", "export", "--out", folder / "none" / "file")
    assert (code, error["code"]) == (1, "system-failure")
    assert error["error"] == f"{folder}/none/file: No such file or directory"
