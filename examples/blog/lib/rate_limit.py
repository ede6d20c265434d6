"""How often one client may use a form: ten times at once, and ten times a minute."""

import turnout
from turnout.ratelimit import RateLimit


async def rate_limit(ip: str | None) -> RateLimit:
    """Count one call from *ip*, which is ``request.ip``; ``.success`` is False when it is over the limit."""
    return await turnout.rate_limit(ip, limit=10, window="1 min")
