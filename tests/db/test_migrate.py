"""Migrations: forward, once each, all or nothing, whoever else is at it."""

from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager

import pytest

from turnout.db import Database, migrate
from turnout.errors import ConfigError, DbError


@asynccontextmanager
async def project(tmp_path, **files):
    folder = tmp_path / "migrations"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    db = Database(tmp_path / "app.db")
    try:
        yield db, folder
    finally:
        await db.close()


def numbered(*texts):
    return {f"2026010{number}000000_step_{number}": text for number, text in enumerate(texts, 1)}


async def test_pending_migrations_are_applied_in_order_and_once(tmp_path):
    steps = numbered(
        "create table posts (id integer primary key, title text);",
        "-- a comment\n\nalter table posts add column views int not null default 0;\n\n"
        "insert into posts (title) values ('a;b');",
    )
    async with project(tmp_path, **steps) as (db, folder):
        before = await migrate.status(db, folder)
        applied = await migrate.migrate(db, folder)
        after = await migrate.status(db, folder)

        assert [(each.version, each.name, each.applied_at) for each in before] == [
            ("20260101000000", "step_1", None),
            ("20260102000000", "step_2", None),
        ]
        assert applied == after
        assert all(dt.datetime.fromisoformat(each.applied_at).tzinfo == dt.UTC and not each.changed for each in after)
        assert await migrate.migrate(db, folder) == []
        assert await db.from_("posts").select() == [{"id": 1, "title": "a;b", "views": 0}]


async def test_a_migration_is_seen_by_queries_compiled_before(tmp_path):
    async with project(tmp_path, **numbered("create table t (id integer primary key);")) as (db, folder):
        await migrate.migrate(db, folder)
        await db.from_("t").insert({})
        assert await db.from_("t").select() == [{"id": 1}]
        (folder / "20260105000000_more.sql").write_text("alter table t add column done boolean default true;")
        await migrate.migrate(db, folder)
        assert await db.from_("t").select() == [{"id": 1, "done": True}]


async def test_a_failure_in_the_middle_leaves_nothing_of_its_file(tmp_path):
    steps = numbered(
        "create table a (id integer primary key);",
        "create table b (id integer primary key);\ninsert into b values (1);\n\ninsert into nope values (1);\n",
        "create table c (id integer primary key);",
    )
    async with project(tmp_path, **steps) as (db, folder):
        with pytest.raises(ConfigError, match="no such table: nope") as caught:
            await migrate.migrate(db, folder)

        assert (caught.value.file.name, caught.value.line) == ("20260102000000_step_2.sql", 4)
        assert [bool(each.applied_at) for each in await migrate.status(db, folder)] == [True, False, False]
        assert await db.from_("a").select() == []
        for table in ("b", "c"):
            with pytest.raises(DbError):
                await db.from_(table).select()

        (folder / "20260102000000_step_2.sql").write_text("create table b (id integer primary key);")
        assert [each.name for each in await migrate.migrate(db, folder)] == ["step_2", "step_3"]


async def test_a_changed_file_is_refused_and_a_missing_one_too(tmp_path):
    async with project(tmp_path, **numbered("create table a (id integer primary key);")) as (db, folder):
        await migrate.migrate(db, folder)
        file = folder / "20260101000000_step_1.sql"
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
        assert await migrate.migrate(db, folder) == []

        file.write_text("create table other (id integer primary key);")
        assert [each.changed for each in await migrate.status(db, folder)] == [True]
        with pytest.raises(ConfigError, match="was changed after it was applied") as caught:
            await migrate.migrate(db, folder)
        assert caught.value.file == file

        file.unlink()
        assert [(each.file, each.changed) for each in await migrate.status(db, folder)] == [(None, False)]
        with pytest.raises(ConfigError, match="its file is gone"):
            (folder / "20260102000000_b.sql").write_text("select 1;")
            await migrate.migrate(db, folder)


async def test_sqlite_variants_win_and_postgres_variants_are_left_out(tmp_path):
    async with project(tmp_path) as (db, folder):
        (folder / "0001_a.sql").write_text("create table wrong (id integer primary key);")
        (folder / "0001_a.sqlite.sql").write_text("create table fine (id integer primary key);")
        (folder / "0001_a.pg.sql").write_text("create table t (id bigint generated always as identity);")
        (folder / "0002_b.pg.sql").write_text("create extension citext;")
        (folder / "0010_c.sql").write_text("create table tenth (id integer primary key);")
        (folder / "9_d.sql").write_text("create table ninth (id integer primary key);")
        (folder / "seed.sql").write_text("not for here")
        assert [(each.version, each.name) for each in await migrate.migrate(db, folder)] == [
            ("0001", "a"),
            ("9", "d"),
            ("0010", "c"),
        ]
        assert await db.from_("fine").select() == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("create table t (id integer primary key, at timestampz);", 1, "t.at has the unknown type 'timestampz'"),
        ("\n-- x\ncreate table t (id integer primary key);\nalter table t add column a money;", 4, "unknown type"),
        ("create table t (id serial8 primary key, a);", 1, "unknown type"),
        ("create table t (id integer primary key);\nbegin;", 2, "BEGIN has no place"),
        ("/* a\nb */ commit;", 2, "COMMIT has no place"),
        ("create table t (id integer primary key); create table t (x int);", 1, "already exists"),
        ("create table t (id integer primary key", 1, "incomplete input"),
        ("select 1 as a;\n selec 2;", 2, "syntax error"),
        (
            "create table p (id integer primary key);\ncreate table t (id integer primary key, p int references p(id));"
            "\ninsert into t values (1, 5);",
            None,
            "a row of t refers to a row of p",
        ),
    ],
)
async def test_a_bad_migration_is_refused_with_file_and_line(tmp_path, text, line, message):
    async with project(tmp_path, **numbered(text)) as (db, folder):
        with pytest.raises(ConfigError, match=message) as caught:
            await migrate.migrate(db, folder)
        assert (caught.value.file.name, caught.value.line) == ("20260101000000_step_1.sql", line)
        assert db.engine.schema.tables.keys() <= {"_turnout_migrations"}
        db.engine.refresh()
        assert db.engine.schema.tables.keys() == {"_turnout_migrations"}


async def test_triggers_views_and_semicolons_in_text_are_one_statement_each(tmp_path):
    text = textwrap.dedent("""\
        create table t (id integer primary key, x text default 'a;b');  -- one; two
        /* three; four */
        create trigger tr after insert on t begin
            update t set x = x || case when new.id > 1 then ';' else '' end where id = new.id;
            update t set x = x || '!' where id = new.id;
        end;
        create view v as select x from t;
        insert into t default values
    """)
    async with project(tmp_path, **numbered(text)) as (db, folder):
        await migrate.migrate(db, folder)
        assert await db.from_("v").select() == [{"x": "a;b!"}]


async def test_a_table_with_children_can_be_rebuilt(tmp_path):
    steps = numbered(
        "create table p (id integer primary key, x text);\n"
        "create table c (id integer primary key, p_id int references p(id) on delete cascade);\n"
        "insert into p values (1, 'a'); insert into c values (1, 1);",
        "create table new_p (id integer primary key, x text not null);\n"
        "insert into new_p select * from p;\ndrop table p;\nalter table new_p rename to p;",
    )
    async with project(tmp_path, **steps) as (db, folder):
        await migrate.migrate(db, folder)
        assert await db.from_("c").select() == [{"id": 1, "p_id": 1}]
        with pytest.raises(DbError) as caught:  # and the keys are watched again
            await db.from_("c").insert({"p_id": 9})
        assert caught.value.code == "23503"


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


async def test_processes_that_migrate_at_once_apply_each_migration_once(tmp_path):
    steps = {f"{number:04}_s": f"create table t{number} (id integer primary key);" for number in range(1, 30)}
    async with project(tmp_path, **steps) as (db, folder):
        command = [sys.executable, "-c", MIGRATOR, str(tmp_path / "app.db"), str(folder)]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
        counts = []
        for worker in workers:
            stdout, stderr = await asyncio.to_thread(worker.communicate)
            assert worker.returncode == 0, stderr.decode()
            counts.append(int(stdout))
        assert sum(counts) == 29
        assert all(each.applied_at for each in await migrate.status(db, folder))


async def test_reset_drops_everything_and_begins_again(tmp_path):
    steps = numbered(
        "create table p (id integer primary key); create table c (id integer primary key, p int references p(id));"
    )
    async with project(tmp_path, **steps) as (db, folder):
        await migrate.migrate(db, folder)
        await db.sql("create table stray (id integer primary key)")
        await db.sql("create view seen as select * from c")
        await db.from_("p").insert({"id": 1})
        await db.from_("c").insert({"p": 1})

        assert [each.name for each in await migrate.reset(db, folder)] == ["step_1"]

        assert await db.from_("c").select() == []
        assert set(db.engine.schema.tables) == {"p", "c", "_turnout_migrations"}


async def test_new_names_a_file_by_the_time(tmp_path):
    folder, now = tmp_path / "migrations", dt.datetime(2026, 11, 22, 9, 30, tzinfo=dt.UTC)

    first, second = migrate.new(folder, "Add posts!", now), migrate.new(folder, "again", now)

    assert first.name == "20261122093000_add_posts.sql"
    assert second.name == "20261122093001_again.sql"
    async with project(tmp_path) as (db, folder):
        assert len(await migrate.migrate(db, folder)) == 2
    with pytest.raises(ConfigError):
        migrate.new(folder, "!!!", now)


async def test_a_file_with_another_name_is_refused(tmp_path):
    async with project(tmp_path, posts="select 1;") as (db, folder):
        with pytest.raises(ConfigError, match="begins with its version"):
            await migrate.status(db, folder)
    (folder / "posts.sql").rename(folder / "0001_a.sql")
    (folder / "0001_b.sql").write_text("")
    async with project(tmp_path) as (db, folder):
        with pytest.raises(ConfigError, match=r"version 0001 is taken by 0001_a\.sql"):
            await migrate.migrate(db, folder)


async def test_a_missing_folder_means_no_migrations(tmp_path):
    async with project(tmp_path) as (db, _):
        assert await migrate.migrate(db, tmp_path / "nowhere") == []


async def test_status_writes_nothing(tmp_path):
    async with project(tmp_path, **numbered("create table a (id integer primary key);")) as (db, folder):
        await migrate.status(db, folder)
    tables = sqlite3.connect(tmp_path / "app.db")
    assert tables.execute("select count(*) from sqlite_schema").fetchone() == (0,)
    tables.close()
