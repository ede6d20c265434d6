"""Who waits for a connection of a pool, and how one that is free comes to the next of them.

A pool takes a connection back and gives it out again in some hundred steps of Python: a proxy, two
futures, timers, time limits. Where callers wait for each other, the connection of one that is done
goes straight to the next in line instead, and one timer watches over all that wait. The pool still
opens connections, closes them, replaces those that break, and has them whenever nobody waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

# How many owners a connection may have before the pool sees it again, which also counts its queries.
MAX_TURNS = 1_000


class Lease:
    """The right to use one connection of a pool, and the connection once there is one."""

    __slots__ = ("connection", "line", "turns")

    def __init__(self, line: Line) -> None:
        self.line = line
        self.connection: Any = None
        self.turns = 0


class Line:
    """The callers of one pool, in the order they came; all of one event loop.

    Args:
        pool: The driver's.
        size: How many connections it may have.
    """

    __slots__ = ("_loop", "_out", "_timer", "_waiting", "pool", "size")

    def __init__(self, pool: Any, size: int) -> None:
        self.pool, self.size = pool, size
        self._loop = asyncio.get_running_loop()
        self._out = 0  # leases, waiting for a connection to be made included
        self._waiting: deque[tuple[float, asyncio.Future[Lease]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def lease(self, limit_s: float) -> Lease:
        """A connection, or TimeoutError after *limit_s* seconds.

        Raises:
            Exception: the driver's, if a connection had to be made and could not.
        """
        if self._out < self.size and _has_room(self.pool):
            # Nothing to wait for but perhaps a connection being made, which has a limit of its own.
            self._out += 1
            lease = Lease(self)
            try:
                lease.connection = await self.pool.acquire()
            except BaseException:
                self._pass_on(lease)
                raise
            return lease
        deadline = self._loop.time() + limit_s
        lease = await self._wait(deadline)
        if lease.connection is None:
            try:
                async with asyncio.timeout_at(deadline):
                    lease.connection = await self.pool.acquire()
            except BaseException:
                self._pass_on(lease)
                raise
        return lease

    async def _wait(self, deadline: float) -> Lease:
        if self._out < self.size:
            self._out += 1
            return Lease(self)
        future: asyncio.Future[Lease] = self._loop.create_future()
        self._waiting.append((deadline, future))
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._expire)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                await self.give_back(future.result())  # it came in the moment that its owner left
            raise

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._waiting:
            deadline, future = self._waiting[0]
            if not future.done():
                if deadline > now:
                    self._timer = self._loop.call_at(deadline, self._expire)
                    return
                future.set_exception(TimeoutError())
            self._waiting.popleft()

    def _pass_on(self, lease: Lease) -> bool:
        """Whether somebody waited for *lease*, who has it now; if not, it is over."""
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(lease)
                return True
        if lease.connection is None:
            self._out -= 1
        return False

    async def give_back(self, lease: Lease) -> None:
        """End a lease on whose connection all went well, if it has one."""
        lease.turns += 1
        if lease.connection is None:
            self._pass_on(lease)
            return
        if self._waiting and lease.turns < MAX_TURNS and _is_open(lease.connection) and self._pass_on(lease):
            return
        connection, lease.connection, lease.turns = lease.connection, None, 0
        try:
            await _release(self.pool, connection)
        finally:
            self._pass_on(lease)

    async def put_back(self, lease: Lease, limit_s: float) -> None:
        """End a lease on whose connection a query may have been broken off.

        The pool waits for the server to have heard of that, which a network that swallows everything
        lets it do for as long as any statement may take.
        """
        connection, lease.connection, lease.turns = lease.connection, None, 0
        try:
            await self.pool.release(connection, timeout=limit_s)
        except TimeoutError:  # the pool has closed it, and makes another when one is asked for
            pass
        finally:
            self._pass_on(lease)


def _has_room(pool: Any) -> bool:
    queue = getattr(pool, "_queue", None)
    return queue is not None and not queue.empty()


def _is_open(connection: Any) -> bool:
    try:
        return not connection.is_closed()
    except Exception:  # the pool has closed it and taken it away: it answers to nobody any more
        return False


async def _release(pool: Any, connection: Any) -> None:
    """Release a connection on which all went well.

    The pool's own release is a task of its own, safe from being cancelled, and so two turns of the
    event loop. There is nothing to wait for here, and its holder ends a connection whose release
    is broken off; so the holder is asked directly.
    """
    holder = getattr(connection, "_holder", None)
    if holder is None:
        await pool.release(connection)
    elif connection._con is not None:  # else the pool has closed it, and taken it back
        connection._con._on_release()
        await holder.release(None)
