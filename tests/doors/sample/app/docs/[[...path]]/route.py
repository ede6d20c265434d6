async def GET(request, path: list[str]):
    return path
