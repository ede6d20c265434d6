"""Migrations on SQLite: one connection that blocks, one exclusive transaction for each file.

The standard library's ``executescript`` would commit first, so statements are cut apart here.
Foreign keys are switched off before the transaction, where alone that is possible, and checked
at its end.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ...errors import ConfigError
from ..migration_files import File, Migration, compare, read_text, refuse_rewritten
from ..schema import parse_type
from ..sql.sqlite import drop
from ..sql.values import timestamp_text
from .sqlite import SqliteEngine

_BLANK = re.compile(r"(?:\s|;|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_CONTROL = {"begin", "commit", "end", "rollback", "savepoint", "release", "attach", "detach", "vacuum"}
_LOG = """create table if not exists _turnout_migrations (
    version text primary key not null, name text not null, checksum text not null,
    applied_at timestamptz not null)"""
_COLUMNS = """select l.name, x.name, x.type from pragma_table_list l join pragma_table_xinfo(l.name) x
    where l.schema = 'main' and l.type = 'table' and l.name not like 'sqlite#_%' escape '#' and x.hidden <> 1"""


def status(engine: SqliteEngine, files: Sequence[File]) -> list[Migration]:
    """Every migration, applied or not."""
    with engine.exclusive() as connection:
        return compare(files, _applied(connection))


def migrate(engine: SqliteEngine, files: Sequence[File]) -> list[Migration]:
    """Apply what is pending."""
    done = []
    with engine.exclusive() as connection:
        # Ignored inside a transaction; and a table cannot be rebuilt while its children hold on to it.
        connection.execute("pragma foreign_keys = off")
        with _locked(connection):
            connection.execute(_LOG)
        for file in files:
            if _apply(connection, file, files):
                done.append(file.version)
        found = compare(files, _applied(connection))
    engine.refresh()
    return [migration for migration in found if migration.version in done]


def clear(engine: SqliteEngine) -> None:
    """Drop every table, view and trigger."""
    with engine.exclusive() as connection:
        connection.execute("pragma foreign_keys = off")
        with _locked(connection):
            for kind in ("trigger", "view", "table"):
                names = connection.execute(
                    "select name from sqlite_schema where type = ? and name not like 'sqlite#_%' escape '#'", (kind,)
                ).fetchall()
                for (name,) in names:
                    connection.execute(drop(kind, name))


def seed(engine: SqliteEngine, path: Path) -> None:
    """Run the statements of *path* in one transaction."""
    with engine.exclusive() as connection, _locked(connection):
        for line, statement in statements(read_text(path)):
            _run(connection, path, line, statement)


def statements(text: str) -> Iterator[tuple[int, str]]:
    """Each statement of *text* with the line that it begins on, counted from 1."""
    start, end = 0, 0
    while True:
        start = _skip(text, start)
        if start >= len(text):
            return
        end = text.find(";", max(start, end)) + 1
        # A semicolon inside quotes, comments or a trigger's body does not end the statement.
        while end and not sqlite3.complete_statement(text[start:end]):
            end = text.find(";", end) + 1
        yield text.count("\n", 0, start) + 1, text[start : end or len(text)]
        if not end:
            return
        start = end


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _applied(connection: sqlite3.Connection) -> dict[str, tuple[str, str, str]]:
    """Version to name, checksum and time."""
    if not connection.execute("select 1 from sqlite_schema where name = '_turnout_migrations'").fetchone():
        return {}
    rows = connection.execute("select version, name, checksum, applied_at from _turnout_migrations").fetchall()
    return {version: (name, checksum, f"{at[:10]}T{at[11:]}+00:00") for version, name, checksum, at in rows}


@contextmanager
def _locked(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that holds the write lock from its first moment."""
    try:
        connection.execute("begin exclusive")
    except sqlite3.OperationalError as exc:
        raise ConfigError(
            f"the database stayed locked for a minute: {exc}", cure="end the process that is migrating or writing"
        ) from exc
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def _apply(connection: sqlite3.Connection, file: File, files: Sequence[File]) -> bool:
    with _locked(connection):
        applied = _applied(connection)
        refuse_rewritten(files, applied)
        if file.version in applied:
            return False
        known = set(connection.execute(_COLUMNS).fetchall())
        for line, statement in statements(file.text):
            _run(connection, file.path, line, statement)
            known = _refuse_types(connection, file, line, known)
        _refuse_orphans(connection, file)
        connection.execute(
            "insert into _turnout_migrations values (?, ?, ?, ?)",
            (file.version, file.name, file.checksum, timestamp_text(datetime.now(UTC).replace(microsecond=0))),
        )
    return True


def _run(connection: sqlite3.Connection, path: Path, line: int, statement: str) -> None:
    word = _WORD.match(statement)
    if word and word[0].lower() in _CONTROL:
        raise ConfigError(
            f"{word[0].upper()} has no place in a migration, which is one transaction", file=path, line=line,
            cure="leave it out",
        )  # fmt: skip
    try:
        connection.execute(statement)
    except (sqlite3.Error, sqlite3.Warning) as exc:
        raise ConfigError(str(exc), file=path, line=line, cure="mend the statement; nothing was applied") from exc
    if not connection.in_transaction:  # "insert or rollback", or a trigger that rolls back
        raise ConfigError("the statement ended the transaction", file=path, line=line, cure="leave ROLLBACK out")


def _refuse_types(
    connection: sqlite3.Connection, file: File, line: int, known: set[tuple[str, str, str]]
) -> set[tuple[str, str, str]]:
    """Refuse a new column whose type has no meaning here: values would go in unchecked."""
    columns = set(connection.execute(_COLUMNS).fetchall())
    for table, column, declared in sorted(columns - known):
        if parse_type(declared) is None:
            raise ConfigError(
                f"column {table}.{column} has the unknown type {declared!r}", file=file.path, line=line,
                cure="integer, bigint, boolean, text, varchar(n), numeric(p,s), double precision, timestamptz, "
                "date, time, uuid, jsonb, bytea, or an array such as text[]",
            )  # fmt: skip
    return columns


def _refuse_orphans(connection: sqlite3.Connection, file: File) -> None:
    orphan = connection.execute("pragma foreign_key_check").fetchone()
    if orphan is not None:
        raise ConfigError(
            f"after it, a row of {orphan[0]} refers to a row of {orphan[2]} that does not exist", file=file.path,
            cure="mend the rows in the same migration",
        )  # fmt: skip
