"""A mistake stops the machines that it concerns, and no others, whatever kind of mistake it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bundles.files.document import InvalidDocument
from goosed_daemon import infra
from tests.daemon.infra_site import MACHINE_YAML, PROFILE_YAML, SITE_YAML
from tests.daemon.state_backends import MAC
from tests.daemon.web_site import PROFILES, Lab

OTHER_MAC = "52:54:00:12:34:99"

OTHER_PROFILE = PROFILE_YAML.replace("name: rhel9", "name: other")
GROUP = "apiVersion: goose/v1\nkind: Group\nname: g\nselector: {matchLabels: {role: db}}\n"


def machine(number: int, more: str = "", profile: str = "rhel9") -> str:
    text = MACHINE_YAML.replace("db-1", f"m{number}").replace("56", f"{number:02d}")
    return text.replace("profile: rhel9", f"profile: {profile}") + more


BASE = {
    "site.yaml": SITE_YAML,
    "profiles.yaml": f"{PROFILE_YAML}---\n{OTHER_PROFILE}",
    "groups.yaml": GROUP,
    "machines.yaml": "---\n".join(
        [
            machine(1),
            machine(2, "labels: {role: db}\n"),
            machine(3, profile="other"),
            machine(
                4, "labels: {role: web}\nuuid: 4c4c4544-0046-3510-8052-b4c04f4e3232\nserial: S\n"
            ),
        ]
    ),
}
EVERYONE = {"m1", "m2", "m3", "m4"}


def write(folder: Path, **changes: tuple[str, str]) -> None:
    for name, text in BASE.items():
        old, new = changes.get(name.partition(".")[0], ("", ""))
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1) if old else text + new)


def stopped(folder: Path) -> set[str]:
    """The machines that a mistake stops; that there is one is told to all."""
    with pytest.raises(InvalidDocument):
        infra.load(folder)
    try:
        found = infra.load_good(folder)
    except InvalidDocument:
        return EVERYONE
    assert found.error is not None
    gone = EVERYONE - found.machines.keys()
    for name in gone:
        card = f"52:54:00:12:34:0{name[1:]}"
        stop = found.stop(mac=card, name=name)
        assert stop is not None, "it is told, not unknown"
        assert found.machine_by_mac(card) is None
    for name in EVERYONE - gone:
        assert found.stop(mac=found.machines[name].mac[0]) is None
    return gone


@pytest.mark.parametrize(
    ("file", "change", "gone"),
    [
        # In a machine's own document.
        ("machines", ("name: m1\n", "name: m1\nhostnmae: x\n"), {"m1"}),
        ("machines", ("name: m1\n", "name: m1\nprofile: rhel9\n"), {"m1"}),  # a key twice
        ("machines", ("name: m1\n", "name: m1\nhostname: [\n"), {"m1"}),  # not YAML
        ("machines", ("name: m1\n", "name: 'm1\n"), {"m1"}),  # a quote that is never closed
        ("machines", ("name: m4\n", "name: &a m4\n"), {"m4"}),
        ("machines", ("34:01", "34:04"), {"m1", "m4"}),  # of two that are alike nobody is meant
        ("machines", ("profile: other", "profile: gone"), {"m3"}),
        # In what a machine inherits from.
        ("profiles", ("name: other\n", "name: other\nkernl: x\n"), {"m3"}),
        ("profiles", ("name: other\n", "name: rhel9\n"), EVERYONE),  # rhel9 twice, other gone
        ("groups", ("", "console: tty S\n"), {"m2"}),
        ("groups", ("", "profile: gone\n"), {"m2"}),
        ("groups", ("", "variables: {a: b}\n"), {"m2"}),
        ("groups", ("", "priority: high\n"), {"m2"}),
        # In what may concern anyone.
        ("groups", ("matchLabels", "matchLabel"), EVERYONE),
        ("groups", ("selector: {", "selector: {{"), EVERYONE),
        ("groups", ("kind: Group", "kind: Gruop"), EVERYONE),
        ("profiles", ("name: other", "name: [other]"), EVERYONE),
        ("profiles", ("kind: OSProfile", "kind: 'OSProfile"), EVERYONE),
        ("site", ("", "timezone: Mars Base\n"), EVERYONE),
        ("site", ("kind: Site", "kind: Sit"), EVERYONE),
        ("site", ("", "---\nkind: Machine\nkind: Group\nname: [\n"), EVERYONE),
        ("site", ("", "--- \n" + SITE_YAML), EVERYONE),
    ],
)
def test_what_a_mistake_stops(
    tmp_path: Path, file: str, change: tuple[str, str], gone: set[str]
) -> None:
    write(tmp_path, **{file: change})
    assert stopped(tmp_path) == gone


def test_without_a_mistake_nobody_is_stopped(tmp_path: Path) -> None:
    write(tmp_path)
    found = infra.load_good(tmp_path)
    assert found.error is None
    assert found.machines.keys() == EVERYONE


def test_what_can_be_read_of_a_file_keeps_its_places(tmp_path: Path) -> None:
    write(tmp_path, machines=("name: m1\n", "name: m1\nhostname: [\n"))
    good = infra.load_good(tmp_path)
    assert str(good.places["Machine", "m4"]) == f"{tmp_path}/machines.yaml:23"
    with pytest.raises(InvalidDocument) as strict:
        infra.load(tmp_path)
    assert good.error is not None
    assert {p.line for p in good.error.problems} == {p.line for p in strict.value.problems}


def test_a_stopped_machine_is_known_by_all_that_its_document_says(tmp_path: Path) -> None:
    write(tmp_path, machines=("serial: S\n", "serial: S\nhostnmae: x\n"))
    found = infra.load_good(tmp_path)
    for known in (
        {"uuid": "4c4c4544-0046-3510-8052-b4c04f4e3232"},
        {"serial": "S"},
        {"name": "m4"},
        {"mac": "52:54:00:12:34:04"},
    ):
        stop = found.stop(**known)
        assert stop is not None
        assert (stop.name, stop.mac) == ("m4", "52:54:00:12:34:04")
        assert stop.problem.field == "hostnmae"


def test_the_mistake_of_a_file_that_is_no_file_concerns_anyone(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    assert stopped(tmp_path) == EVERYONE


async def test_one_persons_mistake_stops_no_other_persons_install(lab: Lab) -> None:
    lab.arm()
    other = PROFILES.rpartition("---\n")[2].replace("web1", "web2").replace(MAC, OTHER_MAC)
    lab.write_profiles(f"{PROFILES}---\n{other}hostnmae: x\n")
    await asyncio.sleep(1.1)
    assert "initrd" in await lab.script(), "the machine beside the mistake is installed"
    script = await lab.script(OTHER_MAC)
    assert "the infra profiles have errors that stop machine web2" in script
    assert "hostnmae: no such field" in script
    assert await lab.metric("goosed_profiles_valid") == 0
