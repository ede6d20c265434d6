"""GET /feed.xml: the newest posts as RSS. A folder may be called like a file."""

from turnout import CacheRule, Request, Response, render

from lib import posts

cache = CacheRule(3600, tags=("posts",))
cors = "*"  # readers in a browser may fetch it


async def GET(request: Request) -> Response:
    latest, _ = await posts.newest(limit=20)
    return render("feed.xml", posts=latest, origin=request.url.origin)
