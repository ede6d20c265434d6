"""What every store can do, in one small protocol, and the error for one that is away.

A store holds what several workers must agree on and nobody needs for ever: counts, leases, limits,
messages. Every operation is atomic: two workers that do it at once get the answers of one after the
other. Keys are text, values are bytes. What must not be lost belongs in the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from ..errors import ServiceUnavailable

INT64 = 2**63  # counts stay below it, as they must on SQLite and Valkey


class StoreUnavailable(ServiceUnavailable):
    """503: the store does not answer. The cause says why, and is logged."""

    code = "store_unavailable"

    def __init__(self, detail: str = "This cannot be done right now; try again soon") -> None:
        super().__init__(detail, headers=(("retry-after", "1"),))


class Taken(NamedTuple):
    """What ``take`` found.

    Attributes:
        granted: Whether the cost was taken.
        ahead_us: How far the key's use is ahead of the clock now, in microseconds.
    """

    granted: bool
    ahead_us: int


class Store(Protocol):
    """Atomic operations on keys that expire. All raise StoreUnavailable while the store is away."""

    async def get(self, key: str) -> bytes | None:
        """The value of *key*; None where it is absent or over its time."""

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Write *value*, for *ttl_s* seconds or until it is deleted."""

    async def add(self, key: str, value: bytes, ttl_s: float | None = None) -> bool:
        """Write *value* if *key* is absent; whether it was."""
        ...

    async def increment(self, key: str, by: int = 1, ttl_s: float | None = None) -> int:
        """Add *by* to the whole number at *key* (0 if absent) and return the sum.

        Args:
            ttl_s: The life of a key that this call creates; one that is there keeps its own.

        Raises:
            ValueError: the value is no whole number, or the sum does not fit 64 bits.
        """
        ...

    async def compare_and_set(self, key: str, old: bytes | None, new: bytes, ttl_s: float | None = None) -> bool:
        """Write *new* if the value is *old* (None: absent); whether it was."""
        ...

    async def delete(self, key: str) -> bool:
        """Remove *key*; whether it was there."""
        ...

    async def take(self, key: str, interval_us: int, limit: int, cost: int = 1) -> Taken:
        """One step of the generic cell rate algorithm (GCRA), by the store's clock.

        A key holds the time until which it is used up. *cost* pushes that time on by
        ``cost * interval_us``, unless it would then be over ``limit * interval_us`` ahead of now.
        """
        ...

    async def publish(self, channel: str, message: bytes) -> None:
        """Hand *message* to everybody who is subscribed to *channel* now, in any process."""

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """``async with store.subscribe("news") as messages``: what is published from then on, in order.

        The iterator raises StoreUnavailable when messages may have been missed: the server went
        away, or more than 1,000 were waiting. Subscribe again then, and look at the state itself.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and files; the next use opens them again."""


def check(key: str, value: bytes | None = None, ttl_s: float | None = None) -> None:
    """Refuse what no store can keep, on every store in the same words."""
    if not isinstance(key, str) or not key:
        raise TypeError(f"a key is a text that is not empty, not {key!r:.80}")
    if value is not None and not isinstance(value, bytes):
        raise TypeError(f"a value is bytes, not {type(value).__name__}; write value.encode() or msgspec.json.encode(…)")
    if ttl_s is not None and not 0.001 <= ttl_s < 1e10:
        raise ValueError(f"ttl_s is a number of seconds from 0.001, or None for no end, not {ttl_s!r}")


def add_to(value: bytes | None, by: int) -> int:
    """The sum that ``increment`` returns."""
    try:
        total = int(value or b"0") + by
    except ValueError:
        raise ValueError("increment() on a value that is no whole number") from None
    if not -INT64 <= total < INT64:
        raise ValueError("increment() leaves the range of 64 bits")
    return total
