"""A request's body: one counter over every way of reading it.

The door gives a ``read`` that returns the next piece and ``b""`` at the end; a body that has
arrived whole is given as bytes. Limits are checked before a piece is kept. Deadlines are the
door's, since only it knows a slow client from a slow handler.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from msgspec import Struct

from ..errors import BodyUsed, PayloadTooLarge

Read = Callable[[], Awaitable[bytes]]


class Limits(Struct, frozen=True):
    """What a request may bring, in bytes and counts; a route's ``body_limit`` replaces the byte limits."""

    json_bytes: int = 1_000_000
    form_bytes: int = 2_000_000
    file_bytes: int = 10_000_000
    body_bytes: int = 16_000_000
    max_parts: int = 1_000
    max_fields: int = 1_000
    max_query_fields: int = 1_000


class Body:
    """The bytes of one request, kept when read whole and gone when streamed."""

    __slots__ = ("_declared", "_kept", "_read", "_size", "_streamed", "_whole")

    def __init__(self, whole: bytes | None, read: Read | None = None, declared: int | None = None) -> None:
        self._whole = whole  # all of it, once it is there
        self._read = read
        self._declared = declared  # Content-Length, if the client gave one
        self._kept: list[bytes] = []  # pieces of a body that is not whole yet
        self._size = 0
        self._streamed = False

    def check(self, limit: int) -> None:
        """Raise PayloadTooLarge when the body is known to be over *limit* bytes, before a byte is read."""
        known = len(self._whole) if self._whole is not None else self._declared
        if known is not None and known > limit:
            raise _too_large(limit)

    async def whole(self, limit: int) -> bytes:
        """All of the body, kept for the next call.

        Raises:
            PayloadTooLarge: it is over *limit* bytes.
            BodyUsed: it was streamed before.
        """
        self.check(limit)
        if self._whole is not None:
            return self._whole
        if self._streamed:
            raise BodyUsed("the body was read by request.stream(); read it there or by bytes(), not both")
        while True:
            if self._size > limit:
                raise _too_large(limit)
            piece = await self._next()
            if not piece:
                break
            self._kept.append(piece)
            self._size += len(piece)
        self._whole = b"".join(self._kept)
        self._kept = []
        return self._whole

    async def pieces(self, limit: int) -> AsyncIterator[bytes]:
        """The body piece by piece, none of it kept; only once.

        Raises:
            PayloadTooLarge: more than *limit* bytes came.
            BodyUsed: it was streamed before.
        """
        self.check(limit)
        if self._streamed:
            raise BodyUsed("the body was read by request.stream() before; it is not kept")
        self._streamed = True
        if self._whole is not None:
            whole, self._whole = self._whole, None
            if whole:
                yield whole
            return
        while True:
            piece = self._kept.pop(0) if self._kept else await self._next()
            if not piece:
                return
            self._size += len(piece)
            if self._size > limit:
                raise _too_large(limit)
            yield piece

    async def _next(self) -> bytes:
        return await self._read() if self._read is not None else b""


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is over the limit of {limit:,} bytes")
