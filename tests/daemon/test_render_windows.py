"""Windows: what is refused, and that what is rendered is what Windows' reference knows."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree  # type: ignore[import-untyped]
from pydantic import ValidationError

from goosed_daemon.infra import validate, windows_settings
from goosed_daemon.infra.secret_text import SecretText
from goosed_daemon.infra.secrets import hidden
from goosed_daemon.render import grub, ipxe, quoting, unattend, winpe
from goosed_daemon.render.context import BootContext
from goosed_daemon.render.quoting import Unquotable
from goosed_daemon.render.windows_names import UnknownToWindows
from tests.daemon.infra_site import WINDOWS, boot, machine, site, windows, windows_profile

HOSTILE = st.text(st.sampled_from("a <>&'\"]-!%^|\\/;\n\r\t\0\x85\u2028é${}()")) | st.text()
NS = {"u": "urn:schemas-microsoft-com:unattend", "g": "urn:goose:unattend"}


def answers(made: BootContext) -> Any:
    return etree.fromstring(validate.rendered(hidden(made)).encode())


@pytest.mark.parametrize("release", WINDOWS)
def test_what_is_rendered_is_known_to_windows(release: str) -> None:
    for made in (windows(release), boot(to=windows_profile(release))):
        assert validate.check(made.profile, validate.rendered(hidden(made))) == []
    if release != "win11":
        made = windows(release, "bios")
        assert validate.check(made.profile, validate.rendered(hidden(made))) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("</unattend>", "", "not well-formed"),
        ("urn:schemas-microsoft-com:unattend", "urn:other", "the root is not unattend"),
        ('pass="oobeSystem"', 'pass="oobe"', "is not settings of a pass"),
        ('pass="oobeSystem"', 'pass="specialize"', "the pass specialize is there twice"),
        ('pass="oobeSystem"', 'pass="generalize"', "has no settings for the pass generalize"),
        ('"amd64"', '"x86"', "processorArchitecture of"),
        ('"31bf3856ad364e35"', '"0"', "publicKeyToken of"),
        ("Microsoft-Windows-TCPIP", "Microsoft-Windows-IP", "there is no component"),
        ("Microsoft-Windows-TCPIP", "Microsoft-Windows-DNS-Client", "is there twice"),
        ("TimeZone", "Timezone", "there is no setting Microsoft-Windows-Shell-Setup/Timezone"),
        ("<DiskID>0<", "<DiskID>sda<", "DiskID is not of its form"),
        ("<ComputerName>db-1<", "<ComputerName>a.b<", "ComputerName is not of its form"),
        ("<Format>FAT32<", "<Format>ext4<", "Format is not of its form"),
    ],
)
def test_what_windows_does_not_know_is_found(old: str, new: str, words: str) -> None:
    text = validate.rendered(hidden(windows()))
    assert old in text
    found = windows_settings.check(text.replace(old, new))
    assert any(words in said for _, said in found), found
    assert all(line for line, _ in found)


def test_an_entity_reads_no_file() -> None:
    text = '<!DOCTYPE u [<!ENTITY e SYSTEM "file:///etc/hostname">]><u>&e;</u>'
    assert windows_settings.check(text) == [(1, "the root is not unattend of its namespace")]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"arguments": ["quiet"]}, "means nothing to Windows"),
        ({"systemArguments": ["quiet"]}, "means nothing to Windows"),
        ({"packages": ["vim"]}, "means nothing to Windows"),
        ({"users": [{"name": "ops"}]}, "means nothing to Windows"),
        ({"selinux": "enforcing"}, "means nothing to Windows"),
        ({"disk": {"device": "sda", "firmware": "uefi"}}, "disks by their number"),
        ({"disk": {"device": "0"}}, "needs firmware"),
        ({"disk": {"device": "0", "firmware": "uefi", "layout": "plain"}}, "layout means nothing"),
        ({"disk": {"device": "0", "firmware": "uefi", "mirror": "1"}}, "mirror means nothing"),
        ({"release": "win11", "disk": {"device": "0", "firmware": "bios"}}, "needs firmware: uefi"),
        ({"release": "rhel9"}, "rhel9 is not installed by unattend"),
        ({"initrd": ["a/boot.wim", "b"]}, "from one file"),
        ({"windows": {"image": {}}}, "exactly one of name, index"),
        ({"windows": {"image": {"name": "a", "index": "1"}}}, "exactly one of name, index"),
        ({"windows": {"image": {"index": "0"}}}, "greater than or equal to 1"),
        ({"windows": {"administratorPassword": "hunter2"}}, "administratorPassword"),
        ({"windows": {"drivers": [{"files": ["a/b.sys"]}]}}, "none of its files is an .inf"),
        ({"windows": {"drivers": [{"files": ["a/b.inf", "c/B.inf"]}]}}, "two of its files"),
        ({"windows": {"drivers": [{"files": ["a/b c.inf"]}]}}, "no name for wimboot"),
    ],
)
def test_a_profile_that_makes_no_sense(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        windows_profile(**fields)
    assert words in str(raised.value)


def test_windows_is_needed_by_unattend_and_by_nothing_else() -> None:
    with pytest.raises(ValidationError, match="is needed by unattend"):
        windows_profile().model_validate(
            windows_profile().model_dump(by_alias=True, exclude_unset=True, exclude={"windows"})
        )


@pytest.mark.parametrize(
    ("of", "on", "words"),
    [
        ({}, {"hostname": "a-name-that-is-too-long"}, "no computer name"),
        ({}, {"hostname": "12345"}, "no computer name"),
        ({"timezone": "Mars/Olympus"}, {}, "no time zone of Windows for Mars/Olympus"),
        ({"keyboard": "xx"}, {}, "no keyboard of Windows for xx"),
        ({}, {"disk": {"device": "sda", "firmware": "uefi"}}, "disks by their number"),
        ({}, {"network": {"mtu": "9000"}}, "mtu of"),
        ({}, {"network": {"ipv6": "off"}}, "ipv6 of"),
        ({}, {"network": {"ethernets": [{"name": "eno1"}]}}, "by mac, not by name"),
        ({}, {"network": {"vlans": [{"id": "5", "parent": "e1"}], "ethernets": [{"name": "e1"}]}},
         "bonds and vlans"),
    ],
)  # fmt: skip
def test_a_machine_that_windows_cannot_be(of: Any, on: Any, words: str) -> None:
    made = boot(of=site(**of), to=windows_profile(), on=machine(**on))
    with pytest.raises(UnknownToWindows, match=words):
        validate.rendered(hidden(made))


def test_a_product_key_that_is_none_is_not_quoted() -> None:
    made = windows()
    assert made.profile.windows is not None
    own = made.profile.windows.model_copy(update={"product_key": SecretText("hunter2")})
    made.profile.__dict__["windows"] = own
    with pytest.raises(UnknownToWindows) as raised:
        unattend.render(made)
    assert "hunter2" not in str(raised.value)


def test_grub_says_that_it_cannot() -> None:
    with pytest.raises(UnknownToWindows, match="through iPXE"):
        grub.install(windows())


def test_two_drivers_do_not_overwrite_each_other_or_ours() -> None:
    for files in (["a/startnet.cmd", "a/a.inf"], ["a/a.inf", "a/x.sys"]):
        drivers = [{"files": files}, {"files": ["b/b.inf", "b/x.sys"]}]
        with pytest.raises(UnknownToWindows, match="two files for WinPE"):
            winpe.ramdisks(boot(to=windows_profile(windows={"drivers": drivers})))


def test_only_the_drivers_of_the_machine() -> None:
    for text in (
        winpe.startnet(windows()),
        validate.rendered(hidden(windows())),
        ipxe.install(windows()),
    ):
        assert "x.inf" not in text and "drivers\\2" not in text


def test_the_script_is_carried_whole() -> None:
    made = windows()
    carried = answers(made).findtext("g:Extensions/g:Script", namespaces=NS)
    assert b64decode(carried).decode("utf-8-sig") == unattend.script(hidden(made))


def test_commands_fit_into_what_windows_takes() -> None:
    commands = answers(windows()).iterfind(".//u:RunSynchronousCommand/u:Path", NS)
    assert all(len(one.text) <= 259 for one in commands)


# Each quoting by itself: what comes out is read back as what went in, or nothing comes out.


@given(HOSTILE)
@example("</Value><Evil/>")
@example("]]>")
@example("&amp;")
@example('" a="b')
def test_xml_text_and_attributes_are_read_back(text: str) -> None:
    try:
        quoted = quoting.xml(text)
    except Unquotable:
        return
    element = etree.fromstring(f'<a b="{quoted}">{quoted}</a>'.encode())
    assert (element.text or "") == text and element.get("b") == text and len(element) == 0


@given(HOSTILE)
@example("--><evil/>")
@example("a-")
def test_an_xml_comment_stays_one(text: str) -> None:
    try:
        quoted = quoting.xml_comment(text)
    except Unquotable:
        return
    element = etree.fromstring(f"<a><!-- {quoted} --></a>".encode())
    assert len(element) == 1 and element[0].tag is etree.Comment


def batch_word(line: str) -> str:
    """The one argument of `x ARGUMENT & y` as cmd.exe reads it from a file: first percent signs, of
    which two are one and any other begins a variable, then quotes, outside of which & ends it."""
    percents = line.replace("%%", "\0")
    assert "%" not in percents, "a variable would be put here"
    line = percents.replace("\0", "%")
    inside, found = False, ""
    for at, character in enumerate(line):
        if character == '"':
            inside = not inside
        elif not inside and character in "&|<>^()":
            return found.strip() if line[at:] == "& y" else "broken out"
        elif inside or character != " ":
            found += character
    return "unended"


@given(HOSTILE)
@example("%PATH%")
@example("a%1b")
@example('a" & del *.* & "')
@example("a\\")
@example("^& | > ) !x!")
def test_a_batch_word_is_read_back_or_refused(text: str) -> None:
    try:
        quoted = quoting.batch(text)
    except Unquotable:
        return
    assert "\r" not in quoted and "\n" not in quoted
    if text == text.strip():
        assert batch_word(f"{quoted} & y") == text


@given(HOSTILE)
def test_words_on_the_screen_of_winpe_do_nothing(text: str) -> None:
    assert not set(quoting.batch_words(text)) & set("%&|<>^()\"!\r\n\0'`")


@given(HOSTILE)
def test_a_password_arrives_whatever_it_is(text: str) -> None:
    made = windows()
    assert made.profile.windows is not None
    update = {"administrator_password": SecretText(text), "product_key": None}
    changed = made.profile.windows.model_copy(update=update)
    made.profile.__dict__["windows"] = changed
    try:
        rendered = unattend.render(made)
    except Unquotable as error:
        assert text.isprintable() is False
        assert "(not shown)" in error.message  # noqa: PT017
        return
    value = etree.fromstring(rendered.encode()).findtext(
        ".//u:AdministratorPassword/u:Value", namespaces=NS
    )
    assert value == text


def test_files_of_winpe_end_their_lines_as_windows_does() -> None:
    for render in winpe.FILES.values():
        text = render(windows())
        assert text.count("\n") == text.count("\r\n") > 0


def test_no_secret_is_in_what_is_fetched_without_tls() -> None:
    made = windows()
    for render in winpe.FILES.values():
        assert made.callback not in render(made)
        assert "aCallback" not in render(made)
