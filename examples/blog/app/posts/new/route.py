"""GET /posts/new: the form for a new post, or the way to an account.

Without `auth = "user"`: who is signed out while writing is shown the form again, and loses no text.
"""

from turnout import Response, auth, render

from lib import posts


async def GET() -> Response:
    user = await auth.get_user()
    return render("posts/new.html", user=user, name=await posts.name_of(user) if user else "")
