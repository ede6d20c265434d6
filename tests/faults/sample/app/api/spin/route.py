import time

import msgspec


class Query(msgspec.Struct):
    ms: int = 5


async def GET(query: Query):
    # By the clock, so that the capacity is the same however busy the machine is.
    until = time.perf_counter() + query.ms / 1000
    while time.perf_counter() < until:
        pass
    return {"spun": query.ms}
