"""GET /api/admin: for us."""

auth = "secret"


async def GET() -> dict[str, bool]:
    return {"admin": True}
