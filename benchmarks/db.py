"""How long reading from SQLite takes through ``db``, beside the driver alone.

Run:     python benchmarks/db.py            (about 8 s, one core)
Prints:  what is read, by whom, microseconds: median and half the spread of 7
         rounds, and the ratio to the driver. The driver's rows are made into
         dicts too. The aim is a point read of at most 2.5 times the driver.
         Compare ratios of one run only; the file is in the page cache, so
         nothing here is about disks.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from turnout.db import Database

NAMES = ("id", "title", "views", "published", "body")
TABLE = """create table posts (id integer primary key, title text not null, views integer not null default 0,
    published boolean not null default false, body text)"""
ONE = "select id, title, views, published, body from posts where id = ?"
TEN = "select id, title, views, published, body from posts order by id limit ? offset ?"


async def main(loops: int = 10_000, rounds: int = 7) -> None:
    """Print a line for each way of reading."""
    with tempfile.TemporaryDirectory() as folder:
        db = Database(Path(folder) / "bench.db")
        await db.sql(TABLE)
        await db.from_("posts").insert([{"title": f"title {number}", "body": "x" * 50} for number in range(1_000)])
        driver = sqlite3.connect(Path(folder) / "bench.db", isolation_level=None)

        def driver_one() -> dict[str, object]:
            return dict(zip(NAMES, driver.execute(ONE, (7,)).fetchone(), strict=True))

        def driver_ten() -> list[dict[str, object]]:
            return [dict(zip(NAMES, row, strict=True)) for row in driver.execute(TEN, (10, 20)).fetchall()]

        def db_one() -> Awaitable[object]:
            return db.from_("posts").select("id, title, views, published, body").eq("id", 7).single()

        def db_ten() -> Awaitable[object]:
            return db.from_("posts").select("id, title, views, published, body").order("id").range(20, 29)

        assert await db_one() == driver_one()  # False equals 0
        assert await db_ten() == driver_ten()
        for what, raw, ours in (("one row", driver_one, db_one), ("ten rows", driver_ten, db_ten)):
            alone = [_time(raw, loops) for _ in range(rounds)]
            built = [await _time_await(ours, loops) for _ in range(rounds)]
            ratio = statistics.median(built) / statistics.median(alone)
            for who, times in (("sqlite3", alone), ("db", built)):
                spread = (max(times) - min(times)) / 2
                suffix = f"  {ratio:.2f}x" if who == "db" else ""
                print(f"{what:<9} {who:<8} {statistics.median(times):>7.1f} ±{spread:.1f}{suffix}")
        driver.close()
        await db.close()


def _time(call: Callable[[], object], loops: int) -> float:
    start = time.perf_counter()
    for _ in range(loops):
        call()
    return (time.perf_counter() - start) / loops * 1e6


async def _time_await(call: Callable[[], Awaitable[object]], loops: int) -> float:
    start = time.perf_counter()
    for _ in range(loops):
        await call()
    return (time.perf_counter() - start) / loops * 1e6


if __name__ == "__main__":
    asyncio.run(main())
