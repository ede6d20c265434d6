"""Middleware: one function around the next, composed once per route when the app is loaded.

It hangs on the matched route, not on a path pattern, so no spelling of a path and no header
gets past it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from types import CoroutineType

from .http.request import Request
from .http.response import Response

Endpoint = Callable[[Request], Awaitable[Response]]
Middleware = Callable[[Request, Endpoint], Awaitable[Response]]


def compose(chain: Sequence[Middleware], endpoint: Endpoint) -> Endpoint:
    """*endpoint* behind *chain*, the first of which is the outermost."""
    for middleware in reversed(chain):
        endpoint = _around(middleware, endpoint)
    return endpoint


def _around(middleware: Middleware, inner: Endpoint) -> Endpoint:
    async def outer(request: Request) -> Response:
        response = await middleware(request, inner)
        if type(response) is not Response:
            if isinstance(response, CoroutineType):
                response.close()
            raise TypeError(
                f"middleware in {middleware.__code__.co_filename} returned {type(response).__name__}, not a Response; "
                "write: return await next(request)"
            )
        return response

    return outer
