"""Posts: what a client may say about one, and what the pages show of them."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import asdict
from turnout import Forbidden, NotFound, db, revalidate_path, revalidate_tag

from lib.pictures import Picture

Title = Annotated[str, Meta(max_length=200)]
Content = Annotated[str, Meta(max_length=50_000)]

ON_A_PAGE = 5
SHOWN = "*, byline:bylines(author_id, name), picture:pictures(description)"


# Unknown fields are refused, so nobody sets an id or a date by sending one. Whatever does not fit is answered
# with 422 before the handler runs.
class PostInput(Struct, forbid_unknown_fields=True):
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    content: Annotated[str, Meta(min_length=1)]


class Post(Struct):
    id: int
    title: str
    content: str
    created_at: str


class Page(Struct):
    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=100)] = 10


async def newest(page: int = 1, limit: int = ON_A_PAGE) -> tuple[list[dict[str, Any]], int]:
    """A page of posts, the newest first, and how many pages there are."""
    first = (page - 1) * limit
    query = db.from_("posts").select(SHOWN, count="exact")
    posts = await query.order("created_at", desc=True).order("id", desc=True).range(first, first + limit - 1)
    return posts, max(1, -(-posts.count // limit))


async def find(id: int) -> dict[str, Any] | None:
    """The post with that id, and who wrote it."""
    return await db.from_("posts").select(SHOWN).eq("id", id).single()


def is_author(user: Any, post: dict[str, Any]) -> bool:
    """Whether *user* wrote *post*: what a page goes by. Whoever changes a row is judged by policies.py."""
    return user is not None and post["byline"] is not None and post["byline"]["author_id"] == user.id


async def add(user_id: str, title: str, content: str, name: str, picture: Picture | None = None) -> int:
    """Publish a post, and give its id. Sent twice, by a double click or the back button, it is published once."""
    async with db.transaction() as tx:
        query = tx.from_("posts").select("id, title, content, bylines!inner(author_id)")
        last = await query.eq("bylines.author_id", user_id).order("id", desc=True).limit(1)
        if last and (last[0]["title"], last[0]["content"]) == (title, content):
            return last[0]["id"]
        post = await tx.from_("posts").insert({"title": title, "content": content}).select("id").single()
        await tx.from_("bylines").insert({"post_id": post["id"], "author_id": user_id, "name": name})
        if picture is not None:
            await tx.from_("pictures").insert({"post_id": post["id"], **asdict(picture)})
        return post["id"]


async def own(user: Any, id: int) -> dict[str, Any]:
    """The post with that id, which *user* wrote.

    Raises:
        NotFound: there is none.
        Forbidden: somebody else wrote it.
    """
    post = await find(id)
    if post is None:
        raise NotFound("There is no such post, or not any more.")
    if not is_author(user, post):
        raise Forbidden("Only who wrote a post may change it.", code="not_the_author")
    return post


async def of(user_id: str) -> list[dict[str, Any]]:
    """What that user wrote, the newest first."""
    query = db.from_("posts").select("*, byline:bylines!inner(author_id, name)").eq("byline.author_id", user_id)
    return await query.order("id", desc=True).limit(100)


async def name_of(user: Any) -> str:
    """What *user* signed the last post with, or gave as a name with the account."""
    last = await db.from_("bylines").select("name").eq("author_id", user.id).order("post_id", desc=True).limit(1)
    return last[0]["name"] if last else user.user_metadata.get("name") or ""


def changed() -> None:
    """End the kept answers that show posts: the list in all its pages, and what has the tag."""
    revalidate_path("/posts")
    revalidate_tag("posts")
