"""GET /posts/7: one post. Who wrote it sees more than others, so it is made for each."""

from turnout import NotFound, Response, auth, render

from lib import posts


async def GET(id: int) -> Response:
    post = await posts.find(id)
    if post is None:
        raise NotFound("There is no such post, or not any more.")
    return render("posts/post.html", post=post, mine=posts.is_author(await auth.get_user(), post))
