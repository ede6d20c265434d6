from turnout import Response


async def GET(request):
    return Response.json({"message": "Hello World!"})


async def POST(request):
    return Response.json({"created": True}, status=201, headers={"X-Custom-Header": "value"})
