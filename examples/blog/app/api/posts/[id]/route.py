"""GET, PUT and DELETE /api/posts/7. A missing post is NotFound; error.py beside this file words the answer."""

from typing import Annotated

from turnout import NotFound, Response, db

from lib.posts import Post, PostInput


async def GET(id: int) -> Annotated[Response, Post]:
    post = await db.from_("posts").select("*").eq("id", id).single()
    if post is None:
        raise NotFound("No such post")
    return Response.json(post)


async def PUT(id: int, body: PostInput) -> Annotated[Response, Post]:
    post = await db.from_("posts").update(body).eq("id", id).select().single()
    if post is None:
        raise NotFound("No such post")
    return Response.json(post)


async def DELETE(id: int) -> Response:
    deleted = await db.from_("posts").delete().eq("id", id)
    if not deleted.count:
        raise NotFound("No such post")
    return Response(None, status=204)
