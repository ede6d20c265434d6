"""G3: the project's own type checker, and of what it says only what is new.

mypy cannot name a module in a folder such as ``[id]``; such a file is checked under another name, unless it imports
its neighbours. A checker that is not installed is a note: types were not checked.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

from ..changeset import Finding
from .place import Place, Side

CHECK_S = 120.0
_NAME = re.compile(r"[A-Za-z_]\w*")
_MYPY = re.compile(
    r"^(?P<file>[^:\n]+\.py):(?P<line>\d+):(?:\d+:)? error: (?P<what>.*?)(?:  \[(?P<code>[\w-]+)\])?$", re.M
)
_OTHER = re.compile(
    r"^\s*(?:ERROR )?(?P<file>[^:\n]+\.py):(?P<line>\d+):\d+(?:-\d+)?(?: -)?(?: error)?:? (?P<what>.*?)$", re.M
)
_ALIASES = "_turnout_types"


class Checker(Struct, frozen=True):
    """One type checker.

    Attributes:
        command: Its words for a list of files and a folder to keep what it knows in.
    """

    name: str
    command: Callable[[list[str], Path], list[str]]
    pattern: re.Pattern[str]


def _mypy(files: list[str], cache: Path) -> list[str]:
    words = ["--cache-dir", str(cache), "--no-error-summary", "--no-color-output", "--show-error-codes", "--no-pretty"]
    words += ["--explicit-package-bases", "--namespace-packages", "--follow-imports=silent"]
    return [sys.executable, "-I", "-m", "mypy", *words, *files]


def _found(name: str) -> str | None:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def checkers() -> list[Checker]:
    """Those that are installed."""
    found = []
    if find_spec("mypy") is not None:
        found.append(Checker("mypy", _mypy, _MYPY))
    for name, words in (("pyrefly", ["check", "--output-format=min-text"]), ("pyright", [])):
        path = _found(name)
        if path is not None:
            found.append(Checker(name, lambda files, _, path=path, words=words: [path, *words, *files], _OTHER))  # type: ignore[misc]
    return found


def chosen(project: Path) -> Checker | None:
    """The checker that the project has settings for, else the first that is installed."""
    installed = checkers()
    settings = project / "pyproject.toml"
    text = settings.read_text(errors="replace") if settings.is_file() else ""
    named = [each for each in installed if f"[tool.{each.name}" in text]
    return (named or installed or [None])[0]  # type: ignore[list-item]


async def types(place: Place) -> tuple[list[Finding], list[str]]:
    """Errors in the changed files that were not there before."""
    files = [file.path for file in place.change.files if file.path.endswith(".py") and file.text is not None]
    checker = chosen(place.project("after"))
    if checker is None or not files:
        return [], ["types were not checked: no type checker is installed" if files else "the change has no Python"]
    names, skipped = _named(files, place)
    notes = [f"types were not checked in {path}: {checker.name} cannot name it" for path in skipped]
    after = await _errors(place, "after", checker, names)
    if isinstance(after, str):
        return [], [*notes, f"types were not checked: {after}"]
    if not after:
        return [], [*notes, f"checked by {checker.name}"]
    before = await _errors(place, "base", checker, names)
    known = Counter((path, what) for path, _, what in before) if not isinstance(before, str) else Counter()
    findings = []
    for path, line, what in after:
        known[path, what] -= 1
        if known[path, what] < 0:
            findings.append(Finding(path, line, "TRN211", what, "say the type that is meant, or mend the call"))
    return findings, notes


def _named(files: list[str], place: Place) -> tuple[dict[str, str], list[str]]:
    """Path by which each file is checked, and those that cannot be."""
    names: dict[str, str] = {}
    skipped: list[str] = []
    for at, path in enumerate(files):
        parts = path.removesuffix(".py").split("/")
        if all(_NAME.fullmatch(part) for part in parts):
            names[path] = path
            continue
        if re.search(r"^\s*from \.", (place.project("after") / path).read_text(), re.MULTILINE):
            skipped.append(path)
            continue
        names[path] = f"{_ALIASES}/file{at}.py"
        for side in ("base", "after"):
            original, alias = place.project(side) / path, place.project(side) / names[path]
            if original.is_file():
                alias.parent.mkdir(exist_ok=True)
                shutil.copyfile(original, alias)
    return names, skipped


async def _errors(
    place: Place, side: Side, checker: Checker, names: dict[str, str]
) -> list[tuple[str, int, str]] | str:
    """``(path, line, error)`` for each, or why there is no answer."""
    project = place.project(side)
    there = [name for name in names.values() if (project / name).is_file()]
    if not there:
        return []
    cache = _cache(place)
    argv = checker.command(there, cache)
    ran = await place.run(side, argv, timeout_s=CHECK_S, large=True, writable=(cache,))
    if ran.returncode not in (0, 1):
        return f"{checker.name} ended with status {ran.returncode}: {ran.output[-200:].strip()}"
    paths = {name: path for path, name in names.items()}
    found = []
    for error in checker.pattern.finditer(ran.output):
        file = error["file"].removeprefix(f"{project}/")
        if file in paths:
            found.append((paths[file], int(error["line"]), error["what"].strip()[:300]))
    return found


def _cache(place: Place) -> Path:
    """Where a checker keeps what it knows, below ``.turnout``: the first run takes seconds, the next does not.

    A link may lead out of the project, and what is given to the jail can be written; then it is kept nowhere.
    """
    root = Path(os.path.realpath(place.root))
    cache = root / ".turnout" / "types"
    if Path(os.path.realpath(cache)) != cache:
        cache = place.folder / "types"
    cache.mkdir(parents=True, exist_ok=True)
    ignore = cache.parent / ".gitignore"
    if cache.is_relative_to(root) and not ignore.exists():
        ignore.write_text("*\n")
    return cache
