"""GET /api/products: what there is to buy."""

from typing import Any

from turnout import db


async def GET() -> list[dict[str, Any]]:
    return await db.from_("products").select("id, name, price").order("price").order("id")
