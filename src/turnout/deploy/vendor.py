"""The packages that ship with a build: those that the project names, as they are installed here.

Nothing is downloaded: the build takes what the tests ran with. Markers are not evaluated; a
requirement that is not for this system is not installed here either.
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from importlib import metadata
from pathlib import Path, PurePosixPath

from ..errors import ConfigError

# Tools and the native server: no function has a use for them.
_TOOLS = frozenset({"ai", "cli", "console", "contract", "client", "clients", "deploy", "dev", "docs", "server"})
_TOOLS_FILES = frozenset({"testing.py", "__main__.py", "stalls.py"})
_LEFT_OUT = frozenset({"__pycache__", "tests", "test"})
_KEPT_OF_INFO = frozenset({"METADATA", "entry_points.txt"})
_name = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")


def write_turnout(dest: Path) -> None:
    """Turnout as it runs in a function: no tools, no server."""
    source = Path(__file__).parent.parent
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        tool = inside.parts[0] in _TOOLS or inside.as_posix() in _TOOLS_FILES
        if path.is_file() and not tool and "__pycache__" not in inside.parts and path.suffix not in (".pyc", ".pyi"):
            target = dest / "turnout" / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


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
        if files is None or any(file.suffix == ".pth" for file in files if len(file.parts) == 1):
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
