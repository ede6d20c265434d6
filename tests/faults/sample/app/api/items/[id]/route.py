import msgspec


class Query(msgspec.Struct):
    q: str = ""
    limit: int = 10


async def GET(id: int, query: Query):
    return {"id": id, "q": query.q, "limit": query.limit}
