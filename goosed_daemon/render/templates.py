"""The Jinja environment of all rendered files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from goosed_daemon.render import quoting

_FILTERS = {
    "as_is": quoting.as_is,
    "number": quoting.number,
    "comment": quoting.comment,
    "ks": quoting.kickstart,
    "ks_word": quoting.kickstart_word,
    "sh": quoting.shell,
    "powershell": quoting.powershell,
    "powershell_line": quoting.powershell_line,
    "xml": quoting.xml,
    "xml_comment": quoting.xml_comment,
    "batch": quoting.batch,
    "batch_words": quoting.batch_words,
    "command": quoting.command,
    "package": quoting.package,
    "preseed": quoting.preseed,
    "ipxe": quoting.ipxe,
    "words": quoting.ipxe_words,
    "arguments": quoting.ipxe_arguments,
    "grub": quoting.grub,
    "grub_words": quoting.grub_words,
    "grub_arguments": quoting.grub_arguments,
}


def _only_quoted(value: Any) -> quoting.Quoted:
    if not isinstance(value, quoting.Quoted):
        raise TypeError(f"a template writes {value!r} without quoting it")
    return value


@cache
def get(name: str) -> Template:
    """The template `name`: unknown names and values without quoting are errors in it."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - that is for HTML; `finalize` demands each format's own
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
        finalize=_only_quoted,
    )
    environment.filters.update(_FILTERS)
    return environment
