"""The man pages, out of the command line itself: goosectl(1), goosed(1), and one for each noun.

gendocs.py writes them into man/, and setup.cfg has them installed below share/man/man1. Source:
man-pages(7) for the sections and their order, groff_man(7) for the macros.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bundles import __version__
from goosectl import frame
from goosectl.main import FLAGS_HELP, NOUNS, REMOTE, REMOTE_HELP

ABOUT = "Bare metal without internet: signed bundles in, installed machines out."
EXIT = (("0", "Done."), ("1", "Refused or failed; the reason is on stderr."),
        ("2", "Used wrongly."), ("130", "Interrupted."),
        ("141", "The reader of stdout went away."))  # fmt: skip
ENVIRONMENT = (
    ("GOOSE_HOME", "The site's folder; not set: /var/lib/goose, or ~/.local/share/goose."),
    ("DB_DSN", "PostgreSQL that holds the state; not set: SQLite in the home."),
    ("NATS_URL", "NATS with JetStream, which is sent the events of machines."),
    ("S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY, S3_SECRET_KEY",
     "The store in a bucket; not set: a folder in the home."),
    ("GOOSED_*", "Every other setting; an unknown one is an error."),
)  # fmt: skip


def pages() -> dict[str, str]:
    """Every page by its file name, `goosectl-bundle.1`."""
    made = {"goosectl.1": _whole(), "goosed.1": _daemon()}
    for noun in NOUNS:
        made[f"goosectl-{noun}.1"] = _noun(noun)
    return made


def _whole() -> str:
    body = [".SH SYNOPSIS", ".B goosectl", ".RI [ FLAG ]... \\ NOUN\\ VERB\\ [ ARGUMENT ]...",
            ".SH DESCRIPTION", _text(ABOUT), ".PP",
            _text("Results go to stdout, all else to stderr. Each noun has a page of its own."),
            ".SH NOUNS"]  # fmt: skip
    for noun, (_, about) in NOUNS.items():
        body += [".TP", f".BR goosectl-{_text(noun)} (1)", _text(about)]
    body += [
        *(".SH OPTIONS", _text("Every command also takes these.")),
        *_listed(FLAGS_HELP),
        ".PP",
        _text(f"For {', '.join(sorted(REMOTE))}, to have the work done by a daemon elsewhere:"),
        *_listed(REMOTE_HELP),
        *(".TP", _bold("--install-completion"), "Install completion for the shell it is typed in."),
        *(".TP", _bold("--version"), "Print the version."),
    ]
    return _page("goosectl", ABOUT, [*body, *_end("goosed")])


def _noun(noun: str) -> str:
    import typer

    command: Any = typer.main.get_command(frame.load(noun))
    name = f"goosectl-{noun}"
    verbs = getattr(command, "commands", {})
    body = [".SH SYNOPSIS", f".B goosectl {_text(noun)}"]
    if not verbs:
        body += [_text("[OPTIONS]"), ".SH DESCRIPTION", *_described(command, "goosectl")]
    else:
        body += [
            ".IR VERB \\ [ ARGUMENT ]...",
            ".SH DESCRIPTION",
            _text(NOUNS[noun][1]),
            ".SH VERBS",
        ]
        for verb in verbs.values():
            body += [f".SS goosectl {_text(noun)} {_text(verb.name)}"]
            body += _described(verb, f"goosectl {noun}")
    body += [".SH OPTIONS", _text("Every verb also takes these." if verbs else "Also:")]
    if noun in REMOTE:
        body += _listed(REMOTE_HELP)
    return _page(name, NOUNS[noun][1], [*body, *_listed(FLAGS_HELP), *_end("goosectl", "goosed")])


def _daemon() -> str:
    import typer

    command: Any = typer.main.get_command(frame.load("serve"))
    about = "Serve boot scripts, rendered files and content."
    body = [".SH SYNOPSIS", ".B goosed", _text("[OPTIONS]"), ".SH DESCRIPTION",
            *_described(command, "")]  # fmt: skip
    return _page("goosed", about, [*body, *_end("goosectl", "goosectl-serve")])


def _page(name: str, about: str, body: list[str]) -> str:
    head = [
        '.\\" Made by `make generated` from the code; do not edit.',
        f'.TH {name.upper()} 1 "" "Goose {__version__}" "Goose"',
        *(".nh", ".ad l"),  # commands and options are not to be broken, nor spread
        *(".SH NAME", f"{_text(name)} \\- {_text(about.removesuffix('.'))}"),
    ]
    return "\n".join([*head, *body, ""])


def _end(*others: str) -> list[str]:
    lines = [".SH EXIT STATUS"]
    for code, words in EXIT:
        lines += [".TP", _bold(code), _text(words)]
    lines.append(".SH ENVIRONMENT")
    for name, words in ENVIRONMENT:
        lines += [".TP", _bold(name), _text(words)]
    also = [f".BR {_text(name)} (1)" for name in (*others, "ssh-keygen", "age")]
    return [*lines, ".SH SEE ALSO", *(f"{line}," for line in also[:-1]), also[-1]]


def _described(command: Any, noun: str) -> Iterator[str]:
    """Usage, words and parameters of a verb."""
    import typer

    context = typer.Context(command, info_name=f"{noun} {command.name}".strip(),
                            terminal_width=10_000, max_content_width=10_000)  # fmt: skip
    if noun.count(" "):
        yield _text(command.get_usage(context).removeprefix("Usage: "))
    for paragraph in (command.help or "").split("\n\n"):
        yield from (".PP", _text(" ".join(paragraph.replace("\b", "").split())))
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            yield from (".TP", _bold(record[0]), _text(" ".join(record[1].split())))


def _listed(help_: str) -> Iterator[str]:
    """Options that a help lists, each with its words, which may go on below."""
    for found in re.finditer(r"^  (-.*?)  +(.*(?:\n {4,}.*)*)", help_, re.MULTILINE):
        yield from (".TP", _bold(found[1]), _text(" ".join(found[2].split())))


def _bold(text: str) -> str:
    return f"\\fB{_text(text)}\\fR"


def _text(text: str) -> str:
    """Text as groff prints it: no escape, no request, and hyphens that can be typed."""
    safe = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return f"\\&{safe}" if safe.startswith((".", "\\(aq")) else safe
