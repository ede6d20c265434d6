"""A request on its way in: from its first byte to the end of its body, and how its answer is to end."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, cast

from ..errors import HTTPError
from ..http.fetch import client_left
from ..http.request import Request
from ..http.response import Response

if TYPE_CHECKING:
    from .reading import Reading


class Incoming:
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
    content_type: str | None = None  # None where there is no such field
    size = 0  # unread bytes in pieces
    received = 0
    waited_s = 0.0  # for the body, by a handler that had none of it left
    waiter: asyncio.Future[None] | None = None
    pieces: list[bytes]
    started_at = 0.0  # only where somebody logs it
    context: Context

    def __init__(self, connection: Reading) -> None:
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


class Whole(Incoming):
    """A request that came whole, read without the parser; it leaves the connection open."""

    def __init__(self, connection: Reading) -> None:
        super().__init__(connection)
        # Of the object, where they are found sooner: it serves many requests.
        self.keep_alive = self.complete = True
        self.bad = self.response = None
