"""A small blog in a database of its own, in memory and in a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from turnout.db import Database

BLOG = (
    """create table users (id integer primary key autoincrement, name text not null, email varchar(20) unique)""",
    """create table posts (
        id integer primary key autoincrement,
        author_id integer references users(id) on delete cascade,
        title text not null,
        views integer not null default 0 check (views >= 0),
        rating double precision,
        price numeric(10,2),
        published boolean not null default false,
        tags text[],
        meta jsonb,
        created_at timestamptz not null default current_timestamp
    )""",
    """create table slugs (slug text primary key, post_id bigint)""",
)

Open = Callable[[], AbstractAsyncContextManager[Database]]


@pytest.fixture(params=["memory", "file"])
def blog(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """``async with blog() as db``: the three tables, empty."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Database]:
        db = Database(":memory:" if request.param == "memory" else tmp_path / "blog.db")
        try:
            for statement in BLOG:
                await db.sql(statement)  # type: ignore[arg-type]
            yield db
        finally:
            await db.close()

    return opened
