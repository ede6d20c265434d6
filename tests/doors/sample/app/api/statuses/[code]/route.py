from turnout import Response


async def GET(request, code: int):
    return Response("text" if code not in (204, 205, 304) else None, code)


POST = GET
