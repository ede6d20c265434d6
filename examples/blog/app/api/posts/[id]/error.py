"""Answers for what the routes in this folder raise; None leaves it to the next error.py, then to Turnout."""

from turnout import NotFound, Request, Response


async def error(exc: Exception, request: Request) -> Response | None:
    # Also for /api/posts/abc: an id that is no number names no post.
    if isinstance(exc, NotFound):
        return Response.json({"error": "Not found"}, status=404)
    return None
