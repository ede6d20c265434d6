"""GET /api/products: what there is to buy."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from turnout import db


class Query(Struct):
    max_price: Annotated[int, Meta(ge=0)] | None = None


async def GET(query: Query) -> list[dict[str, Any]]:
    found = db.from_("products").select("id, name, price").order("price").order("id")
    if query.max_price is not None:
        found = found.lte("price", query.max_price)
    return await found
