"""The packages that ship with a build: those that the project names, as they are installed here.

Nothing is downloaded: the build takes what the tests ran with. Markers are not evaluated; a
requirement that is not for this system is not installed here either.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath

from ..errors import ConfigError

# What every built project runs; from there on the imports say what else is needed.
_START = ("built.py", "applog.py", "py.typed")
# Files whose inner imports are for parts that the build knows to be used or not.
_GATED = {
    "__init__.py": "",
    "actions/action.py": "actions",
    "actions/registry.py": "actions",
    "auth/__init__.py": "auth",
    "built.py": "tasks",
    "project.py": "",
}
_PACKAGE = Path(__file__).parent.parent
_LEFT_OUT = frozenset({"__pycache__", "tests", "test"})
_KEPT_OF_INFO = frozenset({"METADATA", "entry_points.txt"})
_name = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")


def write_turnout(dest: Path, uses: set[str], doors: tuple[str, ...]) -> None:
    """Turnout as it runs in a function: what *doors* and the parts in *uses* need, and neither server nor tools."""
    for inside in sorted(_needed(uses, doors)):
        target = dest / "turnout" / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_PACKAGE / inside, target)


def _needed(uses: set[str], doors: tuple[str, ...]) -> set[str]:
    waiting = [*_START, *(f"adapters/{door}.py" for door in doors)]
    for part in uses:
        waiting += [f"{part}.py"] if (_PACKAGE / f"{part}.py").is_file() else _folder(part)
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name.endswith(".py"):
            gate = _GATED.get(name)
            waiting += _imported(name, inner=gate is None or gate in uses)
            waiting += [f"{parent.as_posix()}/__init__.py" for parent in Path(name).parents if parent.name]
            waiting.append("__init__.py")
    return found


def _folder(part: str) -> list[str]:
    """Every file of a package, those that are no code included."""
    return [
        path.relative_to(_PACKAGE).as_posix()
        for path in (_PACKAGE / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]


def _imported(name: str, *, inner: bool) -> Iterator[str]:
    """The files of Turnout that the file *name* imports; *inner*: also inside of functions."""
    tree = ast.parse((_PACKAGE / name).read_bytes())
    for node in ast.walk(tree) if inner else tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            place = (_PACKAGE / name).parents[node.level - 1]
            parts = node.module.split(".") if node.module else []
            for words in ([*parts, alias.name] for alias in node.names):
                for length in range(1, len(words) + 1):
                    path = place.joinpath(*words[:length])
                    for each in (path.with_suffix(".py"), path / "__init__.py"):
                        if each.is_file():
                            yield each.relative_to(_PACKAGE).as_posix()


class Distribution:
    """One installed package."""

    def __init__(self, found: metadata.Distribution) -> None:
        self._found, self.name = found, canonical(found.metadata["Name"])

    def write(self, dest: Path) -> None:
        """Copy its files, without tests, stubs and byte code.

        Raises:
            ConfigError: it is installed as a link to its source, or compiled for another system.
        """
        files = self._found.files
        if files is None:
            raise ConfigError(
                f"nothing says which files {self.name} has", cure=f"install it with pip: pip install {self.name}"
            )
        if any(file.suffix == ".pth" for file in files if len(file.parts) == 1):
            raise ConfigError(
                f"{self.name} is installed as a link to its source, which cannot be shipped",
                cure=f"install it: pip install --force-reinstall --no-deps {self.name}",
            )
        for file in sorted(files):
            if not _ships(file):
                continue
            if file.suffix in (".so", ".pyd", ".dylib") and sys.platform != "linux":
                raise ConfigError(
                    f"{self.name} is compiled for {sys.platform}, and functions run on Linux",
                    cure="build on Linux, for example in CI or in a container",
                )
            place = Path(str(self._found.locate_file(file)))
            if place.is_file():
                target = dest / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(place, target)


def _ships(file: PurePosixPath) -> bool:
    if ".." in file.parts or file.suffix in (".pyc", ".pyi") or set(file.parts[:-1]) & _LEFT_OUT:
        return False
    return file.name in _KEPT_OF_INFO if file.parts[0].endswith(".dist-info") else True


def canonical(name: str) -> str:
    """*name* as packages are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(pyproject: Path, drop: frozenset[str]) -> list[Distribution]:
    """What the project's ``dependencies`` lead to, sorted by name; msgspec is always there, Turnout never.

    Raises:
        ConfigError: one that the project names itself is not installed.
    """
    data = tomllib.loads(pyproject.read_text("utf-8")) if pyproject.is_file() else {}
    named = [str(each) for each in data.get("project", {}).get("dependencies", [])]
    waiting = [(each, True) for each in ["msgspec", *named]]
    found: dict[str, Distribution] = {}
    seen: set[str] = set()
    while waiting:
        text, own = waiting.pop()
        match = _name.match(text)
        if match is None or text in seen:
            continue
        seen.add(text)
        name, extras = canonical(match[1]), {each.strip() for each in (match[2] or "").split(",")}
        if name in drop:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if own and ";" not in text:
                raise ConfigError(
                    f"the project depends on {name}, which is not installed here",
                    file=pyproject,
                    cure=f"pip install {name}",
                ) from None
            continue
        if name != "turnout":
            found.setdefault(name, Distribution(distribution))
        waiting += [(each, False) for each in distribution.requires or () if _applies(each, extras)]
    return [found[name] for name in sorted(found)]


def _applies(requirement: str, extras: set[str]) -> bool:
    wanted = re.search(r"""extra\s*==\s*["']([^"']+)["']""", requirement)
    return wanted is None or wanted[1] in extras
