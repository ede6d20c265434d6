"""W4: ten rows from SQLite."""

from turnout import db


async def GET(request):
    return await db.from_("articles").select("id, title, views, body").order("id").limit(10)
