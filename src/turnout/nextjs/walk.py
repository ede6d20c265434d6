"""The route files of a Next.js project, and where each goes."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from ..errors import ConfigError
from .module import Translated, translate
from .names import safe

NAMES = ("route.ts", "route.tsx", "route.js", "route.mjs")
_SKIPPED = frozenset({"node_modules", ".next", ".git", "dist", "build", ".turbo", "coverage"})


class Imported(Struct, frozen=True):
    """One file of theirs and what it became.

    Attributes:
        original: Its path in their project.
        path: The path here, below the project's folder.
        translated: What is to be written there.
        renamed: Folders whose slug is no identifier, and their new name.
    """

    original: str
    path: str
    translated: Translated
    renamed: dict[str, str]


def import_project(folder: Path) -> list[Imported]:
    """Translate every route file in *folder*; nothing is written.

    Raises:
        ConfigError: there is none, or two come to one place.
    """
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {folder}", cure="give the folder of a Next.js project")
    found = [_import(file, folder) for file in _files(folder)]
    if not found:
        raise ConfigError(f"There is no app/**/route.ts in {folder}", cure="give the folder of a Next.js project")
    places: dict[str, str] = {}
    for each in found:
        if each.path in places:
            raise ConfigError(
                f"{each.original} and {places[each.path]} would both become {each.path}",
                cure="import one of them alone",
            )
        places[each.path] = each.original
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(
        file
        for name in NAMES
        for file in folder.rglob(name)
        if not _SKIPPED & set(file.relative_to(folder).parts)
        and file.is_file()
        and _below_app(file, folder) is not None
    )


def _below_app(file: Path, folder: Path) -> tuple[str, ...] | None:
    """The folders from ``app/`` to *file*."""
    parts = file.relative_to(folder).parts[:-1]
    if "app" in parts:
        return parts[parts.index("app") :]
    return ("app", *parts) if folder.name == "app" else None


def _import(file: Path, folder: Path) -> Imported:
    parts = _below_app(file, folder) or ()
    slugs: dict[str, str] = {}
    renamed: dict[str, str] = {}
    places = []
    for part in parts:
        name = part.strip("[]").removeprefix("...")
        if part.startswith("["):
            slugs[name] = "list[str]" if "..." in part else "str"
        said = part.replace(name, safe(name)) if part.startswith("[") else part
        if said != part:
            renamed[part] = said
        places.append(said)
    original = file.relative_to(folder).as_posix()
    translated = translate(file.read_bytes(), file=original, slugs=slugs, tsx=file.suffix == ".tsx")
    return Imported(original, "/".join([*places, "route.py"]), translated, renamed)
