"""Run what turnout build has made, on this machine: with the real runtime of its target where there is one."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from ..errors import ConfigError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("out", nargs="?", type=Path, help="the output (default: the newest one in build/)")
    parser.add_argument("--port", type=int, default=8000, help="port (default: 8000)")
    parser.add_argument("--json", action="store_true", help="run nothing: one JSON object with the command that would")


def run(args: argparse.Namespace) -> int:
    """Become the command that runs the output."""
    from ..config import DeployConfig
    from ..deploy.target import load_target

    out = (args.out or _newest()).absolute()
    try:
        name = json.loads((out / "build.json").read_bytes())["target"]
    except (OSError, ValueError, KeyError):
        raise ConfigError(f"there is no build in {out}", cure="run turnout build") from None
    os.environ["PORT"] = str(args.port)
    command = load_target(name, DeployConfig()).preview(out)
    if args.json:
        print(json.dumps({"target": name, "out": str(out), "command": command, "env": {"PORT": str(args.port)}}))
        return 0
    sys.stdout.flush()
    os.execvp(command[0], command)


def _newest() -> Path:
    """The output in ``build/`` that was written last."""
    found = sorted(Path("build").glob("*/build.json"), key=lambda file: file.stat().st_mtime)
    if not found:
        raise ConfigError("there is no build here", cure="run turnout build, or name its folder")
    return found[-1].parent
