"""How long reading through ``db`` takes, beside the drivers alone: SQLite and PostgreSQL.

Run:     python benchmarks/db.py            (about 40 s, one core; postgres or sqlite alone as an argument)
Prints:  what is read, by whom, microseconds: median and half the spread of 7
         rounds, and the ratio to the driver. The driver's rows are made into
         dicts too. The aim is a point read of at most 2.5 times sqlite3, and of
         at most 1.25 times asyncpg behind a pool that, as ours, does not reset
         its connections. The rounds of two contenders alternate.
         Compare ratios of one run only. The file is in the page cache and the
         server on this machine, so nothing here is about disks or networks.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from turnout.db import Database

NAMES = ("id", "title", "views", "published", "body")
TABLE = """create table posts (id integer primary key, title text not null, views integer not null default 0,
    published boolean not null default false, body text)"""
COLUMNS = "id, title, views, published, body"
ONE = f"select {COLUMNS} from posts where id = "
TEN = f"select {COLUMNS} from posts order by id limit "
Contender = tuple[str, Callable[[], Awaitable[Any]]]


async def fill(db: Database) -> None:
    """A thousand rows in one table."""
    await db.sql(TABLE)
    rows = [{"id": n, "title": f"title {n}", "body": "x" * 50} for n in range(1, 1_001)]
    await db.from_("posts").insert(rows)


def built(db: Database) -> tuple[Callable[[], Awaitable[Any]], Callable[[], Awaitable[Any]]]:
    """A point read and a page of ten through *db*."""

    def one() -> Awaitable[Any]:
        return db.from_("posts").select(COLUMNS).eq("id", 7).single()

    def ten() -> Awaitable[Any]:
        return db.from_("posts").select(COLUMNS).order("id").range(20, 29)

    return one, ten


async def sqlite(loops: int = 10_000) -> None:
    """SQLite: a file, and the driver on the same thread."""
    with tempfile.TemporaryDirectory() as folder:
        db = Database(Path(folder) / "bench.db")
        await fill(db)
        driver = sqlite3.connect(Path(folder) / "bench.db", isolation_level=None)

        async def raw_one() -> dict[str, Any]:
            return dict(zip(NAMES, driver.execute(ONE + "?", (7,)).fetchone(), strict=True))

        async def raw_ten() -> list[dict[str, Any]]:
            found = driver.execute(TEN + "? offset ?", (10, 20)).fetchall()
            return [dict(zip(NAMES, row, strict=True)) for row in found]

        one, ten = built(db)
        await compare("one row", [("sqlite3", raw_one), ("db", one)], loops)
        await compare("ten rows", [("sqlite3", raw_ten), ("db", ten)], loops)
        driver.close()
        await db.close()


async def postgres(loops: int = 2_000) -> None:
    """PostgreSQL: a server on this machine, and the driver behind a pool that does not reset."""
    import asyncpg

    async with server() as url:
        db = Database(url)
        await fill(db)

        async def leave(connection: Any) -> None:
            pass

        pool = await asyncpg.create_pool(url, min_size=1, max_size=10, reset=leave)
        resetting = await asyncpg.create_pool(url, min_size=1, max_size=10)

        async def raw_one() -> dict[str, Any]:
            async with pool.acquire() as connection:
                return dict(await connection.fetchrow(ONE + "$1", 7))

        async def default_one() -> dict[str, Any]:
            async with resetting.acquire() as connection:
                return dict(await connection.fetchrow(ONE + "$1", 7))

        async def raw_ten() -> list[dict[str, Any]]:
            async with pool.acquire() as connection:
                return [dict(row) for row in await connection.fetch(TEN + "$1 offset $2", 10, 20)]

        one, ten = built(db)

        async def by_sql() -> Any:
            return await db.sql(ONE + ":id", id=7).single()  # type: ignore[arg-type]

        await compare("one row", [("asyncpg", raw_one), ("db", one), ("db.sql", by_sql), ("reset", default_one)], loops)
        await compare("ten rows", [("asyncpg", raw_ten), ("db", ten)], loops)
        await pool.close()
        await resetting.close()
        await db.close()


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """A PostgreSQL of its own, for as long as it is used."""
    from turnout.db.local import LocalPostgres

    folder = Path(tempfile.mkdtemp(prefix="turnout-pg-"))
    own = LocalPostgres(folder)
    try:
        own.start()
        yield own.url()
    finally:
        own.stop()
        shutil.rmtree(folder)


async def compare(what: str, contenders: list[Contender], loops: int, rounds: int = 7) -> None:
    """Time each of *contenders*, the first of which the others are compared with."""
    answers = [await call() for _, call in contenders]
    assert all(answer == answers[0] for answer in answers), answers  # False equals 0
    times: dict[str, list[float]] = {who: [] for who, _ in contenders}
    for _ in range(rounds):
        for who, call in contenders:
            times[who].append(await timed(call, loops))
    base = statistics.median(times[contenders[0][0]])
    for who, found in times.items():
        middle, spread = statistics.median(found), (max(found) - min(found)) / 2
        suffix = f"  {middle / base:.2f}x" if who != contenders[0][0] else ""
        print(f"{what:<9} {who:<8} {middle:>7.1f} ±{spread:.1f}{suffix}", flush=True)


async def timed(call: Callable[[], Awaitable[Any]], loops: int) -> float:
    """Microseconds of one *call*."""
    start = time.perf_counter()
    for _ in range(loops):
        await call()
    return (time.perf_counter() - start) / loops * 1e6


async def main(which: list[str]) -> None:
    """Run what was asked for, or both."""
    for name, run in (("sqlite", sqlite), ("postgres", postgres)):
        if not which or name in which:
            print(name)
            await run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
