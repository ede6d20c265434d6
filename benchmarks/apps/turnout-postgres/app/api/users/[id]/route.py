"""W5 through `db`: one row from PostgreSQL by its key."""

from turnout import NotFound, db


async def GET(request, id: int):
    user = await db.from_("users").select("id, name, email").eq("id", id).single()
    if user is None:
        raise NotFound("No such user")
    return user
