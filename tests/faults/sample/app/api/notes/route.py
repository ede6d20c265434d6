import msgspec

from turnout import Response, db


class Note(msgspec.Struct):
    text: str


async def GET():
    return {"count": (await db.from_("notes").select(count="exact", head=True)).count}


async def POST(body: Note):
    row = await db.from_("notes").insert({"text": body.text}).select("id").single()
    return Response.json(row, status=201)
