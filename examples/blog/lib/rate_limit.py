"""A small rate limit, until Turnout's own is there: at most 10 calls a minute from one address.

It counts in the database, so all workers of one machine share the count; each call costs a write
transaction, a refused one too, so it is for a form and not for every route.
"""

import time
from ipaddress import IPv6Address, IPv6Network, ip_address

from msgspec import Struct
from turnout import db

LIMIT, WINDOW_S = 10, 60


class RateLimit(Struct):
    success: bool
    retry_after_s: int = 0


async def rate_limit(ip: str | None, *, now_s: float | None = None) -> RateLimit:
    """Count one call from *ip*; ``.success`` is False when it is over the limit, and then it does not count.

    Args:
        ip: ``request.ip``; None (a Unix socket) is one client.
        now_s: The time in Unix seconds; the wall clock if None.
    """
    key, now = _key(ip), time.time() if now_s is None else now_s
    # One writer at a time: between the look and the insert, nobody else can count.
    async with db.transaction() as tx:
        await tx.from_("rate_hits").delete().lte("at", now - WINDOW_S)
        hits = await tx.from_("rate_hits").select("at").eq("key", key).order("at")
        if len(hits) >= LIMIT:
            return RateLimit(False, int(hits[0]["at"] + WINDOW_S - now) + 1)
        await tx.from_("rate_hits").insert({"key": key, "at": now})
    return RateLimit(True)


def _key(ip: str | None) -> str:
    address = ip_address(ip) if ip else None
    # One client has 2^64 addresses of IPv6: its whole network counts as one.
    return str(IPv6Network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)
