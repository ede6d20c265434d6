"""Aggregates: exact sums and averages, groups, and who may ask for them."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.db.shop import shop
from turnout.db import Database
from turnout.errors import DbError

D = Decimal
CASES = {
    "rows": (lambda q: q.select("count()"), [{"count": 3}]),
    "rows, with a filter and a name": (lambda q: q.select("n:count()").gt("id", 1), [{"n": 2}]),
    "rows, the old way": (lambda q: q.select("count"), [{"count": 3}]),
    "values": (lambda q: q.select("author_id.count()"), [{"count": 2}]),
    "a sum of integers": (lambda q: q.select("views.sum()"), [{"sum": 11}]),
    "a sum past 64 bits": (lambda q: q.select("big.sum()"), [{"sum": D(2**63)}]),
    "a sum of numerics": (lambda q: q.select("price.sum()"), [{"sum": D("10.15")}]),
    "a sum of floats": (lambda q: q.select("ratio.sum()"), [{"sum": 0.1 + 0.2}]),
    "a sum of reals": (lambda q: q.select("small.sum()"), [{"sum": 2.6}]),
    "averages": (
        lambda q: q.select("v:views.avg(), p:price.avg(), r:ratio.avg(), s:small.avg()"),
        [{"v": D("3.6666666666666667"), "p": D("5.0750000000000000"), "r": (0.1 + 0.2) / 2, "s": 1.3000000007450581}],
    ),
    "the least and greatest": (
        lambda q: q.select("a:views.min(), b:price.max(), c:title.max(), d:created_at.min(), e:day.max()"),
        [{"a": 3, "b": D("10.10"), "c": "Gamma", "d": "2026-01-02T03:04:05.6+00:00", "e": "2026-01-02"}],
    ),
    "of no rows": (
        lambda q: q.select("n:count(), s:price.sum(), a:views.avg(), m:id.max(), f:ratio.sum()").eq("id", 99),
        [{"n": 0, "s": None, "a": None, "m": None, "f": None}],
    ),
    "groups": (
        lambda q: q.select("views, n:count(), price.sum()").order("views"),
        [{"views": 3, "n": 1, "sum": D("10.10")}, {"views": 4, "n": 2, "sum": D("0.05")}],
    ),
    "groups without rows": (lambda q: q.select("views, count()").eq("id", 99), []),
    "groups of a cast": (
        lambda q: q.select("on:created_at::date, count()").not_("created_at", "is", None).is_("published", True),
        [{"on": "2026-01-02", "count": 1}],
    ),
    "groups of a path": (
        lambda q: q.select("data->a->>b, count()").not_("data->a", "is", None).order("data->a->>b"),
        [{"b": "5", "count": 1}, {"b": "text", "count": 1}],
    ),
    "a limit on groups": (
        lambda q: q.select("views, count()").order("views", desc=True).limit(1), [{"views": 4, "count": 2}],
    ),
    "a cast before": (lambda q: q.select("data->a->>n::numeric.sum()"), [{"sum": D("11.5")}]),
    "a cast after": (
        lambda q: q.select("a:price.sum()::text, b:views.avg()::int, c:count()::text, d:big.sum()::float8"),
        [{"a": "10.15", "b": 4, "c": "3", "d": 2.0**63}],
    ),
    "single": (lambda q: q.select("views.max()").single(), {"max": 4}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_an_aggregate_is_exact(blog, case):
    ask, expected = CASES[case]
    async with shop(blog) as db:
        answer = await ask(db.from_("posts"))
        assert answer == expected
        rows, wanted = ([answer], [expected]) if isinstance(answer, dict) else (answer, expected)
        assert [list(map(type, row.values())) for row in rows] == [list(map(type, row.values())) for row in wanted]


REFUSED = {
    "a sum of text": ("42883", lambda q: q.select("title.sum()")),
    "an average of booleans": ("42883", lambda q: q.select("published.avg()")),
    "the greatest boolean": ("42883", lambda q: q.select("published.max()")),
    "the greatest jsonb": ("42883", lambda q: q.select("data.max()")),
    "a sum of everything": ("42703", lambda q: q.select('"*".sum()')),
    "two of one name": ("42701", lambda q: q.select("views.sum(), price.sum()")),
    "an order by what is no group": ("42803", lambda q: q.select("views, count()").order("id")),
    "a count of groups": ("PGRST127", lambda q: q.select("views, count()", count="exact")),
    "in what a write gives back": ("PGRST127", lambda q: q.update({"views": 1}).eq("id", 1).select("views.sum()")),
    "a sum out of range": ("22003", lambda q: q.select("big.sum()::bigint")),
    "no parentheses": ("PGRST100", lambda q: q.select("views.sum")),
    "an argument": ("PGRST100", lambda q: q.select("count(id)")),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_an_aggregate_that_makes_no_sense_is_refused(blog, case):
    code, ask = REFUSED[case]
    async with shop(blog) as db:
        with pytest.raises(DbError) as caught:
            await ask(db.from_("posts"))
        assert caught.value.code == code


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.decimals(-(10**8), 10**8, places=3), min_size=1, max_size=12))
def test_sums_and_averages_of_decimals_lose_nothing(numbers):
    async def check() -> None:
        db = Database(":memory:")
        try:
            await db.sql("create table t (n numeric)")
            await db.from_("t").insert([{"n": number} for number in numbers])
            row = await db.from_("t").select("n.sum(), n.avg(), n.min(), n.max()").single()
            assert row["sum"] == sum(numbers)
            assert abs(row["avg"] - sum(numbers) / len(numbers)) <= Decimal("0.00000001")
            assert (row["min"], row["max"]) == (min(numbers), max(numbers))
        finally:
            await db.close()

    asyncio.run(check())


async def test_a_sum_of_floats_that_overflows_is_an_error(blog):
    async with blog("create table t (id integer primary key, f double precision, r real)") as db:
        await db.from_("t").insert([{"f": 1e308, "r": 3e38}, {"f": 1e308, "r": 3e38}])
        for column in "fr":
            with pytest.raises(DbError) as caught:
                await db.from_("t").select(f"{column}.sum()")
            assert caught.value.code == "22003"


async def test_averages_have_the_digits_that_postgresql_gives(blog):
    async with blog("create table t (id integer primary key, g integer not null, n numeric(12,4), i bigint)") as db:
        groups = {
            1: [("1", 1), ("1", 1), ("2", 2)],
            2: [("0.0001", 1), ("0.0002", 9), ("0.0002", 10)],
            3: [("12345678.9012", 10**15), ("1", 7), ("2", 1)],
            4: [("-7.5", -1), ("0", 0), ("0.1", 0)],
            5: [("9999", 9999), ("9999.5", 1), ("10000", 10000)],
        }
        rows = [{"g": g, "n": n, "i": i} for g, pairs in groups.items() for n, i in pairs]
        await db.from_("t").insert(rows)
        found = await db.from_("t").select("g, a:n.avg()::text, b:i.avg()::text").order("g")
        assert [(row["a"], row["b"]) for row in found] == [
            ("1.3333333333333333", "1.3333333333333333"),
            ("0.00016666666666666667", "6.6666666666666667"),
            ("4115227.300400000000", "333333333333336.0000"),
            ("-2.4666666666666667", "-0.33333333333333333333"),
            ("9999.5000000000000000", "6666.6666666666666667"),
        ]
