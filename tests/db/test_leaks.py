"""User B never learns what user A keeps to himself, whatever B asks.

Two databases differ only in A's private rows: their values, and how many there are. Every query
is asked of both, and both must answer alike, errors included; so a leak shows even where it is a
count or an order. After every write A's rows are as before. The queries are generated: each
select list with each filter and each modifier.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from turnout.db import Database, Scope
from turnout.db.build import Rows
from turnout.db.local import LocalPostgres
from turnout.errors import DbError

from .worlds import IN_MEMORY, USER_B, VISITOR, A, B, Worlds, fill, of_a, run, worlds

Build = Callable[[Any], Any]


Places = tuple[str, str]


@pytest.fixture(scope="module")
def two_databases(server: LocalPostgres) -> Places:
    """The URLs of a PostgreSQL database for each world."""
    for number in (1, 2):
        asyncio.run(run(server.url(), f"create database world_{number} template template0"))
    return server.url("world_1"), server.url("world_2")


@pytest.fixture(params=["sqlite", "postgres"])
def places(request: pytest.FixtureRequest) -> Places:
    if request.param == "postgres":
        found: Places = request.getfixturevalue("two_databases")
        return found
    return IN_MEMORY


SELECTS: dict[str, tuple[str, ...]] = {
    "posts": (
        "*", "id, title", "id, author:users(*)", "id, users(name, email)", "id, comments(*)", "id, ...users(name)",
        "id, comments(id, users(name))", "id, comments!inner(body)", "id, tags(name)", "id, post_tags(tag_id)",
        "id, comments(count)", "count()", "views.sum(), views.max()", "published, count()", "id, meta->>k",
        "id, comments(score.sum())", "id, comments(posts(title))", "id, users!inner(name)", "id, tags(posts(title))",
    ),
    "comments": (
        "*", "id, posts(title, users(email))", "id, posts!inner(title)", "id, posts!inner(author_id, comments(body))",
        "score.avg()", "id, users(*)", "id, ...posts(title)", "id, posts(tags(name))",
    ),
    "users": (
        "*", "name, posts(title)", "id, posts!inner(title), secrets(value)", "id, posts(comments(body))", "count()",
        "id, posts(views.sum())", "id, orgs(name)", "id, members(org_id)", "id, secrets(count)",
    ),
    "tags": (
        "*", "name, posts(title)", "name, posts!inner(title)", "name, post_tags(post_id)", "name, posts(count)",
        "name, posts(users(email))", "name, post_tags(count)", "name, post_tags!inner(post_id)",
    ),
    "post_tags": ("*", "post_id, posts(title), tags(name)", "count()"),
    "secrets": ("*", "value, users(name)", "n.sum()", "count()"),
    "orgs": ("*", "name, members(user_id)", "name, users(email)"),
    "members": ("*", "org_id, orgs(name), users(email)"),
    "titles": ("*", "count()"),
}  # fmt: skip
TEXT = {"posts": "title", "comments": "body", "users": "name", "tags": "name", "secrets": "value", "orgs": "name"}
KEY = {"users": "id", "post_tags": "post_id", "members": "org_id"}


def filters(table: str) -> Iterator[tuple[str, Build]]:
    """Ways to ask about rows that are not one's own."""
    key, text = KEY.get(table, "id"), TEXT.get(table)
    first: Any = A if table == "users" else 1
    yield "all", lambda q: q
    yield "eq", lambda q: q.eq(key, first)
    yield "neq", lambda q: q.neq(key, first)
    yield "in", lambda q: q.in_(key, [first, B if table == "users" else 10])
    yield "not", lambda q: q.not_(key, "eq", first)
    yield "is", lambda q: q.not_(key, "is", None)
    yield "not in", lambda q: q.not_in(key, [B if table == "users" else 10])
    if text:
        yield "like", lambda q: q.like(text, "SECRET%")
        yield "ilike", lambda q: q.ilike(text, "%-1-%")
        yield "or", lambda q: q.or_((key, "eq", first), (text, "like", "%SECRET%"))
        yield "or text", lambda q: q.or_(f"{text}.like.*SECRET*,and({key}.neq.{B if table == 'users' else 10})")
        yield "not like", lambda q: q.not_(text, "like", "%of B%")
        yield "null", lambda q: q.is_(text, None)
        yield "any", lambda q: q.like_any_of(text, ["SECRET-1%", "%of%"])
    if table in ("posts", "comments"):
        yield "embedded", lambda q: q.like("users.name", "SECRET%")
        yield "has", lambda q: q.not_("users", "is", None)
        yield "has none", lambda q: q.is_("users", None)
        yield "or embedded", lambda q: q.or_(("users", "is", "not_null"), ("id", "eq", 1))
    if table == "tags":
        yield "embedded", lambda q: q.like("posts.title", "SECRET%")
        yield "has", lambda q: q.not_("posts", "is", None)


MODIFIERS: tuple[tuple[str, Build], ...] = (
    ("plain", lambda q: q),
    ("single", lambda q: q.single()),
    ("range", lambda q: q.range(0, 1)),
    ("limit", lambda q: q.limit(1)),
    ("inside", lambda q: q.order("id", desc=True, foreign_table="comments").limit(1, foreign_table="comments")),
)
ORDERS: dict[str, tuple[str, ...]] = {
    "posts": ("title", "users(email)"),
    "comments": ("body", "users(name)", "posts(title)"),
    "tags": ("name",),
    "users": ("email",),
    "secrets": ("value",),
}


def reads(table: str) -> Iterator[tuple[str, Build]]:
    """Every select list with every filter, modifier, order and count."""
    counts: tuple[dict[str, Any], ...] = (
        {}, {"count": "exact"}, {"count": "exact", "head": True}, {"count": "planned"}, {"count": "estimated"},
    )  # fmt: skip
    orders = (None, *ORDERS.get(table, ()))
    for select, (word, narrow), (way, shape), order, count in itertools.product(
        SELECTS[table], filters(table), MODIFIERS, orders, counts
    ):

        def build(
            db: Any, select: str = select, narrow: Build = narrow, shape: Build = shape, order: str | None = order,
            count: dict[str, Any] = count,
        ) -> Any:  # fmt: skip
            query = narrow(db.from_(table).select(select, **count))
            return shape(query.order(order, desc=True) if order else query)

        yield f"{table}: {select} | {word} | {way} | order {order} | {count}", build


def writes() -> Iterator[tuple[str, Build]]:
    """Every verb against A's rows and against B's own, giving back what it may."""
    mine = {"id": 12, "author_id": B, "title": "new of B", "views": 1}
    backs: dict[str, tuple[str | None, ...]] = {
        "posts": (None, "*", "id, users(name), comments(body)", "id, tags(name)"),
        "comments": (None, "*", "id, posts(title, users(email))", "id, users(*)"),
        "users": (None, "*", "id, posts(title)", "name, secrets(value)"),
        "tags": (None, "*"), "secrets": (None, "*"), "post_tags": (None, "*", "posts(title)"),
        "orgs": (None, "*"), "members": (None, "*", "orgs(name)"), "titles": (None, "*"),
    }  # fmt: skip
    inserts: list[tuple[str, Any]] = [
        ("posts", mine), ("posts", {**mine, "author_id": A}), ("posts", [mine, {**mine, "id": 13, "author_id": A}]),
        ("posts", {**mine, "author_id": None}), ("posts", {**mine, "published": True}),
        ("comments", {"id": 90, "post_id": 1, "author_id": B, "body": "x"}),
        ("comments", {"id": 90, "post_id": 3, "author_id": A, "body": "x"}),
        ("users", {"id": "cccccccc-0000-4000-8000-000000000003", "name": "x"}), ("tags", {"id": 9, "name": "x"}),
        ("secrets", {"id": 90, "owner_id": B, "value": "x"}), ("members", {"org_id": 1, "user_id": B}),
        ("post_tags", {"post_id": 1, "tag_id": 3}), ("post_tags", {"post_id": 10, "tag_id": 3}),
        ("titles", {"id": 90, "title": "x", "author_id": B}),
    ]  # fmt: skip
    upserts: list[tuple[str, Any, dict[str, Any]]] = [
        ("posts", {**mine, "id": 1}, {}), ("posts", {**mine, "id": 3}, {}), ("posts", {**mine, "id": 10}, {}),
        ("posts", {**mine, "id": 10, "author_id": A}, {}), ("posts", mine, {}),
        ("posts", [mine, {**mine, "id": 2}], {}), ("tags", {"id": 1, "name": "x"}, {}),
        ("posts", {**mine, "id": 1}, {"ignore_duplicates": True}), ("posts", mine, {"ignore_duplicates": True}),
        ("comments", {"id": 21, "post_id": 10, "author_id": B, "body": "mine now"}, {}),
        ("comments", {"id": 24, "post_id": 1, "author_id": B, "body": "moved"}, {}),
        ("users", {"id": A, "name": "x"}, {}), ("users", {"id": B, "name": "x"}, {}),
        ("post_tags", {"post_id": 2, "tag_id": 3}, {}), ("post_tags", {"post_id": 10, "tag_id": 2}, {}),
        ("secrets", {"id": 1, "value": "x"}, {}), ("members", {"org_id": 7, "user_id": B}, {}),
    ]  # fmt: skip
    patches: list[tuple[str, dict[str, Any]]] = [
        ("posts", {"title": "x"}), ("posts", {"author_id": B}), ("posts", {"author_id": A}), ("posts", {"views": -1}),
        ("posts", {"published": True}), ("comments", {"body": "x"}), ("comments", {"post_id": 1}),
        ("comments", {"author_id": A}), ("users", {"name": "x"}), ("users", {"id": A}), ("tags", {"name": "x"}),
        ("post_tags", {"tag_id": 3}), ("post_tags", {"post_id": 1}), ("secrets", {"value": "x"}),
        ("orgs", {"name": "x"}), ("members", {"org_id": 1}), ("titles", {"title": "x"}),
    ]  # fmt: skip

    def give(query: Any, back: str | None, one: bool) -> Any:
        query = query if back is None else query.select(back)
        return query.single() if one else query

    for one in (False, True):
        for table, row in inserts:
            for back in backs[table]:
                yield (
                    f"insert {table} {row} -> {back} {one}",
                    lambda db, t=table, r=row, b=back, o=one: give(db.from_(t).insert(r), b, o),
                )
        for table, row, how in upserts:
            for back in backs[table]:
                yield (
                    f"upsert {table} {row} {how} -> {back} {one}",
                    lambda db, t=table, r=row, h=how, b=back, o=one: give(db.from_(t).upsert(r, **h), b, o),
                )
    for one, (table, patch) in itertools.product((False, True), patches):
        for (word, narrow), back in itertools.product(touching(table), backs[table]):
            yield (
                f"update {table} {patch} | {word} -> {back} {one}",
                lambda db, t=table, p=patch, n=narrow, b=back, o=one: give(n(db.from_(t).update(p)), b, o),
            )
    for one, table in itertools.product((False, True), backs):
        for (word, narrow), back in itertools.product(touching(table), backs[table]):
            yield (
                f"delete {table} | {word} -> {back} {one}",
                lambda db, t=table, n=narrow, b=back, o=one: give(n(db.from_(t).delete()), b, o),
            )


def touching(table: str) -> Iterator[tuple[str, Build]]:
    yield "all rows", lambda q: q.all_rows()
    yield "at most", lambda q: q.all_rows().max_affected(1)
    yield from (each for each in filters(table) if each[0] in ("eq", "not", "like", "or", "in"))


def show(row: Any) -> Any:
    """A row without the order of what has none."""
    if isinstance(row, dict):
        return {name: show(value) for name, value in row.items()}
    return sorted((show(each) for each in row), key=repr) if isinstance(row, list) else row


async def answer(db: Any, build: Build) -> str:
    """All that the asker gets to see."""
    try:
        found = await build(db)
    except DbError as exc:
        return f"{exc.code} {exc.message} {exc.details} {exc.hint}"
    return repr((show(found), found.count if isinstance(found, Rows) else None))


async def leaks(pair: Worlds, scope: Scope, questions: list[tuple[str, Build]]) -> tuple[list[str], list[str]]:
    """What tells the worlds apart, and the answers that were no errors."""
    found, good = [], []
    one, two = (db.scoped(scope) for db in pair)
    for name, build in questions:
        first, second = await answer(one, build), await answer(two, build)
        # That a key is taken shows, as it does in PostgreSQL; the value that takes it does not.
        taken = first.startswith("23505") or second.startswith("23505")
        if (first != second and not taken) or "SECRET" in first + second:
            found.append(f"{name}\n    {first[:300]}\n    {second[:300]}")
        if first.startswith("("):
            good.append(name)
    return found, good


def sample(questions: list[tuple[str, Build]], each: int) -> list[tuple[str, Build]]:
    """Up to *each* questions of every select list, the same ones every time."""
    chosen, dice = [], random.Random(4)
    for _, group in itertools.groupby(questions, key=lambda question: question[0].partition(" |")[0]):
        first, *rest = group
        chosen += [first, *(rest if len(rest) < each else dice.sample(rest, each - 1))]
    return chosen


@pytest.mark.parametrize("table", SELECTS)
@pytest.mark.parametrize("scope", [USER_B, VISITOR], ids=["user", "visitor"])
async def test_no_read_tells_two_worlds_apart(places: Places, table: str, scope: Scope) -> None:
    questions = list(reads(table))
    some = sample(questions, 40 if places is IN_MEMORY else 15)
    async with worlds(places) as pair:
        found, good = await leaks(pair, scope, some)
    assert not found, "\n".join(found[:5])
    if scope is USER_B and table in ("posts", "comments", "users", "tags"):
        # Enough of the questions are answered for the rest to mean something.
        assert len(good) > len(some) // 4
        untried = [select for select in SELECTS[table] if not any(f": {select} |" in name for name in good)]
        assert not untried


@pytest.mark.parametrize("scope", [USER_B, VISITOR], ids=["user", "visitor"])
async def test_no_write_tells_two_worlds_apart_or_changes_a_row_of_another(places: Places, scope: Scope) -> None:
    questions = list(writes())
    async with worlds(places) as pair:
        before = [await of_a(db) for db in pair]
        kept = [await everything(db) for db in pair]
        good: list[str] = []
        for name, build in questions[:: 1 if places is IN_MEMORY else 4]:
            found, fine = await leaks(pair, scope, [(name, build)])
            assert not found, found[0]
            good += fine
            for number, db in enumerate(pair):
                assert await of_a(db) == before[number], name
                if await everything(db) != kept[number]:
                    await fill(db, number + 1)
    if scope is USER_B:
        assert {name.split()[0] for name in good} == {"insert", "upsert", "update", "delete"}
    else:
        assert not [name for name in good if not name.startswith(("update", "delete"))]


async def everything(db: Database) -> list[str]:
    return [repr(await db.from_(table).select()) for table in SELECTS if table != "titles"]


@pytest.mark.parametrize("scope", [USER_B, VISITOR], ids=["user", "visitor"])
async def test_sql_and_rpc_give_a_scoped_query_no_way_round(places: Places, scope: Scope) -> None:
    async with worlds(places) as pair:
        for db in pair:
            with pytest.raises(DbError) as refused:
                await db.scoped(scope).sql("select * from posts")
            assert refused.value.code == "42501"
            assert refused.value.status == 403
        found, good = await leaks(pair, scope, [("rpc", lambda db: db.rpc("count_posts", {}))])
        assert not found
        if places is not IN_MEMORY:
            assert good
            assert await pair[0].scoped(scope).rpc("count_posts") == (3 if scope is USER_B else 2)


async def test_as_gives_a_model_no_more_than_a_dict(places: Places) -> None:
    import msgspec

    class Post(msgspec.Struct):
        id: int
        title: str | None

    async with worlds(places) as pair:
        for db in pair:
            found = await db.scoped(USER_B).from_("posts").select("id, title").order("id").as_(Post)
            assert [post.id for post in found] == [3, 10, 11]


# --- the suite itself: a planner that forgets is found out ---


@pytest.mark.parametrize("forgotten", ["posts", "comments", "users", "post_tags", "secrets", "members"])
async def test_a_planner_that_forgets_one_table_is_found_out(forgotten: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import turnout.db.plan as plan

    guards = plan.guards
    monkeypatch.setattr(plan, "guards", lambda table, *rest: () if table.name == forgotten else guards(table, *rest))
    questions = [each for table in SELECTS for each in sample(list(reads(table)), 25)]
    async with worlds() as pair:
        found, _ = await leaks(pair, USER_B, questions)
    assert found


@pytest.mark.parametrize("forgotten", ["posts", "users"])
async def test_a_table_without_row_level_security_is_found_out(forgotten: str, two_databases: Places) -> None:
    questions = [each for table in SELECTS for each in sample(list(reads(table)), 4)]
    async with worlds(two_databases) as pair:
        for url in two_databases:
            await run(url, f"alter table {forgotten} disable row level security")
        found, _ = await leaks(pair, USER_B, questions)
    assert found


async def test_a_write_without_its_check_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import turnout.db.exec.sqlite as engine

    monkeypatch.setattr(engine, "protect", lambda entry, *rest, **more: entry)
    async with worlds() as pair:
        before = await of_a(pair[0])
        for _, build in writes():
            await answer(pair[0].scoped(USER_B), build)
        assert await of_a(pair[0]) != before
