"""W6: insert and commit."""

from msgspec import Struct

from turnout import Response, db


class Note(Struct):
    title: str
    body: str


async def POST(request, body: Note):
    return Response.json(await db.from_("notes").insert(body).select("id").single(), status=201)
