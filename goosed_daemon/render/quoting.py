"""Each format's own quoting, and the rule that nothing is written without it.

A template's ``{{ value }}`` must have passed through one of these functions: they return `Quoted`,
and the environment in `templates.py` refuses anything else.
"""

from __future__ import annotations

import re
import shlex
from xml.sax.saxutils import escape

from bundles.errors import GooseError
from goosed_daemon.infra.models import SecretRef
from goosed_daemon.infra.secret_text import SecretText


class Unquotable(GooseError):
    """A value cannot be written in a format without changing what it means."""

    code = "unquotable"
    default_hint = "change the value in the profile; `goosectl infra validate` names it"


class Quoted(str):
    """Text in the quoting of the format that it is written to."""

    __slots__ = ()


def _line(value: object, form: str) -> str:
    if isinstance(value, SecretRef):
        raise TypeError("a reference to a secret is written in its place")  # see infra/secrets.py
    text = value if isinstance(value, SecretText) else str(value)
    if not text.isprintable():
        raise Unquotable(f"{form} cannot hold {text!r}: it is not one line of visible characters")
    return text


def as_is(value: str) -> Quoted:
    """What a macro returned: its own values were quoted when they were written."""
    return Quoted(value)


def number(value: int) -> Quoted:
    """A whole number."""
    return Quoted(str(int(value)))


def comment(value: object) -> Quoted:
    """The rest of a line that begins with ``#``; a ``\\`` at its end must not continue it."""
    text = _line(value, "a comment")
    return Quoted(text + " #" if text.endswith("\\") else text)


def kickstart(value: object) -> Quoted:
    """One word of a kickstart command; pykickstart splits with `shlex.split`."""
    return Quoted(shlex.quote(_line(value, "a kickstart")))


def kickstart_word(value: object) -> Quoted:
    """A word of its own: one that begins with a hyphen is an option, even in quotes."""
    if str(value).startswith("-"):
        raise Unquotable(f"a kickstart would take {str(value)[:60]!r} for an option")
    return kickstart(value)


def shell(value: object) -> Quoted:
    """One word of a POSIX shell command (POSIX.1-2024, XCU 2.2.2)."""
    return Quoted(shlex.quote(_line(value, "a shell script")))


def command(value: object) -> Quoted:
    """A whole line of shell inside a kickstart section, which a leading ``%`` would leave."""
    text = _line(value, "a shell script")
    if text.lstrip().startswith("%"):
        raise Unquotable(f"a kickstart section cannot hold the line {text!r}")
    return Quoted(text)


def powershell(value: object) -> Quoted:
    """One word of PowerShell, verbatim (about_Quoting_Rules): in single quotes, of which it knows
    several typographic forms."""
    text = _line(value, "a PowerShell script")
    return Quoted("'" + re.sub("(['\u2018\u2019\u201a\u201b])", r"\1\1", text) + "'")


def powershell_line(value: object) -> Quoted:
    """A whole line of PowerShell, as the profile says it. A here-string would take what follows."""
    text = _line(value, "a PowerShell script")
    if re.search("@['\"\u2018-\u201f]\\s*$|`$", text):
        raise Unquotable(f"the PowerShell line {text!r} goes on in the next line")
    return Quoted(text)


def xml(value: object) -> Quoted:
    """Text of an XML element, or an attribute in double quotes (XML 1.0, section 2.4)."""
    return Quoted(escape(_line(value, "XML"), {'"': "&quot;"}))


def xml_comment(value: object) -> Quoted:
    """Part of an XML comment, which ``--`` would end (XML 1.0, section 2.5)."""
    text = _line(value, "an XML comment")
    return Quoted(text.replace("-", "_") if "--" in text or text.endswith("-") else text)


def batch(value: object) -> Quoted:
    """A word of a batch file, in double quotes: in them all but ``%`` and ``"`` is literal (and
    ``!`` while delayed expansion is off, as it is by default). A ``\\`` in front of the last quote
    would hide that from the program that is called."""
    text = _line(value, "a batch file")
    if not text.isascii() or '"' in text or text.endswith("\\"):
        raise Unquotable(
            f"a batch file cannot hold {text!r}: it has a double quote, a \\ at its end, or is not"
            " ASCII"
        )
    return Quoted('"' + text.replace("%", "%%") + '"')


def batch_words(value: object) -> Quoted:
    """Text for ``echo``. Anything may stand here, as in `ipxe_words`."""
    return Quoted(re.sub(r"[^A-Za-z0-9 .,:;/_+@=-]", "?", str(value), flags=re.ASCII))


_PACKAGE = re.compile(r"-?(?:@\^?)?[A-Za-z0-9][A-Za-z0-9.+_:~*-]*")


def package(value: object) -> Quoted:
    """A package or group: there is no quoting for them."""
    text = str(value)
    if not _PACKAGE.fullmatch(text):
        raise Unquotable(f"{text!r} is not a package or group")
    return Quoted(text)


def preseed(value: object) -> Quoted:
    """The value of a preseed line: everything up to the end of the line.

    debconf strips blanks around it and takes a ``\\`` at its end for a continuation.
    """
    text = _line(value, "a preseed")
    if text != text.strip() or text.endswith("\\"):
        raise Unquotable(f"a preseed cannot hold {text!r}: blanks or a \\ at an end are lost")
    return Quoted(text)


_PARTMAN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9/._-]*")


def partman(value: object) -> Quoted:
    """One word of a partman recipe. It has no quoting: a shell splits it and expands patterns."""
    text = str(value)
    if not _PARTMAN.fullmatch(text):
        raise Unquotable(f"a partman recipe cannot hold {text!r}")
    return Quoted(text)


_TERMINATORS = ("&&", "||", ";")


def ipxe(value: object) -> Quoted:
    """One word of an iPXE command. iPXE has no quoting: what it would act on is refused.

    It splits at blanks, ends commands at the words ``&& || ;`` and at a word that begins with
    ``#``, and then expands ``${...}`` (src/core/exec.c, src/core/settings.c).
    """
    text = _line(value, "an iPXE script")
    if not text.isascii() or not text or " " in text:
        raise Unquotable(f"{text!r} is not one word of an iPXE script")
    if text in _TERMINATORS or text.startswith("#") or "${" in text:
        raise Unquotable(f"an iPXE script cannot hold {text!r}: iPXE would act on it")
    return Quoted(text)


def ipxe_words(value: object) -> Quoted:
    """Text for ``echo`` after a first plain word: what iPXE would act on is made visible instead.

    Anything may stand here, even what a stranger sent: a screen is no reason to fail a boot.
    """
    text = "".join(c if " " <= c <= "~" else "?" for c in str(value)).replace("${", "$ {")
    words = (f"'{w}'" if w in _TERMINATORS or w.startswith("#") else w for w in text.split())
    return Quoted(" ".join(words))


def kernel_argument(value: object) -> str:
    """One kernel argument; blanks are put between double quotes, as the kernel reads them.

    (Linux, Documentation/admin-guide/kernel-parameters.rst: ``param="spaces in here"``.)
    """
    text = _line(value, "a kernel command line")
    if not text or '"' in text or not text.isascii():
        raise Unquotable(f"a kernel argument cannot hold {text!r}")
    if " " not in text:
        return text
    name, equals, rest = text.partition("=")
    if not equals or " " in name:
        raise Unquotable(f"{text!r} is not one kernel argument")
    return f'{name}="{rest}"'


def ipxe_arguments(values: tuple[str, ...]) -> Quoted:
    """Kernel arguments at the end of an iPXE ``kernel`` command.

    iPXE joins its words with single blanks again, so only single blanks survive.
    """
    joined = " ".join(map(kernel_argument, values))
    if len(joined) > MAX_COMMAND_LINE:
        raise _too_long(joined)
    # Two blanks in a row make an empty word here, which `ipxe` refuses.
    return Quoted(" ".join(map(ipxe, joined.split(" "))) if joined else "")


def grub(value: object) -> Quoted:
    """One word of a GRUB command, in single quotes, which nothing but another ends.

    (GRUB manual, section 6.3, "Quoting"; grub-core/script/yylex.l.)
    """
    text = _line(value, "a GRUB script")
    if not text.isascii():
        raise Unquotable(f"a GRUB script cannot hold {text!r}: it is not ASCII")
    return Quoted(_grub_quoted(text))


def grub_words(value: object) -> Quoted:
    """Text for ``echo`` after a first plain word. Anything may stand here, as in `ipxe_words`."""
    return Quoted(_grub_quoted("".join(c if " " <= c <= "~" else "?" for c in str(value))))


def _grub_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def grub_arguments(values: tuple[str, ...]) -> Quoted:
    """Kernel arguments at the end of a GRUB ``linux`` command.

    GRUB puts a backslash before quotes and backslashes in them (grub-core/lib/cmdline.c), which no
    kernel takes away again, so that there may be none. A word with blanks it puts between double
    quotes as a whole, which a kernel reads as it reads ``name="a value"``.
    """
    joined = " ".join(map(kernel_argument, values))
    if len(joined) > MAX_COMMAND_LINE:
        raise _too_long(joined)
    for value in values:
        if "'" in value or "\\" in value:
            raise Unquotable(f"GRUB would change the kernel argument {value!r}: it has ' or \\")
    return Quoted(" ".join(map(grub, values)))


def _too_long(joined: str) -> Unquotable:
    return Unquotable(
        f"the kernel arguments have {len(joined)} characters; a kernel reads {MAX_COMMAND_LINE}"
    )


MAX_COMMAND_LINE = 2047 - 128  # COMMAND_LINE_SIZE of x86; the rest is for BOOTIF and initrd=
