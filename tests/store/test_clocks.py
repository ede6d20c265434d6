"""Time as a store sees it: ends to the microsecond, clocks that jump, and what is thrown away."""

from __future__ import annotations

import asyncio

import pytest

from turnout.store import StoreUnavailable
from turnout.store import sqlite as sqlite_store
from turnout.store.memory import Memory
from turnout.store.sqlite import Sqlite


class Clock:
    """Microseconds that go on when told to."""

    def __init__(self) -> None:
        self.us = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path, clock):
    if request.param == "memory":
        return Memory(clock_us=clock)
    return Sqlite(tmp_path / "store.db", clock, clock)


async def test_an_end_is_the_first_moment_without_the_value(store, clock):
    await store.set("a", b"1", 10)
    clock.us += 9_999_999
    assert await store.get("a") == b"1"
    clock.us += 1

    assert await store.get("a") is None
    assert await store.increment("a") == 1
    await store.close()


async def test_a_limit_comes_back_one_interval_at_a_time(store, clock):
    async def granted(count: int) -> int:
        return sum([(await store.take("a", 1_000, 5)).granted for _ in range(count)])

    assert await granted(9) == 5
    clock.us += 999
    assert await granted(1) == 0
    clock.us += 1
    assert await granted(2) == 1
    clock.us += 3_500
    assert await granted(9) == 3
    clock.us += 3_600_000_000
    assert await granted(9) == 5
    await store.close()


async def test_a_machine_that_begins_anew_holds_nobody_to_the_old_count(tmp_path, clock):
    store = Sqlite(tmp_path / "store.db", clock, clock)
    for _ in range(5):
        await store.take("a", 1_000_000, 5)
    clock.us -= 3_600_000_000

    assert [(await store.take("a", 1_000_000, 5)).granted for _ in range(6)] == [True] * 5 + [False]
    await store.close()


async def test_a_limit_in_a_file_does_not_follow_the_wall_clock(tmp_path, clock):
    steady = Clock()
    store = Sqlite(tmp_path / "store.db", clock, steady)
    assert (await store.take("a", 1_000_000, 1)).granted
    for jump in (3_600_000_000, -7_200_000_000):
        clock.us += jump
        assert not (await store.take("a", 1_000_000, 1)).granted
    await store.close()


async def test_a_full_memory_forgets_what_is_over_and_then_what_is_oldest(clock):
    store = Memory(max_keys=10, clock_us=clock)
    await store.set("short", b"", 1)
    for each in range(9):
        await store.set(f"{each}", b"")
    clock.us += 2_000_000
    await store.set("a", b"")  # in the place of the one that is over
    assert await store.get("0") == b""
    await store.set("b", b"")

    assert await store.get("0") is None
    assert [await store.get(key) for key in ("1", "8", "a", "b")] == [b""] * 4


async def test_a_full_memory_does_not_let_one_begin_anew_who_is_over_the_limit(clock):
    store = Memory(max_keys=100, clock_us=clock)
    while (await store.take("greedy", 1_000_000_000, 3)).granted:
        pass
    for each in range(10_000):  # as from many addresses
        clock.us += 1
        assert (await store.take(f"{each}", 1_000_000_000, 3)).granted

    assert not (await store.take("greedy", 1_000_000_000, 3)).granted
    assert len(store._used) == 100


async def test_a_memory_full_of_those_over_their_limit_stays_bounded(clock):
    store = Memory(max_keys=50, clock_us=clock)
    for each in range(500):
        await store.take(f"{each}", 1_000_000_000, 1)

    assert len(store._used) == 50


async def test_a_file_is_swept_of_what_is_over(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(sqlite_store, "SWEEP_S", 0)
    store = Sqlite(tmp_path / "store.db", clock, clock)
    for each in range(20):
        await store.set(f"{each}", b"1", 1)
        await store.take(f"{each}", 1_000, 1)
        await store.publish("news", b"1")
    await store.set("kept", b"1")
    clock.us += 61_000_000
    await store.increment("n")

    def count(connection):
        return [
            connection.execute(f"select count(*) from {table}").fetchone()[0]
            for table in ("entries", "used", "messages")
        ]

    assert await store._run(count) == [2, 0, 1]
    await store.close()


async def test_a_subscriber_is_told_when_messages_were_swept_before_it_read_them(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(sqlite_store, "SWEEP_S", 0)
    monkeypatch.setattr(sqlite_store, "POLL_S", 2)
    reader, writer = (Sqlite(tmp_path / "store.db", clock, clock) for _ in range(2))
    await writer.publish("news", b"0")
    async with reader.subscribe("news") as messages:
        await asyncio.sleep(0)
        for _ in range(3):  # a minute for the writer, a moment for the reader
            await writer.publish("news", b"1")
            clock.us += 61_000_000
        await writer.publish("news", b"2")
        with pytest.raises(StoreUnavailable, match="subscribe again"):
            async with asyncio.timeout(60):
                while True:
                    await anext(messages)
    await reader.close()
    await writer.close()
