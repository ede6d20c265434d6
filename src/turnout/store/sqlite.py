"""A store in one SQLite file, for the workers of one machine.

A file of its own, so that counting never waits for the writer of the project's database. All work
runs on one thread with one connection: a write waits for other processes, and the event loop must
not. Every write takes the lock first and looks at the clock then; the other way round, a process
that had waited for the lock would judge by a time that the others had left behind.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from .contract import StoreUnavailable, Taken, add_to, check
from .memory import Inbox, monotonic_us

T = TypeVar("T")

LOCK_S = 1.0  # for other processes to finish their writes
OPEN_S = 5.0  # for another process to make the file, which a busy disk may take its time over
POLL_S = 0.015
SWEEP_S = 30.0
KEPT_S = 60.0  # a message: far longer than any poll takes

_TABLES = """
create table if not exists entries (key text primary key, value blob not null, ends_at integer) without rowid;
create table if not exists used (key text primary key, until integer not null) without rowid;
create table if not exists messages (
    id integer primary key autoincrement, channel text not null, message blob not null, sent_at integer not null
);
"""


def wall_us() -> int:
    """Microseconds since 1970: what a value's end is kept in, since it outlives a restart of the machine."""
    return time.time_ns() // 1000


class Sqlite:
    """See the module.

    Args:
        path: The file; made if it is not there.
        clock_us: For the ends of values, in microseconds.
        steady_us: For limits; a clock that nobody sets and that all processes of the machine share.
    """

    def __init__(
        self, path: Path, clock_us: Callable[[], int] = wall_us, steady_us: Callable[[], int] = monotonic_us
    ) -> None:
        self._path, self._clock, self._steady = path, clock_us, steady_us
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._swept = 0.0
        self._listener: _Listener | None = None

    # -- values

    async def get(self, key: str) -> bytes | None:
        """The value of *key*; None where it is absent or over its time."""
        check(key)
        return await self._run(lambda connection: self._get(connection, key))

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Write *value*, for *ttl_s* seconds or until it is deleted."""
        check(key, value, ttl_s)
        await self._write(lambda connection: self._put(connection, key, value, ttl_s))

    async def add(self, key: str, value: bytes, ttl_s: float | None = None) -> bool:
        """Write *value* if *key* is absent; whether it was."""
        return await self.compare_and_set(key, None, value, ttl_s)

    async def increment(self, key: str, by: int = 1, ttl_s: float | None = None) -> int:
        """Add *by* to the whole number at *key* and return the sum."""
        check(key, None, ttl_s)

        def work(connection: sqlite3.Connection) -> int:
            old = self._get(connection, key)
            total = add_to(old, by)
            if old is None:
                self._put(connection, key, b"%d" % total, ttl_s)
            else:
                connection.execute("update entries set value = ? where key = ?", (b"%d" % total, key))
            return total

        return await self._write(work)

    async def compare_and_set(self, key: str, old: bytes | None, new: bytes, ttl_s: float | None = None) -> bool:
        """Write *new* if the value is *old* (None: absent); whether it was."""
        check(key, new, ttl_s)

        def work(connection: sqlite3.Connection) -> bool:
            if self._get(connection, key) != old:
                return False
            self._put(connection, key, new, ttl_s)
            return True

        return await self._write(work)

    async def delete(self, key: str) -> bool:
        """Remove *key*; whether it was there."""
        check(key)

        def work(connection: sqlite3.Connection) -> bool:
            found = self._get(connection, key) is not None
            connection.execute("delete from entries where key = ?", (key,))
            return found

        return await self._write(work)

    def _get(self, connection: sqlite3.Connection, key: str) -> bytes | None:
        row = connection.execute(
            "select value from entries where key = ? and (ends_at is null or ends_at > ?)", (key, self._clock())
        ).fetchone()
        return None if row is None else bytes(row[0])

    def _put(self, connection: sqlite3.Connection, key: str, value: bytes, ttl_s: float | None) -> None:
        end = None if ttl_s is None else self._clock() + round(ttl_s * 1e6)
        connection.execute("insert or replace into entries values (?, ?, ?)", (key, value, end))

    # -- limits

    async def take(self, key: str, interval_us: int, limit: int, cost: int = 1) -> Taken:
        """One step of GCRA; see the contract."""
        check(key)
        room = interval_us * limit

        def work(connection: sqlite3.Connection) -> Taken:
            now = self._steady()
            row = connection.execute("select until from used where key = ?", (key,)).fetchone()
            # Farther ahead than the limit allows: it was written before the machine, and its clock, began anew.
            until = row[0] if row is not None and now < row[0] <= now + room else now
            after: int = until + cost * interval_us
            if after - now > room:
                return Taken(False, until - now)
            connection.execute("insert or replace into used values (?, ?)", (key, after))
            return Taken(True, after - now)

        return await self._write(work)

    # -- messages

    async def publish(self, channel: str, message: bytes) -> None:
        """Hand *message* to everybody who is subscribed to *channel* now, in any process."""
        check(channel, message)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "insert into messages (channel, message, sent_at) values (?, ?, ?)", (channel, message, self._clock())
            )

        await self._write(work)

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """``async with store.subscribe("news") as messages``."""
        check(channel)
        if self._listener is None:
            self._listener = _Listener(self)
        listener = self._listener
        inbox = await listener.add(channel)
        try:
            yield inbox
        finally:
            if listener.remove(channel, inbox) and self._listener is listener:
                self._listener = None

    async def messages_after(self, last: int | None) -> list[tuple[int, str, bytes]]:
        """For the listener: messages in order; with None, only the last that there is."""

        def work(connection: sqlite3.Connection) -> list[tuple[int, str, bytes]]:
            if last is None:
                statement, values = "select id, channel, message from messages order by id desc limit 1", ()
                return connection.execute(statement, values).fetchall()
            return connection.execute(
                "select id, channel, message from messages where id > ? order by id", (last,)
            ).fetchall()

        return await self._run(work)

    # -- the thread

    async def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._listener is not None:
            self._listener.end(ConnectionError("the store was closed"))
            self._listener = None
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._shut)
            thread.shutdown(wait=False)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of *work* on the thread."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "turnout-store")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of *work* in a transaction that excludes every other process."""

        def within(connection: sqlite3.Connection) -> T:
            _patiently(lambda: connection.execute("begin immediate"), LOCK_S)
            try:
                result = work(connection)
                self._sweep(connection)
                connection.execute("commit")
            except BaseException:
                connection.execute("rollback")
                raise
            return result

        return await self._run(within)

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = _patiently(lambda: _open(self._path), OPEN_S)
            return work(self._connection)
        except (sqlite3.Error, OSError) as exc:
            if not _is_busy(exc):
                self._shut()  # the file may be gone or broken: begin with it anew
            raise StoreUnavailable() from OSError(f"{self._path}: {exc}")

    def _shut(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _sweep(self, connection: sqlite3.Connection) -> None:
        """Now and then, drop what is over its time."""
        if (started := time.monotonic()) - self._swept < SWEEP_S:
            return
        self._swept, now = started, self._clock()
        connection.execute("delete from entries where ends_at <= ?", (now,))
        connection.execute("delete from used where until <= ?", (self._steady(),))
        # The last one stays: a listener that begins reads from it on.
        connection.execute(
            "delete from messages where sent_at <= ? and id < (select max(id) from messages)",
            (now - round(KEPT_S * 1e6),),
        )


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(exist_ok=True)  # data/, but not a whole path that somebody mistyped
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # Waiting is done by _patiently: SQLite's own sleeps up to 0.1 s for a lock that is held for 20 µs.
        connection.execute("pragma busy_timeout = 0")
        connection.execute("pragma journal_mode = wal")
        # After a power cut the last counts may be missing; the file is whole.
        connection.execute("pragma synchronous = normal")
        for statement in _TABLES.split(";"):
            connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_busy(exc: Exception) -> bool:
    """Whether another process has the lock."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _patiently(step: Callable[[], T], wait_s: float) -> T:
    """What *step* gives, tried again while another process has the lock."""
    give_up = time.monotonic() + wait_s
    while True:
        try:
            return step()
        except sqlite3.OperationalError as exc:
            if not _is_busy(exc) or time.monotonic() > give_up:
                raise
            time.sleep(random.uniform(0.00005, 0.0005))


class _Listener:
    """Reads new messages from the file and hands them out; one for all subscriptions of a process."""

    def __init__(self, store: Sqlite) -> None:
        self._store = store
        self._inboxes: dict[str, set[Inbox]] = {}
        self._last: int | None = None
        self._reading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def add(self, channel: str) -> Inbox:
        """A place for what is published from now on."""
        # What is there already is not for this subscriber: it is handed out before it joins.
        await self._read()
        inbox = Inbox()
        self._inboxes.setdefault(channel, set()).add(inbox)
        if self._task is None:
            self._task = asyncio.create_task(self._poll())
        return inbox

    def remove(self, channel: str, inbox: Inbox) -> bool:
        """Forget *inbox*; True if it was the last."""
        self._inboxes[channel].discard(inbox)
        if any(self._inboxes.values()):
            return False
        self.end(ConnectionError("nobody listens"))
        return True

    def end(self, why: BaseException) -> None:
        """Stop; every subscriber is told that it may miss something."""
        if self._task is not None:
            self._task.cancel()
        for inbox in [inbox for inboxes in self._inboxes.values() for inbox in inboxes]:
            inbox.end(why)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self._read()
            except Exception as exc:
                self.end(exc)
                return

    async def _read(self) -> None:
        async with self._reading:
            rows = await self._store.messages_after(self._last)
            if not rows:
                self._last = self._last or 0
                return
            first, known, self._last = rows[0][0], self._last, rows[-1][0]
            if known is None:
                return
            if first != known + 1:
                raise LookupError("messages were dropped before they could be read")
            for _, channel, message in rows:
                for inbox in tuple(self._inboxes.get(channel, ())):
                    inbox.put(bytes(message))
