"""How a connection to PostgreSQL becomes a user's, and whose it is after that."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.db import Database, Scope
from turnout.db.exec import postgres as driver
from turnout.db.rls import bootstrap
from turnout.db.sql.roles import enter
from turnout.errors import DbError

CLAIMS = {
    "sub": "aaaaaaaa-0000-4000-8000-000000000001",
    "name": """O'Hara "\\" ''; drop table users; -- $1 {0} %s \n\t\x7f é 漢 🦊 E'""",
    "deep": {"it's": ["'", "\\'", "\\", "\\u0027", None, 1.5, True]},
}
VIEW = (
    "create view me as select current_user::text as who, current_setting('request.jwt.claims') as claims,"
    " current_setting('statement_timeout') as timeout"
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=8,
)


async def _me(door):
    row = await door.from_("me").select().single()
    return row["who"], json.loads(row["claims"] or "null"), row["timeout"]


async def _opened(db):
    await bootstrap(db)
    await db.sql(VIEW)
    await db.sql("grant usage on schema public to anon, authenticated")  # which the test before has made anew
    await db.sql("grant select on me to anon, authenticated")


@pytest.mark.parametrize("pooler", [False, True])
@pytest.mark.parametrize("conforming", ["on", "off"])
async def test_claims_arrive_as_they_are_whatever_is_in_them(pg_blog, postgres, pooler, conforming):
    async with pg_blog() as db:
        await _opened(db)
        url = f"{postgres}&options=-cstandard_conforming_strings%3D{conforming}" + "&pgbouncer=true" * pooler
        other = Database(url)
        try:
            for role in ("authenticated", "anon", "authenticated"):
                user = Scope(role, CLAIMS)
                assert await _me(other.scoped(user)) == (role, {**CLAIMS, "role": role}, "5s")
                async with other.scoped(user).transaction() as tx:
                    assert await _me(tx) == (role, {**CLAIMS, "role": role}, "5s")
                assert (await _me(other))[:2] == ("postgres", None)
        finally:
            await other.close()


@settings(deadline=None, max_examples=200)
@given(ANYTHING)
@pytest.mark.parametrize("prepared", ["before", "now", "never"])
def test_nothing_in_the_claims_ends_the_string_they_are_in(prepared, value):
    empty = enter("begin", Scope("authenticated", {"x": 0}), prepared)
    text = enter("begin", Scope("authenticated", {"x": value}), prepared)
    assert text.count("'") == empty.count("'")
    (body,) = re.findall(r"E'((?:[^'\\]|\\\\)*)'", text)  # a backslash is always one of two
    assert json.loads(body.replace("\\\\", "\\")) == {"x": value, "role": "authenticated"}


async def test_a_role_that_is_not_there_is_refused_each_time_and_leaves_nothing(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    async with pg_blog() as db:
        await _opened(db)
        for _ in range(2):
            for role in ("nobody_of_that_name", "none"):
                with pytest.raises(DbError) as caught:
                    await _me(db.scoped(Scope(role)))
                assert caught.value.code == "22023"
            assert (await _me(db.scoped(Scope("anon"))))[0] == "anon"
            assert (await _me(db))[0] == "postgres"


async def test_a_connection_is_told_once_how_to_enter_and_a_new_one_again(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    sent = []
    real = driver.enter
    monkeypatch.setattr(driver, "enter", lambda *args: sent.append(args[2]) or real(*args))
    async with pg_blog() as db:
        await _opened(db)
        for _ in range(3):
            assert (await _me(db.scoped(Scope("anon"))))[0] == "anon"
        assert sent == ["now", "before", "before"]
        with pytest.raises(DbError):
            await db.sql("select pg_terminate_backend(pg_backend_pid())")
        assert (await _me(db.scoped(Scope("anon"))))[0] == "anon"
        assert sent == ["now", "before", "before", "now"]


@pytest.mark.parametrize("before", ["deallocate all", "prepare turnout_enter(text, text) as select 1"])
async def test_a_server_that_is_not_the_one_told_before_is_entered_all_the_same(pg_blog, monkeypatch, before):
    """As behind a pooler that changes servers between transactions, and that the URL does not tell of."""
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    async with pg_blog() as db:
        await _opened(db)
        if before.startswith("deallocate"):
            assert (await _me(db.scoped(Scope("anon"))))[0] == "anon"
        pool = await db.engine._pool()
        async with pool.acquire() as connection:
            await connection.execute(before)
            await connection.reload_schema_state()
        for role in ("anon", "authenticated"):
            async with db.scoped(Scope(role)).transaction() as tx:
                assert (await _me(tx))[:2] == (role, {"role": role})
            assert (await _me(db))[0] == "postgres"
