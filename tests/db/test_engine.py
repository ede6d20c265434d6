"""How SQLite is driven: inline reads, slow reads, many writers, many processes, bad places."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from turnout import db as bound
from turnout.db import Database, configure
from turnout.errors import ConfigError, DbError

HEAVY = "select count(*) as n from s a, s b, s c"


async def filled(path, rows=300):
    db = Database(path)
    await db.sql("create table s (id integer primary key, x int)")
    await db.from_("s").insert([{"x": number} for number in range(rows)])
    return db


def drive(coroutine):
    """Run a coroutine that must not wait for anything, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it suspended")


async def _get(query):
    return await query


async def test_a_small_read_neither_suspends_nor_needs_a_task(tmp_path):
    db = await filled(tmp_path / "x.db")
    for query, expected in (
        (db.from_("s").select("x").eq("id", "2").single(), {"x": 1}),
        (db.from_("s").select("x").order("id").limit(2), [{"x": 0}, {"x": 1}]),
        (db.from_("s").select("x", count="exact").eq("id", 1), [{"x": 0}]),
        (db.sql("select x from s where id = :id", id=3), [{"x": 2}]),
    ):
        assert drive(_get(query)) == expected
    await db.close()


async def test_a_read_of_many_rows_goes_to_a_thread_and_is_remembered(tmp_path):
    db = await filled(tmp_path / "x.db")
    query = db.from_("s").select("x")
    assert len(await query) == 300
    with pytest.raises(AssertionError, match="it suspended"):
        coroutine = _get(query)
        try:
            drive(coroutine)
        finally:
            coroutine.close()
    assert len(await query) == 300
    await db.close()


async def test_a_long_read_lets_the_loop_go_on(tmp_path):
    db = await filled(tmp_path / "x.db")
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    assert await db.sql(HEAVY) == [{"n": 27_000_000}]
    ticking.cancel()
    assert ticks > 20
    assert drive(_get(db.sql("select 1 as one"))) == [{"one": 1}]  # its budget is its own
    await db.close()


async def test_a_long_read_can_be_cancelled(tmp_path):
    db = await filled(tmp_path / "x.db", 2_000)
    task = asyncio.create_task(_get(db.sql(HEAVY)))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await db.sql("select 1 as one") == [{"one": 1}]
    await db.close()


async def test_a_third_long_read_waits_for_one_of_two_but_not_for_ever(tmp_path, monkeypatch):
    db = await filled(tmp_path / "x.db")
    endless = [asyncio.create_task(_get(db.sql("select count(*) as n from s a, s b, s c, s d, s e"))) for _ in range(2)]
    await asyncio.sleep(0.1)  # until they are at it: those that begin later wait for them

    assert len(await db.from_("s").select("x")) == 300

    monkeypatch.setattr("turnout.db.exec.sqlite.PATIENCE_S", 600)
    third = asyncio.create_task(_get(db.from_("s").select("x")))
    done, _ = await asyncio.wait([third], timeout=0.2)
    assert not done
    endless[0].cancel()
    assert len(await third) == 300
    endless[1].cancel()
    await asyncio.wait(endless)
    await db.close()


async def test_a_read_past_its_limit_is_57014(tmp_path, monkeypatch):
    from turnout.db.exec import sqlite

    monkeypatch.setattr(sqlite, "READ_LIMIT_S", 0.05)
    db = await filled(tmp_path / "x.db", 2_000)
    with pytest.raises(DbError) as caught:
        await db.sql(HEAVY)
    assert (caught.value.code, caught.value.status) == ("57014", 503)
    assert (await db.sql("select 1 as one")) == [{"one": 1}]
    await db.close()


async def test_a_reader_cannot_write(tmp_path):
    db = await filled(tmp_path / "x.db")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.engine._reader().execute("delete from s")
    await db.close()


@pytest.mark.parametrize("durable", [False, True])
async def test_durability_and_wal_are_as_asked(tmp_path, durable):
    db = Database(tmp_path / "x.db", durable=durable)
    connection = db.engine._connect_writer()
    assert connection.execute("pragma synchronous").fetchone() == (2 if durable else 1,)
    assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    assert connection.execute("pragma foreign_keys").fetchone() == (1,)
    connection.close()
    await db.close()


async def test_many_tasks_write_at_once(blog):
    async with blog() as db:

        async def writer(number):
            for turn in range(25):
                await db.from_("users").insert({"name": f"{number}-{turn}"})
                if turn % 5 == 0:
                    async with db.transaction() as tx:
                        if blog.engine == "postgres":  # where writers do not wait for each other by themselves
                            await tx.sql("lock table slugs")
                        row = await tx.from_("slugs").select("post_id").eq("slug", "n").single()
                        await tx.from_("slugs").upsert({"slug": "n", "post_id": (row or {"post_id": 0})["post_id"] + 1})

        await asyncio.gather(*(writer(number) for number in range(8)))
        assert (await db.from_("users").select(count="exact", head=True)).count == 200
        assert await db.from_("slugs").select("post_id").single() == {"post_id": 40}


async def test_threads_with_loops_of_their_own_share_a_database(tmp_path):
    db = await filled(tmp_path / "x.db", 1)
    failures = []

    async def work(number):
        for turn in range(20):
            await db.from_("s").insert({"x": number})
            await db.from_("s").select("x").eq("id", turn + 1).single()

    def run(number):
        try:
            asyncio.run(work(number))
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert failures == []
    assert (await db.from_("s").select(count="exact", head=True)).count == 161
    await db.close()


WRITER = textwrap.dedent("""
    import asyncio, sys
    from turnout.db import Database

    async def main():
        db = Database(sys.argv[1])
        for turn in range(150):
            await db.from_("s").insert({"x": 1})
            async with db.transaction() as tx:
                row = await tx.from_("s").select("x").eq("id", 1).single()
                await tx.from_("s").update({"x": row["x"] + 1}).eq("id", 1)
        await db.close()

    asyncio.run(main())
""")


async def test_processes_write_to_one_file_without_database_is_locked(tmp_path):
    db = await filled(tmp_path / "x.db", 1)
    workers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "x.db")], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for worker in workers:
        _, stderr = await asyncio.to_thread(worker.communicate)
        assert worker.returncode == 0, stderr.decode()
    assert await db.from_("s").select("x").eq("id", 1).single() == {"x": 450}
    assert (await db.from_("s").select(count="exact", head=True)).count == 451
    await db.close()


LEDGER = textwrap.dedent("""
    import asyncio, sys
    from turnout.db import Database

    async def main():
        db = Database(sys.argv[1], durable=True)
        while True:
            row = await db.from_("s").insert({"x": 1}).select("id").single()
            print(row["id"], flush=True)

    asyncio.run(main())
""")


async def test_an_acknowledged_write_survives_kill_9(tmp_path):
    db = await filled(tmp_path / "x.db", 1)
    for _ in range(4):
        writer = subprocess.Popen([sys.executable, "-c", LEDGER, str(tmp_path / "x.db")], stdout=subprocess.PIPE)
        acknowledged = [writer.stdout.readline() for _ in range(40)]
        writer.kill()
        acknowledged += writer.communicate()[0].splitlines(keepends=True)
        ids = [int(line) for line in acknowledged if line.endswith(b"\n")]
        assert len(ids) >= 40
        assert len(await db.from_("s").select("id").in_("id", ids)) == len(ids)
    assert await asyncio.to_thread(_integrity, tmp_path / "x.db") == ("ok",)
    await db.close()


def _integrity(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("pragma integrity_check").fetchone()
    finally:
        connection.close()


async def test_processes_that_create_one_file_at_once_all_open_it(tmp_path):
    script = "import asyncio, sys; from turnout.db import Database; Database(sys.argv[1]).engine.close()"
    for turn in range(3):
        command = [sys.executable, "-c", script, str(tmp_path / f"{turn}.db")]
        workers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
        for worker in workers:
            _, stderr = await asyncio.to_thread(worker.communicate)
            assert worker.returncode == 0, stderr.decode()


async def test_a_change_of_schema_by_another_process_is_noticed(tmp_path):
    db = await filled(tmp_path / "x.db", 1)
    assert await db.from_("s").select().eq("id", 1).single() == {"id": 1, "x": 0}
    other = sqlite3.connect(tmp_path / "x.db")
    other.execute("create table later (id integer primary key)")
    other.execute("alter table s rename column x to y")
    other.close()
    assert await db.from_("later").select() == []
    assert await db.from_("s").select().eq("id", 1).single() == {"id": 1, "y": 0}
    await db.close()


async def test_a_write_compiled_for_the_old_schema_is_compiled_again(tmp_path):
    db = await filled(tmp_path / "x.db", 1)
    await db.from_("s").update({"x": 1}).eq("id", 1).select()
    other = sqlite3.connect(tmp_path / "x.db")
    other.execute("alter table s rename column x to y")
    other.close()
    with pytest.raises(DbError) as caught:
        await db.from_("s").update({"x": 1}).eq("id", 1).select()
    assert caught.value.code == "PGRST204"
    await db.close()


async def test_a_closed_database_opens_again(tmp_path):
    db = await filled(tmp_path / "x.db", 2)
    await db.close()
    await db.close()
    assert len(await db.from_("s").select()) == 2
    await db.close()


async def test_a_memory_database_is_its_own():
    one, two = await filled(":memory:", 1), await filled(":memory:", 2)
    assert (len(await one.from_("s").select()), len(await two.from_("s").select())) == (1, 2)
    await one.close()
    await two.close()


async def test_configuring_the_same_place_again_keeps_what_is_in_memory():
    db = await filled(":memory:", 1)
    db.configure("sqlite://:memory:")
    assert len(await db.from_("s").select()) == 1
    await db.close()
    with pytest.raises(DbError):
        await db.from_("s").select()
    await db.close()


async def test_no_thread_outlives_close(tmp_path):
    before = set(threading.enumerate())  # another test's database may be open in this process
    db = await filled(tmp_path / "x.db")
    await db.from_("s").select()
    assert any("turnout-db" in thread.name for thread in set(threading.enumerate()) - before)
    await db.close()
    assert not any("turnout-db" in thread.name for thread in set(threading.enumerate()) - before)


def test_one_database_serves_several_loops_in_turn(tmp_path):
    db = Database(tmp_path / "x.db")

    async def work(turn):
        if turn == 0:
            await db.sql("create table s (id integer primary key, x int)")
        await db.from_("s").insert({"x": turn})
        return len(await db.from_("s").select())

    assert [asyncio.run(work(turn)) for turn in range(3)] == [1, 2, 3]
    asyncio.run(db.close())


BAD_PLACES = {
    "postgresql://u:secret@h:port/db": "a port that is no number",
    "mysql://h/db": "unknown scheme 'mysql'",
    "sqlite://host/x.db": "names a host",
    "sqlite:///": "is empty",
    "": "is empty",
}


@pytest.mark.parametrize("place", BAD_PLACES)
def test_a_bad_database_url_is_refused_with_a_cure(place):
    with pytest.raises(ConfigError, match=BAD_PLACES[place]) as caught:
        Database(place)
    assert caught.value.cure
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", [":memory:", "sqlite://:memory:", "sqlite:///x.db", "sqlite:////srv/x.db", "x.db"])
def test_a_database_url_names_a_place(url, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    expected = {"sqlite:////srv/x.db": Path("/srv/x.db")}.get(url, None if "memory" in url else tmp_path / "x.db")
    assert Database(url).path == expected


async def test_a_missing_folder_is_refused_with_a_cure(tmp_path):
    with pytest.raises(ConfigError, match="folder of the database does not exist") as caught:
        await Database(tmp_path / "data" / "x.db").from_("t").select()
    assert "mkdir" in caught.value.cure


async def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "x.db").write_bytes(b"not a database, and long enough to be seen as something else" * 20)
    with pytest.raises(ConfigError, match="cannot be opened"):
        await Database(tmp_path / "x.db").from_("t").select()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="read-only"):
        await Database(tmp_path / "x.db").from_("t").select()


async def test_an_unconfigured_database_says_what_to_do():
    with pytest.raises(ConfigError, match="not configured") as caught:
        await Database().from_("t").select()
    assert "configure(" in caught.value.cure


async def test_the_package_itself_answers_as_db(tmp_path):
    configure(f"sqlite:///{tmp_path}/x.db", durable=False)
    try:
        await bound.sql("create table t (id integer primary key)")
        await bound.table("t").insert({})
        async with bound.transaction() as tx:
            await tx.from_("t").insert({})
        assert await bound.from_("t").select() == [{"id": 1}, {"id": 2}]
    finally:
        await bound.close()


async def test_the_disk_being_full_is_503_and_passes(tmp_path):
    db = await filled(tmp_path / "x.db", 1)
    pages = await db.engine._writer.run(lambda c, job: c.execute("pragma max_page_count = 4").fetchone()[0])
    assert pages >= 1
    with pytest.raises(DbError) as caught:
        await db.from_("s").insert([{"x": number} for number in range(20_000)])
    assert (caught.value.code, caught.value.status, caught.value.retryable) == ("53100", 503, True)
    assert len(await db.from_("s").select()) == 1
    await db.engine._writer.run(lambda c, job: c.execute("pragma max_page_count = 1000000").fetchone())
    assert (await db.from_("s").insert({"x": 2})).count == 1
    await db.close()
