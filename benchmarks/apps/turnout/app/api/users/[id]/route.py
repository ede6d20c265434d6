"""W5: one row from PostgreSQL by its key, with asyncpg, as one project has one `db`, and here that is SQLite."""

from lib.users import one_user

from turnout import NotFound


async def GET(request, id: int):
    user = await one_user(id)
    if user is None:
        raise NotFound("No such user")
    return user
