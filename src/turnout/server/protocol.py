"""One connection of the native HTTP/1.1 server: bytes to Request, Response to bytes.

llhttp (through httptools) finds the boundaries and refuses most of what is malformed; this
file refuses what llhttp lets through (RFC 9112; the table in docs/explanation/server.md), keeps
pipelined answers in order, holds back clients that send or read slower or faster than they
should, and decides when a connection ends. Routing, logging of errors and default headers
are not here.

A request's handler takes its first step inside the parser's callback: see ``eager``.
"""

from __future__ import annotations

import asyncio
import logging
import re
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from email.utils import formatdate
from typing import Any, NamedTuple, NoReturn, cast

import httptools

from ..config import ServerConfig
from ..errors import HTTPError, ServiceUnavailable
from ..http import guard, problem
from ..http.body import Body
from ..http.fetch import Fetch, client_left
from ..http.request import Request
from ..http.response import Response, to_bytes
from .eager import start
from .pressure import BUDGET_S, Pressure

logger = logging.getLogger("turnout.server")

_SLICE = 1_024  # fed at a time outside of a body, so that one read cannot start thousands of requests
_BODY_SLICE = 65_536
_CHUNKED_SLICE = 16_384  # where the body ends inside a slice is not known before it is fed
_UNREAD = 65_536  # body bytes kept for a handler that has not asked for them yet
_WAITING = 64  # pipelined requests parsed ahead of the one being answered
_LINGER = 65_536  # bytes read and dropped after a refusal, so that the client sees it
_KNOWN_BLOCK = 4_096  # a longer header block is not kept for comparison
_JOIN = 65_536  # a body up to this size is sent in one piece with its head
_PROGRESS = 49_152  # bytes a reader must take within write_stall_s: what makes a full buffer writable again
_TICK_S = 1.0  # between two looks at the clock: a state may be this much younger than it seems

# Origin-form, without the characters that _target refuses.
_is_plain_target = re.compile(rb"/[\x21\x22\x24-\x5b\x5d-\x7e]*").fullmatch
_METHODS = {name.encode(): name for name in guard.METHODS}
_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
_STATUS_LINES = {status: f"HTTP/1.1 {status} {problem.title(status)}\r\n".encode() for status in range(200, 600)}
_BODYLESS = frozenset({204, 304})
# A method that no parser knows (RFC 9110 section 9.1), as far as it has come.
_begins_with_token = re.compile(rb"[\r\n]*[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: |\Z)").match


Access = Callable[[Request, int, float], None]


class Serving:
    """What all connections of one worker share.

    Args:
        fetch: What answers.
        settings: Limits and deadlines.
        loop: The worker's event loop.
        access: Called with request, status and seconds when a response has been sent, if given.
    """

    def __init__(
        self, fetch: Fetch, settings: ServerConfig, loop: asyncio.AbstractEventLoop, access: Access | None = None
    ) -> None:
        self.app, self.settings, self.loop, self.access = fetch, settings, loop, access
        self.connections: set[Connection] = set()
        self.arriving = 0  # accepted, and not among them yet
        self.draining = False
        self.refused = 0  # requests that never reached the app
        self.pressure = Pressure(loop)
        self.now = loop.time()  # as of the last tick: no deadline here needs better than a second
        self.passed_s = 0.0  # between the last two ticks
        self.hosts: dict[bytes, str] = {}  # Host values seen to be well formed
        self.context = copy_context()
        self.date = b""
        self.heads: dict[tuple[int, str | None], bytes] = {}  # of plain answers, up to the length; by the second
        self.targets: dict[bytes, str] = {}  # targets seen to be well formed; static paths come again and again
        self.tick()

    def connection(self) -> Connection:
        """A protocol for ``loop.create_server``."""
        return Connection(self)

    @property
    def in_flight(self) -> int:
        """Requests whose answer is not complete; counted when asked, as a request has better to do."""
        return sum(connection.answering for connection in self.connections)

    def drain(self) -> None:
        """Every connection ends with the answer that is being made, or the next one."""
        self.draining = True
        self.heads.clear()

    def tick(self) -> None:
        """Once a second: the Date field, and every deadline."""
        before, self.now = self.now, self.loop.time()
        self.passed_s = self.now - before
        if self.passed_s > _TICK_S + BUDGET_S / 4:
            self.pressure.suspect()
        date = b"date: " + formatdate(usegmt=True).encode() + b"\r\n"
        if date != self.date:
            self.date = date
            self.heads.clear()
        for connection in tuple(self.connections):
            connection.tick(self.now)

    def plain_head(self, response: Response) -> bytes:
        """The head of a response that has no fields of its own, up to the value of Content-Length.

        Nothing where more or less than that belongs to it: a status without a body, a draining server.
        """
        if response.status in _BODYLESS or self.draining:
            return b""
        head = _STATUS_LINES[response.status] + guard.head_bytes(response) + self.date + b"content-length: "
        if len(self.heads) < 100:
            self.heads[response.status, response._type] = head
        return head

    def close_idle(self) -> None:
        """Close connections between requests."""
        for connection in tuple(self.connections):
            if connection.idle:
                connection.close()

    def cancel_all(self) -> None:
        """Cancel every handler and drop every connection."""
        for connection in tuple(self.connections):
            connection.abort()


class _Incoming:
    """A request from its first byte to the end of its body."""

    # Made per request, so what most requests leave alone is a class attribute.
    request: Request = cast(Request, None)  # None until its head is complete
    response: Response | None = None  # once it is being streamed
    bad: HTTPError | None = None  # what it is refused with, or ended with by force
    method = "GET"  # of a request that was refused before there was a Request
    cancelled = False  # once is enough: a second time would break into what the handler cleans up
    keep_alive = False
    http10 = False
    upgrade = False  # has an Upgrade field, which counts only beside Connection: upgrade
    expects = False  # waits for 100 (Continue)
    chunked = False  # its answer is streamed in chunks
    complete = False  # the last byte is here
    length: int | None = 0  # of the body; None: chunked
    size = 0  # unread bytes in pieces
    received = 0
    waited_s = 0.0  # for the body, by a handler that had none of it left
    waiter: asyncio.Future[None] | None = None
    pieces: list[bytes]
    started_at = 0.0  # only where somebody logs it
    context: Context

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def read(self) -> bytes:
        """What has come of the body since the last call, ``b""`` at its end."""
        connection = self.connection
        if self.expects:
            self.expects = False
            if not self.received:
                connection.write_continue()
        while not self.size:
            if self.complete:
                return b""
            if self.bad is not None:
                raise self.bad
            if connection.gone:
                raise client_left()
            self.waiter = connection.serving.loop.create_future()
            connection.take_more(self)
            try:
                await self.waiter
            finally:
                self.waiter = None
        # All of it at once: a body in chunks of one byte shall not cost a call for each of them.
        piece = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces.clear()
        self.size = 0
        connection.take_more(self)
        return piece

    def feed(self, piece: bytes) -> None:
        if not self.received:
            self.pieces = []
        self.received += len(piece)
        self.pieces.append(piece)
        self.size += len(piece)
        self.wake()

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class _Whole(_Incoming):
    """A request that came whole, read without the parser; it leaves the connection open."""

    keep_alive = True
    complete = True


class _Known(NamedTuple):
    """A header block that the parser has accepted: its bytes, and what came out of them."""

    tail: bytes  # from the version in the request line to the empty line
    size: int  # of the tail and the body that follows
    fields: list[tuple[bytes, bytes]]
    host: str


class _Refused(Exception):
    """Leaves a parser callback; the refusal itself is in ``Connection._coming.bad``."""


class Connection(asyncio.Protocol):
    """One client, from accept to close."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.settings = serving.settings
        self.gone = False  # the client has left, or we have hung up
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.peer: str | None = None
        self._parser: httptools.HttpRequestParser = cast(Any, None)
        self._coming: _Incoming | None = None  # being parsed
        self._current: _Incoming | None = None  # being answered
        self._waiting: deque[_Incoming] = deque()  # parsed, to be answered after it
        self._task: asyncio.Task[Any] | None = None  # of the current handler, once it waits
        self._held = b""  # bytes not fed to the parser yet
        self._feeding = False
        self._closing = False  # nothing more will be read as a request
        self._lingering = -1  # bytes still to be dropped before the close; -1: not lingering
        self._reading = True
        self._writable = True
        self._drained: asyncio.Future[None] | None = None
        self._head_bytes = 0  # fed since the last end of a head or piece of a body
        self._fed = b""  # the bytes that the parser is at
        self._head_start = b""
        self._in_body = False
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._special: list[tuple[bytes, bytes]] = []
        self._since = serving.now  # when the present state began
        self._stalled_since = 0.0
        self._stalled_size = 0
        self._served = False  # has answered a request before
        self._ended: _Incoming | None = None  # the request whose last byte the parser has just seen
        self._known: _Known | None = None  # of the last request, if it came in one piece

    # -- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else None
        self._parser = httptools.HttpRequestParser(self)
        self.serving.connections.add(self)
        if self.serving.arriving:
            self.serving.arriving -= 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()
        # These and the connection would keep each other until the next garbage collection.
        self._parser, self._coming = cast(Any, None), None
        if self._current is None:
            self.serving.connections.discard(self)

    def eof_received(self) -> bool:
        # A client that shuts down its sending half looks on the wire like one that has gone,
        # so both end the handler. What is already written still goes out.
        self._left()
        return False

    def _left(self) -> None:
        if self.gone:
            return
        self._hang_up()
        current = self._current
        if current is None:
            return
        current.wake()
        request = current.request
        request.signal.abort()
        if request.cancel_on_disconnect or current.response is not None:
            self._cancel(current)

    def _hang_up(self) -> None:
        """Nothing more is read, begun or written."""
        self.gone = True
        self._stop_reading()
        self._waiting.clear()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _cancel(self, current: _Incoming) -> None:
        if self._task is not None and not current.cancelled:
            current.cancelled = True
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable = False
        self._known = None
        self._stalled_since = self.serving.now
        self._stalled_size = self.transport.get_write_buffer_size()
        self.update_reading()

    def resume_writing(self) -> None:
        self._writable = True
        self._since = self.serving.now
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self.serving.loop.call_soon(self._go_on)

    def data_received(self, data: bytes) -> None:
        if self._lingering >= 0:
            self._lingering -= len(data)
            if self._lingering <= 0:
                self.close()
            return
        if self._closing:
            return
        if self._held or self._feeding:
            self._held += data
            return
        known = self._known
        if known is not None and self._current is None and self._coming is None and self._begin_known(known, data):
            return
        if len(data) <= _SLICE and not self._waiting:
            self._feed(data)
            if self._coming is not None:
                self._begin_unfinished()
                self.update_reading()
        else:
            self._held = data
            self._feed_held()

    def _begin_known(self, known: _Known, data: bytes) -> bool:
        """Begin the request in *data* if it has the header block of the one before it, to the byte.

        A client that keeps its connection repeats itself (it is what HPACK lives on). Only the
        request line differs then, so only that is read anew, by rules at least as strict; the
        parser stands between two messages and need not know. False: nothing was done.
        """
        tail = known.tail
        at = len(data) - known.size
        if at <= 0 or not data.startswith(tail, at):
            self._known = None
            return False
        verb, _, url = data[:at].partition(b" ")
        method = _METHODS.get(verb)
        target = self.serving.targets.get(url) or self._known_target(url)
        if method is None or target is None:
            return False
        coming = _Whole(self)
        coming.request = request = Request.from_wire(method, target, known.fields, known.host, self.peer)
        request._whole = data[at + len(tail) :]
        self._begin(coming)
        return True

    def _known_target(self, url: bytes) -> str | None:
        """A target that needs no second look, or None: anything unusual is the parser's and ``_target``'s."""
        if not _is_plain_target(url) or len(url) > self.settings.max_path_bytes:
            return None
        target = url.decode()
        if len(self.serving.targets) < 1_000 and b"?" not in url:
            self.serving.targets[url] = target
        return target

    def _learn(self, data: bytes, coming: _Incoming) -> None:
        """Remember the header block of a request that was all of *data*."""
        if not coming.keep_alive or coming.length is None or coming.expects or coming.request is None:
            return
        if self._waiting or not self._writable:
            return  # a request that is known is begun at once, so it may not overtake any
        # The first line end of all has to be that of the request line: some parsers take a bare LF for one.
        begin, end = data.find(b"\n") - len(b" HTTP/1.1\r"), data.find(b"\r\n\r\n") + 4
        if not data.startswith(b" HTTP/1.1\r\n", max(begin, 0)):
            return
        if begin < end <= begin + _KNOWN_BLOCK and end + coming.length == len(data):
            self._known = _Known(data[begin:end], len(data) - begin, self._fields, coming.request.host)

    # -- the parser

    def _feed_held(self) -> None:
        """Feed what is held, slice by slice, for as long as there is room for what may come out."""
        if self._feeding:
            return
        self._feeding = True
        held, at = self._held, 0
        try:
            while at < len(held) and not self._closing and self._has_room():
                size = self._slice()
                self._feed(held[at : at + size])
                at += size
                if self._coming is not None:
                    self._begin_unfinished()
        finally:
            self._feeding = False
        # data_received may have added to the end meanwhile.
        self._held = b"" if self._closing else self._held[at:]
        self.update_reading()

    def _slice(self) -> int:
        """How much to feed at once: in a body, up to its end but not into the next request."""
        coming = self._coming
        if coming is None or not self._in_body:
            return _SLICE
        if coming.length is None:
            return _CHUNKED_SLICE
        return min(_BODY_SLICE, max(coming.length - coming.received, 1))

    def _has_room(self) -> bool:
        if len(self._waiting) >= _WAITING or not self._writable:
            return False
        return self._coming is None or self._coming.size < _UNREAD

    def _feed(self, data: bytes) -> None:
        self._fed = data
        if not self._in_body:
            if self._coming is not None:
                if len(self._head_start) < _SLICE + self.settings.max_path_bytes + self.settings.max_query_bytes:
                    self._head_start += data
            elif self._current is None and not self._head_bytes:
                self._since = self.serving.now
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The parser stops at any Upgrade. We speak HTTP/1.1 only: the request is answered
            # as such, and the connection ends with it.
            self._stop_reading()
        except httptools.HttpParserError as exc:
            if not self._closing:
                self._refuse(self._judge(exc))
        else:
            ended, self._ended = self._ended, None
            if ended is not None and self._head_start is data and self._coming is None:
                self._learn(data, ended)
            if self._head_bytes > self.settings.max_header_bytes and not self._closing:
                self._refuse(self._over_limit())

    def _judge(self, exc: httptools.HttpParserError) -> HTTPError:
        """What a request is refused with whose parsing ended in *exc*."""
        if isinstance(exc, httptools.HttpParserCallbackError):
            bad = self._coming.bad if self._coming is not None else None
            if bad is None:
                cause = exc.__context__
                logger.error("the server failed in a parser callback: %r", cause, exc_info=cause)
            return bad or HTTPError(500)
        # With another request before it in these bytes, nobody knows where its method begins.
        begins_here = isinstance(exc, httptools.HttpParserInvalidMethodError) and self._ended is None
        if begins_here and _begins_with_token(self._head_start):
            return guard.unknown_method()
        return HTTPError(400, "The request is not well-formed HTTP/1.1", code="malformed_request")

    def _over_limit(self) -> HTTPError:
        if not self._in_body and len(self._url) > self.settings.max_path_bytes + self.settings.max_query_bytes:
            return HTTPError(414, "The request target is too long")
        # In a body these are chunk extensions or trailer fields, which the parser keeps until they end.
        return HTTPError(431, f"The header is over {self.settings.max_header_bytes:,} bytes")

    def on_message_begin(self) -> None:
        if self._closing:
            raise _Refused  # bytes after the last request
        self._coming = _Incoming(self)
        self._head_start = self._fed
        self._fields = []
        self._special = []
        self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return  # a trailer field; nothing is added to a head that a guard may have read
        name = name.lower()
        self._fields.append((name, value))
        if name in _FRAMING:
            self._special.append((name, value))

    def on_headers_complete(self) -> None:
        coming = cast(_Incoming, self._coming)
        self._in_body = True
        self._head_bytes = 0
        parser = self._parser
        version = parser.get_http_version()
        if version != "1.1" and not (version == "1.0" and self._says_http10()):
            self._refuse_now(HTTPError(505, "This server speaks HTTP/1.1"))
        method = _METHODS.get(parser.get_method())
        if method is None:
            self._refuse_now(guard.unknown_method())
        if len(self._fields) > self.settings.max_headers:
            self._refuse_now(HTTPError(431, f"The request has over {self.settings.max_headers} header fields"))
        target = self._target()
        host = self._framing(coming, version)
        if not target.startswith("/"):
            target = self._other_form(target, host, method)
        if version == "1.0":
            coming.http10 = True
        else:
            coming.keep_alive = parser.should_keep_alive()
        request = Request.from_wire(method, target, self._fields, host, self.peer)
        coming.request = request
        if coming.length != 0:
            request._body = Body(None, coming.read, coming.length)
        else:
            request._whole = b""

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        cast(_Incoming, self._coming).feed(body)

    def on_message_complete(self) -> None:
        coming = cast(_Incoming, self._coming)
        coming.complete = True
        self._coming = None
        self._ended = coming
        self._in_body = False
        self._head_bytes = 0
        if coming is self._current:
            coming.wake()
            return
        request = coming.request
        if request is not None and coming.length != 0:
            # All of it came with the head: the handler need not wait for any of it.
            request._whole = b"".join(coming.pieces) if coming.size else b""
            request._body = None
            coming.size = 0
        if coming.upgrade and self._parser.should_upgrade():
            coming.keep_alive = False
            if coming.length != 0:
                coming.bad = HTTPError(400, "A request with a body cannot ask for an upgrade")
        if not coming.keep_alive:
            self._closing = True  # bytes after the last request are ignored
        self._enqueue(coming)

    # -- refusing what the parser lets through

    def _says_http10(self) -> bool:
        # The parser reports RTSP/1.0 and ICE/1.0 as version 1.0 too, and says nothing of the name.
        line = b"%b %b %%b/1.0\r\n" % (self._parser.get_method(), self._url.replace(b"%", b"%%"))
        return line % b"HTTP" in self._head_start and not any(
            line % other in self._head_start for other in (b"RTSP", b"ICE")
        )

    def _target(self) -> str:
        url = self._url
        path, _, query = url.partition(b"?")
        if len(path) > self.settings.max_path_bytes or len(query) > self.settings.max_query_bytes:
            self._refuse_now(HTTPError(414, "The request target is too long"))
        if b"#" in url or b"\\" in url:
            self._refuse_now(HTTPError(400, "The request target holds a # or a backslash", code="invalid_path"))
        return url.decode("latin-1")

    def _framing(self, coming: _Incoming, version: str) -> str:
        """Judge Host, body length and expectation; the Host value."""
        host: bytes | None = None
        length: int | None = 0
        for name, value in self._special:
            value = value.strip(b" \t")
            if name == b"host":
                if host is not None:
                    self._refuse_now(HTTPError(400, "The request has several Host fields", code="invalid_host"))
                host = value
            elif name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                if version == "1.0":
                    self._refuse_now(HTTPError(400, "HTTP/1.0 has no transfer coding"))
                if value.lower() != b"chunked" or length is None:
                    self._refuse_now(HTTPError(501, "The body has a transfer coding that this server does not read"))
                length = None
            elif name == b"upgrade":
                coming.upgrade = True
            elif name == b"expect" and version == "1.1":
                if value.lower() != b"100-continue":
                    self._refuse_now(HTTPError(417, "This server knows no expectation but 100-continue"))
                coming.expects = True
        coming.length = length
        if host is None:
            if version == "1.1":
                self._refuse_now(guard.malformed_host())
            return ""
        known = self.serving.hosts.get(host)
        if known is None:
            known = host.decode("latin-1")
            if not guard.is_host(known):
                self._refuse_now(guard.malformed_host())
            if len(self.serving.hosts) < 1_000:
                self.serving.hosts[host] = known
        return known

    def _other_form(self, target: str, host: str, method: str) -> str:
        """A target that is not a path: ``*``, or an absolute URL that must name our Host (RFC 9112 §3.2)."""
        if target == "*" and method == "OPTIONS":
            return target
        scheme, mark, rest = target.partition("://")
        end = min((rest.find(char) for char in "/?" if char in rest), default=len(rest))
        if scheme.lower() not in ("http", "https") or not mark or rest[:end].lower() != host.lower():
            self._refuse_now(HTTPError(400, "The request target and the Host field disagree", code="invalid_host"))
        path = rest[end:]
        return path if path.startswith("/") else "/" + path

    def _refuse_now(self, error: HTTPError) -> NoReturn:
        """From inside a callback: end the parsing here; ``_feed`` goes on with the refusal."""
        coming = cast(_Incoming, self._coming)
        coming.bad, coming.method = error, self._parser.get_method().decode()
        raise _Refused

    def _refuse(self, error: HTTPError) -> None:
        """Answer with *error* in its turn, and read no further request."""
        coming, self._coming = self._coming or _Incoming(self), None
        self._stop_reading()
        self.serving.refused += 1
        coming.bad = error
        if coming is self._current:
            self._cancel(coming)  # its body broke while the handler was at work on it
        else:
            self._enqueue(coming)

    def _stop_reading(self) -> None:
        self._closing = True
        self._held = b""

    # -- one answer at a time

    def _enqueue(self, coming: _Incoming) -> None:
        if self._current is not None or self._waiting or not self._writable:
            self._waiting.append(coming)
        else:
            self._begin(coming)

    def _begin_unfinished(self) -> None:
        """Begin a request whose body is still on its way, if it is its turn."""
        if self._current is None and not self._waiting and self._is_unfinished_next():
            self._begin(cast(_Incoming, self._coming))

    def _is_unfinished_next(self) -> bool:
        coming = self._coming
        return coming is not None and self._in_body and coming.request is not None and not self._closing

    def _begin(self, coming: _Incoming) -> None:
        serving = self.serving
        self._current = coming
        self._since = serving.now
        if serving.access is not None:
            coming.started_at = serving.loop.time()
        if coming.bad is not None:
            self._answer_refusal(coming.bad)
            return
        if serving.pressure.high and (busy := serving.pressure.refuses(coming.request)) is not None:
            serving.refused += 1
            self._answered(coming, busy)
            return
        context = coming.context = serving.context.copy()
        try:
            outcome = start(serving.app.fetch(coming.request), serving.loop, context)
        except BaseException as exc:  # at once; SystemExit too, which a parser's callback could not let through
            self._failed(coming, exc)
            return
        if isinstance(outcome, Response):
            self._answered(coming, outcome)
        else:
            self._task = outcome
            outcome.add_done_callback(self._task_done)

    def _answered(self, coming: _Incoming, response: Response) -> None:
        """The app has answered: write it, or begin to stream it."""
        request = coming.request
        if response.chunks is not None:
            coming.response = response
            # In a step of its own, since the handler's is over; in the same context.
            try:
                outcome = start(self._write_stream(coming, request, response), self.serving.loop, coming.context)
            except BaseException as exc:
                self._failed(coming, exc)
                return
            if isinstance(outcome, asyncio.Task):
                self._task = outcome
                outcome.add_done_callback(self._task_done)
            else:
                self._streamed(coming, response, outcome)
            return
        status = response.status
        try:
            self._write_whole(coming, request, response)
        except Exception as exc:
            status = self._write_instead(coming, request, exc)
        if request.after_work is not None:
            self.serving.app.sent(request, response)
        self._finished(coming, status)

    def _write_instead(self, coming: _Incoming, request: Request, exc: BaseException) -> int:
        """An answer that cannot be put on the wire as it is becomes a 500: nothing of it is left out."""
        logger.error("a response cannot be sent: %r", exc, exc_info=exc, extra=_who(request))
        self._write_whole(coming, request, problem.to_problem(HTTPError(500), request))
        return 500

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        """A handler or a stream that had to wait has ended."""
        coming = cast(_Incoming, self._current)
        self._task = None
        if task.cancelled():
            self._failed(coming, None)
        elif (exc := task.exception()) is not None:
            self._failed(coming, exc)
        elif coming.response is None:
            self._answered(coming, task.result())
        else:
            self._streamed(coming, coming.response, task.result())
        if self._current is None:
            self._go_on()

    def _failed(self, coming: _Incoming, exc: BaseException | None) -> None:
        """What ran gave no answer: it was ended by force or ended itself; None where it was cancelled later."""
        request = coming.request
        if exc is not None and not isinstance(exc, asyncio.CancelledError):
            logger.error("the server failed: %r", exc, exc_info=exc, extra=_who(request))
        elif not coming.cancelled:
            logger.error(
                "a handler was cancelled, by itself or by what it waited for", exc_info=exc, extra=_who(request)
            )
        if coming.response is not None or request.after_work is not None:
            self.serving.app.sent(request, coming.response or Response(None, 503))
        if coming.response is not None or self.gone:
            self._hang_up()
            self._release(coming)
            self._cut(coming)
        else:
            self._answer_refusal(coming.bad or HTTPError(500))

    def _streamed(self, coming: _Incoming, response: Response, status: int) -> None:
        self.serving.app.sent(coming.request, response)
        self._finished(coming, status)

    def _finished(self, coming: _Incoming, status: int) -> None:
        """The answer is written: log it, and end the connection if it was the last."""
        serving = self.serving
        self._release(coming)
        if serving.access is not None:
            self._note(coming, status)
        if self.gone:
            return
        if not coming.complete:
            # The rest of the body would have to be read only to be dropped.
            self._coming = None
            self._stop_reading()
            self._linger()
        elif not coming.keep_alive or serving.draining:
            self.close()

    def _note(self, coming: _Incoming, status: int) -> None:
        access = self.serving.access
        if access is not None and coming.request is not None:
            access(coming.request, status, self.serving.loop.time() - coming.started_at)

    def _release(self, coming: _Incoming) -> None:
        self._current = None
        self._served = True
        self._since = self.serving.now
        if self._parser is None:  # the connection is lost, and was kept for the deadlines of its handler
            self.serving.connections.discard(self)

    def _go_on(self) -> None:
        """Begin what waits, then feed what is held; called from the loop, never from inside a handler."""
        while self._current is None and self._writable and not self.gone:
            if self._waiting:
                self._begin(self._waiting.popleft())
            elif self._is_unfinished_next():
                self._begin(cast(_Incoming, self._coming))
            elif self._held:
                self._feed_held()
            else:
                break
        if self._held:
            self._feed_held()
        self.update_reading()

    def take_more(self, coming: _Incoming) -> None:
        """A handler has made room in its body's buffer."""
        if self._current is not coming:
            return  # begun now, the next handler would run inside of what is left of this one
        if self._held:
            self._feed_held()
        else:
            self.update_reading()

    def update_reading(self) -> None:
        """Read from the socket exactly while there is room for what comes."""
        if self._feeding or self._lingering >= 0 or self.transport.is_closing():
            return
        wanted = not self._held and self._has_room()
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    # -- writing

    def write_continue(self) -> None:
        """The interim 100, sent when the handler first asks for the body (RFC 9110 section 10.1.1)."""
        # A stream that reads the body has sent a final head before.
        if not self.gone and cast(_Incoming, self._current).response is None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _write_whole(self, coming: _Incoming, request: Request, response: Response) -> None:
        if self.gone:
            return
        body, status = response.body, response.status
        if (
            response._headers is None
            and coming.keep_alive
            and coming.complete
            and request.method != "HEAD"
            and len(body) <= _JOIN
            and (head := self.serving.heads.get((status, response._type)) or self.serving.plain_head(response))
        ):
            self.transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
            return
        head = _STATUS_LINES[status] + guard.head_bytes(response) + self.serving.date
        if status in _BODYLESS:
            body = b""
        elif response.content_length is not None and request.method == "HEAD":
            head += b"content-length: %d\r\n" % response.content_length
        else:
            head += b"content-length: %d\r\n" % len(body)
        if not coming.keep_alive or not coming.complete or self.serving.draining:
            head += b"connection: close\r\n"
        if request.method == "HEAD":
            body = b""
        if len(body) <= _JOIN:
            self.transport.write(head + b"\r\n" + body)
        else:
            self.transport.write(head + b"\r\n")
            self.transport.write(body)

    async def _write_stream(self, coming: _Incoming, request: Request, response: Response) -> int:
        """Send *response*, whose body is a stream; the status that went out."""
        chunks = cast(Any, response.chunks)
        try:
            if self.gone:
                return response.status
            try:
                head = _STATUS_LINES[response.status] + guard.head_bytes(response) + self.serving.date
            except Exception as exc:
                return self._write_instead(coming, request, exc)
            declared = response.content_length
            chunked = coming.chunked = declared is None and not coming.http10
            bodyless = response.status in _BODYLESS
            if declared is not None and not bodyless:
                head += b"content-length: %d\r\n" % declared
            elif chunked and not bodyless:
                head += b"transfer-encoding: chunked\r\n"
            if not coming.keep_alive or not coming.complete or self.serving.draining:
                coming.keep_alive = False  # also if the body is complete by the end of the stream
                head += b"connection: close\r\n"
            self.transport.write(head + b"\r\n")
            if request.method != "HEAD" and not bodyless:
                self._since = self.serving.now
                await self._write_chunks(coming, chunks, declared)
        except Exception as exc:
            # The head is out, so the only honest answer is a connection that breaks off.
            if not self.gone:
                logger.error("a stream failed: %s", exc, exc_info=exc, extra=_who(request))
                self._hang_up()
                self._cut(coming)
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
        return response.status

    async def _write_chunks(self, coming: _Incoming, chunks: Any, declared: int | None) -> None:
        sent = 0
        async for item in chunks:
            piece = to_bytes(item)
            self._since = self.serving.now
            if self.gone:
                return
            if not piece:
                continue
            sent += len(piece)
            if declared is not None and sent > declared:
                raise ValueError(f"the stream gave more than its declared {declared} bytes")
            self._write_piece(coming, piece)
            if not self._writable:
                await self._drain()
                if self.gone:
                    return
        if declared is not None and sent < declared:
            raise ValueError(f"the stream gave {sent} of its declared {declared} bytes")
        if coming.chunked and not self.gone:
            self.transport.write(b"0\r\n\r\n")

    def _write_piece(self, coming: _Incoming, piece: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if coming.chunked else piece)

    async def _drain(self) -> None:
        """Wait until the socket has taken what was written."""
        if not self._writable and not self.gone:
            self._drained = self.serving.loop.create_future()
            try:
                await self._drained
            finally:
                self._drained = None

    def _answer_refusal(self, error: HTTPError) -> None:
        coming = cast(_Incoming, self._current)
        request = coming.request or Request(coming.method, "/")
        coming.keep_alive = False
        self._write_whole(coming, request, problem.to_problem(error, request))
        self._release(coming)
        self._note(coming, error.status)
        self._stop_reading()
        self._linger()

    # -- ends

    @property
    def answering(self) -> bool:
        """Whether a request's answer is not complete, the client gone or not."""
        return self._current is not None

    @property
    def idle(self) -> bool:
        """Whether nothing is being answered, parsed or written."""
        return self._current is None and self._coming is None and not self._waiting and not self._held

    def _linger(self) -> None:
        """Close, but first read a little more, or the reset would overtake our answer."""
        self._waiting.clear()
        if self.gone or self.transport.is_closing():
            return
        self._lingering = _LINGER
        self._since = self.serving.now
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()
        try:
            self.transport.write_eof()
        except OSError:  # reset a moment ago; the loop is about to say so
            pass

    def close(self) -> None:
        """Send what is written, then close."""
        self._stop_reading()
        self._waiting.clear()
        if not self.transport.is_closing():
            self.transport.close()

    def abort(self) -> None:
        """Drop the connection and cancel its handler."""
        self._left()
        if self._current is not None:
            self._cancel(self._current)
        self.transport.abort()

    def _cut(self, coming: _Incoming) -> None:
        if self.transport.is_closing():
            return
        if coming.http10:
            # This stream has neither length nor chunks: only a reset tells its end from a failure.
            self._end_with_reset()
        self.transport.abort()

    def _end_with_reset(self) -> None:
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def tick(self, now: float) -> None:
        """Judge every deadline of this connection."""
        settings, age = self.settings, now - self._since - _TICK_S
        if self._current is not None:
            self._tick_answering(self._current, now, age)
        if self._parser is None:
            return  # lost, and kept for its handler's sake only
        if not self._writable or self.transport.is_closing():
            if self._is_stalled(now):
                # Closed in order, the kernel would keep what it holds for this client, megabytes, for minutes.
                self._end_with_reset()
                self.abort()
        elif self._current is not None:
            return
        elif self._lingering >= 0:
            if age >= 0:
                self.close()
        elif self._coming is not None or self._head_bytes:
            if age >= settings.header_timeout_s:
                self._refuse(HTTPError(408, "The request did not arrive in time"))
        elif age >= (settings.keep_alive_s if self._served else settings.header_timeout_s):
            self.close()

    def _tick_answering(self, current: _Incoming, now: float, age: float) -> None:
        settings, request = self.settings, current.request
        if current.response is not None:
            ping = current.response.ping
            if not self._writable:
                pass  # a reader that does not read is judged by write_stall_s
            elif ping is not None and age >= ping[0] - _TICK_S:
                self._since = now
                self._write_piece(current, ping[1])
            elif age >= settings.stream_idle_s:
                self.abort()
        elif current.bad is not None:
            if not self.gone:
                self._give_up(current, current.bad)
        elif age >= (request.max_duration or settings.max_duration_s):
            logger.warning("handler timed out", extra=_who(request))
            current.bad = ServiceUnavailable("The handler took too long", code="handler_timeout")
            self._cancel(current)
        elif current.waiter is not None and not self._body_keeps_pace(current):
            current.bad = HTTPError(408, "The body did not arrive in time")
            self._cancel(current)
        if not self._reading and not self.gone and self._peer_has_left():
            self._left()

    def _give_up(self, current: _Incoming, error: HTTPError) -> None:
        """Answer for a handler that was cancelled a tick ago and is still at work; it stays counted until it ends."""
        logger.error("a handler goes on although it was cancelled", extra=_who(current.request))
        current.keep_alive = False
        self._write_whole(current, current.request, problem.to_problem(error, current.request))
        self._note(current, error.status)
        self._hang_up()
        self.transport.close()

    def _is_stalled(self, now: float) -> bool:
        """Whether the client takes too little of what is written; how slowly it reads a large answer is its affair."""
        size = self.transport.get_write_buffer_size()
        if size <= self._stalled_size - _PROGRESS:
            self._stalled_size, self._stalled_since = size, now
        return now - max(self._stalled_since, self._since) - _TICK_S >= self.settings.write_stall_s

    def _body_keeps_pace(self, current: _Incoming) -> bool:
        # Only time spent waiting for the client counts: a slow handler is not its fault.
        current.waited_s += self.serving.passed_s
        late = current.waited_s - _TICK_S - self.settings.body_grace_s
        return late <= 0 or current.received >= late * self.settings.body_bytes_per_s

    def _peer_has_left(self) -> bool:
        """Ask the kernel: a paused transport reports neither end of file nor reset."""
        sock = self.transport.get_extra_info("socket")
        if sock is None or not hasattr(select, "poll"):
            return False
        hang_up = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
        poll = select.poll()
        try:
            poll.register(sock.fileno(), hang_up)
        except (OSError, ValueError):
            return True
        return any(events & hang_up for _, events in poll.poll(0))


def _who(request: Request) -> dict[str, Any]:
    """What a log line says of *request*."""
    return {"request_id": request.id, "route": request.route.pattern if request.route else None}
