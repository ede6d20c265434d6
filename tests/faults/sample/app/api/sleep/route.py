import asyncio

import msgspec


class Query(msgspec.Struct):
    ms: int = 50


async def GET(query: Query):
    await asyncio.sleep(query.ms / 1000)
    return {"slept": query.ms}
