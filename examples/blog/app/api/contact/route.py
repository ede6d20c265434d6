"""POST /api/contact: keep the message and tell the owner of the blog."""

from typing import Annotated

from msgspec import Meta, Struct
from turnout import Request, Response

from lib.contact import receive
from lib.email import OneLine, is_email
from lib.rate_limit import rate_limit

body_limit = "64 KB"


class Contact(Struct):
    name: OneLine | None = None
    email: str | None = None
    message: Annotated[str, Meta(max_length=10_000)] | None = None


async def POST(request: Request) -> Response:
    # request.ip, not the X-Forwarded-For field: anybody can write that one.
    result = await rate_limit(request.ip)
    if not result.success:
        return Response.json({"error": "Too many requests"}, status=429, headers=result.headers())

    # Read here and not by a `body:` parameter, so that a client over its limit is not listened to.
    body = await request.json(Contact)
    if not body.email or not body.message:
        return Response.json({"error": "Email and message required"}, status=400)
    if not is_email(body.email):
        return Response.json({"error": "Email is not valid"}, status=400)

    await receive(body.name or body.email, body.email, body.message)
    return Response.json({"success": True})
