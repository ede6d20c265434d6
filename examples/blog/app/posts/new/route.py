"""GET /posts/new: the form for a new post. Who is not signed in is sent to /auth/sign-in, and back afterwards."""

from turnout import Request, Response, render

from lib import posts

auth = "user"


async def GET(request: Request) -> Response:
    return render("posts/new.html", name=await posts.name_of(request.state.user))
