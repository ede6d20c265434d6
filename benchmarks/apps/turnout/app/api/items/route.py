"""W3: a JSON body, validated."""

from typing import Annotated

from msgspec import Meta, Struct

from turnout import Response


class Item(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    price: Annotated[float, Meta(ge=0)]
    quantity: Annotated[int, Meta(ge=1)]
    tags: list[str] = []


async def POST(request, body: Item):
    return Response.json({"name": body.name, "tags": body.tags, "total": body.price * body.quantity}, status=201)
