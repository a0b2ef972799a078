"""The one error base: every refusal owns its message, its stable code and the next step.

A subclass names one kind of refusal. `code` is a stable name that scripts match on (see
docs/errors.md, generated from these classes); `hint` tells the reader what to do next. The
command line maps them to exit codes in one place, the daemon to its JSON envelope in another.
"""

from __future__ import annotations

from typing import ClassVar


class GooseError(Exception):
    """Base of all errors that a user may see.

    `message` says what is wrong and names the file, line and field or the volume and entry;
    `details` repeats those as data for `--json` readers.
    """

    code: ClassVar[str] = "failed"
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.details = {key: value for key, value in details.items() if value is not None}


class UsageError(GooseError):
    """The command was used wrongly (exit code 2)."""

    code = "usage"


def shown(name: object) -> str:
    """A file's name as errors and progress show it: on one line, whatever it holds.

    A medium may bring a file whose name has a line break and words of its own behind it.
    """
    text = str(name)
    return text if text.isprintable() else ascii(text)


def known_errors() -> list[type[GooseError]]:
    """All error classes loaded so far, by code, for the generated table in the docs."""
    found: dict[str, type[GooseError]] = {}
    pending: list[type[GooseError]] = [GooseError]
    while pending:
        cls = pending.pop()
        pending.extend(cls.__subclasses__())
        if "code" in vars(cls):
            found[cls.code] = cls
    return [found[code] for code in sorted(found)]
