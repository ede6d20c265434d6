from turnout import Response

LARGE = bytes(8_000_000)


async def GET():
    return Response(LARGE, headers={"content-type": "application/octet-stream"})
