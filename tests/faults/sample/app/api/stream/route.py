import asyncio
from typing import Annotated

import msgspec

from turnout import Response


class Query(msgspec.Struct):
    items: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 10
    ms: Annotated[int, msgspec.Meta(ge=0, le=100)] = 50


async def GET(query: Query):
    async def lines():
        for number in range(query.items):
            yield f"{number}\n"
            await asyncio.sleep(query.ms / 1000)

    return Response.stream(lines(), headers={"content-type": "text/plain"})
