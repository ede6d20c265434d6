"""W8: an event every 50 ms."""

import asyncio

from turnout import Response


async def ticks():
    n = 0
    while True:
        yield f'{{"n":{n}}}'
        n += 1
        await asyncio.sleep(0.05)


async def GET(request):
    return Response.sse(ticks())
