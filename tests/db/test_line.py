"""Callers that wait for each other's connections to PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from turnout.db.exec import line as lines
from turnout.db.exec import postgres as driver
from turnout.errors import DbError


async def _pid(db):
    (row,) = await db.sql("select pg_backend_pid() as pid, pg_sleep(0.002)::text")
    return row["pid"]


async def test_who_waits_is_served_in_the_order_they_came(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    served = []

    async def ask(number):
        await _pid(db)
        served.append(number)

    async with pg_blog() as db:
        await asyncio.gather(*(ask(number) for number in range(20)))
        assert served == list(range(20))


async def test_a_connection_handed_on_is_seen_by_its_pool_now_and_then(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 2)
    monkeypatch.setattr(lines, "MAX_TURNS", 3)
    released = []
    real = lines._release
    monkeypatch.setattr(lines, "_release", lambda *args: released.append(1) or real(*args))
    async with pg_blog() as db:
        await asyncio.gather(*(_pid(db) for _ in range(4)))
        released.clear()
        assert len(set(await asyncio.gather(*(_pid(db) for _ in range(20))))) <= 2
        assert 4 <= len(released) <= 10


async def test_who_leaves_in_the_moment_of_being_served_takes_nothing_along(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    async with pg_blog() as db:
        await db.sql("select 1")
        for turn in range(10):
            tasks = [asyncio.ensure_future(_pid(db)) for _ in range(4)]
            # The second is cancelled by what the first is done with: it has the connection, and has not run yet.
            tasks[0].add_done_callback(lambda _, tasks=tasks: tasks[1].cancel())
            if turn % 2:
                tasks[2].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert tasks[0].exception() is None and tasks[3].exception() is None
            assert tasks[1].cancelled()
        pool = await db.engine._pool()
        assert pool.get_idle_size() == pool.get_size() == 1


async def test_a_broken_connection_is_no_ones_and_its_place_is_the_next_ones(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    async with pg_blog() as db:

        async def kill():
            with pytest.raises(DbError):
                await db.sql("select pg_terminate_backend(pg_backend_pid())")

        first = await _pid(db)
        *_, last = await asyncio.gather(_pid(db), kill(), _pid(db), _pid(db))
        assert last != first


async def test_many_wait_for_one_limit_and_the_next_is_served(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    monkeypatch.setattr(driver, "ACQUIRE_S", 0.1)
    async with pg_blog() as db:
        async with db.transaction():
            found = await asyncio.gather(*(_read(db, number) for number in range(5)), return_exceptions=True)
            assert [exc.code for exc in found] == ["PGRST003"] * 5
        assert await _read(db, 1) == []


async def _read(db, number):
    return await db.from_("users").select("id").eq("id", number)
