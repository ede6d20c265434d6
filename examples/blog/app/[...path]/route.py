"""Whatever no other route has: not found, in the words of error.py."""

from turnout import NotFound

auth = "public"


async def GET() -> None:
    raise NotFound("This page has been moved, or never was.")


POST = PUT = PATCH = DELETE = GET
