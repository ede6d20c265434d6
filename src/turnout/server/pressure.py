"""Overload of the processor: more requests than handlers that never wait can answer.

``max_in_flight`` counts requests that wait for something. Handlers that compute run one after
the other, so under overload their callers wait unseen, in the kernel's buffers, longer and longer,
until each answer goes to somebody who has given up (at twice the capacity, with clients that give
up after 2 s, 35 to 50 % of the good answers were left).

All that became ready is run in one turn of the event loop. When turns have been long for a second,
what waits is a standing queue and not a burst (the distinction is CoDel's, RFC 8289). From then on
a turn begins requests for ``BUDGET_S`` and refuses the rest, until turns are short again.
"""

from __future__ import annotations

import asyncio
import math

from ..errors import ServiceUnavailable
from ..http.fetch import PROBES
from ..http.problem import to_problem
from ..http.request import Request
from ..http.response import Response

BUDGET_S = 0.1  # in one turn, for requests
STANDING_S = 1.0
SHORT_TURNS = 8  # in a row: nothing waits. A new connection alone takes three, from accept to its first byte.


class Pressure:
    """Watches the turns of *loop*; ``high`` while requests beyond a turn's budget are to be refused."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.high = False
        self._loop = loop
        self._watching = False
        self._long_since_s = 0.0
        self._short = 0  # turns in a row
        self._turn_s = 0.0  # when this turn began
        self._first_s = math.inf  # when its first request began

    def suspect(self) -> None:
        """The loop was late once: measure its turns until they are short. Always measured, an idle loop would spin."""
        if not self._watching:
            self._watching = True
            self._long_since_s = self._loop.time()
            self._short, self._turn_s = 0, self._long_since_s
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        now = self._loop.time()
        took_s, self._turn_s, self._first_s = now - self._turn_s, now, math.inf
        self._short = 0 if took_s >= BUDGET_S else self._short + 1
        if self._short == SHORT_TURNS:
            self._watching = self.high = False
            return
        self.high = now - self._long_since_s >= STANDING_S
        self._loop.call_soon(self._next_turn)

    def refuses(self, request: Request) -> Response | None:
        """The answer to a request that is over the budget. The first of a turn never is: work goes on, however slow."""
        now = self._loop.time()
        self._first_s = min(self._first_s, now)
        if now - self._first_s < BUDGET_S or request.target.partition("?")[0] in PROBES:
            return None
        busy = ServiceUnavailable(
            "The server is busy; try again in a moment", headers=(("retry-after", "1"),), code="overloaded"
        )
        return to_problem(busy, request)
