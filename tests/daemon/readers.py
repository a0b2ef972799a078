"""How iPXE, the kernel and debconf read what is rendered, for tests to hold it against."""

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
