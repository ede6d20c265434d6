"""Who takes part: how each is set up, started with one worker, and what its versions are.

Every contender runs as its own guide would have it in production, with no log of single requests.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .environments import HERE, PYTHON_PEERS, node_env, node_versions, python_env, python_versions
from .processes import BenchmarkError


@dataclass(frozen=True)
class Setup:
    """A contender ready to be started."""

    command: Callable[[int], list[str]]
    """The command that listens on the given port of 127.0.0.1."""
    cwd: Path
    versions: str
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contender:
    """A name, what it is, and how to make it ready (which may install it)."""

    name: str
    title: str
    prepare: Callable[[], Setup]


def turnout_command(project: Path, port: int) -> list[str]:
    """`turnout start` from the environment that runs the benchmarks."""
    program = Path(sys.executable).parent / "turnout"
    if not program.exists():
        raise BenchmarkError(f"{program} does not exist; install Turnout beside this Python: pip install -e .")
    return [str(program), "start", str(project), "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]


def prepare_turnout() -> Setup:
    """Turnout itself, on the small project in apps/turnout."""
    return Setup(
        lambda port: turnout_command(HERE / "apps" / "turnout", port),
        HERE,
        python_versions(Path(sys.executable), "turnout", "uvloop", "httptools", "msgspec"),
    )


def prepare_raw() -> Setup:
    """The ceiling."""
    python = python_env() / "python"
    return Setup(
        lambda port: [str(python), "raw.py", str(port)],
        PYTHON_PEERS,
        python_versions(python, "uvloop", "httptools", "msgspec"),
    )


def prepare_granian() -> Setup:
    """Granian with one worker and its one-thread runtime; on one core its other one measured the same."""
    binaries = python_env()
    fixed = "--interface rsgi --http 1 --no-ws --loop uvloop --workers 1 --runtime-mode st --log-level warning"
    command = [str(binaries / "granian"), *fixed.split(), "granian_rsgi:app", "--host", "127.0.0.1", "--port"]
    return Setup(
        lambda port: [*command, str(port)],
        PYTHON_PEERS,
        python_versions(binaries / "python", "granian", "uvloop", "msgspec"),
    )


def prepare_fastify() -> Setup:
    """Fastify on Node."""
    folder = node_env()
    return Setup(
        lambda port: ["node", "fastify.js", str(port)],
        folder,
        node_versions(folder, "fastify"),
        {"NODE_ENV": "production"},
    )


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("turnout", "Turnout", prepare_turnout),
        Contender("raw", "uvloop Protocol + httptools, by hand (the ceiling)", prepare_raw),
        Contender("granian-rsgi", "bare RSGI application on Granian", prepare_granian),
        Contender("fastify", "Fastify on Node", prepare_fastify),
    )
}


def pick(names: str | None) -> list[Contender]:
    """The contenders of a comma-separated list; all of them without one."""
    if not names:
        return list(CONTENDERS.values())
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in CONTENDERS]:
        raise BenchmarkError(f"no contender named {', '.join(unknown)}; there are: {', '.join(CONTENDERS)}")
    return [CONTENDERS[name] for name in wanted]


def pick_setups(names: str | None) -> dict[str, Setup]:
    """The contenders of a comma-separated list made ready, installing what is missing."""
    return {contender.name: contender.prepare() for contender in pick(names)}
