import asyncio

import msgspec

from turnout import Response


class Query(msgspec.Struct):
    items: int = 10
    ms: int = 50


async def GET(query: Query):
    async def lines():
        for number in range(query.items):
            yield f"{number}\n"
            await asyncio.sleep(query.ms / 1000)

    return Response.stream(lines(), headers={"content-type": "text/plain"})
