"""goosectl infra, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from goosectl.main import main
from tests.daemon.infra_site import HASH, MACHINE_YAML, PROFILE_YAML, SITE_YAML

EXAMPLES = Path(__file__).parents[2] / "examples" / "infra"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path))
    (tmp_path / "infra").mkdir()
    site = SITE_YAML + f"rootPasswordHash: {HASH}\n"
    text = f"{site}---\n{PROFILE_YAML}---\n{MACHINE_YAML}labels: {{role: db, rack: a1}}\n"
    (tmp_path / "infra" / "site.yaml").write_text(text)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["infra", *args])
    said = capsys.readouterr()
    return code, said.out, said.err


# The Windows example's password is at no site here.
ELSEWHERE = "secrets are looked at where they are kept: 1 was not, here\n"


def test_validate_the_examples(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "validate", str(EXAMPLES))
    assert (code, err) == (0, ELSEWHERE)
    assert out == "site-a: 5 machines and 3 profiles are valid for their releases\n"
    code, out, _ = run(capsys, "validate", str(EXAMPLES), "--json")
    assert json.loads(out) | {"debconf": True} == {
        "site": "site-a",
        "machines": 5,
        "profiles": 3,
        "debconf": True,
    }


def test_validate_the_site_remarks_on_content_that_is_not_there(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "validate")
    assert code == 0
    assert out.startswith("lab: 1 machine and 1 profile are valid")
    assert err == ("not yet: OSProfile rhel9 needs bundle site-base, which is not imported\n")


def test_validate_says_when_debconf_had_no_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from goosed_daemon.infra import validate

    monkeypatch.setattr(validate, "debconf", lambda: None)
    code, _out, err = run(capsys, "validate", str(EXAMPLES))
    assert code == 0
    assert err == (
        f"debconf is not installed here: preseeds were checked by their form alone\n{ELSEWHERE}"
    )


def test_validate_lists_every_mistake_at_once(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = home / "infra" / "more.yaml"
    more.write_text(MACHINE_YAML.replace("profile", "profle") + "hostname: a b\n")
    code, out, err = run(capsys, "validate")
    assert (code, out) == (1, "")
    hint = "name an OSProfile here, or in a group that selects this machine"
    assert err.splitlines()[:3] == [
        f"error: {more}:1:1: profile: is missing ({hint})",
        f"{more}:5:1: profle: no such field (did you mean profile?)",
        f"{more}:6:11: hostname: 'a b' is not a host name",
    ]
    code, out, err = run(capsys, "validate", "--json")
    problem = json.loads(err.splitlines()[-1])
    assert problem["code"] == "invalid-document"
    assert [p["line"] for p in problem["details"]["problems"]] == [1, 5, 6]


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "validate", str(tmp_path / "gone"))
    assert code == 2
    assert f"there is no folder {tmp_path}/gone" in err
    (tmp_path / "file").touch()
    code, _, err = run(capsys, "validate", str(tmp_path / "file"))
    assert code == 2
    assert f"{tmp_path}/file is not a folder" in err


def test_list(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert out.splitlines()[1].split() == [
        "db-1",
        "52:54:00:12:34:56",
        "rhel9",
        "rhel9",
        "role=db,",
        "rack=a1",
        f"{home}/infra/site.yaml:20",
    ]
    _, out, _ = run(capsys, "list", "--json")
    (item,) = json.loads(out)["items"]
    assert item["labels"] == {"role": "db", "rack": "a1"}


@pytest.mark.parametrize("name", ["db-1", "52-54-00-12-34-56"])
def test_show_hides_secrets(home: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = run(capsys, "show", name)
    assert code == 0
    assert "rootPasswordHash: (not shown)" in out
    assert HASH not in out
    _, out, _ = run(capsys, "show", name, "--json")
    shown = json.loads(out)
    assert shown["machine"]["mac"] == ["52:54:00:12:34:56"]
    assert shown["places"]["machine"] == f"{home}/infra/site.yaml:20"
    assert HASH not in out


def test_render_hides_secrets_until_they_are_to_be_revealed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "render", "db-1")
    assert code == 0
    assert out.startswith("# db-1: profile rhel9, bundle site-base current\n")
    assert "rootpw --iscrypted '(not shown)'\n" in out
    assert HASH not in out
    _, shown, _ = run(capsys, "render", "db-1", "--json")
    assert json.loads(shown)["text"] == out
    code, out, _ = run(capsys, "render", "db-1", "--reveal")
    assert f"rootpw --iscrypted '{HASH}'\n" in out


def test_show_tells_of_each_field_who_said_it_and_who_was_overruled(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = (
        "apiVersion: goose/v1\nkind: Group\nname: dbs\nselector: {matchLabels: {role: db}}\n"
        f"console: ttyS1\ntimezone: Europe/Berlin\nrootPasswordHash: {HASH}\n"
        "variables: {A: '1', B: '2'}\n"
    )
    site = home / "infra" / "site.yaml"
    site.write_text(site.read_text() + "console: ttyS0\nvariables: {A: '3'}\n---\n" + group)
    code, out, _ = run(capsys, "show", "db-1")
    assert code == 0
    lines = [" ".join(line.replace(f"{site}", "site.yaml").split()) for line in out.splitlines()]
    assert lines[0] == "# Machine db-1: profile rhel9, groups dbs"
    place = "Group dbs, site.yaml:33; overrules (not shown) of Site lab, site.yaml:4"
    for line in (
        "console: ttyS0 # Machine db-1, site.yaml:24; overrules ttyS1 of Group dbs, site.yaml:31",
        "timezone: Europe/Berlin # Group dbs, site.yaml:32",
        "language: en_US.UTF-8 # default",
        f"rootPasswordHash: (not shown) # {place}",
        "variables.A: 3 # Machine db-1, site.yaml:25; overrules 1 of Group dbs, site.yaml:34",
        "variables.B: 2 # Group dbs, site.yaml:34",
        "disk: {device: sda} # OSProfile rhel9, site.yaml:15",
    ):
        assert line in lines, line
    assert HASH not in out
    _, out, _ = run(capsys, "show", "db-1", "--json")
    assert HASH not in out
    told = {field["field"]: field for field in json.loads(out)["fields"]}
    assert told["console"]["overruled"][0]["value"] == "ttyS1"
    assert told["console"]["origin"]["line"] == 24


@pytest.mark.parametrize(("name", "hint"), [("db1", "did you mean db-1?"), ("zz", "infra list")])
def test_a_machine_that_is_not_there(
    home: Path, capsys: pytest.CaptureFixture[str], name: str, hint: str
) -> None:
    code, _, err = run(capsys, "show", name)
    assert code == 1
    assert f"no machine has the name or MAC {name!r}" in err
    assert hint in err
