"""Types: what SQLite would store or compare otherwise than PostgreSQL, and does not get the chance to."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import uuid
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.errors import DbError

TABLE = """create table t (
    id integer primary key, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, n numeric, n2 numeric(6,2),
    b boolean, tx text, vc varchar(3), u uuid, d date, tm time, ts timestamp, tz timestamptz, js jsonb, by bytea,
    ta text[], ia int[])"""


class Color(enum.Enum):
    RED = "red"


UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
GOOD = [
    ("i2", 32767, 32767),
    ("i2", " -5 ", -5),
    ("i4", "+7", 7),
    ("i8", 2**63 - 1, 2**63 - 1),
    ("i8", str(-(2**63)), -(2**63)),
    ("f4", 0.1, 0.1),
    ("f4", 1.23456789012, 1.2345679),
    ("f8", 0.1 + 0.2, 0.30000000000000004),
    ("f8", 3, 3.0),
    ("f8", "1e3", 1000.0),
    ("n", "123456789012345", Decimal(123456789012345)),
    ("n", Decimal("0.000001"), Decimal("0.000001")),
    ("n", 0, Decimal(0)),
    ("n", 1.5, Decimal("1.5")),
    ("n2", "12.345", Decimal("12.35")),
    ("n2", "-12.345", Decimal("-12.35")),
    ("n2", 5, Decimal("5.00")),
    ("n2", "9999.99", Decimal("9999.99")),
    ("b", True, True),
    ("b", "False", False),
    ("b", "T", True),
    ("b", "off", False),
    ("b", 1, True),
    ("tx", "ünïcode 🎈", "ünïcode 🎈"),
    ("tx", 5, "5"),
    ("tx", True, "true"),
    ("tx", "007", "007"),
    ("tx", Color.RED, "red"),
    ("vc", "abc", "abc"),
    ("vc", "abc  ", "abc"),
    ("vc", "é" * 3, "é" * 3),
    ("u", uuid.UUID(UUID), UUID),
    ("u", UUID.upper(), UUID),
    ("u", "{" + UUID.replace("-", "") + "}", UUID),
    ("d", dt.date(2026, 1, 2), "2026-01-02"),
    ("d", "2026-1-2", "2026-01-02"),
    ("tm", dt.time(3, 4, 5, 600000), "03:04:05.6"),
    ("tm", "3:04", "03:04:00"),
    ("ts", dt.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
    ("ts", "2026-01-02 03:04:05.120", "2026-01-02T03:04:05.12"),
    ("tz", dt.datetime(2026, 1, 2, 3, 4, 5, 600000, dt.UTC), "2026-01-02T03:04:05.6+00:00"),
    ("tz", dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.timezone(dt.timedelta(hours=2))), "2026-01-02T01:04:00+00:00"),
    ("tz", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"),
    ("tz", "2026-01-02 03:04+05:30", "2026-01-01T21:34:00+00:00"),
    ("tz", "2026-01-02", "2026-01-02T00:00:00+00:00"),
    ("tz", dt.date(2026, 1, 2), "2026-01-02T00:00:00+00:00"),
    ("tz", "2026-01-02T03:04:05.1234567Z", "2026-01-02T03:04:05.123457+00:00"),
    ("js", {"bb": 1, "a": [True, None, 0.5]}, {"bb": 1, "a": [True, None, 0.5]}),
    ("js", "text", "text"),
    ("js", 5, 5),
    ("js", True, True),
    ("js", "123", "123"),
    ("js", [], []),
    ("js", {"d": Decimal("1.50")}, {"d": 1.5}),
    ("by", b"\x00\xff", "\\x00ff"),
    ("by", "\\x0aFF", "\\x0aff"),
    ("ta", ["a", "b,{c}", None], ["a", "b,{c}", None]),
    ("ta", [], []),
    ("ia", ["1", 2], [1, 2]),
]
BAD = [
    ("i2", 32768, "22003"),
    ("i4", 2**31, "22003"),
    ("i8", 2**63, "22003"),
    ("i4", "1.0", "22P02"),
    ("i4", "", "22P02"),
    ("i4", "٣", "22P02"),
    ("i4", True, "22P02"),
    ("i4", 1.0, "22P02"),
    ("i4", [1], "22P02"),
    ("i4", "9" * 50, "22003"),
    ("f8", float("nan"), "22003"),
    ("f8", float("inf"), "22003"),
    ("f8", "1e999", "22003"),
    ("f8", "x", "22P02"),
    ("f4", 1e300, "22003"),
    ("f8", 10**400, "22003"),
    ("n", Decimal("Infinity"), "22003"),
    ("n", 10**5000, "22003"),
    ("n2", "10000", "22003"),
    ("n2", "9999.999", "22003"),
    ("b", "maybe", "22P02"),
    ("b", 2, "22P02"),
    ("b", 0.0, "22P02"),
    ("tx", "a\0b", "22021"),
    ("tx", "\ud800", "22021"),
    ("tx", ["x"], "22P02"),
    ("tx", {"x": 1}, "22P02"),
    ("vc", "abcd", "22001"),
    ("u", "not-a-uuid", "22P02"),
    ("u", 5, "22P02"),
    ("d", "2026-02-30", "22008"),
    ("d", dt.datetime(2026, 1, 1), "22007"),
    ("tm", "25:00", "22008"),
    ("tm", "x", "22007"),
    ("ts", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "22007"),
    ("tz", dt.datetime(2026, 1, 1), "22007"),
    ("tz", "2026-13-01", "22008"),
    ("tz", 5, "22007"),
    ("js", float("nan"), "22P02"),
    ("js", "a\0", "22021"),
    ("js", {"a": b"x"}, "22P02"),
    ("js", {"a\0": 1}, "22021"),
    ("js", object(), "22P02"),
    ("by", "text", "22P02"),
    ("by", "\\xzz", "22P02"),
    ("ta", "{a}", "22P02"),
    ("ia", ["x"], "22P02"),
]


# Values that PostgreSQL takes and SQLite does not, or not so: what SQLite answers, which is an error.
SQLITE_ONLY = [
    ("n", "1234567890123456", "22003"),
    ("n", "0.1234567890123456", "22003"),
    ("n", "NaN", "22P02"),
    ("n", "1e9999", "22003"),
    ("d", "yesterday", "22007"),
    ("ts", "2026-01-01 00:00Z", "22007"),
    ("tz", "0001-01-01T00:00+05", "22008"),
    ("tz", "99999-01-01", "22007"),
    ("tz", "2026-01-01 00:00+99", "22008"),
    ("js", 1234567890123456, "22003"),
]


@pytest.mark.parametrize(("column", "value", "expected"), GOOD, ids=range(len(GOOD)))
async def test_a_value_is_read_back_as_its_json_type(tables, column, value, expected):
    async with tables(TABLE) as db:
        row = await db.from_("t").insert({column: value}).select().single()
        assert row[column] == expected
        assert type(row[column]) is type(expected)
        assert await db.from_("t").select(column).single() == {column: expected}
        if column not in ("js", "ta", "ia"):
            same = value if column not in ("n2", "vc", "f4") else expected
            assert len(await db.from_("t").select().eq(column, same)) == 1
            assert len(await db.from_("t").select().eq(column, expected)) == 1
        if column not in ("js", "ta", "ia", "by"):
            assert len(await db.from_("t").select().in_(column, [expected])) == 1


@pytest.mark.parametrize(("column", "value", "code"), BAD, ids=range(len(BAD)))
async def test_a_value_that_does_not_fit_is_refused_with_its_code(tables, column, value, code):
    async with tables(TABLE) as db:
        await db.from_("t").insert({})
        for ask in (db.from_("t").insert({column: value}), db.from_("t").update({column: value}).all_rows()):
            with pytest.raises(DbError) as caught:
                await ask
            assert (caught.value.code, caught.value.status) == (code, 400)
        assert await db.from_("t").select(column) == [{column: None}]


@pytest.mark.parametrize(("column", "value", "code"), SQLITE_ONLY, ids=range(len(SQLITE_ONLY)))
async def test_a_value_that_sqlite_cannot_keep_exactly_is_refused(sqlite_blog, column, value, code):
    async with sqlite_blog(TABLE) as db:
        with pytest.raises(DbError) as caught:
            await db.from_("t").insert({column: value})
        assert (caught.value.code, caught.value.status) == (code, 400)


POSTGRES_ONLY = [
    ("n", "1234567890123456.000001", Decimal("1234567890123456.000001")),
    ("n", "NaN", "NaN"),
    ("f8", "infinity", "Infinity"),
    ("tz", "99999-01-01", "99999-01-01T00:00:00+00:00"),
    ("tz", "infinity", "infinity"),
    ("js", 2**63, 2**63),
    ("ia", [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
]


@pytest.mark.parametrize(("column", "value", "expected"), POSTGRES_ONLY, ids=range(len(POSTGRES_ONLY)))
async def test_postgresql_keeps_more(pg_blog, column, value, expected):
    async with pg_blog(TABLE) as db:
        assert await db.from_("t").insert({column: value}).select(column).single() == {column: expected}
        await db.from_("t").insert([{column: value}, {column: value}])
        assert await db.from_("t").select(column) == [{column: expected}] * 3


async def test_several_rows_at_once_are_stored_as_each_alone(tables):
    names = {column for column, _, _ in GOOD}
    async with tables(TABLE) as db:
        for name in sorted(names):
            values = [(value, expected) for column, value, expected in GOOD if column == name]
            await db.from_("t").insert([{name: value} for value, _ in values])
            rows = await db.from_("t").select(name).order("id")
            assert rows == [{name: expected} for _, expected in values]
            await db.from_("t").delete().all_rows()


async def test_nulls_stay_null_in_every_type(tables):
    async with tables(TABLE) as db:
        row = await db.from_("t").insert({"i4": None, "tz": None, "js": None, "b": None}).select().single()
        assert {name: value for name, value in row.items() if value is not None} == {"id": 1}


async def test_an_update_takes_the_same_care_as_an_insert(tables):
    async with tables(TABLE) as db:
        await db.from_("t").insert({"id": 1})
        row = (
            await db.from_("t")
            .update({"b": "yes", "n2": "1.005", "js": {"z": 1}})
            .eq("id", 1)
            .select("b,n2,js")
            .single()
        )
        assert row == {"b": True, "n2": Decimal("1.01"), "js": {"z": 1}}


async def test_moments_sort_in_time_whatever_form_they_came_in(tables):
    async with tables(TABLE) as db:
        for number, text in enumerate(
            [
                "2026-01-01T00:00:00.5Z",
                "2026-01-01 00:00:00",
                "2026-01-01T01:30+02:00",
                dt.datetime(2026, 1, 1, 0, 0, 1, tzinfo=dt.UTC),
            ]
        ):
            await db.from_("t").insert({"id": number, "tz": text})
        assert [row["id"] for row in await db.from_("t").select("id").order("tz")] == [2, 1, 0, 3]
        assert [
            row["id"] for row in await db.from_("t").select("id").gt("tz", "2025-12-31T19:00:00-05:00").order("id")
        ] == [0, 3]


async def test_defaults_of_both_dialects_work(tables):
    async with tables(TABLE) as db:
        await db.sql("create table s (id uuid primary key default (gen_random_uuid()), at timestamptz default (now()))")
        row = await db.from_("s").insert({}).select().single()
        assert uuid.UUID(row["id"]).version == 4
        assert dt.datetime.fromisoformat(row["at"]).tzinfo == dt.UTC


async def test_jsonb_keeps_postgres_key_order(tables):
    async with tables(TABLE) as db:
        row = await db.from_("t").insert({"js": {"bb": 1, "a": {"zz": 1, "c": 2}}}).select("js").single()
        assert list(row["js"]) == ["a", "bb"]
        assert list(row["js"]["a"]) == ["c", "zz"]


async def test_the_rowid_takes_64_bits_though_integer_says_32(sqlite_blog):
    async with sqlite_blog(TABLE) as db:
        await db.from_("t").insert({"id": 2**40})
        assert await db.from_("t").select("id").eq("id", 2**40).single() == {"id": 2**40}


VALUES = st.fixed_dictionaries(
    {
        "i8": st.integers(-(2**63), 2**63 - 1),
        "f8": st.floats(allow_nan=False, allow_infinity=False),
        "n": st.decimals(-(10**9), 10**9, places=5, allow_nan=False),
        "tx": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        "tz": st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1), timezones=st.just(dt.UTC)),
        "by": st.binary(),
        "ta": st.lists(
            st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
        ),
    }
)


def test_every_value_written_is_read_back_and_found(tables):
    async def check(db, row):
        await db.from_("t").delete().all_rows()
        await db.from_("t").insert(row)
        await db.from_("t").insert([row, row])
        same = {name: value for name, value in row.items() if name != "ta"}
        for found in await db.from_("t").select(",".join(row)).match(same):
            assert found["i8"] == row["i8"]
            assert found["f8"] == row["f8"]
            assert found["n"] == row["n"]
            assert found["tx"] == row["tx"]
            assert found["ta"] == row["ta"]
            assert dt.datetime.fromisoformat(found["tz"]) == row["tz"]
            assert bytes.fromhex(found["by"][2:]) == row["by"]
        assert (await db.from_("t").select(count="exact", head=True).match(same)).count == 3

    with asyncio.Runner() as runner:
        opening = tables(TABLE)
        db = runner.run(opening.__aenter__())

        @settings(deadline=None, max_examples=60)
        @given(VALUES)
        def every(row):
            runner.run(check(db, row))

        try:
            every()
        finally:
            runner.run(opening.__aexit__(None, None, None))
