"""Where a proposal may write: judged by path and by what is on the disk, before anything runs.

The list is of what is allowed: routes, ``lib/``, tests, templates and new migrations. Everything
else, settings and lock files and CI and ``.env`` among it, is refused, whoever asks for it. The
judgement is about the paths as they are now; ``apply.py`` opens every folder again without
following links when it writes, so a link put there in between leads nowhere.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from .changeset import ChangeSet, FileChange, Finding
from .redact import HIDDEN, is_private

MOST_FILES, LARGEST, LARGEST_IN_ALL = 20, 65_536, 262_144
EXAMPLE = ".env.example"

CODES = {
    "TRN171": "A path is not a plain relative one: absolute, leading upwards, or read differently by some systems",
    "TRN172": "A path is none that a proposal may write",
    "TRN173": "A path goes through a link, or to something that is no plain file",
    "TRN174": "A migration that exists is changed or removed; a database may have run it",
    "TRN175": "Two paths are one on a disk that ignores case, or are given twice",
    "TRN176": "A proposal is too large",
    "TRN177": "A text is none that belongs in a source file",
    "TRN178": "A name of the environment, or of a package, is malformed",
}
_CURES = {
    "TRN172": "use app/**/{route,middleware,actions,error}.py, {lib,tests}/**.py, templates/** or new migrations/*.sql",
    "TRN174": "leave it, and add another migration",
}

_ALLOWED = re.compile(
    r"""app/(?:.+/)?(?:route|middleware|actions|error)\.py
      | (?:lib|tests)/.+\.py
      | templates/.+\.(?:html|txt|xml|md|jinja|j2|css|svg)
      | migrations/[^/]+\.sql""",
    re.VERBOSE,
)
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_ODD = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
# What a terminal or an editor does not show as it runs: escapes, carriage returns, marks that reorder a line.
_HIDES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_PACKAGE = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,62}[A-Za-z0-9])?(?:\[[\w,.-]{1,64}\])?(?:[<>=!~]=?[\w.*,<>=!~-]{1,64})?")


def check_paths(change: ChangeSet, root: Path) -> list[Finding]:
    """Everything about the paths, sizes and names of *change* that is not allowed in the project at *root*."""
    return list(_check(change, Path(os.path.realpath(root))))


def is_allowed(path: str) -> bool:
    """Whether *path* by itself is one that is ever written, the example of the environment among them."""
    plain = _malformed(path) is None and not is_private(path)
    return path == EXAMPLE or (plain and _ALLOWED.fullmatch(path) is not None)


def _check(change: ChangeSet, root: Path) -> Iterator[Finding]:
    yield from _sizes(change)
    seen: dict[str, str] = {}
    for file in change.files:
        found = list(_path(file, root))
        yield from found
        yield from _text(file)
        twin = seen.setdefault(file.path.casefold(), file.path)
        if twin != file.path:
            yield _finding(file, "TRN175", f"differs only in case from {twin}")
        elif sum(other.path == file.path for other in change.files) > 1:
            yield _finding(file, "TRN175", "is given more than once")
    for name in change.env:
        if not _ENV_NAME.fullmatch(name):
            yield Finding(EXAMPLE, None, "TRN178", f"{name[:64]!r} is no name of a variable", "use capitals and _")
    for name in change.needs:
        if not _PACKAGE.fullmatch(name):
            yield Finding("pyproject.toml", None, "TRN178", f"{name[:64]!r} is no name of a package", "name it plainly")


def _sizes(change: ChangeSet) -> Iterator[Finding]:
    sizes = [len((file.text or "").encode(errors="replace")) for file in change.files]
    if len(sizes) > MOST_FILES:
        yield Finding(".", None, "TRN176", f"{len(sizes)} files, and {MOST_FILES} are the most", "do less at once")
    if sum(sizes) > LARGEST_IN_ALL:
        yield Finding(".", None, "TRN176", f"{sum(sizes)} bytes, and {LARGEST_IN_ALL} are the most", "do less at once")
    for file, size in zip(change.files, sizes, strict=True):
        if size > LARGEST:
            yield _finding(file, "TRN176", f"{size} bytes, and {LARGEST} are the most", "split it")


def _path(file: FileChange, root: Path) -> Iterator[Finding]:
    if (what := _malformed(file.path)) is not None:
        yield _finding(file, "TRN171", what, "give a path below the project, with /")
        return
    if is_private(file.path):
        yield _finding(file, "TRN172", "is never read and never written here")
        return
    if not _ALLOWED.fullmatch(file.path) or "/." in file.path.replace("/.well-known/", "/"):
        yield _finding(file, "TRN172", "is not a place that a proposal may write")
        return
    yield from _on_disk(file, root)


def _malformed(path: str) -> str | None:
    parts = path.split("/")
    if not path or len(path) > 240:
        return "is empty or too long"
    if path.startswith(("/", "~")) or ".." in parts:
        return "leads out of the project"
    if _ODD.search(path) or not path.isprintable() or not path.isascii() or unicodedata.normalize("NFC", path) != path:
        return "has characters that not every system reads alike"
    if any(not part or part != part.rstrip(" .") or part[0] == " " for part in parts):
        return "has an empty part, or one with spaces or dots at its end"
    if any(_DEVICES.fullmatch(part) for part in parts):
        return "is the name of a device on some systems"
    return None


def _on_disk(file: FileChange, root: Path) -> Iterator[Finding]:
    place = root
    parts = file.path.split("/")
    for depth, part in enumerate(parts):
        twin = next((name for name in _names(place) if name != part and name.casefold() == part.casefold()), None)
        if twin is not None:
            yield _finding(file, "TRN175", f"differs only in case from {twin}, which is there", f"write {twin}")
            return
        place = place / part
        try:
            mode = place.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return
        last = depth == len(parts) - 1
        if stat.S_ISLNK(mode) or not (stat.S_ISREG(mode) if last else stat.S_ISDIR(mode)):
            here = "/".join(parts[: depth + 1])
            yield _finding(file, "TRN173", f"{here} is a link, or no plain {'file' if last else 'folder'}")
            return
    if file.path.startswith("migrations/"):
        yield _finding(file, "TRN174", "exists already, and a database may have run it")


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


def _text(file: FileChange) -> Iterator[Finding]:
    text = file.text
    if text is None:
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        yield _finding(file, "TRN177", "has characters that are no text")
    if found := _HIDES.search(text):
        line = text.count("\n", 0, found.start()) + 1
        yield _finding(file, "TRN177", f"has {found[0]!a}, so it does not read as it runs", "leave it out", line=line)
    if HIDDEN in text:
        line = text.count("\n", 0, text.index(HIDDEN)) + 1
        yield _finding(file, "TRN177", f"has {HIDDEN}, which stood for a secret", "read it by env[...]", line=line)


def _finding(file: FileChange, code: str, message: str, fix: str = "", *, line: int | None = None) -> Finding:
    shown = file.path if file.path.isprintable() else ascii(file.path)[1:-1]
    return Finding(shown[:240], line, code, message, fix or _CURES.get(code, "choose another path"))
