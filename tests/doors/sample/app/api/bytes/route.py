from turnout import Response


async def GET(request):
    times = int(request.search_params.get("times") or 1)
    return Response(bytes(range(256)) * times, headers={"Content-Type": "application/octet-stream"})


async def POST(request):
    return list(await request.bytes())
