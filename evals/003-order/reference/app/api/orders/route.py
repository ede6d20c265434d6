"""POST /api/orders: keep an order."""

from typing import Annotated

from msgspec import Meta, Struct
from turnout import Response, db

auth = "public"


class NewOrder(Struct):
    sku: Annotated[str, Meta(max_length=40, pattern=r"^[A-Za-z0-9-]+\Z")]
    quantity: Annotated[int, Meta(ge=1, le=99)]


async def POST(body: NewOrder) -> Response:
    values = {"sku": body.sku, "quantity": body.quantity}
    order = await db.from_("orders").insert(values).select("id, sku, quantity").single()
    return Response.json(order, status=201)
