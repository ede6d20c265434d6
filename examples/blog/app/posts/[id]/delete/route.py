"""GET /posts/7/delete: asks once more. A link alone must not delete anything, and no script is needed to ask."""

from turnout import Request, Response, render

from lib import posts

auth = "user"


async def GET(request: Request, id: int) -> Response:
    return render("posts/delete.html", post=await posts.own(request.state.user, id))
