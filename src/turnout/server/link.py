"""One client's transport: what is known of the connection, and the ways in which it ends.

The base of ``protocol.Connection``: ``reading`` turns its bytes into requests, ``answering``
runs them and writes, ``protocol`` judges the time that all of it takes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, cast

import httptools

from ..http.headers import RawFields
from .incoming import Incoming, Whole

if TYPE_CHECKING:
    from .reading import Known
    from .serving import Serving

_LINGER = 65_536  # bytes read and dropped after a refusal, so that the client sees it


class Link(asyncio.Protocol):
    """The transport of one client, and everything that its three uses share."""

    # More than thirty attributes would each be looked up in a dictionary.
    __slots__ = (
        "__weakref__", "_closing", "_coming", "_current", "_drained", "_ended", "_fed", "_feeding", "_fields",
        "_fields_before", "_head_bytes", "_head_start", "_held", "_in_body", "_known", "_lingering", "_parser",
        "_reading", "_served", "_since", "_spare", "_special", "_stalled_since", "_stalled_size", "_task", "_url",
        "_waiting", "_writable", "gone", "peer", "serving", "settings", "transport",
    )  # fmt: skip

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.settings = serving.settings
        self.gone = False  # the client has left, or we have hung up
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.peer: str | None = None
        self._parser: httptools.HttpRequestParser = cast(Any, None)
        self._coming: Incoming | None = None  # being parsed
        self._current: Incoming | None = None  # being answered
        self._waiting: deque[Incoming] = deque()  # parsed, to be answered after it
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
        self._fields = self._fields_before = RawFields()
        self._special: list[tuple[bytes, bytes]] = []
        self._since = serving.now  # when the present state began
        self._stalled_since = 0.0
        self._stalled_size = 0
        self._served = False  # has answered a request before
        self._ended: Incoming | None = None  # the request whose last byte the parser has just seen
        # Of the last request, if it came in one piece. Only while the next one may be begun the moment it is here: the
        # parser stands between two messages, and nothing is held, waits, lingers or is about to be closed.
        self._known: Known | None = None
        self._spare: Whole | None = None  # from a request that is answered, for one that is known

    # -- from the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else None
        self._parser = httptools.HttpRequestParser(self)
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
        # so both end the handler. What is already answered still goes out.
        self._left()
        return False

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

    # -- ends

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
        """Nothing more is read, begun or written, but for what is answered already."""
        self.serving.flush()
        self.gone = True
        self._stop_reading()
        self._waiting.clear()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _cancel(self, current: Incoming) -> None:
        if self._task is not None and not current.cancelled:
            current.cancelled = True
            self._task.cancel()

    def _stop_reading(self) -> None:
        self._closing = True
        self._known = None
        self._held = b""

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
        """Send what is answered, then close."""
        self.serving.flush()
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

    def _cut(self, coming: Incoming) -> None:
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

    # -- by those who read and answer

    def update_reading(self) -> None:
        """Read from the socket exactly while there is room for what comes."""
        raise NotImplementedError

    def _go_on(self) -> None:
        """Begin what waits, then feed what is held; called from the loop, never from inside a handler."""
        raise NotImplementedError
