"""GET /api/hello: greet somebody."""

from typing import Annotated

from msgspec import Meta, Struct


class Query(Struct):
    name: Annotated[str, Meta(max_length=100)] = "World"


async def GET(query: Query) -> dict[str, str]:
    return {"message": f"Hello, {query.name}"}
