"""One connection of the native HTTP/1.1 server, from accept to close, and the time it may take.

Its parts stand in the order of a request: ``link`` (the transport), ``reading`` (bytes to
Request), ``answering`` (Response to bytes); here is what ends a connection that sends or reads
too slowly. Routing, logging of errors and default headers are not the server's.
"""

from __future__ import annotations

import asyncio
import logging
import select

from ..errors import HTTPError, ServiceUnavailable
from ..http import problem
from .answering import Answering, who
from .incoming import Incoming
from .serving import TICK_S

logger = logging.getLogger("turnout.server")

_PROGRESS = 49_152  # bytes a reader must take within write_stall_s: what makes a full buffer writable again


class Connection(Answering):
    """One client, from accept to close."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.serving.connections.add(self)

    @property
    def answering(self) -> bool:
        """Whether a request's answer is not complete, the client gone or not."""
        return self._current is not None

    @property
    def idle(self) -> bool:
        """Whether nothing is being answered, parsed or written."""
        return self._current is None and self._coming is None and not self._waiting and not self._held

    # -- deadlines

    def tick(self, now: float) -> None:
        """Judge every deadline of this connection."""
        settings, age = self.settings, now - self._since - TICK_S
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

    def _tick_answering(self, current: Incoming, now: float, age: float) -> None:
        settings, request = self.settings, current.request
        if current.response is not None:
            ping = current.response.ping
            if not self._writable:
                pass  # a reader that does not read is judged by write_stall_s
            elif ping is not None and age >= ping[0] - TICK_S:
                self._since = now
                self._write_piece(current, ping[1])
            elif age >= settings.stream_idle_s:
                self.abort()
        elif current.bad is not None:
            if not self.gone:
                self._give_up(current, current.bad)
        elif age >= (request.max_duration or settings.max_duration_s):
            logger.warning("handler timed out", extra=who(request))
            current.bad = ServiceUnavailable("The handler took too long", code="handler_timeout")
            self._cancel(current)
        elif current.waiter is not None and not self._body_keeps_pace(current):
            current.bad = HTTPError(408, "The body did not arrive in time")
            self._cancel(current)
        if not self._reading and not self.gone and self._peer_has_left():
            self._left()

    def _give_up(self, current: Incoming, error: HTTPError) -> None:
        """Answer for a handler that was cancelled a tick ago and is still at work; it stays counted until it ends."""
        logger.error("a handler goes on although it was cancelled", extra=who(current.request))
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
        return now - max(self._stalled_since, self._since) - TICK_S >= self.settings.write_stall_s

    def _body_keeps_pace(self, current: Incoming) -> bool:
        # Only time spent waiting for the client counts: a slow handler is not its fault.
        current.waited_s += self.serving.passed_s
        late = current.waited_s - TICK_S - self.settings.body_grace_s
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
