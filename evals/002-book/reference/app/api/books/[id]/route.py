"""GET /api/books/[id]: one book."""

from typing import Any

from turnout import NotFound, db


async def GET(id: int) -> dict[str, Any]:
    book = await db.from_("books").select("id, title, author").eq("id", id).single()
    if book is None:
        raise NotFound("No such book")
    return book
