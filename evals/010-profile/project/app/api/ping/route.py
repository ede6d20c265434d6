"""GET /api/ping: somebody is here."""


async def GET() -> dict[str, bool]:
    return {"pong": True}
