"""A world for queries that reach further than one table: users, posts, comments, tags and more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

TABLES = (
    """create table users (
        id integer primary key, name text not null, boss_id integer references users(id), score double precision)""",
    """create table profiles (user_id integer primary key references users(id), bio text)""",
    """create table posts (
        id integer primary key, author_id integer references users(id), editor_id integer references users(id),
        title text not null, price numeric(10,2), views integer, big bigint, ratio double precision, small real,
        published boolean, data jsonb, tags text[], body bytea, key uuid, day date, created_at timestamptz)""",
    """create table comments (
        id integer primary key, post_id integer not null references posts(id) on delete cascade,
        author_id integer references users(id), body text, published boolean, weight double precision,
        price numeric)""",
    """create table labels (id integer primary key, name text not null)""",
    """create table posts_labels (
        post_id integer not null references posts(id), label_id integer not null references labels(id),
        primary key (post_id, label_id))""",
    """create table shops (country text, number integer, name text, primary key (country, number))""",
    """create table orders (
        id integer primary key, country text, number integer,
        foreign key (country, number) references shops (country, number))""",
    """create table lonely (id integer primary key, comments text)""",
)
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
USERS = [
    {"id": 1, "name": "Ada", "boss_id": None, "score": 0.1 + 0.2},
    {"id": 2, "name": "Bob", "boss_id": 1, "score": 1e22},
    {"id": 3, "name": "Cyd", "boss_id": 1, "score": None},
]
POSTS: list[dict[str, Any]] = [
    {
        "id": 1, "author_id": 1, "editor_id": 2, "title": "Alpha", "price": "10.10", "views": 3, "big": 2**62,
        "ratio": 0.1, "small": 0.1, "published": True, "tags": ["x", 'q"uo,te'], "body": b"\x00\xff", "key": UUID,
        "day": "2026-01-02", "created_at": "2026-01-02T03:04:05.6Z",
        "data": {"a": {"b": "text", "n": 1.5, "yes": True, "none": None, "list": [1, {"c": "é"}]}, "k": 7},
    },
    {
        "id": 2, "author_id": 2, "editor_id": None, "title": "Beta", "price": "0.05", "views": 4, "big": 2**62,
        "ratio": 0.2, "small": 2.5, "published": False, "tags": [], "day": "2026-01-02",
        "created_at": "2026-02-03T00:00:00Z", "data": {"a": {"b": "5", "n": 10}, "k": 7.0},
    },
    {"id": 3, "author_id": None, "title": "Gamma", "views": 4, "data": [1, 2], "tags": ["x"]},
]  # fmt: skip
COMMENTS = [
    {"id": 1, "post_id": 1, "author_id": 2, "body": "one", "published": True, "weight": 0.1 + 0.2, "price": "1.50"},
    {"id": 2, "post_id": 1, "author_id": 3, "body": "two", "published": False, "weight": None, "price": "12345678.9"},
    {"id": 3, "post_id": 1, "author_id": None, "body": None, "published": True, "weight": -1.0, "price": None},
    {"id": 4, "post_id": 2, "author_id": 1, "body": "four", "published": True, "weight": 3.0, "price": "2"},
]


@asynccontextmanager
async def shop(blog: Any) -> AsyncIterator[Any]:
    """The tables, filled."""
    async with blog(*TABLES) as db:
        await db.from_("users").insert(USERS)
        await db.from_("profiles").insert({"user_id": 1, "bio": "first"})
        await db.from_("posts").insert(POSTS)
        await db.from_("comments").insert(COMMENTS)
        await db.from_("labels").insert([{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}])
        await db.from_("posts_labels").insert(
            [{"post_id": 1, "label_id": 1}, {"post_id": 1, "label_id": 2}, {"post_id": 2, "label_id": 2}]
        )
        await db.from_("shops").insert([{"country": "de", "number": 1, "name": "Eins"}])
        await db.from_("orders").insert([{"id": 1, "country": "de", "number": 1}, {"id": 2, "country": "de"}])
        yield db
