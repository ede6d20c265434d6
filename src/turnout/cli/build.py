"""Make the files that a place to run the project wants: a server, AWS Lambda and others.

Nothing of the project is imported, no network is used and nothing is uploaded.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from .load import project_root
from .report import short


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from ..deploy.target import TARGETS

    parser.add_argument("folder", nargs="?", type=Path, help="the project (default: the current folder)")
    parser.add_argument("--target", choices=list(TARGETS), help="where it will run (default: found out, else server)")
    parser.add_argument("--out", type=Path, help="the folder to write (default: build/TARGET)")
    parser.add_argument(
        "--eager", action="store_true", help="import every route at the start, also where that costs a cold start"
    )
    parser.add_argument("--json", action="store_true", help="print build.json")


def run(args: argparse.Namespace) -> int:
    """Build, and say what came of it."""
    from ..deploy.builder import Builder

    builder = Builder(project_root(args.folder), args.out, target=args.target, eager=args.eager)
    report = builder.build()
    if args.json:
        print(json.dumps(report))
        return 0
    for warning in report["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    print(_summary(report, builder.out))
    return 0


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(count / 1e3, 0.1):.1f} kB"


def _summary(report: dict[str, Any], out: Path) -> str:
    count = len(report["routes"])
    lines = [
        f"built {count} route{'' if count == 1 else 's'} for {report['target']} in {short(out)}",
        f"{_size(report['bytes'])}; the largest: "
        + ", ".join(f"{name} {_size(size)}" for name, size in list(report["largest"].items())[:3]),
        f"try it: turnout preview {shlex.quote(short(out))}",
        *report.get("next", ()),
    ]
    return "\n".join(lines)
