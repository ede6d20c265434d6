"""How PostgreSQL is driven: one pool a loop, prepared shapes, a schema that changes, a server that goes away."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import shutil
import socket
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from ports import free_port

import turnout.db
from turnout.db import Database
from turnout.db.exec import postgres as driver
from turnout.db.exec.postgres import Address
from turnout.db.local import LocalPostgres
from turnout.errors import ConfigError, DbError
from turnout.project import load_project
from turnout.testing import Client

FULL = os.environ.get("TURNOUT_FAULTS") == "full"


# --- addresses ---


@pytest.mark.parametrize(
    ("url", "driven", "pooled"),
    [
        ("postgresql://u:p@h/db", "postgresql://u:p@h/db", False),
        ("postgres://h:6543/db", "postgres://h:6543/db", True),
        ("postgresql://h/db?pgbouncer=true&sslmode=require", "postgresql://h/db?sslmode=require", True),
        ("postgresql:///db?host=/tmp/x", "postgresql:///db?host=/tmp/x", False),
    ],
)
def test_an_address_says_whether_a_pooler_is_before_it(url, driven, pooled):
    address = Address.of(url)
    assert (address.url, address.pooled) == (driven, pooled)


def test_a_database_never_shows_its_password():
    db = Database("postgresql://ada:hunter2@db.example:5432/app?sslmode=require")
    assert (repr(db), db.dialect, db.path) == ("<Database postgresql://db.example:5432/app>", "postgres", None)
    assert "hunter2" not in f"{db.place} {db.engine.address!r} {db.engine.address}"


async def test_a_wrong_name_or_password_is_not_the_visitors_fault(server):
    for url in (server.url("nowhere"), server.url().replace("postgres@", "nobody-here@")):
        db = Database(url)
        with pytest.raises(DbError) as caught:
            await db.sql("select 1")
        assert caught.value.status == 500
        await db.close()


# --- the pool ---


async def test_connections_are_made_on_first_use_and_come_back(pg_blog):
    async with pg_blog() as db:
        pool = await db.engine._pool()
        await asyncio.gather(*(db.sql("select pg_sleep(0.01)") for _ in range(30)))
        assert 1 < pool.get_size() <= driver.POOL_MAX
        assert pool.get_idle_size() == pool.get_size()


async def test_a_full_pool_is_503_after_the_wait(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    async with pg_blog() as db, db.transaction() as tx:
        monkeypatch.setattr(driver, "ACQUIRE_S", 0.1)
        with pytest.raises(DbError) as caught:
            await db.from_("users").select()
        assert (caught.value.code, caught.value.status, caught.value.retryable) == ("PGRST003", 503, True)
        assert await tx.from_("users").select() == []


async def test_a_caller_who_leaves_while_waiting_takes_no_connection_along(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 2)
    async with pg_blog() as db:
        for turn in range(40):
            tasks = [asyncio.create_task(_sleep(db, 0.02)) for _ in range(6)]
            await asyncio.sleep(0.001 * (turn % 9))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        pool = await db.engine._pool()
        assert await asyncio.gather(*(db.sql("select 1 as one") for _ in range(4))) == [[{"one": 1}]] * 4
        assert pool.get_idle_size() == pool.get_size()
        assert (await db.sql("select count(*) as n from pg_stat_activity where query like '%pg_sleep(0.02%'"
                             " and state = 'active' and pid <> pg_backend_pid()")) == [{"n": 0}]  # fmt: skip


async def _sleep(db, seconds):
    await db.sql("select pg_sleep(:s)", s=seconds)


async def test_a_statement_past_its_time_is_57014(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "STATEMENT_S", 0.1)
    async with pg_blog() as db:
        with pytest.raises(DbError) as caught:
            await db.sql("select pg_sleep(5)")
        assert (caught.value.code, caught.value.status) == ("57014", 503)
        assert await db.sql("select 1 as one") == [{"one": 1}]


async def test_each_loop_has_a_pool_of_its_own(pg_blog, postgres):
    async with pg_blog() as db:

        def elsewhere():
            async def work():
                rows = await db.from_("users").insert({"name": "Ada"}).select("name")
                mine = db.engine._pools.pop(asyncio.get_running_loop())
                await (await mine).close()
                return rows

            return asyncio.run(work())

        assert await asyncio.to_thread(elsewhere) == [{"name": "Ada"}]
        assert await db.from_("users").select("name") == [{"name": "Ada"}]


def test_no_statement_of_ours_changes_a_session():
    """The pool leaves its reset out, so only transactions may be set."""
    session = re.compile(r"\bset\s+(?!local\b)(session\b|role\b|search_path|[a-z_.]+\s*(=|\bto\b))|set_config\(", re.I)
    package = Path(turnout.db.__file__).parent
    found = []
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and session.search(node.value):
                found.append((file.name, node.value))
    for name, text in found:
        calls = re.findall(r"set_config\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)", text)
        sets = [match for match in session.findall(text) if match[0]]
        assert all(call.endswith("true)") for call in calls), (name, text)
        assert not sets or "update" in text or "create" in text or name.startswith("migrate_"), (name, text)


async def test_behind_a_transaction_pooler_nothing_is_prepared(pg_blog, postgres):
    async with pg_blog() as db:
        await db.from_("users").insert({"name": "Ada"})
    db = Database(f"{postgres}&pgbouncer=true")
    try:
        for _ in range(3):
            assert await db.from_("users").select("name").eq("id", 1) == [{"name": "Ada"}]
            assert await db.sql("select name from users where id = :id", id=1) == [{"name": "Ada"}]
        assert await db.sql("select count(*) as n from pg_prepared_statements where name <> ''") == [{"n": 0}]
    finally:
        await db.close()


# --- compiled statements and the schema ---


async def test_equal_shapes_are_prepared_once(pg_blog, monkeypatch):
    monkeypatch.setattr(driver, "POOL_MAX", 1)
    async with pg_blog() as db:
        for number in range(20):
            await db.from_("users").select("name").eq("id", number).limit(number)
            await db.from_("users").select("name").in_("id", range(number))
            await db.from_("users").insert([{"name": f"{number}"} for _ in range(number)])
        rows = await db.sql("select statement from pg_prepared_statements where statement like '%users%'")
        assert len([row for row in rows if "pg_prepared" not in row["statement"]]) == 4


async def _ddl(url, *statements):
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def test_a_statement_prepared_before_a_change_of_type_runs_again(pg_blog, postgres):
    async with pg_blog() as db:
        await db.from_("slugs").insert({"slug": "x", "post_id": 5})
        query = db.from_("slugs").select("post_id").eq("slug", "x")
        for _ in range(3):
            assert await query == [{"post_id": 5}]
        await _ddl(postgres, "alter table slugs alter column post_id type text")
        assert await query == [{"post_id": "5"}]


async def test_a_new_table_and_a_renamed_column_are_found_by_the_error(pg_blog, postgres):
    async with pg_blog() as db:
        await db.from_("users").insert({"name": "Ada"})
        await db.from_("users").select("name")
        await _ddl(postgres, "create table later (id int primary key)", "alter table users rename name to called")
        db.engine._reload_at = 0.0
        assert await db.from_("later").select() == []
        db.engine._reload_at = 0.0
        assert await db.from_("users").select("called") == [{"called": "Ada"}]
        with pytest.raises(DbError) as caught:
            await db.from_("users").select("name")
        assert caught.value.code == "42703"


async def test_a_new_column_is_seen_once_somebody_has_said_so(pg_blog, postgres):
    async with pg_blog() as db:
        await db.from_("slugs").insert({"slug": "x"})
        assert await db.from_("slugs").select() == [{"slug": "x", "post_id": None}]
        await _until(lambda: db.sql("select 1 from pg_stat_activity where query = 'LISTEN \"pgrst\"'"))
        await _ddl(postgres, "alter table slugs add column more int default 7", "notify pgrst, 'reload schema'")

        async def seen():
            return "more" in (await db.from_("slugs").select())[0]

        await _until(seen)


async def test_while_the_schema_is_read_again_nobody_plans_with_the_old_one(pg_blog, postgres):
    async with pg_blog() as db:
        await db.from_("users").select()
        await _ddl(postgres, "create table fresh (id int primary key)")
        db.engine._changed()  # as a NOTIFY does

        async def inside(number):
            async with db.transaction() as tx:
                return await tx.from_("fresh").select().eq("id", number)

        asked = [*(db.from_("fresh").select().eq("id", number) for number in range(8)), *map(inside, range(8))]
        assert await asyncio.gather(*(asyncio.wait_for(each, 60) for each in asked)) == [[]] * 16


async def _until(what):
    for _ in range(3_000):
        if await what():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came")


async def test_the_schema_is_not_read_again_for_every_wrong_name(pg_blog):
    async with pg_blog() as db:
        await db.from_("users").select()
        before = db.engine._loads
        for _ in range(10):
            with pytest.raises(DbError):
                await db.from_("nope").select()
        assert db.engine._loads - before <= 1


async def test_a_table_made_in_a_transaction_is_there_in_it_and_gone_with_it(pg_blog):
    async with pg_blog() as db:
        with pytest.raises(ValueError, match="stop"):
            async with db.transaction() as tx:
                await tx.sql("create table brief (id int primary key, x text)")
                await tx.from_("brief").insert({"id": 1, "x": "a"})
                assert await tx.from_("brief").select() == [{"id": 1, "x": "a"}]
                raise ValueError("stop")
        with pytest.raises(DbError) as caught:
            await db.from_("brief").select()
        assert caught.value.code == "42P01"


CATALOGUE = [
    "create type mood as enum ('sad', 'fine')",
    "create type pair as (a int, b text)",
    "create domain positive as int check (value > 0)",
    "create table owners (id int generated always as identity primary key, code text unique)",
    "create table many (id bigserial primary key, m mood, ms mood[], p pair, n positive, r int4range, c varchar(3),"
    " f numeric(6,2), i inet, tw int generated always as (id * 2) stored, owner text references owners(code))",
    "create function grow(a int, b text default 'x') returns setof many language sql stable as 'select * from many'",
]


async def test_types_that_only_postgresql_has_go_in_and_come_out_as_json(pg_blog):
    row = {
        "m": "fine",
        "ms": ["sad", None],
        "p": "(1,x)",
        "n": 3,
        "r": "[1,4)",
        "c": "abc",
        "f": "1.005",
        "i": "10.0.0.1",
    }
    async with pg_blog(*CATALOGUE) as db:
        one = await db.from_("many").insert(row).select().single()
        two = await db.from_("many").insert([row, row]).select()
        assert one == {
            "id": 1, "m": "fine", "ms": ["sad", None], "p": {"a": 1, "b": "x"}, "n": 3, "r": "[1,4)", "c": "abc",
            "f": __import__("decimal").Decimal("1.01"), "i": "10.0.0.1", "tw": 2, "owner": None,
        }  # fmt: skip
        assert two == [{**one, "id": 2, "tw": 4}, {**one, "id": 3, "tw": 6}]
        assert len(await db.from_("many").select("id").eq("m", "fine").gt("n", 2)) == 3
        for wrong, code in (
            ({"m": "glad"}, "22P02"),
            ({"n": 0}, "23514"),
            ({"tw": 1}, "428C9"),
            ({"owner": "x"}, "23503"),
        ):
            with pytest.raises(DbError) as caught:
                await db.from_("many").insert(wrong)
            assert caught.value.code == code
        with pytest.raises(DbError) as caught:
            await db.from_("owners").insert({"id": 5})
        assert caught.value.code == "428C9"


async def test_the_catalogue_is_read_as_it_is(pg_blog):
    async with pg_blog(*CATALOGUE) as db:
        await db.engine.refresh()
        schema = db.engine.schema
        many = schema.tables["many"]
        assert (many.pk, many.kind, many.quoted) == (("id",), "table", '"public"."many"')
        assert [(key.columns, key.table, key.references) for key in many.fks] == [(("owner",), "owners", ("code",))]
        assert [str(column.type) for column in many.columns.values()] == [
            "int8", "mood", "mood[]", "pair", "int4", "int4range", "varchar(3)", "numeric(6,2)", "inet", "int4", "text",
        ]  # fmt: skip
        assert schema.tables["owners"].uniques == (("code",),)
        (grow,) = schema.functions["grow"]
        assert (grow.many, grow.table, grow.writes, [(a.name, a.optional) for a in grow.arguments]) == (
            True, "many", False, [("a", False), ("b", True)],
        )  # fmt: skip


# --- upserts and bulk ---


async def test_an_upsert_that_names_a_row_twice_takes_the_last_as_sqlite_does(tables):
    async with tables("create table t (id integer primary key, x text)") as db:
        rows = [{"id": 1, "x": "a"}, {"id": 2, "x": "b"}, {"id": 1, "x": "c"}]
        assert (await db.from_("t").upsert(rows)).count == 3
        assert await db.from_("t").select().order("id") == [{"id": 1, "x": "c"}, {"id": 2, "x": "b"}]


async def test_twenty_thousand_rows_go_in_at_once_and_their_answer_is_too_long(pg_blog):
    async with pg_blog() as db:
        rows = [{"slug": f"s{number}", "post_id": number} for number in range(20_000)]
        assert (await db.from_("slugs").insert(rows)).count == 20_000
        with pytest.raises(DbError, match="more than 10,000 rows"):
            await db.from_("slugs").delete().all_rows().select()
        with pytest.raises(DbError, match="more than 10,000 rows"):
            await db.sql("delete from slugs returning slug")
        assert (await db.from_("slugs").select(count="exact", head=True)).count == 20_000


async def test_single_on_a_key_needs_no_transaction_and_on_anything_else_has_one(pg_blog, monkeypatch):
    begun = []
    real = driver._together
    monkeypatch.setattr(driver, "_together", lambda *args: begun.append(1) or real(*args))
    async with pg_blog() as db:
        await db.from_("users").insert([{"name": "Ada", "email": "a"}, {"name": "Bob", "email": None}])
        await db.from_("users").update({"name": "Eve"}).eq("id", 1).select().single()
        await db.from_("users").update({"name": "Eve"}).eq("email", "a").select().single()
        assert begun == []
        await db.from_("users").update({"name": "Eve"}).eq("name", "Bob").select().single()
        assert begun == [1]


# --- the server goes away ---


@asynccontextmanager
async def own_server(**options):
    folder = Path(tempfile.mkdtemp(prefix="turnout-pg-"))
    server = LocalPostgres(folder, {"fsync": "off", **options})
    server.start()
    try:
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder)


PROJECT = {
    "pyproject.toml": "[tool.turnout]\n",
    "app/api/things/route.py": (
        "from turnout import db\n\n"
        "async def GET(request):\n    return await db.from_('things').select('id').order('id')\n\n"
        "async def POST(request):\n    return await db.from_('things').insert({}).select('id').single()\n"
    ),
}


@pytest.mark.faults
async def test_the_database_away_is_503_and_back_is_200_without_a_restart(tmp_path, monkeypatch):
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    async with own_server() as server:
        await _ddl(server.url(), "create table things (id int generated by default as identity primary key)")
        monkeypatch.setenv("DATABASE_URL", server.url())
        async with Client(load_project(tmp_path, mode="test").app) as client:
            acknowledged: set[int] = set()
            for turn in range(20 if FULL else 2):
                answers: list[tuple[int, float]] = []
                loading = asyncio.create_task(_load(client, answers, acknowledged))
                await asyncio.sleep(0.3)
                await asyncio.to_thread(server.stop, "immediate" if turn % 2 else "fast")
                await asyncio.sleep(0.3)
                assert (await client.get("/livez")).status == 200
                assert (await client.get("/readyz")).status == 503
                assert (await client.get("/api/things")).status == 503
                await asyncio.to_thread(server.start)
                back = time.monotonic()
                while (await client.get("/api/things")).status != 200:
                    assert time.monotonic() - back < (2 if FULL else 60)
                    await asyncio.sleep(0.02)
                assert (await client.get("/readyz")).status == 200
                loading.cancel()
                await asyncio.gather(loading, return_exceptions=True)
                assert {status for status, _ in answers} <= {200, 503}
                assert max(seconds for _, seconds in answers) < driver.ACQUIRE_S + (0.5 if FULL else 60)
            there = {row["id"] for row in (await client.get("/api/things")).json()}
            assert acknowledged <= there


async def _load(client, answers, acknowledged):
    async def one():
        while True:
            start = time.monotonic()
            response = await client.post("/api/things")
            answers.append((response.status, time.monotonic() - start))
            if response.status == 200:
                acknowledged.add(response.json()["id"])
            await asyncio.sleep(0.005)

    await asyncio.gather(*(one() for _ in range(8)))


async def test_a_server_that_accepts_and_says_nothing_is_503_after_the_wait(monkeypatch):
    monkeypatch.setattr(driver, "ACQUIRE_S", 0.2)

    async def swallow(reader, writer):
        await reader.read()
        writer.close()

    swallowed = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = swallowed.sockets[0].getsockname()[1]
    db = Database(f"postgresql://a:b@127.0.0.1:{port}/x?sslmode=disable")
    for _ in range(2):
        with pytest.raises(DbError) as caught:
            await asyncio.wait_for(_get(db.from_("t").select()), 60)
        assert (caught.value.status, caught.value.retryable) == (503, True)
    await db.close()
    swallowed.close()
    await asyncio.sleep(0.05)


async def _get(query):
    return await query


async def test_a_network_that_swallows_everything_is_noticed():
    port = free_port()
    async with own_server(listen_addresses="127.0.0.1", port=str(port)):
        db = Database(f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable")
        pool = await db.engine._pool()
        async with pool.acquire() as connection:
            own = connection._con._transport.get_extra_info("socket")
            assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5_000
        assert await db.sql("select 1 as one") == [{"one": 1}]
        await db.close()


async def test_a_database_that_was_never_there_is_503_at_once():
    db = Database("postgresql:///x?host=/nowhere-at-all")
    for _ in range(2):
        with pytest.raises(DbError) as caught:
            await db.from_("t").select()
        assert (caught.value.code, caught.value.status, caught.value.retryable) == ("08001", 503, True)
    await db.close()


async def test_a_commit_whose_answer_is_lost_is_not_said_to_be_retryable(pg_blog, postgres):
    async with pg_blog() as db:
        with pytest.raises(DbError) as caught:
            async with db.transaction() as tx:
                (row,) = await tx.sql("select pg_backend_pid() as pid")
                await tx.from_("users").insert({"name": "Ada"})
                await _ddl(postgres, f"select pg_terminate_backend({row['pid']})")
                await asyncio.sleep(0.1)
        assert (caught.value.code, caught.value.status, caught.value.retryable) == ("08007", 503, False)
        assert await db.from_("users").select() == []


async def test_a_connection_that_is_killed_is_replaced(pg_blog, postgres):
    async with pg_blog() as db:
        (row,) = await db.sql("select pg_backend_pid() as pid")
        await _ddl(postgres, f"select pg_terminate_backend({row['pid']})")
        await asyncio.sleep(0.05)
        assert await db.from_("users").select() == []


def test_a_missing_driver_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "asyncpg", None)
    with pytest.raises(ConfigError, match="driver is not installed") as caught:
        _ = Database("postgresql://h/db").engine
    assert caught.value.cure == 'pip install "turnout[postgres]"'


async def test_operators_that_only_postgresqls_types_have(pg_blog):
    statements = (
        "create extension if not exists citext",
        "create table k (slug text primary key, t tsvector, r int4range, c citext, ch char(3))",
        "create function fill() returns trigger language plpgsql as $$ begin new.slug := 'made'; return new; end $$",
        "create trigger filled before insert on k for each row execute function fill()",
    )
    async with pg_blog(*statements) as db:
        row = {"t": "'cat':1 'hat':2", "r": "[1,5)", "c": "Abc", "ch": "x"}
        assert await db.from_("k").insert(row).select("slug").single() == {"slug": "made"}
        for column, op, value in (
            ("t", "fts", "cat & hat"),
            ("t", "plfts", "hat"),
            ("r", "sl", "[10,20)"),
            ("r", "nxr", "[4,5)"),
            ("r", "adj", "[5,6)"),
            ("r", "contains", "[2,3)"),
            ("r", "contained_by", "[0,9)"),
            ("r", "overlaps", "[4,9)"),
            ("c", "eq", "ABC"),
            ("c", "like", "aBc%"),
            ("ch", "like", "x%"),
        ):
            assert await db.from_("k").select("slug").filter(column, op, value) == [{"slug": "made"}], (column, op)
            assert await db.from_("k").select("slug").not_(column, op, value) == [], (column, op)
        for column, op in (("t", "like"), ("ch", "sl"), ("slug", "adj")):
            with pytest.raises(DbError) as caught:
                await db.from_("k").select().filter(column, op, "[1,2)")
            assert caught.value.code in ("42883", "PGRST127")
