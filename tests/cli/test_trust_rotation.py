"""goosectl trust rotate, sign, import: the ceremony between several people and a site."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bundles.format.statement import parse_time
from bundles.signing import keys
from bundles.signing.sshsig import TRUST
from bundles.signing.trust import TrustedSigner, TrustRoot
from goosectl.main import main
from goosectl.trust import words
from goosed_daemon.home import Home
from goosed_daemon.state import connect
from tests.bundles.signing import signer, ssh_keygen
from tests.cli.terminal import converse
from tests.parts import part

DOCS = Path(__file__).resolve().parents[2] / "docs" / "trust.md"


class Ceremony:
    """Keys of four people, the release engineer's machine, and a site; two of three sign."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.folder, self._capsys, self._monkeypatch = folder, capsys, monkeypatch
        for name in ("anna", "ben", "cleo", "dora"):
            keys.new_signing(folder, name)
        signers = [word for n in ("anna", "ben", "cleo") for word in ("--signer", f"{n}.pub")]
        for home in ("engineer", "site"):
            self.ok(home, "trust", "init", *signers, "--threshold", "2", "--yes")

    def run(self, home: str, *words: str) -> tuple[int, Any]:
        """The exit code, and the object on stdout or stderr."""
        self._monkeypatch.setenv("GOOSE_HOME", str(self.folder / home))
        code = main([*words, "--json"])
        out, err = self._capsys.readouterr()
        return code, json.loads(out if code == 0 else err)

    def ok(self, home: str, *words: str) -> Any:
        code, said = self.run(home, *words)
        assert code == 0, said
        return said

    def text(self, home: str, *words: str) -> str:
        self._monkeypatch.setenv("GOOSE_HOME", str(self.folder / home))
        assert main([*words]) == 0
        return self._capsys.readouterr().out

    def refused(self, home: str, *words: str) -> str:
        code, said = self.run(home, *words)
        assert code == 1
        return str(said["code"])


@pytest.fixture
def people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ceremony:
    monkeypatch.chdir(tmp_path)
    return Ceremony(tmp_path, capsys, monkeypatch)


def test_from_a_proposal_to_the_site(people: Ceremony) -> None:
    made = people.ok("engineer", "trust", "rotate", "--remove", "anna", "--add", "dora.pub")
    assert (made["file"], made["version"], made["standing"]["complete"]) == (
        *("root-2.trust", 2),
        False,
    )
    assert people.refused("site", "trust", "import", "root-2.trust") == "too-few-signatures"
    people.ok("elsewhere", "trust", "sign", "root-2.trust", "--key", "ben", "--yes")
    done = people.ok("engineer", "trust", "sign", "root-2.trust", "--key", "dora", "--yes")
    before, after = done["standing"]["judged_by"]
    assert (before["signed"], before["may_sign"]) == (["ben"], ["anna", "cleo"])
    assert (after["signed"], after["needed"]) == (["ben", "dora"], 2)
    done = people.ok("engineer", "trust", "sign", "root-2.trust", "--key", "cleo", "--yes")
    assert done["standing"]["complete"] is True
    looked = people.ok("site", "trust", "import", "root-2.trust", "--dry-run")
    assert (looked["version"], looked["in_force"]) == (2, False)
    assert people.ok("site", "trust", "show")["version"] == 1
    taken = people.ok("site", "trust", "import", "root-2.trust")
    assert (taken["version"], taken["in_force"]) == (2, True)
    assert taken["versions"][0]["signed"] == ["ben", "cleo", "dora"]
    shown = people.ok("site", "trust", "show")
    assert shown["fingerprint"] == made["fingerprint"]
    assert [item["version"] for item in shown["history"]] == [1, 2]
    assert any("removes anna" in line for line in shown["history"][1]["changes"])
    assert people.ok("site", "trust", "import", "root-2.trust")["versions"] == []


def test_copies_signed_in_different_places_add_up(people: Ceremony) -> None:
    people.ok("engineer", "trust", "rotate", "--threshold", "3", "--key", "anna")
    for name in ("ben", "cleo"):
        shutil.copy("root-2.trust", f"{name}.trust")
        people.ok("elsewhere", "trust", "sign", f"{name}.trust", "--key", name, "--yes")
        assert people.refused("site", "trust", "import", f"{name}.trust") == "too-few-signatures"
    people.ok("engineer", "trust", "import", "ben.trust", "cleo.trust")
    people.ok("engineer", "trust", "export", "--chain", "--out", "whole.trust")
    assert people.ok("site", "trust", "import", "whole.trust")["version"] == 2


def test_site_that_fell_behind_and_a_new_site(people: Ceremony) -> None:
    both = ("--key", "anna", "--key", "ben")
    for version, threshold in ((2, 1), (3, 2)):
        people.ok("engineer", "trust", "rotate", "--threshold", str(threshold), *both)
        made = people.ok("engineer", "trust", "import", f"root-{version}.trust")
    people.ok("site", "trust", "import", "root-3.trust")
    pin = ("trust", "init", "--chain", "root-3.trust", "--fingerprint")
    assert people.refused("new", *pin, "SHA256:" + "A" * 43) == "wrong-fingerprint"
    people.ok("new", *pin, made["fingerprint"])
    assert people.ok("new", "trust", "show") == people.ok("site", "trust", "show")
    assert people.refused("site", "trust", "import", "root-2.trust") == "trust-rollback"


def test_proposal_is_not_pinned(people: Ceremony) -> None:
    people.ok("engineer", "trust", "rotate", "--threshold", "1")
    pin = ("trust", "init", "--chain", "root-2.trust", "--yes")
    assert people.refused("new", *pin) == "too-few-signatures"


def test_rotation_is_written_to_the_audit_log(people: Ceremony) -> None:
    people.ok("engineer", "trust", "rotate", "--threshold", "1", "--key", "anna", "--key", "ben")
    for _ in range(2):  # the second changes nothing
        said = people.ok("site", "trust", "import", "root-2.trust")
    state = connect(Home(people.folder / "site"))
    with state.read() as transaction:
        ((kind, detail),) = transaction.execute("select kind, detail from events")
    state.close()
    assert kind == "trust-rotated"
    assert json.loads(detail)["fingerprint"] == said["fingerprint"]
    assert json.loads(detail)["signed"] == ["anna", "ben"]


def test_show_of_a_file_says_whose_signature_is_missing(people: Ceremony) -> None:
    people.ok("engineer", "trust", "rotate", "--threshold", "1", "--key", "anna")
    text = people.text("site", "trust", "show", "root-2.trust")
    assert "version 1 asks for 2: signed by anna; can still sign: ben, cleo" in text
    assert "version 2 asks for 1: signed by anna\n" in text
    assert "threshold 1 instead of 2" in text


def test_show_warns_of_what_expires_soon(people: Ceremony) -> None:
    soon = (datetime.now(UTC) + timedelta(days=20, hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    limits = [word for n in ("anna", "ben") for word in ("--valid-before", f"{n}={soon}")]
    both = ("--key", "anna", "--key", "ben")
    people.ok("engineer", "trust", "rotate", *limits, *both)
    warned = people.ok("engineer", "trust", "import", "root-2.trust")["warnings"]
    assert [item.get("signer") for item in warned[:2]] == ["anna", "ben"]
    assert {item["namespace"] for item in warned[2:]} == {
        *("goose-bundle@v1", "goose-install@v1", "goose-trust@v1", "goose-volumes@v1")
    }
    text = people.text("engineer", "trust", "show")
    assert f"attention: anna expires in 20 days: {soon}" in text
    after = (parse_time(soon) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert f"attention: too few signers are left for trust from {after} on: rotate before" in text


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EARLIER, SOON, LATER = "2020-11-24T11:00:00Z", "2026-12-24T12:00:00Z", "2027-11-24T12:00:00Z"


@pytest.mark.parametrize(
    ("limits", "signers", "kinds"),
    [
        ([(None, None)] * 3, 0, []),
        ([(None, LATER)] * 3, 0, []),
        ([(None, SOON), (None, None), (None, None)], 1, []),
        ([(None, SOON), (None, LATER), (None, None)], 1, []),
        ([(None, SOON), (None, SOON), (None, None)], 2, ["2026-12-24T12:00:01Z"]),
        ([(None, EARLIER), (None, SOON), (None, None)], 2, ["2026-12-24T12:00:01Z"]),
        ([(None, EARLIER), (None, EARLIER), (None, None)], 2, [None]),
        ([(SOON, None), (SOON, None), (None, None)], 2, [None]),
        ([(SOON, None), (None, LATER), (None, None)], 1, []),
    ],
)
def test_warnings(
    limits: list[tuple[str | None, str | None]], signers: int, kinds: list[str | None]
) -> None:
    """Two of three must sign trust roots; one signer is warned of at his own end, all at theirs."""
    root = TrustRoot(
        1,
        2,
        tuple(
            TrustedSigner(name, signer(number).public, (TRUST,), *limit)
            for number, (name, limit) in enumerate(zip("abc", limits, strict=True), 1)
        ),
    )
    found = words.warnings(root, NOW)
    assert sum("signer" in item for item in found) == signers
    assert [item.get("from") for item in found if "namespace" in item] == kinds


def test_every_option_of_rotate(people: Ceremony) -> None:
    made = people.ok(
        *("engineer", "trust", "rotate", "--add", "d=dora.pub", "--may", "d=bundle,volumes"),
        *("--threshold-for", "trust=3", "--valid-after", "d=2026-01-01T00:00:00Z"),
        *("--valid-before", "d=2036-01-01T00:00:00Z", "--out", "next.trust"),
    )
    dora = made["signers"][3]
    assert (dora["name"], dora["namespaces"]) == ("d", ["goose-bundle@v1", "goose-volumes@v1"])
    assert (dora["valid_after"], dora["valid_before"]) == (
        "2026-01-01T00:00:00Z",
        "2036-01-01T00:00:00Z",
    )
    assert made["thresholds"] == {"goose-trust@v1": 3}
    again = people.ok(
        *("engineer", "trust", "rotate", "--chain", "next.trust", "--threshold-for", "trust=none"),
        *("--valid-before", "d=none"),
    )
    assert (again["version"], again["thresholds"]) == (3, {})
    assert again["signers"][3]["valid_before"] is None


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--threshold", "2"),
        ("--remove", "eve"),
        ("--threshold-for", "trust=many"),
        ("--threshold-for", "file=1"),
        ("--may", "anna=file"),
        ("--may", "anna"),
        ("--valid-before", "anna="),
        ("--threshold", "1", "--out", "anna"),
    ],
)
def test_rotate_used_wrongly(people: Ceremony, words: tuple[str, ...]) -> None:
    code, said = people.run("engineer", "trust", "rotate", *words)
    assert (code, said["code"]) == (2, "usage")
    assert not Path("root-2.trust").exists()


def test_a_removed_key_does_not_come_back_unseen(people: Ceremony) -> None:
    both = ("--key", "ben", "--key", "cleo")
    people.ok("engineer", "trust", "rotate", "--remove", "anna", *both)
    people.ok("engineer", "trust", "import", "root-2.trust")
    made = people.ok("engineer", "trust", "rotate", "--add", "other=anna.pub", *both)
    assert made["doubts"] == ["other comes back with a key that version 2 removed"]
    text = people.text("engineer", "trust", "show", "root-3.trust")
    assert "attention: other comes back with a key that version 2 removed" in text
    text = people.text("engineer", "trust", "sign", "root-3.trust", "--key", "ben", "--yes")
    assert "complete: carry it" in text
    plain = people.ok("engineer", "trust", "rotate", "--add", "dora.pub", "--out", "x.trust")
    assert plain["doubts"] == []


def test_proposal_that_nobody_could_follow_is_doubted(people: Ceremony) -> None:
    limits = [word for n in ("anna", "ben") for word in ("--valid-before", f"{n}={EARLIER}")]
    made = people.ok("engineer", "trust", "rotate", *limits)
    assert "too few signers are valid now for trust" in made["doubts"]


def test_a_stranger_does_not_sign(people: Ceremony) -> None:
    people.ok("engineer", "trust", "rotate", "--threshold", "1")
    sign = ("trust", "sign", "root-2.trust", "--yes", "--key", "dora")
    assert people.refused("engineer", *sign) == "unknown-signer"


def test_a_signer_does_not_sign_for_another_site(people: Ceremony) -> None:
    people.ok("other", "trust", "init", "--signer", "anna.pub", "--yes")
    people.ok("other", "trust", "rotate", "--add", "dora.pub")
    sign = ("trust", "sign", "root-2.trust", "--key", "anna", "--yes")
    assert people.refused("engineer", *sign) == "other-trust-root"


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2)])
def test_a_signer_sees_what_he_signs(people: Ceremony, answer: str, code: int) -> None:
    made = people.ok("engineer", "trust", "rotate", "--remove", "cleo")
    before = Path("root-2.trust").read_bytes()
    command = ["trust", "sign", "root-2.trust", "--key", "ben"]
    done, seen = converse(command, [("[y/N]", answer)])
    assert done == code
    assert "removes cleo" in seen
    assert f"Sign version 2, {made['fingerprint']}?" in seen
    assert (Path("root-2.trust").read_bytes() == before) == (answer == "n")


def test_import_of_what_is_none(people: Ceremony) -> None:
    assert people.refused("site", "trust", "import", "anna.pub") == "bad-trust-chain"
    assert people.refused("site", "trust", "import", "nowhere") == "bad-trust-chain"
    assert people.refused("none", "trust", "import", "anna.pub") == "no-trust-root"


def ceremony_of_the_docs() -> dict[str, str]:
    """The commands of docs/trust.md by their heading."""
    text = DOCS.read_text()
    section = text[text.index("### The ceremony with stock tools") :]
    blocks = re.findall(r"\*\*(\w+\.)\*\*.*\n(?:.+\n)*\n((?:    .*\n|\n)+)", section)
    return {name: re.sub("^    ", "", block, flags=re.MULTILINE) for name, block in blocks}


def test_the_ceremony_of_the_docs_with_stock_tools(people: Ceremony) -> None:
    """Exactly the commands of docs/trust.md, by people without goosectl."""
    part("ssh-keygen")
    blocks = ceremony_of_the_docs()
    assert list(blocks) == ["Propose.", "Sign.", "Complete.", "Check."]
    people.ok("engineer", "trust", "export", "--chain", "--out", "root-1.trust")
    script = "set -eux -o pipefail\n" + "".join(blocks.values())
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('Good "goose-trust@v1" signature') == 4
    taken = people.ok("site", "trust", "import", "root-2.trust")
    assert taken["versions"][0]["signed"] == ["ben", "cleo"]
    assert taken["fingerprint"] in done.stdout
    assert [signer["name"] for signer in taken["versions"][0]["signers"]] == ["ben", "cleo", "dora"]
    assert (
        ssh_keygen("-lf", "dora.pub").split()[1]
        == taken["versions"][0]["signers"][2]["fingerprint"]
    )
