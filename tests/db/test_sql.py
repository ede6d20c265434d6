"""db.sql: one statement, bound values, rows of the right types."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from uuid import UUID

import pytest

from turnout.errors import DbError


async def test_values_are_bound_by_name(blog):
    async with blog() as db:
        await db.sql("insert into users (name, email) values (:name, :email)", name="O'Brien; --", email=None)

        rows = await db.sql(
            'select id, name as "who" from users where name = :name or id = :id', name="O'Brien; --", id=9
        )

        assert rows == [{"id": 1, "who": "O'Brien; --"}]


async def test_columns_are_decoded_by_their_declared_type(blog):
    async with blog() as db:
        await db.from_("posts").insert({"title": "x", "published": True, "price": "1.50", "meta": {"a": 1}})

        row = await db.sql("select published as p, price, meta, created_at, 1 + 1 as two from posts").single()

        assert (row["p"], row["price"], row["meta"], row["two"]) == (True, Decimal("1.50"), {"a": 1}, 2)
        assert dt.datetime.fromisoformat(row["created_at"]).tzinfo == dt.UTC


async def test_what_a_write_returns_is_decoded_too(blog):
    async with blog() as db:
        row = await db.sql("insert into posts (title, published) values ('x', '1') returning id, published").single()
        assert row == {"id": 1, "published": True}
        count = (await db.sql("update posts set views = 3")).count
        assert count == 1


async def test_a_with_that_writes_writes(blog):
    async with blog() as db:
        text = "with n(x) as (select 'Ada') insert into users (name) select x from n returning name"
        assert await db.sql(text) == [{"name": "Ada"}]
        async with db.transaction() as tx:
            assert await tx.sql(text) == [{"name": "Ada"}]
        assert await db.sql("with n(x) as (select count(*) from users) select x from n") == [{"x": 2}]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, 1),
        (Decimal("1.5"), 1.5),
        (Decimal(3), 3),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02 00:00:00"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": [1]}, '{"a":[1]}'),
        (b"\x01", "\\x01"),
        (None, None),
    ],
)
async def test_every_kind_of_value_can_be_bound(sqlite_blog, value, stored):
    async with sqlite_blog() as db:
        assert await db.sql("select :v as v", v=value) == [{"v": stored}]


@pytest.mark.parametrize(
    ("type_", "value", "answer"),
    [
        ("bool", True, True),
        ("int4", 3, 3),
        ("int8", "3", 3),
        ("numeric", Decimal("1.50"), Decimal("1.50")),
        ("float8", 0.1 + 0.2, 0.1 + 0.2),
        ("timestamptz", dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
        ("date", dt.date(2026, 1, 2), "2026-01-02"),
        ("interval", dt.timedelta(days=1, seconds=5), "1 day 00:00:05"),
        ("uuid", UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("jsonb", {"a": [1]}, {"a": [1]}),
        ("bytea", b"\x01", "\\x01"),
        ("int4[]", [1, None, 2], [1, None, 2]),
        ("text[]", ['a"b', "\\", "{c}", "null"], ['a"b', "\\", "{c}", "null"]),
        ("int4[]", [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ("text", 5, "5"),
        ("text", True, "true"),
        ("text", {"a": 1}, '{"a":1}'),
        ("text", b"\x01", "\\x01"),
        ("inet", "10.0.0.1", "10.0.0.1"),
        ("int4range", "[1,3)", "[1,3)"),
        ("point", "(1,2)", "(1,2)"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/8"),
        ("float8", "infinity", "Infinity"),
        ("timestamptz", "infinity", "infinity"),
        ("timestamptz", "0044-03-15 00:00:00+00 BC", "0044-03-15T00:00:00+00:00 BC"),
        ("timestamptz", "12026-01-02 03:04:05.5+00", "12026-01-02T03:04:05.5+00:00"),
        ("timestamp", "2026-01-02 03:04", "2026-01-02T03:04:00"),
        ("numeric", "NaN", "NaN"),
        ("bool", None, None),
    ],
)
async def test_a_value_takes_the_type_of_its_place_on_postgresql(pg_blog, type_, value, answer):
    out = "::text" if type_ in ("int4range",) else ""
    async with pg_blog() as db:
        row = await db.sql(f"select (:v::{type_}){out} as v", v=value).single()
        assert row == {"v": answer}
        assert type(row["v"]) is type(answer)


async def test_a_value_without_a_place_is_text_on_postgresql(pg_blog):
    async with pg_blog() as db:
        assert await db.sql("select :v as v", v=5) == [{"v": "5"}]
        assert await db.sql("select id from users where id = any(:ids)", ids=[1, 2]) == []
        assert await db.sql("select :n + 1 as n, :n * 2 as twice", n="20") == [{"n": 21, "twice": 40}]
        with pytest.raises(DbError) as caught:
            await db.sql("select id from users where id = :id", id="abc")
        assert (caught.value.code, caught.value.status) == ("22P02", 400)


POSTGRES_TEXT = {
    "select $$ ; :no ' $$ as a, $x$ $$ :no $x$ as b": {"a": " ; :no ' ", "b": " $$ :no "},
    r"select e'it\'s :no' as a, 'back\' as b": {"a": "it's :no", "b": "back\\"},
    "select /* outer /* inner ; */ :no ' */ 1 as a": {"a": 1},
    'select 1 as "a:b;c", 2 as a$b': {"a:b;c": 1, "a$b": 2},
    "select '5'::int as a, (array[1,2,3])[2:3] as b": {"a": 5, "b": [2, 3]},
    "(select 1 as a)": {"a": 1},
    "values (1, 'x')": {"column1": 1, "column2": "x"},
    "select '[1]'::jsonb ? 'a' as a": {"a": False},
}


@pytest.mark.parametrize("text", POSTGRES_TEXT)
async def test_postgresqls_own_quotes_and_comments_are_understood(pg_blog, text):
    async with pg_blog() as db:
        assert await db.sql(text) == [POSTGRES_TEXT[text]]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("select 1; select 2", "42601"),
        ("select 1 /* ; */; drop table users", "42601"),
        ("select $$;$$; select 1", "42601"),
        ("select '\\'; drop table users; --'", "42601"),
        ("select /* no end", "42601"),
        ("select 'no end", "42601"),
        ('select "no end', "42601"),
        ("select $1", "42601"),
        ("set role postgres", "42601"),
        ("copy users to stdout", "42601"),
        ("listen x", "42601"),
        ("begin", "42601"),
        ("commit", "42601"),
        ("prepare x as select 1", "42601"),
        ("vacuum", "42601"),
        ("discard all", "42601"),
        ("select 1 as a, 2 as a", "42701"),
        ("select nope", "42703"),
        ("select * from nope", "42P01"),
        ("select row(1, now())", "PGRST127"),
        ("select array[row(1, now())]", "PGRST127"),
        ("select '[1,2)'::int4range", "PGRST127"),
        ("select users from users", "PGRST127"),
    ],
)
async def test_what_is_not_one_plain_statement_of_postgresql_is_refused(pg_blog, text, code):
    async with pg_blog() as db:
        with pytest.raises(DbError) as caught:
            await db.sql(text)
        assert caught.value.code == code
        assert await db.sql("select count(*) as n from users") == [{"n": 0}]


async def test_what_a_statement_leaves_on_its_connection_is_gone_for_the_next(pg_blog):
    async with pg_blog() as db:
        await db.sql("select set_config('search_path', 'nowhere', false)")
        await db.sql("select pg_advisory_lock(7)")
        assert await db.sql("select current_setting('search_path') as path") == [{"path": '"$user", public'}]
        assert await db.sql("select count(*) as n from pg_locks where locktype = 'advisory'") == [{"n": 0}]
        assert await db.sql("show timezone") == [{"TimeZone": "UTC"}]
        assert await db.sql("show statement_timeout") == [{"statement_timeout": "30s"}]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("select * from users where id = {id}", "42601"),
        ("select '{}'", "42601"),
        ("select 1; select 2", "42601"),
        ("select 1; drop table users", "42601"),
        ("select 1; -- fine\n drop table users", "42601"),
        ("create trigger a after insert on users begin select 1; end; drop table users", "42601"),
        ("select * from users where id = ?", "42601"),
        ("select 'open", "42601"),
        ("selec 1", "42601"),
        ("select from where", "42601"),
        ("begin", "42601"),
        ("commit", "42601"),
        ("pragma foreign_keys = off", "42601"),
        ("attach 'x.db' as x", "42601"),
        ("vacuum", "42601"),
        ("", "42601"),
        ("-- nothing", "42601"),
        ("select * from nope", "42P01"),
        ("select nope from users", "42703"),
        ("select nope(1)", "42883"),
        ("select u.id, p.id from users u left join posts p on 1 = 1 union all select 1, 1", "42701"),
        ("delete from nope", "42P01"),
        ("insert into users (name) values (null)", "23502"),
        ("explain drop table users; drop table users", "42601"),
    ],
)
async def test_what_is_not_one_plain_statement_is_refused(blog, text, code):
    async with blog() as db:
        with pytest.raises(DbError) as caught:
            await db.sql(text)
        assert caught.value.code == code
        assert await db.sql("select count(*) as n from users") == [{"n": 0}]


async def test_names_and_values_must_agree(blog):
    async with blog() as db:
        for ask in (db.sql("select :a"), db.sql("select 1", a=1), db.sql("select ':a', \":b\" -- :c\n", a=1)):
            with pytest.raises(DbError) as caught:
                await ask
            assert caught.value.code == "42P02"


async def test_comments_strings_and_a_last_semicolon_are_fine(blog):
    async with blog() as db:
        text = "/* ; :no */ select ':x;' as \"a;b\", :v as v -- ; :no\n ; -- done"
        assert await db.sql(text, v="1") == [{"a;b": ":x;", "v": "1"}]


async def test_a_filter_on_sql_is_refused(blog):
    async with blog() as db:
        with pytest.raises(DbError, match="takes no filters"):
            await db.sql("select 1").eq("id", 1)
        with pytest.raises(DbError) as caught:
            await db.rpc("f")
        assert caught.value.code == "PGRST202"
