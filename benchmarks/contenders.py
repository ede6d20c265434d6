"""Who takes part, in what, and how each is set up and started: one worker, as its own guide has it in production.

No contender logs single requests. What one cannot do here (an install that fails, a wrong answer) is told in the
results and stops nobody else.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .environments import (
    HERE,
    PYTHON_PEERS,
    QUIET,
    node_env,
    node_versions,
    python_env,
    python_versions,
)
from .processes import BenchmarkError

BASE = "turnout"
BLOG = "turnout-blog"
MAIN = ("W1", "W1h", "W2", "W3", "W4")
VARIED = ("W1v", "W3v")
MORE = ("W5", "W6", "W7", "W8")


@dataclass(frozen=True)
class Setup:
    """A contender ready to be started."""

    command: Callable[[int], list[str]]
    """The command that listens on the given port of 127.0.0.1."""
    cwd: Path
    versions: str
    env: Mapping[str, str] = field(default_factory=dict)
    on_postgres: bool = False
    """Whether DATABASE_URL is the run's PostgreSQL, and not the contender's SQLite file."""
    migrate: tuple[str, ...] = ()
    """A command that makes this contender's own tables in DATABASE_URL, before the others'."""


@dataclass(frozen=True)
class Contender:
    """A name, what it is, how to make it ready (which may install it), and what it takes part in."""

    name: str
    title: str
    prepare: Callable[[], Setup]
    workloads: tuple[str, ...] = MAIN


def turnout_env() -> Path:
    """Turnout's environment: this checkout, with the versions of uvloop, httptools and msgspec that the peers have."""
    return python_env("turnout", "-e", str(HERE.parent))


def turnout_command(project: Path, port: int) -> list[str]:
    """`turnout start` with one worker."""
    program = str(turnout_env() / "turnout")
    return [program, "start", str(project), "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]


def prepare_turnout(project: Path, *migrate: str, on_postgres: bool = False, has_users: bool = False) -> Setup:
    """Turnout on its own server."""
    binaries = turnout_env()
    env: dict[str, str] = {}
    if has_users:  # production starts with keys for them, or not at all
        keys = subprocess.run([binaries / "turnout", "auth", "keys"], capture_output=True, text=True, check=True)
        name, _, value = keys.stdout.strip().partition("=")
        env[name] = value.strip("'")
    return Setup(
        lambda port: turnout_command(project, port),
        project,
        python_versions(binaries / "python", "turnout", "uvloop", "httptools", "msgspec", "asyncpg"),
        env=env,
        migrate=(str(binaries / "turnout"), *migrate) if migrate else (),
        on_postgres=on_postgres,
    )


def uvicorn(
    env: str, app: str, *packages: str, cwd: Path = PYTHON_PEERS, binaries: Callable[[], Path] | None = None
) -> Callable[[], Setup]:
    """An ASGI app on uvicorn."""

    def prepare() -> Setup:
        folder = binaries() if binaries else python_env(env)
        fixed = "--loop uvloop --http httptools --no-access-log --log-level warning --host 127.0.0.1 --port"
        command = [str(folder / "python"), "-m", "uvicorn", app, *fixed.split()]
        versions = python_versions(folder / "python", *packages, "uvicorn", "uvloop", "httptools")
        return Setup(lambda port: [*command, str(port)], cwd, versions)

    return prepare


def granian(env: str, app: str, *packages: str, interface: str = "asgi") -> Callable[[], Setup]:
    """An app on Granian with its one-thread runtime; on one core its other one measured the same."""

    def prepare() -> Setup:
        folder = python_env(env)
        fixed = "--http 1 --no-ws --loop uvloop --workers 1 --runtime-mode st --log-level warning --host 127.0.0.1"
        command = [str(folder / "granian"), "--interface", interface, *fixed.split(), app, "--port"]
        versions = python_versions(folder / "python", *packages, "granian", "uvloop")
        return Setup(lambda port: [*command, str(port)], PYTHON_PEERS, versions)

    return prepare


def python(env: str, command: str, *packages: str) -> Callable[[], Setup]:
    """A server of its own; *command* has {port} in it."""

    def prepare() -> Setup:
        folder = python_env(env)
        return Setup(
            lambda port: [str(folder / "python"), *command.format(port=port).split()],
            PYTHON_PEERS,
            python_versions(folder / "python", *packages),
        )

    return prepare


def node(env: str, command: str, *packages: str) -> Callable[[], Setup]:
    """A server on Node; *command* has {port} in it."""

    def prepare() -> Setup:
        folder = node_env(env)
        versions = node_versions(folder, *packages, "better-sqlite3")
        return Setup(lambda port: command.format(port=port).split(), folder, versions, QUIET)

    return prepare


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender(BASE, "Turnout", lambda: prepare_turnout(HERE / "apps" / "turnout"), MAIN + VARIED + MORE),
        Contender(
            "turnout-uvicorn",
            "Turnout as an ASGI app on uvicorn",
            uvicorn("turnout", "asgi:app", "turnout", cwd=HERE / "apps" / "turnout", binaries=turnout_env),
            MAIN + VARIED,
        ),
        Contender(
            BLOG,
            "Turnout: examples/blog",
            lambda: prepare_turnout(HERE.parent / "examples" / "blog", "db", "migrate", has_users=True),
            ("W9",),
        ),
        Contender(
            "turnout-postgres",
            "Turnout with PostgreSQL behind db",
            lambda: prepare_turnout(HERE / "apps" / "turnout-postgres", on_postgres=True),
            ("W5",),
        ),
        Contender(
            "raw",
            "uvloop Protocol + httptools, by hand (the ceiling)",
            python("bare", "raw.py {port}", "uvloop", "httptools", "msgspec", "asyncpg"),
            MAIN + VARIED + MORE,
        ),
        Contender(
            "granian-rsgi",
            "bare RSGI application on Granian",
            granian("bare", "granian_rsgi:app", "msgspec", interface="rsgi"),
            MAIN + VARIED,
        ),
        Contender(
            "fastapi",
            "FastAPI on uvicorn",
            uvicorn("fastapi", "fastapi_app:app", "fastapi", "pydantic"),
            MAIN + VARIED + MORE,
        ),
        Contender("fastapi-granian", "FastAPI on Granian", granian("fastapi", "fastapi_app:app", "fastapi")),
        Contender(
            "fastapi-sqlalchemy",
            "FastAPI on uvicorn, with SQLAlchemy async and aiosqlite",
            uvicorn("fastapi", "fastapi_sqlalchemy:app", "fastapi", "sqlalchemy", "aiosqlite"),
            ("W4", "W6", "W9"),
        ),
        Contender(
            "fastapi-filebased",
            "fastapi-filebased-routing on uvicorn",
            uvicorn("filebased", "filebased_app:app", "fastapi-filebased-routing", "fastapi"),
        ),
        Contender(
            "starlette",
            "Starlette on uvicorn",
            uvicorn("starlette", "starlette_app:app", "starlette", "msgspec"),
            MAIN + VARIED + MORE,
        ),
        Contender("starlette-granian", "Starlette on Granian", granian("starlette", "starlette_app:app", "starlette")),
        Contender("litestar", "Litestar on uvicorn", uvicorn("litestar", "litestar_app:app", "litestar")),
        Contender("litestar-granian", "Litestar on Granian", granian("litestar", "litestar_app:app", "litestar")),
        Contender("blacksheep", "BlackSheep on uvicorn", uvicorn("blacksheep", "blacksheep_app:app", "blacksheep")),
        Contender(
            "blacksheep-granian",
            "BlackSheep on Granian",
            granian("blacksheep", "blacksheep_app:app", "blacksheep"),
            MAIN + VARIED,
        ),
        Contender("falcon", "Falcon ASGI on uvicorn", uvicorn("falcon", "falcon_app:app", "falcon")),
        Contender("falcon-granian", "Falcon ASGI on Granian", granian("falcon", "falcon_app:app", "falcon")),
        Contender(
            "sanic",
            "Sanic on its own server",
            python(
                "sanic",
                "-m sanic sanic_app:app --host 127.0.0.1 --port {port} --single-process --no-access-logs --no-motd",
                "sanic",
                "uvloop",
                "httptools",
            ),
        ),
        Contender(
            "robyn",
            "Robyn on its own server",
            python(
                "robyn",
                "robyn_app.py {port} --processes 1 --workers 1 --log-level WARN --disable-openapi",
                "robyn",
                "uvloop",
            ),
        ),
        Contender(
            "django-ninja",
            "Django Ninja on uvicorn",
            uvicorn("django-ninja", "ninja_app:app", "django-ninja", "django", "pydantic"),
        ),
        Contender(
            "fastify",
            "Fastify on Node",
            node("main", "node fastify.mjs {port}", "fastify", "pg"),
            (*MAIN, *VARIED, *MORE, "W9"),
        ),
        Contender(
            "hono", "Hono on Node", node("main", "node hono.mjs {port}", "hono", "@hono/node-server"), MAIN + VARIED
        ),
        Contender("express", "Express on Node", node("main", "node express.mjs {port}", "express")),
        Contender(
            "nitro",
            "Nitro on Node, built",
            node("nitro", "env NITRO_HOST=127.0.0.1 NITRO_PORT={port} node .output/server/index.mjs", "nitropack"),
        ),
        Contender(
            "nextjs",
            "Next.js route handlers, standalone build",
            node("next", "env HOSTNAME=127.0.0.1 PORT={port} node .next/standalone/server.js", "next", "react"),
        ),
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
