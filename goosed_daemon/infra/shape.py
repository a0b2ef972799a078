"""What of a rendered file its release's parser looks at, so that machines of one shape are judged
once.

Two files of the same shape differ in host names and addresses only, each of them put where the
other has one of the same form, and in what the parser hands on unread: the bodies of scripts, the
values of debconf's answers. Both were checked by their types and quoted when they were written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from goosed_daemon.render.context import BootContext

_NAMED = re.compile(
    r"(?P<mac>(?<![\w:])[0-9a-f]{2}(?::[0-9a-f]{2}){5}(?![\w:]))"
    r"|(?P<ip>(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.]))"
    r"|(?P<word>[A-Za-z0-9][A-Za-z0-9.-]*)",
    re.ASCII,
)
_SCRIPTS = ("%pre", "%post", "%onerror", "%traceback")


def shape(boot: BootContext, text: str) -> str:
    """The shape of `text`, the file rendered from `boot`; it has the same number of lines."""
    return "\n".join(_SHAPES[boot.profile.installer](boot, text))


def _kickstart(boot: BootContext, text: str) -> Iterator[str]:
    """Of scripts pykickstart reads only where they end and what they include."""
    alike = _alike(boot)
    script = False
    for line in text.split("\n"):
        if line.startswith("%"):
            script = line.startswith(_SCRIPTS)
            yield line
        elif script:
            yield line if line.lstrip().startswith("%") else ""
        elif line.startswith("#"):
            yield "#"
        else:
            yield _NAMED.sub(alike, line)


def _alike(boot: BootContext) -> Callable[[re.Match[str]], str]:
    """Names and addresses by the order in which they come, so that equal ones stay equal."""
    names = {boot.hostname: "<host>", boot.machine.name: "<name>"}
    seen: dict[str, str] = {}

    def one(match: re.Match[str]) -> str:
        found = match[0]
        if match.lastgroup == "word":
            return names.get(found, found)
        return seen.setdefault(found, f"<{match.lastgroup}{len(seen)}>")

    return one


def _preseed(boot: BootContext, text: str) -> Iterator[str]:
    """debconf's check looks for an owner, a question, a type and a value; a ``\\`` goes on."""
    continued = False
    for line in text.split("\n"):
        end = "\\" if line.endswith("\\") else ""
        if continued:
            yield end
        elif line.startswith("#"):
            yield "#" + end
        else:
            words = line.split(" ", 3)
            yield " ".join(words[:3]) + (" ..." if len(words) > 3 else "") + end
        continued = bool(end)


def _unattend(boot: BootContext, text: str) -> Iterator[str]:
    """All of it but the script, which is in base64."""
    alike = _alike(boot)
    for line in text.split("\n"):
        yield "<Script>" if line.startswith("<Script>") else _NAMED.sub(alike, line)


_SHAPES: dict[str, Callable[[BootContext, str], Iterator[str]]] = {
    "kickstart": _kickstart,
    "preseed": _preseed,
    "unattend": _unattend,
}
