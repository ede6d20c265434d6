"""The filters beyond a single comparison, on a few tables and every engine."""

from __future__ import annotations

import pytest

from tests.db.shop import shop
from turnout.errors import DbError

CASES = {
    "like all of": (lambda q: q.like_all_of("title", ["%a", "%e%"]), [2]),
    "like any of": (lambda q: q.like_any_of("title", ["Al%", "G%"]), [1, 3]),
    "like any of heeds case": (lambda q: q.like_any_of("title", ["al%"]), []),
    "ilike all of": (lambda q: q.ilike_all_of("title", ["%A", "%PH%"]), [1]),
    "ilike any of": (lambda q: q.ilike_any_of("title", ["al%", "BETA"]), [1, 2]),
    "any of numbers": (lambda q: q.filter("id", "eq(any)", [1, "3"]), [1, 3]),
    "all of numbers": (lambda q: q.filter("views", "gte(all)", [3, 4]), [2, 3]),
    "any of floats": (lambda q: q.filter("ratio", "eq(any)", [0.1, 9]), [1]),
    "any, of a NULL column": (lambda q: q.filter("ratio", "lt(any)", [9]), [1, 2]),
    "not any, of a NULL column": (lambda q: q.not_("ratio", "eq(any)", [0.1]), [2]),
    "not all": (lambda q: q.not_("title", "like(all)", ["%a", "%e%"]), [1, 3]),
    "any on the wire": (lambda q: q.or_('title.like(any).{Al*,"G%"}'), [1, 3]),
    "all on the wire": (lambda q: q.or_("views.gte(all).{3,4}"), [2, 3]),
    "distinct from": (lambda q: q.filter("views", "isdistinct", 3), [2, 3]),
    "distinct from, of a NULL column": (lambda q: q.filter("ratio", "isdistinct", 0.1), [2, 3]),
    "not distinct from": (lambda q: q.filter("views", "not.isdistinct", 3), [1]),
    "is unknown": (lambda q: q.is_("published", "unknown"), [3]),
    "is not false": (lambda q: q.not_("published", "is", False), [1, 3]),
    "is not null": (lambda q: q.is_("author_id", "not_null"), [1, 2]),
    "contains on the wire": (lambda q: q.or_("tags.cs.{x}"), [1, 3]),
    "contains a hard one on the wire": (lambda q: q.or_(r'tags.cs.{"q\"uo,te"}'), [1]),
    "contained by on the wire": (lambda q: q.or_("tags.cd.{x,y}"), [2, 3]),
    "overlaps on the wire": (lambda q: q.or_("tags.ov.{x,y}"), [1, 3]),
    "jsonb contains on the wire": (lambda q: q.or_(r'data.cs."{\"k\":7}"'), [1, 2]),
    "contains by its short name": (lambda q: q.filter("tags", "cs", ["x"]), [1, 3]),
    "an alternative within": (lambda q: q.or_("id.eq.1,and(id.gt.1,not.or(id.eq.3,title.eq.Zeta))"), [1, 2]),
    "not and": (lambda q: q.or_("not.and(id.gt.1,views.eq.4)"), [1]),
    "in on the wire": (lambda q: q.or_('title.in.(Alpha,"Gamma")'), [1, 3]),
    "in nothing on the wire": (lambda q: q.or_("title.in.()"), []),
    "not in on the wire": (lambda q: q.or_("id.not.in.(1,2)"), [3]),
    "not before the column": (lambda q: q.or_("not.id.eq.1"), [2, 3]),
    "a date": (lambda q: q.or_("created_at.gte.2026-02-01"), [2]),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_filter_gives_the_same_rows_on_every_engine(blog, case):
    narrow, expected = CASES[case]
    async with shop(blog) as db:
        assert [row["id"] for row in await narrow(db.from_("posts").select("id")).order("id")] == expected


REFUSED = {
    "a list for a pattern": ("22P02", lambda q: q.like("title", ["a"])),
    "any of a word": ("22P02", lambda q: q.filter("title", "like(any)", "abc")),
    "any of neq": ("PGRST100", lambda q: q.filter("title", "neq(any)", ["abc"])),
    "some of": ("PGRST100", lambda q: q.filter("title", "like(some)", ["abc"])),
    "a broken array on the wire": ("22P02", lambda q: q.or_('title.like(any)."{a"')),
    "text for an array": ("22P02", lambda q: q.contains("tags", "{a}")),
    "a broken array for a column": ("22P02", lambda q: q.or_('tags.cs."{a"')),
    "overlaps on jsonb": ("42883", lambda q: q.overlaps("data", ["x"])),
    "contains on text": ("42883", lambda q: q.contains("title", ["x"])),
    "a range operator": ("PGRST127", lambda q: q.filter("views", "sl", "[1,2)")),
    "a filter inside or_ on a relation": ("PGRST100", lambda q: q.or_("comments.id.eq.1")),
    "a list too long": ("54000", lambda q: q.filter("id", "eq(any)", range(10_001))),
    "a text search of a number": ("42883", lambda q: q.text_search("views", "x")),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_filter_that_makes_no_sense_is_refused(blog, case):
    code, narrow = REFUSED[case]
    async with shop(blog) as db:
        with pytest.raises(DbError) as caught:
            await narrow(db.from_("posts").select())
        assert caught.value.code == code


async def test_text_search_and_regular_expressions_are_postgresql_only(blog):
    async with shop(blog) as db:
        await db.from_("posts").update({"title": "The fat cats ate rats"}).eq("id", 1)
        posts = db.from_("posts").select("id")
        for query in (
            posts.text_search("title", "fat & cat", config="english"),
            posts.text_search("title", "cat rat", type="plain", config="english"),
            posts.text_search("title", "fat cat", type="phrase", config="english"),
            posts.text_search("title", "cats -dogs", type="websearch", config="english"),
            posts.text_search("title", "fat"),
            posts.filter("title", "match", "^The.*rats$"),
            posts.filter("title", "imatch", "^the"),
            posts.or_("title.fts(english).cat"),
        ):
            if blog.engine == "postgres":
                assert await query == [{"id": 1}]
                continue
            with pytest.raises(DbError) as caught:
                await query
            assert caught.value.code == "PGRST127"


@pytest.mark.parametrize("verb", ["update", "delete"])
async def test_max_affected_undoes_what_touches_more(blog, verb):
    async with shop(blog) as db:
        labels = db.from_("comments").update({"body": "x"}) if verb == "update" else db.from_("comments").delete()
        for query in (labels.gt("id", 1), labels.gt("id", 1).select("id")):
            with pytest.raises(DbError) as caught:
                await query.max_affected(2)
            assert (caught.value.code, caught.value.status) == ("PGRST124", 400)
        assert len(await db.from_("comments").select().neq("body", "x")) == 3
        assert (await labels.gt("id", 1).max_affected(3)).count == 3
        with pytest.raises(DbError):
            await db.from_("posts").select().max_affected(1)


@pytest.mark.parametrize("kind", ["exact", "planned", "estimated"])
async def test_a_count_is_given_as_asked(blog, kind):
    async with shop(blog) as db:
        page = await db.from_("comments").select("id", count=kind).eq("post_id", 1).order("id").limit(1)
        assert [row["id"] for row in page] == [1]
        assert page.count == 3 or (blog.engine == "postgres" and kind != "exact" and page.count >= 0)


async def test_order_and_limit_on_a_write_are_refused_by_name(blog):
    async with shop(blog) as db:
        for query in (
            db.from_("labels").update({"name": "x"}).gt("id", 0).order("id"),
            db.from_("labels").delete().gt("id", 0).limit(1),
            db.from_("labels").insert({"id": 9, "name": "x"}).range(0, 1),
        ):
            with pytest.raises(DbError) as caught:
                await query
            assert caught.value.code == "PGRST127"
        assert len(await db.from_("labels").select().neq("name", "x")) == 2
