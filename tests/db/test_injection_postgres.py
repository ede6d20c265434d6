"""Any text in any slot, on PostgreSQL: it is a value or an error, and never a statement."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.db.test_injection import NASTY, PRINTABLE, SLOTS, text
from turnout.db.exec import postgres as driver
from turnout.errors import DbError

USERS = "create table users (id integer primary key, name text not null)"


@contextmanager
def traced(pg_blog, monkeypatch):
    """A database with one user, the statements run on any of its connections, and the loop to run on."""
    statements = []
    real = driver.use_json_types

    async def spied(connection):
        await real(connection)
        connection.add_query_logger(lambda record: statements.append(record.query))

    monkeypatch.setattr(driver, "use_json_types", spied)
    with asyncio.Runner() as runner:
        opening = pg_blog(USERS)
        db = runner.run(opening.__aenter__())
        runner.run(_one(db))
        try:
            yield db, statements, runner
        finally:
            runner.run(opening.__aexit__(None, None, None))


async def _one(db):
    await db.from_("users").insert({"id": 1, "name": "Ada"})


def test_any_text_in_any_slot_adds_no_statement_and_changes_nothing(pg_blog, monkeypatch):
    ours = sorted(slot for slot in SLOTS if not slot.startswith("query string"))  # these end before any engine
    with traced(pg_blog, monkeypatch) as (db, statements, runner):

        async def ask(slot, word):
            statements.clear()
            try:
                await SLOTS[slot](db, word)
            except DbError as exc:
                assert 400 <= exc.status < 500 or exc.code in ("42P01", "42703", "42883"), exc
            own = [
                line for line in statements if "pg_catalog" not in line and line not in ("begin", "commit", "rollback")
            ]
            assert len(own) <= 2
            assert {line.split()[0] for line in own} <= {"select", "insert", "update", "delete"}
            assert all(word not in line for line in own if len(word) > 5 and word not in ("id::text", "id->x", "a:id"))
            assert await db.from_("users").select() == [{"id": 1, "name": "Ada"}]

        @settings(deadline=None, max_examples=200)
        @given(st.sampled_from(ours), text)
        def attack(slot, word):
            runner.run(ask(slot, word))

        for slot in ours:
            for word in NASTY:
                attack = example(slot, word)(attack)
        attack()


def test_text_written_is_read_back_the_same_and_found_by_every_filter(pg_blog, monkeypatch):
    with traced(pg_blog, monkeypatch) as (db, _, runner):

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

        @settings(deadline=None, max_examples=80)
        @given(PRINTABLE)
        def attack(word):
            runner.run(ask(word))

        attack()
