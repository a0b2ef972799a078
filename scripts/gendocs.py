"""Write what is generated from the code: docs/cli.md, docs/errors.md, the tables of
docs/profiles.md, man pages, dashboards and so on (`pages`).

    python scripts/gendocs.py           writes them
    python scripts/gendocs.py --check   exit code 1, and names, where one differs from the code

tests/cli/test_docs.py holds them equal.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from bundles.errors import GooseError
from goosectl import frame
from goosectl.main import NOUNS, help_text
from goosed_daemon import setting_table, telemetry
from goosed_daemon.infra import reference, schema

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where it runs as a file
from scripts import dashboards, manpages, reading

DOCS = Path(__file__).resolve().parent.parent / "docs"
PACKAGES = ("bundles", "goosed_daemon", "goosectl")
WIDTH = 100

_GENERATED = "<!-- Made by `make generated` from the code; do not edit. -->\n"

_CLI_INTRODUCTION = """\
Results go to stdout, everything else to stderr. Exit codes: 0 done; 1 refused or failed, the reason
on stderr (`error:` what, `hint:` next step); 2 used wrongly; 130 interrupted; 141 when the reader
of stdout went away.

With `--json` a command prints one object on stdout: its result, or `{"items": [...]}` for a list.
When it fails, stdout stays empty and the last line of stderr is one object with `code` (see
[errors](errors.md)), `error`, and where there is more to say `hint` and `details`.

## Progress

What takes long says on stderr what it needs and how far it is: on a terminal by a bar, in a log or
a pipe by a line every five seconds. With `--json` it is an object a line, at most one a second, and
none at all of a stage that is over within one:

- `"event": "preflight"`: `volumes` and their `bytes`; `needed`, the bytes to write, at most;
  `free`, where they go, or null.
- `"event": "progress"`: `stage`; `bytes` done; `total` or null; `rate`, bytes a second over the
  last half minute; `eta`, seconds, or null; `volume`, null or an object with `file`, `number` and
  `of`; `item`, what is in hand, or null.
- `"event": "finished"`: `stage`, `bytes`, `seconds`, `rate`.

SIGINT (Ctrl-C) and SIGTERM end a build, a check and an import in order: the error says what is left
and how to go on.
"""

_ERRORS_INTRODUCTION = """\
Each refusal has a stable code: in the `--json` output of `goosectl` and in the JSON errors of
`goosed`. Codes are never renamed and never change their meaning. The message of an error names the
file, line and field, or the volume and entry, that it is about.

`exit` is the exit code of a command that ends so.

| code | exit | meaning | next step |
|---|---|---|---|"""


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    profiles = reference.renewed((DOCS / "profiles.md").read_text(encoding="utf-8"))
    return {
        "cli.md": cli(),
        "errors.md": errors(),
        "metrics.md": telemetry.reference(),
        "profiles.md": profiles,
        "reading-bundles.md": reading.reference(),
        "settings.md": setting_table.reference(),
        "../examples/infra/infra.schema.json": json.dumps(schema.schema(), indent=1) + "\n",
        **{f"../man/{name}": text for name, text in manpages.pages().items()},
        **{f"../dashboards/{name}": text for name, text in dashboards.files().items()},
    }


def cli() -> str:
    """The help of every noun and verb."""
    import typer

    text = ["# Command line\n", _GENERATED, _CLI_INTRODUCTION, _block("goosectl", help_text())]
    for noun in NOUNS:
        command: Any = typer.main.get_command(frame.load(noun))
        text.append(f"## goosectl {noun}\n")
        verbs = getattr(command, "commands", {})
        text += [_block(f"goosectl {noun} {v.name}", _help(v, noun)) for v in verbs.values()]
        if not verbs:
            text.append(_block(f"goosectl {noun}", _help(command, "")))
    return "\n".join(text)


def _help(command: Any, noun: str) -> str:
    import typer

    # Wherever it is generated, the same terminal.
    context = typer.Context(
        command,
        info_name=f"goosectl {noun} {command.name}".replace("  ", " "),
        terminal_width=WIDTH,
        max_content_width=WIDTH,
    )
    text = command.get_help(context)
    for epilog in (frame.REMOTE_EPILOG, frame.EPILOG):
        text = text.removesuffix(_indented(epilog))
    return text.rstrip() + "\n"


def _indented(epilog: str) -> str:
    lines = epilog.removeprefix("\b\n").rstrip().split("\n")
    return "\n".join(f"  {line}" for line in lines)


def _block(title: str, text: str) -> str:
    return f"### {title}\n\n```text\n{text}```\n"


def errors() -> str:
    """The table of all errors."""
    rows = [
        f"| `{cls.code}` | {frame.exit_code(cls)} | {_cell(_meaning(cls))} |"
        f" {_cell(cls.default_hint)} |"
        for cls in sorted(known_errors(), key=lambda cls: cls.code)
    ]
    return "\n".join(["# Errors\n", _GENERATED, _ERRORS_INTRODUCTION, *rows, ""])


def known_errors() -> Iterator[type[GooseError]]:
    """Every error class of the packages that names a code of its own."""
    for _ in modules():
        pass
    pending: list[type[GooseError]] = [GooseError]
    while pending:
        cls = pending.pop()
        pending.extend(cls.__subclasses__())
        if "code" in vars(cls) and cls.__module__.partition(".")[0] in PACKAGES:
            yield cls


def modules() -> Iterator[ModuleType]:
    """Every module of the packages, imported. `__main__` is none: to import it is to run it."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{name}.", onerror=_fail):
            if not found.name.endswith(".__main__"):
                yield importlib.import_module(found.name)


def _fail(name: str) -> None:
    raise ImportError(f"{name} cannot be imported")


def _meaning(cls: type[GooseError]) -> str:
    return " ".join((cls.__doc__ or "").strip().partition("\n\n")[0].split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Writes or checks the pages; returns the exit code."""
    stale = [name for name, text in pages().items() if _read(DOCS / name) != text]
    if arguments == ["--check"]:
        for name in stale:
            print(f"docs/{name} differs from the code: run `make generated`", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(pages()[name], encoding="utf-8")
        print(f"wrote docs/{name}")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
