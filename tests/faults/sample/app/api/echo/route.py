from turnout import Response


async def POST(request):
    return Response(await request.bytes(), headers={"content-type": "application/octet-stream"})
