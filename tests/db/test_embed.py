"""Embedded relations: every kind of relationship, what narrows them, what narrows by them."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tests.db.shop import TABLES, UUID, shop
from turnout.errors import DbError

AUTHOR = "author:users!posts_author_id_fkey"
CASES = {
    "the row a key points at": (
        lambda db: db.from_("posts").select(f"id, {AUTHOR}(name)").order("id"),
        [{"id": 1, "author": {"name": "Ada"}}, {"id": 2, "author": {"name": "Bob"}}, {"id": 3, "author": None}],
    ),
    "by the key's column": (
        lambda db: db.from_("posts").select("id, author_id(name), editor_id(id)").eq("id", 1),
        [{"id": 1, "author_id": {"name": "Ada"}, "editor_id": {"id": 2}}],
    ),
    "by the key's name": (
        lambda db: db.from_("posts").select("who:posts_editor_id_fkey(name)").eq("id", 1),
        [{"who": {"name": "Bob"}}],
    ),
    "by a hint that is a column": (
        lambda db: db.from_("posts").select("users!editor_id(name)").eq("id", 1),
        [{"users": {"name": "Bob"}}],
    ),
    "every column": (
        lambda db: db.from_("profiles").select("users(*)"),
        [{"users": {"id": 1, "name": "Ada", "boss_id": None, "score": 0.30000000000000004}}],
    ),
    "the rows that point here": (
        lambda db: db.from_("posts").select("id, comments(id)").order("id").order("id", foreign_table="comments"),
        [{"id": 1, "comments": [{"id": 1}, {"id": 2}, {"id": 3}]}, {"id": 2, "comments": [{"id": 4}]},
         {"id": 3, "comments": []}],
    ),
    "one row back, as the key is unique": (
        lambda db: db.from_("users").select("name, profiles(bio)").order("id"),
        [{"name": "Ada", "profiles": {"bio": "first"}}, {"name": "Bob", "profiles": None},
         {"name": "Cyd", "profiles": None}],
    ),
    "through a table between": (
        lambda db: db.from_("posts").select("id, labels(name)").order("id").order("name", foreign_table="labels"),
        [{"id": 1, "labels": [{"name": "blue"}, {"name": "red"}]}, {"id": 2, "labels": [{"name": "blue"}]},
         {"id": 3, "labels": []}],
    ),
    "and back": (
        lambda db: db.from_("labels").select("name, posts(id)").order("id")
        .order("id", foreign_table="posts", desc=True),
        [{"name": "red", "posts": [{"id": 1}]}, {"name": "blue", "posts": [{"id": 2}, {"id": 1}]}],
    ),
    "the table between itself": (
        lambda db: db.from_("labels").select("posts_labels(post_id)").eq("id", 1),
        [{"posts_labels": [{"post_id": 1}]}],
    ),
    "of itself, upwards": (
        lambda db: db.from_("users").select("name, boss:boss_id(name)").order("id"),
        [{"name": "Ada", "boss": None}, {"name": "Bob", "boss": {"name": "Ada"}},
         {"name": "Cyd", "boss": {"name": "Ada"}}],
    ),
    "of itself, downwards": (
        lambda db: db.from_("users").select("staff:users(name)").eq("id", 1).order("id", foreign_table="staff"),
        [{"staff": [{"name": "Bob"}, {"name": "Cyd"}]}],
    ),
    "of itself, by a hint": (
        lambda db: db.from_("users").select("staff:users!boss_id(id)").eq("id", 2),
        [{"staff": []}],
    ),
    "by a key of two columns": (
        lambda db: db.from_("orders").select("id, shops(name)").order("id"),
        [{"id": 1, "shops": {"name": "Eins"}}, {"id": 2, "shops": None}],
    ),
    "and its other way": (
        lambda db: db.from_("shops").select("name, orders(id)"), [{"name": "Eins", "orders": [{"id": 1}]}],
    ),
    "nested": (
        lambda db: db.from_("users").select(
            "name, posts!posts_author_id_fkey(title, comments(body, users(name, boss_id(name))))")
        .eq("id", 2),
        [{"name": "Bob", "posts": [{"title": "Beta", "comments": [
            {"body": "four", "users": {"name": "Ada", "boss_id": None}}]}]}],
    ),
    "spread": (
        lambda db: db.from_("profiles").select("bio, ...users(name, who:id)"),
        [{"bio": "first", "name": "Ada", "who": 1}],
    ),
    "spread of nothing": (
        lambda db: db.from_("users").select("id, ...profiles(bio)").eq("id", 2), [{"id": 2, "bio": None}],
    ),
    "spread inside": (
        lambda db: db.from_("posts").select("comments(id, ...users(name, ...boss_id(boss:name)))").eq("id", 1)
        .order("id", foreign_table="comments"),
        [{"comments": [{"id": 1, "name": "Bob", "boss": "Ada"}, {"id": 2, "name": "Cyd", "boss": "Ada"},
                       {"id": 3, "name": None, "boss": None}]}],
    ),
    "an embed inside a spread": (
        lambda db: db.from_("comments").select("id, ...posts(title, labels(name))").eq("id", 4),
        [{"id": 4, "title": "Beta", "labels": [{"name": "blue"}]}],
    ),
    "counted": (
        lambda db: db.from_("posts").select("id, comments(count)").order("id"),
        [{"id": 1, "comments": [{"count": 3}]}, {"id": 2, "comments": [{"count": 1}]},
         {"id": 3, "comments": [{"count": 0}]}],
    ),
    "counted by another name, with a filter": (
        lambda db: db.from_("posts").select("id, n:comments(count())").eq("n.published", True).eq("id", 1),
        [{"id": 1, "n": [{"count": 2}]}],
    ),
    "summed in groups": (
        lambda db: db.from_("posts").select("comments(published, price.sum())").eq("id", 1)
        .order("published", foreign_table="comments"),
        [{"comments": [
            {"published": False, "sum": Decimal("12345678.9")}, {"published": True, "sum": Decimal("1.50")}]}],
    ),
    "nothing but the relation": (
        lambda db: db.from_("posts").select("comments(id)").eq("id", 2), [{"comments": [{"id": 4}]}],
    ),
    "a filter narrows the relation": (
        lambda db: db.from_("posts").select("id, comments(id)").eq("comments.published", False).order("id"),
        [{"id": 1, "comments": [{"id": 2}]}, {"id": 2, "comments": []}, {"id": 3, "comments": []}],
    ),
    "and a row of it away": (
        lambda db: db.from_("posts").select(f"id, {AUTHOR}(name)").eq("author.name", "Ada").order("id"),
        [{"id": 1, "author": {"name": "Ada"}}, {"id": 2, "author": None}, {"id": 3, "author": None}],
    ),
    "inner narrows the query": (
        lambda db: db.from_("posts").select("id, comments!inner(id)").eq("comments.published", False),
        [{"id": 1, "comments": [{"id": 2}]}],
    ),
    "inner to one": (
        lambda db: db.from_("posts").select("id, users!author_id!inner(name)").order("id"),
        [{"id": 1, "users": {"name": "Ada"}}, {"id": 2, "users": {"name": "Bob"}}],
    ),
    "inner through a table between": (
        lambda db: db.from_("posts").select("id, labels!inner(name)").eq("labels.name", "red"),
        [{"id": 1, "labels": [{"name": "red"}]}],
    ),
    "inner inside inner": (
        lambda db: db.from_("posts").select("id, comments!inner(id, users!inner(name))")
        .eq("comments.users.name", "Cyd"),
        [{"id": 1, "comments": [{"id": 2, "users": {"name": "Cyd"}}]}],
    ),
    "inner of a spread": (
        lambda db: db.from_("users").select("id, ...profiles!inner(bio)"), [{"id": 1, "bio": "first"}],
    ),
    "left is what it is anyway": (
        lambda db: db.from_("users").select("id, profiles!left(bio)").eq("id", 3), [{"id": 3, "profiles": None}],
    ),
    "rows with none": (
        lambda db: db.from_("posts").select("id, comments(id)").is_("comments", None), [{"id": 3, "comments": []}],
    ),
    "rows with some, and nothing shown": (
        lambda db: db.from_("posts").select("id, comments()").not_("comments", "is", None).order("id"),
        [{"id": 1}, {"id": 2}],
    ),
    "either": (
        lambda db: db.from_("users").select("id, profiles(), posts!author_id()").order("id")
        .or_(("profiles", "is", "not_null"), ("posts", "is", "not_null")),
        [{"id": 1}, {"id": 2}],
    ),
    "or inside": (
        lambda db: db.from_("posts").select("comments(id)").eq("id", 1).order("id", foreign_table="comments")
        .or_("body.eq.two,weight.lt.0", reference_table="comments"),
        [{"comments": [{"id": 2}, {"id": 3}]}],
    ),
    "not inside": (
        lambda db: db.from_("posts").select("comments(id)").eq("id", 1).not_("comments.body", "eq", "one"),
        [{"comments": [{"id": 2}]}],
    ),
    "is inside": (
        lambda db: db.from_("posts").select("comments(id)").eq("id", 1).is_("comments.author_id", None),
        [{"comments": [{"id": 3}]}],
    ),
    "ordered, limited and moved on": (
        lambda db: db.from_("posts").select("comments(id)").eq("id", 1)
        .order("weight", desc=True, nulls="last", foreign_table="comments").range(1, 2, foreign_table="comments"),
        [{"comments": [{"id": 3}, {"id": 2}]}],
    ),
    "limited two levels down": (
        lambda db: db.from_("users").select("name, posts!author_id(id, comments(id))").eq("id", 1)
        .order("id", foreign_table="posts.comments", desc=True).limit(1, foreign_table="posts.comments"),
        [{"name": "Ada", "posts": [{"id": 1, "comments": [{"id": 3}]}]}],
    ),
    "order by a relation's column": (
        lambda db: db.from_("comments").select("id, users(name)").order("users(name)", desc=True, nulls="last")
        .order("id"),
        [{"id": 2, "users": {"name": "Cyd"}}, {"id": 1, "users": {"name": "Bob"}}, {"id": 4, "users": {"name": "Ada"}},
         {"id": 3, "users": None}],
    ),
    "the same twice by two names": (
        lambda db: db.from_("posts").select("a:users!author_id(name), e:users!editor_id(name)").eq("id", 1)
        .eq("a.name", "Ada").eq("e.name", "nobody"),
        [{"a": {"name": "Ada"}, "e": None}],
    ),
    "a path, a cast and an alias inside": (
        lambda db: db.from_("comments").select("posts(n:data->a->>n, t:data->a->list->1, price::text)").eq("id", 1),
        [{"posts": {"n": "1.5", "t": {"c": "é"}, "price": "10.10"}}],
    ),
    "with single": (lambda db: db.from_("posts").select("id, comments(id)").eq("id", 3).single(),
                    {"id": 3, "comments": []}),
    "a table that has a column of the relation's name": (
        lambda db: db.from_("lonely").select("comments"), [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_related_rows_come_inside_the_row(blog, case):
    ask, expected = CASES[case]
    async with shop(blog) as db:
        assert await ask(db) == expected
        async with db.transaction() as tx:
            assert await ask(tx) == expected


async def test_values_inside_are_the_same_as_outside(blog):
    async with shop(blog) as db:
        for number in (1, 2, 3):
            outside = await db.from_("posts").select("*").eq("id", number).single()
            inside = await db.from_("users").select("x:posts!posts_author_id_fkey(*)").eq("x.id", number)
            found = [row for each in inside for row in each["x"]]
            assert found in ([outside], [])
            assert [list(map(type, row.values())) for row in found] in ([list(map(type, outside.values()))], [])
        one = await db.from_("comments").select("posts(*)").eq("id", 1).single()
        post = one["posts"]
        assert post["price"] == Decimal("10.10")
        assert (type(post["price"]), post["big"], post["ratio"], post["small"]) == (Decimal, 2**62, 0.1, 0.1)
        assert (post["body"], post["key"], post["tags"]) == ("\\x00ff", UUID, ["x", 'q"uo,te'])
        assert (post["day"], post["created_at"], post["published"]) == (
            "2026-01-02", "2026-01-02T03:04:05.6+00:00", True
        )  # fmt: skip
        assert post["data"]["a"]["none"] is None


async def test_a_count_counts_the_rows_that_inner_leaves(blog):
    async with shop(blog) as db:
        asked = db.from_("posts").select("id, comments!inner(id)", count="exact").eq("comments.published", True)
        page = await asked.gte("id", 1).order("id").limit(1)
        assert ([row["id"] for row in page], page.count) == ([1], 2)
        head = await db.from_("posts").select("comments!inner(id)", count="exact", head=True).eq("comments.id", 4)
        assert (head, head.count) == ([], 1)


async def test_a_mutation_gives_related_rows_back(blog):
    async with shop(blog) as db:
        row = (
            await db.from_("comments").insert({"id": 9, "post_id": 2, "body": "n"}).select("id, posts(title)").single()
        )
        assert row == {"id": 9, "posts": {"title": "Beta"}}
        rows = (
            await db.from_("comments")
            .update({"post_id": 1})
            .eq("id", 9)
            .select("posts(title, labels(name))")
            .order("name", foreign_table="posts.labels")
        )
        assert rows == [{"posts": {"title": "Alpha", "labels": [{"name": "blue"}, {"name": "red"}]}}]
        many = await db.from_("posts").update({"views": 1}).eq("id", 1).select("comments(id)").eq("comments.id", 9)
        assert many == [{"comments": [{"id": 9}]}]
        gone = await db.from_("comments").delete().eq("id", 9).select("id, ...posts(title)")
        assert gone == [{"id": 9, "title": "Alpha"}]
        two = [{"id": 20, "title": "a", "author_id": 1}, {"id": 21, "title": "b"}]
        assert await db.from_("posts").insert(two).select("id, users!author_id(name)").eq("users.name", "Ada") == [
            {"id": 20, "users": {"name": "Ada"}}, {"id": 21, "users": None}
        ]  # fmt: skip


REFUSED = {
    "no relationship": ("PGRST200", lambda db: db.from_("posts").select("lonely(*)")),
    "a mistyped one": ("PGRST200", lambda db: db.from_("posts").select("coments(*)")),
    "a hint that is none": ("PGRST200", lambda db: db.from_("posts").select("users!nope(*)")),
    "several": ("PGRST201", lambda db: db.from_("posts").select("users(*)")),
    "a filter on what is not embedded": ("PGRST108", lambda db: db.from_("posts").select("id").eq("comments.id", 1)),
    "a filter by the name and not the alias": (
        "PGRST108", lambda db: db.from_("posts").select("c:comments(id)").eq("comments.id", 1)),
    "an order of what is not embedded": (
        "PGRST108", lambda db: db.from_("posts").select("id").order("id", foreign_table="comments")),
    "a limit of what is not embedded": ("PGRST108", lambda db: db.from_("posts").select().limit(1, foreign_table="x")),
    "an order by what is not embedded": ("PGRST108", lambda db: db.from_("posts").select("id").order("comments(id)")),
    "an order by several rows": ("PGRST118", lambda db: db.from_("posts").select("comments(id)").order("comments(id)")),
    "a spread of several rows": ("PGRST119", lambda db: db.from_("posts").select("id, ...comments(body)")),
    "another operator on a relation": (
        "PGRST120", lambda db: db.from_("posts").select("comments(id)").eq("comments", 1)),
    "an unknown column inside": ("42703", lambda db: db.from_("posts").select("comments(nope)")),
    "an unknown column in a filter inside": (
        "42703", lambda db: db.from_("posts").select("comments(id)").eq("comments.nope", 1)),
    "a bad value inside": ("22P02", lambda db: db.from_("posts").select("comments(id)").eq("comments.id", "x")),
    "a name that is taken": ("42701", lambda db: db.from_("posts").select("id, id:comments(body)")),
    "the same relation twice": ("42701", lambda db: db.from_("posts").select("comments(id), comments(body)")),
    "a spread onto a name": ("42701", lambda db: db.from_("comments").select("id, ...posts(id)")),
    "an alias that is no name": ("PGRST100", lambda db: db.from_("posts").select('"a b":comments(id)')),
    "six levels": (
        "54001", lambda db: db.from_("posts").select(
            "comments(posts(comments(posts(comments(posts(id))))))")),
    "too many relations": (
        "54001", lambda db: db.from_("posts").select(",".join(f"c{n}:comments(id)" for n in range(51)))),
    "too many filters in all": (
        "54000", lambda db: db.from_("posts").select("comments(id)").or_(*[("id", "eq", 1)] * 150)
        .or_(*[("id", "eq", 1)] * 51, reference_table="comments")),
    "inner on what comes back": (
        "PGRST127", lambda db: db.from_("posts").update({"views": 1}).eq("id", 1).select("comments!inner(id)")),
    "a filter on a relation and none on the table": (
        "21000", lambda db: db.from_("posts").delete().select("author_id(name)").eq("author_id.name", "Ada")),
    "a relation of a mutation that gives nothing back": (
        "PGRST108", lambda db: db.from_("posts").update({"views": 1}).eq("id", 1).eq("comments.id", 1)),
    "aggregates beside a relation": ("PGRST127", lambda db: db.from_("posts").select("views.sum(), comments(id)")),
    "an aggregate inside a spread": ("PGRST127", lambda db: db.from_("comments").select("...posts(views.sum())")),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_embedded_is_refused_by_code(blog, case):
    code, ask = REFUSED[case]
    async with shop(blog) as db:
        with pytest.raises(DbError) as caught:
            await ask(db)
        assert caught.value.code == code


async def test_the_errors_say_what_would_do(blog):
    async with blog(*TABLES) as db:
        with pytest.raises(DbError) as caught:
            await db.from_("posts").select("coments(*)")
        assert caught.value.hint == "Perhaps you meant 'comments' instead of 'coments'."
        with pytest.raises(DbError) as caught:
            await db.from_("posts").select("users(*)")
        candidates = json.loads(caught.value.details)
        assert {candidate["cardinality"] for candidate in candidates} == {"many-to-one"}
        assert "users!posts_author_id_fkey" in caught.value.hint
        with pytest.raises(DbError) as caught:
            await db.from_("posts").select("c:comments(id)").eq("comments.id", 1)
        assert caught.value.hint == "Change 'comments' to 'c' in filters, orders or limits."


async def test_a_foreign_key_goes_by_the_name_it_was_given(blog):
    async with blog(
        "create table people (id integer primary key, name text)",
        """create table notes (
            id integer primary key, a integer constraint writer references people(id),
            n numeric(5, 2) check (n > 0), -- constraint no references this(id)
            b integer not null default 1 constraint "the reader" references people(id), c integer, d integer,
            constraint judge foreign key (c) references people (id), foreign key (d) references people(id))""",
    ) as db:
        await db.from_("people").insert([{"id": number, "name": str(number)} for number in (1, 2, 3, 4)])
        await db.from_("notes").insert({"id": 1, "a": 1, "b": 2, "c": 3, "d": 4})
        row = (
            await db.from_("notes")
            .select('a:people!writer(name), b:people!"the reader"(name), c:judge(name), d:people!notes_d_fkey(name)')
            .single()
        )
        assert row == {"a": {"name": "1"}, "b": {"name": "2"}, "c": {"name": "3"}, "d": {"name": "4"}}


async def test_what_sqlite_would_show_otherwise_it_refuses(blog):
    if blog.engine != "sqlite":
        pytest.skip("PostgreSQL can")
    async with shop(blog) as db:
        for query in (
            db.from_("posts").delete().eq("id", 1).select("id, comments(id)"),
            db.from_("users").update({"name": "x"}).eq("id", 1).select("boss_id(name)"),
            db.from_("comments").update({"body": "x"}).eq("id", 1).select("posts(comments(body))"),
        ):
            with pytest.raises(DbError) as caught:
                await query
            assert caught.value.code == "PGRST127"


async def test_a_wide_table_fits_inside(blog):
    names = [f"c{number}" for number in range(250)]
    columns = ", ".join(f"{name} integer" for name in names)
    async with blog(
        f"create table wide (id integer primary key, {columns})",
        "create table narrow (id integer primary key, wide_id integer references wide(id))",
    ) as db:
        await db.from_("wide").insert({"id": 1, "c0": 5, "c249": 7})
        await db.from_("narrow").insert({"id": 1, "wide_id": 1})
        row = await db.from_("narrow").select("wide(*)").single()
        assert list(row["wide"]) == ["id", *names]
        assert (row["wide"]["id"], row["wide"]["c0"], row["wide"]["c249"], row["wide"]["c9"]) == (1, 5, 7, None)


async def test_one_statement_answers_however_deep(blog):
    if blog.engine != "sqlite":
        pytest.skip("SQLite tells of every statement")
    async with shop(blog) as db:
        statements = []
        db.engine._reader().set_trace_callback(statements.append)
        await db.from_("users").select("posts!author_id(comments(users(profiles(*))), labels(*))")
        selects = [text for text in statements if text.lower().startswith("select")]
        db.engine._reader().set_trace_callback(None)
        assert len(selects) == 1
