"""A project as recipes and the brief may see it: text files that are not private, and route files.

Nothing of the project is imported or run. Paths are relative, with ``/``; a file that leads out
of the project by a link, is private by its name, too large or no text reads as absent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..routing.manifest import Manifest
from ..routing.scan import scan
from .changeset import FileChange, sha256
from .redact import is_private

LARGEST = 65_536
_SKIPPED = frozenset(("__pycache__", "node_modules", ".venv", "venv", "dist", "build", "data"))
_TABLE = re.compile(r"create\s+table\s+(?:if\s+not\s+exists\s+)?[\"`\[]?(\w+)", re.IGNORECASE)


class ProjectView:
    """The project whose folder is *root*."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(os.path.realpath(root))

    def read(self, path: str) -> str | None:
        """The text of *path*; None if it is absent or may not be read."""
        if is_private(path) or "\0" in path:
            return None
        real = Path(os.path.realpath(self.root / path))
        # Judged again by its real name: a link called notes.txt may lead to .env.
        if not real.is_relative_to(self.root) or is_private(real.relative_to(self.root).as_posix()):
            return None
        try:
            if not real.is_file() or real.stat().st_size > LARGEST:
                return None
            text = real.read_bytes().decode()
        except (OSError, UnicodeDecodeError, ValueError):
            return None
        return None if "\0" in text else text

    def exists(self, path: str) -> bool:
        """Whether something is at *path*, a private file and a broken link included."""
        return "\0" not in path and os.path.lexists(self.root / path)

    def routes(self) -> Manifest:
        """The route files, found without importing any."""
        return scan(self.root / "app", self.root / "public")

    def files(self) -> list[str]:
        """Every file that may be read, sorted; folders of caches, packages and hidden ones left out."""
        return sorted(self._walk(self.root))

    def _walk(self, folder: Path) -> Iterator[str]:
        with os.scandir(folder) as entries:
            found = list(entries)
        for entry in found:
            path = Path(entry.path).relative_to(self.root).as_posix()
            if entry.is_symlink():
                continue
            if entry.is_dir():
                if entry.name not in _SKIPPED and not entry.name.startswith("."):
                    yield from self._walk(Path(entry.path))
            elif not is_private(path):
                yield path

    def migrations(self) -> list[str]:
        """The SQL files of ``migrations/``, in the order in which they are applied."""
        return [path for path in self.files() if path.startswith("migrations/") and path.endswith(".sql")]

    def tables(self) -> list[str]:
        """The tables that the migrations create, in order of their first mention."""
        names: dict[str, None] = {}
        for path in self.migrations():
            names.update((match[1].lower(), None) for match in _TABLE.finditer(self.read(path) or ""))
        return list(names)

    def change(self, path: str, text: str | None) -> FileChange:
        """The change that makes *path* read *text*, based on what is there now."""
        now = self.read(path)
        return FileChange(path, None if now is None else sha256(now), text)
