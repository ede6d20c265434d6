"""Compare what the routes promise with an earlier version: what breaks those who call, and what opens.

REV is a revision of git, or a file: an OpenAPI document, or what --write has written. The exit status is 1 where
something breaks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from ..env import load_env
from ..errors import ConfigError
from .load import load, project_root
from .main import FAILED, WrongUsage
from .report import short

if TYPE_CHECKING:
    from ..contract.diff import Change
    from ..contract.model import Contract


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("rev", nargs="?", metavar="REV", help="a revision such as main or HEAD~3, or a file")
    parser.add_argument("--root", type=Path, help="the project (default: the current folder)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the contract of now, to compare with it later")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print what has changed."""
    if args.rev is None and args.write is None:
        raise WrongUsage("diff was not told what to compare with", cure="name a revision: turnout diff main")
    root = project_root(args.root)
    from ..contract.read import read

    new = read(load(root, "development"))
    if args.write is not None:
        _keep(args.write, new)
    if args.rev is None:
        if not args.json:
            print(f"wrote {short(args.write.absolute())}")
        return 0
    from ..contract.diff import diff

    old, new = _versions(root, args.rev, new)
    changes = diff(old, new)
    breaking = sum(change.kind == "breaking" for change in changes)
    if args.json:
        found = [msgspec.to_builtins(change) for change in changes]
        print(json.dumps({"ok": not breaking, "breaking": breaking, "changes": found}))
    else:
        _print(changes, breaking)
    return FAILED if breaking else 0


def _keep(file: Path, contract: Contract) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(msgspec.json.format(msgspec.json.encode(contract)) + b"\n")
    except OSError as exc:
        raise ConfigError(
            f"the contract cannot be written: {exc.strerror}", file=file, cure="choose another file"
        ) from exc


def _print(changes: list[Change], breaking: int) -> None:
    called = None
    for change in changes:
        if change.operation != called:
            called = change.operation
            print(called)
        print(f"  {change.kind:<8}  {change.at + ' ' if change.at else ''}{change.text}")
    if changes:
        print(f"{breaking} breaking, {len(changes) - breaking} relevant to security")
    else:
        print("nothing breaks, and nothing is opened")


def _versions(root: Path, rev: str, new: Contract) -> tuple[Contract, Contract]:
    """The contract that *rev* stands for, and *new* as far as the two can be compared."""
    if not Path(rev).is_file():
        return _at_revision(root, rev), new
    from ..contract.document import from_openapi
    from ..contract.openapi import openapi

    try:
        data: Any = msgspec.json.decode(Path(rev).read_bytes())
        if isinstance(data, dict) and "operations" in data:
            return _contract(data), new
        return from_openapi(data if isinstance(data, dict) else {}), from_openapi(openapi(new))
    except (OSError, ValueError) as exc:
        cure = "give an OpenAPI 3 document in JSON, or what turnout diff --write FILE has written"
        raise ConfigError(f"no contract can be read from this file: {exc}", file=rev, cure=cure) from exc


def _contract(data: Any) -> Contract:
    from ..contract.model import Contract

    return msgspec.convert(data, Contract)


def _at_revision(root: Path, rev: str) -> Contract:
    """The contract of the project as it was at *rev*.

    Its files are written to a folder of their own and read by another process, since their modules are called as
    those of now. Nothing of the repository is touched, which a worktree would be noted in.
    """
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}")
    if commit is None:
        raise ConfigError(
            f"there is no file and no revision {rev!r}", cure="name a commit, branch or tag of git, or a JSON file"
        )
    prefix = _git(root, "rev-parse", "--show-prefix") or ""
    with TemporaryDirectory(prefix="turnout-diff-") as temporary:
        folder, index = Path(temporary, root.name or "project"), str(Path(temporary, "index"))
        folder.mkdir()
        if (
            _git(root, "read-tree", f"{commit}:{prefix}", GIT_INDEX_FILE=index) is None
            or _git(root, "--work-tree", str(folder), "checkout-index", "-a", GIT_INDEX_FILE=index) is None
        ):
            raise ConfigError(f"this folder was not there at {rev}", file=root, cure="compare with a later revision")
        return _read_elsewhere(root, folder, rev, Path(temporary, "contract.json"))


def _read_elsewhere(root: Path, folder: Path, rev: str, kept: Path) -> Contract:
    """The contract of the project in *folder*, with the environment of the one in *root*."""
    # .env files are seldom in git, and a project may need what is in them to load.
    environment = {**os.environ, **load_env(root, "development")}
    command = [sys.executable, "-m", "turnout", "diff", "--root", str(folder), "--write", str(kept)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or not kept.exists():
        said = done.stderr.replace(f"{folder}{os.sep}", "").strip()
        raise ConfigError(f"the project of {rev} does not load:\n{said}", cure="compare with a revision that does")
    return _contract(msgspec.json.decode(kept.read_bytes()))


def _git(root: Path, *arguments: str, **environment: str) -> str | None:
    """What git says; None where it refuses."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise ConfigError("git is not on this machine", cure="install it, or compare with a file") from None
    return done.stdout.strip() if done.returncode == 0 else None
