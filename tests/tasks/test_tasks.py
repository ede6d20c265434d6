"""Declaring and enqueuing tasks: what is stored, with which transaction, and what is refused."""

from __future__ import annotations

import importlib.util
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

import turnout.db
from turnout import tasks
from turnout.config import Config
from turnout.db import Database, Scope, db
from turnout.errors import ConfigError, DbError
from turnout.tasks import outbox, task
from turnout.tasks.task import TASKS, forget_unloaded, own

seen: list[Any] = []


class Parcel(msgspec.Struct):
    to: str
    at: datetime


@pytest.fixture(autouse=True)
def only_these():
    before = dict(TASKS)
    TASKS.clear()
    seen.clear()
    yield
    TASKS.clear()
    TASKS.update(before)


@pytest.fixture(params=["memory", "postgres"])
def place(request):
    return ":memory:" if request.param == "memory" else request.getfixturevalue("postgres")


@asynccontextmanager
async def project(place):
    """The project's own database, with a table; empty."""
    turnout.db.configure(place)
    await db.sql("drop table if exists _turnout_outbox")
    await db.sql("drop table if exists orders")
    await db.sql("create table orders (n integer primary key)")
    try:
        yield
    finally:
        await db.close()
        turnout.db.configure(":memory:")


def declared(**options):
    @task(name="ship", **options)
    async def ship(n: int, note: str = "") -> None:
        seen.append((n, note))

    return ship


async def stored():
    return await outbox.waiting(db)


async def test_a_task_is_enqueued_with_the_transaction_or_not_at_all(place):
    ship = declared()
    async with project(place):
        async with db.transaction() as tx:
            await tx.from_("orders").insert({"n": 1})
            number = await ship.enqueue(1, note="x")
        with pytest.raises(KeyError):
            async with db.transaction():
                await ship.enqueue(2)
                raise KeyError
        assert [(row.id, row.task, row.payload) for row in await stored()] == [
            (number, "ship", '{"args":[1],"kwargs":{"note":"x"}}')
        ]


async def test_the_first_task_of_a_database_may_be_rolled_back(place):
    ship = declared()
    async with project(place):
        with pytest.raises(KeyError):
            async with db.transaction() as tx:
                await ship.enqueue(1, tx=tx)
                raise KeyError
        assert await stored() == []
        await ship.enqueue(2)
        assert len(await stored()) == 1


async def test_a_savepoint_takes_its_task_along(place):
    ship = declared()
    async with project(place):
        async with db.transaction() as tx:
            await ship.enqueue(1)
            with pytest.raises(KeyError):
                async with tx.transaction() as inner:
                    await ship.enqueue(2)
                    await ship.enqueue(3, tx=inner)
                    raise KeyError
        assert [row.payload[9] for row in await stored()] == ["1"]


async def test_a_key_is_enqueued_once(place):
    ship = declared()
    async with project(place):
        first = await ship.enqueue(1, idempotency_key="order 1")
        assert await ship.enqueue(1, idempotency_key="order 1") == first
        assert await ship.enqueue(2, idempotency_key="order 2") != first
        assert len(await stored()) == 2


async def test_a_delay_is_in_seconds_or_a_timedelta(place):
    ship = declared()
    async with project(place):
        for delay in (60, timedelta(minutes=1)):
            await ship.enqueue(1, delay=delay)
        for row in await stored():
            assert 59 < row.due_s - row.enqueued_s <= 60.01
        with pytest.raises(ValueError, match="delay"):
            await ship.enqueue(1, delay=-1)


async def test_arguments_come_back_as_the_signature_says():
    @task
    async def deliver(parcel: Parcel, *names: str, when: datetime | None = None, **more: int) -> None:
        seen.append((parcel, names, when, more))

    at = datetime(2026, 1, 2, tzinfo=UTC)
    async with project(":memory:"):
        await deliver.enqueue(Parcel("Ada", at), "a", "b", when=at, x=1)
        await deliver.enqueue({"to": "Bob", "at": at})
        assert await tasks.drain() == 2
    assert seen == [(Parcel("Ada", at), ("a", "b"), at, {"x": 1}), (Parcel("Bob", at), (), None, {})]


async def test_drain_runs_what_tasks_enqueue_and_raises_what_they_raise():
    @task
    def last(n: int) -> None:
        raise LookupError(n)

    @task
    async def first(n: int) -> None:
        seen.append(n)
        await last.enqueue(n)

    async with project(":memory:"):
        await first.enqueue(1)
        with pytest.raises(LookupError):
            await tasks.drain()
        assert seen == [1]
        assert await tasks.drain() == 0


async def test_arguments_that_do_not_fit_or_are_no_json_are_refused_at_once():
    ship = declared()
    async with project(":memory:"):
        with pytest.raises(TypeError, match="missing a required argument"):
            await ship.enqueue()
        with pytest.raises(TypeError, match="no JSON"):
            await ship.enqueue(object())
        assert await stored() == []


async def test_another_database_and_a_users_transaction_are_refused(tmp_path):
    ship = declared()
    other = Database(tmp_path / "other.db")
    async with project(":memory:"):
        async with other.transaction() as tx:
            with pytest.raises(ConfigError, match="another database"):
                await ship.enqueue(1, tx=tx)
            await ship.enqueue(2)  # is not of that transaction
        async with db.scoped(Scope("authenticated")).transaction():
            with pytest.raises(ConfigError, match="user's transaction"):
                await ship.enqueue(3)
        assert len(await stored()) == 1
    await other.close()


async def test_without_the_engine_enqueue_says_what_to_install(monkeypatch):
    ship = declared()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    async with project(":memory:"):
        with pytest.raises(ConfigError) as caught:
            await ship.enqueue(1)
    assert caught.value.cure == 'pip install "turnout[durable]"'


async def test_a_task_is_still_its_function():
    ship = declared()
    await ship(1, note="by hand")
    assert seen == [(1, "by hand")]


def test_waits_double_and_end_at_an_hour():
    ship = declared(backoff_s=2)
    assert [ship.wait_s(attempt) for attempt in (1, 2, 3, 20, 10_000)] == [2, 4, 8, 3600, 3600]


def test_two_tasks_of_one_name_are_refused_and_the_same_again_is_not():
    declared()
    declared()
    with pytest.raises(ConfigError, match="two tasks are named ship"):
        task(name="ship")(lambda: None)


@pytest.mark.parametrize(
    "options",
    [
        {"retries": -1},
        {"backoff_s": -1},
        {"backoff_s": 1e9},
        {"name": "a\nb"},
        {"cron": "daily"},
        {"cron": "* * * * *"},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        task(**options)(lambda n: None)


def test_an_argument_with_a_word_of_enqueues_own_is_refused():
    def late(delay: float) -> None: ...

    with pytest.raises(ConfigError, match="delay"):
        task(late)


@pytest.mark.parametrize(("cron", "timezone"), [("61 * * * *", "UTC"), ("0 3 * * *", "Mars/Olympus")])
def test_an_hour_that_never_comes_stops_the_start(cron, timezone, tmp_path):
    from turnout.tasks.engine import check

    config = Config(tmp_path, "test", "postgresql:///x")

    made = task(name="nightly", cron=cron, timezone=timezone)(lambda: None)
    with pytest.raises(ConfigError, match="nightly"):
        check([made], config)


def test_a_sqlite_that_the_engine_cannot_use_is_refused_with_a_cure(monkeypatch):
    from turnout.tasks.engine import check_sqlite

    monkeypatch.setattr("sys.version_info", (3, 12, 0))
    check_sqlite("postgresql:///x", (3, 40, 1))
    check_sqlite("sqlite:///x", (3, 42, 0))
    with pytest.raises(ConfigError, match=r"SQLite 3\.42 .* this is 3\.40\.1"):
        check_sqlite("sqlite:///x", (3, 40, 1))


def test_tasks_of_modules_that_are_gone_are_forgotten():
    made = declared()
    assert own(made)
    forget_unloaded()
    assert "ship" in TASKS
    made.module = "lib.gone"
    forget_unloaded()
    assert "ship" not in TASKS


async def test_a_database_error_reaches_the_caller():
    ship = declared()
    async with project(":memory:"):
        with pytest.raises(DbError):
            async with db.transaction(readonly=True):
                await ship.enqueue(1)
