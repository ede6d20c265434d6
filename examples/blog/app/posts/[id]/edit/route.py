"""GET /posts/7/edit: the form to change a post, for who wrote it."""

from turnout import Request, Response, render

from lib import posts

auth = "user"


async def GET(request: Request, id: int) -> Response:
    return render("posts/edit.html", post=await posts.own(request.state.user, id))
