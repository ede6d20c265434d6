"""``turnout``: finds the command that was typed, imports that one file and runs it.

Exit codes: 0 done, 1 the answer is no (problems found, a request failed), 2 wrong usage, 3 the
project cannot start, 130 interrupted. An error says what, where and the cure on standard error;
with ``--json`` it is an object on standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

COMMANDS = {
    "new": "create a small project",
    "dev": "serve while you work: reloads on save, shows errors",
    "start": "serve in production",
    "routes": "list the routes",
    "check": "look for problems without starting",
    "build": "make the files that a server, AWS Lambda and others run",
    "preview": "run what was built, on this machine",
    "call": "make one request without a server",
    "create": "write a route from a sentence: proved, shown, then applied",
    "client": "write a typed client: TypeScript, or Python for httpx",
    "diff": "compare with an earlier version: what breaks callers, what opens",
    "import": "turn a Next.js project's route.ts files into route.py files",
    "db": "migrate the database: new, migrate, status, reset",
    "tasks": "background tasks: list, show, cancel, retry",
    "auth": "make, rotate and show the keys that sign tokens",
    "mcp": "serve the project's state and the recipes to coding agents",
    "webhooks": "send signed events to the local server, list and replay what arrived",
}

FAILED, USAGE, CANNOT_START, INTERRUPTED = 1, 2, 3, 130


class WrongUsage(ConfigError):
    """The words that were typed cannot be meant so: shown with how the command is used."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the exit status is the result."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["help"] and len(words) > 1:
        words = [*words[1:], "--help"]
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(f"turnout {version('turnout')}")
        return 0
    name = words.pop(0)
    if name not in COMMANDS:
        return _unknown(name)
    return _run(name, words)


def overview() -> str:
    """What ``turnout --help`` prints."""
    lines = [f"  {name:<9} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "Turnout serves a folder of files as an API.",
            "",
            "usage: turnout COMMAND [options]",
            "",
            *lines,
            "",
            "turnout COMMAND --help says more. A first project: turnout new blog && cd blog && turnout dev",
        ]
    )


def _unknown(name: str) -> int:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, 1, 0.5)
    hint = f"did you mean turnout {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
    print(f"turnout: there is no command {name!r}; {hint}", file=sys.stderr)
    return USAGE


def _run(name: str, words: list[str]) -> int:
    import argparse
    from functools import partial
    from importlib import import_module

    command = import_module(f".{name}", __package__)
    # Without a width, argparse asks shutil for the terminal's at every argument that is declared, and a server and
    # its workers would keep that and its compressors (0.3 MB) for as long as they live. Only help is that wide.
    style = argparse.HelpFormatter if {"-h", "--help"} & set(words) else partial(argparse.HelpFormatter, width=78)
    about = (command.__doc__ or "").split("\n\n")[0]
    parser = argparse.ArgumentParser(prog=f"turnout {name}", description=about, formatter_class=style)
    command.configure(parser)
    as_json = "--json" in words
    try:
        args = _parsed(parser, words, as_json)
        status: int = command.run(args)
        sys.stdout.flush()
        return status
    except ConfigError as exc:
        from .report import report

        wrong_usage = isinstance(exc, WrongUsage)
        if wrong_usage and not as_json:
            parser.print_usage(sys.stderr)
        report(exc, as_json=as_json)
        return USAGE if wrong_usage else CANNOT_START
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parsed(parser: ArgumentParser, words: list[str], as_json: bool) -> Namespace:
    """The arguments; what argparse refuses is told to programs as every other error is.

    Raises:
        WrongUsage: with *as_json*; else the process ends, with the usage on standard error.
    """
    if not as_json:
        return parser.parse_args(words)
    from contextlib import redirect_stderr
    from io import StringIO

    said = StringIO()
    try:
        with redirect_stderr(said):
            return parser.parse_args(words)
    except SystemExit as exc:
        if not exc.code:  # it was --help
            raise
        what = said.getvalue().rpartition(": error: ")[2].strip()
        raise WrongUsage(what, cure=f"{parser.prog} --help says how it is used") from None
