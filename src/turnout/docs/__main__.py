"""``python -m turnout.docs``: where the pages are, what they say about something, and all of them as one text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import ConfigError
from . import folder, llms, llms_full, search


def main(argv: list[str] | None = None) -> int:
    """Print what is asked for; the exit status is the result."""
    parser = argparse.ArgumentParser(prog="python -m turnout.docs", description=__doc__)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--path", action="store_true", help="print the folder of the pages")
    asked.add_argument("--search", metavar="WORDS", help="print the sections that have to do with these words")
    asked.add_argument("--write", type=Path, metavar="FOLDER", help="write llms.txt and llms-full.txt there")
    args = parser.parse_args(argv)
    try:
        return _run(args)
    except ConfigError as exc:
        print(f"turnout: {exc}", file=sys.stderr)
        return 3


def _run(args: argparse.Namespace) -> int:
    if args.path:
        print(folder())
        return 0
    if args.write is not None:
        args.write.mkdir(parents=True, exist_ok=True)
        (args.write / "llms.txt").write_text(llms(), encoding="utf-8")
        (args.write / "llms-full.txt").write_text(llms_full(), encoding="utf-8")
        return 0
    found = search(args.search)
    for each in found:
        print(f"{each.place} — {each.heading}\n")
        print(each.excerpt, end="\n\n")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
