"""GET /account: who is signed in, and their posts. Who is not is sent to /auth/sign-in, and back afterwards."""

from turnout import Request, Response, render

from lib import posts

auth = "user"


async def GET(request: Request) -> Response:
    user = request.state.user
    return render("account.html", user=user, posts=await posts.of(user.id))
