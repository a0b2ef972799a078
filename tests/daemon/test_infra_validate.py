"""The release's own parser has the last word; the examples and the documentation are held to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from goosed_daemon import infra
from goosed_daemon.infra import reference, validate
from tests.daemon.infra_site import MACHINE_YAML, PROFILE_YAML, SITE_YAML, boot, profile
from tests.parts import part

ROOT = Path(__file__).parents[2]
GOOD_PRESEED = "d-i time/zone string UTC\n# remark\n\nd-i pkgsel/include string \\\n  a b\n"


@pytest.mark.parametrize(
    ("release", "text", "line", "words"),
    [
        ("rhel9", "timezone UTC\nfrobnicate --now\n", 2, "Unknown command: frobnicate"),
        ("rhel9", "lang a b\n", 1, "lang"),
        ("rhel9", "install\n", 1, "install has been removed"),
        ("rhel10", "auth --useshadow\n", 1, "auth"),
        ("rhel10", "timezone UTC --ntpservers=a\n", 1, "ntpservers"),
        ("rhel8", "timesource --ntp-server=a\n", 1, "Unknown command: timesource"),
        ("rhel9", "%post\nid\n", 2, "does not end with %end"),
        ("rhel9", "rootpw 'a\n", None, "No closing quotation"),
        ("rhel9", "timezone UTC --ntpservers=a\n", None, "deprecated"),
        ("rhel10", "vnc\n", None, "deprecated"),
        ("rhel9", "user --name=a\nuser --name=a\n", None, "already been defined"),
    ],
)
def test_kickstart_is_judged_as_its_release_would(
    release: str, text: str, line: int | None, words: str
) -> None:
    (found,) = validate.check_kickstart(release, text)
    assert found[0] == line
    assert words in found[1]


def test_a_second_ssh_key_is_no_mistake() -> None:
    key = 'sshkey --username=a "ssh-ed25519 AAAA{}"\n'
    assert validate.check_kickstart("rhel9", key.format(1) + key.format(2)) == []


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize(
    ("wrong", "line"),
    [("d-i\n", 1), ("d-i time/zone\n", 1), ("x\n" + GOOD_PRESEED, 1), ("d-i a/b strng c\n", 1)],
)
def test_malformed_preseed(
    wrong: str, line: int, real: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By debconf itself, and by what stands in for it where it is missing."""
    if real:
        part("debconf-set-selections")
        monkeypatch.setattr(validate, "_check_lines", lambda text: iter(()))
    else:
        monkeypatch.setattr(validate, "debconf", lambda: None)
    assert validate.check_preseed(GOOD_PRESEED) == []
    (found,) = validate.check_preseed(wrong)
    assert found[0] == (None if real else line)


def test_findings_name_machine_profile_release_and_line(tmp_path: Path) -> None:
    long = "arguments: [" + ", ".join(f"a{n}={'x' * 90}" for n in range(22)) + "]\n"
    text = f"{SITE_YAML}---\n{PROFILE_YAML}---\n{MACHINE_YAML}{long}"
    (tmp_path / "x.yaml").write_text(text)
    found = list(validate.validate(infra.load(tmp_path)))
    assert [str(f) for f in found] == [
        (
            "machine db-1 (rhel9, rhel9): the kernel arguments have 2294 characters;"
            " a kernel reads 1919"
        )
    ]
    with pytest.raises(validate.RefusedByRelease) as caught:
        validate.require_accepted(infra.load(tmp_path))
    assert caught.value.message == str(found[0])
    assert caught.value.details["findings"][0]["machine"] == "db-1"  # type: ignore[index]


def test_a_line_is_named_where_the_parser_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = validate.Finding("db-1", "base", "rhel9", 7, "no")
    assert str(finding) == "machine db-1 (base, rhel9, line 7 of what is rendered): no"


def test_machines_that_render_alike_are_judged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = []
    monkeypatch.setattr(validate, "check", lambda profile, text: judged.append(text) or [])
    names = [
        MACHINE_YAML.replace("db-1", f"m{n}").replace("56", f"5{n}") + "hostname: same\n"
        for n in range(3)
    ]
    (tmp_path / "x.yaml").write_text("---\n".join([SITE_YAML, PROFILE_YAML, *names]))
    assert list(validate.validate(infra.load(tmp_path))) == []
    assert len(judged) == 1


def test_rendering_for_validation_needs_no_daemon() -> None:
    context = boot(to=profile())
    assert "placeholder" not in validate.rendered(context)


# The examples: everyone's first site.


def test_every_example_is_valid_for_its_release() -> None:
    part("debconf-set-selections")
    found = infra.load(ROOT / "examples" / "infra")
    assert [str(finding) for finding in validate.validate(found)] == []
    assert len(found.machines) == 5
    installers = {found.profile(m.profile).installer for m in found.machines.values()}
    assert installers == {"kickstart", "preseed", "unattend"}


def test_the_examples_use_what_the_example_bundles_hold() -> None:
    from bundles.making import recipe

    titles = {
        (loaded.name, entry.title)
        for path in (ROOT / "examples" / "bundles").glob("*.yaml")
        for loaded in [recipe.load(path)]
        for entry in loaded.contents
    }
    for used in infra.load(ROOT / "examples" / "infra").profiles.values():
        for path in (used.kernel, *used.initrd, used.repo):
            parents = {"/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 2)}
            assert {(used.bundle, parent) for parent in parents} & titles, f"{used.name}: {path}"


def test_the_tables_of_the_documentation_are_those_of_the_models() -> None:
    page = (ROOT / "docs" / "profiles.md").read_text()
    assert reference.renewed(page) == page, "run `make generated`"


def test_a_kind_without_a_place_in_the_documentation_is_found() -> None:
    page = (ROOT / "docs" / "profiles.md").read_text()
    with pytest.raises(ValueError, match="no table for Network"):
        reference.renewed(page.replace("<!-- fields of Network -->\n", ""))
