"""GET /api/posts?page=1&limit=10 and POST /api/posts."""

from turnout import Response, db

from lib.posts import Page, PostInput


async def GET(query: Page) -> Response:
    first = (query.page - 1) * query.limit
    # Without an order, pages may overlap.
    posts = await db.from_("posts").select("*").order("id").range(first, first + query.limit - 1)
    return Response.json(posts)


async def POST(body: PostInput) -> Response:
    post = await db.from_("posts").insert(body).select().single()
    return Response.json(post, status=201)
