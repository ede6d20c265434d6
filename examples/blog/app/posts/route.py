"""GET /posts?page=2: the list. Made once and given to everybody, until `revalidate_path("/posts")` or for an hour."""

from typing import Annotated

from msgspec import Meta, Struct
from turnout import Response, render

from lib import posts

revalidate = 3600


class Query(Struct):
    page: Annotated[int, Meta(ge=1, le=100_000)] = 1


async def GET(query: Query) -> Response:
    found, pages = await posts.newest(query.page)
    return render("posts/list.html", posts=found, page=query.page, pages=pages)
