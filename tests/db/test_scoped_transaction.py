"""A user's transaction: all or nothing, and every query in it meets the policies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from turnout.db import Scope
from turnout.db.build import Rows
from turnout.db.local import LocalPostgres
from turnout.errors import DbError

from .test_leaks import SELECTS, Build, Places, reads, sample, show, writes
from .worlds import IN_MEMORY, USER_B, VISITOR, A, B, of_a, run, worlds

USER_A = Scope("authenticated", {"sub": A})
OWN = {"id": 90, "author_id": B, "title": "of B"}
FOREIGN = {"id": 91, "author_id": A, "title": "not of B"}


@pytest.fixture(scope="module")
def two_databases(server: LocalPostgres) -> Places:
    for number in (1, 2):
        asyncio.run(run(server.url(), f"create database scoped_{number} template template0"))
    return server.url("scoped_1"), server.url("scoped_2")


@pytest.fixture(params=["sqlite", "postgres"])
def places(request: pytest.FixtureRequest) -> Places:
    return request.getfixturevalue("two_databases") if request.param == "postgres" else IN_MEMORY


async def answer(tx: Any, build: Build) -> str:
    """All that the asker gets to see, with a savepoint around it so that the next question can be asked."""
    try:
        async with tx.transaction() as part:
            found = await build(part)
    except DbError as exc:
        return f"{exc.code} {exc.message} {exc.details} {exc.hint}"
    return repr((show(found), found.count if isinstance(found, Rows) else None))


@pytest.mark.parametrize("scope", [USER_B, VISITOR], ids=["user", "visitor"])
async def test_no_question_in_one_transaction_tells_two_worlds_apart(places: Places, scope: Scope) -> None:
    asked = [each for table in SELECTS for each in sample(list(reads(table)), 6)] + list(writes())[::17]
    good = 0
    async with worlds(places) as pair:
        before = [await of_a(db) for db in pair]
        async with pair[0].scoped(scope).transaction() as one, pair[1].scoped(scope).transaction() as two:
            for name, build in asked:
                first, second = await answer(one, build), await answer(two, build)
                taken = first.startswith("23505") or second.startswith("23505")  # shows in PostgreSQL too
                assert (first == second or taken) and "SECRET" not in first + second, name
                good += first.startswith("(")
        assert [await of_a(db) for db in pair] == before
    assert good > len(asked) // 4 or scope is VISITOR


async def test_what_policies_allow_is_kept_together_and_a_refusal_undoes_it_all(places: Places) -> None:
    async with worlds(places) as (db, _):
        mine = db.scoped(USER_B)
        async with mine.transaction() as tx:
            await tx.from_("posts").insert(OWN, only=tuple(OWN))
            assert (await tx.from_("posts").select("title").eq("id", 90).single()) == {"title": "of B"}
        with pytest.raises(DbError) as caught:
            async with mine.transaction() as tx:
                await tx.from_("posts").update({"title": "changed"}).eq("id", 90)
                await tx.from_("posts").insert(FOREIGN, only=tuple(FOREIGN))
        assert (caught.value.code, caught.value.status) == ("42501", 403)
        assert await db.from_("posts").select("title").eq("id", 90).single() == {"title": "of B"}
        assert await db.from_("posts").select().eq("id", 91).single() is None


async def test_the_next_on_the_same_connection_is_somebody_else(places: Places) -> None:
    async with worlds(places) as (db, _):
        for end in (None, KeyError):
            try:
                async with db.scoped(USER_B).transaction() as tx:
                    assert len(await tx.from_("users").select()) == 1
                    if end is not None:
                        raise end
            except KeyError:
                pass
            assert len(await db.from_("users").select()) == 2
            async with db.scoped(USER_A).transaction() as tx:
                assert await tx.from_("users").select("id") == [{"id": A}]


async def test_two_users_transactions_at_once_stay_apart(two_databases: Places) -> None:
    async with worlds(two_databases) as (db, _):

        async def look(scope: Scope, turn: asyncio.Barrier) -> Any:
            async with db.scoped(scope).transaction() as tx:
                await turn.wait()
                found = [(await tx.from_("users").select("id").single())["id"] for _ in range(5)]
                await turn.wait()
                return set(found)

        turn = asyncio.Barrier(2)
        assert await asyncio.gather(look(USER_A, turn), look(USER_B, turn)) == [{A}, {B}]


async def test_there_is_no_way_out_of_it(places: Places) -> None:
    role = {"setting_name": "role", "new_value": "service_role", "is_local": True}
    async with worlds(places) as (db, _):
        ways: list[Build] = [
            lambda tx: tx.sql("select * from secrets"),
            lambda tx: tx.from_("posts").select().explain(),
            lambda tx: tx.rpc("set_config", role),
        ]
        async with db.scoped(USER_B).transaction() as tx:
            for way in ways:
                assert (await answer(tx, way))[:5] in ("42501", "PGRST", "42883")
            assert await tx.from_("users").select("id") == [{"id": B}]
        async with db.scoped(Scope("service_role")).transaction() as tx:
            assert len(await tx.sql("select * from secrets")) == 1


async def test_a_readonly_one_refuses_to_write_and_db_inside_it_is_refused(places: Places) -> None:
    async with worlds(places) as (db, _):
        with pytest.raises(DbError) as caught:
            async with db.scoped(USER_B).transaction(readonly=True) as tx:
                assert await tx.from_("posts").select("id").eq("id", 10).single() == {"id": 10}
                await tx.from_("posts").delete().eq("id", 10)
        assert caught.value.code == "25006"
        with pytest.raises(DbError) as caught:
            async with db.scoped(USER_B).transaction():
                await db.scoped(USER_B).from_("posts").delete().eq("id", 10)
        assert caught.value.code == "25001"
