"""How the commands print a ConfigError: what is wrong, where, and the cure."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, TextIO

from ..errors import ConfigError
from ..log import use_colours

_RED, _DIM, _RESET = "\x1b[31m", "\x1b[2m", "\x1b[0m"


def short(file: Path) -> str:
    """*file* as typed from here: relative where it lies below the current folder."""
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)


def as_data(error: ConfigError) -> dict[str, Any]:
    """*error* for programs."""
    return {
        "message": error.message,
        "file": str(error.file) if error.file else None,
        "line": error.line,
        "cure": error.cure,
    }


def as_text(error: ConfigError, stream: TextIO) -> str:
    """*error* for people: ``file:line: message`` and the cure below it."""
    red, dim, reset = (_RED, _DIM, _RESET) if use_colours(stream) else ("", "", "")
    line = f":{error.line}" if error.line else ""
    where = f"{short(error.file)}{line}: " if error.file else ""
    text = f"{red}turnout: {where}{error.message}{reset}"
    return f"{text}\n  {dim}cure:{reset} {error.cure}" if error.cure else text


def report(error: ConfigError, *, as_json: bool = False) -> None:
    """Print *error*: an object on standard output for programs, text on standard error for people."""
    if as_json:
        import json

        print(json.dumps({"ok": False, "problems": [as_data(error)]}))
    else:
        print(as_text(error, sys.stderr), file=sys.stderr)


def from_exception(exc: BaseException, root: Path) -> ConfigError:
    """What stopped the project in *root* from loading, as an error that names the user's line.

    A ConfigError passes as it is. For anything else the deepest frame inside the project counts,
    since that is the line to look at, wherever the exception was raised.
    """
    if isinstance(exc, ConfigError):
        return exc
    if isinstance(exc, SyntaxError) and exc.filename:
        return ConfigError(
            f"{type(exc).__name__}: {exc.msg}", file=exc.filename, line=exc.lineno, cure="mend the syntax of this line"
        )
    file, line = _deepest(exc, root)
    if file is None:
        # No line of the user's is involved, so the whole traceback is what a report of it needs.
        import traceback

        traceback.print_exception(exc)
    return ConfigError(f"{type(exc).__name__}: {exc}", file=file, line=line, cure=_cure(exc) if file else None)


def _deepest(exc: BaseException, root: Path) -> tuple[str | None, int | None]:
    inside = os.path.join(root.absolute(), "")  # noqa: PTH118 - a prefix, with its separator
    at: tuple[str | None, int | None] = None, None
    trace = exc.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith(inside) and "site-packages" not in name:
            at = name, trace.tb_lineno
        trace = trace.tb_next
    return at


def _cure(exc: BaseException) -> str:
    if isinstance(exc, ModuleNotFoundError) and exc.name:
        top = exc.name.partition(".")[0]
        return f"install the package that holds {top!r} into this environment, or mend the import"
    return "this line runs when the file is loaded; mend it, or move it into the handler"
