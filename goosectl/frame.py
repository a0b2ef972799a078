"""Runs a noun's verb and turns whatever ends it into an exit code and words.

The only module that knows how typer is put together. Verbs are plain typer commands in one
module per noun; this frame gives them their output, their flags and their errors.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from bundles.errors import GooseError, UsageError
from goosectl import output, server
from goosectl.interruption import Interrupted
from goosectl.main import FLAGS_HELP, NOUNS, REMOTE, REMOTE_HELP, help_text

if TYPE_CHECKING:
    import typer

INTERRUPTED = 130
READER_GONE = 141

#: Columns that help may fill where the terminal has them.
_WIDTH = 100

#: What typer calls the variable through which a shell asks for completions.
_COMPLETE = "_GOOSECTL_COMPLETE"


class InternalError(GooseError):
    """Goose failed in a way that it does not know: a defect in Goose."""

    code = "internal-error"
    default_hint = "run it again with -v for the traceback, and report that with the command"


class SystemFailure(GooseError):
    """The operating system refused something: a file, a disk, a port."""

    code = "system-failure"
    default_hint = "mend what the message names, then run it again; -v shows where it failed"


class ModuleUnusable(GooseError):
    """A part of Goose, or a library that it needs, cannot be loaded."""

    code = "module-unusable"
    default_hint = "the installation is incomplete: install it again; -v shows what is missing"


def run(
    args: list[str],
    flags: set[str],
    program: str = "goosectl",
    options: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Runs `args` without the flags that every command takes; returns the exit code.

    `program` is what was typed: `goosectl`, or a name that stands for it and its noun. `options`
    says at which server, if any.
    """
    try:
        with output.use(_output(flags)) as out, server.use(options):
            try:
                code = _dispatch(args, program)
                sys.stdout.flush()
            except BaseException as error:
                code = _explain(error, out)
            return code
    except BaseException as error:  # the words themselves could not be written
        return _last_words(error)


def fail(error: BaseException, flags: set[str]) -> int:
    """The exit code of what ended a command before its verb ran, once it was explained."""
    try:
        return _explain(error, _output(flags))
    except BaseException as second:
        return _last_words(second)


def whole_app() -> typer.Typer:
    """Every noun in one application: for shell completion and for the generated reference.

    Raises ModuleUnusable.
    """
    import typer

    app = typer.Typer(name="goosectl", rich_markup_mode=None, help=help_text())
    for noun, (_, about) in NOUNS.items():
        app.add_typer(load(noun), name=noun, help=about)
    return app


def load(noun: str) -> typer.Typer:
    """A noun's application, dressed for this command line. Raises ModuleUnusable."""
    module, about = NOUNS[noun]
    try:
        app: typer.Typer = import_module(module).app
    except ImportError as error:
        raise ModuleUnusable(f"`goosectl {noun}` cannot be loaded: {error}") from error
    # Plain help: it reads the same on a serial console, in a pipe and in the generated docs.
    app.rich_markup_mode = None
    app.info.help = about
    app._add_completion = False  # only the whole command line can be completed
    for command in app.registered_commands:
        command.rich_help_panel = None
        command.epilog = command.epilog or (REMOTE_EPILOG if noun in REMOTE else EPILOG)
    if app.registered_callback is None and not _is_verb(app, noun):
        app.callback()(_no_options)  # else typer takes a single verb for the noun itself
    return app


# \b keeps typer from filling the lines into a paragraph.
EPILOG = "\b\n" + FLAGS_HELP
REMOTE_EPILOG = "\b\n" + REMOTE_HELP.replace("\n\n", "\n") + FLAGS_HELP


def _no_options() -> None:
    pass


def _is_verb(app: typer.Typer, noun: str) -> bool:
    """Whether the noun needs no verb (`goosectl serve`): its one command bears its name."""
    return [_name(command) for command in app.registered_commands] == [noun]


def _name(command: typer.models.CommandInfo) -> str:
    return command.name or getattr(command.callback, "__name__", "").replace("_", "-")


def _dispatch(args: list[str], program: str) -> int:
    if _COMPLETE in os.environ or (args and args[0] in _COMPLETION_OPTIONS):
        return _invoke(whole_app(), args, "goosectl")
    if not args:
        raise UsageError("a noun and a verb are needed", hint="goosectl --help lists the nouns")
    if args[0] not in NOUNS:
        raise UsageError(f"there is no noun {args[0]!r}", hint=_suggestion(args[0], NOUNS))
    app = load(args[0])
    return _invoke(app, args[1:], f"goosectl {args[0]}" if program == "goosectl" else program)


_COMPLETION_OPTIONS = ("--install-completion", "--show-completion")


def _invoke(app: typer.Typer, args: list[str], prog: str) -> int:
    """Runs a typer application without its own ideas of errors and exit codes."""
    import typer
    from typer._click.exceptions import ClickException, NoArgsIsHelpError

    command = typer.main.get_command(app)
    try:
        command._main_shell_completion({}, prog, _COMPLETE)
        with command.make_context(prog, list(args), max_content_width=_WIDTH) as context:
            result = command.invoke(context)
        return result if type(result) is int else 0
    except typer.Exit as done:
        return done.exit_code
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    except NoArgsIsHelpError as error:
        raise UsageError("a verb is needed", hint=f"{prog} --help lists the verbs") from error
    except ClickException as error:
        named = args[:1] if args and args[0] in getattr(command, "commands", ()) else []
        hint = " ".join([prog, *named, "--help"])
        raise UsageError(_sentence(error.format_message()), hint=hint) from error
    except (typer.Abort, EOFError) as error:
        raise KeyboardInterrupt from error


def _sentence(text: str) -> str:
    """typer's message as ours are written: no capital, no full stop."""
    return text[:1].lower() + text[1:].removesuffix(".")


def _suggestion(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean `goosectl {near[0]}`?" if near else "goosectl --help lists the nouns"


def _explain(error: BaseException, out: output.Output) -> int:
    """Says why the command ended; returns the exit code."""
    if isinstance(error, BrokenPipeError) and _reader_gone():
        raise error
    known = _known(error)
    out.error(known)
    try:
        sys.stdout.flush()
    except OSError:
        _discard_stdout()
    return exit_code(type(known))


def exit_code(kind: type[GooseError]) -> int:
    """What a command returns that ends with such an error."""
    if issubclass(kind, UsageError):
        return 2
    return INTERRUPTED if issubclass(kind, Interrupted) else 1


def _known(error: BaseException) -> GooseError:
    """The error that the user sees, with the original as its cause."""
    known: GooseError
    if isinstance(error, GooseError):
        return error
    if isinstance(error, KeyboardInterrupt):
        known = Interrupted("interrupted")
    elif isinstance(error, OSError) and error.strerror:
        where = "".join(f"{name}: " for name in (error.filename, error.filename2) if name)
        known = SystemFailure(f"{where}{error.strerror}", errno=error.errno)
    else:
        known = InternalError(f"{type(error).__name__}: {error}")
    known.__cause__ = error
    return known


def _last_words(error: BaseException) -> int:
    """The exit code when stdout or stderr cannot be written to."""
    _discard_stdout()
    if isinstance(error, BrokenPipeError):
        return READER_GONE
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def _discard_stdout() -> None:
    """Sends what is still buffered nowhere: the interpreter flushes once more at its end, and
    would complain there."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reader_gone() -> bool:
    """Whether it is our own stdout or stderr that nobody reads any more.

    poll(2): POLLERR is set on the write end of a pipe when the read end was closed.
    """
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        poll.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _output(flags: set[str]) -> output.Output:
    return output.Output(
        as_json="json" in flags, quiet="quiet" in flags, verbose="verbose" in flags
    )
