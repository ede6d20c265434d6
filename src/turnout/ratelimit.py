"""How often somebody may call: ``result = await rate_limit(request.ip, limit=10, window="10 s")``.

GCRA, the generic cell rate algorithm (ITU-T I.371): *limit* calls at once, and then one each
``window / limit``. One number a key, exact, no window with an edge to wait for. Within any one
window at most twice the limit gets through: what was saved up, and what comes back meanwhile.

It counts in the project's store, so every worker has the same count. Whole microseconds
throughout; the fields are those of draft-ietf-httpapi-ratelimit-headers.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from hashlib import sha256
from typing import Literal

from msgspec import Struct

from .context import user_id
from .errors import ConfigError, TooManyRequests
from .http.address import rate_key
from .http.request import Request
from .http.response import Response
from .store import Memory, StoreUnavailable, Taken, store

logger = logging.getLogger("turnout.ratelimit")

OnError = Literal["allow", "deny"]
Next = Callable[[Request], Awaitable[Response]]

AWAY_S = 1.0  # how long a store that failed is left alone, so that a caller seldom waits for it
LOG_S = 10.0
LONGEST_US = 366 * 86_400_000_000
_UNITS = {
    1_000: "ms millisecond milliseconds",
    1_000_000: "s sec secs second seconds",
    60_000_000: "m min mins minute minutes",
    3_600_000_000: "h hour hours",
    86_400_000_000: "d day days",
}
_UNITS_US = {word: length for length, words in _UNITS.items() for word in words.split()}
_LONGEST = 200  # characters of a key as it is
_window = re.compile(r"\s*(\d{1,15}(?:\.\d{1,6})?)?\s*([a-z]+)\s*", re.ASCII | re.IGNORECASE)
_is_ipv6 = re.compile(r"[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:.]*(?:%.*)?").fullmatch


class RateLimit(Struct, frozen=True):
    """What ``rate_limit`` decided; true where ``success`` is.

    Attributes:
        success: Whether the call is within the limit.
        limit: How many calls may come at once.
        remaining: How many of them are left now.
        reset: Whole seconds until all of them are back.
        retry_after: Whole seconds until this call would succeed; 0 where it does.
        window_s: Seconds in which *limit* calls come back.
    """

    success: bool
    limit: int
    remaining: int
    reset: int
    retry_after: int
    window_s: float

    def __bool__(self) -> bool:
        # `if not await rate_limit(ip)` reads well, and would else never limit anybody.
        return self.success

    def headers(self) -> list[tuple[str, str]]:
        """``RateLimit-Policy``, ``RateLimit`` and, where refused, ``Retry-After``."""
        # A window is whole seconds in the draft; without one the policy is still its quota.
        window = f";w={self.window_s:.0f}" if self.window_s.is_integer() else ""
        fields = [
            ("ratelimit-policy", f'"default";q={self.limit}{window}'),
            ("ratelimit", f'"default";r={self.remaining};t={self.reset}'),
        ]
        if not self.success:
            fields.append(("retry-after", str(self.retry_after)))
        return fields


@lru_cache(1024)
def parse_window(window: str) -> int:
    """Microseconds of ``"10 s"``, ``"500 ms"``, ``"min"`` or ``"2 hours"``.

    Raises:
        ValueError: it is none of these, 0, or over 366 days.
    """
    found = _window.fullmatch(window) if isinstance(window, str) else None
    length = round(float(found[1] or 1) * _UNITS_US.get(found[2].lower(), 0)) if found else 0
    if not 0 < length <= LONGEST_US:
        raise ValueError(
            f"{window!r} is no window of time; write a number and ms, s, min, hour or day, at most 366 days: "
            '"10 s", "1 min"'
        )
    return length


def parse_rate(rate: str) -> tuple[int, int]:
    """The limit and the microseconds of ``"20/min"`` or ``"5/10 s"``.

    Raises:
        ValueError: it is not such a text.
    """
    count, slash, window = rate.partition("/") if isinstance(rate, str) else ("", "", "")
    if not slash or not re.fullmatch(r"\s*[1-9]\d{0,14}\s*", count, re.ASCII):
        raise ValueError(f'{rate!r} is no rate; write a number, a slash and a time: "20/min", "5/10 s"')
    limit, length = int(count), parse_window(window)
    interval_us(limit, length)
    return limit, length


def interval_us(limit: int, window_us: int, cost: int = 1) -> int:
    """Microseconds from one call to the next, rounded up: never more than *limit* in a window."""
    if not isinstance(limit, int) or limit < 1:
        raise ValueError(f"limit is a whole number from 1, not {limit!r}")
    if limit > window_us:
        raise ValueError(f"a limit of {limit} in {window_us} µs is more than one each microsecond; that limits nobody")
    if not isinstance(cost, int) or not 1 <= cost <= limit:
        raise ValueError(f"cost is a whole number from 1 to the limit, which is {limit}, not {cost!r}")
    return -(-window_us // limit)


class QuotaExceeded(TooManyRequests):
    """429: over a limit that ``check`` or a route's ``rate_limit`` watches."""

    type = "https://iana.org/assignments/http-problem-types#quota-exceeded"


class RateLimiter:
    """``rate_limit``: call it with a key of your own, or let ``check`` take the request's."""

    def __init__(self) -> None:
        self._local = Memory()  # what still holds while the store is away
        self._away_until = self._logged = 0.0

    async def __call__(
        self,
        key: str | None,
        limit: int = 10,
        window: str = "10 s",
        *,
        cost: int = 1,
        on_error: OnError = "allow",
    ) -> RateLimit:
        """Count one call for *key*, and say whether it is within the limit.

        Args:
            key: Whom to count: ``request.ip``, or a text such as ``f"sign-in:{email}"``. IPv6
                addresses count by their /64, which one client has whole; None (a Unix socket) is
                one client. Each limit and window of a key has a count of its own.
            limit: How many calls may come at once, and come back in one window.
            window: ``"10 s"``, ``"1 min"``; units are ms, s, min, hour and day.
            cost: How many calls this one counts for.
            on_error: While the store is away, ``"allow"`` counts in this process alone and
                ``"deny"`` refuses. Both are logged.

        Raises:
            StoreUnavailable: the store is away, and *on_error* is ``"deny"``; a 503.
            ValueError: a limit, window or cost that makes no sense.
        """
        window_us = parse_window(window)
        return await self.take(key, limit, window_us, interval_us(limit, window_us, cost), cost, on_error)

    async def check(
        self,
        request: Request,
        limit: int = 10,
        window: str = "10 s",
        *,
        cost: int = 1,
        on_error: OnError = "allow",
    ) -> RateLimit:
        """Count one call of *request*'s user, or else of its client address, to its route; else as calling.

        Raises:
            TooManyRequests: over the limit; with ``Retry-After``. The RateLimit fields are on every answer.
        """
        window_us = parse_window(window)
        interval = interval_us(limit, window_us, cost)
        return await self.judge(request, limit, window_us, interval, cost, on_error)

    async def judge(
        self, request: Request, limit: int, window_us: int, interval: int, cost: int, on_error: OnError
    ) -> RateLimit:
        """What ``check`` does, with its arguments parsed."""
        route = request.route.pattern if request.route else request.path
        result = await self.take(f"{route}:{identity(request)}", limit, window_us, interval, cost, on_error)
        request.answer_headers, request.special = (*request.answer_headers, *result.headers()), True
        if not result.success:
            raise QuotaExceeded("Too many requests; wait before you try again", headers=result.headers())
        return result

    async def take(
        self, key: str | None, limit: int, window_us: int, interval: int, cost: int, on_error: OnError
    ) -> RateLimit:
        """What ``__call__`` does, with its arguments parsed."""
        name = f"rl:{limit}/{window_us}:{_name(key)}"
        if self._away_until and time.monotonic() < self._away_until:
            taken = await self._without(name, interval, limit, cost, on_error)
        else:
            if self._away_until:
                # One call finds out whether the store is back; the others need not wait with it.
                self._away_until = time.monotonic() + AWAY_S
            try:
                taken = await store.backend.take(name, interval, limit, cost)
                self._away_until = 0.0
            except StoreUnavailable as exc:
                self._away_until = time.monotonic() + AWAY_S
                taken = await self._without(name, interval, limit, cost, on_error, exc)
        ahead = taken.ahead_us
        wait = 0 if taken.granted else ahead + (cost - limit) * interval
        return RateLimit(
            taken.granted,
            limit,
            (limit * interval - ahead) // interval,
            -(-ahead // 1_000_000),
            -(-wait // 1_000_000),
            window_us / 1_000_000,
        )

    async def _without(
        self, name: str, interval: int, limit: int, cost: int, on_error: OnError, exc: Exception | None = None
    ) -> Taken:
        """The decision while the store is away."""
        now = time.monotonic()
        if now - self._logged >= LOG_S or not self._logged:
            self._logged = now
            how = "refusing" if on_error == "deny" else "counting in this process alone"
            logger.error("rate limits: the store is away, %s: %s", how, (exc and exc.__cause__) or exc or "still")
        if on_error == "deny":
            raise StoreUnavailable() from exc
        return await self._local.take(name, interval, limit, cost)


rate_limit = RateLimiter()


def guard(rate: str, on_error: OnError = "allow") -> Callable[[Request, Next], Awaitable[Response]]:
    """The middleware of a route that says ``rate_limit = "20/min"``.

    Raises:
        ConfigError: *rate* is no rate.
    """
    try:
        limit, window_us = parse_rate(rate)
    except ValueError as exc:
        raise ConfigError(f"rate_limit: {exc}", cure='write rate_limit = "20/min"') from None
    interval = interval_us(limit, window_us)

    async def limited(request: Request, next: Next) -> Response:
        await rate_limit.judge(request, limit, window_us, interval, 1, on_error)
        return await next(request)

    return limited


def identity(request: Request) -> str:
    """The signed-in user's id, else the client's address by the trusted-proxy rule."""
    user = user_id(request)
    if user is not None:
        return f"user {user}"
    trust = request.trust
    # Without proxies the peer is the client, whose address need not be read again for every request.
    return _address(request.ip if trust.networks or trust.unix else request.peer)


_address = lru_cache(8192)(rate_key)


def _name(key: str | None) -> str:
    """*key* as it is counted."""
    # A key may be what a client typed; a long one would fill the memory here, and the store below.
    return _known_name(key) if key is None or len(key) <= _LONGEST else _known_name.__wrapped__(key)


@lru_cache(8192)
def _known_name(key: str | None) -> str:
    if key is None or _is_ipv6(key):
        return rate_key(key)
    return key if len(key) <= _LONGEST else sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
