"""Transactions: all or nothing, savepoints, cancellation, and what waits for what."""

from __future__ import annotations

import asyncio

import pytest

from turnout.errors import DbError, NotFound


async def names(db):
    return [row["name"] for row in await db.from_("users").select("name").order("id")]


async def test_a_transaction_commits_at_its_end(blog):
    async with blog() as db:
        async with db.transaction() as tx:
            await tx.from_("users").insert({"name": "Ada"})
            assert await names(tx) == ["Ada"]
            await tx.sql("insert into users (name) values (:n)", n="Bob")
        assert await names(db) == ["Ada", "Bob"]


@pytest.mark.parametrize("error", [ValueError, NotFound, asyncio.CancelledError, KeyboardInterrupt])
async def test_any_exception_rolls_back(blog, error):
    async with blog() as db:
        with pytest.raises(error):
            async with db.transaction() as tx:
                await tx.from_("users").insert({"name": "Ada"})
                raise error
        assert await names(db) == []
        await db.from_("users").insert({"name": "Bob"})  # the writer is free again


async def test_a_return_from_inside_commits(blog):
    async with blog() as db:

        async def work():
            async with db.transaction() as tx:
                return await tx.from_("users").insert({"name": "Ada"}).select("id").single()

        assert await work() == {"id": 1}
        assert await names(db) == ["Ada"]


async def test_others_see_nothing_before_the_commit(blog):
    if blog.place == ":memory:":
        pytest.skip("one connection for everything")
    async with blog() as db:
        async with db.transaction() as tx:
            await tx.from_("users").insert({"name": "Ada"})
            assert await names(db) == []
        assert await names(db) == ["Ada"]


async def test_a_readonly_transaction_refuses_a_write_and_leaves_no_trace(blog):
    async with blog() as db:
        with pytest.raises(DbError) as caught:
            async with db.transaction(readonly=True) as tx:
                assert await names(tx) == []
                await tx.from_("users").insert({"name": "Ada"})
        assert (caught.value.code, caught.value.status) == ("25006", 500)
        async with db.transaction(readonly=True, isolation="serializable") as tx:
            assert await names(tx) == []
        await db.from_("users").insert({"name": "Bob"})
        assert await names(db) == ["Bob"]


async def test_two_tasks_may_share_a_transaction(blog):
    async with blog() as db:
        async with db.transaction() as tx:
            await asyncio.gather(*(_add(tx, name) for name in "abc"))
        assert sorted(await names(db)) == ["a", "b", "c"]


async def _add(tx, name):
    await tx.from_("users").insert({"name": name})


async def test_a_savepoint_is_undone_alone(blog):
    async with blog() as db:
        async with db.transaction() as tx:
            await tx.from_("users").insert({"name": "Ada", "email": "a"})
            with pytest.raises(DbError):
                async with tx.transaction() as inner:
                    await inner.from_("users").insert({"name": "Bob"})
                    await inner.from_("users").insert({"name": "Eve", "email": "a"})
            async with tx.transaction() as inner:
                await inner.from_("users").insert({"name": "Cyd"})
                async with inner.transaction() as deep:
                    await deep.from_("users").insert({"name": "Dan"})
        assert await names(db) == ["Ada", "Cyd", "Dan"]


async def test_an_error_that_was_swallowed_still_undoes_everything(blog):
    async with blog() as db:
        with pytest.raises(DbError) as caught:
            async with db.transaction() as tx:
                await tx.from_("users").insert({"name": "Ada"})
                with pytest.raises(DbError):
                    await tx.from_("users").insert({"name": None})
                with pytest.raises(DbError) as aborted:
                    await tx.from_("users").insert({"name": "Bob"})
                assert aborted.value.code == "25P02"
        assert caught.value.code == "25P02"
        assert await names(db) == []


async def test_single_on_several_rows_undoes_the_transaction(blog):
    async with blog() as db:
        await db.from_("users").insert([{"name": "Ada"}, {"name": "Bob"}])
        with pytest.raises(DbError, match="PGRST116"):
            async with db.transaction() as tx:
                await tx.from_("users").update({"name": "x"}).gt("id", 0).select().single()
        assert await names(db) == ["Ada", "Bob"]


async def test_a_write_through_db_inside_a_transaction_is_refused_at_once(blog):
    async with blog() as db:
        async with db.transaction() as tx:
            for ask in (db.from_("users").insert({"name": "x"}), db.sql("delete from users")):
                with pytest.raises(DbError, match="inside the block use tx"):
                    await ask
            with pytest.raises(DbError, match="inside the block use tx"):
                async with db.transaction():
                    pass
            await tx.from_("users").insert({"name": "Ada"})
        await db.from_("users").insert({"name": "Bob"})
        assert await names(db) == ["Ada", "Bob"]


async def test_a_transaction_cannot_be_used_after_its_end_or_twice(blog):
    async with blog() as db:
        async with db.transaction() as tx:
            pass
        with pytest.raises(DbError) as caught:
            await tx.from_("users").select()
        assert caught.value.code == "25P01"
        with pytest.raises(DbError):
            async with tx:
                pass
        with pytest.raises(DbError):
            await db.transaction().from_("users").select()


async def test_other_writers_wait_their_turn(sqlite_blog):
    async with sqlite_blog() as db:
        order = []

        async def other(name):
            await db.from_("users").insert({"name": name})
            order.append(name)

        inside = asyncio.Event()

        async def holder():
            async with db.transaction() as tx:
                await tx.from_("users").insert({"name": "first"})
                inside.set()
                await asyncio.sleep(0.05)
                await tx.from_("users").insert({"name": "second"})
                order.append("tx")

        task = asyncio.create_task(holder())
        await inside.wait()
        await asyncio.gather(other("third"), other("fourth"), task)
        assert order[0] == "tx"
        assert await names(db) == ["first", "second", "third", "fourth"]


async def test_waiting_for_the_writer_ends_with_an_error(sqlite_blog, monkeypatch):
    from turnout.db.exec import sqlite

    monkeypatch.setattr(sqlite, "WRITE_WAIT_S", 0.05)
    async with sqlite_blog() as db:
        inside, leave = asyncio.Event(), asyncio.Event()

        async def holder():
            async with db.transaction() as tx:
                await tx.from_("users").insert({"name": "Ada"})
                inside.set()
                await leave.wait()

        task = asyncio.create_task(holder())
        await inside.wait()
        with pytest.raises(DbError) as caught:
            await db.from_("users").insert({"name": "Bob"})
        assert (caught.value.code, caught.value.status, caught.value.retryable) == ("55P03", 503, True)
        leave.set()
        await task
        assert await names(db) == ["Ada"]


SLOW = (
    "insert into users (name) with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000000)"
    " select i from n"
)


async def test_cancelling_stops_a_running_write_and_rolls_it_back(blog):
    async with blog() as db:
        task = asyncio.create_task(_write(db))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await names(db) == []
        await db.from_("users").insert({"name": "Ada"})
        assert await names(db) == ["Ada"]


async def _write(db):
    await db.sql(SLOW)


async def test_cancelling_inside_a_transaction_rolls_it_back(blog):
    async with blog() as db:

        async def work():
            async with db.transaction() as tx:
                await tx.from_("users").insert({"name": "Ada"})
                await _write(tx)

        task = asyncio.create_task(work())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await names(db) == []
        assert (await db.from_("users").insert({"name": "Bob"})).count == 1


async def test_cancelling_at_every_moment_leaves_all_or_nothing(blog):
    async with blog() as db:

        async def work(number):
            async with db.transaction() as tx:
                await tx.from_("users").insert({"name": f"{number}"})
                await tx.from_("users").insert({"name": f"{number}"})

        for number in range(60):
            task = asyncio.create_task(work(number))
            for _ in range(number % 12):
                await asyncio.sleep(0)
            await asyncio.sleep(0.0001 * (number % 7))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        found = await names(db)
        assert all(found.count(name) == 2 for name in found)
        await db.from_("users").insert({"name": "last"})


async def test_a_queued_write_that_is_cancelled_never_runs(sqlite_blog):
    async with sqlite_blog() as db:
        async with db.transaction() as tx:
            await tx.from_("users").insert({"name": "Ada"})
            inserting = asyncio.get_running_loop().create_task(_outside(db), context=_empty())
            await asyncio.sleep(0.02)
            inserting.cancel()
            await asyncio.gather(inserting, return_exceptions=True)
        assert await names(db) == ["Ada"]


async def _outside(db):
    await db.from_("users").insert({"name": "late"})


def _empty():
    from contextvars import Context

    return Context()
