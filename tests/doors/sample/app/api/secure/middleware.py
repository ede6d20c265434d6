from turnout import Response


async def middleware(request, next):
    if request.headers.get("authorization") != "Bearer good":
        return Response.json({"error": "Unauthorized"}, status=401)
    response = await next(request)
    response.headers.set("X-Guarded", "yes")
    return response
