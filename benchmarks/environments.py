"""The peers' own environments under benchmarks/.envs/, made once and again whenever what they list changes.

One virtual environment for each Python framework, so that no two have to agree on a version, and one for Turnout with
the same versions of what it shares with them. Peers on Node have one folder each for those that are built and one for
those that are not. Versions are exact in peers/, so that two runs measure the same thing; there are no lock files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .processes import BenchmarkError

HERE = Path(__file__).parent
ENVS = HERE / ".envs"
PYTHON_PEERS = HERE / "peers" / "python"
NODE_PEERS = HERE / "peers" / "node"
QUIET = {"NEXT_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1", "NODE_ENV": "production"}


def python_env(name: str, *extra: str) -> Path:
    """The folder with `python` and the programs of requirements/NAME.txt in it.

    Args:
        name: Of the file, and of the environment.
        extra: More arguments for `pip install`, such as `-e` and a folder.
    """
    folder, wanted = ENVS / name, PYTHON_PEERS / "requirements" / f"{name}.txt"
    binaries = folder / "bin"
    stamp = _digest([wanted.read_bytes(), sys.version.encode(), *map(str.encode, extra)])
    if not _is_fresh(folder, stamp):
        _clear(folder)
        venv.create(folder, with_pip=True)
        pip = [str(binaries / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _install([*pip, "-r", str(wanted), *extra], folder)
        (folder / ".stamp").write_text(stamp)
    return binaries


def node_env(name: str) -> Path:
    """A copy of peers/node/NAME and peers/node/shared, installed, and built if it has a script for that."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise BenchmarkError("node and npm are not installed; install Node 20 or newer, or leave its peers out: --only")
    folder, sources = ENVS / f"node-{name}", [NODE_PEERS / name, NODE_PEERS / "shared"]
    installed = _digest([(NODE_PEERS / name / "package.json").read_bytes()])
    if not _is_fresh(folder, installed):
        _clear(folder)
        shutil.copy(NODE_PEERS / name / "package.json", folder)
        npm = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
        _install(npm, folder, QUIET)
        (folder / ".stamp").write_text(installed)
    files = sorted(file for source in sources for file in source.rglob("*") if file.is_file())
    built, stamp = folder / ".built", _digest(file.read_bytes() for file in files)
    if not (built.is_file() and built.read_text() == stamp):
        shutil.copytree(sources[0], folder, dirs_exist_ok=True)
        shutil.copytree(sources[1], folder / "shared", dirs_exist_ok=True)
        if "build" in json.loads((folder / "package.json").read_text()).get("scripts", {}):
            _install(["npm", "run", "build"], folder, QUIET | {"BENCH_SQLITE": ":memory:"})
        built.write_text(stamp)
    return folder


def python_versions(python: Path, *packages: str) -> str:
    """`CPython 3.11.7, uvloop 0.23.0`, as *python* sees them."""
    code = (
        "import platform, sys; from importlib.metadata import version;"
        "print(platform.python_implementation(), platform.python_version(), end='');"
        "[print(',', name, version(name), end='') for name in sys.argv[1:]]"
    )
    return subprocess.run([str(python), "-c", code, *packages], capture_output=True, text=True, check=True).stdout


def node_versions(folder: Path, *packages: str) -> str:
    """`Node v20.20.2, fastify 5.12.8`."""
    words = ["Node " + subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()]
    for package in packages:
        found = json.loads((folder / "node_modules" / package / "package.json").read_text())
        words.append(f"{package} {found['version']}")
    return ", ".join(words)


def _digest(parts: Iterable[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()


def _is_fresh(folder: Path, stamp: str) -> bool:
    written = folder / ".stamp"
    return written.is_file() and written.read_text() == stamp


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _install(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
    print(f"setting up {folder.relative_to(HERE.parent)}: {' '.join(command[-2:])}", file=sys.stderr, flush=True)
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | dict(env or {})
    )
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
        raise BenchmarkError(f"{' '.join(command[:3])} failed in {folder.name}:\n" + "\n".join(words))
