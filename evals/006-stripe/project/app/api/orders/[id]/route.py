"""GET /api/orders/[id]: one order."""

from typing import Any

from turnout import NotFound, db


async def GET(id: int) -> dict[str, Any]:
    order = await db.from_("orders").select("id, status").eq("id", id).single()
    if order is None:
        raise NotFound("No such order")
    return order
