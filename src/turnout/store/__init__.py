"""State that several workers share and nobody needs for ever: counts, leases, limits, messages.

``store`` is the project's one. ``STORE_URL`` says where it is: ``valkey://host:6379/0`` (or
``redis://``) for several machines, ``sqlite:///data/store.db`` for the workers of one, ``memory:`` for
one process. Unset, production uses ``data/store.db``; development and tests use memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ..errors import ConfigError
from .contract import Store, StoreUnavailable, Taken
from .memory import Memory

__all__ = ["Memory", "Store", "StoreUnavailable", "Taken", "configure", "connect", "store"]


def connect(url: str) -> Store:
    """A store by its address; nothing is opened before the first use.

    Raises:
        ConfigError: no such kind of store.
    """
    scheme, _, rest = url.partition(":")
    if url == "memory:":
        return Memory()
    if scheme == "sqlite" and rest.startswith("///") and len(rest) > 3:
        from .sqlite import Sqlite

        return Sqlite(Path(rest[3:]).absolute())
    if scheme in ("valkey", "valkeys", "redis", "rediss"):
        from .valkey import Valkey

        return Valkey(url)
    raise ConfigError(
        f"a store has the unknown address {scheme!r}:…",
        cure="memory:, sqlite:///data/store.db, or valkey://host:6379/0",
    )


class ProjectStore:
    """The project's store: a name that can be imported before it is known where the store is."""

    def __init__(self) -> None:
        self._url = "memory:"
        self._backend: Store | None = None

    def __repr__(self) -> str:
        return f"<Store {self._url.partition(':')[0]}>"  # without the rest, which may hold a password

    @property
    def backend(self) -> Store:
        """The store itself."""
        if self._backend is None:
            self._backend = connect(self._url)
        return self._backend

    def configure(self, url: str) -> None:
        """Say where the store is. One in memory begins empty."""
        # A wrong address is refused here. That of a file is right, and until it is used nobody needs sqlite3.
        backend = None if url.startswith("sqlite:///") and len(url) > len("sqlite:///") else connect(url)
        if url == "memory:" or url != self._url:
            self._url, self._backend = url, backend

    async def get(self, key: str) -> bytes | None:
        """The value of *key*; None where it is absent or over its time."""
        return await self.backend.get(key)

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Write *value*, for *ttl_s* seconds or until it is deleted."""
        await self.backend.set(key, value, ttl_s)

    async def add(self, key: str, value: bytes, ttl_s: float | None = None) -> bool:
        """Write *value* if *key* is absent; whether it was."""
        return await self.backend.add(key, value, ttl_s)

    async def increment(self, key: str, by: int = 1, ttl_s: float | None = None) -> int:
        """Add *by* to the whole number at *key* and return the sum; *ttl_s* counts from its first."""
        return await self.backend.increment(key, by, ttl_s)

    async def compare_and_set(self, key: str, old: bytes | None, new: bytes, ttl_s: float | None = None) -> bool:
        """Write *new* if the value is *old* (None: absent); whether it was."""
        return await self.backend.compare_and_set(key, old, new, ttl_s)

    async def delete(self, key: str) -> bool:
        """Remove *key*; whether it was there."""
        return await self.backend.delete(key)

    async def take(self, key: str, interval_us: int, limit: int, cost: int = 1) -> Taken:
        """One step of GCRA; ``rate_limit`` is built on it."""
        return await self.backend.take(key, interval_us, limit, cost)

    async def publish(self, channel: str, message: bytes) -> None:
        """Hand *message* to everybody who is subscribed to *channel* now, in any process."""
        await self.backend.publish(channel, message)

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """``async with store.subscribe("news") as messages``: what is published from then on, in order."""
        return self.backend.subscribe(channel)

    async def close(self) -> None:
        """Let go of connections and files; the next use opens them again."""
        if self._backend is not None:
            await self._backend.close()


store = ProjectStore()
configure = store.configure
