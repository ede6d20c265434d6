"""One answer at a time: run the handler, write what it gives, go on with the next request.

A request's handler takes its first step inside the parser's callback: see ``eager``.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from ..errors import HTTPError
from ..http import guard, problem
from ..http.headers import FixedHeaders
from ..http.request import Request
from ..http.response import Response, to_bytes
from .eager import start
from .incoming import Incoming
from .reading import Reading
from .serving import BODYLESS, STATUS_LINES

logger = logging.getLogger("turnout.server")

_JOIN = 65_536  # a body up to this size is sent in one piece with its head
_SIZES = [b"%d\r\n\r\n" % size for size in range(1_024)]  # the end of a head, by the length of the body
_SIZED = len(_SIZES)


class Answering(Reading):
    """The answering half of a connection."""

    __slots__ = ()

    def _begin(self, coming: Incoming) -> None:
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
        kept, context = serving.app.kept, serving.context
        outcome: Response | asyncio.Task[Response] | None = None
        try:
            if kept is not None:
                outcome = kept(coming.request)
            if outcome is None:
                context = context.copy()
                outcome = start(serving.app.fetch(coming.request), serving.loop, context)
        except BaseException as exc:  # at once; SystemExit too, which a parser's callback could not let through
            self._failed(coming, exc)
            return
        if isinstance(outcome, Response):
            if outcome.chunks is not None:
                coming.context = context
            self._answered(coming, outcome)
        else:
            coming.context = context
            self._task = outcome
            outcome.add_done_callback(self._task_done)

    def _answered(self, coming: Incoming, response: Response) -> None:
        """The app has answered: write it, or begin to stream it."""
        if response.chunks is not None:
            self._begin_stream(coming, response)
            return
        request, serving = coming.request, self.serving
        status, headers, body = response.status, response._headers, response.body
        try:
            if (
                (headers is None or type(headers) is FixedHeaders)
                and coming.keep_alive
                and coming.complete
                and request.method != "HEAD"
                and len(body) <= _JOIN
            ):
                kind = response._type if headers is None else headers.block
                head = serving.heads.get((status, kind)) or serving.ready_head(response, kind)
            else:
                head = b""
            if head and not self.gone:
                # As "%b%d\r\n\r\n%b" would, which takes twice as long.
                size = len(body)
                serving.send(self.transport, head + (_SIZES[size] if size < _SIZED else b"%d\r\n\r\n" % size) + body)
            else:
                self._write_whole(coming, request, response)
        except Exception as exc:
            head, status = b"", self._write_instead(coming, request, exc)
        if request.after_work is not None:
            serving.app.sent(request, response)
        if not head:
            self._finished(coming, status)
            return
        # What _finished does where the connection stays.
        self._release(coming)
        if serving.access is not None:
            self._note(coming, status)

    def _begin_stream(self, coming: Incoming, response: Response) -> None:
        coming.response = response
        # In a step of its own, since the handler's is over; in the same context.
        try:
            outcome = start(self._write_stream(coming, coming.request, response), self.serving.loop, coming.context)
        except BaseException as exc:
            self._failed(coming, exc)
            return
        if isinstance(outcome, asyncio.Task):
            self._task = outcome
            outcome.add_done_callback(self._task_done)
        else:
            self._streamed(coming, response, outcome)

    def _write_instead(self, coming: Incoming, request: Request, exc: BaseException) -> int:
        """An answer that cannot be put on the wire as it is becomes a 500: nothing of it is left out."""
        logger.error("a response cannot be sent: %r", exc, exc_info=exc, extra=who(request))
        self._write_whole(coming, request, problem.to_problem(HTTPError(500), request))
        return 500

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        """A handler or a stream that had to wait has ended."""
        coming = cast(Incoming, self._current)
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

    def _failed(self, coming: Incoming, exc: BaseException | None) -> None:
        """What ran gave no answer: it was ended by force or ended itself; None where it was cancelled later."""
        request = coming.request
        if exc is not None and not isinstance(exc, asyncio.CancelledError):
            logger.error("the server failed: %r", exc, exc_info=exc, extra=who(request))
        elif not coming.cancelled:
            logger.error(
                "a handler was cancelled, by itself or by what it waited for", exc_info=exc, extra=who(request)
            )
        if coming.response is not None or request.after_work is not None:
            self.serving.app.sent(request, coming.response or Response(None, 503))
        if coming.response is not None or self.gone:
            self._hang_up()
            self._release(coming)
            self._cut(coming)
        else:
            self._answer_refusal(coming.bad or HTTPError(500))

    def _streamed(self, coming: Incoming, response: Response, status: int) -> None:
        self.serving.app.sent(coming.request, response)
        self._finished(coming, status)

    def _finished(self, coming: Incoming, status: int) -> None:
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

    def _note(self, coming: Incoming, status: int) -> None:
        access = self.serving.access
        if access is not None and coming.request is not None:
            access(coming.request, status, self.serving.loop.time() - coming.started_at)

    def _release(self, coming: Incoming) -> None:
        self._current = None
        self._served = True
        self._since = self.serving.now
        if self._parser is None:  # the connection is lost, and was kept for the deadlines of its handler
            self.serving.connections.discard(self)

    def _go_on(self) -> None:
        """Begin what waits, then feed what is held; called from the loop, never from inside a handler."""
        while self._current is None and not self.gone and (self._waiting or self._held or self._is_unfinished_next()):
            self.serving.flush()  # may show that the client does not read
            if not self._writable:
                break
            if self._waiting:
                self._begin(self._waiting.popleft())
            elif self._is_unfinished_next():
                self._begin(cast(Incoming, self._coming))
            else:
                self._feed_held()
        if self._held:
            self._feed_held()
        self.update_reading()

    # -- writing

    def _write(self, data: bytes) -> None:
        self.serving.flush()
        self.transport.write(data)

    def write_continue(self) -> None:
        # A stream that reads the body has sent a final head before.
        if not self.gone and cast(Incoming, self._current).response is None:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _write_whole(self, coming: Incoming, request: Request, response: Response) -> None:
        if self.gone:
            return
        body, status = response.body, response.status
        head = STATUS_LINES[status] + guard.head_bytes(response) + self.serving.date
        if status in BODYLESS:
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
            self._write(head + b"\r\n" + body)
        else:
            self._write(head + b"\r\n")
            self._write(body)

    async def _write_stream(self, coming: Incoming, request: Request, response: Response) -> int:
        """Send *response*, whose body is a stream; the status that went out."""
        chunks = cast(Any, response.chunks)
        try:
            if self.gone:
                return response.status
            try:
                head = STATUS_LINES[response.status] + guard.head_bytes(response) + self.serving.date
            except Exception as exc:
                return self._write_instead(coming, request, exc)
            declared = response.content_length
            chunked = coming.chunked = declared is None and not coming.http10
            bodyless = response.status in BODYLESS
            if declared is not None and not bodyless:
                head += b"content-length: %d\r\n" % declared
            elif chunked and not bodyless:
                head += b"transfer-encoding: chunked\r\n"
            if not coming.keep_alive or not coming.complete or self.serving.draining:
                coming.keep_alive = False  # also if the body is complete by the end of the stream
                head += b"connection: close\r\n"
            self._write(head + b"\r\n")
            if request.method != "HEAD" and not bodyless:
                self._since = self.serving.now
                await self._write_chunks(coming, chunks, declared)
        except Exception as exc:
            # The head is out, so the only honest answer is a connection that breaks off.
            if not self.gone:
                logger.error("a stream failed: %s", exc, exc_info=exc, extra=who(request))
                self._hang_up()
                self._cut(coming)
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
        return response.status

    async def _write_chunks(self, coming: Incoming, chunks: Any, declared: int | None) -> None:
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
            self._write(b"0\r\n\r\n")

    def _write_piece(self, coming: Incoming, piece: bytes) -> None:
        self._write(b"%x\r\n%b\r\n" % (len(piece), piece) if coming.chunked else piece)

    async def _drain(self) -> None:
        """Wait until the socket has taken what was written."""
        if not self._writable and not self.gone:
            self._drained = self.serving.loop.create_future()
            try:
                await self._drained
            finally:
                self._drained = None

    def _answer_refusal(self, error: HTTPError) -> None:
        coming = cast(Incoming, self._current)
        request = coming.request or Request(coming.method, "/")
        coming.keep_alive = False
        self._write_whole(coming, request, problem.to_problem(error, request))
        self._release(coming)
        self._note(coming, error.status)
        self._stop_reading()
        self._linger()


def who(request: Request) -> dict[str, Any]:
    """What a log line says of *request*."""
    return {"request_id": request.id, "route": request.route.pattern if request.route else None}
