"""Write a typed client of the project's routes: one file, of TypeScript or of Python for httpx.

The same routes give the same bytes, so the file can be kept in version control and compared with --check.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..errors import ConfigError
from .load import load, project_root
from .main import FAILED, WrongUsage
from .report import short


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", nargs="?", type=Path, help="the project (default: the current folder)")
    parser.add_argument("--ts", type=Path, metavar="FILE", help="write TypeScript, such as src/api.ts")
    parser.add_argument("--python", type=Path, metavar="FILE", help="write Python, such as api_client.py")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if a file is out of date")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    """Write what was asked for, or compare it."""
    if args.ts is None and args.python is None:
        raise WrongUsage("client was not told what to write", cure="--ts src/api.ts, --python api.py, or both")
    root = project_root(args.folder)
    from ..client.python import python
    from ..client.typescript import typescript
    from ..contract.read import read

    contract = read(load(root, "development"))
    wanted = [(file, write(contract)) for file, write in ((args.ts, typescript), (args.python, python)) if file]
    changed = "stale" if args.check else "written"
    states = {file: changed if _kept(file) != text else "current" for file, text in wanted}
    for file, text in wanted:  # one that is right already is left alone: what watches it need not run
        if states[file] == "written":
            _write(file, text)
    _print(states, args)
    return FAILED if "stale" in states.values() else 0


def _print(states: dict[Path, str], args: argparse.Namespace) -> None:
    named = {short(file.absolute()): state for file, state in states.items()}
    if args.json:
        files = [{"file": file, "state": state} for file, state in named.items()]
        print(json.dumps({"ok": "stale" not in named.values(), "files": files}))
        return
    for file, state in named.items():
        if state == "stale":
            print(f"turnout: {file} is out of date\n  cure: run this without --check", file=sys.stderr)
        elif state == "written":
            print(f"wrote {file}")
        elif not args.check:
            print(f"{file} is up to date")


def _kept(file: Path) -> str | None:
    """What *file* holds; None where it is not there. Line ends do not count: git may have changed them."""
    try:
        return file.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
    except OSError:  # not there, or not to be read: writing it says why not
        return None


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8", newline="\n")
    except OSError as exc:
        raise ConfigError(
            f"the client cannot be written: {exc.strerror}", file=file, cure="choose another file"
        ) from exc
