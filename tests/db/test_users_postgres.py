"""A user's connection to PostgreSQL is nobody's when the next one gets it, whatever ended its use."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID

import pytest

from turnout.db import Scope
from turnout.db.exec import postgres as driver
from turnout.db.rls import bootstrap
from turnout.errors import DbError

VIEW = (
    "create view me as select current_user::text as who, nullif(current_setting('request.jwt.claims', true), '')"
    "::jsonb ->> 'sub' as sub, pg_backend_pid() as pid"
)


async def _opened(db):
    await bootstrap(db)
    await db.sql(VIEW)
    await db.sql("grant usage on schema public to anon, authenticated")
    await db.sql("grant select on me to anon, authenticated")


def _user(number):
    return Scope("authenticated", {"sub": str(UUID(int=number))})


async def _me(door):
    row = await door.from_("me").select().single()
    return row["who"], row["sub"], row["pid"]


async def _is_nobodys(db):
    """What the next user and the program itself then see, and the server's process."""
    who, sub, pid = await _me(db)
    assert (who, sub) == ("postgres", None)
    assert (await _me(db.scoped(_user(2))))[:2] == ("authenticated", str(UUID(int=2)))
    assert (await _me(db.scoped(Scope("anon"))))[:2] == ("anon", None)
    assert (await _me(db))[:2] == ("postgres", None)
    return pid


async def test_whoever_is_cancelled_wherever_it_waits_leaves_nothing_on_the_connection(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    async with pg_blog() as db:
        await _opened(db)
        ended = set()
        for steps in range(60):
            await _is_nobodys(db)
            task = asyncio.ensure_future(_me(db.scoped(_user(1))))
            for _ in range(steps):
                await asyncio.sleep(0.0002 if steps > 30 else 0)
            task.cancel()
            await asyncio.wait([task])
            ended.add(task.cancelled())
        await _is_nobodys(db)
        assert ended == {True, False}


async def test_one_connection_serves_reads_in_a_row_and_an_error_among_them(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    async with pg_blog() as db:
        await _opened(db)
        pids = set()
        for number in range(20):
            who, sub, pid = await _me(db.scoped(_user(number)))
            assert (who, sub) == ("authenticated", str(UUID(int=number)))
            pids.add(pid)
            with pytest.raises(DbError) as caught:
                await db.scoped(_user(number)).from_("users").select()
            assert caught.value.code == "42501"
            assert (await _me(db))[0] == "postgres"
        assert len(pids) == 1


@pytest.mark.parametrize("size", [1, 3, 10])
async def test_no_user_of_many_is_ever_another(pg_blog, monkeypatch, size):
    monkeypatch.setattr(driver, "POOL_MAX", size)
    chance = random.Random(size)

    async def ask(number):
        for _ in range(5):
            assert (await _me(db.scoped(_user(number))))[:2] == ("authenticated", str(UUID(int=number)))
            if number % 10 == 0:
                assert (await _me(db))[:2] == ("postgres", None)

    async def leave(task):
        await asyncio.sleep(chance.random() / 5)
        task.cancel()

    async with pg_blog() as db:
        await _opened(db)
        tasks = [asyncio.ensure_future(ask(number)) for number in range(200)]
        leaving = [asyncio.ensure_future(leave(task)) for task in tasks[1::5]]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*leaving)
        assert [each for each in found if each is not None and not isinstance(each, asyncio.CancelledError)] == []
        await _is_nobodys(db)
