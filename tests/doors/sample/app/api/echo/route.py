from turnout import Response


async def POST(request):
    return Response(await request.bytes(), headers={"X-Type": request.headers.get("content-type") or "none"})


async def PUT(request):
    return await request.json()


async def PATCH(request):
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return {"size": size}
