"""The thread pool for handlers written with ``def``.

A thread cannot be stopped, so the pool is counted: when every thread is taken the next call
is refused at once, instead of waiting behind handlers that may never end. Those that have
outlived their request are counted too, since only the end of the process frees their threads.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import ServiceUnavailable
from .http.aside import has_loop

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")


class Threads:
    """At most *size* calls at a time, each in a thread of its own and in its caller's context.

    Args:
        size: Threads.
        stuck_after_s: How long a call may take once nobody waits for it, counted from its beginning.
    """

    def __init__(self, size: int = 40, stuck_after_s: float = 30.0) -> None:
        self.size, self.stuck_after_s = size, stuck_after_s
        self._pool: ThreadPoolExecutor | None = None
        self._calls: set[Future[Any]] = set()
        self._left: dict[Future[Any], float] = {}  # calls that nobody waits for any more, and when they began

    @property
    def busy(self) -> int:
        """How many calls have not ended."""
        return len(self._calls)

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call *function* in a thread.

        Raises:
            ServiceUnavailable: every thread is taken.
        """
        if len(self._calls) >= self.size:
            raise ServiceUnavailable("Every worker thread is busy", headers=(("retry-after", "1"),), code="overloaded")
        return await self.queue(function, *args)

    async def queue(self, function: Callable[..., T], *args: Any) -> T:
        """Call *function* in a thread, after those before it if every thread is taken: for work nobody waits for."""
        if not has_loop():  # one request at a time: there is nothing that a thread could keep going
            return function(*args)
        import asyncio

        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self.size, thread_name_prefix="turnout")
        loop, began_s = asyncio.get_running_loop(), time.monotonic()
        future = self._pool.submit(contextvars.copy_context().run, function, *args)
        self._calls.add(future)
        # Counted by the thread's own end: a cancelled caller leaves it running.
        future.add_done_callback(lambda done: loop.is_closed() or loop.call_soon_threadsafe(self._freed, done))
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not future.done():
                self._left[future] = began_s
            raise

    def _freed(self, future: Future[Any]) -> None:
        self._calls.discard(future)
        self._left.pop(future, None)

    def stuck(self) -> int:
        """How many calls go on although their request is over and their time is up."""
        before_s = time.monotonic() - self.stuck_after_s
        return sum(began_s <= before_s for began_s in self._left.values())

    def open(self) -> None:
        """Take calls again after a ``close``, in new threads; those of before that still run count no more."""
        # Their loop may be closed, and then nobody would hear of their end.
        self._pool, self._calls, self._left = None, set(), {}

    def close(self) -> None:
        """Stop taking calls; those running are left to end by themselves."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
