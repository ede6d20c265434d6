from turnout import Response

MEGABYTE = bytes(1_000_000)


async def GET():
    return Response(MEGABYTE, headers={"content-type": "application/octet-stream"})
