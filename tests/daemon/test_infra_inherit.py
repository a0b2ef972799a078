"""Site, groups, machine: what a machine is in the end, and who said so."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundles.files.document import InvalidDocument
from goosed_daemon import infra
from goosed_daemon.infra import Infra
from goosed_daemon.infra.models import MERGE, Group, Inherited, Machine, Requirement, Site
from tests.daemon.infra_site import KEY, MACHINE_YAML, PROFILE_YAML, SITE_YAML

BARE = MACHINE_YAML.replace("profile: rhel9\n", "")


def group(name: str, selector: str, more: str = "") -> str:
    head = f"apiVersion: goose/v1\nkind: Group\nname: {name}\nselector: {selector}\n"
    return head + more


def write(folder: Path, *documents: str) -> Path:
    (folder / "x.yaml").write_text("---\n".join([SITE_YAML, PROFILE_YAML, *documents]))
    return folder


def load(folder: Path, *documents: str) -> Infra:
    return infra.load(write(folder, *documents))


def one(folder: Path, *documents: str) -> Machine:
    """The only machine."""
    (machine,) = load(folder, *documents).machines.values()
    return machine


def problems(folder: Path, *documents: str) -> list[str]:
    with pytest.raises(InvalidDocument) as caught:
        load(folder, *documents)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def at(folder: Path, text: str) -> str:
    """Line and column of the one place where `text` stands."""
    whole = (folder / "x.yaml").read_text()
    assert whole.count(text) == 1
    before = whole[: whole.index(text)]
    return f"x.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def test_every_inherited_field_has_its_rule() -> None:
    aliases = {field.alias for field in Inherited.model_fields.values()}
    assert MERGE.keys() == aliases | {"network"}
    for model in (Group, Machine):
        assert MERGE.keys() <= {field.alias for field in model.model_fields.values()}


# Who is selected.

LABELS = "labels: {role: db, rack: a1}\n"


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("{}", True),
        ("{matchLabels: {role: db}}", True),
        ("{matchLabels: {role: db, rack: a1}}", True),
        ("{matchLabels: {role: db, rack: a2}}", False),
        ("{matchLabels: {zone: x}}", False),
        ("{matchExpressions: [{key: role, operator: In, values: [web, db]}]}", True),
        ("{matchExpressions: [{key: role, operator: In, values: [web]}]}", False),
        ("{matchExpressions: [{key: zone, operator: In, values: [web]}]}", False),
        ("{matchExpressions: [{key: role, operator: NotIn, values: [web]}]}", True),
        ("{matchExpressions: [{key: role, operator: NotIn, values: [db]}]}", False),
        ("{matchExpressions: [{key: zone, operator: NotIn, values: [db]}]}", True),
        ("{matchExpressions: [{key: rack, operator: Exists}]}", True),
        ("{matchExpressions: [{key: zone, operator: Exists}]}", False),
        ("{matchExpressions: [{key: zone, operator: DoesNotExist}]}", True),
        ("{matchExpressions: [{key: rack, operator: DoesNotExist}]}", False),
        (
            "{matchLabels: {role: db}, matchExpressions: [{key: rack, operator: DoesNotExist}]}",
            False,
        ),
    ],
)
def test_a_selector_selects_as_in_kubernetes(tmp_path: Path, selector: str, selected: bool) -> None:
    found = load(tmp_path, group("g", selector), MACHINE_YAML + LABELS)
    names = [g.name for g in found.groups_of(found.machines["db-1"])]
    assert names == (["g"] if selected else [])


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("", "selector: is missing"),
        ("{matchLabel: {a: b}}", "selector.matchLabel: no such field (did you mean matchLabels?)"),
        ("{matchLabels: {a: [b]}}", "selector.matchLabels.a: must be text, not a list"),
        (
            "{matchExpressions: [{key: a, operator: in, values: [b]}]}",
            "selector.matchExpressions[0].operator: 'in' is not one of 'In', 'NotIn',",
        ),
        (
            "{matchExpressions: [{key: a, operator: In}]}",
            "selector.matchExpressions[0]: In needs at least one value",
        ),
        (
            "{matchExpressions: [{key: a, operator: Exists, values: [b]}]}",
            "selector.matchExpressions[0].values: Exists takes no values",
        ),
    ],
)
def test_mistake_in_a_selector(tmp_path: Path, selector: str, words: str) -> None:
    found = problems(tmp_path, group("g", selector), MACHINE_YAML)
    assert words in found[0]


def test_a_group_without_selector_does_not_select_everyone(tmp_path: Path) -> None:
    text = group("g", "{}").replace("selector: {}\n", "")
    assert any("selector: is missing" in p for p in problems(tmp_path, text, MACHINE_YAML))


def test_requirements_of_unknown_labels_hold_as_documented() -> None:
    made = Requirement.model_validate({"key": "a", "operator": "NotIn", "values": ["b"]})
    assert made.holds({})
    assert not made.holds({"a": "b"})


# What comes of it.


def test_a_group_gives_what_the_machine_leaves_open(tmp_path: Path) -> None:
    found = one(tmp_path, group("g", "{}", "profile: rhel9\nconsole: ttyS1,9600\n"), BARE)
    assert (found.profile, found.console) == ("rhel9", "ttyS1,9600")


def test_the_machine_overrules_its_groups_and_they_the_site(tmp_path: Path) -> None:
    more = "timezone: Europe/Berlin\nntp: [10.0.0.1]\nkeyboard: de\n"
    own = "timezone: Asia/Tokyo\nntp: []\n"
    found = load(tmp_path, group("g", "{}", more), MACHINE_YAML + own)
    site = found.site_of(found.machines["db-1"])
    assert (site.timezone, site.ntp, site.keyboard) == ("Asia/Tokyo", (), "de")
    assert site.language == found.site.language == "en_US.UTF-8"
    assert found.site.timezone == "Etc/UTC", "other machines keep the site's"


def test_precedence_is_priority_then_name(tmp_path: Path) -> None:
    groups = [
        group("z", "{}", "console: ttyS1\n"),
        group("m", "{}", "console: ttyS2\npriority: 10\n"),
        group("a", "{}", "console: ttyS3\npriority: 10\n"),
        group("top", "{}", "console: ttyS4\npriority: -1\n"),
    ]
    found = load(tmp_path, *groups, MACHINE_YAML)
    machine = found.machines["db-1"]
    assert [g.name for g in found.groups_of(machine)] == ["top", "z", "a", "m"]
    assert machine.console == "ttyS2"


def test_variables_merge_by_name_from_site_to_machine(tmp_path: Path) -> None:
    site = SITE_YAML + "variables: {A: site, B: site, C: site}\n"
    (tmp_path / "x.yaml").write_text(
        "---\n".join(
            [
                site,
                PROFILE_YAML,
                group("g", "{}", "variables: {B: group, C: group}\n"),
                MACHINE_YAML + "variables: {C: machine}\n",
            ]
        )
    )
    found = infra.load(tmp_path).machines["db-1"]
    assert found.variables == {"A": "site", "B": "group", "C": "machine"}


def test_lists_that_grow_and_lists_that_replace(tmp_path: Path) -> None:
    key = KEY.replace("ops@", "db@")
    profile = PROFILE_YAML + "packages: [chrony]\ncommands: [echo 1]\n"
    more = (
        "arguments: [quiet]\npackages: [postgresql, chrony]\ncommands: [echo 2]\n"
        f"sshKeys: [{key}]\nnameservers: [10.0.0.1]\n"
    )
    own = "arguments: [mem=4G]\npackages: [vim]\ncommands: [echo 2]\nnameservers: [10.0.0.2]\n"
    (tmp_path / "x.yaml").write_text(
        "---\n".join(
            [
                SITE_YAML + f"sshKeys: [{KEY}]\nnameservers: [10.0.0.9]\n",
                profile,
                group("g", "{}", more),
                MACHINE_YAML + own,
            ]
        )
    )
    found = infra.load(tmp_path)
    machine = found.machines["db-1"]
    assert machine.arguments == ("quiet", "mem=4G")
    site, to = found.site_of(machine), found.profile_of(machine)
    assert [key.split()[-1] for key in site.ssh_keys] == ["ops@site", "db@site"]
    assert list(map(str, site.nameservers)) == ["10.0.0.2"]
    assert to.packages == ("chrony", "postgresql", "vim")
    assert to.commands == ("echo 1", "echo 2", "echo 2")
    assert found.profiles["rhel9"].packages == ("chrony",)


def test_a_network_takes_the_groups_gateway_and_none_stays_dhcp(tmp_path: Path) -> None:
    more = "network: {gateway: 10.0.0.1, nameservers: [10.0.0.3]}\n"
    dhcp = MACHINE_YAML.replace("db-1", "db-2").replace("56", "57")
    static = MACHINE_YAML + "network: {address: 10.0.0.5/24}\n"
    found = load(tmp_path, group("g", "{}", more), static, dhcp)
    network = found.machines["db-1"].network
    assert network is not None
    assert str(network.gateway) == "10.0.0.1"
    assert found.machines["db-2"].network is None


def test_a_site_without_groups_is_as_it_was(tmp_path: Path) -> None:
    found = load(tmp_path, MACHINE_YAML)
    machine = found.machines["db-1"]
    assert found.groups_of(machine) == ()
    assert found.profile_of(machine) is found.profiles["rhel9"]
    assert found.site_of(machine) == found.site
    assert isinstance(found.site, Site)


# What is wrong is told where it was written.


def test_a_gateway_of_the_group_that_is_not_near_is_named_there(tmp_path: Path) -> None:
    more = "network: {gateway: 10.9.0.1}\n"
    found = problems(
        tmp_path, group("g", "{}", more), MACHINE_YAML + "network: {address: 10.0.0.5/24}\n"
    )
    place = at(tmp_path, "10.9.0.1")
    assert found == [f"{place}: network.gateway: 10.9.0.1 is not in the network 10.0.0.0/24"]


def test_what_machines_add_to_a_profile_is_checked_with_it(tmp_path: Path) -> None:
    debian = (
        PROFILE_YAML.replace("rhel9\n", "debian12\n", 1)
        .replace("kickstart", "preseed")
        .replace("release: rhel9", "release: debian12")
    )
    more = "profile: debian12\npackages: [vim, '@core']\n"
    found = problems(tmp_path, debian, group("g", "{}", more), BARE)
    assert "'@core' means nothing to preseed" in found[0]
    own = "profile: debian12\nusers: [{name: ops}]\n"
    found = problems(tmp_path, debian + "users: [{name: ops}]\n", group("g", "{}", own), BARE)
    assert "the user 'ops' is there already" in found[0]


def test_a_mistake_in_a_group_is_told_once_for_all_its_machines(tmp_path: Path) -> None:
    machines = [BARE.replace("db-1", f"db-{n}").replace("56", f"5{n}") for n in range(5)]
    text = group("g", "{}", "profile: rhel9\nconsole: tty S\n")
    found = problems(tmp_path, text, *machines)
    assert found == [
        f"{at(tmp_path, 'tty S')}: console: 'tty S' is not a console, as ttyS0,115200n8"
    ]
    found = problems(tmp_path, text.replace("tty S", "ttyS0").replace("rhel9", "rhel8"), *machines)
    assert found == [
        f"{at(tmp_path, 'rhel8')}: profile: there is no OSProfile 'rhel8' (did you mean rhel9?)"
    ]


def test_a_machine_without_any_profile(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, BARE)
    assert "profile: is missing (name an OSProfile here, or in a group" in found


def test_two_groups_of_one_name(tmp_path: Path) -> None:
    found = problems(tmp_path, group("g", "{}"), group("g", "{}"), MACHINE_YAML)
    assert "name: Group 'g' exists already" in found[0]


def test_a_group_sets_no_labels(tmp_path: Path) -> None:
    found = problems(tmp_path, group("g", "{}", "labels: {a: b}\n"), MACHINE_YAML)
    assert "labels: no such field" in found[0]
