"""The folder is the path: /api/hello."""

from turnout import Request, Response


async def GET(request: Request) -> Response:
    return Response.json({"message": "Hello World!"})
