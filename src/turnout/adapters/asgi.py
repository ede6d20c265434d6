"""The same app under any ASGI 3 host: ``uvicorn asgi:app``.

The host parses HTTP and owns header and idle time-outs; body budget, deadline, cancellation
and everything that shapes an answer are ours, the same as in the native server. WebSockets
are refused. Source: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any
from urllib.parse import quote

from ..http import guard
from ..http.body import Body
from ..http.fetch import Fetch, client_left, go_on, go_on_within
from ..http.headers import Headers
from ..http.request import Request, from_host
from ..http.response import Response, to_bytes

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_UNREAD = 65_536  # body bytes kept while watching for a client that leaves
_PATH_SAFE = "/-._~!$&'()*+,;=:@"


class ASGI:
    """Serves *app* under an ASGI host.

    Args:
        app: An App, or anything else with ``fetch``.
        max_duration_s: Seconds a handler may take, unless its route says otherwise.
    """

    def __init__(self, app: Fetch, *, max_duration_s: float = 30) -> None:
        self.app, self.max_duration_s = app, max_duration_s

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": "no WebSockets here"})
            return
        inbox = _Inbox(receive)
        request = _request(scope, inbox)
        coro = self.app.fetch(request)
        try:
            waiting = coro.send(None)
        except StopIteration as done:
            response: Response = done.value
            if response.chunks is None and request.after_work is None:
                # As most: nothing has waited, so there is nobody to watch for and nothing to do afterwards.
                await _send(request, response, send, inbox)
                return
            rest = self._give(request, response, send, inbox)
        else:
            rest = self._go_on(coro, waiting, request, send, inbox)
        try:
            await _watched(rest, request, inbox)
        except asyncio.CancelledError:
            if not inbox.cancelled:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()

    async def _go_on(
        self, coro: Coroutine[Any, Any, Response], waiting: Any, request: Request, send: Send, inbox: _Inbox
    ) -> None:
        response = await go_on_within(coro, waiting, request, self.max_duration_s)
        await self._give(request, response, send, inbox)

    async def _give(self, request: Request, response: Response, send: Send, inbox: _Inbox) -> None:
        try:
            await _send(request, response, send, inbox)
        finally:
            self.app.sent(request, response)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.app.startup()
        except Exception as exc:
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        # What is loaded stays; the collector would go through it again and again, and hold up answers for 10 ms.
        gc.collect()
        gc.freeze()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.app.drain()
        await self.app.shutdown()
        await send({"type": "lifespan.shutdown.complete"})


async def _watched(coro: Coroutine[Any, Any, None], request: Request, inbox: _Inbox) -> None:
    """Await *coro*, and only if that has to wait, watch for the client leaving meanwhile."""
    try:
        waiting = coro.send(None)
    except StopIteration:
        return
    task = asyncio.current_task()

    def leave() -> None:
        request.signal.abort()
        if request.cancel_on_disconnect and task is not None:
            inbox.cancelled = True
            task.cancel()

    inbox.watch(leave)
    try:
        await go_on(coro, waiting)
    finally:
        inbox.close()


def _request(scope: Any, inbox: _Inbox) -> Request:
    raw = scope.get("raw_path")
    # Without raw_path the host has decoded %2F already; quoting again is the best that is left.
    path = raw.partition(b"?")[0].decode("latin-1") if raw else quote(scope["path"], safe=_PATH_SAFE)
    query = scope["query_string"]
    target = f"{path}?{query.decode('latin-1')}" if query else path
    client = scope.get("client")
    fields = scope["headers"] if type(scope["headers"]) is list else list(scope["headers"])
    # A dictionary is made at the speed of C; a loop over a browser's fourteen fields costs more than most handlers.
    named = dict(fields)
    declared = named.get(b"content-length", b"")
    request = from_host(
        scope["method"],
        target,
        Headers.from_raw(fields),
        Body(None, inbox.read, int(declared) if declared.isdigit() else None),
        peer=client[0] if client else None,
        scheme=scope.get("scheme", "http"),
    )
    if len(named) == len(fields):  # what comes twice, be it the Host, is left to be judged
        guard.take_host(request, named)
        kind = named.get(b"content-type")
        if kind is not None:
            request._content_type = kind.strip(b" \t").decode("latin-1")
    return request


async def _send(request: Request, response: Response, send: Send, inbox: _Inbox) -> None:
    pairs = guard.wire_fields(response)
    bodyless = response.status in (204, 304)
    length = len(response.body) if response.chunks is None else response.content_length
    if length is not None and not bodyless:
        # Said by us: a host that is not told sends even a whole body in chunks.
        pairs.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": pairs})
    headless = bodyless or request.method == "HEAD"
    if response.chunks is None:
        await send({"type": "http.response.body", "body": b"" if headless else response.body})
        return
    chunks: Any = response.chunks
    sent = 0
    pinging: asyncio.Task[None] | None = None
    if response.ping is not None and not headless:
        pings = _Pings(send, *response.ping)
        send, pinging = pings.send, asyncio.get_running_loop().create_task(pings.run())
    try:
        if not headless:
            async for item in chunks:
                piece = to_bytes(item)
                sent += len(piece)
                if inbox.gone or (length is not None and sent > length):
                    raise ValueError(f"the stream gave more than its declared {length} bytes")
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            if length is not None and sent < length:
                raise ValueError(f"the stream gave {sent} of its declared {length} bytes")
        await send({"type": "http.response.body", "body": b""})
    finally:
        if pinging is not None:
            pinging.cancel()
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


class _Pings:
    """A ``send`` that puts a comment into a stream whenever it has been quiet for *quiet_s* seconds."""

    def __init__(self, send: Send, quiet_s: float, comment: bytes) -> None:
        self._send, self._quiet_s = send, quiet_s
        self._message = {"type": "http.response.body", "body": comment, "more_body": True}
        self._loop = asyncio.get_running_loop()
        self._at_s = self._loop.time()
        self._turn = asyncio.Lock()  # a host's send() is not made for two at once

    async def send(self, message: Message) -> None:
        async with self._turn:
            self._at_s = self._loop.time()
            await self._send(message)

    async def run(self) -> None:
        while True:
            rest_s = self._at_s + self._quiet_s - self._loop.time()
            if rest_s > 0:
                await asyncio.sleep(rest_s)
            else:
                await self.send(self._message)


class _Inbox:
    """The one reader of ``receive``: body pieces for the handler, and whether the client has left."""

    # Made per request, and most have no body and never wait.
    _size = 0
    _ended = False
    _taking = False
    _watcher: asyncio.Task[None] | None = None
    _leave: Callable[[], None] | None = None
    _news: asyncio.Event | None = None  # where somebody waits for what the watcher takes
    gone = False
    cancelled = False  # by us, because the client left

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._pieces: deque[bytes] = deque()

    async def read(self) -> bytes:
        """The next piece of the body, ``b""`` at its end."""
        while not self._pieces:
            if self._ended:
                return b""
            if self.gone:
                raise client_left()
            if self._watcher is not None:
                if self._news is None:
                    self._news = asyncio.Event()
                self._news.clear()
                await self._news.wait()
            else:
                await self._take()
        piece = self._pieces.popleft()
        self._size -= len(piece)
        self._watch_if_wanted()
        return piece

    async def _take(self) -> None:
        self._taking = True
        try:
            message = await self._receive()
        finally:
            self._taking = False
        if message["type"] == "http.request":
            piece = message.get("body", b"")
            if piece:
                self._pieces.append(piece)
                self._size += len(piece)
            self._ended = not message.get("more_body", False)
        else:
            self.gone = True
            if self._leave is not None:
                self._leave()
        self._tell()

    def watch(self, leave: Callable[[], None]) -> None:
        """From now on call *leave* once when the client goes."""
        self._leave = leave
        self._watch_if_wanted()

    def _watch_if_wanted(self) -> None:
        if self._leave is not None and self._watcher is None and not self._taking and not self.gone:
            self._watcher = asyncio.get_running_loop().create_task(self._pump())

    async def _pump(self) -> None:
        try:
            while not self.gone and self._size < _UNREAD:
                await self._take()
        finally:
            self._watcher = None
            self._tell()

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()

    def close(self) -> None:
        """The answer is out; nobody reads or leaves any more."""
        self._leave = None
        if self._watcher is not None:
            self._watcher.cancel()
