"""Two worlds that differ only in what user A keeps to himself: whoever tells them apart has learnt it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from turnout.db import POLICIES, Database, Scope, col, exists, outer, policy, uid
from turnout.db.sql.policies import create_policies
from turnout.db.sql.roles import BOOTSTRAP

A, B = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
USER_B = Scope("authenticated", {"sub": B, "app_metadata": {"org": 7}})
VISITOR = Scope("anon")

TABLES = (
    "create table users (id uuid primary key, name text not null, email text unique)",
    """create table posts (id integer primary key, author_id uuid references users(id), title text, views integer,
        published boolean not null default false, meta jsonb)""",
    """create table comments (id integer primary key, post_id integer references posts(id) on delete cascade,
        author_id uuid references users(id), body text, score integer)""",
    "create table tags (id integer primary key, name text unique)",
    """create table post_tags (post_id integer references posts(id) on delete cascade,
        tag_id integer references tags(id), primary key (post_id, tag_id))""",
    "create table secrets (id integer primary key, owner_id uuid references users(id), value text, n integer)",
    "create table orgs (id integer primary key, name text)",
    """create table members (org_id integer references orgs(id), user_id uuid references users(id),
        primary key (org_id, user_id))""",
    "create view titles as select id, title, author_id from posts",
)

COUNT = "create function count_posts() returns bigint language sql stable as 'select count(*) from posts'"


def declare() -> None:
    """The policies of these tables. Of secrets and titles there is none."""
    signed_in, everyone = "authenticated", ("anon", "authenticated")
    with POLICIES.replacing():
        policy("users", for_="select", to=signed_in, using=col("id") == uid())
        policy("users", for_="update", to=signed_in, using=col("id") == uid())
        policy("posts", for_="select", to=everyone, using=col("published") == True)  # noqa: E712
        policy("posts", to=signed_in, using=col("author_id") == uid())
        seen = exists("posts", col("id") == outer("post_id"))
        policy("comments", for_="select", to=everyone, using=seen & (col("score") >= 0))
        policy("comments", to=signed_in, using=col("author_id") == uid())
        policy("tags", for_="select", to=everyone, using=True)
        policy("post_tags", for_="select", to=everyone, using=seen)
        mine = exists("posts", col("id") == outer("post_id"), col("author_id") == uid())
        policy("post_tags", to=signed_in, using=mine)
        policy("orgs", for_="select", to=signed_in, using=exists("members", col("org_id") == outer("id")))
        policy("members", for_="select", to=signed_in, using=col("user_id") == uid())


def rows(world: int) -> dict[str, list[dict[str, Any]]]:
    """The rows of *world* 1 or 2; only what is private to A differs, but for the keys that B may try."""

    def secret(text: str) -> str | None:
        return f"SECRET-{world}-{text}"

    def post(number: int, author: str, title: str | None, views: int, published: bool = False) -> dict[str, Any]:
        return {
            "id": number, "author_id": author, "title": title, "views": views, "published": published,
            "meta": {"k": title},
        }  # fmt: skip

    more = world == 2
    return {
        "users": [
            {"id": A, "name": secret("name"), "email": secret("mail")},
            {"id": B, "name": "Bea", "email": "bea@example.org"},
        ],
        "posts": [
            post(1, A, secret("one"), 9_000 + world),
            post(2, A, secret("two"), 8_000 - world),
            post(3, A, "public of A", 30, True),
            post(10, B, "draft of B", 100),
            post(11, B, "public of B", 110, True),
            *(post(50 + number, A, secret(f"more {number}"), number) for number in range(3 if more else 0)),
        ],
        "comments": [
            {"id": 20, "post_id": 1, "author_id": B, "body": "B wrote below what is hidden now", "score": 5},
            {"id": 21, "post_id": 1, "author_id": A, "body": secret("note"), "score": 70 + world},
            {"id": 22, "post_id": 2, "author_id": A, "body": None if more else secret("note"), "score": None},
            {"id": 23, "post_id": 3, "author_id": A, "body": "public comment", "score": 1},
            {"id": 25, "post_id": 3, "author_id": A, "body": secret("aside"), "score": -world},
            *([{"id": 65, "post_id": 3, "author_id": A, "body": secret("aside"), "score": None}] if more else []),
            {"id": 24, "post_id": 10, "author_id": B, "body": "note of B", "score": 2},
            *({"id": 60 + n, "post_id": 1, "author_id": A, "body": secret("x"), "score": n} for n in range(2 * more)),
        ],
        "tags": [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}, {"id": 3, "name": "green"}],
        "post_tags": [
            {"post_id": 1, "tag_id": 2 if more else 1},
            {"post_id": 2, "tag_id": 3},
            {"post_id": 3, "tag_id": 1},
            {"post_id": 10, "tag_id": 2},
            *({"post_id": 50, "tag_id": tag} for tag in range(1, 1 + 3 * more)),
        ],
        "secrets": [
            {"id": 1, "owner_id": A, "value": secret("plan"), "n": 10 * world},
            *({"id": 2 + n, "owner_id": A, "value": secret("more"), "n": n} for n in range(2 * more)),
        ],
        "orgs": [{"id": 1, "name": secret("org")}, {"id": 7, "name": "org of B"}],
        "members": [
            {"org_id": 1, "user_id": A},
            {"org_id": 7, "user_id": B},
            *([{"org_id": 7, "user_id": A}] if more else []),
        ],
    }


OWNED = {
    "users": lambda row: row["id"] == A,
    "posts": lambda row: row["author_id"] == A,
    "comments": lambda row: row["author_id"] == A,
    "tags": lambda row: True,
    "post_tags": lambda row: row["post_id"] not in (10, 11, 12),
    "secrets": lambda row: True,
    "orgs": lambda row: True,
    "members": lambda row: True,
}


Worlds = tuple[Database, Database]
IN_MEMORY = (":memory:", ":memory:")


@asynccontextmanager
async def worlds(places: tuple[str, str] = IN_MEMORY) -> AsyncIterator[Worlds]:
    """Both worlds, with their policies; afterwards there is no policy.

    Args:
        places: Where each of them is. On PostgreSQL the policies are the printed ones.
    """
    declare()
    try:
        async with AsyncExitStack() as stack:
            one, two = [
                await stack.enter_async_context(_world(place, number)) for number, place in enumerate(places, 1)
            ]
            yield one, two
    finally:
        with POLICIES.replacing():
            pass


@asynccontextmanager
async def _world(place: str, world: int) -> AsyncIterator[Database]:
    db = Database(place)
    try:
        if db.dialect == "postgres":
            await run(place, "drop schema if exists public, auth cascade; create schema public", BOOTSTRAP)
        for statement in TABLES:
            await db.sql(statement)  # type: ignore[arg-type]
        if db.dialect == "postgres":
            await run(place, COUNT)
            await apply_policies(db, place)
        await fill(db, world)
        yield db
    finally:
        await db.close()


async def apply_policies(db: Database, url: str) -> None:
    """Give a PostgreSQL the program's policies as its own."""
    await db.ready()
    await db.engine.refresh()  # type: ignore[misc]
    await run(url, *create_policies(list(POLICIES), db.engine.schema))


async def run(url: str, *statements: str) -> None:
    """Statements of an administrator, on a connection of their own."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        await connection.execute("set client_min_messages = error")
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fill(db: Database, world: int) -> None:
    """Put the rows of *world* in the place of all others."""
    fresh = rows(world)
    for table in reversed(fresh):
        await db.from_(table).delete().all_rows()
    for table, values in fresh.items():
        await db.from_(table).insert(values)


async def of_a(db: Database) -> dict[str, list[str]]:
    """Everything that B may not change."""
    return {
        table: sorted(repr(row) for row in await db.from_(table).select() if owned(row))
        for table, owned in OWNED.items()
    }


__all__ = [
    "IN_MEMORY", "USER_B", "VISITOR", "A", "B", "Worlds", "apply_policies", "declare", "fill", "of_a", "run", "worlds",
]  # fmt: skip
