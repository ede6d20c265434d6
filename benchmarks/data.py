"""What reading through ``db`` costs, beside the drivers alone, and how long one query holds up the event loop.

Run:     python -m benchmarks.data          (about 60 s, one core; or: sqlite, postgres, policies, loop)
Prints:  what is read, by whom, microseconds: the median of a round's reads, of 7 rounds the median and half
         the spread, the ratio to the driver (and of the least of each, which a busy machine changes less),
         and the target (the design's, not a limit of the program). The driver's rows are made into dicts too;
         the pool beside PostgreSQL does not reset its connections, as ours does not; "reset" is one that
         does, as asyncpg's pools do unless told. The rounds of contenders alternate, so compare ratios of one
         run only. The file is in the page cache and the server on this machine: nothing here is about disks
         or networks. Of the loop: how long each step of a query kept it: by the clock; what of that may be
         ours; and CPU time of the loop's thread. Ours is not the time in which that thread was ready and had
         no core (Linux counts it), nor in which none of our threads ran, so that none can have kept the
         interpreter's lock from it: then other programs had the machine. Beside them is how late another
         process wakes that does nothing but sleep for milliseconds.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from turnout.db import Database, Scope
from turnout.db.rls import bootstrap
from turnout.server.worker import loop_factory

NAMES = ("id", "title", "views", "published", "body")
TABLE = """create table posts (id integer primary key, title text not null, views integer not null default 0,
    published boolean not null default false, body text)"""
COLUMNS = "id, title, views, published, body"
ONE = f"select {COLUMNS} from posts where id = "
BY_HAND = "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)"
TEN = f"select {COLUMNS} from posts order by id limit "
Contender = tuple[str, Callable[[], Awaitable[Any]]]
Targets = dict[str, float]


async def fill(db: Database, rows: int = 1_000) -> None:
    """One table with *rows* rows."""
    await db.sql(TABLE)
    await db.from_("posts").insert([{"id": n, "title": f"title {n}", "body": "x" * 50} for n in range(1, rows + 1)])


def built(db: Any) -> tuple[Callable[[], Awaitable[Any]], Callable[[], Awaitable[Any]]]:
    """A point read and a page of ten through *db*."""

    def one() -> Awaitable[Any]:
        return db.from_("posts").select(COLUMNS).eq("id", 7).single()  # type: ignore[no-any-return]

    def ten() -> Awaitable[Any]:
        return db.from_("posts").select(COLUMNS).order("id").range(20, 29)  # type: ignore[no-any-return]

    return one, ten


def pooled(pool: Any) -> Callable[[], Awaitable[Any]]:
    """The same row by the driver alone, with a connection of *pool*."""

    async def one() -> dict[str, Any]:
        async with pool.acquire() as connection:
            return dict(await connection.fetchrow(ONE + "$1", 7))

    return one


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
        await compare("one row", [("sqlite3", raw_one), ("db", one)], loops, {"db": 2.5})
        await compare("ten rows", [("sqlite3", raw_ten), ("db", ten)], loops)
        driver.close()
        await db.close()


async def postgres(loops: int = 2_000) -> None:
    """PostgreSQL: a server on this machine, and the driver behind a pool that does not reset."""
    import asyncpg

    async with server() as url:
        db = Database(url)
        await fill(db)
        pool = await asyncpg.create_pool(url, min_size=1, max_size=10, reset=_leave)
        resetting = await asyncpg.create_pool(url, min_size=1, max_size=10)

        async def raw_ten() -> list[dict[str, Any]]:
            async with pool.acquire() as connection:
                return [dict(row) for row in await connection.fetch(TEN + "$1 offset $2", 10, 20)]

        one, ten = built(db)

        async def by_sql() -> Any:
            return await db.sql(ONE + ":id", id=7).single()  # type: ignore[arg-type]

        contenders = [("asyncpg", pooled(pool)), ("db", one), ("db.sql", by_sql), ("reset", pooled(resetting))]
        await compare("one row", contenders, loops, {"db": 1.25})
        await compare("ten rows", [("asyncpg", raw_ten), ("db", ten)], loops)
        await pool.close()
        await resetting.close()
        await db.close()


async def policies(loops: int = 1_000) -> None:
    """Row-level security on PostgreSQL: a transaction with the user's role and claims, beside a pooled read."""
    import asyncpg

    user = Scope("authenticated", {"sub": "00000000-0000-4000-8000-000000000001"})
    async with server() as url:
        db = Database(url)
        await bootstrap(db)
        await fill(db)
        for statement in (
            "alter table posts enable row level security",
            "grant select on posts to authenticated",
            "create policy all_rows on posts for select to authenticated using (auth.uid() is not null)",
        ):
            await db.sql(statement)  # type: ignore[arg-type]
        one, _ = built(db)
        scoped, _ = built(db.scoped(user))
        pool = await asyncpg.create_pool(url, min_size=1, max_size=10, reset=_leave)
        resetting = await asyncpg.create_pool(url, min_size=1, max_size=10)

        async def by_hand() -> dict[str, Any]:
            async with pool.acquire() as connection:
                await connection.execute("begin read only")
                await connection.fetchval(BY_HAND, user.role, msgspec.json.encode(user.claims).decode())
                row = await connection.fetchrow(ONE + "$1", 7)
                await connection.execute("commit")
                return dict(row)

        contenders = [("db", one), ("scoped", scoped), ("asyncpg", by_hand), ("reset", pooled(resetting))]
        await compare("one row", contenders, loops, {"scoped": 3.0})
        await pool.close()
        await resetting.close()
        await db.close()


async def loop(readers: int = 100, queries: int = 200) -> None:
    """How long one step of one query keeps the loop: point reads, pages, counts, long answers and scans at once."""
    with tempfile.TemporaryDirectory() as folder:
        db = Database(Path(folder) / "bench.db")
        await fill(db, 9_000)
        one, ten = built(db)
        kinds: list[Callable[[], Any]] = [
            *[one] * 12,
            *[ten] * 5,
            lambda: db.from_("posts").select(count="exact", head=True).gt("views", -1),
            lambda: db.from_("posts").select().lt("id", 2_000),
            lambda: db.from_("posts").select("id").ilike("body", "%nowhere%"),
        ]
        steps = Steps()

        async def reader(number: int) -> None:
            for turn in range(queries):
                await steps.of(kinds[(number * 7 + turn) % len(kinds)]())

        gc.collect()
        gc.freeze()  # as a worker does once it has loaded
        with sleeper() as said:
            await asyncio.gather(*(reader(number) for number in range(readers)))
        await db.close()
    late_s = [float(word) for word in said[0].split()]
    for name, found in (("clock", steps.clock_s), ("ours", steps.ours_s), ("CPU", steps.cpu_s), ("idle", late_s)):
        found.sort()
        p50, p999, most = found[len(found) // 2], found[int(len(found) * 0.999)], found[-1]
        shown = f"p99.9 {p999 * 1e3:.2f} ms, most {most * 1e3:.2f}"
        target = f"  target 5 ms: {'met' if p999 <= 0.005 else 'missed'}" if name != "idle" else ""
        print(f"{len(found):,} {'wakes' if name == 'idle' else 'steps'}  {name:<8} {p50 * 1e6:>7.1f}  {shown}{target}")


# Until its standard input ends, and then how late each waking was.
WAKES = """
import select, sys, time
late = []
while True:
    due = time.perf_counter() + 0.001
    if select.select([sys.stdin], [], [], 0.001)[0]:
        break
    late.append(time.perf_counter() - due)
print(*late)
"""


@contextmanager
def sleeper() -> Iterator[list[bytes]]:
    """A process that runs WAKES meanwhile; the list has what it said when it is over."""
    said: list[bytes] = []
    with subprocess.Popen([sys.executable, "-c", WAKES], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield said
        said.append(process.communicate()[0])


class Steps:
    """How long each step of the awaitables ran, between two waits."""

    def __init__(self) -> None:
        self.clock_s: list[float] = []
        self.ours_s: list[float] = []
        self.cpu_s: list[float] = []
        try:
            self._waits = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        except OSError:  # not on Linux
            self._waits = -1

    async def of(self, query: Any) -> Any:
        """Await *query*."""
        return await _Timed(query, self)

    def step(self, run: Generator[Any, Any, Any]) -> Any:
        """One step of *run*, noted."""
        whole, waited, threads = time.perf_counter(), self._waited_s(), time.process_time()
        clock, cpu = time.perf_counter(), time.thread_time()
        try:
            return next(run)
        finally:
            self.cpu_s.append(time.thread_time() - cpu)
            self.clock_s.append(time.perf_counter() - clock)
            threads, waited = time.process_time() - threads, self._waited_s() - waited
            self.ours_s.append(min(threads, time.perf_counter() - whole - waited))

    def _waited_s(self) -> float:
        """For how long this thread has been ready to run, and no core was free."""
        return int(os.pread(self._waits, 64, 0).split()[1]) / 1e9 if self._waits >= 0 else 0.0


class _Timed:
    def __init__(self, query: Any, steps: Steps) -> None:
        self.query, self.steps = query, steps

    def __await__(self) -> Generator[Any, Any, Any]:
        run = self.query.__await__()
        while True:
            try:
                waits_for = self.steps.step(run)
            except StopIteration as end:
                return end.value
            yield waits_for


async def _leave(connection: Any) -> None:
    pass


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


async def compare(
    what: str, contenders: list[Contender], loops: int, targets: Targets | None = None, rounds: int = 7
) -> None:
    """Time each of *contenders*; the others are compared with the first, and with their *targets*."""
    answers = [await call() for _, call in contenders]
    assert all(answer == answers[0] for answer in answers), answers  # False equals 0
    times: dict[str, list[float]] = {who: [] for who, _ in contenders}
    for _ in range(rounds):
        for who, call in contenders:
            times[who].append(await timed(call, loops))
    base, least = statistics.median(times[contenders[0][0]]), min(times[contenders[0][0]])
    for who, found in times.items():
        middle, spread = statistics.median(found), (max(found) - min(found)) / 2
        suffix = f"  {middle / base:.2f}x (least {min(found) / least:.2f}x)" if who != contenders[0][0] else ""
        if targets and who in targets:
            suffix += f"  target {targets[who]:.2f}x: {'met' if middle / base <= targets[who] else 'missed'}"
        print(f"{what:<9} {who:<8} {middle:>7.1f} ±{spread:.1f}{suffix}", flush=True)


async def timed(call: Callable[[], Awaitable[Any]], loops: int) -> float:
    """Microseconds of one *call*: the median, since the few that other programs hold up are not what one takes."""
    took, clock = [], time.perf_counter
    for _ in range(loops):
        start = clock()
        await call()
        took.append(clock() - start)
    return statistics.median(took) * 1e6


async def main(which: list[str]) -> None:
    """Run what was asked for, or all."""
    for run in (sqlite, postgres, policies, loop):
        if not which or run.__name__ in which:
            print(run.__name__)
            await run()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:  # the loop that a worker has
        runner.run(main(sys.argv[1:]))
