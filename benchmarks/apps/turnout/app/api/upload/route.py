"""W7: a body of 1 MB, read whole."""

body_limit = "2 MB"


async def POST(request):
    return {"size": len(await request.bytes())}
