"""The thread pool for handlers written with ``def``.

A thread cannot be stopped, so the pool is counted: when every thread is taken the next call
is refused at once, instead of waiting behind handlers that may never end.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from .errors import ServiceUnavailable

T = TypeVar("T")


class Threads:
    """At most *size* calls at a time, each in a thread of its own and in its caller's context."""

    def __init__(self, size: int = 40) -> None:
        self.size = size
        self.busy = 0
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call *function* in a thread.

        Raises:
            ServiceUnavailable: every thread is taken.
        """
        if self.busy >= self.size:
            raise ServiceUnavailable("Every worker thread is busy", headers=(("retry-after", "1"),), code="overloaded")
        return await self.queue(function, *args)

    async def queue(self, function: Callable[..., T], *args: Any) -> T:
        """Call *function* in a thread, after those before it if every thread is taken: for work nobody waits for."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.size, thread_name_prefix="turnout")
        self.busy += 1
        loop = asyncio.get_running_loop()
        future = self._pool.submit(contextvars.copy_context().run, function, *args)
        # Counted by the thread's own end: a cancelled caller leaves it running.
        future.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(self._freed))
        return await asyncio.wrap_future(future)

    def _freed(self) -> None:
        self.busy -= 1

    def close(self) -> None:
        """Stop taking calls; those running are left to end by themselves."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
