"""Handlers that hold the event loop: while one computes or sleeps, a worker answers nobody else.

Each step that a request takes, from one wait to the next, is timed; a long one is logged with the
route it was taken for. ``def`` handlers run in threads and hold nothing.
"""

from __future__ import annotations

import logging
import types
from collections.abc import Callable, Generator
from functools import partial
from time import monotonic
from typing import Any

from .http.request import Request
from .http.response import Response
from .middleware import Endpoint

logger = logging.getLogger("turnout.stalls")

STALL_S = 0.1
AGAIN_S = 10.0  # between two lines about one route

Noted = Callable[[Request, float], None]


class Stalls:
    """A watcher of every request: see ``App.watch``.

    Args:
        noted: Called with the request and the seconds of each step that was too long.
    """

    def __init__(self, noted: Noted | None = None) -> None:
        self._noted = noted
        self._said: dict[str, float] = {}  # by route: when

    async def __call__(self, request: Request, next: Endpoint) -> Response:
        return await _stepped(next(request), partial(self._held, request))

    def _held(self, request: Request, seconds: float) -> None:
        if self._noted is not None:
            self._noted(request, seconds)
        route = request.route
        pattern = route.pattern if route else ""
        now = monotonic()
        if now - self._said.get(pattern, -AGAIN_S) < AGAIN_S:
            return
        self._said[pattern] = now
        logger.warning(
            "%s %s held the event loop for %.0f ms; nobody else is answered meanwhile. Write what computes or blocks "
            "as a def handler, or call it with asyncio.to_thread",
            request.method,
            pattern or "(no route)",
            seconds * 1000,
            extra={"request_id": request.id, "route": pattern or None, "file": route.file if route else None},
        )


@types.coroutine
def _stepped(awaited: Any, held: Callable[[float], None]) -> Generator[Any, Any, Response]:
    """Await *awaited*, and tell *held* of each step of it that took ``STALL_S`` or longer."""
    steps = awaited.__await__()
    step: Callable[[], Any] = partial(steps.send, None)
    while True:
        began = monotonic()
        try:
            waiting = step()
        except StopIteration as done:
            answer: Response = done.value
            return answer
        finally:
            took = monotonic() - began
            if took >= STALL_S:
                held(took)
        try:
            value = yield waiting
        except BaseException as exc:
            step = partial(steps.throw, exc)
        else:
            step = partial(steps.send, value)
