"""Reading: every filter, order, range, count and single, on a small blog."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NotRequired, TypedDict

import pytest
from msgspec import Struct

from turnout.db import Rows
from turnout.errors import DbError

NAIVE = datetime(2026, 1, 1)
POSTS = [
    {"title": "Alpha", "views": 1, "rating": 1.5, "published": True, "tags": ["a", "b"], "meta": {"k": 1}},
    {"title": "alpha", "views": 2, "rating": None, "published": False, "tags": ["b"], "meta": {"k": [1, 2]}},
    {"title": "100% Ärger_[x]", "views": 3, "rating": 0.1 + 0.2, "published": True, "tags": [], "meta": None},
    {"title": "O'Brien; drop table posts", "views": 4, "rating": -2.0, "published": False, "tags": None, "meta": []},
]


async def titles(query):
    return [row["views"] for row in await query]


CASES = {
    "eq": (lambda q: q.eq("title", "Alpha"), [1]),
    "eq true": (lambda q: q.eq("published", True), [1, 3]),
    "eq a bool as text": (lambda q: q.eq("published", "no"), [2, 4]),
    "eq an id as text": (lambda q: q.eq("id", "3"), [3]),
    "eq a quote": (lambda q: q.eq("title", "O'Brien; drop table posts"), [4]),
    "neq": (lambda q: q.neq("views", 2), [1, 3, 4]),
    "neq leaves NULL out": (lambda q: q.neq("rating", 1.5), [3, 4]),
    "gt": (lambda q: q.gt("views", 2), [3, 4]),
    "gte": (lambda q: q.gte("views", "2"), [2, 3, 4]),
    "lt": (lambda q: q.lt("views", 2), [1]),
    "lte": (lambda q: q.lte("views", 2), [1, 2]),
    "like heeds case": (lambda q: q.like("title", "al%"), [2]),
    "like _": (lambda q: q.like("title", "_lpha"), [1, 2]),
    "like escapes": (lambda q: q.like("title", r"100\%%"), [3]),
    "like has no glob signs": (lambda q: q.like("title", "*"), []),
    "like brackets": (lambda q: q.like("title", "%[x]"), [3]),
    "ilike": (lambda q: q.ilike("title", "ALPHA"), [1, 2]),
    "ilike beyond ASCII": (lambda q: q.ilike("title", "%äRGER%"), [3]),
    "is null": (lambda q: q.is_("rating", None), [2]),
    "is not null": (lambda q: q.is_("rating", "not_null"), [1, 3, 4]),
    "is true": (lambda q: q.is_("published", True), [1, 3]),
    "in": (lambda q: q.in_("views", [1, "4", 99]), [1, 4]),
    "in text": (lambda q: q.in_("title", ("Alpha", "alpha")), [1, 2]),
    "in a float, exactly": (lambda q: q.in_("rating", [0.1 + 0.2]), [3]),
    "in nothing": (lambda q: q.in_("views", []), []),
    "in a generator": (lambda q: q.in_("views", (n for n in (1, 2))), [1, 2]),
    "not in": (lambda q: q.not_in("views", [1, 2]), [3, 4]),
    "match": (lambda q: q.match({"published": True, "views": 3}), [3]),
    "not": (lambda q: q.not_("published", "eq", True), [2, 4]),
    "not is null": (lambda q: q.not_("rating", "is", None), [1, 3, 4]),
    "filter": (lambda q: q.filter("views", "gte", 3), [3, 4]),
    "filter not": (lambda q: q.filter("views", "not.gte", 3), [1, 2]),
    "or of tuples": (lambda q: q.or_(("views", "eq", 1), ("rating", "is", None)), [1, 2]),
    "or with not": (lambda q: q.or_(("views", "eq", 1), ("views", "not.lt", 4)), [1, 4]),
    "or of text": (lambda q: q.or_("views.eq.1,and(views.gt.2,published.is.true)"), [1, 3]),
    "or text with a quoted value": (
        lambda q: q.or_('title.eq."O\'Brien; drop table posts",views.in.(2,"3")'),
        [2, 3, 4],
    ),
    "or text with a star": (lambda q: q.or_("title.like.Al*"), [1]),
    "or and more": (lambda q: q.or_(("views", "gt", 1), ("views", "lt", 0)).eq("published", True).lt("views", 9), [3]),
    "or of nothing": (lambda q: q.or_(), []),
    "contains": (lambda q: q.contains("tags", ["b"]), [1, 2]),
    "contains nothing": (lambda q: q.contains("tags", []), [1, 2, 3]),
    "contained by": (lambda q: q.contained_by("tags", ["b", "c"]), [2, 3]),
    "overlaps": (lambda q: q.overlaps("tags", ["a", "z"]), [1]),
    "jsonb contains": (lambda q: q.contains("meta", {"k": [2]}), [2]),
    "order by NULL last": (lambda q: q.order("rating"), [4, 3, 1, 2]),
    "order falling, NULL first": (lambda q: q.order("rating", desc=True), [2, 1, 3, 4]),
    "order, NULL asked first": (lambda q: q.order("rating", nulls="first"), [2, 4, 3, 1]),
    "order twice": (lambda q: q.order("published", desc=True).order("views", desc=True), [3, 1, 4, 2]),
    "order by code point": (lambda q: q.order("title"), [3, 1, 4, 2]),
    "limit": (lambda q: q.order("id").limit(2), [1, 2]),
    "range includes both ends": (lambda q: q.order("id").range(1, 2), [2, 3]),
    "range of text": (lambda q: q.order("id").range("1", "2"), [2, 3]),
    "an empty range": (lambda q: q.range(0, -1), []),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_filter_gives_the_rows_it_says(blog, case):
    narrow, expected = CASES[case]
    async with blog() as db:
        await db.from_("posts").insert(POSTS)
        assert await titles(narrow(db.from_("posts").select("views"))) == expected
        async with db.transaction() as tx:  # the same on the writer's connection
            assert await titles(narrow(tx.from_("posts").select("views"))) == expected


REFUSED = {
    "an unknown table": ("42P01", lambda db: db.from_("nope").select()),
    "a table's name in another case": ("42P01", lambda db: db.from_("Posts").select()),
    "an unknown column": ("42703", lambda db: db.from_("posts").select("nope")),
    "an unknown column in a filter": ("42703", lambda db: db.from_("posts").select().eq("nope", 1)),
    "an unknown column in an order": ("42703", lambda db: db.from_("posts").select().order("nope")),
    "text for an integer": ("22P02", lambda db: db.from_("posts").select().eq("id", "abc")),
    "a huge integer": ("22003", lambda db: db.from_("posts").select().eq("views", 2**31)),
    "a float for an integer": ("22P02", lambda db: db.from_("posts").select().eq("id", 1.0)),
    "a bool for an integer": ("22P02", lambda db: db.from_("posts").select().eq("id", True)),
    "a word for a bool": ("22P02", lambda db: db.from_("posts").select().eq("published", "maybe")),
    "like on a number": ("42883", lambda db: db.from_("posts").select().like("views", "1%")),
    "a pattern that ends in an escape": ("22025", lambda db: db.from_("posts").select().like("title", "a\\")),
    "a pattern without end": ("54000", lambda db: db.from_("posts").select().like("title", "a" * 1001)),
    "is true on a number": ("42804", lambda db: db.from_("posts").select().is_("views", True)),
    "a list for eq": ("22P02", lambda db: db.from_("posts").select().eq("title", ["x"])),
    "a text for in": ("22P02", lambda db: db.from_("posts").select().in_("title", "xyz")),
    "NULL in a list": ("22004", lambda db: db.from_("posts").select().in_("title", ["x", None])),
    "too long a list": ("54000", lambda db: db.from_("posts").select().in_("id", range(10_001))),
    "a naive time": ("22007", lambda db: db.from_("posts").select().eq("created_at", NAIVE)),
    "which jsonb is greater": ("PGRST127", lambda db: db.from_("posts").select().gt("meta", {"k": 1})),
    "ordering by jsonb": ("PGRST127", lambda db: db.from_("posts").select().order("meta")),
    "a cast to no type": ("42704", lambda db: db.from_("posts").select("id::nope")),
    "an aggregate that is none": ("PGRST100", lambda db: db.from_("posts").select("views.median()")),
    "two outputs of one name": ("42701", lambda db: db.from_("posts").select("id, id:views")),
    "a broken select": ("PGRST100", lambda db: db.from_("posts").select("id,,title")),
    "a broken or": ("PGRST100", lambda db: db.from_("posts").select().or_("views.eq.1,and(")),
    "an unknown operator in or": ("PGRST100", lambda db: db.from_("posts").select().or_("views.regex.1")),
    "too many filters": ("54000", lambda db: db.from_("posts").select().or_(*[("id", "eq", 1)] * 201)),
    "too deep a tree": ("54001", lambda db: db.from_("posts").select().or_("and(" * 30 + "id.eq.1" + ")" * 30)),
    "all_rows on a select": ("PGRST100", lambda db: db.from_("posts").select().all_rows()),
}  # fmt: skip


SQLITE_CANNOT = {"which jsonb is greater", "ordering by jsonb"}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_makes_no_sense_is_refused_by_code(blog, case):
    code, ask = REFUSED[case]
    if case in SQLITE_CANNOT and blog.engine == "postgres":
        async with blog() as db:
            assert await ask(db) == []
        return
    async with blog() as db:
        with pytest.raises(DbError) as caught:
            await ask(db)
        assert caught.value.code == code
        assert 400 <= caught.value.status < 600


AT_ONCE = {
    "eq None": ("22004", lambda q: q.eq("rating", None)),
    "or with None": ("22004", lambda q: q.or_(("rating", "eq", None))),
    "is something": ("22P02", lambda q: q.is_("rating", "nothing")),
    "is a number": ("22P02", lambda q: q.is_("rating", 7)),
    "an operator that is none": ("PGRST100", lambda q: q.filter("id", "regex", "x")),
    "a negative range": ("PGRST103", lambda q: q.range(-10, -1)),
    "a range the wrong way": ("PGRST103", lambda q: q.range(10, 5)),
    "a limit of text": ("PGRST103", lambda q: q.limit("ten")),
    "a negative limit": ("PGRST103", lambda q: q.limit(-1)),
    "a fraction": ("PGRST103", lambda q: q.limit(1.5)),
    "a limit past all bounds": ("PGRST103", lambda q: q.limit(2**63)),
    "a text search of no kind": ("PGRST100", lambda q: q.text_search("title", "x", type="fuzzy")),
    "any of nothing": ("22P02", lambda q: q.like_any_of("title", [])),
    "nulls in the middle": ("PGRST100", lambda q: q.order("id", nulls="middle")),
}


@pytest.mark.parametrize("case", AT_ONCE)
async def test_a_mistake_in_the_call_is_refused_where_it_is_made(blog, case):
    code, ask = AT_ONCE[case]
    async with blog() as db:
        with pytest.raises(DbError) as caught:
            ask(db.from_("posts").select())
        assert caught.value.code == code


async def test_a_select_gives_rows_with_the_columns_in_order(blog):
    async with blog() as db:
        await db.from_("posts").insert(POSTS[0])

        rows = await db.from_("posts").select("views, name:title, published")

        assert rows == [{"views": 1, "name": "Alpha", "published": True}]
        assert list(rows[0]) == ["views", "name", "published"]
        assert isinstance(rows, Rows)
        assert rows.count is None


async def test_exact_counts_every_row_whatever_the_limit(blog):
    async with blog() as db:
        await db.from_("posts").insert(POSTS)

        page = await db.from_("posts").select("*", count="exact").eq("published", True).order("id").range(1, 1)
        head = await db.from_("posts").select("*", count="exact", head=True).gt("views", 1)

        assert ([row["views"] for row in page], len(page), page.count) == ([3], 1, 2)
        assert (head, head.count) == ([], 3)


async def test_single_gives_a_dict_or_none_and_refuses_several(blog):
    async with blog() as db:
        await db.from_("posts").insert(POSTS)

        assert (await db.from_("posts").select("title").eq("id", "1").single()) == {"title": "Alpha"}
        assert (await db.from_("posts").select("*").eq("id", 99).single()) is None
        assert (await db.from_("posts").select("views").order("id").limit(1).maybe_single()) == {"views": 1}
        with pytest.raises(DbError) as caught:
            await db.from_("posts").select("*").single()
        assert (caught.value.code, caught.value.status) == ("PGRST116", 500)


class Post(Struct):
    id: int
    title: str


async def test_as_gives_models(blog):
    async with blog() as db:
        await db.from_("posts").insert(POSTS[:2])

        assert await db.from_("posts").select("id, title").order("id").as_(Post) == [Post(1, "Alpha"), Post(2, "alpha")]
        assert await db.from_("posts").select("id, title").eq("id", 2).single().as_(Post) == Post(2, "alpha")
        assert await db.from_("posts").select("id, title").as_(Post).eq("id", 2).single() == Post(2, "alpha")
        assert await db.from_("posts").select("id, title").eq("id", 3).single().as_(Post) is None
        with pytest.raises(DbError, match="does not fit Post"):
            await db.from_("posts").select("title:id, id").as_(Post)


class Needy(TypedDict):
    id: int
    nope: NotRequired[str]


@dataclass
class Author:
    name: str
    posts: list[Needy]
    email: str = ""


class Renamed(Struct, rename={"heading": "title"}):
    heading: str


async def test_a_model_is_checked_against_the_select_though_there_is_no_row(blog):
    async with blog() as db:
        posts = db.from_("posts")
        assert await posts.select("id").as_(Needy) == []
        assert await posts.select("title").as_(Renamed) == []
        assert await db.from_("users").select("name, posts(id)").single().as_(Author) is None
        for query in (
            posts.select("id").as_(Post),
            posts.select("id, heading:title").as_(Renamed),
            posts.update({"views": 1}).eq("id", 1).select("id").as_(Post),
            db.from_("users").select("name").as_(Author),
            db.from_("users").select("name, mine:posts(id)").single().as_(Author),
        ):
            for _ in range(2):
                with pytest.raises(DbError, match=r"needs (title|posts), which the query does not give"):
                    await query


async def test_as_gives_pydantic_models(blog):
    from pydantic import BaseModel

    class Model(BaseModel):
        id: int
        title: str

    async with blog() as db:
        await db.from_("posts").insert(POSTS[0])
        assert (await db.from_("posts").select("id, title").as_(Model))[0].title == "Alpha"


async def test_a_query_never_changes_and_may_be_shared(blog):
    async with blog() as db:
        await db.from_("posts").insert(POSTS)
        base = db.from_("posts").select("views").order("id")

        narrow = base.gt("views", 2)

        assert [row["views"] for row in await base] == [1, 2, 3, 4]
        assert [row["views"] for row in await narrow] == [3, 4]
        assert [row["views"] for row in await narrow] == [3, 4]


async def test_a_query_can_run_twice_though_its_list_was_a_generator(blog):
    async with blog() as db:
        await db.from_("posts").insert(POSTS)
        wanted = [1, 2]
        for query in (
            db.from_("posts").select("views").in_("views", (number for number in wanted)),
            db.from_("posts").select("views").or_(("views", "in", (number for number in wanted))),
            db.from_("posts").select("views").in_("views", wanted),
        ):
            wanted = [1, 2]
            assert [row["views"] for row in await query] == [1, 2]
            wanted.clear()
            assert [row["views"] for row in await query] == [1, 2]


async def test_the_answer_is_fresh_every_time(blog):
    async with blog() as db:
        query = db.from_("posts").select("views").eq("id", 1).single()
        for views in range(3):
            await db.from_("posts").upsert({"id": 1, "title": "x", "views": views})
            assert await query == {"views": views}


async def test_more_than_ten_thousand_rows_raise(blog):
    async with blog() as db:
        await db.sql("insert into slugs with recursive n(i) as (select 1 union all select i + 1 from n where i < 10001)"
                     " select 's' || i, i from n")  # fmt: skip
        assert len(await db.from_("slugs").select().limit(10_000)) == 10_000
        with pytest.raises(DbError, match="more than 10,000 rows"):
            await db.from_("slugs").select()
        with pytest.raises(DbError, match="more than 10,000 rows"):
            await db.from_("slugs").update({"post_id": 1}).all_rows().select()
        assert len(await db.from_("slugs").select().eq("post_id", 1)) == 1


async def test_equal_shapes_share_one_statement_and_the_cache_has_an_end(blog):
    async with blog() as db:
        await db.from_("posts").select("id").eq("id", 1)
        before = len(db.engine._cache)
        for number in range(20):
            await db.from_("posts").select("id").eq("id", number).limit(number)
            await db.from_("posts").select("id").in_("id", range(number))
        assert len(db.engine._cache) == before + 2
        for number in range(1_100):
            await db.from_("posts").select(f"a{number}:id")
        assert len(db.engine._cache) == 1_000


async def test_a_new_column_is_seen_at_once(blog):
    async with blog() as db:
        await db.from_("posts").insert(POSTS[0])
        await db.from_("posts").select()
        await db.sql("alter table posts add column extra boolean default true")
        assert (await db.from_("posts").select().single())["extra"] is True
