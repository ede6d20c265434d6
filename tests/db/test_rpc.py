"""Stored functions and query plans: PostgreSQL's own, refused by name on SQLite."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.db.shop import shop
from turnout.db import Database
from turnout.errors import DbError

FUNCTIONS = (
    "create function add(a integer, b integer default 1) returns integer language sql immutable as 'select a + b'",
    "create function price() returns numeric language sql stable as 'select 1.50'",
    "create function words() returns setof text language sql stable as $$ values ('x'), ('y') $$",
    "create function nothing() returns void language sql as 'select 1'",
    "create function found(bottom integer) returns setof posts language sql stable as"
    " 'select * from posts where views >= bottom'",
    "create function first_post() returns posts language sql stable as 'select * from posts order by id limit 1'",
    "create function pairs() returns table (n integer, t text, j jsonb) language sql stable as"
    " $$ values (1, 'a', jsonb_build_object('k', 1)), (2, 'b', null) $$",
    "create function out_two(a integer, out b integer, out c text) language sql stable as $$ select a, 'c' $$",
    "create function total(variadic n integer[]) returns bigint language sql immutable as"
    " 'select sum(x) from unnest(n) x'",
    "create function rename(who integer, new text) returns void language sql as"
    " 'update users set name = new where id = who'",
    "create function twice(a integer) returns integer language sql immutable as 'select 1'",
    "create function twice(a text) returns integer language sql immutable as 'select 2'",
    "create function shout(doc jsonb) returns jsonb language sql immutable as 'select doc -> ''a'''",
)
CASES = {
    "a value": (lambda db: db.rpc("add", {"a": 1, "b": 2}), 3),
    "a default": (lambda db: db.rpc("add", {"a": "1"}), 2),
    "a numeric": (lambda db: db.rpc("price"), Decimal("1.50")),
    "values": (lambda db: db.rpc("words"), ["x", "y"]),
    "nothing": (lambda db: db.rpc("nothing"), None),
    "rows of a table": (
        lambda db: db.rpc("found", {"bottom": 4}).select("id").order("id", desc=True), [{"id": 3}, {"id": 2}]),
    "filtered, with relations": (
        lambda db: db.rpc("found", {"bottom": 3}).select("id, comments(id)").eq("id", 2),
        [{"id": 2, "comments": [{"id": 4}]}]),
    "limited": (lambda db: db.rpc("found", {"bottom": 3}).select("id").order("id").range(1, 1), [{"id": 2}]),
    "single": (lambda db: db.rpc("found", {"bottom": 3}).select("id").eq("id", 2).single(), {"id": 2}),
    "one row": (lambda db: db.rpc("first_post").select("id, title"), {"id": 1, "title": "Alpha"}),
    "rows of its own": (
        lambda db: db.rpc("pairs").order("n"), [{"n": 1, "t": "a", "j": {"k": 1}}, {"n": 2, "t": "b", "j": None}]),
    "some columns of its own": (lambda db: db.rpc("pairs").select("t").gt("n", 1), [{"t": "b"}]),
    "a row of its own": (lambda db: db.rpc("out_two", {"a": 5}), {"b": 5, "c": "c"}),
    "many arguments": (lambda db: db.rpc("total", {"n": [1, 2, 3]}), 6),
    "NULL": (lambda db: db.rpc("add", {"a": None, "b": 1}), None),
    "json": (lambda db: db.rpc("shout", {"doc": {"a": ["b"]}}), ["b"]),
}  # fmt: skip
REFUSED = {
    "no such function": ("PGRST202", lambda db: db.rpc("nope")),
    "no such argument": ("PGRST202", lambda db: db.rpc("add", {"a": 1, "c": 2})),
    "an argument missing": ("PGRST202", lambda db: db.rpc("add", {"b": 2})),
    "two that fit": ("PGRST203", lambda db: db.rpc("twice", {"a": 1})),
    "a bad value": ("22P02", lambda db: db.rpc("add", {"a": "x"})),
    "an unknown column": ("42703", lambda db: db.rpc("pairs").eq("nope", 1)),
    "hostile": ("PGRST202", lambda db: db.rpc('add"(1,2); drop table users; --', {'a"': 1})),
    "a count of values": ("PGRST127", lambda db: db.rpc("words", count="exact")),
    "all rows of it": ("PGRST100", lambda db: db.rpc("words").all_rows()),
}


async def made(db: Database) -> None:
    for statement in FUNCTIONS:
        await db.sql(statement)  # type: ignore[call-overload]


@pytest.mark.parametrize("case", CASES | REFUSED)
async def test_a_function_is_called_with_arguments_by_name(blog, case):
    async with shop(blog) as db:
        if blog.engine == "postgres":
            await made(db)
        ask, expected = CASES.get(case, (None, None))
        if ask is not None and blog.engine == "postgres":
            assert await ask(db) == expected
            return
        code, ask = REFUSED.get(case, ("PGRST202", ask))
        with pytest.raises(DbError) as caught:
            await ask(db)
        assert caught.value.code in (code, "PGRST202" if blog.engine == "sqlite" else code)


async def test_a_function_may_write_and_is_counted_where_it_only_reads(blog):
    if blog.engine != "postgres":
        pytest.skip("SQLite has no functions")
    async with shop(blog) as db:
        await made(db)
        await db.rpc("rename", {"who": 1, "new": "Eve"})
        assert (await db.from_("users").select("name").eq("id", 1).single()) == {"name": "Eve"}
        async with db.transaction() as tx:
            await tx.rpc("rename", {"who": 2, "new": "x"})
            assert await tx.rpc("add", {"a": 1}) == 2
        page = await db.rpc("found", {"bottom": 3}, count="exact").select("id").limit(1).order("id")
        assert (page, page.count) == ([{"id": 1}], 3)
        assert (await db.rpc("found", {"bottom": 4}, count="exact", head=True)).count == 2


async def test_a_query_is_explained_on_postgresql_only(blog):
    async with shop(blog) as db:
        query = db.from_("posts").select("id, comments(id)").eq("id", 1)
        if blog.engine == "sqlite":
            with pytest.raises(DbError) as caught:
                await query.explain()
            assert caught.value.code == "PGRST127"
            return
        lines = [row["QUERY PLAN"] for row in await query.explain(analyze=True)]
        assert any("posts" in line and "actual" in line for line in lines)
        assert "Plan" in str(await query.explain(format="json", verbose=True))
    with pytest.raises(DbError):
        query.explain(format="xml); drop table users; --")


async def test_there_is_one_schema(blog):
    async with shop(blog) as db:
        assert await db.schema("public").from_("labels").select("id").eq("id", 1) == [{"id": 1}]
        with pytest.raises(DbError) as caught:
            db.schema("pg_catalog")
        assert caught.value.code == "PGRST106"


async def test_aggregates_can_be_switched_off_but_for_a_plain_count(blog):
    async with shop(blog) as filled:
        if blog.engine == "sqlite" and filled.path is None:
            filled.engine.aggregates = False
            db = filled
        else:
            db = Database(blog.place, aggregates=False)
        try:
            for select in ("views.sum()", "count()", "id, comments(count())", "id, comments(id.max())"):
                with pytest.raises(DbError) as caught:
                    await db.from_("posts").select(select)
                assert (caught.value.code, caught.value.status) == ("PGRST123", 400)
            assert await db.from_("posts").select("comments(count)").eq("id", 1) == [{"comments": [{"count": 3}]}]
        finally:
            await db.close()
