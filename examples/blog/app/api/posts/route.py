"""GET /api/posts?page=1&limit=10 and POST /api/posts.

What a Response holds is said beside it, for the OpenAPI document and the clients that are written from it.
"""

from typing import Annotated

from turnout import Response, db

from lib.posts import Page, Post, PostInput


async def GET(query: Page) -> Annotated[Response, list[Post]]:
    first = (query.page - 1) * query.limit
    # Without an order, pages may overlap.
    posts = await db.from_("posts").select("*").order("id").range(first, first + query.limit - 1)
    return Response.json(posts)


async def POST(body: PostInput) -> Annotated[Response, Post]:
    post = await db.from_("posts").insert(body).select().single()
    return Response.json(post, status=201)
