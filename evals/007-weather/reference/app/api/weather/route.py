"""GET /api/weather?city=…: what the service in WEATHER_URL says about it.

The client never reaches that service itself: the address and the key stay on this side, and of what the client sends
only "city" goes on. Whatever goes wrong over there is 502 here, and the log knows what it was.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from lib.weather import ask_weather

auth = "public"
rate_limit = "60/min"  # each call costs one over there


class Query(Struct):
    """What a client may ask."""

    city: Annotated[str, Meta(min_length=1, max_length=200)]


async def GET(query: Query) -> Any:
    """Ask, and pass the answer on."""
    return await ask_weather(query.city)
