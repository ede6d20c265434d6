import asyncio

left: list[str] = []


async def GET(request):
    return {"left": left}


async def POST(request):
    try:
        await asyncio.sleep(20)
    except asyncio.CancelledError:
        left.append(request.search_params.get("who") or "")
        raise
