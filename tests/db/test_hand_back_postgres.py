"""A user's connection to PostgreSQL is handed on only when it is certainly nobody's any more."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID

import pytest

from turnout.db import Database, Scope
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


@pytest.mark.parametrize(
    "instead",
    [
        "select pg_terminate_backend(pg_backend_pid())",
        "select 1 / 0",
        "select 1",
        "rollback",
        "commit; begin",
        "select pg_sleep(60)",
    ],
)
async def test_a_commit_that_does_not_succeed_closes_the_connection(pg_blog, monkeypatch, instead):
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    monkeypatch.setattr(driver, "GRACE_S", 0.3)
    async with pg_blog() as db:
        await _opened(db)
        before = await _is_nobodys(db)
        with monkeypatch.context() as patch:
            patch.setattr(driver, "COMMIT", instead)
            assert await _me(db.scoped(_user(1))) == ("authenticated", str(UUID(int=1)), before)
            assert (await _me(db.scoped(_user(3))))[2] != before  # waits for the hand-back, which fails
        assert await _is_nobodys(db) != before
        pool = await db.engine._pool()
        assert pool.get_size() == 1


async def test_a_connection_killed_between_the_query_and_the_commit_is_no_ones(pg_blog, postgres, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    other = Database(postgres)
    real = driver._leave_scope

    async def killed_first(connection):
        await other.sql("select pg_terminate_backend(:pid)", pid=connection.get_server_pid())
        await real(connection)

    async with pg_blog() as db:
        await _opened(db)
        with monkeypatch.context() as patch:
            patch.setattr(driver, "_leave_scope", killed_first)
            *_, before = await _me(db.scoped(_user(1)))
        assert await _is_nobodys(db) != before
        await other.close()


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


async def test_a_hand_back_that_is_cancelled_closes_the_connection(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    async with pg_blog() as db:
        await _opened(db)
        for steps in range(6):
            before = await _is_nobodys(db)
            await asyncio.sleep(0.02)
            assert await _me(db.scoped(_user(1))) == ("authenticated", str(UUID(int=1)), before)
            (line,) = db.engine._lines.values()
            (ending,) = line._ending
            for _ in range(min(steps, 1)):
                await asyncio.sleep(0)
            ending.cancel()
            assert await _is_nobodys(db) != before
            assert not line._ending


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


async def test_closing_waits_for_the_hand_back(pg_blog, postgres):
    async with pg_blog() as db:
        await _opened(db)
        other = Database(postgres)
        await _me(other.scoped(_user(1)))
        (line,) = other.engine._lines.values()
        assert line._ending
        await other.close()
        assert not line._ending
        assert line.pool.get_size() == 0


async def test_where_reads_are_serializable_the_caller_waits_for_the_commit(pg_blog, postgres):
    async with pg_blog() as db:
        await _opened(db)
        other = Database(f"{postgres}&options=-cdefault_transaction_isolation%3Dserializable")
        assert (await _me(other.scoped(_user(1))))[0] == "authenticated"
        (line,) = other.engine._lines.values()
        assert not line._ending
        await other.close()
