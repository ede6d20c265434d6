"""W2: a path parameter and a query, both converted and sent back."""

from msgspec import Struct


class Search(Struct):
    q: str | None = None


async def GET(request, id: int, query: Search):
    return {"id": id, "q": query.q}
