"""What all connections of one worker share: the app, the clock, and what is ready to be sent."""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Callable, Iterable
from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING

from ..config import ServerConfig
from ..http import guard, problem
from ..http.date import to_http_date
from ..http.fetch import Fetch
from ..http.request import Request
from ..http.response import Response
from .pressure import BUDGET_S, Pressure

if TYPE_CHECKING:
    from .protocol import Connection

TOGETHER_S = 0.001  # how long an answer may wait for others of its turn, and the handler that is at work then
TICK_S = 1.0  # between two looks at the clock: a state may be this much younger than it seems
STATUS_LINES = {status: f"HTTP/1.1 {status} {problem.title(status)}\r\n".encode() for status in range(200, 600)}
BODYLESS = frozenset({204, 304})

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
        # Up to the length, by the second: of plain answers by their type, of those with fixed fields by these.
        self.heads: dict[tuple[int, str | bytes | None], bytes] = {}
        # Methods and targets by what stands before the version, where it is well formed; paths come again and again.
        self.asked: dict[bytes, tuple[str, str]] = {}
        # Answers that wait for the end of this turn of the loop; None before the turn's first.
        self._outbox: list[tuple[asyncio.Transport, bytes]] | None = None
        self._outbox_until = 0.0
        self.tick()

    def connection(self) -> Connection:
        """A protocol for ``loop.create_server``."""
        from .protocol import Connection

        return Connection(self)

    def send(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Write *answer*: the first one of this turn of the loop at once, those after it together.

        A write wakes the process that reads, if it sleeps. Where that is on the same machine, as a proxy is, waking it
        for each answer costs as much as a query: ten rows from SQLite took 48 us so, and take 28.
        """
        if self._outbox is None:
            transport.write(answer)
            self._outbox, self._outbox_until = [], monotonic() + TOGETHER_S
            self.loop.call_soon(self._end_turn)
            return
        self._outbox.append((transport, answer))
        if monotonic() > self._outbox_until:
            self.flush()

    def flush(self) -> None:
        """Write the answers that wait; before anything else is written to any of their clients, or one is closed."""
        if not self._outbox:
            return
        answers, self._outbox, self._outbox_until = self._outbox, [], monotonic() + TOGETHER_S
        for transport, answer in answers:
            transport.write(answer)

    def _end_turn(self) -> None:
        self.flush()
        self._outbox = None

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
        if self.passed_s > TICK_S + BUDGET_S / 4:
            self.pressure.suspect()
        date = b"date: " + to_http_date(time.gmtime()).encode() + b"\r\n"
        if date != self.date:
            self.date = date
            self.heads.clear()
        for connection in tuple(self.connections):
            connection.tick(self.now)

    def ready_head(self, response: Response, kind: str | bytes | None) -> bytes:
        """The head of a response that has no fields of its own or fixed ones, up to the value of Content-Length.

        Nothing where more or less than that belongs to it: a status without a body, a draining server.
        """
        if response.status in BODYLESS or self.draining:
            return b""
        head = STATUS_LINES[response.status] + guard.head_bytes(response) + self.date + b"content-length: "
        if len(self.heads) < 100:
            self.heads[response.status, kind] = head
        return head

    def close_idle(self) -> None:
        """Close connections between requests.

        But not one whose next request has arrived and is only not read yet: closed now, it would be lost, and
        a proxy sends a POST no second time. It is answered, and closes then.
        """
        idle = [connection for connection in self.connections if connection.idle]
        unread = _unread(idle)
        for connection in idle:
            if connection not in unread:
                connection.close()

    def cancel_all(self) -> None:
        """Cancel every handler and drop every connection."""
        for connection in tuple(self.connections):
            connection.abort()


def _unread(connections: Iterable[Connection]) -> set[Connection]:
    """Those of *connections* for which bytes, or the client's end, lie in the system."""
    if not hasattr(select, "poll"):  # Windows
        return set()
    by_file = {}
    poll = select.poll()
    for connection in connections:
        sock = connection.transport.get_extra_info("socket")
        if sock is not None and (file := sock.fileno()) >= 0:
            by_file[file] = connection
            poll.register(file, select.POLLIN)
    return {by_file[file] for file, _ in poll.poll(0)}
