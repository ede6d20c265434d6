"""A store on a Valkey or Redis server, for workers on several machines.

What takes more than one command is one Lua script, which the server runs as one, by its own clock.
No command is sent twice: when an answer does not come within a second, whether it was carried out is
not known, and that is what the caller is told. The next call connects anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ..errors import ConfigError
from .contract import StoreUnavailable, Taken, check
from .memory import Inbox

WAIT_S = 1.0
QUIET_S = 5.0  # without a message, before a subscription asks whether the server is still there
CONNECTIONS = 32
PREFIX = "turnout:"  # others may use the same database

_INCREMENT = """
local fresh = redis.call('EXISTS', KEYS[1]) == 0
redis.call('INCRBY', KEYS[1], ARGV[1])
if fresh and ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])
"""
_COMPARE_AND_SET = """
local value = redis.call('GET', KEYS[1])
if value ~= ARGV[1] then return 0 end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""
# Lua counts in doubles, which are exact to 2^53; microseconds since 1970 need that until the year 2255.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local step, room = ARGV[1] * ARGV[3], ARGV[1] * ARGV[2]
local before = tonumber(redis.call('GET', KEYS[1]) or 0)
-- Farther ahead than the limit allows: it was written before somebody set the clock back.
if before < now or before > now + room then before = now end
local after = before + step
if after - now > room then return {0, before - now} end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, after - now}
"""


class Valkey:
    """See the module.

    Args:
        url: ``valkey://``, ``redis://``, with TLS ``valkeys://``, ``rediss://``; user, password and
            database number as usual.
    """

    def __init__(self, url: str) -> None:
        try:
            import valkey.asyncio
        except ImportError:
            raise ConfigError(
                "a store on Valkey needs the package valkey", cure='pip install "turnout[redis]"'
            ) from None
        self._valkey = valkey
        self._url = url
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Any = None
        try:
            self._connect(None)
        except ValueError as exc:
            raise ConfigError(
                f"STORE_URL is not understood: {exc}", cure="valkey://user:password@host:6379/0"
            ) from None

    # -- values

    async def get(self, key: str) -> bytes | None:
        """The value of *key*; None where it is absent or over its time."""
        check(key)
        found: bytes | None = await self._call("GET", PREFIX + key)
        return found

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Write *value*, for *ttl_s* seconds or until it is deleted."""
        check(key, value, ttl_s)
        await self._call("SET", PREFIX + key, value, *(("PX", _ms(ttl_s)) if ttl_s else ()))

    async def add(self, key: str, value: bytes, ttl_s: float | None = None) -> bool:
        """Write *value* if *key* is absent; whether it was."""
        check(key, value, ttl_s)
        return bool(await self._call("SET", PREFIX + key, value, "NX", *(("PX", _ms(ttl_s)) if ttl_s else ())))

    async def increment(self, key: str, by: int = 1, ttl_s: float | None = None) -> int:
        """Add *by* to the whole number at *key* and return the sum."""
        check(key, None, ttl_s)
        return int(await self._script(_INCREMENT, key, by, _ms(ttl_s)))

    async def compare_and_set(self, key: str, old: bytes | None, new: bytes, ttl_s: float | None = None) -> bool:
        """Write *new* if the value is *old* (None: absent); whether it was."""
        if old is None:
            return await self.add(key, new, ttl_s)
        check(key, new, ttl_s)
        return bool(await self._script(_COMPARE_AND_SET, key, old, new, _ms(ttl_s)))

    async def delete(self, key: str) -> bool:
        """Remove *key*; whether it was there."""
        check(key)
        return bool(await self._call("DEL", PREFIX + key))

    # -- limits

    async def take(self, key: str, interval_us: int, limit: int, cost: int = 1) -> Taken:
        """One step of GCRA; see the contract."""
        check(key)
        granted, ahead_us = await self._script(_TAKE, key, interval_us, limit, cost)
        return Taken(bool(granted), ahead_us)

    # -- messages

    async def publish(self, channel: str, message: bytes) -> None:
        """Hand *message* to everybody who is subscribed to *channel* now, in any process."""
        check(channel, message)
        await self._call("PUBLISH", PREFIX + channel, message)

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """``async with store.subscribe("news") as messages``."""
        check(channel)
        messages = self._connected().pubsub()
        reader: asyncio.Task[None] | None = None
        try:
            async with self._guarded():
                await messages.subscribe(PREFIX + channel)
                await messages.get_message(timeout=WAIT_S)  # its being subscribed
            inbox = Inbox()
            reader = asyncio.create_task(_read(messages, inbox))
            yield inbox
        finally:
            if reader is not None:
                reader.cancel()
                await asyncio.wait([reader])
            await messages.aclose()

    # -- the connection

    async def close(self) -> None:
        """Close every connection; the next use opens them again."""
        client, loop, self._client, self._loop = self._client, self._loop, None, None
        if client is not None and loop is asyncio.get_running_loop():
            await client.aclose()

    def _connected(self) -> Any:
        loop = asyncio.get_running_loop()
        # Connections belong to one event loop; those of a loop that has ended went with it.
        if self._client is None or self._loop is not loop:
            self._connect(loop)
        return self._client

    def _connect(self, loop: asyncio.AbstractEventLoop | None) -> None:
        asynchronous = self._valkey.asyncio
        pool = asynchronous.BlockingConnectionPool.from_url(
            self._url,
            max_connections=CONNECTIONS,
            timeout=WAIT_S,
            socket_timeout=WAIT_S,
            socket_connect_timeout=WAIT_S,
        )
        self._client, self._loop = asynchronous.Valkey.from_pool(pool), loop

    async def _call(self, *words: Any) -> Any:
        client = self._connected()
        async with self._guarded():
            return await client.execute_command(*words)

    async def _script(self, text: str, key: str, *values: Any) -> Any:
        client = self._connected()
        script = client.register_script(text)
        async with self._guarded():
            return await script(keys=[PREFIX + key], args=values)

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[None]:
        """One second for the server to answer; what its client raises is said in the store's words."""
        errors = self._valkey.exceptions
        try:
            async with asyncio.timeout(WAIT_S):
                yield
        except (errors.ValkeyError, OSError) as exc:
            if "not an integer" in str(exc) or "overflow" in str(exc):
                raise ValueError(f"increment(): {exc}") from None
            raise StoreUnavailable() from exc


def _ms(ttl_s: float | None) -> int | str:
    return "" if ttl_s is None else max(1, round(ttl_s * 1000))


async def _read(messages: Any, inbox: Inbox) -> None:
    """Put what is published into *inbox*, until the server is gone."""
    asked = False
    try:
        while True:
            message = await messages.get_message(timeout=QUIET_S)
            if message is not None:
                asked = False
                if message["type"] == "message":
                    inbox.put(message["data"])
            elif asked:
                raise ConnectionError("the server does not answer a ping")
            else:
                asked = True
                await messages.ping()
    except Exception as exc:
        inbox.end(exc)
