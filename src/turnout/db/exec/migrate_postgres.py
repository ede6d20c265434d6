"""Migrations on PostgreSQL: a connection of its own, one advisory lock, one transaction for each file.

A file goes to the server whole, as its own lexer knows best where a statement ends; only a file
that begins with ``-- turnout: no-transaction`` is cut apart, since ``create index concurrently``
must come alone. Where the server lacks pgcrypto and uuid-ossp, which many files ask for and few
need, these two are left out with a warning.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ...errors import ConfigError, DbError
from ..migration_files import File, Migration, compare, read_text, refuse_rewritten
from ..rls import needs_roles, prepare
from ..sql.postgres import pieces
from .postgres import PostgresEngine, exclusive

logger = logging.getLogger("turnout.db")

_WAIT_S = 60.0
_LOCK = int.from_bytes(b"turnout")
_ALONE = re.compile(r"\s*--\s*turnout:\s*no-transaction\b", re.I)
_WORD = re.compile(r"\s*([A-Za-z]+)(?:\s+([A-Za-z]+))?")
_CONTROL = {"begin", "commit", "rollback", "abort", "savepoint", "release"}
_EXTENSION = re.compile(
    r"create\s+extension\s+(?:if\s+not\s+exists\s+)?(?:\"(pgcrypto|uuid-ossp)\"|(pgcrypto))[^;]*(?:;|\Z)", re.I
)
_LOG = """create table if not exists _turnout_migrations (
    version text primary key, name text not null, checksum text not null, applied_at timestamptz not null)"""
_UUID = """create or replace function uuid_generate_v4() returns uuid language sql volatile
    as $$ select gen_random_uuid() $$"""
# All of the statements are made before the first is run, since each may take others with it.
_CLEAR = """do $turnout$
declare
    ours text := current_schema();
    every text[];
    each text;
begin
    select array_agg(statement order by place) into every from (
        select case c.relkind when 'S' then 1 else 0 end as place,
            format('drop %s if exists %I.%I cascade', case c.relkind
                when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
                when 'f' then 'foreign table' else 'table' end, ours, c.relname) as statement
        from pg_class c
        where c.relnamespace = ours::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
            and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
        union all
        select 2, format('drop routine if exists %s cascade', p.oid::regprocedure)
        from pg_proc p
        where p.pronamespace = ours::regnamespace
            and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
        union all
        select 3, format('drop type if exists %I.%I cascade', ours, t.typname)
        from pg_type t left join pg_class c on c.oid = t.typrelid
        where t.typnamespace = ours::regnamespace and t.typtype in ('e', 'd', 'c', 'r')
            and (c.oid is null or c.relkind = 'c')
            and not exists (select from pg_depend d where d.objid = t.oid and d.deptype = 'e')
    ) as listed;
    foreach each in array coalesce(every, array[]::text[]) loop
        execute each;
    end loop;
end
$turnout$"""


async def status(engine: PostgresEngine, files: Sequence[File]) -> list[Migration]:
    """Every migration, applied or not."""
    async with exclusive(engine) as connection:
        return compare(files, await _applied(connection))


async def migrate(engine: PostgresEngine, files: Sequence[File]) -> list[Migration]:
    """Apply what is pending."""
    done = []
    async with _locked(engine) as connection:
        await connection.execute(_LOG)
        for file in files:
            applied = await _applied(connection)
            refuse_rewritten(files, applied)
            if file.version not in applied:
                await _apply(connection, file)
                done.append(file.version)
        found = compare(files, await _applied(connection))
    return [migration for migration in found if migration.version in done]


async def clear(engine: PostgresEngine) -> None:
    """Drop every table, view, function and type of the current schema, but for what extensions own."""
    async with _locked(engine) as connection:
        await connection.execute("set client_min_messages = warning")
        await connection.execute(_CLEAR)


async def seed(engine: PostgresEngine, path: Path) -> None:
    """Run the statements of *path* in one transaction."""
    async with exclusive(engine) as connection, _transaction(connection, path):
        await _run(connection, path, read_text(path))


@asynccontextmanager
async def _locked(engine: PostgresEngine) -> AsyncIterator[Any]:
    """A connection that alone migrates; its lock ends with it."""
    if engine.address.pooled:
        # The lock would stay with a connection that the pooler gives to somebody else.
        raise ConfigError(
            "migrations need a connection of their own, and DATABASE_URL leads to a transaction pooler",
            cure="run it with DATABASE_URL on the server itself, port 5432",
        )
    async with exclusive(engine) as connection:
        end = time.monotonic() + _WAIT_S
        while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            if time.monotonic() > end:
                raise ConfigError(
                    "another process has been migrating for a minute", cure="wait for it, or end its connection"
                )
            await asyncio.sleep(0.1)
        yield connection


async def _applied(connection: Any) -> dict[str, tuple[str, str, str]]:
    if await connection.fetchval("select to_regclass('_turnout_migrations') is null"):
        return {}
    rows = await connection.fetch("select version, name, checksum, applied_at from _turnout_migrations")
    return {row["version"]: (row["name"], row["checksum"], row["applied_at"]) for row in rows}


async def _apply(connection: Any, file: File) -> None:
    text = await _without_extensions(connection, file)
    if needs_roles(text):
        await prepare(connection)
    note = "insert into _turnout_migrations values ($1, $2, $3, date_trunc('second', now()))"
    if _ALONE.match(text):
        for start, statement in _statements(text):
            await _run(connection, file.path, statement, start, "what came before it in the file stays: mend by hand")
        await connection.execute(note, file.version, file.name, file.checksum)
        return
    _refuse_control(file, text)
    async with _transaction(connection, file.path):
        await _run(connection, file.path, text)
        await connection.execute(note, file.version, file.name, file.checksum)


@asynccontextmanager
async def _transaction(connection: Any, path: Path) -> AsyncIterator[None]:
    import asyncpg

    await connection.execute("begin")
    try:
        yield
        if not connection.is_in_transaction():
            raise ConfigError("a statement ended the transaction", file=path, cure="leave COMMIT and ROLLBACK out")
        await connection.execute("commit")
    except asyncpg.PostgresError as exc:  # a deferred constraint
        raise ConfigError(str(exc.args[0]), file=path, cure="mend the rows in the same file") from exc
    finally:
        if not connection.is_closed() and connection.is_in_transaction():
            await connection.execute("rollback")


async def _run(
    connection: Any, path: Path, text: str, start: int = 0, cure: str = "mend the statement; nothing was applied"
) -> None:
    import asyncpg

    try:
        if text.strip():
            await connection.execute(text)
    except asyncpg.PostgresError as exc:
        place = getattr(exc, "position", None)
        line = start + text.count("\n", 0, int(place) - 1) + 1 if place else None
        detail = f" ({exc.detail})" if getattr(exc, "detail", None) else ""
        if 'at or near "autoincrement"' in str(exc.args[0]):  # what turnout new writes is for SQLite
            name = path.name.partition(".")[0]
            cure = f"{_IDENTITY}; for both databases, {name}.pg.sql beside {name}.sqlite.sql"
        raise ConfigError(f"{exc.args[0]}{detail}", file=path, line=line, cure=cure) from exc


_IDENTITY = "autoincrement is SQLite's: id bigint generated always as identity primary key takes its place"


def _statements(text: str) -> list[tuple[int, str]]:
    """Each statement with the number of lines before its first word."""
    found: list[tuple[int, str]] = []
    current, begun, line = "", -1, 0
    for kind, part in pieces(text):
        written = f":{part}" if kind == "name" else part
        if begun < 0 and kind != "blank" and written.strip():
            space = len(written) - len(written.lstrip())
            current, begun = written[space:], line + written.count("\n", 0, space)
        else:
            current += written
        line += written.count("\n")
        if kind == "end":
            found.append((max(begun, 0), current))
            current, begun = "", -1
    return [*found, (begun, current)] if begun >= 0 else found


def _refuse_control(file: File, text: str) -> None:
    try:
        statements = _statements(text)
    except DbError:
        return  # the server says better what is wrong
    for start, statement in statements:
        code = "".join(part for kind, part in pieces(statement) if kind == "code")
        words = _WORD.match(code)
        if words is None or (words[1].lower() not in _CONTROL and words[0].lower().split() != ["start", "transaction"]):
            continue
        raise ConfigError(
            f"{words[1].upper()} has no place in a migration, which is one transaction", file=file.path,
            line=start + 1, cure="leave it out",
        )  # fmt: skip


async def _without_extensions(connection: Any, file: File) -> str:
    wanted = {(match[1] or match[2]).lower() for match in _EXTENSION.finditer(file.text)}
    if not wanted:
        return file.text
    rows = await connection.fetch("select name from pg_available_extensions where name = any($1::text[])", list(wanted))
    missing = wanted - {row["name"] for row in rows}
    if "uuid-ossp" in missing:
        await connection.execute(_UUID)
    for name in sorted(missing):
        logger.warning("%s: this server has no extension %s; going on without it", file.path.name, name)

    def left_out(match: re.Match[str]) -> str:
        # As many lines as before, so that an error names the right one.
        return "\n" * match[0].count("\n") if (match[1] or match[2]).lower() in missing else match[0]

    return _EXTENSION.sub(left_out, file.text)
