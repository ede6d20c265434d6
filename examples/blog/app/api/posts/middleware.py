"""Around the routes of posts: whose a post is, and that the pages which show it are made anew.

Whoever calls the API needs no account, so what it adds belongs to nobody and anybody may change it. A post that
somebody signed in wrote on the pages is that author's, here too.
"""

from turnout import Forbidden, Request, Response, auth

from lib import posts


async def middleware(request: Request, next) -> Response:
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return await next(request)
    if "id" in request.params:
        await judge(request.params["id"])
    response = await next(request)
    posts.changed()
    return response


async def judge(id: str) -> None:
    post = await posts.find(int(id)) if id.isascii() and id.isdecimal() and len(id) < 19 else None
    if post and post["byline"] and not posts.is_author(await auth.get_user(), post):
        raise Forbidden("This post is somebody else's", code="not_the_author")
