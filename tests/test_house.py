"""The rules of the house that a program can check: which way imports point, and what is never used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import turnout

SRC = Path(turnout.__file__).parent

VALUES = {"errors", "parts", "env", "log", "logger", "http", "config"}
GROUND = {"context", "middleware", "admission", "threads", "routing", "db"}
DOORS = {"server", "adapters"}
STORES = {"store"}
FEATURES = {
    *STORES,
    "actions",
    "ratelimit",
    "idempotency",
    "mail",
    "templates",
    "static",
    "webhooks",
    "auth",
    "tasks",
    "cache",
    "instrumentation",
    "metrics",
    "stalls",
    "tracing",
}
BELOW_FEATURES = {"errors", "parts", "env", "log", "http", "config", "context", "db", *STORES}
# Each layer, and the layers it may import. Relative imports only; names under TYPE_CHECKING count too.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "parts": set(),
    "env": {"errors"},
    "logger": set(),
    "applog": {"env", "log", "context"},
    "log": {"errors", "env"},
    "http": {"errors", "log"},
    "config": {"errors", "env", "http"},
    "context": {"errors", "log", "http"},
    "middleware": {"errors", "log", "http", "context"},
    "admission": {"errors", "log", "http"},
    "threads": {"errors", "http"},
    "routing": {"errors", "env", "log", "http"},
    "db": {"errors", "parts", "env", "log", "http"},
    "store": {"errors", "env", "log", "http", "config", "db"},
    "ratelimit": BELOW_FEATURES,
    "idempotency": BELOW_FEATURES,
    "templates": BELOW_FEATURES,
    "static": BELOW_FEATURES,
    "instrumentation": BELOW_FEATURES,
    "metrics": BELOW_FEATURES | {"middleware"},
    "stalls": BELOW_FEATURES | {"middleware"},
    "tracing": BELOW_FEATURES | {"middleware"},
    "cache": BELOW_FEATURES,
    "mail": BELOW_FEATURES | {"templates", "tasks"},
    "webhooks": BELOW_FEATURES,
    "tasks": BELOW_FEATURES,
    "auth": BELOW_FEATURES | {"mail", "ratelimit", "templates"},
    "actions": BELOW_FEATURES | {"templates", "cache", "auth"},
    "app": {"errors", "log", "logger", "http", "context", "routing", "middleware", "admission", "threads"},
    "project": VALUES | GROUND | FEATURES | {"app"},
    "contract": VALUES | GROUND | {"app", "auth", "project", "ratelimit"},
    "client": {"errors", "contract"},
    "nextjs": {"errors"},
    "server": {"errors", "log", "http", "config"},
    "adapters": {"errors", "log", "logger", "http", "config"},
    "testing": VALUES | GROUND | FEATURES | {"app", "project"},
    "built": {"errors", "http", "logger", "applog", "routing", "app", "project", "adapters", "tasks"},
    "deploy": VALUES | {"routing", "__version__", "_LAZY"},  # the last two: names of the package itself
    "dev": VALUES | GROUND | FEATURES | DOORS | {"app", "project", "contract"},
    "docs": {"errors"},
    "ai": VALUES | GROUND | FEATURES | DOORS | {"app", "project", "testing", "contract", "cli", "docs", "__init__"},
    "cli": VALUES
    | GROUND
    | FEATURES
    | DOORS
    | {
        "app",
        "project",
        "testing",
        "dev",
        "ai",
        "contract",
        "client",
        "nextjs",
        "__init__",
        "built",
        "applog",
        "deploy",
        "docs",
    },
}
OUTSIDE_THE_TABLE = {"__init__", "__main__", "py.typed", "__pycache__"}
THIRD_PARTY_AT_THE_TOP = {"msgspec", "uvloop", "httptools"}


def files(layer: str) -> list[Path]:
    folder = SRC / layer
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [SRC / f"{layer}.py"]


def imports(file: Path) -> Iterator[str]:
    """The layers that *file* imports."""
    to_root = len(file.relative_to(SRC).parts)  # this many dots reach the package root
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == to_root:
            yield from [node.module.partition(".")[0]] if node.module else [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level > to_root:
            raise AssertionError(f"{file} reaches out of the package")


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_imports_point_down(layer: str) -> None:
    for file in files(layer):
        assert set(imports(file)) <= MAY_IMPORT[layer] | {layer}, file


def test_the_table_of_layers_is_complete() -> None:
    found = {path.stem for path in SRC.iterdir() if path.name not in OUTSIDE_THE_TABLE}
    assert found - OUTSIDE_THE_TABLE == set(MAY_IMPORT)


BANNED_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
BANNED_CALLS = {"eval", "exec", "__import__"}


@pytest.mark.parametrize("file", sorted(SRC.rglob("*.py")), ids=lambda file: str(file.relative_to(SRC)))
def test_nothing_is_decoded_as_code(file: Path) -> None:
    """Habit 5: data is decoded as data (CVE-2025-55182 began as a decoder that looked names up)."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & BANNED_MODULES
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in BANNED_MODULES
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in BANNED_CALLS


SECRET_WORDS = ("sig", "token", "digest", "hash", "hmac", "password", "secret")


@pytest.mark.parametrize("file", sorted(SRC.rglob("*.py")), ids=lambda file: str(file.relative_to(SRC)))
def test_secrets_are_compared_in_constant_time(file: Path) -> None:
    """``==`` beside a name that says it holds a secret leaks where the first difference is."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Compare) or not any(isinstance(op, (ast.Eq, ast.NotEq)) for op in node.ops):
            continue
        names = [side.id.lower() for side in (node.left, *node.comparators) if isinstance(side, ast.Name)]
        assert not [name for name in names if set(name.split("_")) & set(SECRET_WORDS)], f"{file}:{node.lineno}"


def test_importing_turnout_loads_no_third_party_package_but_msgspec() -> None:
    code = (
        "import sys; before = set(sys.modules); import turnout; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    # msgspec itself takes typing_extensions when it happens to be installed.
    foreign = {name for name in found if name not in sys.stdlib_module_names} - {"turnout", "msgspec"}
    assert foreign <= {"typing_extensions"}
    assert "asyncio" not in found
    assert "sqlite3" not in found


def test_the_public_names_are_the_listed_ones() -> None:
    assert all(getattr(turnout, name) is not None for name in turnout.__all__)
    # isort's order of names, so that an addition shows as one line.
    assert len(turnout.__all__) == len(set(turnout.__all__))
    public = {name for name in vars(turnout) if not name.startswith("_")}
    modules = {path.stem for path in SRC.iterdir()}
    unlisted = public - set(turnout.__all__) - modules - {"annotations", "import_module", "TYPE_CHECKING", "Any"}
    assert not unlisted
