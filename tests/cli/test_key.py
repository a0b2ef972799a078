"""goosectl key, as a person and as a script meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bundles.signing import keys
from bundles.signing.sshsig import VOLUMES
from goosectl.main import main
from tests.bundles.signing import ssh_keygen, ssh_verify
from tests.cli.terminal import converse


def test_new_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "new", "release", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    fingerprint = ssh_keygen("-lf", tmp_path / "release.pub").split()[1]
    assert out == (
        f"wrote {tmp_path}/release (keep it secret) and {tmp_path}/release.pub\n{fingerprint}\n"
    )


def test_new_for_scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "new", "release", "--out", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert Path(said["key"]).stat().st_mode & 0o777 == 0o600
    assert said["fingerprint"] in ssh_keygen("-lf", said["public"])


def test_new_again_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["key", "new", "release", "--out", str(tmp_path)]
    assert main(command) == 0
    before = (tmp_path / "release").read_bytes()
    assert main([*command, "--json"]) == 1
    assert json.loads(capsys.readouterr().err)["code"] == "key-exists"
    assert (tmp_path / "release").read_bytes() == before


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "-x", "a b", "a\nb", "a,b", "a" * 65])
@pytest.mark.parametrize("verb", ["new", "new-recipient"])
def test_odd_names_are_refused(
    tmp_path: Path, verb: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["key", verb, "--out", str(tmp_path), "--", name]) == 2
    assert "cannot be a key's name" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_new_recipient_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "new-recipient", "site-a", "--out", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert Path(said["public"]).read_text() == said["recipient"] + "\n"
    for path in (said["key"], said["public"]):
        assert main(["key", "show", path]) == 0
        shown = capsys.readouterr().out
        assert said["recipient"] in shown
        assert "SECRET" not in shown


def test_show_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "show", str(tmp_path / "none"), "--json"]) == 1
    assert json.loads(capsys.readouterr().err)["code"] == "bad-key"


def test_passphrase_where_nobody_can_be_asked(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "goosectl", "key", "new", "k", "--passphrase"]
    done = subprocess.run(
        [*command, "--out", tmp_path], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "nobody is there to be asked for a passphrase" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("first", "second", "code", "words"),
    [
        ("horse", "horse", 0, "wrote"),
        ("horse", "house", 2, "the two passphrases differ"),
        ("", None, 2, "the passphrase is empty"),
    ],
)
def test_passphrase_is_asked_twice_on_a_terminal(
    tmp_path: Path, first: str, second: str | None, code: int, words: str
) -> None:
    answers = [("Passphrase for the new key:", first)]
    answers += [("The same again:", second)] if second else []
    command = ["key", "new", "k", "--passphrase", "--out", str(tmp_path)]
    done, seen = converse(command, answers)
    assert (done, words in seen) == (code, True)
    assert "horse" not in seen
    if code == 0:
        assert ssh_keygen("-y", "-P", "horse", "-f", tmp_path / "k")
    else:
        assert list(tmp_path.iterdir()) == []


RECIPE = """\
apiVersion: goose/v1
kind: Bundle
name: base
version: 1.0.0
audience: any
contents:
  - file: ./recipe.yaml
    as: recipe.yaml
"""


def test_passphrase_of_a_key_is_asked_for_when_it_signs(tmp_path: Path) -> None:
    keys.new_signing(tmp_path, "k", "horse")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    command = ["bundle", "build", str(recipe), "--key", str(tmp_path / "k"), "--out"]
    prompt = f"Passphrase of {tmp_path}/k:"
    code, seen = converse([*command, str(tmp_path / "wrong")], [(prompt, "house")])
    assert (code, "wrong passphrase" in seen) == (1, True)
    code, seen = converse([*command, str(tmp_path / "right")], [(prompt, "horse")])
    assert (code, "horse" in seen) == (0, False)
    listing = (tmp_path / "right" / "base-1.0.0.volumes.json").read_bytes()
    armored = (tmp_path / "right" / "base-1.0.0.volumes.json.sig").read_bytes()
    public, _ = keys.load_public(tmp_path / "k.pub")
    assert ssh_verify(tmp_path, f"k {public.openssh}\n", "k", armored, VOLUMES, message=listing)
    command = [sys.executable, "-m", "goosectl", *command, str(tmp_path / "nobody")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, "is protected by a passphrase" in done.stderr) == (1, True)
