"""Create a small project: two routes on a database, a test, and settings that type checkers accept.

With ``--agents`` nothing is created but what coding agents read of a project that is there, ``AGENTS.md``.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path

from ..errors import ConfigError
from . import agents
from .main import WrongUsage

FILES = {
    "pyproject.toml": """\
[project]
name = "@NAME@"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["turnout"]

[dependency-groups]
dev = ["pytest"]

[tool.turnout]
# The hosts this app answers to; production refuses every other. Add your domain here.
allowed_hosts = ["localhost", "127.0.0.1"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]

[tool.pyright]
include = ["."]
exclude = ["**/__pycache__", "**/.venv", "data"]
extraPaths = ["."]

# mypy cannot name a module in a folder such as [id]; keep what such a route does in lib/, where it is checked.
[tool.mypy]
files = ["."]
mypy_path = "."
explicit_package_bases = true
namespace_packages = true
exclude = ['(^|/)\\[', '(^|/)\\(', '(^|/)\\.venv/']
""",
    "app/api/hello/route.py": '''\
"""The folder is the path: /api/hello."""

from turnout import Request, Response


async def GET(request: Request) -> Response:
    return Response.json({"message": "Hello World!"})
''',
    "app/api/posts/route.py": '''\
"""List posts and add one: /api/posts."""

from typing import Any

from lib.posts import NewPost
from turnout import Request, Response, db

auth = "public"  # everybody may write; "user" asks for a sign-in


async def GET(request: Request) -> list[dict[str, Any]]:
    return await db.from_("posts").select("*").order("id", desc=True).limit(50)


async def POST(request: Request, body: NewPost) -> Response:
    post = await db.from_("posts").insert({"title": body.title, "content": body.content}).select().single()
    return Response.json(post, status=201)
''',
    "app/api/posts/[id]/route.py": '''\
"""Read, change and remove one post: /api/posts/7. A path parameter that is no int is 404."""

from typing import Any

from lib.posts import NewPost
from turnout import NotFound, Request, db

auth = "public"


async def GET(request: Request, id: int) -> dict[str, Any]:
    post = await db.from_("posts").select("*").eq("id", id).single()
    if post is None:
        raise NotFound("No such post")
    return post


async def PUT(request: Request, id: int, body: NewPost) -> dict[str, Any]:
    values = {"title": body.title, "content": body.content}
    post = await db.from_("posts").update(values).eq("id", id).select().single()
    if post is None:
        raise NotFound("No such post")
    return post


async def DELETE(request: Request, id: int) -> None:
    await db.from_("posts").delete().eq("id", id)
''',
    "lib/posts.py": '''\
"""What a post must look like; routes import it with ``from lib.posts import NewPost``."""

from typing import Annotated

from msgspec import Meta, Struct


class NewPost(Struct):
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    content: Annotated[str, Meta(min_length=1)]
''',
    "migrations/20260101000000_posts.sql": """\
create table posts (
    id integer primary key autoincrement,
    title text not null,
    content text not null,
    created_at timestamptz not null default current_timestamp
);
""",
    "tests/test_api.py": '''\
"""Requests to the app in this process: no server, and a database of each test's own."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from turnout.db import db, migrate
from turnout.testing import Client

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def empty_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))


def run(test: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Client(root=ROOT) as client:
            await migrate.migrate(db, ROOT / "migrations")
            await test(client)

    asyncio.run(main())


def test_hello() -> None:
    async def test(client: Client) -> None:
        response = await client.get("/api/hello")

        assert (response.status, response.json()) == (200, {"message": "Hello World!"})

    run(test)


def test_a_post_can_be_added_and_read_back() -> None:
    async def test(client: Client) -> None:
        added = await client.post("/api/posts", json={"title": "One", "content": "First"})
        found = await client.get(f"/api/posts/{added.json()['id']}")

        assert (added.status, found.json()) == (201, added.json())

    run(test)


def test_a_post_without_a_title_is_refused() -> None:
    async def test(client: Client) -> None:
        assert (await client.post("/api/posts", json={"content": "First"})).status == 422

    run(test)
''',
    ".env.example": """\
# Copy the names you need to .env.local, with values; that file is not committed.
# DATABASE_URL=sqlite:///data/app.db
""",
    ".gitignore": """\
__pycache__/
.venv/
.pytest_cache/
.mypy_cache/
data/
.turnout/
.env.local
.env.*.local
""",
    "README.md": """\
# @NAME@

    turnout dev                  # http://127.0.0.1:8000, reloads on save
    turnout call GET /api/hello  # one request, no server
    turnout routes               # what answers where
    turnout check                # every problem at once
    pytest

A folder below `app/` is a path and its `route.py` answers there: `app/api/posts/[id]/route.py` is `/api/posts/7`.
Shared code is in `lib/`, the database schema in `migrations/`, settings under `[tool.turnout]` in `pyproject.toml`.

In production: `turnout db migrate`, then `turnout start --port 8000`.
""",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", nargs="?", help="the folder to create; its last part is the project's name")
    parser.add_argument(
        "--agents", action="store_true", help="only refresh AGENTS.md, in the project that is there (default: .)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object: folder and files")


def run(args: argparse.Namespace) -> int:
    """Write the files, and say what to type next."""
    if args.agents:
        return _refresh(Path(args.name or "."), as_json=args.json)
    if args.name is None:
        raise WrongUsage("a project needs a name", cure="turnout new my-app")
    folder = Path(args.name)
    name = re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-")
    if not name:
        raise WrongUsage(f"{args.name!r} gives no project name", cure="use letters and digits, such as my-app")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not an empty folder", cure="choose another name, or empty it first")
    for path, text in FILES.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("@NAME@", name), encoding="utf-8")
    written = [*FILES, *agents.write(folder)]
    if args.json:
        print(json.dumps({"folder": str(folder), "files": written}))
        return 0
    steps = "turnout dev" if folder.absolute() == Path.cwd() else f"cd {shlex.quote(str(folder))} && turnout dev"
    print(f"created {folder}; now: {steps}")
    return 0


def _refresh(folder: Path, *, as_json: bool) -> int:
    from ..config import load_config

    if not (folder / "app").is_dir():
        raise ConfigError(f"there is no project in {folder}", cure="run it in the folder that holds app/")
    wanted = load_config(folder, "development", {}).agent_rules
    written = agents.write(folder) if wanted else []
    if as_json:
        print(json.dumps({"folder": str(folder), "files": written}))
    elif not wanted:
        print("agent_rules = false in pyproject.toml: nothing is written")
    else:
        print(f"wrote {' and '.join(written) or 'nothing: it is up to date'}")
    return 0
