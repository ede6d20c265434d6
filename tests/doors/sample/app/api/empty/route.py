from turnout import Response


async def GET(request):
    return Response(None, 204)


async def HEAD(request):
    return Response(None, headers={"X-Head": "own"})
