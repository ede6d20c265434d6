"""The seam between doors and apps: what a door needs, and nothing else.

A door (native server, ASGI, Lambda, test client) makes a Request and awaits ``fetch``.
What else it does is three moments in a process's life.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol, TypeVar

from ..errors import BadRequest, ServiceUnavailable
from . import problem
from .request import Request
from .response import Response

PROBES = ("/livez", "/readyz", "/startupz")  # answered by every app, however busy

T = TypeVar("T")


class Fetch(Protocol):
    """Anything that answers a request: an App, a wrapped App, a test double.

    Attributes:
        kept: Gives the answer that ``fetch`` would give, where nothing has to run for it; None where it does. A door
            may ask it first. None for an app that has no such answers.
    """

    kept: Callable[[Request], Response | None] | None

    def fetch(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Answer *request*; never raises for what a handler did."""
        ...

    def sent(self, request: Request, response: Response) -> None:
        """A door is done with *response*; it must say so for a stream and for a request with ``after_work``."""
        ...

    async def startup(self) -> None:
        """Called once, before the first request."""
        ...

    def drain(self) -> None:
        """From now on readiness says no; requests are still answered."""
        ...

    def healthy(self) -> bool:
        """False once this process can only be helped by another in its place; asked about once a second."""
        ...

    async def shutdown(self) -> None:
        """Called once, after the last response: waits for ``after()`` work, closes what startup opened."""
        ...


async def within(app: Fetch, request: Request, max_duration_s: float) -> Response:
    """``app.fetch`` under a deadline, for a door without a clock of its own.

    Args:
        max_duration_s: Seconds, unless the request's route says otherwise.

    Returns:
        The answer, or a 503 problem when the handler took too long and was cancelled.
    """
    coro = app.fetch(request)
    try:
        waiting = coro.send(None)
    except StopIteration as done:
        answer: Response = done.value
        return answer
    return await go_on_within(coro, waiting, request, max_duration_s)


async def go_on_within(
    coro: Coroutine[Any, Any, Response], waiting: Any, request: Request, max_duration_s: float
) -> Response:
    """The rest of ``within`` for an answer that waits for *waiting*.

    Only what waits needs a clock: setting one costs more than most handlers. The route is known by now, and with it
    how long it may take.
    """
    import asyncio

    try:
        async with asyncio.timeout(request.max_duration or max_duration_s):
            return await go_on(coro, waiting)
    except TimeoutError:
        return handler_timeout(request)


@types.coroutine
def go_on(coro: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    """Await the rest of *coro*, whose first step was taken by hand and waits for *waiting*."""
    try:
        while True:
            try:
                value = yield waiting
            except BaseException as exc:
                waiting = coro.throw(exc)
            else:
                waiting = coro.send(value)
    except StopIteration as done:
        result: T = done.value
        return result


def handler_timeout(request: Request) -> Response:
    """The answer to a request whose handler was cancelled at its deadline."""
    return problem.to_problem(ServiceUnavailable("The handler took too long", code="handler_timeout"), request)


def client_left() -> BadRequest:
    """What reading a body raises when its client has gone: not a fault of the server's, so it is not logged as one."""
    return BadRequest("The client left before the end of its body", code="client_left")
