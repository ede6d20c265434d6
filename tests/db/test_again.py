"""What a query reads is the same each time that it runs, whatever is stored."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.db import Database
from turnout.errors import DbError

TYPES = """create table t (
    id integer primary key, i2 smallint, i8 bigint, f8 double precision, n numeric, n2 numeric(6,2), b boolean,
    tx text, u uuid, d date, ts timestamp, tz timestamptz, js jsonb, bl bytea, ta text[], other whatever)"""
ROW = {
    "i2": 2, "i8": 2**62, "f8": 0.1 + 0.2, "n": "12.5", "n2": 3, "b": True, "tx": 'a "b"', "d": "2026-01-02",
    "u": "0f8fad5b-d9cb-469f-a165-70867728950e", "ts": "2026-01-02 03:04:05.6", "tz": "2026-01-02T03:04:05+02:00",
    "js": {"a": [1, None]}, "bl": "\\x00ff", "ta": ["x", None],
}  # fmt: skip
text = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
stored = st.none() | numbers | text | st.binary()


async def outcome(query):
    """The rows of *query* with their types, or what it raises."""
    try:
        return repr(await query)
    except DbError as exc:
        return exc.code, str(exc)


async def test_rows_of_every_type_and_of_none_are_the_same_each_time(sqlite_blog):
    async with sqlite_blog(TYPES) as db:
        sparse = [{name: value} for name, value in ROW.items()]
        for row in [ROW, {}, ROW | {"n": 12, "js": 1.5, "b": False}, *sparse]:
            await db.from_("t").insert(row)
        query = db.from_("t").select().order("id")
        first = await outcome(query)
        assert "Decimal('3.00')" in first
        assert [await outcome(query) for _ in range(3)] == [first] * 3


@settings(deadline=None, max_examples=50)
@given(rows=st.lists(st.tuples(*[stored] * 4), min_size=1, max_size=6))
def test_whatever_is_stored_is_read_or_refused_the_same_each_time(rows):
    async def both():
        db = Database(":memory:")
        await db.sql("create table t (n numeric, js jsonb, f double precision, other whatever)")
        for n, js, f, other in rows:
            await db.sql("insert into t values (:n, :js, :f, :other)", n=n, js=js, f=f, other=other)
        for columns in ("n", "js", "f", "other", "n, f, other"):
            query = db.from_("t").select(columns)
            first = await outcome(query)
            assert [await outcome(query) for _ in range(2)] == [first] * 2
        await db.close()

    asyncio.run(both())


async def test_a_value_that_does_not_fit_its_column_is_reported_by_name_each_time(sqlite_blog):
    async with sqlite_blog() as db:
        await db.from_("posts").insert([{"title": "a", "created_at": "2026-01-02"}] * 2)
        query = db.from_("posts").select("id, published, views, created_at").order("id")
        good = [await query for _ in range(3)]
        for column, wrong, right in (("published", 2, 0), ("views", "many", 0), ("created_at", "?", "2026-01-02")):
            await db.sql(f"update posts set {column} = :wrong where id = 2", wrong=wrong)
            for _ in range(2):
                with pytest.raises(DbError, match=rf"posts\.{column}") as caught:
                    await query
                assert caught.value.code == "XX001"
            await db.sql(f"update posts set {column} = :right where id = 2", right=right)
        assert await query == good[2] == good[0]


NAMES = ["a'b", 'a"b', "{n0}", "v0", "); import os #", "a\\", "a\nb", "\u2028", "naïve", "None"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_column_may_have_any_name_each_time(tmp_path, name):
    quoted = name.replace('"', '""')
    with closing(sqlite3.connect(tmp_path / "odd.db")) as connection:
        connection.execute(f'create table odd (id integer primary key, "{quoted}" boolean)')
        connection.execute("insert into odd values (1, 1)")
        connection.commit()
    db = Database(tmp_path / "odd.db")
    assert [await db.from_("odd").select() for _ in range(3)] == [[{"id": 1, name: True}]] * 3
    await db.close()


async def test_a_table_may_be_wide(sqlite_blog):
    async with sqlite_blog() as db:
        await db.sql(f"create table wide ({', '.join(f'c{n} boolean' for n in range(200))})")
        await db.sql("insert into wide (c0, c199) values (1, 0)")
        expected = {f"c{n}": None for n in range(200)} | {"c0": True, "c199": False}
        assert [await db.from_("wide").select() for _ in range(3)] == [[expected]] * 3


async def test_rows_are_dicts_of_their_own_each_time(sqlite_blog):
    async with sqlite_blog() as db:
        await db.from_("posts").insert({"title": "a"})
        query = db.from_("posts").select("title")
        for _ in range(3):
            rows = await query
            assert type(rows[0]) is dict
            rows[0]["title"] = "changed"
        assert await query == [{"title": "a"}]
