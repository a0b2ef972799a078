"""The one way in and the one way out of the command line.

Nothing is imported here but what the interpreter loads itself: `goosectl --help` answers before any
library is loaded, and every other command loads what it needs and no more (see `goosectl.frame`).

Exit codes: 0 done; 1 refused or failed; 2 used wrongly; 130 interrupted; 141 when the reader of
stdout went away (what a shell reports of any program that SIGPIPE ended).
"""

from __future__ import annotations

import os
import sys

from bundles import __version__

#: Every noun: the module that holds its verbs, and what it is for.
NOUNS = {
    "key": ("goosectl.key", "Make and look at keys that sign or receive bundles."),
    "bundle": ("goosectl.bundle", "Build, check and import signed bundles."),
    "trust": ("goosectl.trust", "Say whose signatures count at this site."),
    "store": ("goosectl.store", "Look at the content that was imported, and keep it whole."),
    "infra": ("goosectl.infra", "Check and show the site's machines and profiles."),
    "machine": ("goosectl.machine", "Arm machines for installation; see what they do."),
    "workflow": ("goosectl.workflow", "Follow every machine's way from armed to ready."),
    "receipt": (
        "goosectl.receipt",
        "Show and check what machines were built from.",
    ),
    "rollout": ("goosectl.rollout", "Install many machines in waves."),
    "token": ("goosectl.token", "Issue and revoke boot tokens."),
    "agent": (
        "goosectl.agent",
        "See which machines are alive; cut agents off, let them enrol.",
    ),
    "audit": ("goosectl.audit", "See what happened, and check the record of it."),
    "admin-token": ("goosectl.admin_token", "Say who may use the administration over HTTP."),
    "db": ("goosectl.db", "Bring the site's state database to this version."),
    "pki": ("goosectl.pki", "Make the site's own certificates."),
    "site": ("goosectl.backup", "Back the whole site up, and get it back."),
    "doctor": ("goosectl.doctor", "Look for what is wrong at this site, and how to mend it."),
    "serve": ("goosectl.serve", "Serve boot scripts, rendered files and content (as goosed does)."),
}

#: Accepted before the noun and anywhere after it, up to a `--`.
FLAGS = {
    "--json": "json",
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
}

#: Nouns whose work a daemon elsewhere can do, over HTTP.
REMOTE = frozenset(
    {"machine", "token", "agent", "workflow", "receipt", "rollout", "audit", "admin-token"}
)

#: Accepted where the flags are, but only by those nouns: how that daemon is reached.
OPTIONS = {"--server": "server", "--ca": "ca", "--token-file": "token_file"}

REMOTE_HELP = """\
Here, or by a daemon elsewhere:
  --server URL       Do it there, over HTTPS; else GOOSE_SERVER, else here.
  --token-file FILE  Holds the admin token, mode 0600; else GOOSE_TOKEN_FILE.
                     GOOSE_TOKEN may hold the token itself.
  --ca FILE          Certificates that the server's must come from; else GOOSE_CA.

"""

FLAGS_HELP = """\
Every command also takes:
  --json         One JSON object on stdout; an error is one on stderr.
  -q, --quiet    Errors only.
  -v, --verbose  The traceback of an error too.
"""

_USAGE = "Usage: goosectl [--json] [--quiet] [-v] [--server URL] NOUN VERB [ARGUMENT]..."


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns its exit code. No exception passes."""
    return _run("goosectl", sys.argv[1:] if argv is None else argv)


def goosed() -> int:
    """The entry point `goosed`: `goosectl serve` by its own name."""
    return _run("goosed", ["serve", *sys.argv[1:]])


def _run(program: str, argv: list[str]) -> int:
    _open_what_was_closed()
    args, flags = take_flags(argv)
    try:
        if args and args[0] in ("-h", "--help"):
            return _print(help_text())
        if args and args[0] == "--version":
            return _print(f"goosectl {__version__}\n")
        args, options = take_options(args)
        from goosectl.frame import run

        return run(args, flags, program, options)
    except BaseException as error:
        from goosectl.frame import fail

        return fail(error, flags)


def _open_what_was_closed() -> None:
    """Puts /dev/null in the place of standard streams that were closed (`>&-`): what is written to
    them goes nowhere, and no file opened later gets their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this stream's own
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def take_flags(argv: list[str]) -> tuple[list[str], set[str]]:
    """The arguments without the flags that every command takes, and the flags."""
    end = argv.index("--") if "--" in argv else len(argv)
    flags = {FLAGS[arg] for arg in argv[:end] if arg in FLAGS}
    return [arg for arg in argv[:end] if arg not in FLAGS] + argv[end:], flags


def take_options(args: list[str]) -> tuple[list[str], dict[str, str]]:
    """The arguments without those that say where the work is done, and these by name.

    Before the noun they are taken in any case, after it only where the noun can do with them.
    Raises `UsageError`.
    """
    left: list[str] = []
    options: dict[str, str] = {}
    rest = iter(args)
    for arg in rest:
        name, equals, value = arg.partition("=")
        if arg == "--" or name not in OPTIONS or (left and left[0] not in REMOTE):
            left.append(arg)
            if arg == "--":
                left += rest
            continue
        given = value if equals else next(rest, None)
        if not given:
            from bundles.errors import UsageError

            raise UsageError(f"option {name} requires an argument", hint="goosectl --help")
        options[OPTIONS[name]] = given
    if options and left and left[0] not in REMOTE and left[0] in NOUNS:
        from bundles.errors import UsageError

        raise UsageError(
            f"goosectl {left[0]} does its work here and at no server",
            hint=f"--server, --ca and --token-file are for: {', '.join(sorted(REMOTE))}",
        )
    return left, options


def help_text() -> str:
    """The help of the whole command line."""
    width = max(map(len, NOUNS))
    nouns = "".join(f"  {noun:{width}}  {about}\n" for noun, (_, about) in NOUNS.items())
    return (
        f"{_USAGE}\n\n"
        "Provision bare metal without internet: signed bundles in, installed machines out.\n\n"
        f"Nouns:\n{nouns}\n{FLAGS_HELP}\n"
        f"For {', '.join(sorted(REMOTE))}:\n{REMOTE_HELP.partition(chr(10))[2]}"
        "`goosectl NOUN --help` lists a noun's verbs, `goosectl NOUN VERB --help` explains one.\n"
        "GOOSE_HOME names the site's folder: store, state, trust, keys, profiles.\n"
        "Shell completion: goosectl --install-completion. Version: goosectl --version.\n"
    )


def _print(text: str) -> int:
    sys.stdout.write(text)
    sys.stdout.flush()
    return 0
