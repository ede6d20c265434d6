"""Any text in any slot: it is a value or an error, and never a statement."""

from __future__ import annotations

import ast
import asyncio
import re
from contextlib import contextmanager
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

import turnout.db
from turnout.db import Database
from turnout.db.parse import parse_query
from turnout.db.plan import plan
from turnout.db.sql.sqlite import compile_plan
from turnout.errors import DbError

NASTY = [
    "'; drop table users; --",
    '"; drop table users; --',
    "x') or 1=1 --",
    "id) from users; delete from users; --",
    "*, (select name from users)",
    "name.eq.x,id.gt.0",
    "users; delete from users",
    "id desc; drop table users",
    'a"b',
    "\\",
    "%' or '1'='1",
    "{id}",
    "null",
    "\x1a",
    "id::text",
    "id->x",
    "a:id",
    "x:posts(*)",
    "...posts(id)",
    "posts!inner(id)",
    "posts.id",
    "count()",
    "id.sum()::text",
    "data->a'->>b",
    'data->"a\\"b"',
    "and(id.eq.1,or(id.eq.2))",
    "posts(id).desc",
    "like(any)",
    "{a,b}",
    "'::text || (select name from users) --",
]
text = st.one_of(st.text(max_size=40), st.sampled_from(NASTY))
SLOTS = {
    "table": lambda db, s: db.from_(s).select(),
    "select": lambda db, s: db.from_("users").select(s),
    "alias": lambda db, s: db.from_("users").select(f"{s}:name"),
    "column": lambda db, s: db.from_("users").select().eq(s, 1),
    "value": lambda db, s: db.from_("users").select().eq("name", s),
    "number": lambda db, s: db.from_("users").select().eq("id", s),
    "like": lambda db, s: db.from_("users").select().like("name", s),
    "ilike": lambda db, s: db.from_("users").select().ilike("name", s),
    "in": lambda db, s: db.from_("users").select().in_("name", [s, s + s]),
    "is": lambda db, s: db.from_("users").select().is_("name", s),
    "operator": lambda db, s: db.from_("users").select().filter("id", s, 1),
    "not": lambda db, s: db.from_("users").select().not_("name", "eq", s),
    "or": lambda db, s: db.from_("users").select().or_(s),
    "or value": lambda db, s: db.from_("users").select().or_(("name", "eq", s), ("id", "gt", 99)),
    "or column": lambda db, s: db.from_("users").select().or_((s, "eq", 1)),
    "order": lambda db, s: db.from_("users").select().order(s),
    "limit": lambda db, s: db.from_("users").select().limit(s),
    "range": lambda db, s: db.from_("users").select().range(s, s),
    "insert column": lambda db, s: db.from_("users").insert({s: "x"}),
    "update column": lambda db, s: db.from_("users").update({s: "x"}).eq("id", 99),
    "conflict": lambda db, s: db.from_("users").upsert({"id": 98, "name": None}, on_conflict=s),
    "returning": lambda db, s: db.from_("users").delete().eq("id", 99).select(s),
    "embed": lambda db, s: db.from_("users").select(f"posts({s})"),
    "embed alias": lambda db, s: db.from_("users").select(f"{s}:posts(id)"),
    "relation": lambda db, s: db.from_("users").select(f"{s}(id)"),
    "hint": lambda db, s: db.from_("users").select(f"posts!{s}(id)"),
    "spread": lambda db, s: db.from_("posts").select(f"...{s}(id)"),
    "cast": lambda db, s: db.from_("users").select(f"id::{s}"),
    "aggregate": lambda db, s: db.from_("users").select(f"id.{s}()"),
    "JSON key": lambda db, s: db.from_("users").select(f"data->{s}"),
    "JSON text": lambda db, s: db.from_("users").select(f"v:data->>{s}"),
    "JSON filter": lambda db, s: db.from_("users").select().eq(f"data->>{s}", s),
    "JSON value": lambda db, s: db.from_("users").select().eq("data->a", s),
    "JSON order": lambda db, s: db.from_("users").select().order(f"data->>{s}"),
    "embed filter": lambda db, s: db.from_("users").select("id, posts(id)").eq(f"posts.{s}", 1),
    "embed value": lambda db, s: db.from_("users").select("id, posts(id)").eq("posts.title", s),
    "embed or": lambda db, s: db.from_("users").select("id, posts(id)").or_(s, reference_table="posts"),
    "embed order": lambda db, s: db.from_("users").select("id, posts(id)").order(s, foreign_table="posts"),
    "foreign table": lambda db, s: db.from_("users").select("id, posts(id)").limit(1, foreign_table=s),
    "embed limit": lambda db, s: db.from_("users").select("id, posts(id)").limit(s, foreign_table="posts"),
    "order by relation": lambda db, s: db.from_("posts").select("users(name)").order(f"users({s})"),
    "any of": lambda db, s: db.from_("users").select().like_any_of("name", [s]),
    "wire any of": lambda db, s: db.from_("users").select().or_(f"name.like(any).{s}"),
    "jsonb contains": lambda db, s: db.from_("users").select().contains("data", {s: s}),
    "search": lambda db, s: db.from_("users").select().text_search("name", s, config=s),
    "max affected": lambda db, s: db.from_("users").update({"name": "x"}).eq("id", 99).max_affected(s),
    "returned embed": lambda db, s: db.from_("users").update({"name": "x"}).eq("id", 99).select(f"id, {s}"),
    "query string key": lambda db, s: asked(db, [("select", "id"), (s, "eq.1")]),
    "query string value": lambda db, s: asked(db, [("id", s)]),
    "query string order": lambda db, s: asked(db, [("order", s)]),
    "query string select": lambda db, s: asked(db, [("select", s)]),
    "query string limit": lambda db, s: asked(db, [("limit", s)]),
    "query string logic": lambda db, s: asked(db, [("or", f"({s})")]),
    "sql value": lambda db, s: db.sql("select name from users where name = :s", s=s),
}


async def asked(db, pairs):
    """What the wire will do: a query string, planned and run."""
    found = parse_query(pairs)
    compiled = compile_plan(plan(found.select("users"), db.engine.schema))
    return db.engine._reader().execute(compiled.sql, compiled.bind(found.values)).fetchall()


@contextmanager
def traced():
    """A database with one user, and the list of statements run on any of its connections."""
    statements = []
    db = Database(":memory:")

    async def fill():
        await db.sql("create table users (id integer primary key, name text not null, data jsonb)")
        await db.sql("create table posts (id integer primary key, user_id integer references users(id), title text)")
        await db.from_("users").insert({"id": 1, "name": "Ada"})

    connect = db.engine._connect

    def spied(*args, **kwargs):
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(statements.append)
        return connection

    db.engine._connect = spied
    asyncio.run(fill())
    try:
        yield db, statements
    finally:
        asyncio.run(db.close())


def test_any_text_in_any_slot_adds_no_statement_and_changes_nothing():
    with traced() as (db, statements), asyncio.Runner() as runner:

        async def ask(slot, word):
            statements.clear()
            try:
                await SLOTS[slot](db, word)
            except DbError as exc:
                assert 400 <= exc.status < 500 or exc.code in ("42P01", "42703", "42883"), exc
            own = [line for line in statements if not line.startswith(("--", "PRAGMA", "pragma", "BEGIN", "begin"))]
            verbs = [line.split()[0].lower() for line in own]
            allowed = {"select", "insert", "update", "delete", "commit", "rollback", "create", "drop"}
            assert set(verbs) <= allowed
            assert sum(verb in ("select", "insert", "update", "delete") for verb in verbs) <= 2
            assert await db.from_("users").select() == [{"id": 1, "name": "Ada", "data": None}]

        @settings(deadline=None, max_examples=400)
        @given(st.sampled_from(sorted(SLOTS)), text)
        def attack(slot, word):
            runner.run(ask(slot, word))

        for slot in SLOTS:
            for word in NASTY:
                attack = example(slot, word)(attack)
        attack()


PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)


def test_text_written_is_read_back_the_same_and_found_by_every_filter():
    with traced() as (db, _), asyncio.Runner() as runner:

        async def ask(word):
            await db.from_("users").upsert({"id": 2, "name": word})
            escaped = word.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
            quoted = '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
            users = db.from_("users").select("name").eq("id", 2)
            for query in (
                users.eq("name", word),
                users.in_("name", [word]),
                users.like("name", escaped),
                users.like("name", escaped + "%"),
                users.ilike("name", escaped),
                users.or_(("name", "eq", word)),
                users.or_(f"name.eq.{quoted}"),
                users.or_(f"name.in.({quoted})"),
                users.gte("name", word).lte("name", word),
                db.sql("select name from users where name = :word and id = 2", word=word),
            ):
                assert await query == [{"name": word}]

        @settings(deadline=None, max_examples=150)
        @given(PRINTABLE)
        def attack(word):
            runner.run(ask(word))

        attack()


def test_no_sql_is_put_together_outside_the_compilers():
    package = Path(turnout.db.__file__).parent
    sql = re.compile(r"(select|insert|update|delete|create|alter|drop|pragma|savepoint|release|rollback)\s", re.I)
    for file in package.rglob("*.py"):
        if file.parent.name == "sql":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                assert not sql.match(str(node.values[0].value)), f"{file}:{node.lineno}"
