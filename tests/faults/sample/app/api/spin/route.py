import time

import msgspec


class Query(msgspec.Struct):
    ms: int = 5


async def GET(query: Query):
    # The thread's own CPU time: work that takes longer where the machine is shared.
    until = time.thread_time() + query.ms / 1000
    while time.thread_time() < until:
        pass
    return {"spun": query.ms}
