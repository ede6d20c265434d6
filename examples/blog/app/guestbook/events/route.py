"""GET /guestbook/events?after=7: entries as they are written, as server-sent events."""

from typing import Annotated

from msgspec import Meta, Struct
from turnout import Request, Response
from turnout.templates import render_text

from lib import guestbook


class Query(Struct):
    after: Annotated[int, Meta(ge=0, le=2**53)] = 0


async def GET(request: Request, query: Query) -> Response:
    # A browser that comes back after a break says how far it was; the address still has where it began.
    seen = request.headers.get("last-event-id") or ""
    last = int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 16 else query.after

    async def events():
        async for entry in guestbook.following(last):
            yield {"id": entry["id"], "data": render_text("entry.html", entry=entry).strip()}

    return Response.sse(events())
