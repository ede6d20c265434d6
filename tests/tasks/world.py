"""A project whose orders enqueue a task each, on SQLite or PostgreSQL, served by real workers."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults.load import Answer, Client, request

from turnout.db import Database

# DBOS takes a Python of 3.12 or later to have it.
TOO_OLD = sys.version_info >= (3, 12) and sqlite3.sqlite_version_info < (3, 42)

TABLES = (
    "create table orders (n integer primary key)",
    "create table effects (n integer primary key, times integer not null)",
    "create table runs (n integer not null, pid integer not null, attempt integer not null)",
    "create table ticks (due text not null)",
)

FILES = {
    "pyproject.toml": '[tool.turnout]\nallowed_hosts = ["localhost", "127.0.0.1"]\n\n'
    "[tool.turnout.server]\ndrain_delay_s = 0.1\ndrain_s = 5\nheartbeat_s = 0.2\n",
    "lib/tasks.py": """
import asyncio
import os
import time
from collections import Counter

from turnout import db, task

COUNT = "insert into effects values (:n, 1) on conflict (n) do update set times = effects.times + 1"
tries = Counter()


@task(retries=8, backoff_s=0.05)
async def ship(n: int) -> None:
    tries[n] += 1
    await db.from_("runs").insert({"n": n, "pid": os.getpid(), "attempt": tries[n]})
    await asyncio.sleep(0.02)
    if n % 7 == 0 and tries[n] == 1:
        raise ValueError("the carrier is away")
    await db.sql(COUNT, n=n)


@task(retries=1, backoff_s=0.05)
def fail(word: str) -> None:
    raise LookupError(f"no {word}")


@task
async def sleep(seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        print("cancelled while it ran", flush=True)
        raise


@task
async def linger(n: int, seconds: float) -> None:
    await db.from_("runs").insert({"n": n, "pid": os.getpid(), "attempt": 1})
    await asyncio.sleep(seconds)
    await db.sql(COUNT, n=n)


@task(cron="* * * * * *")
async def tick() -> None:
    await db.from_("ticks").insert({"due": str(int(time.time()))})
""",
    "app/api/orders/route.py": """
from lib.tasks import ship
from turnout import Conflict, Response, db


async def POST(body: dict):
    n = body["n"]
    async with db.transaction() as tx:
        await tx.from_("orders").insert({"n": n}, only=["n"])
        number = await ship.enqueue(n, idempotency_key=f"order {n}")
        if body.get("refuse"):
            raise Conflict("sold out")
    return Response.json({"task": number}, status=201)
""",
    "app/api/any/route.py": """
from lib.tasks import fail, linger, sleep


async def POST(body: dict):
    task = {"fail": fail, "linger": linger, "sleep": sleep}[body["task"]]
    return {"task": await task.enqueue(*body["args"], delay=body.get("delay", 0))}
""",
}


def make(root: Path, url: str | None = None) -> Path:
    """The project in *root*, with its tables in SQLite, or in the PostgreSQL at *url*."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "data").mkdir()

    async def tables() -> None:
        db = Database(url or root / "data/app.db")
        for statement in TABLES:
            await db.sql(statement)  # type: ignore[arg-type]
        await db.close()

    asyncio.run(tables())
    return root


def rows(place: str | Path, statement: str) -> list[dict[str, Any]]:
    """What the database says, from outside."""

    async def read() -> list[dict[str, Any]]:
        db = Database(place)
        try:
            return list(await db.sql(statement))  # type: ignore[arg-type]
        finally:
            await db.close()

    return asyncio.run(read())


def put(port: int, task: str, *args: Any, **more: Any) -> str:
    """Enqueue a task by its name; gives its id."""

    async def ask() -> Answer:
        client = await Client.connect(port)
        try:
            words = json.dumps({"task": task, "args": args, **more}).encode()
            return await client.ask(request("/api/any", words))
        finally:
            client.close()

    answer = asyncio.run(ask())
    assert answer.status == 200
    return answer.json["task"]  # type: ignore[no-any-return]


def until(true: Callable[[], Any], what: str, limit_s: float = 90.0) -> Any:
    """The first true value of *true*."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if value := true():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {limit_s:.0f} s: {what}")
