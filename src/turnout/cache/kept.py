"""The kept answers of one process, and how it hears that some of them are no longer right.

Each process keeps its own, so that a hit asks nobody; the store holds a copy for the others, and
hands on what was revalidated. An answer that was begun before a revalidation is not kept after it:
in the process, as the revalidation is noted with its time; in the store, as each copy carries the
marks that its names had when it was begun.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Generator
from contextvars import copy_context
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..context import current
from ..http import guard
from ..http.address import Trust
from ..http.compress import LEAST_BYTES, coding_of, ready_form
from ..http.file import not_modified
from ..http.headers import RawFields
from ..http.request import Request, RouteInfo
from ..http.response import Response
from ..store import Memory, StoreUnavailable, store
from .rule import CacheRule, Key, is_personal, key_of, may_keep, names_somebody

Endpoint = Callable[[Request], Awaitable[Response]]
# Host and target of requests that came before, with what they found.
Known = dict[tuple[str | None, str], tuple[Key, RouteInfo | None]]

logger = logging.getLogger("turnout.cache")

CHANNEL = "cache"
MAX_BYTES = 64_000_000
KEPT_S = 86_400.0  # in the store; a mark lives twice as long, so that no copy outlives it
_NOTED_S = 300.0  # no fill takes longer
_PASSED_S, _PASSED = 10.0, 1_000
_KNOWN, _KNOWN_TARGET, _KNOWN_FIELDS = 1_000, 500, 10  # targets, and what one may have of characters and fields
_NO_TRUST = Trust()


class Entry(Struct):
    """One kept answer.

    Args:
        ready: The fields of a hit; made with the first.
    """

    body: bytes
    headers: list[tuple[str, str]]
    etag: str
    names: tuple[str, ...]
    fresh_until_s: float | None  # Unix time; None: until it is revalidated
    marks: list[bytes] = []
    ready: Any = None

    def is_fresh(self, now_s: float) -> bool:
        """Whether it is within its time."""
        return self.fresh_until_s is None or now_s < self.fresh_until_s


class Pending:
    """What ``revalidate_path`` gives: awaited, it waits until the other processes have been told."""

    __slots__ = ("_telling",)

    def __init__(self, telling: asyncio.Future[None] | None) -> None:
        self._telling = telling

    def __await__(self) -> Generator[Any, None, None]:
        if self._telling is not None:
            yield from asyncio.shield(self._telling).__await__()


class Answers:
    """What this process keeps.

    Args:
        clock: The time in Unix seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._size = 0
        self._by_name: dict[str, set[Key]] = {}
        # When a name was last revalidated, by the monotonic clock; and whose answers could not be shared, by the hash
        # of the key, since a client makes keys as long as it likes: two with one hash only wait less. Oldest first.
        self._noted_s: OrderedDict[str, float] = OrderedDict()
        self._passed_until_s: OrderedDict[int, float] = OrderedDict()
        self._cleared = 0  # how often
        self._filling: dict[Key, asyncio.Future[Entry | None]] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own = os.urandom(8)  # tells our messages from those of others
        self._hears = False  # what other processes revalidate

    # -- a process

    async def start(self) -> None:
        """Listen for what other processes revalidate."""
        self._loop = asyncio.get_running_loop()
        tried = asyncio.Event()
        self._listener = self._loop.create_task(self._listen(tried))
        await tried.wait()

    async def stop(self) -> None:
        """Tell what is still to be told; forget everything."""
        if self._telling:
            await asyncio.wait(self._telling, timeout=2)
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait([self._listener])
        self.clear()
        self._listener = self._loop = None

    async def _listen(self, tried: asyncio.Event) -> None:
        while True:
            try:
                async with store.subscribe(CHANNEL) as messages:
                    self.clear()  # something may have been revalidated while nobody listened
                    self._hears = True
                    tried.set()
                    async for message in messages:
                        if not message.startswith(self._own):
                            self._forget(message[len(self._own) :].decode())
            except StoreUnavailable as exc:
                if self._hears:
                    logger.warning("the store is away; kept answers are used for their time and no longer: %s", exc)
            finally:
                self._hears = False
                tried.set()
            await asyncio.sleep(1)

    # -- revalidation

    def revalidate(self, name: str) -> Pending:
        """End the answers of *name*, here at once and elsewhere as soon as they hear of it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # A ``def`` handler runs in a thread, the answers belong to the loop.
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self.revalidate, name)
            return Pending(None)
        self._forget(name)
        task = loop.create_task(self._tell(name))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
        return Pending(task)

    async def _tell(self, name: str) -> None:
        if isinstance(store.backend, Memory):
            return
        try:
            await store.set(_mark(name), os.urandom(8), 2 * KEPT_S)
            await store.publish(CHANNEL, self._own + name.encode())
        except StoreUnavailable as exc:
            logger.error("the store is away: other processes do not hear that %s was revalidated", name, exc_info=exc)

    def _forget(self, name: str) -> None:
        noted, now = self._noted_s, time.monotonic()
        noted[name] = now
        noted.move_to_end(name)
        while noted[next(iter(noted))] < now - _NOTED_S:
            noted.popitem(last=False)
        for key in list(self._by_name.get(name, ())):
            self._drop(key)

    def clear(self) -> None:
        """Forget every answer, those too that are being made."""
        self._cleared += 1
        self._passed_until_s.clear()
        self._entries.clear()
        self._by_name.clear()
        self._size = 0

    # -- keeping

    def _keep(self, key: Key, entry: Entry) -> None:
        self._drop(key)
        self._entries[key] = entry
        self._size += _size_of(key, entry)
        for name in entry.names:
            self._by_name.setdefault(name, set()).add(key)
        while self._size > MAX_BYTES:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._size -= _size_of(key, entry)
        for name in entry.names:
            keys = self._by_name[name]
            keys.discard(key)
            if not keys:
                del self._by_name[name]

    # -- a request

    def at_once(self, known: Known, smaller: bool) -> Callable[[Request], Response | None]:
        """What answers a request from our own server without running anything, where ``App.fetch`` would say the same.

        But in a crowd: as it waits for nothing, it is not counted, and not refused by ``max_in_flight``.

        Args:
            known: Of routes with nothing in front of them: no guard, no middleware, no CORS.
            smaller: Whether answers are compressed.

        Returns:
            A function that gives the answer, ready to be sent, or None for everything that is not plainly a hit.
        """

        def kept(request: Request) -> Response | None:
            found = known.get((request._host, request.target))
            if found is None:
                return None
            is_plain, coding = _asks(request)
            response = self._found(request, *found) if is_plain else None
            if response is not None and smaller and len(response.body) >= LEAST_BYTES:
                return ready_form(response, coding)
            return response

        return kept

    def _found(self, request: Request, key: Key, route: RouteInfo | None) -> Response | None:
        entry = self._entries.get(key)
        if entry is None or request.method != "GET" or not entry.is_fresh(self._clock()):
            return None
        self._entries.move_to_end(key)
        request.route = route
        return _hit(entry)

    def caching(self, rule: CacheRule, pattern: str, endpoint: Endpoint, known: Known | None = None) -> Endpoint:
        """*endpoint* of a GET route, with its answers kept as *rule* says.

        Args:
            known: Where it notes the requests that find a kept answer; see ``at_once``.
        """
        known = {} if known is None else known

        async def answer(request: Request) -> Response:
            # As others before it, it finds its answer by the raw target: no path, query or field is decoded.
            found = known.get((request._host, request.target))
            if found is not None and _asks(request)[0]:
                response = self._found(request, *found)
                if response is not None:
                    return response
            if is_personal(request):
                return await endpoint(request)
            key = key_of(rule, request)
            entry = self._entries.get(key)
            if entry is None:
                return await self._missed(key, rule, pattern, endpoint, request)
            self._entries.move_to_end(key)
            if entry.is_fresh(self._clock()):
                usual = len(request.target) <= _KNOWN_TARGET and len(key[2]) <= _KNOWN_FIELDS
                usual = usual and request.scheme == "http"
                if usual and not rule.vary and request.trust == _NO_TRUST:
                    if len(known) >= _KNOWN:
                        known.clear()
                    known[request._host, request.target] = key, request.route
                return _respond(entry, request, "hit")
            if not self._hears:
                return await self._missed(key, rule, pattern, endpoint, request)
            if key not in self._filling:
                self._refresh_after(key, rule, pattern, endpoint, request)
            return _respond(entry, request, "hit; detail=stale")

        return answer

    async def _missed(self, key: Key, rule: CacheRule, pattern: str, endpoint: Endpoint, request: Request) -> Response:
        # What a handler says to HEAD, which may be without a body, is no answer to GET.
        if request.method == "HEAD" or self._passed_until_s.get(hash(key), -1.0) > time.monotonic():
            return await endpoint(request)
        # One fill at a time, and whoever comes meanwhile waits for it.
        while (filling := self._filling.get(key)) is not None:
            entry = await asyncio.shield(filling)
            if entry is not None:
                return _respond(entry, request, "hit; detail=collapsed")
            if self._passed_until_s.get(hash(key), -1.0) > time.monotonic():
                return await endpoint(request)
        future: asyncio.Future[Entry | None] = asyncio.get_running_loop().create_future()
        self._filling[key] = future
        entry = None
        try:
            entry = await self._copy_of(key, rule, pattern, request)
            if entry is not None:
                return _respond(entry, request, "hit; detail=shared")
            response, entry = await self._fill(key, rule, pattern, endpoint, request)
            return response if entry is None else _respond(entry, request, "fwd=miss; stored")
        except Exception:
            self._pass(key)
            raise
        finally:
            # None and not passed: whoever filled has left, and the next one fills.
            del self._filling[key]
            future.set_result(entry)

    def _pass(self, key: Key) -> None:
        """Let the requests for *key* each have an answer of their own for a while, instead of one after the other."""
        passed = self._passed_until_s
        passed[hash(key)] = time.monotonic() + _PASSED_S
        passed.move_to_end(hash(key))
        if len(passed) > _PASSED:  # a client may ask in any number of ways for what is not there
            passed.popitem(last=False)

    async def _fill(
        self, key: Key, rule: CacheRule, pattern: str, endpoint: Endpoint, request: Request
    ) -> tuple[Response, Entry | None]:
        """Make the answer; and the entry, if it may be shared."""
        names = rule.names(request, pattern)
        begun_s, cleared = time.monotonic(), self._cleared
        marks = await self._marks(names)
        response = await endpoint(request)
        if not may_keep(rule, request, response):
            self._pass(key)
            return response, None
        if self._has_ended(names, begun_s, cleared):
            return response, None  # right when it was begun, and perhaps no longer
        entry = _entry(response, rule, names, marks, self._clock())
        self._keep(key, entry)
        await self._share(key, entry)
        return response, entry

    def _has_ended(self, names: tuple[str, ...], begun_s: float, cleared: int) -> bool:
        """Whether what was begun then, when all had been cleared so often, is not to be kept any more."""
        return cleared != self._cleared or any(self._noted_s.get(name, -1.0) >= begun_s for name in names)

    def _refresh_after(self, key: Key, rule: CacheRule, pattern: str, endpoint: Endpoint, request: Request) -> None:
        """Make the answer anew once this one is sent, for a request that says nothing of who asked."""
        fields = {"host": request.host, **{name: request.headers.get(name) or "" for name in rule.vary}}
        again = Request("GET", request.target, headers=fields, scheme=request.scheme)
        again.trust, again.limits, again.params, again.route = (
            request.trust,
            request.limits,
            request.params,
            request.route,
        )
        again._path = request.path

        async def refresh() -> None:
            known = self._entries.get(key)
            if key in self._filling or (known is not None and known.is_fresh(self._clock())):
                return
            # Not before: of a request that is cancelled nothing runs afterwards, and all others would wait for it.
            future: asyncio.Future[Entry | None] = asyncio.get_running_loop().create_future()
            self._filling[key] = future
            current.set(again)
            entry = None
            try:
                async with asyncio.timeout(request.max_duration or _NOTED_S):
                    _, entry = await self._fill(key, rule, pattern, endpoint, again)
            finally:
                del self._filling[key]
                future.set_result(entry)

        request.after_work = [*(request.after_work or ()), (refresh, (), {}, copy_context())]

    # -- what the store holds for all

    async def _marks(self, names: tuple[str, ...]) -> list[bytes]:
        """What says whether a name has been revalidated since."""
        if isinstance(store.backend, Memory):
            return []
        try:
            return [await store.get(_mark(name)) or b"" for name in names]
        except StoreUnavailable:
            return []

    async def _copy_of(self, key: Key, rule: CacheRule, pattern: str, request: Request) -> Entry | None:
        """Another process's answer, if it is fresh and nothing of it was revalidated since it was begun."""
        if isinstance(store.backend, Memory):
            return None
        try:
            found = await store.get(_place(key))
            if found is None:
                return None
            entry = msgspec.msgpack.decode(found, type=Entry)
            if entry.names != rule.names(request, pattern) or not entry.is_fresh(self._clock()):
                return None
            begun_s, cleared = time.monotonic(), self._cleared
            if entry.marks != await self._marks(entry.names):
                return None
        except (StoreUnavailable, msgspec.DecodeError):
            return None
        if self._has_ended(entry.names, begun_s, cleared):
            return None
        self._keep(key, entry)
        return entry

    async def _share(self, key: Key, entry: Entry) -> None:
        if isinstance(store.backend, Memory) or len(entry.marks) != len(entry.names):
            return
        left_s = KEPT_S if entry.fresh_until_s is None else max(entry.fresh_until_s - self._clock(), 0.001)
        try:
            await store.set(_place(key), msgspec.msgpack.encode(replace(entry, ready=None)), min(left_s, KEPT_S))
        except StoreUnavailable:
            pass  # said by the listener


def _size_of(key: Key, entry: Entry) -> int:
    """About how many bytes an entry takes; a client chooses how long its query is, and the fields of ``vary``."""
    _, path, fields, varied = key
    asked = sum(len(name) + len(value) + 200 for name, value in fields) + sum(map(len, varied))
    held = 2 * len(path) + asked + 2_000  # with its own fields
    if len(entry.body) < LEAST_BYTES:
        return len(entry.body) + held
    # The compressed forms of a text take about as much together as the text; each of the four has fields too.
    return 2 * len(entry.body) + held + 6_000


def _mark(name: str) -> str:
    return f"cache:mark:{name}"


def _place(key: Key) -> str:
    # As JSON, every part ends where it ends: no two keys have one text.
    return f"cache:answer:{hashlib.sha256(msgspec.json.encode(key)).hexdigest()}"


def _entry(response: Response, rule: CacheRule, names: tuple[str, ...], marks: list[bytes], now_s: float) -> Entry:
    headers = response.headers
    etag = headers.get("etag")
    if etag is None:
        etag = f'"{hashlib.sha256(response.body).hexdigest()[:24]}"'
        headers.set("etag", etag)
    if not headers.has("cache-control"):
        headers.set("cache-control", guard.SHARED)
    for name in rule.vary:
        headers.append("vary", name)
    fresh_until_s = None if rule.revalidate is None else now_s + rule.revalidate
    return Entry(response.body, list(headers.items()), etag, names, fresh_until_s, marks)


def _asks(request: Request) -> tuple[bool, str | None]:
    """Whether *request* is plain, that is from our own server and says neither who sends it nor what it has already.

    And the coding that it asks for.
    """
    raw = request._raw
    if type(raw) is not RawFields or request.scheme != "http":
        return False, None
    if raw.asks is None:
        has_copy = any(name == b"if-none-match" for name, _ in raw)
        raw.asks = not has_copy and not names_somebody(raw), coding_of(raw)
    return raw.asks


def _hit(entry: Entry) -> Response:
    """What comes after may add to it: then, and only then, it has fields of its own."""
    if entry.ready is None:
        entry.ready = guard.fix(_response(entry, "hit"), entry.body)
    return Response.repeated(entry.body, entry.ready)


def _response(entry: Entry, how: str) -> Response:
    fields = [*entry.headers, ("cache-status", f"turnout; {how}")]  # RFC 9211
    return Response._made(entry.body, None, 200, fields)


def _respond(entry: Entry, request: Request, how: str) -> Response:
    asks = request.headers.has("if-none-match")
    if how == "hit" and not asks:
        return _hit(entry)
    response = _response(entry, how)
    if asks and not_modified(request, entry.etag, 0):
        response._become_304(len(entry.body))
    return response
