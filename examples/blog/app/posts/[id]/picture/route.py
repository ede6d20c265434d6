"""GET /posts/7/picture: the picture of a post, which never changes."""

from turnout import NotFound, Response, db


async def GET(id: int) -> Response:
    picture = await db.from_("pictures").select("type, content").eq("post_id", id).single()
    if picture is None:
        raise NotFound("This post has no picture.")
    # The database gives bytes as text, \x and hexadecimal digits, on every engine.
    content = bytes.fromhex(picture["content"].removeprefix("\\x"))
    headers = {"content-type": picture["type"], "cache-control": "public, max-age=86400"}
    return Response(content, headers=headers)
