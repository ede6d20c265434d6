"""List the routes of the project in the current folder, in path order; or its actions."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..routing.scan import ROUTE
from .load import load, project_root

if TYPE_CHECKING:
    from ..app import Route


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", nargs="?", type=Path, help="the project (default: the current folder)")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--actions", action="store_true", help="the actions and their addresses instead")


def run(args: argparse.Namespace) -> int:
    """Print one line per route, or per action."""
    root = project_root(args.folder)
    if args.actions:
        return _actions(root, as_json=args.json)
    # Those of the project: what Turnout and public/ answer besides is the same everywhere, or seen in the folder.
    routes = [route for route in load(root, "development").app.routes if route.file.name == ROUTE]
    width = max([len(route.pattern.text) for route in routes], default=0)
    for route in sorted(routes, key=lambda route: route.pattern.text):
        methods = own_methods(route)
        file = str(route.file.relative_to(root)) if route.file.is_relative_to(root) else str(route.file)
        if args.json:
            print(json.dumps({"pattern": route.pattern.text, "methods": methods, "file": file}))
        else:
            print(f"{route.pattern.text:<{width}}  {' '.join(methods):<16}  {file}")
    return 0


def _actions(root: Path, *, as_json: bool) -> int:
    from ..actions import registry

    load(root, "development")
    groups = sorted(registry.known().actions.items())
    found = [(action, file.relative_to(root).as_posix()) for file, group in groups for action in group.values()]
    width = max([len(action.name) for action, _ in found], default=0)
    for action, name in found:
        if as_json:
            print(json.dumps({"action": action.name, "url": action.url, "file": name}))
        else:
            print(f"{action.name:<{width}}  {action.url}  {name}:{action.line}")
    return 0


def own_methods(route: Route) -> list[str]:
    """The methods that the file exports, without the HEAD and OPTIONS that every route answers."""
    automatic = {"OPTIONS"} if getattr(route.methods["OPTIONS"], "__self__", None) is route else set()
    if route.methods.get("HEAD") is route.methods.get("GET"):
        automatic.add("HEAD")
    return [method for method in route.methods if method not in automatic]
