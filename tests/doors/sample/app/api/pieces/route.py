from turnout import Response


async def GET(request):
    return Response.stream(pieces(), headers={"Content-Type": "application/octet-stream"})


async def POST(request):
    return Response.stream(echoed(request), headers={"Content-Type": "application/octet-stream"})


async def pieces():
    for number in range(20):
        yield bytes([number]) * 5000


async def echoed(request):
    async for piece in request.stream():
        yield piece
