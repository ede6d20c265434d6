"""Migrations on PostgreSQL: the same promises as on SQLite, and its own traps."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager

import asyncpg
import pytest

from turnout.db import Database, migrate
from turnout.errors import ConfigError, DbError


@asynccontextmanager
async def project(pg_blog, tmp_path, **files):
    folder = tmp_path / "migrations"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    async with pg_blog("select 1") as db:
        yield db, folder


def numbered(*texts):
    return {f"2026010{number}000000_step_{number}": text for number, text in enumerate(texts, 1)}


async def test_pending_migrations_are_applied_in_order_and_once(pg_blog, tmp_path):
    steps = numbered(
        "create table posts (id int generated always as identity primary key, title text);",
        "-- a comment; with a semicolon\n\nalter table posts add column views int not null default 0;\n\n"
        "insert into posts (title) values ('a;b');",
    )
    async with project(pg_blog, tmp_path, **steps) as (db, folder):
        before = await migrate.status(db, folder)
        applied = await migrate.migrate(db, folder)
        after = await migrate.status(db, folder)

        assert [(each.version, each.applied_at) for each in before] == [
            ("20260101000000", None),
            ("20260102000000", None),
        ]
        assert applied == after
        assert all(dt.datetime.fromisoformat(each.applied_at).tzinfo == dt.UTC and not each.changed for each in after)
        assert await migrate.migrate(db, folder) == []
        assert await db.from_("posts").select() == [{"id": 1, "title": "a;b", "views": 0}]


async def test_a_migration_is_seen_by_queries_compiled_before(pg_blog, tmp_path):
    async with project(pg_blog, tmp_path, **numbered("create table t (id serial primary key);")) as (db, folder):
        await migrate.migrate(db, folder)
        await db.from_("t").insert({})
        assert await db.from_("t").select() == [{"id": 1}]
        (folder / "20260105000000_more.sql").write_text("alter table t add column done boolean default true;")
        await migrate.migrate(db, folder)
        assert await db.from_("t").select() == [{"id": 1, "done": True}]


async def test_a_failure_in_the_middle_leaves_nothing_of_its_file(pg_blog, tmp_path):
    steps = numbered(
        "create table a (id int primary key);",
        "create table b (id int primary key);\ninsert into b values (1);\n\ninsert into nope values (1);\n",
        "create table c (id int primary key);",
    )
    async with project(pg_blog, tmp_path, **steps) as (db, folder):
        with pytest.raises(ConfigError, match='relation "nope" does not exist') as caught:
            await migrate.migrate(db, folder)

        assert (caught.value.file.name, caught.value.line) == ("20260102000000_step_2.sql", 4)
        assert [bool(each.applied_at) for each in await migrate.status(db, folder)] == [True, False, False]
        assert await db.from_("a").select() == []
        for table in ("b", "c"):
            with pytest.raises(DbError):
                await db.from_(table).select()

        (folder / "20260102000000_step_2.sql").write_text("create table b (id int primary key);")
        assert [each.name for each in await migrate.migrate(db, folder)] == ["step_2", "step_3"]


async def test_a_changed_file_is_refused_and_a_missing_one_too(pg_blog, tmp_path):
    async with project(pg_blog, tmp_path, **numbered("create table a (id int primary key);")) as (db, folder):
        await migrate.migrate(db, folder)
        file = folder / "20260101000000_step_1.sql"
        file.write_text("create table other (id int primary key);")
        assert [each.changed for each in await migrate.status(db, folder)] == [True]
        (folder / "20260102000000_b.sql").write_text("select 1;")
        with pytest.raises(ConfigError, match="was changed after it was applied"):
            await migrate.migrate(db, folder)
        file.unlink()
        with pytest.raises(ConfigError, match="its file is gone"):
            await migrate.migrate(db, folder)


async def test_postgresqls_variants_win_and_sqlites_are_left_out(pg_blog, tmp_path):
    async with project(pg_blog, tmp_path) as (db, folder):
        (folder / "0001_a.sql").write_text("create table wrong (id integer primary key autoincrement);")
        (folder / "0001_a.pg.sql").write_text("create table fine (id bigint generated always as identity primary key);")
        (folder / "0002_b.sqlite.sql").write_text("pragma user_version = 3;")
        (folder / "0003_c.sql").write_text("create table third (id int primary key);")
        for name in ("seed.sql", "seed.pg.sql", "seed.sqlite.sql"):
            (folder / name).write_text("not for here")
        assert [(each.version, each.name) for each in await migrate.migrate(db, folder)] == [
            ("0001", "a"),
            ("0003", "c"),
        ]
        assert await db.from_("fine").select() == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("create table t (id int primary key);\n\nbegin;", 3, "BEGIN has no place"),
        ("/* a\nb */\n commit;", 3, "COMMIT has no place"),
        ("select 1;\nstart transaction;", 2, "START has no place"),
        ("create table t (id int primary key); create table t (x int);", None, "already exists"),
        ("create table t (id int primary key", 1, "syntax error at end of input"),
        ("select 1 as a;\n selec 2;", 2, "syntax error"),
        (
            "create table p (id int primary key);\n"
            "create table t (p int references p(id) deferrable initially deferred);\ninsert into t values (5);",
            None,
            "violates foreign key constraint",
        ),
        ("create extension nothing_like_it;", None, "nothing_like_it"),
    ],
)
async def test_a_bad_migration_is_refused_with_file_and_line(pg_blog, tmp_path, text, line, message):
    async with project(pg_blog, tmp_path, **numbered(text)) as (db, folder):
        with pytest.raises(ConfigError, match=message) as caught:
            await migrate.migrate(db, folder)
        assert (caught.value.file.name, caught.value.line) == ("20260101000000_step_1.sql", line)
        await db.engine.refresh()
        assert db.engine.schema.tables.keys() == {"_turnout_migrations"}


async def test_what_is_sqlites_alone_is_told_with_what_takes_its_place(pg_blog, tmp_path):
    text = "create table t (\n  id integer primary key autoincrement\n);"
    async with project(pg_blog, tmp_path, **numbered(text)) as (db, folder):
        with pytest.raises(ConfigError, match="autoincrement") as caught:
            await migrate.migrate(db, folder)
        assert "generated always as identity" in caught.value.cure
        assert "20260101000000_step_1.pg.sql beside" in caught.value.cure


async def test_functions_triggers_and_semicolons_in_text_need_no_care(pg_blog, tmp_path):
    text = textwrap.dedent("""\
        create table t (id serial primary key, x text default 'a;b');  -- one; two
        /* three; /* four; */ */
        create function more() returns trigger language plpgsql as $$
        begin
            new.x := new.x || ';';
            return new;
        end $$;
        create trigger tr before insert on t for each row execute function more();
        create procedure p() language sql begin atomic insert into t default values; select 1; end;
        create view v as select x from t;
        insert into t default values
    """)
    async with project(pg_blog, tmp_path, **numbered(text)) as (db, folder):
        await migrate.migrate(db, folder)
        assert await db.from_("v").select() == [{"x": "a;b;"}]


async def test_an_index_can_be_built_without_a_transaction(pg_blog, tmp_path):
    text = (
        "-- turnout: no-transaction\ncreate index concurrently a on t (x);\n\ncreate index concurrently b on t (y);\n"
    )
    steps = numbered("create table t (id int primary key, x int, y int);", text)
    async with project(pg_blog, tmp_path, **steps) as (db, folder):
        assert len(await migrate.migrate(db, folder)) == 2
        (folder / "20260103000000_step_3.sql").write_text(text.replace("b on t (y)", "c on t (nope)"))
        with pytest.raises(ConfigError, match="already exists") as caught:
            await migrate.migrate(db, folder)
        assert caught.value.line in (2, None)


async def test_pgcrypto_and_uuid_ossp_are_left_out_where_the_server_lacks_them(pg_blog, tmp_path, caplog):
    text = (
        'create extension if not exists "uuid-ossp";\ncreate extension if not exists pgcrypto with schema public;\n'
        "create extension if not exists citext;\n"
        "create table t (id uuid primary key default uuid_generate_v4(), other uuid default gen_random_uuid(),"
        " x citext);"
    )
    async with project(pg_blog, tmp_path, **numbered(text)) as (db, folder):
        with caplog.at_level(logging.WARNING, "turnout.db"):
            await migrate.migrate(db, folder)
        assert [record.args[1] for record in caplog.records] == ["pgcrypto", "uuid-ossp"]
        row = await db.from_("t").insert({"x": "Ada"}).select().single()
        assert (row["x"], len(row["id"]), len(row["other"])) == ("Ada", 36, 36)
        assert len(await db.from_("t").select("id").eq("x", "ADA")) == 1


MIGRATOR = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from turnout.db import Database, migrate

    async def main():
        db = Database(sys.argv[1])
        print(len(await migrate.migrate(db, Path(sys.argv[2]))))
        await db.close()

    asyncio.run(main())
""")


async def test_processes_that_migrate_at_once_apply_each_migration_once(pg_blog, postgres, tmp_path):
    steps = {f"{number:04}_s": f"create table t{number} (id int primary key);" for number in range(1, 20)}
    async with project(pg_blog, tmp_path, **steps) as (db, folder):
        command = [sys.executable, "-c", MIGRATOR, postgres, str(folder)]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
        counts = []
        for worker in workers:
            stdout, stderr = await asyncio.to_thread(worker.communicate)
            assert worker.returncode == 0, stderr.decode()
            counts.append(int(stdout))
        assert sum(counts) == 19
        assert all(each.applied_at for each in await migrate.status(db, folder))


async def test_reset_drops_everything_and_begins_again(pg_blog, tmp_path):
    steps = numbered(
        "create extension citext; create table p (id int generated by default as identity primary key, s serial);"
        " create type mood as enum ('a');"
    )
    async with project(pg_blog, tmp_path, **steps) as (db, folder):
        await migrate.migrate(db, folder)
        for stray in (
            "create table stray (id int primary key, m mood)",
            "create view seen as select * from stray",
            "create materialized view kept as select * from stray",
            "create function f() returns int language sql as 'select 1'",
            "create domain small as int",
            "create sequence s",
        ):
            await db.sql(stray)
        await db.from_("p").insert({"id": 1})

        # The extension is not ours to drop, so this file must not ask for it again.
        file = folder / "20260101000000_step_1.sql"
        file.write_text(file.read_text().replace("create extension citext; ", ""))
        assert [each.name for each in await migrate.reset(db, folder)] == ["step_1"]

        assert await db.from_("p").select() == []
        assert set(db.engine.schema.tables) == {"p", "_turnout_migrations"}
        assert "f" not in db.engine.schema.functions


async def test_a_pooler_is_no_place_to_migrate_through(postgres, tmp_path):
    db = Database(f"{postgres}&pgbouncer=true")
    (tmp_path / "0001_a.sql").write_text("select 1;")
    with pytest.raises(ConfigError, match="transaction pooler"):
        await migrate.migrate(db, tmp_path)
    await db.close()


async def test_the_lock_is_given_back(pg_blog, postgres, tmp_path):
    async with project(pg_blog, tmp_path, **numbered("selec 1")) as (db, folder):
        with pytest.raises(ConfigError):
            await migrate.migrate(db, folder)
        connection = await asyncpg.connect(postgres)
        assert await connection.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0
        await connection.close()


SEEDS = {
    "seed.sql": "insert into t (id, x) values (1, 'both;');\ninsert into t (id, x) values (2, 'more');",
    "seed.sqlite.sql": "insert into t (id, x) values (1, 'sqlite');",
    "seed.pg.sql": "insert into t (id, x) values (1, 'postgres');",
}


@pytest.mark.parametrize("names", [["seed.sql"], ["seed.sql", "seed.sqlite.sql", "seed.pg.sql"], []])
async def test_seeds_are_run_in_the_dialects_own_words(tables, tmp_path, names):
    for name in names:
        (tmp_path / name).write_text(SEEDS[name])
    async with tables("create table t (id int primary key, x text)") as db:
        path = await migrate.seed(db, tmp_path)

        rows = [row["x"] for row in await db.from_("t").select("x").order("id")]
        assert (path and path.name, rows) == {
            0: (None, []),
            1: ("seed.sql", ["both;", "more"]),
            3: ("seed.sqlite.sql", ["sqlite"]) if tables.engine == "sqlite" else ("seed.pg.sql", ["postgres"]),
        }[len(names)]


async def test_a_seed_that_fails_leaves_nothing(tables, tmp_path):
    (tmp_path / "seed.sql").write_text("insert into t (id) values (1);\n\ninsert into nope (id) values (1);")
    async with tables("create table t (id int primary key, x text)") as db:
        with pytest.raises(ConfigError) as caught:
            await migrate.seed(db, tmp_path)
        assert (caught.value.file.name, caught.value.line) == ("seed.sql", 3)
        assert await db.from_("t").select() == []
