"""GET /style.css: a folder may be called like a file. Response.file brings ETag and 304."""

from pathlib import Path

from turnout import Response

STYLE = Path(__file__).with_name("style.css")


async def GET() -> Response:
    return Response.file(STYLE)
