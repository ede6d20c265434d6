"""GET /: the front page. Kept and given to everybody until a post changes."""

from turnout import CacheRule, Response, render

from lib import posts

cache = CacheRule(3600, tags=("posts",))


async def GET() -> Response:
    latest, _ = await posts.newest(limit=3)
    return render("home.html", posts=latest)
