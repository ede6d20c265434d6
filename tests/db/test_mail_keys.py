"""The keys of mail on every engine; tests/mail has the rest of their tests."""

from __future__ import annotations

import asyncio

import pytest
from db.conftest import Open

from turnout.db import Database
from turnout.errors import MailError
from turnout.mail.once import once


async def claim(database: Database, key: str) -> bool:
    async with once(database, key, lease_s=60) as ours:
        await asyncio.sleep(0)
        return ours


async def test_of_many_at_once_one_has_the_key(blog: Open) -> None:
    async with blog() as database:
        done = await asyncio.gather(*(claim(database, "k") for _ in range(30)), return_exceptions=True)

        assert done.count(True) == 1
        assert all(each in (True, False) or isinstance(each, MailError) for each in done)
        assert await claim(database, "k") is False


async def test_a_failure_gives_the_key_back(blog: Open) -> None:
    async with blog() as database:
        with pytest.raises(ZeroDivisionError):
            async with once(database, "k", lease_s=60):
                raise ZeroDivisionError

        assert await claim(database, "k") is True


async def test_two_processes_make_the_table_at_once(pg_blog: Open) -> None:
    async with pg_blog():
        several = [Database(pg_blog.place) for _ in range(6)]
        assert await asyncio.gather(*(claim(each, str(number)) for number, each in enumerate(several))) == [True] * 6
        for each in several:
            await each.close()
