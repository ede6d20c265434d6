"""User B never learns over the wire what user A keeps to himself, whatever the URL, headers and body.

The two worlds of ``worlds.py`` again: every request goes to both, and both must answer alike, in
status, headers and body, errors included.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from turnout.db import Database, Scope
from turnout.db.local import LocalPostgres
from turnout.db.rest import Settings, rest
from turnout.http.request import Request

from .worlds import IN_MEMORY, USER_B, VISITOR, A, B, fill, of_a, run, worlds

ALLOWED = Settings(aggregates=True, rollback=True, plans=True)
Asked = tuple[str, str, dict[str, str], Any]

SELECTS = {
    "posts": (
        "*", "id,title,meta->>k", "id,author:users(*)", "id,comments(*)",
        "id,...users(name)", "id,comments!inner(body)",
        "id,tags(name)", "id,comments(count)", "count()", "views.sum(),views.max()", "id,comments(posts(title))",
    ),
    "comments": ("*", "id,posts(title,users(email))", "id,posts!inner(title)", "score.avg()", "id,...posts(title)"),
    "users": ("*", "name,posts(title)", "id,posts!inner(title),secrets(value)", "count()", "id,orgs(name)"),
    "tags": ("*", "name,posts(title)", "name,posts!inner(title)", "name,posts(count)", "name,post_tags(post_id)"),
    "secrets": ("*", "value,users(name)", "n.sum()"),
    "orgs": ("*", "name,members(user_id)", "name,users(email)"),
    "titles": ("*", "count()"),
}  # fmt: skip
FILTERS = {
    "posts": (
        "", "id=eq.1", "title=like.*SECRET*", "views=gt.1000", "or=(id.eq.1,views.gt.7000)", "author_id=neq." + B,
        "comments.body=like.*S*", "comments=not.is.null", "users.email=not.is.null", "order=views.desc&limit=1",
        "order=users(name).desc", "meta->>k=eq.SECRET-1-one", "offset=2", "id=not.in.(10,11)",
    ),
    "comments": ("", "score=gt.10", "body=is.null", "posts.title=like.*S*", "order=posts(title)", "id=eq.21"),
    "users": ("", "email=like.*SECRET*", f"id=eq.{A}", "posts.title=like.*S*", "order=name", "posts=is.null"),
    "tags": ("", "posts=not.is.null", "posts.title=like.*S*", "order=id"),
}  # fmt: skip
MODES: tuple[tuple[str, dict[str, str]], ...] = (
    ("GET", {}),
    ("GET", {"prefer": "count=exact"}),
    ("HEAD", {"prefer": "count=exact"}),
    ("GET", {"prefer": "count=planned"}),
    ("GET", {"accept": "text/csv"}),
    ("GET", {"accept": "application/vnd.pgrst.object+json"}),
    ("GET", {"accept": "application/vnd.pgrst.array+json;nulls=stripped"}),
    ("GET", {"accept": "application/vnd.pgrst.plan+json"}),
    ("GET", {"range": "0-1", "prefer": "count=exact"}),
)
BACK = {"prefer": "return=representation,count=exact"}
SOLE = {**BACK, "accept": "application/vnd.pgrst.object+json"}


def reads(table: str) -> Iterator[Asked]:
    for select in SELECTS[table]:
        for text in FILTERS.get(table, ("", "order=id", "limit=1")):
            for method, headers in MODES:
                yield method, f"/rest/v1/{table}?select={select}&{text}", headers, None


def writes() -> Iterator[Asked]:
    for where in ("id=eq.1", "id=gt.0", "title=like.*SECRET*", "views=gt.1000", f"author_id=eq.{A}", "id=eq.10"):
        for headers in (BACK, SOLE, {"prefer": "count=exact"}, {}, {"prefer": "handling=strict,max-affected=1"}):
            for select in ("*", "id,comments(*)", "id,users(email)"):
                yield "PATCH", f"/rest/v1/posts?{where}&select={select}", headers, {"views": 1}
                yield "DELETE", f"/rest/v1/posts?{where}&select={select}", headers, None
            yield "PATCH", f"/rest/v1/posts?{where}", headers, {"author_id": A}
    mine = {"id": 12, "author_id": B, "title": "new", "views": 1}
    for headers in (BACK, SOLE, {}, {"prefer": "return=headers-only"}):
        yield "POST", "/rest/v1/posts?select=id,users(name)", headers, mine
        yield "POST", "/rest/v1/posts", headers, {**mine, "author_id": A}
        yield "POST", "/rest/v1/secrets", headers, {"id": 12, "owner_id": B, "value": "x"}
        for resolution in ("merge-duplicates", "ignore-duplicates"):
            how = {**headers, "prefer": f"{headers.get('prefer', 'count=exact')},resolution={resolution}"}
            yield "POST", "/rest/v1/posts?columns=id,author_id,title", how, [{**mine, "id": 1}, {**mine, "id": 13}]
            yield "POST", "/rest/v1/posts?on_conflict=id", how, {**mine, "id": 10}
            yield "POST", "/rest/v1/tags?on_conflict=name", how, {"id": 9, "name": "red"}
            yield "POST", "/rest/v1/users?on_conflict=email", how, {"id": B, "name": "Bea", "email": "bea@example.org"}


def calls() -> Iterator[Asked]:
    for headers in ({}, {"prefer": "count=exact"}, {"accept": "text/csv"}):
        yield "POST", "/rest/v1/rpc/count_posts", headers, {}
        yield "GET", "/rest/v1/rpc/count_posts", headers, None
        yield "HEAD", "/rest/v1/rpc/count_posts", headers, None


async def ask(db: Database, scope: Scope, asked: Asked) -> str:
    """All that the asker gets to see."""
    method, target, headers, body = asked
    content = b"" if body is None else msgspec.json.encode(body)
    request = Request(method, target, headers={"content-type": "application/json", **headers}, body=content)
    response = await rest(request, db, scope, settings=ALLOWED)
    text = response.body.decode()
    if "order=" not in target and text.startswith("["):
        text = repr(sorted(map(repr, map(_unordered, msgspec.json.decode(text)))))
    return f"{response.status} {sorted(response.headers.items())} {text}"


def _unordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unordered(each) for name, each in value.items()}
    return sorted(map(repr, map(_unordered, value))) if isinstance(value, list) else value


@pytest.fixture(scope="module")
def two_databases(server: LocalPostgres) -> tuple[str, str]:
    for number in (1, 2):
        asyncio.run(run(server.url(), f"create database rest_world_{number} template template0"))
    return server.url("rest_world_1"), server.url("rest_world_2")


@pytest.fixture(params=["sqlite", "postgres"])
def places(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = IN_MEMORY if request.param == "sqlite" else request.getfixturevalue("two_databases")
    return found


def told_apart(asked: Asked, first: str, second: str) -> str | None:
    taken = '"23505"' in first or '"23505"' in second  # that a key is taken shows, as in PostgreSQL
    if (first != second and not taken) or "SECRET" in (first + second).replace(asked[1], "").replace("*SECRET*", ""):
        return f"{asked}\n    {first[:400]}\n    {second[:400]}"
    return None


@pytest.mark.parametrize("scope", [USER_B, VISITOR], ids=["user", "visitor"])
async def test_no_read_tells_two_worlds_apart(places: tuple[str, str], scope: Scope) -> None:
    dice, good = random.Random(5), 0
    async with worlds(places) as (one, two):
        for table in SELECTS:
            questions = list(reads(table))
            for asked in dice.sample(questions, min(len(questions), 300 if places is IN_MEMORY else 80)):
                first, second = await ask(one, scope, asked), await ask(two, scope, asked)
                assert told_apart(asked, first, second) is None, told_apart(asked, first, second)
                good += first.startswith("20")
    assert good > (400 if places is IN_MEMORY else 100)


@pytest.mark.parametrize("scope", [USER_B, VISITOR], ids=["user", "visitor"])
async def test_no_write_tells_two_worlds_apart_or_changes_a_row_of_another(
    places: tuple[str, str], scope: Scope
) -> None:
    async with worlds(places) as pair:
        before = [await of_a(db) for db in pair]
        good = set()
        for asked in list(writes())[:: 1 if places is IN_MEMORY else 5]:
            first, second = [await ask(db, scope, asked) for db in pair]
            assert told_apart(asked, first, second) is None, told_apart(asked, first, second)
            for number, db in enumerate(pair):
                assert await of_a(db) == before[number], asked
                if asked[0] != "PATCH" or first.startswith("20"):
                    await fill(db, number + 1)
            if first.startswith("20"):
                good.add(asked[0])
    assert good >= ({"POST", "PATCH", "DELETE"} if scope is USER_B else set())


@pytest.mark.parametrize("scope", [USER_B, VISITOR], ids=["user", "visitor"])
async def test_no_call_and_no_plan_tells_two_worlds_apart(places: tuple[str, str], scope: Scope) -> None:
    plan: Asked = ("GET", "/rest/v1/posts", {"accept": "application/vnd.pgrst.plan+json;options=analyze"}, None)
    async with worlds(places) as (one, two):
        for asked in (*calls(), plan):
            assert await ask(one, scope, asked) == await ask(two, scope, asked)
        assert (await ask(one, scope, plan)).startswith(("40", "401"))
