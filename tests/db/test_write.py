"""Writing: insert, upsert, update, delete, what comes back, and what a client may not set."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from turnout.db import Database
from turnout.errors import DbError, ValidationFailed
from turnout.http.jsontext import loads


async def test_an_insert_gives_rows_only_when_asked(blog):
    async with blog() as db:
        quiet = await db.from_("users").insert({"name": "Ada"})
        rows = await db.from_("users").insert({"name": "Bob"}).select()
        one = await db.from_("users").insert({"name": "Cyd"}).select("id, who:name").single()

        assert (quiet, quiet.count) == ([], 1)
        assert (rows, rows.count) == ([{"id": 2, "name": "Bob", "email": None}], 1)
        assert one == {"id": 3, "who": "Cyd"}


async def test_many_rows_go_in_together_and_each_gets_its_own_defaults(blog):
    async with blog() as db:
        rows = await db.from_("posts").insert([{"title": "a", "views": 5}, {"title": "b"}]).select("title, views")
        assert rows == [{"title": "a", "views": 5}, {"title": "b", "views": 0}]

        with pytest.raises(DbError):
            await db.from_("posts").insert([{"title": "c"}, {"title": None}])
        with pytest.raises(DbError):
            await db.from_("users").insert([{"name": "x", "email": "e"}, {"name": "y", "email": "e"}])
        assert len(await db.from_("posts").select()) == 2
        assert await db.from_("users").select() == []
        assert (await db.from_("users").insert([])).count == 0


@dataclass
class User:
    name: str


class Patch(msgspec.Struct):
    name: str | msgspec.UnsetType = msgspec.UNSET
    email: str | msgspec.UnsetType | None = msgspec.UNSET


async def test_models_are_rows_too(blog):
    async with blog() as db:
        await db.from_("users").insert([User("Ada"), Patch(name="Bob", email="b@x")])
        await db.from_("users").update(Patch(name="Rob")).eq("id", 2)
        assert await db.from_("users").select("name, email").order("id") == [
            {"name": "Ada", "email": None},
            {"name": "Rob", "email": "b@x"},
        ]


async def test_an_update_gives_the_changed_rows(blog):
    async with blog() as db:
        await db.from_("users").insert([{"name": "Ada"}, {"name": "Bob"}])

        rows = await db.from_("users").update({"name": "Eve"}).eq("id", "2").select()
        none = await db.from_("users").update({"name": "Eve"}).eq("id", 9).select().single()

        assert rows == [{"id": 2, "name": "Eve", "email": None}]
        assert none is None
        assert (await db.from_("users").update({"email": None}).gt("id", 0)).count == 2


async def test_a_delete_counts_what_it_removed(blog):
    async with blog() as db:
        await db.from_("users").insert([{"name": "Ada"}, {"name": "Bob"}])

        assert (await db.from_("users").delete().eq("id", "1")).count == 1
        assert await db.from_("users").delete().eq("id", 2).select("name") == [{"name": "Bob"}]
        assert (await db.from_("users").delete().eq("id", 2)).count == 0


@pytest.mark.parametrize("verb", ["update", "delete"])
async def test_a_change_without_a_filter_needs_all_rows(blog, verb):
    async with blog() as db:
        await db.from_("users").insert([{"name": "Ada"}, {"name": "Bob"}])
        query = db.from_("users").update({"name": "x"}) if verb == "update" else db.from_("users").delete()

        with pytest.raises(DbError) as caught:
            await query
        with pytest.raises(DbError):
            await query.match({})

        assert caught.value.code == "21000"
        assert await db.from_("users").select("name") == [{"name": "Ada"}, {"name": "Bob"}]
        assert (await query.all_rows()).count == 2


async def test_single_undoes_a_change_of_several_rows(blog):
    async with blog() as db:
        await db.from_("users").insert([{"name": "Ada"}, {"name": "Bob"}])
        for query in (db.from_("users").update({"name": "x"}).gt("id", 0), db.from_("users").delete().gt("id", 0)):
            with pytest.raises(DbError) as caught:
                await query.select().single()
            assert caught.value.code == "PGRST116"
        assert await db.from_("users").select("name") == [{"name": "Ada"}, {"name": "Bob"}]


async def test_an_upsert_replaces_the_given_columns(blog):
    async with blog() as db:
        await db.from_("posts").insert({"id": 1, "title": "a", "views": 7})

        await db.from_("posts").upsert([{"id": 1, "title": "b"}, {"id": 2, "title": "c"}])
        await db.from_("slugs").upsert({"slug": "s", "post_id": 1})
        again = await db.from_("slugs").upsert({"slug": "s", "post_id": 2}, on_conflict="slug").select()
        kept = await db.from_("slugs").upsert({"slug": "s", "post_id": 3}, ignore_duplicates=True).select()

        assert await db.from_("posts").select("title, views").order("id") == [
            {"title": "b", "views": 7},
            {"title": "c", "views": 0},
        ]
        assert again == [{"slug": "s", "post_id": 2}]
        assert (kept, kept.count) == ([], 0)
        with pytest.raises(DbError) as caught:
            await db.from_("posts").upsert({"title": "b"}, on_conflict="title")
        assert caught.value.code == "42P10"


ERRORS = {
    "unique": ("23505", 409, lambda db: db.from_("users").insert({"name": "x", "email": "e"})),
    "primary key": ("23505", 409, lambda db: db.from_("users").insert({"id": 1, "name": "x"})),
    "foreign key": ("23503", 409, lambda db: db.from_("posts").insert({"title": "x", "author_id": 99})),
    "not null": ("23502", 400, lambda db: db.from_("users").insert({"name": None})),
    "not null by omission": ("23502", 400, lambda db: db.from_("users").insert({})),
    "check": ("23514", 400, lambda db: db.from_("posts").insert({"title": "x", "views": -1})),
    "null in a rowid": ("23502", 400, lambda db: db.from_("users").insert({"id": None, "name": "x"})),
    "a text key left out": ("23502", 400, lambda db: db.from_("slugs").insert({"post_id": 1})),
    "null in a text key": ("23502", 400, lambda db: db.from_("slugs").insert({"slug": None})),
    "unknown column": ("PGRST204", 400, lambda db: db.from_("users").insert({"nope": 1})),
    "unknown column in update": ("PGRST204", 400, lambda db: db.from_("users").update({"nope": 1}).eq("id", 1)),
    "no column in update": ("PGRST102", 400, lambda db: db.from_("users").update({}).eq("id", 1)),
    "too long": ("22001", 400, lambda db: db.from_("users").insert({"name": "x", "email": "e" * 21})),
    "wrong type": ("22P02", 400, lambda db: db.from_("posts").insert({"title": "x", "views": "many"})),
    "a filter on insert": ("PGRST100", 400, lambda db: db.from_("users").insert({"name": "x"}).eq("id", 1)),
    "order on update": ("PGRST127", 400, lambda db: db.from_("users").update({"name": "x"}).eq("id", 1).order("id")),
}


@pytest.mark.parametrize("case", ERRORS)
async def test_what_the_database_refuses_has_code_and_status(blog, case):
    code, status, ask = ERRORS[case]
    async with blog() as db:
        await db.from_("users").insert({"name": "Ada", "email": "e"})
        with pytest.raises(DbError) as caught:
            await ask(db)
        assert (caught.value.code, caught.value.status) == (code, status)
        assert len(await db.from_("users").select()) == 1
        assert await db.from_("posts").select() == []


@pytest.mark.parametrize("row", [1, "x", None, [1], [["a", 1]], {1: 2}])
async def test_what_is_no_row_is_refused(blog, row):
    async with blog() as db:
        with pytest.raises(DbError) as caught:
            await db.from_("users").insert(row)
        assert caught.value.code == "PGRST102"


TRIGGERS = {
    "sqlite": ["create trigger stop before delete on users begin select raise(abort, 'kept for the books'); end"],
    "postgres": [
        "create function stop() returns trigger language plpgsql"
        " as $$ begin raise exception 'kept for the books'; end $$",
        "create trigger stop before delete on users for each row execute function stop()",
    ],
}


async def test_a_trigger_speaks_through_the_error(blog):
    async with blog() as db:
        for statement in TRIGGERS[blog.engine]:
            await db.sql(statement)
        await db.from_("users").insert({"name": "Ada"})
        with pytest.raises(DbError, match="kept for the books") as caught:
            await db.from_("users").delete().eq("id", 1)
        assert (caught.value.code, caught.value.status) == ("P0001", 400)


async def test_a_deleted_parent_takes_its_children(blog):
    async with blog() as db:
        await db.from_("users").insert({"name": "Ada"})
        await db.from_("posts").insert({"title": "x", "author_id": 1})
        await db.from_("users").delete().eq("id", 1)
        assert await db.from_("posts").select() == []


@pytest.mark.parametrize("column", ["id", "user_id", "owner_id", "role", "is_admin", "created_at", "updated_at"])
async def test_a_raw_body_may_not_set_what_the_server_owns(blog, column):
    body = loads(b'{"title": "x", "%s": 1}' % column.encode())
    async with blog() as db:
        for ask in (
            lambda table: table.insert(body),
            lambda table: table.upsert(body),
            lambda table: table.update(body),
            lambda table: table.insert([{"title": "a"}, body]),
        ):
            with pytest.raises(ValidationFailed) as caught:
                await ask(db.from_("posts"))
            assert caught.value.status == 422
            assert column in str(caught.value.detail)
            assert caught.value.errors[0]["pointer"].endswith(f"/{column}")
        assert await db.from_("posts").select() == []


async def test_a_raw_body_sets_what_is_not_the_servers(blog):
    async with blog() as db:
        rows = await db.from_("posts").insert(loads(b'[{"title": "x"}, {"title": "y"}]')).select("title")
        assert rows == [{"title": "x"}, {"title": "y"}]


async def test_only_says_which_columns_are_meant(blog):
    body = loads(b'{"id": 7, "title": "x", "views": 5, "nonsense": 1}')
    async with blog() as db:
        await db.from_("posts").insert(body, only=["title"])
        await db.from_("posts").insert(body, only=["id", "title"])
        await db.from_("posts").update(body, only=["views"]).eq("id", 7)
        await db.from_("posts").insert(dict(loads(b'{"id": 9, "title": "chosen"}')))
        assert await db.from_("posts").select("id, views").order("id") == [
            {"id": 1, "views": 0},
            {"id": 7, "views": 5},
            {"id": 9, "views": 0},
        ]


async def test_the_list_of_server_owned_columns_can_be_set():
    db = Database(":memory:", server_owned=["secret"])
    await db.sql("create table t (id integer primary key, secret text)")
    await db.from_("t").insert(loads(b'{"id": 5}'))
    with pytest.raises(ValidationFailed):
        await db.from_("t").insert(loads(b'{"secret": "x"}'))
    await db.close()


async def test_rows_written_by_hand_with_a_wrong_type_are_reported(sqlite_blog):
    async with sqlite_blog() as db:
        await db.sql("insert into posts (title, views) values ('x', 'not a number')")
        with pytest.raises(DbError, match=r"posts\.views") as caught:
            await db.from_("posts").select()
        assert caught.value.code == "XX001"


async def test_a_generated_column_cannot_be_written(blog):
    async with blog() as db:
        await db.sql(
            blog.translated(
                "create table g (id integer primary key, n int, twice int generated always as (n * 2) stored)"
            )
        )
        with pytest.raises(DbError) as caught:
            await db.from_("g").insert({"n": 1, "twice": 3})
        assert caught.value.code == "428C9"
        assert (await db.from_("g").insert({"n": 2}).select().single())["twice"] == 4


async def test_a_view_is_read_with_its_types_and_not_written(blog):
    async with blog() as db:
        await db.sql("create view shown as select id, title, published from posts")
        await db.from_("posts").insert({"title": "x", "published": True})
        assert await db.from_("shown").select().eq("published", "true") == [{"id": 1, "title": "x", "published": True}]
        if blog.engine == "sqlite":  # PostgreSQL writes through a view of one table
            with pytest.raises(DbError):
                await db.from_("shown").insert({"title": "y"})
