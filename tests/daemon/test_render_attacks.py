"""No value breaks out of its line or its quoting, neither through the models nor past them."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from bundles.errors import GooseError
from goosed_daemon.infra import validate
from goosed_daemon.render import grub, ipxe, kickstart, preseed, quoting, templates
from goosed_daemon.render.quoting import Unquotable
from tests.daemon.infra_site import (
    EITHER_FIRMWARE,
    MIRROR,
    PLAIN_MIRROR,
    VOLUMES,
    boot,
    full,
    machine,
    networked,
    one_card,
    profile,
    site,
    stored,
)
from tests.daemon.readers import (
    grub_kernel_line,
    grub_words,
    ipxe_commands,
    ipxe_expansions,
    kernel_arguments,
    preseed_values,
)
from tests.parts import part

HOSTILE = st.text(st.sampled_from("a ='\"\\${}#&|;%\n\r\t\0\x85\u2028é-,()`<>*~!@/")) | st.text()
NASTY = [
    "\nkernel http://evil/",
    "a\r\nb",
    "x || shell",
    "a && b ; c",
    "# comment",
    "${net0/mac}",
    "$ {",
    "a b",
    "a  b",
    "' --plaintext 'x",
    '" --append="init=/bin/sh',
    "a\\",
    "%end",
    "%include /etc/passwd",
    "-",
    "--",
    "",
    " a ",
    "é",
    "\x00",
    "\x1b[2J",
    "\u2028x",
]


def nasty(test: Callable[[str], None]) -> Callable[[str], None]:
    for text in NASTY:
        test = example(text)(test)
    return test


# Each quoting by itself: what comes out is read back as what went in, or nothing comes out.


@given(HOSTILE)
@nasty
def test_ipxe_word_is_one_word_or_refused(text: str) -> None:
    try:
        quoted = quoting.ipxe(text)
    except Unquotable:
        return
    assert list(ipxe_commands(f"kernel {quoted} last")) == [["kernel", text, "last"]]
    assert ipxe_expansions(quoted) == []


@given(HOSTILE)
@nasty
def test_words_on_the_screen_are_one_echo_whatever_they_are(text: str) -> None:
    quoted = quoting.ipxe_words(text)
    assert quoted.isascii()
    (command,) = ipxe_commands(f"echo goose: {quoted}")
    assert command == ["echo", "goose:", *quoted.split()]
    assert ipxe_expansions(quoted) == []
    assert len(f"{quoted}".splitlines()) <= 1


@given(st.lists(HOSTILE, max_size=4))
@example(["a=b", "c=d e", "f"])
@example(["a=b  c"])
@example(["a=b", ""])
@example(["a=# b"])
@example(['a="', "b"])
@example([])
def test_kernel_arguments_arrive_or_are_refused(texts: list[str]) -> None:
    try:
        quoted = quoting.ipxe_arguments(tuple(texts))
    except Unquotable:
        return
    (command,) = ipxe_commands(f"kernel URL {quoted}")
    assert ipxe_expansions(quoted) == []
    expected = {t.partition("=")[0]: t.partition("=")[2] if "=" in t else None for t in texts}
    assert kernel_arguments(" ".join(command[2:])) == expected


@given(HOSTILE)
@nasty
def test_grub_word_is_one_word_or_refused(text: str) -> None:
    try:
        quoted = quoting.grub(text)
    except Unquotable:
        return
    assert grub_words(f"linux {quoted} last") == ["linux", text, "last"]


@given(HOSTILE)
@nasty
def test_words_on_grubs_screen_are_one_word_whatever_they_are(text: str) -> None:
    quoted = quoting.grub_words(text)
    assert quoted.isascii() and quoted.isprintable()
    assert len(grub_words(f"echo goose: {quoted}")) == 3


@given(st.lists(HOSTILE, max_size=4))
@example(["a=b", "c=d e", "f"])
@example(["a=b\\"])
@example(["a='b'"])
@example(["a= b  c "])
@example(["", "a"])
@example(["a b=c"])
@example([])
def test_kernel_arguments_arrive_through_grub_or_are_refused(texts: list[str]) -> None:
    try:
        quoted = quoting.grub_arguments(tuple(texts))
    except Unquotable:
        return
    _, *words = grub_words(f"linux {quoted}")
    expected = {t.partition("=")[0]: t.partition("=")[2] if "=" in t else None for t in texts}
    assert kernel_arguments(grub_kernel_line(words)) == expected


def test_grub_itself_reads_each_nasty_word_as_one(tmp_path: Path) -> None:
    """Its checker has the real parser: what opens a quote, block or command is an error to it."""
    checker = part("grub-script-check")
    words = [*NASTY, "}", "done", "fi; then {", "a\\'b", "'", '"', "$(x)", "`id`"]
    script = "".join(f"if true; then echo {quoting.grub_words(w)}; fi\n" for w in words)
    done = subprocess.run([checker], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@given(HOSTILE)
@nasty
def test_kickstart_word_is_one_word_or_refused(text: str) -> None:
    try:
        quoted = quoting.kickstart(text)
    except Unquotable:
        assert not text.isprintable()
        return
    assert shlex.split(f"user --gecos={quoted} --lock", comments=True) == [
        "user",
        f"--gecos={text}",
        "--lock",
    ]


@given(HOSTILE)
@nasty
def test_preseed_value_is_one_value_or_refused(text: str) -> None:
    try:
        quoted = quoting.preseed(text)
    except Unquotable:
        return
    lines = f"d-i first string {quoted}\nd-i second boolean true\n"
    assert preseed_values(lines) == {
        "first": ("d-i", "string", text),
        "second": ("d-i", "boolean", "true"),
    }


@given(HOSTILE)
@nasty
def test_a_comment_ends_with_its_line(text: str) -> None:
    try:
        quoted = quoting.comment(text)
    except Unquotable:
        return
    assert preseed_values(f"# {quoted}\nd-i first string x\n").keys() == {"first"}


def test_debconf_itself_stores_what_was_written(tmp_path: Path) -> None:
    """The reader above is a model; this is the real one, over a database of its own."""
    debconf = part("debconf-set-selections")
    values = [t for t in [*NASTY, 'it\'s "q" $x \\n \\a', "#x", "a" * 500] if accepted(t)]
    assert len(values) > 10
    (tmp_path / "debconf.conf").write_text(
        "Config: configdb\nTemplates: templatedb\n\n"
        f"Name: configdb\nDriver: File\nFilename: {tmp_path}/config.dat\n\n"
        f"Name: templatedb\nDriver: File\nFilename: {tmp_path}/templates.dat\n"
    )
    lines = [f"d-i q/{n} string {quoting.preseed(v)}".rstrip() for n, v in enumerate(values)]
    (tmp_path / "x.preseed").write_text("\n".join(lines) + "\n")
    subprocess.run(
        [debconf, tmp_path / "x.preseed"],
        env={"DEBCONF_SYSTEMRC": f"{tmp_path}/debconf.conf", "PATH": "/usr/sbin:/usr/bin:/bin"},
        check=True,
    )
    stored = (tmp_path / "config.dat").read_text(encoding="utf-8")
    blocks = [block.splitlines() for block in stored.strip().split("\n\n")]
    found = {
        block[0].removeprefix("Name: "): next(
            (line.removeprefix("Value:")[1:] for line in block if line.startswith("Value:")), ""
        )
        for block in blocks
    }
    assert found == {f"q/{n}": value for n, value in enumerate(values)}


def accepted(text: str) -> bool:
    try:
        return bool(quoting.preseed(text)) or text == ""
    except Unquotable:
        return False


def test_a_shell_itself_prints_what_was_written() -> None:
    values = [text for text in [*NASTY, "$(touch /x)", "`id`", "a'b'\"c"] if text.isprintable()]
    script = "".join(f"printf '%s\\n' {quoting.shell(text)}\n" for text in values)
    done = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == values


# Whole documents, with values that never went through a model.

FIELDS: list[tuple[str, str]] = [
    ("machine", "name"),
    ("machine", "hostname"),
    ("machine", "console"),
    ("profile", "name"),
    ("profile", "bundle"),
    ("profile", "kernel"),
    ("profile", "repo"),
    ("site", "timezone"),
    ("site", "keyboard"),
    ("site", "language"),
    ("site", "root_password_hash"),
    ("site", "domain"),
]


def tampered(release: str, where: str, field: str, value: Any) -> Any:
    """The full context with one value that its model never saw."""
    context = full(release)
    parts = {"site": context.site, "profile": context.profile, "machine": context.machine}
    parts[where] = parts[where].model_copy(update={field: value})
    return boot(parts["site"], parts["profile"], parts["machine"])


def ipxe_shape(text: str) -> list[list[str]]:
    """The commands of a script by name; those of one line together."""
    return [[c[0] if c else "" for c in ipxe_commands(line)] for line in text.split("\n")]


def grub_shape(text: str) -> list[str]:
    """Each line without its words in single quotes, which must stand alone."""
    return [re.sub(r"'[^']*'(?:\\'(?:'[^']*')?)*", "Q", line) for line in text.split("\n")]


def kickstart_shape(text: str) -> list[str]:
    return [line.split()[0] if line.strip() else "" for line in text.split("\n")]


def kickstart_options(text: str) -> list[list[str]]:
    """The command lines as pykickstart splits them, without the values: a value that is not quoted
    becomes words and options of its own."""
    lines = text.partition("\n%packages")[0].split("\n")
    words = [shlex.split(line, comments=True) for line in lines]
    return [
        [w.partition("=")[0] if w.startswith("-") or n == 0 else "" for n, w in enumerate(line)]
        for line in words
    ]


def preseed_shape(text: str) -> list[tuple[str, str, str]]:
    return [(q, owner, kind) for q, (owner, kind, _) in preseed_values(text).items()]


def assert_shape_or_refused(
    make: Callable[[Any], str], shape: Callable[[str], Any], release: str, at: Any, value: str
) -> None:
    expected = shape(make(full(release)))
    try:
        text = make(tampered(release, *at, value))
    except GooseError:
        return
    if value:
        assert shape(text) == expected


@given(st.sampled_from(FIELDS), HOSTILE)
@example(("machine", "hostname"), "db\nkernel http://evil/")
@example(("machine", "hostname"), "a b")
@example(("profile", "kernel"), "x y || shell")
@example(("machine", "console"), "ttyS0 init=/bin/sh")
def test_ipxe_script_keeps_its_commands(at: tuple[str, str], value: str) -> None:
    assert_shape_or_refused(ipxe.install, ipxe_shape, "rhel9", at, value)
    assert_shape_or_refused(ipxe.install, ipxe_shape, "debian12", at, value)


@given(st.sampled_from(FIELDS), HOSTILE)
@example(("machine", "hostname"), "db\nlinux (http,evil)/x")
@example(("profile", "kernel"), "x'; linux '/evil")
@example(("machine", "name"), "x'\\''; reboot; echo '")
@example(("machine", "console"), "ttyS0 init=/bin/sh")
def test_grub_script_keeps_its_commands(at: tuple[str, str], value: str) -> None:
    assert_shape_or_refused(grub.install, grub_shape, "rhel9", at, value)
    assert_shape_or_refused(grub.install, grub_shape, "debian12", at, value)


@given(st.sampled_from(FIELDS), HOSTILE)
@example(("site", "root_password_hash"), "x' --plaintext 'y")
@example(("site", "timezone"), "UTC\n%post\nid\n%end")
@example(("site", "timezone"), "--nontp")
@example(("site", "root_password_hash"), "--plaintext")
def test_kickstart_keeps_its_lines(at: tuple[str, str], value: str) -> None:
    assert_shape_or_refused(kickstart.render, kickstart_shape, "rhel9", at, value)
    assert_shape_or_refused(kickstart.render, kickstart_options, "rhel9", at, value)


@given(st.sampled_from(FIELDS), HOSTILE)
@example(("site", "timezone"), "UTC\nd-i preseed/early_command string id")
@example(("site", "root_password_hash"), "x\\")
def test_preseed_keeps_its_questions(at: tuple[str, str], value: str) -> None:
    assert_shape_or_refused(preseed.render, preseed_shape, "debian12", at, value)


# By name.


def test_newline_in_a_hostname_injects_no_ipxe_command() -> None:
    with pytest.raises(ValidationError, match="contains a newline"):
        machine(hostname="db\nkernel http://evil/x")
    with pytest.raises(Unquotable):
        ipxe.install(tampered("rhel9", "machine", "hostname", "db\nkernel http://evil/x"))


def test_dollar_brace_is_never_expanded() -> None:
    with pytest.raises(ValidationError, match=r"contains \$\{"):
        machine(arguments=["x=${net0/mac}"])
    with pytest.raises(Unquotable):
        ipxe.install(tampered("rhel9", "machine", "arguments", ("x=${net0/mac}",)))
    script = ipxe.refuse("no machine has UUID ${password} or serial number ${net0/mac}")
    shown = [line for line in script.splitlines() if "no machine" in line]
    assert [ipxe_expansions(line) for line in shown] == [[]]


def test_comment_sign_in_a_refusal_hides_nothing() -> None:
    script = ipxe.refuse("serial number # 1 || exit 0", hint="# goosectl ; shell")
    shape = ipxe_shape(script)
    assert shape[:4] == [[""], ["echo"], ["echo"], ["echo"]]


def test_quote_in_a_password_hash_adds_no_option() -> None:
    hash_ = "$6$abc$x' --plaintext 'hunter2"
    with pytest.raises(ValidationError, match="not a password hash"):
        site(rootPasswordHash=hash_)
    text = kickstart.render(tampered("rhel9", "site", "root_password_hash", hash_))
    (line,) = [line for line in text.splitlines() if line.startswith("rootpw")]
    assert shlex.split(line) == ["rootpw", "--iscrypted", hash_]


def test_blanks_in_a_kernel_argument_stay_inside_it() -> None:
    script = ipxe.install(boot(on=machine(arguments=["preseed/early_command=echo hi >/dev/x"])))
    (line,) = [line for line in script.splitlines() if line.startswith("kernel")]
    command, _ = ipxe_commands(line)
    assert kernel_arguments(" ".join(command[2:]))["preseed/early_command"] == "echo hi >/dev/x"
    with pytest.raises(ValidationError, match="double quote"):
        machine(arguments=['x="a" init=/bin/sh'])


def test_preseed_line_is_not_continued_by_a_value() -> None:
    with pytest.raises(Unquotable):
        preseed.render(tampered("debian12", "site", "timezone", "UTC\\"))
    text = preseed.render(boot(to=profile("debian12", commands=["echo a\\", "echo b"])))
    assert "preseed/late_command" in preseed_values(text)


@pytest.mark.parametrize("line", ["%end", "  %end", "%include http://evil/"])
def test_a_command_does_not_leave_its_section(line: str) -> None:
    with pytest.raises(ValidationError):
        profile(commands=[line])
    with pytest.raises(Unquotable):
        kickstart.render(tampered("rhel9", "profile", "commands", (line,)))


@pytest.mark.parametrize("package", ["%end", "a b", "a\n%post", "-@ x", "#x", "--nocore"])
def test_a_package_is_a_package(package: str) -> None:
    with pytest.raises(ValidationError):
        profile(packages=[package])
    with pytest.raises(Unquotable):
        kickstart.render(tampered("rhel9", "profile", "packages", (package,)))


def test_too_many_kernel_arguments_are_refused_and_not_cut() -> None:
    with pytest.raises(Unquotable, match="a kernel reads 1919"):
        ipxe.install(boot(on=machine(arguments=[f"a{n}=" + "x" * 100 for n in range(20)])))


def test_a_template_cannot_write_a_value_without_quoting_it() -> None:
    environment = templates.get("kickstart.j2").environment
    with pytest.raises(TypeError, match="without quoting it"):
        environment.from_string("{{ value }}").render(value="x")
    assert environment.from_string("{{ value|ks }}").render(value="a b") == "'a b'"


@pytest.mark.parametrize("release", ["rhel8", "rhel9", "rhel10", "debian12", "debian13"])
def test_what_is_rendered_is_valid_for_its_release(release: str) -> None:
    plain = boot(to=profile(release))
    disks = [stored(disk, release) for disk in (VOLUMES, MIRROR, PLAIN_MIRROR, EITHER_FIRMWARE)]
    for context in (full(release), plain, networked(release), one_card(release), *disks):
        assert validate.check(context.profile, validate.rendered(context)) == []
