"""Casts: the value that PostgreSQL would give, on every engine."""

from __future__ import annotations

from decimal import Decimal

import pytest

from turnout.errors import DbError

TABLE = """create table t (
    id integer primary key, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, n numeric, n2 numeric(6,2),
    b boolean, tx text, u uuid, d date, tm time, ts timestamp, tz timestamptz, js jsonb, by bytea, ta text[])"""
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
GOOD = [
    ("i4", 5, "text", "5"),
    ("i8", -(2**63), "text", str(-(2**63))),
    ("i4", 5, "int8", 5),
    ("i8", 5, "smallint", 5),
    ("i4", 5, "numeric", Decimal(5)),
    ("i4", 5, "double precision", 5.0),
    ("i4", 0, "boolean", False),
    ("i4", 7, "boolean", True),
    ("f8", 1.0, "text", "1"),
    ("f8", 0.1 + 0.2, "text", "0.30000000000000004"),
    ("f8", 1e14, "text", "100000000000000"),
    ("f8", 1e15, "text", "1e+15"),
    ("f8", 123456789012345680.0, "text", "1.2345678901234568e+17"),
    ("f8", 0.0001, "text", "0.0001"),
    ("f8", -0.00001234, "text", "-1.234e-05"),
    ("f8", 1e300, "text", "1e+300"),
    ("f8", 0.0, "text", "0"),
    ("f4", 1.5, "text", "1.5"),
    ("f4", 1e6, "text", "1e+06"),
    ("f4", 123456.0, "text", "123456"),
    ("f4", 0.1, "numeric", Decimal("0.1")),
    ("f8", 0.5, "int", 0),
    ("f8", 1.5, "int", 2),
    ("f8", 2.5, "int", 2),
    ("f8", -2.5, "int", -2),
    ("f8", 0.1, "numeric", Decimal("0.1")),
    ("f8", 1 / 3, "numeric", Decimal("0.333333333333333")),
    ("f8", 1 / 3, "real", 0.33333334),
    ("f4", 0.1, "float8", 0.10000000149011612),
    ("n", "0.5", "int", 1),
    ("n", "2.5", "int", 3),
    ("n", "-2.5", "int", -3),
    ("n2", "1.5", "text", "1.50"),
    ("n2", "1.5", "float8", 1.5),
    ("n2", "5", "text", "5.00"),
    ("b", True, "text", "true"),
    ("b", False, "int", 0),
    ("tx", " 12 ", "int", 12),
    ("tx", "1.5", "numeric", Decimal("1.5")),
    ("tx", "1e3", "float8", 1000.0),
    ("tx", "yes", "boolean", True),
    ("tx", "2026-01-02", "date", "2026-01-02"),
    ("tx", "2026-01-02 03:04:05+02", "timestamptz", "2026-01-02T01:04:05+00:00"),
    ("tx", UUID.upper(), "uuid", UUID),
    ("tx", '{"b": 1, "a": [1.50]}', "jsonb", {"a": [1.5], "b": 1}),
    ("u", UUID, "text", UUID),
    ("d", "2026-01-02", "text", "2026-01-02"),
    ("d", "2026-01-02", "timestamp", "2026-01-02T00:00:00"),
    ("d", "2026-01-02", "timestamptz", "2026-01-02T00:00:00+00:00"),
    ("tm", "03:04", "text", "03:04:00"),
    ("ts", "2026-01-02 03:04:05.60", "text", "2026-01-02 03:04:05.6"),
    ("ts", "2026-01-02 03:04:05", "date", "2026-01-02"),
    ("ts", "2026-01-02 03:04:05", "timestamptz", "2026-01-02T03:04:05+00:00"),
    ("tz", "2026-01-02 03:04:05.6Z", "text", "2026-01-02 03:04:05.6+00"),
    ("tz", "2026-01-02 03:04:05Z", "date", "2026-01-02"),
    ("tz", "2026-01-02 03:04:05Z", "time", "03:04:05"),
    ("tz", "2026-01-02 03:04:05Z", "timestamp", "2026-01-02T03:04:05"),
    ("js", {"bb": 1, "a": [1, "x\n", None, True]}, "text", '{"a": [1, "x\\n", null, true], "bb": 1}'),
    ("js", "word", "text", '"word"'),
    ("js", 7, "int", 7),
    ("js", 2.5, "int", 3),
    ("js", 1.5, "numeric", Decimal("1.5")),
    ("js", True, "boolean", True),
    ("by", b"\x00\xff", "text", "\\x00ff"),
    ("i4", None, "text", None),
    ("i4", 5, "int4", 5),
]
BAD = [
    ("tx", "abc", "int", "22P02"),
    ("tx", "5000000000", "int", "22003"),
    ("tx", "maybe", "boolean", "22P02"),
    ("tx", "x", "uuid", "22P02"),
    ("tx", "2026-02-30", "date", "22008"),
    ("tx", "{", "jsonb", "22P02"),
    ("i8", 2**40, "int", "22003"),
    ("i4", 70000, "smallint", "22003"),
    ("f8", 1e300, "real", "22003"),
    ("f8", 1e300, "bigint", "22003"),
    ("n", "3000000000", "int", "22003"),
    ("js", "7", "int", "22023"),
    ("js", {}, "boolean", "22023"),
    ("b", True, "bigint", "42846"),
    ("b", True, "date", "42846"),
    ("d", "2026-01-02", "int", "42846"),
    ("u", UUID, "int", "42846"),
    ("i4", 1, "nope", "42704"),
    ("i4", 1, "text; drop table t", "PGRST100"),
    ("i4", 1, "regclass", "42704"),
]


@pytest.mark.parametrize(("column", "value", "type_", "expected"), GOOD, ids=range(len(GOOD)))
async def test_a_cast_gives_what_postgresql_gives(blog, column, value, type_, expected):
    async with blog(TABLE) as db:
        await db.from_("t").insert({"id": 1, column: value})
        row = await db.from_("t").select(f"{column}::{type_}").single()
        assert row == {column: expected}
        assert type(row[column]) is type(expected)


@pytest.mark.parametrize(("column", "value", "type_", "code"), BAD, ids=range(len(BAD)))
async def test_a_cast_that_cannot_be_is_refused_by_code(blog, column, value, type_, code):
    async with blog(TABLE) as db:
        await db.from_("t").insert({"id": 1, column: value})
        with pytest.raises(DbError) as caught:
            await db.from_("t").select(f"{column}::{type_}")
        assert (caught.value.code, caught.value.status) == (code, 400)
        assert len(await db.from_("t").select("id")) == 1  # the connection is none the worse


async def test_sqlite_refuses_a_cast_it_cannot_do(blog):
    if blog.engine != "sqlite":
        pytest.skip("PostgreSQL can")
    async with blog(TABLE) as db:
        for cast in ("ta::text", "js::json", "ta::jsonb", "n::text", "n.sum()::text", "f8::numeric.avg()::text"):
            with pytest.raises(DbError) as caught:
                await db.from_("t").select(cast)
            assert caught.value.code == "PGRST127"
