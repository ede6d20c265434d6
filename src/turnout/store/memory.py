"""A store in this process: for development, for tests, and for a single worker.

Two workers have two of them, so a limit of 10 is then 20. Bounded: when it is full, what has
expired goes first, then what was written longest ago.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .contract import StoreUnavailable, Taken, add_to, check

if TYPE_CHECKING:
    import asyncio

WAITING = 1_000  # messages that one subscriber may have left unread
TRIES = 16  # keys looked at to find one that may be forgotten


def monotonic_us() -> int:
    """Microseconds of a clock that nobody sets."""
    return time.monotonic_ns() // 1000


class Memory:
    """See the module.

    Args:
        max_keys: How many values, and how many limits, are kept.
        clock_us: Microseconds since any moment; never goes back.
    """

    def __init__(self, max_keys: int = 100_000, clock_us: Callable[[], int] = monotonic_us) -> None:
        self._max, self._clock = max_keys, clock_us
        self._values: dict[str, tuple[bytes, int | None]] = {}  # with the end of its life
        self._used: dict[str, tuple[int, int]] = {}  # used up until, and how far ahead is still under the limit
        self._inboxes: dict[str, set[Inbox]] = {}

    # -- values

    async def get(self, key: str) -> bytes | None:
        """The value of *key*; None where it is absent or over its time."""
        check(key)
        return self._get(key)

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Write *value*, for *ttl_s* seconds or until it is deleted."""
        check(key, value, ttl_s)
        self._set(key, value, self._end(ttl_s))

    async def add(self, key: str, value: bytes, ttl_s: float | None = None) -> bool:
        """Write *value* if *key* is absent; whether it was."""
        return await self.compare_and_set(key, None, value, ttl_s)

    async def increment(self, key: str, by: int = 1, ttl_s: float | None = None) -> int:
        """Add *by* to the whole number at *key* and return the sum."""
        check(key, None, ttl_s)
        old = self._get(key)
        total = add_to(old, by)
        self._set(key, b"%d" % total, self._end(ttl_s) if old is None else self._values[key][1])
        return total

    async def compare_and_set(self, key: str, old: bytes | None, new: bytes, ttl_s: float | None = None) -> bool:
        """Write *new* if the value is *old* (None: absent); whether it was."""
        check(key, new, ttl_s)
        if self._get(key) != old:
            return False
        self._set(key, new, self._end(ttl_s))
        return True

    async def delete(self, key: str) -> bool:
        """Remove *key*; whether it was there."""
        check(key)
        found = self._get(key) is not None
        self._values.pop(key, None)
        return found

    def _get(self, key: str) -> bytes | None:
        found = self._values.get(key)
        if found is None:
            return None
        if found[1] is not None and found[1] <= self._clock():
            del self._values[key]
            return None
        return found[0]

    def _set(self, key: str, value: bytes, end: int | None) -> None:
        values = self._values
        values.pop(key, None)  # written again, it is the youngest
        if len(values) >= self._max:
            now = self._clock()
            for each in [each for each, (_, its_end) in values.items() if its_end is not None and its_end <= now]:
                del values[each]
            if len(values) >= self._max:
                # An eighth at once: the search above would else be made for each write.
                for each in list(values)[: max(1, self._max // 8)]:
                    del values[each]
        values[key] = value, end

    def _end(self, ttl_s: float | None) -> int | None:
        return None if ttl_s is None else self._clock() + round(ttl_s * 1e6)

    # -- limits

    async def take(self, key: str, interval_us: int, limit: int, cost: int = 1) -> Taken:
        """One step of GCRA; see the contract."""
        now, room = self._clock(), interval_us * limit
        used = self._used.pop(key, None)
        until = max(used[0], now) if used is not None else now
        after = until + cost * interval_us
        granted = after - now <= room
        if granted:
            until = after
        if used is None and len(self._used) >= self._max:
            self._forget(now)
        # Put back behind the others, a refused key too: the front is what nobody has asked for.
        self._used[key] = until, room - interval_us
        return Taken(granted, until - now)

    def _forget(self, now: int) -> None:
        """Make room for one key, and not by letting one that is over its limit begin anew."""
        for left in range(TRIES, 0, -1):
            key = next(iter(self._used))
            until, room = self._used.pop(key)
            if until - now <= room or left == 1:
                return
            self._used[key] = until, room

    # -- messages

    async def publish(self, channel: str, message: bytes) -> None:
        """Hand *message* to everybody in this process who is subscribed to *channel*."""
        check(channel, message)
        for inbox in tuple(self._inboxes.get(channel, ())):
            inbox.put(message)

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """``async with store.subscribe("news") as messages``."""
        check(channel)
        inbox = Inbox()
        self._inboxes.setdefault(channel, set()).add(inbox)
        try:
            yield inbox
        finally:
            self._inboxes[channel].discard(inbox)
            if not self._inboxes[channel]:
                del self._inboxes[channel]

    async def close(self) -> None:
        """Nothing to let go of: what is kept is kept until the process ends."""


class Inbox:
    """One subscriber's unread messages, on one event loop."""

    def __init__(self) -> None:
        import asyncio

        self._messages: deque[bytes] = deque()
        self._broken: BaseException | None = None
        self._news: asyncio.Event = asyncio.Event()

    def put(self, message: bytes) -> None:
        """Add *message*; one too many ends the subscription, since leaving one out would be a lie."""
        if len(self._messages) >= WAITING:
            self.end(OverflowError(f"a subscriber left {WAITING} messages unread"))
        elif self._broken is None:
            self._messages.append(message)
            self._news.set()

    def end(self, why: BaseException) -> None:
        """Messages may be missing from here on."""
        self._broken = self._broken or why
        self._news.set()

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> bytes:
        while not self._messages:
            if self._broken is not None:
                raise StoreUnavailable("Messages may have been missed; subscribe again") from self._broken
            self._news.clear()
            await self._news.wait()
        return self._messages.popleft()
