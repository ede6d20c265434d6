"""``once``: one effect for each event, on both engines, whatever goes wrong meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from turnout import BadRequest, DbError
from turnout.db import Database
from turnout.webhooks import inbox, once


@asynccontextmanager
async def opened(place: str) -> AsyncIterator[Database]:
    database = Database(place)
    try:
        await database.sql("create table effects (event_id text not null)")
        yield database
    finally:
        await database.close()


async def handle(database: Database, event_id: str, fail: BaseException | None = None) -> bool:
    async with once(event_id, "x", database=database) as tx:
        if tx is None:
            return False
        await tx.from_("effects").insert({"event_id": event_id})
        await asyncio.sleep(0)
        if fail is not None:
            raise fail
        return True


async def effects(database: Database) -> list[str]:
    return sorted(row["event_id"] for row in await database.from_("effects").select())


async def notes(database: Database) -> dict[str, tuple[str, int]]:
    return {row["id"]: (row["outcome"], row["tries"]) for row in await inbox.arrived(database, 999)}


async def test_only_the_first_of_many_is_given_a_transaction(place):
    async with opened(place) as database:
        assert [await handle(database, "evt_1") for _ in range(3)] == [True, False, False]
        assert sum(await asyncio.gather(*[handle(database, "evt_2") for _ in range(8)])) == 1

        assert await effects(database) == ["evt_1", "evt_2"]
        assert await notes(database) == {"evt_1": ("done", 3), "evt_2": ("done", 8)}


async def test_two_processes_on_one_database_give_it_once(place):
    async with opened(place) as one:
        two = Database(place)
        try:
            done = await asyncio.gather(*[handle(each, f"evt_{n}") for n in range(10) for each in (one, two, one, two)])
            assert sum(done) == 10
            assert await effects(one) == sorted(f"evt_{n}" for n in range(10))
        finally:
            await two.close()


async def test_the_table_is_made_once_by_many_at_the_same_time(place):
    databases = [Database(place) for _ in range(6)]
    try:
        async with opened(place) as first:
            done = await asyncio.gather(*[handle(each, "evt_1") for each in (first, *databases)])
            assert sum(done) == 1
    finally:
        for each in databases:
            await each.close()


async def test_what_fails_is_undone_noted_and_done_the_next_time(place):
    async with opened(place) as database:
        with pytest.raises(ValueError):
            await handle(database, "evt_1", ValueError("password=hunter2 is wrong"))
        assert await effects(database) == []
        (row,) = await inbox.find(database, "evt_1")
        assert (row["outcome"], row["tries"]) == ("failed", 1)
        assert row["error"].startswith("ValueError") and "hunter2" not in row["error"]

        assert await handle(database, "evt_1")
        assert await notes(database) == {"evt_1": ("done", 2)}


async def test_a_failure_beside_a_success_does_not_take_it_back(place):
    """The note of a failure comes after the rollback, when another delivery may have had its effect."""
    async with opened(place) as database:
        results = await asyncio.gather(
            *[handle(database, "evt_1", ValueError() if n % 2 else None) for n in range(6)], return_exceptions=True
        )

        assert results.count(True) == 1
        assert await effects(database) == ["evt_1"]
        assert (await notes(database))["evt_1"][0] == "done"


async def test_a_delivery_that_is_cancelled_leaves_nothing(place):
    async with opened(place) as database:
        started = asyncio.Event()

        async def slow() -> None:
            async with once("evt_1", database=database) as tx:
                assert tx is not None
                await tx.from_("effects").insert({"event_id": "evt_1"})
                started.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(slow())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await effects(database) == []
        assert await handle(database, "evt_1")


async def test_an_event_that_was_ignored_may_still_have_its_effect(place):
    async with opened(place) as database:
        await inbox.ignored("evt_1", "x", database=database)
        assert await notes(database) == {"evt_1": ("ignored", 1)}
        assert await handle(database, "evt_1")
        await inbox.ignored("evt_1", "x", database=database)  # by a version of the route that has no handler
        assert (await notes(database))["evt_1"][0] == "done"
        assert not await handle(database, "evt_1")


async def test_a_done_event_is_handled_again_only_when_it_is_reopened(place):
    async with opened(place) as database:
        assert await handle(database, "evt_1")
        assert not await inbox.reopen(database, "", "evt_1", was="failed")
        assert await inbox.reopen(database, "", "evt_1", was="done")
        assert await handle(database, "evt_1")
        assert not await handle(database, "evt_1")


@pytest.mark.parametrize("id", ["", "x" * 256, "a b", "a\0", "é", None, 7])
async def test_an_id_that_is_none_is_refused(place, id):
    async with opened(place) as database:
        with pytest.raises(BadRequest):
            async with once(id, database=database):
                raise AssertionError


async def test_a_table_that_was_dropped_is_made_again(place):
    async with opened(place) as database:
        assert await handle(database, "evt_1")
        await database.sql("drop table _turnout_webhook_events")
        with pytest.raises(DbError):
            await handle(database, "evt_2")
        assert await handle(database, "evt_2")


async def test_where_the_table_is_there_nothing_is_made(new_postgres):
    """A role that may not make tables can still receive webhooks."""
    place = await asyncio.to_thread(new_postgres)
    async with opened(place) as owner:
        assert await handle(owner, "evt_1")
        await owner.sql("create role app login")
        await owner.sql("grant select, insert, update, delete on _turnout_webhook_events, effects to app")
        (table,) = await owner.sql(
            "select relrowsecurity as on from pg_class where relname = '_turnout_webhook_events'"
        )
        assert table["on"] is True
        await owner.sql("create policy app on _turnout_webhook_events to app using (true)")
        app = Database(place.replace("postgres@", "app@", 1))
        try:
            assert not await handle(app, "evt_1")
            assert await handle(app, "evt_2")
        finally:
            await app.close()
            await owner.sql("drop owned by app")
            await owner.sql("drop role app")


@pytest.mark.parametrize("type", ["\0", "\ud800", "a\x1b[2J", "x" * 9_999, ""])
async def test_a_type_of_any_kind_is_noted(place, type):
    async with opened(place) as database:
        async with once("evt_1", type, database=database) as tx:
            assert tx is not None
        (row,) = await inbox.arrived(database, 9)
        assert row["type"].isprintable() and len(row["type"]) <= 255


async def test_notes_go_after_thirty_days_and_payloads_after_a_thousand(place, monkeypatch):
    async with opened(place) as database:
        for n in range(6):
            await handle(database, f"evt_{n}")
        await database.sql("update _turnout_webhook_events set payload = :body", body=b"\xff{}")
        day_s = 86_400.0
        for n, days in enumerate((31, 29, 4, 3, 2, 1)):
            received_s = time.time() - days * day_s
            await database.sql(
                "update _turnout_webhook_events set received_s = :at where id = :id", at=received_s, id=f"evt_{n}"
            )
        monkeypatch.setattr(inbox, "KEPT_PAYLOADS", 3)

        await inbox.clean(database)

        kept = {row["id"]: bool(row["kept"]) for row in await inbox.arrived(database, 99)}
        assert kept == {"evt_1": False, "evt_2": False, "evt_3": True, "evt_4": True, "evt_5": True}
        assert (await inbox.find(database, "evt_5"))[0]["payload"] == b"\xff{}"


async def test_nothing_has_arrived_where_no_webhook_was_received(place):
    async with opened(place) as database:
        assert await inbox.arrived(database, 9) == [] == await inbox.find(database, "evt_1")
