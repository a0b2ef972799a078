"""goosectl bundle diff, as a person and as a script meet it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from goosectl.main import main
from tests.bundles import packaging

RECIPE = """\
apiVersion: goose/v1
kind: Bundle
name: base
version: {version}
audience: any
contents:
  - tree: ./content
    as: os
"""


class Bench:
    """Builds versions of a bundle and compares them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.content, self._capsys = folder / "content", capsys
        self.content.mkdir()
        (self.content / "motd").write_text("welcome\n")
        self.ok("key", "new", "release")
        self.ok("trust", "init", "--signer", "release.pub", "--yes")

    def run(self, *words: str) -> tuple[int, str, str]:
        code = main(list(words))
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def ok(self, *words: str) -> str:
        code, out, err = self.run(*words)
        assert code == 0, err
        return out

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))

    def build(self, version: str, *options: str) -> str:
        Path("base.yaml").write_text(RECIPE.format(version=version))
        out = f"media-{version}"
        self.ok("bundle", "build", "base.yaml", "--key", "release", "--out", out, *options)
        return out


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    return Bench(tmp_path, capsys)


def versions(bench: Bench) -> tuple[str, str]:
    """Two versions with one change of each sort."""
    rpm = packaging.rpm(bench.content)
    (bench.content / "old").write_text("moves\n")
    (bench.content / "run").write_text("runs\n")
    first = bench.build("1.0.0")
    rpm.unlink()
    packaging.rpm(bench.content, version="1.10.0")
    packaging.deb(bench.content)
    (bench.content / "old").rename(bench.content / "new")
    (bench.content / "run").chmod(0o755)
    (bench.content / "motd").write_text("welcome back\n")
    return first, bench.build("1.1.0")


def test_a_person_sees_packages_files_and_what_a_delta_ships(bench: Bench) -> None:
    first, second = versions(bench)
    said = bench.ok("bundle", "diff", first, second)
    assert said.splitlines()[0] == "base 1.0.0 -> base 1.1.0"
    for line in (
        "packages: 1 upgraded, 1 added",
        "  upgraded   hello 1.2.3-4.el9 -> 1.10.0-4.el9 (rpm noarch)",
        "  added      hello 1:1.2-3 (deb amd64)",
        "  renamed  os/old -> os/new (6 B)",
        "  mode     os/run (0644 -> 0755)",
        "  changed  os/motd (8 B -> 13 B)",
    ):
        assert line in said.splitlines()
    assert "a delta ships at most " in said
    assert "goose/" not in said


def test_a_script_gets_every_change(bench: Bench) -> None:
    first, second = versions(bench)
    told = bench.json("bundle", "diff", first, second, "--files")
    assert (told["a"]["version"], told["b"]["version"], told["same"]) == ("1.0.0", "1.1.0", False)
    assert told["packages"][0] == {
        "change": "upgraded",
        "kind": "rpm",
        "name": "hello",
        "arch": "noarch",
        "old": ["1.2.3-4.el9"],
        "new": ["1.10.0-4.el9"],
    }
    found = {each["change"]: each for each in told["files"]}
    assert list(found) == ["added", "removed", "changed", "renamed", "mode"]
    assert found["renamed"]["old"]["path"] == "os/old"
    assert found["changed"]["new"]["bytes"] == 13
    assert told["counts"]["changed"] == {"files": 1, "bytes": 13}
    added = Path(bench.content, "hello-1.10.0-4.el9.noarch.rpm").stat().st_size
    assert told["new_bytes"] > added
    assert bench.json("bundle", "diff", first, second)["files"] is None


def test_going_back_is_warned_about(bench: Bench) -> None:
    first, second = versions(bench)
    code, out, err = bench.run("bundle", "diff", second, first)
    assert (code, "DOWNGRADED hello 1.10.0-4.el9 -> 1.2.3-4.el9" in out) == (0, True)
    assert "warning: 1 package is older in base 1.0.0" in err


def test_the_exit_code_says_whether_content_differs(bench: Bench) -> None:
    first, second = versions(bench)
    assert bench.run("bundle", "diff", first, second, "--exit-code")[0] == 1
    assert bench.run("bundle", "diff", first, first, "--exit-code")[0] == 0
    # Another version of the same content: what the builder adds does not count.
    again = bench.build("1.2.0")
    code, out, _ = bench.run("bundle", "diff", second, again, "--exit-code")
    assert (code, "files: no change" in out, "packages: no change" in out) == (0, True, True)


def test_a_bundle_of_the_store_is_named(bench: Bench) -> None:
    first, second = versions(bench)
    bench.ok("bundle", "import", first)
    stored = bench.json("bundle", "diff", "base@1.0.0", second, "--files")
    assert stored == bench.json("bundle", "diff", first, second, "--files")
    assert bench.json("bundle", "diff", "base", first)["same"] is True
    code, _, err = bench.run("bundle", "diff", "base@9", second)
    assert (code, "base@9 is not in the store" in err) == (1, True)


def test_a_delta_is_compared_by_what_it_makes(bench: Bench) -> None:
    first, second = versions(bench)
    expected = bench.json("bundle", "diff", first, second, "--files")
    Path("base.yaml").write_text(RECIPE.format(version="1.1.0"))
    made = ("--key", "release", "--out", "delta", "--since", first)
    bench.ok("bundle", "build", "base.yaml", *made)
    assert bench.json("bundle", "diff", first, "delta", "--files") == expected
    bench.ok("bundle", "import", first)
    assert bench.json("bundle", "diff", "base", "delta", "--files") == expected


def test_without_the_last_volume_files_are_compared_and_packages_are_not(bench: Bench) -> None:
    (bench.content / "large").write_bytes(random.Random(1).randbytes(400_000))
    folder = bench.build("1.0.0", "--volume-size", "300k")
    first = str(min(Path(folder).glob("*.tar")))
    code, out, err = bench.run("bundle", "diff", first, folder)
    assert (code, "files: no change" in out, "packages:" in out) == (0, True, False)
    assert "packages are not compared: goose/sbom.cdx.json is in volume " in err
    told = bench.json("bundle", "diff", first, folder)
    assert told["packages"] is None and "not given" in told["packages_not_compared"]


def test_many_changes_are_counted_and_the_largest_shown(bench: Bench) -> None:
    first = bench.build("1.0.0")
    for number in range(50):
        (bench.content / f"file{number:02d}").write_bytes(bytes(number + 1))
    second = bench.build("1.1.0")
    said = bench.ok("bundle", "diff", first, second)
    assert "files: 50 added (1.3 kB)" in said
    assert "os/file49" in said and "os/file29 " not in said
    assert "  ... and 30 more; --files lists all" in said.splitlines()
    assert "os/file00" in bench.ok("bundle", "diff", first, second, "--files")


def test_a_hostile_name_cannot_command_the_terminal(bench: Bench) -> None:
    first = bench.build("1.0.0")
    (bench.content / "a\u202eb\u2028c").write_text("x")
    said = bench.ok("bundle", "diff", first, bench.build("1.1.0"))
    assert "\u202e" not in said and "\u2028" not in said
    assert "u202e" in said
