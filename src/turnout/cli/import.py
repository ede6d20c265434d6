"""Turn the route files of a Next.js project into route.py files, as far as that can be done for you.

turnout import next ../shop writes app/**/route.py below this folder. What has no translation is kept as a comment
marked NEXT, with a line that stops a request that comes to it, and is listed. A file that is there is left alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import ConfigError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("kind", choices=["next"], help="what to import from: next, a Next.js project")
    parser.add_argument("folder", type=Path, metavar="DIR", help="its folder")
    parser.add_argument(
        "--to", type=Path, default=Path(), metavar="DIR", help="the project to write to (default: the current folder)"
    )
    parser.add_argument("--dry-run", action="store_true", help="write nothing, say what would be")
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def run(args: argparse.Namespace) -> int:
    """Translate, write and list."""
    from ..nextjs import import_project

    found = import_project(args.folder.absolute())
    rows: list[dict[str, Any]] = []
    for each in found:
        target = args.to / each.path
        there = target.exists() and not args.force
        if not there and not args.dry_run:
            _write(target, each.translated.source)
        rows.append(
            {
                "from": each.original,
                "to": each.path,
                "written": not there and not args.dry_run,
                "exists": there,
                "methods": each.translated.methods,
                "renamed": each.renamed,
                "imports": each.translated.imports,
                "notes": [{"line": note.line, "what": note.what} for note in each.translated.notes],
            }
        )
    _print(rows, args)
    return 0


def _write(target: Path, source: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source, encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"{target} cannot be written: {exc.strerror}") from None


def _print(rows: list[dict[str, Any]], args: argparse.Namespace) -> None:
    if args.json:
        import json

        for row in rows:
            print(json.dumps(row))
        return
    for row in rows:
        state = "there already" if row["exists"] else "would write" if args.dry_run else "wrote"
        methods = ", ".join(name if whole else f"{name} (by hand)" for name, whole in row["methods"].items())
        print(f"{state:<14} {row['to']}  {methods}")
        for before, after in row["renamed"].items():
            print(f"{'':<14} {before} is called {after}: a slug is an identifier")
        for note in row["notes"]:
            print(f"{'':<14} {row['from']}:{note['line']}: {note['what']}")
    wanted = {f"{module}: {', '.join(names)}" for row in rows for module, names in row["imports"].items()}
    if wanted:
        print("\nThe routes import these, which are yours to write:")
        print("\n".join(f"  {each}" for each in sorted(wanted)))
    handlers = [whole for row in rows for whole in row["methods"].values()]
    print(
        f"\n{sum(handlers)} of {len(handlers)} handlers in {len(rows)} files are translated whole. Next: turnout check"
    )
