"""What Windows runs: no value of a profile or of a bundle becomes a command of its own.

There is no Windows here. The shapes below are read by PowerShell's and cmd.exe's own rules for
where a word ends (about_Quoting_Rules; `cmd /?`), and nothing of the renderer's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from goosed_daemon.infra.secrets import hidden
from goosed_daemon.render import quoting, unattend, winpe
from goosed_daemon.render.context import BootContext
from goosed_daemon.render.quoting import Unquotable
from tests.daemon.infra_site import windows

# PowerShell ends a word in single quotes by any of these, and doubles any of them.
QUOTES = "'\u2018\u2019\u201a\u201b"
HOSTILE = st.text(st.sampled_from(f'a ${{}}();|&`"#@<>%^!\\\n\r\0\x85\u2028é-{QUOTES}')) | st.text()

BREAKS = {
    "quote": "a'; Remove-Item C:\\ -Recurse; '",
    "typographic quote": "a\u2019; Remove-Item C:\\ -Recurse; \u2018",
    "two quotes of two kinds": "a'\u2019; calc; \u2018'",
    "variable": "$(calc) $env:PATH `n",
    "percent": "%PATH% %1 %~dp0 %%u",
    "ampersand": "a & del *.* & rem",
    "pipe": "a | more > C:\\x",
    "caret": "a ^& del *.*",
    "parenthesis": ") & del *.* & (",
    "label": ":failed",
    "double quote": 'a" & del *.* & "',
    "backslash": "a\\",
    "line": "a\r\ndel *.*",
}


def powershell_shape(text: str) -> tuple[str, list[str]]:
    """The script with each word in single quotes emptied, and those words."""
    shape, words, at = "", list[str](), 0
    while at < len(text):
        if text[at] == "#":
            end = text.find("\n", at)
            shape, at = shape + text[at:end], end
        elif text[at] not in QUOTES:
            shape, at = shape + text[at], at + 1
        else:
            word, at = "", at + 1
            while text[at] not in QUOTES or text[at + 1 : at + 2] in set(QUOTES):
                word, at = word + text[at], at + (2 if text[at] in QUOTES else 1)
            shape, words, at = shape + "''", [*words, word], at + 1
    return shape, words


def batch_shape(text: str) -> tuple[str, int]:
    """The batch file with each word in double quotes emptied, and how many percent signs are not
    doubled: in quotes too each begins a variable."""
    shape = []
    for line in text.split("\r\n"):
        parts = line.split('"')
        assert len(parts) % 2, f"a quote is open at the end of {line!r}"
        shape.append('""'.join(parts[::2]))
    return "\n".join(shape), text.replace("%%", "").count("%")


@given(HOSTILE)
@example("it's")
@example("a'; calc; '")
@example("\u2019; calc; \u2018")
@example('$(calc)`"')
@example("'")
@example("")
def test_a_powershell_word_is_read_back_or_refused(text: str) -> None:
    try:
        quoted = quoting.powershell(text)
    except Unquotable:
        assert not text.isprintable()
        return
    assert powershell_shape(f"x {quoted} ; y\n") == ("x '' ; y\n", [text])


@given(HOSTILE)
@example("$x = @'")
@example("Write-Output a `")
@example("@\u201d")
def test_a_powershell_line_takes_nothing_that_follows(text: str) -> None:
    try:
        line = quoting.powershell_line(text)
    except Unquotable:
        return
    assert len(line.splitlines()) <= 1
    assert not line.endswith("`")
    assert not line.rstrip().endswith(tuple(f"@{q}" for q in "'\"\u2018\u2019\u201c\u201d"))


def with_variable(value: str) -> BootContext:
    made = windows()
    return replace(made, machine=made.machine.model_copy(update={"variables": {"RACK": value}}))


def with_authority(value: str) -> BootContext:
    return replace(windows(), ca=value)


@pytest.mark.parametrize("made", [with_variable, with_authority])
@pytest.mark.parametrize("value", BREAKS.values(), ids=BREAKS)
def test_command_injection_into_powershell_stays_in_its_word(
    made: Callable[[str], BootContext], value: str
) -> None:
    """By a machine's variable, and by an authority whose file says more than a certificate."""
    plain, _ = powershell_shape(unattend.script(hidden(made("harmless"))))
    try:
        shape, words = powershell_shape(unattend.script(hidden(made(value))))
    except Unquotable:
        assert not value.isprintable()
        return
    if made is with_authority and "\n" in value:
        assert [line for line in value.splitlines() if line not in words] == []
        return
    assert shape == plain
    assert value in words


def with_repo(value: str) -> BootContext:
    made = windows()
    return replace(made, profile=made.profile.model_copy(update={"repo": value}))


def with_image(value: str) -> BootContext:
    made = windows()
    own: Any = made.profile.windows
    image = own.image.model_copy(update={"name": value, "index": None})
    profile = made.profile.model_copy(update={"windows": own.model_copy(update={"image": image})})
    return replace(made, profile=profile)


def with_driver(value: str) -> BootContext:
    made = windows()
    own: Any = made.profile.windows
    drivers = tuple(
        driver.model_copy(update={"files": (f"{value}.inf",)}) for driver in own.drivers
    )
    return replace(
        made,
        profile=made.profile.model_copy(
            update={"windows": own.model_copy(update={"drivers": drivers})}
        ),
    )


@pytest.mark.parametrize("made", [with_repo, with_image, with_driver])
@pytest.mark.parametrize("value", BREAKS.values(), ids=BREAKS)
def test_command_injection_into_startnet_stays_in_its_word(
    made: Callable[[str], BootContext], value: str
) -> None:
    """Past the checks of the profile: the renderer alone must hold it."""
    try:
        script = winpe.startnet(made(value))
    except Unquotable:
        return
    assert batch_shape(script) == batch_shape(winpe.startnet(made("harmless")))


@pytest.mark.parametrize("value", BREAKS.values(), ids=BREAKS)
def test_command_injection_by_a_version_is_words_on_the_screen(value: str) -> None:
    """A bundle's version is another's word, and is shown before anything is erased."""
    plain = winpe.startnet(replace(windows(), version="1.0"))
    said = winpe.startnet(replace(windows(), version=value))
    changed = [
        line
        for line, other in zip(said.split("\r\n"), plain.split("\r\n"), strict=True)
        if line != other
    ]
    assert len(changed) == 1
    assert changed[0].startswith("echo goose: ")
    assert not set(changed[0]) & set("%&|<>^()\"!'`")
