"""What the scanner found, as plain data: ``turnout build`` writes it and a cold start reads it.

Paths are absolute in memory and relative to the project root, with ``/``, in the data, so a
manifest may be read in another place than the one it was written in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from ..errors import ConfigError
from .pattern import Pattern

VERSION = 2
MANIFEST = "manifest.json"  # what it is called in the output of a build
INSTRUMENTATION = "instrumentation.py"  # in the top folder of routes only; it is no part of a route


class RouteFile(Struct, frozen=True):
    """One ``route.py`` with what its folders add to it.

    Args:
        middleware: The ``middleware.py`` files that apply, from the root to the leaf.
        errors: The ``error.py`` files that apply, the nearest first.
        methods: What it answers, as a build has read it; empty when nobody has looked.
        constants: Its route constants, as a build has read them.
        waits: False when a build has found nothing in it that could wait for an event loop.
    """

    pattern: Pattern
    file: Path
    middleware: tuple[Path, ...] = ()
    errors: tuple[Path, ...] = ()
    methods: tuple[str, ...] = ()
    constants: dict[str, Any] = {}
    waits: bool = True


class ActionFile(Struct, frozen=True):
    """One ``actions.py`` with what its folders add to it, as for a RouteFile."""

    file: Path
    middleware: tuple[Path, ...] = ()
    errors: tuple[Path, ...] = ()


class Built(Struct, frozen=True):
    """What a build knows of a project beyond its routes.

    Args:
        settings: Its checked settings, without what comes from the environment.
        uses: The parts of Turnout that some file of it needs, by module: ``db``, ``mail``.
        target: What it was built for, such as ``aws-lambda``.
        eager: Whether every route is imported at the start, and not at its first request.
    """

    settings: dict[str, Any]
    uses: tuple[str, ...]
    target: str = "server"
    eager: bool = False


class Manifest(Struct, frozen=True):
    """Every route of the project whose root folder is *root*, sorted by pattern, and every file of actions."""

    root: Path
    routes: tuple[RouteFile, ...]
    built: Built | None = None
    actions: tuple[ActionFile, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The manifest as data that ``json`` can write."""

        def relative(files: tuple[Path, ...]) -> list[str]:
            return [file.relative_to(self.root).as_posix() for file in files]

        routes = [
            {
                "pattern": route.pattern.text,
                "file": route.file.relative_to(self.root).as_posix(),
                "middleware": relative(route.middleware),
                "errors": relative(route.errors),
                **({"methods": list(route.methods)} if route.methods else {}),
                **({"constants": route.constants} if route.constants else {}),
                **({} if route.waits else {"waits": False}),
            }
            for route in self.routes
        ]
        actions = [
            {
                "file": each.file.relative_to(self.root).as_posix(),
                "middleware": relative(each.middleware),
                "errors": relative(each.errors),
            }
            for each in self.actions
        ]
        return {
            "version": VERSION,
            "routes": routes,
            "actions": actions,
            **({"built": to_builtins(self.built)} if self.built else {}),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], root: Path) -> Manifest:
        """Read what ``to_json`` gave, for the project at *root*.

        Raises:
            ConfigError: the data is from another version, or no manifest.
        """
        try:
            if data["version"] != VERSION:
                raise ConfigError(
                    f"The manifest has version {data['version']!r}, this Turnout reads {VERSION}",
                    cure="run turnout build again with the version that serves",
                )
            built = data.get("built")
            return cls(
                root,
                tuple(_parse_route(entry, root) for entry in data["routes"]),
                None
                if built is None
                else Built(built["settings"], tuple(built["uses"]), built["target"], built["eager"]),
                tuple(_parse_action(entry, root) for entry in data["actions"]),
            )
        except (KeyError, TypeError, AttributeError) as exc:
            raise ConfigError("The data is not a route manifest", cure="run turnout build again") from exc


def _parse_route(entry: dict[str, Any], root: Path) -> RouteFile:
    return RouteFile(
        Pattern.parse(entry["pattern"]),
        root / entry["file"],
        tuple(root / file for file in entry["middleware"]),
        tuple(root / file for file in entry["errors"]),
        tuple(entry.get("methods", ())),
        entry.get("constants", {}),
        entry.get("waits", True),
    )


def _parse_action(entry: dict[str, Any], root: Path) -> ActionFile:
    return ActionFile(
        root / entry["file"],
        tuple(root / file for file in entry["middleware"]),
        tuple(root / file for file in entry["errors"]),
    )
