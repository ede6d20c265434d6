"""``health``: whether the app and its database can do their work, for monitors and people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..changeset import ChangeSet, RouteClaim
from .base import Argument, Recipe, fill, new_files, new_route, path_in, slug

if TYPE_CHECKING:
    from ..view import ProjectView

ROUTE = '''\
"""GET @PATH@: whether the app can do its work, for monitors that look from outside.

What orchestrators ask is there without this: /livez, /readyz and /startupz. This one runs a query, each time anew, and
tells strangers no more than yes or no; why not is in the log.
"""

import asyncio
import logging

from turnout import Response, TurnoutError, db

auth = "public"
rate_limit = "60/min"  # each call is a query

PATIENCE_S = 2
NOT_KEPT = {"cache-control": "no-store"}

logger = logging.getLogger(__name__)


async def GET() -> Response:
    """Ask the database for one row."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await db.sql("select 1 as one").single()
    except (TurnoutError, TimeoutError, OSError) as exc:
        logger.error("the database does not answer: %s", type(exc).__name__)
        return Response.json({"status": "unavailable"}, status=503, headers=NOT_KEPT)
    return Response.json({"status": "ok"}, headers=NOT_KEPT)
'''

TEST = '''\
"""GET @PATH@: 200 while the database answers, 503 while it does not, and nothing else to learn."""

import asyncio
from pathlib import Path

import pytest
from turnout.testing import Answer, Client

ROOT = Path(__file__).parent.parent


def ask(method: str = "GET") -> Answer:
    async def main() -> Answer:
        async with Client(root=ROOT) as client:
            return await client.request(method, "@PATH@")

    return asyncio.run(main())


def test_it_is_well_while_the_database_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))

    answer = ask()

    assert (answer.status, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["cache-control"] == "no-store"


def test_it_says_so_when_the_database_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test.db").write_bytes(b"this is no database " * 500)
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))

    answer = ask()

    assert (answer.status, answer.json()) == (503, {"status": "unavailable"})


def test_it_only_answers_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))

    answer = ask("POST")

    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
'''


def plan(project: ProjectView, args: Mapping[str, str]) -> ChangeSet:
    """A route that asks the database."""
    path = RECIPE.complete(args)["path"]
    files = {
        new_route(project, path): fill(ROUTE, path=path),
        f"tests/test_{slug(path)}.py": fill(TEST, path=path),
    }
    return ChangeSet(
        summary=f"GET {path} is 200 while the database answers within 2 s, else 503.",
        contract=[RouteClaim("GET", path, "public", [200, 429, 503])],
        files=new_files(project, files),
    )


RECIPE = Recipe(
    name="health",
    summary="whether the app and its database can do their work",
    plan=plan,
    arguments=(Argument("path", "where the route is", "/api/health"),),
    signs=(
        (r"\bhealth(?:[ -]?checks?|z|y)?\b", 4),
        (r"\b(?:readiness|liveness|heartbeat|uptime)\b", 4),
        (r"\bstatus (?:endpoint|route|page)\b", 4),
        (r"\b(?:check|whether|if) the (?:app|service|server|database|db) (?:is|works|answers)", 3),
        (r"\b(?:monitor\w*|probe|load balancer)\b", 1.5),
        (r"\b(?:patients?|medical|insurance|fitness|order status|records?|doctors?|tips|articles?)\b", -6),
    ),
    read=path_in,
)
