"""How iPXE, GRUB, the kernel and debconf read what is rendered, for tests to hold it against."""

from __future__ import annotations

import re
from collections.abc import Iterator


def ipxe_commands(line: str) -> Iterator[list[str]]:
    """The commands of one line of a script: iPXE's src/core/exec.c, system() and below."""
    words = line.split()
    command: list[str] = []
    for word in words:
        if word.startswith("#"):
            break
        if word in ("&&", "||", ";"):
            yield command
            command = []
        else:
            command.append(word)
    yield command


def ipxe_expansions(word: str) -> list[str]:
    """The settings that iPXE would put into a word: src/core/settings.c, expand_settings()."""
    return re.findall(r"\$\{([^}]*)\}", word)


def grub_words(line: str) -> list[str]:
    """The words of one GRUB command: grub-core/script/yylex.l, without expansions.

    Raises ValueError where a variable or another command would begin.
    """
    words: list[str] = []
    word: list[str] | None = None
    at = 0
    while at < len(line):
        c = line[at]
        if c == "'":
            end = line.index("'", at + 1)
            word = [*(word or []), line[at + 1 : end]]
            at = end
        elif c == "\\":
            word = [*(word or []), line[at + 1]]
            at += 1
        elif c == " ":
            if word is not None:
                words.append("".join(word))
            word = None
        elif c in '"$;&|<>{}\n':
            raise ValueError(f"{c!r} stands open in {line!r}")
        elif c == "#" and word is None:
            break
        else:
            word = [*(word or []), c]
        at += 1
    return words if word is None else [*words, "".join(word)]


def grub_kernel_line(words: list[str]) -> str:
    """The kernel command line that GRUB makes of words: grub-core/lib/cmdline.c."""
    made = []
    for word in words:
        escaped = "".join("\\" + c if c in "\\'\"" else c for c in word)
        made.append(f'"{escaped}"' if " " in word else escaped)
    return " ".join(made)


def kernel_arguments(line: str) -> dict[str, str | None]:
    """A kernel command line: Linux, lib/cmdline.c, next_arg(). The last of a name wins."""
    found: dict[str, str | None] = {}
    rest = line.lstrip()
    while rest:
        quotes = 0
        end = len(rest)
        for at, c in enumerate(rest):
            if c == " " and quotes % 2 == 0:
                end = at
                break
            quotes += c == '"'
        argument, rest = rest[:end], rest[end:].lstrip()
        if len(argument) > 1 and argument[0] == argument[-1] == '"':
            argument = argument[1:-1]
        name, equals, value = argument.partition("=")
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        found[name] = value if equals else None
    return found


def preseed_values(text: str) -> dict[str, tuple[str, str, str]]:
    """Owner, type and value of each question, as debconf-set-selections reads them."""
    joined = re.sub(r"\\\n", "", text)
    found = {}
    for line in joined.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        owner, question, kind, *value = re.split(r"\s+", line.strip(), maxsplit=3)
        found[question] = (owner, kind, value[0] if value else "")
    return found
