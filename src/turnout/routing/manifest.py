"""What the scanner found, as plain data: ``turnout build`` writes it and a cold start reads it.

Paths are absolute in memory and relative to the project root, with ``/``, in the data, so a
manifest may be read in another place than the one it was written in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from ..errors import ConfigError
from .pattern import Pattern

VERSION = 1


class RouteFile(Struct, frozen=True):
    """One ``route.py`` with what its folders add to it.

    Args:
        middleware: The ``middleware.py`` files that apply, from the root to the leaf.
        errors: The ``error.py`` files that apply, the nearest first.
    """

    pattern: Pattern
    file: Path
    middleware: tuple[Path, ...] = ()
    errors: tuple[Path, ...] = ()


class Manifest(Struct, frozen=True):
    """Every route of the project whose root folder is *root*, sorted by pattern."""

    root: Path
    routes: tuple[RouteFile, ...]

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
            }
            for route in self.routes
        ]
        return {"version": VERSION, "routes": routes}

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
            return cls(root, tuple(_parse_route(entry, root) for entry in data["routes"]))
        except (KeyError, TypeError, AttributeError) as exc:
            raise ConfigError("The data is not a route manifest", cure="run turnout build again") from exc


def _parse_route(entry: dict[str, Any], root: Path) -> RouteFile:
    return RouteFile(
        Pattern.parse(entry["pattern"]),
        root / entry["file"],
        tuple(root / file for file in entry["middleware"]),
        tuple(root / file for file in entry["errors"]),
    )
