"""The peers' own environments under benchmarks/.envs/, made once and again whenever what they list changes.

Python peers share one virtual environment, Node peers one folder with node_modules. Turnout runs from the
environment that runs the benchmarks. Versions are exact in peers/*/, so that two runs measure the same thing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from .processes import BenchmarkError

HERE = Path(__file__).parent
ENVS = HERE / ".envs"
PYTHON_PEERS = HERE / "peers" / "python"
NODE_PEERS = HERE / "peers" / "node"


def python_env() -> Path:
    """The folder with `python` and the peers' programs in it."""
    folder, wanted = ENVS / "python", PYTHON_PEERS / "requirements.txt"
    binaries = folder / "bin"
    stamp = _digest(wanted.read_bytes() + sys.version.encode())
    if not _is_fresh(folder, stamp):
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [str(binaries / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _install([*pip, "-r", str(wanted)], folder)
        (folder / ".stamp").write_text(stamp)
    return binaries


def node_env() -> Path:
    """The folder with node_modules and the peers' scripts, which Node wants beside each other."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise BenchmarkError("node and npm are not installed; install Node 20 or newer, or leave its peers out: --only")
    folder, wanted = ENVS / "node", NODE_PEERS / "package.json"
    stamp = _digest(wanted.read_bytes())
    if not _is_fresh(folder, stamp):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(wanted, folder)
        _install(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"], folder)
        (folder / ".stamp").write_text(stamp)
    for script in NODE_PEERS.glob("*.js"):
        shutil.copy(script, folder)
    return folder


def python_versions(python: Path, *packages: str) -> str:
    """`CPython 3.11.7, uvloop 0.23.0`, as *python* sees them."""
    code = (
        "import platform, sys; from importlib.metadata import version;"
        "print(platform.python_implementation(), platform.python_version(), end='');"
        "[print(',', name, version(name), end='') for name in sys.argv[1:]]"
    )
    return subprocess.run([str(python), "-c", code, *packages], capture_output=True, text=True, check=True).stdout


def node_versions(folder: Path, package: str) -> str:
    """`Node v20.20.2, fastify 5.12.8`."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    found = json.loads((folder / "node_modules" / package / "package.json").read_text())
    return f"Node {node}, {package} {found['version']}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _is_fresh(folder: Path, stamp: str) -> bool:
    written = folder / ".stamp"
    return written.is_file() and written.read_text() == stamp


def _install(command: Sequence[str], folder: Path) -> None:
    print(f"setting up {folder.relative_to(HERE.parent)}", file=sys.stderr)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{' '.join(command[:3])} failed in {folder}:\n{done.stderr.strip()}")
