"""GET /api/headers: read header fields and set some."""

from turnout import Request, Response


async def GET(request: Request) -> Response:
    data = {
        "authorization": request.headers.get("authorization"),
        "user-agent": request.headers.get("user-agent"),
    }
    return Response.json(
        data,
        headers={
            "Cache-Control": "max-age=3600",
            "X-Custom-Header": "value",
            # A cache must not give this answer to a client that sent other values.
            "Vary": "Authorization, User-Agent",
        },
    )
