"""Migrations: plain SQL files, applied forward, each in one transaction.

``migrations/20261122093000_add_posts.sql``; the leading digits are the version and the order. Where the
engines differ, ``name.sqlite.sql`` and ``name.pg.sql`` stand beside or instead of ``name.sql``.
A file that was applied must not change: its checksum is kept in ``_turnout_migrations``. There is
no diffing, no translation and no way back; a mistake is mended by another migration.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from .schema import parse_type
from .sql.sqlite import drop
from .sql.values import timestamp_text

if TYPE_CHECKING:
    from .database import Database

_FILE = re.compile(r"(?P<version>\d{1,20})_(?P<name>[A-Za-z0-9_-]+?)(?:\.(?P<dialect>sqlite|pg))?\.sql\Z")
_BLANK = re.compile(r"(?:\s|;|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_CONTROL = {"begin", "commit", "end", "rollback", "savepoint", "release", "attach", "detach", "vacuum"}
_LOG = """create table if not exists _turnout_migrations (
    version text primary key not null, name text not null, checksum text not null,
    applied_at timestamptz not null)"""
_COLUMNS = """select l.name, x.name, x.type from pragma_table_list l join pragma_table_xinfo(l.name) x
    where l.schema = 'main' and l.type = 'table' and l.name not like 'sqlite#_%' escape '#' and x.hidden <> 1"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration.

    Args:
        file: Its file, or None if it was applied and the file is gone.
        applied_at: When, as ``2026-11-22T09:30:00+00:00``, or None while it is pending.
        changed: The file is not the one that was applied.
    """

    version: str
    name: str
    file: Path | None
    applied_at: str | None = None
    changed: bool = False


async def status(database: Database, folder: Path) -> list[Migration]:
    """Every migration in order, applied or not; writes nothing."""
    return await asyncio.to_thread(_status, database, folder)


def _status(database: Database, folder: Path) -> list[Migration]:
    files = _files(folder)
    with database.engine.exclusive() as connection:
        return _compare(files, _applied(connection))


async def migrate(database: Database, folder: Path) -> list[Migration]:
    """Apply what is pending, and give what was applied.

    Safe with several processes at once: each migration takes the write lock and then looks
    again whether it is still pending.

    Raises:
        ConfigError: with file and line; the migration that failed has left nothing behind,
            those before it stay.
    """
    return await asyncio.to_thread(_migrate, database, folder)


def _migrate(database: Database, folder: Path) -> list[Migration]:
    files = _files(folder)
    done = []
    with database.engine.exclusive() as connection:
        # Ignored inside a transaction; and a table cannot be rebuilt while its children hold on to it.
        connection.execute("pragma foreign_keys = off")
        with _locked(connection):
            connection.execute(_LOG)
        for file in files:
            if _apply(connection, file, files):
                done.append(file.version)
        found = _compare(files, _applied(connection))
    database.engine.refresh()
    return [migration for migration in found if migration.version in done]


def new(folder: Path, name: str, now: datetime) -> Path:
    """Create an empty migration, named by the time *now*, and give its path."""
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not slug:
        raise ConfigError(f"{name!r} has no letter or digit to name a file by", cure="turnout db new add_posts")
    folder.mkdir(parents=True, exist_ok=True)
    taken = {file.version for file in _files(folder)}
    while (version := now.strftime("%Y%m%d%H%M%S")) in taken:
        now += timedelta(seconds=1)
    path = folder / f"{version}_{slug}.sql"
    path.write_text(f"-- {slug.replace('_', ' ')}\n")
    return path


async def reset(database: Database, folder: Path) -> list[Migration]:
    """Drop every table and view, with everything in them, and migrate from nothing."""
    return await asyncio.to_thread(_reset, database, folder)


def _reset(database: Database, folder: Path) -> list[Migration]:
    with database.engine.exclusive() as connection:
        connection.execute("pragma foreign_keys = off")
        with _locked(connection):
            for kind in ("trigger", "view", "table"):
                names = connection.execute(
                    "select name from sqlite_schema where type = ? and name not like 'sqlite#_%' escape '#'", (kind,)
                ).fetchall()
                for (name,) in names:
                    connection.execute(drop(kind, name))
    return _migrate(database, folder)


# --- files ---


@dataclass(frozen=True, slots=True)
class _File:
    version: str
    name: str
    path: Path
    text: str
    checksum: str


def _files(folder: Path) -> list[_File]:
    found: dict[str, tuple[str, Path]] = {}
    for path in sorted(folder.glob("*.sql")) if folder.is_dir() else ():
        if path.name == "seed.sql":
            continue
        match = _FILE.match(path.name)
        if match is None:
            raise ConfigError(
                "a migration's name begins with its version", file=path, cure="20261122093000_add_posts.sql"
            )
        if match["dialect"] == "pg":
            continue
        rank, version = match["dialect"] or "", match["version"]
        if version in found and found[version][0] == rank:
            raise ConfigError(
                f"version {version} is taken by {found[version][1].name}",
                file=path,
                cure="give one of them another number",
            )
        if version not in found or rank:
            found[version] = rank, path
    return [
        _read(version, path) for version, (_, path) in sorted(found.items(), key=lambda item: (int(item[0]), item[0]))
    ]


def _read(version: str, path: Path) -> _File:
    try:
        # One form on every machine: some checkouts have other line ends.
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as exc:
        raise ConfigError("a migration is text in UTF-8", file=path, cure="save it as UTF-8") from exc
    match = _FILE.match(path.name)
    assert match is not None
    return _File(version, match["name"], path, text, hashlib.sha256(text.encode()).hexdigest())


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


# --- the database ---


def _applied(connection: sqlite3.Connection) -> dict[str, tuple[str, str, str]]:
    """Version to name, checksum and time."""
    if not connection.execute("select 1 from sqlite_schema where name = '_turnout_migrations'").fetchone():
        return {}
    rows = connection.execute("select version, name, checksum, applied_at from _turnout_migrations").fetchall()
    return {version: (name, checksum, applied_at) for version, name, checksum, applied_at in rows}


def _compare(files: list[_File], applied: dict[str, tuple[str, str, str]]) -> list[Migration]:
    found = [Migration(file.version, file.name, file.path) for file in files if file.version not in applied]
    by_version = {file.version: file for file in files}
    for version, (name, checksum, applied_at) in applied.items():
        file = by_version.get(version)
        moment = f"{applied_at[:10]}T{applied_at[11:]}+00:00"
        changed = file is not None and file.checksum != checksum
        found.append(Migration(version, name, file.path if file else None, moment, changed))
    return sorted(found, key=lambda migration: (int(migration.version), migration.version))


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


def _apply(connection: sqlite3.Connection, file: _File, files: list[_File]) -> bool:
    with _locked(connection):
        applied = _applied(connection)
        _refuse_rewritten(files, applied)
        if file.version in applied:
            return False
        known = set(connection.execute(_COLUMNS).fetchall())
        for line, statement in statements(file.text):
            _run(connection, file, line, statement)
            known = _refuse_types(connection, file, line, known)
        _refuse_orphans(connection, file)
        connection.execute(
            "insert into _turnout_migrations values (?, ?, ?, ?)",
            (file.version, file.name, file.checksum, timestamp_text(datetime.now(UTC).replace(microsecond=0))),
        )
    return True


def _refuse_rewritten(files: list[_File], applied: dict[str, tuple[str, str, str]]) -> None:
    for migration in _compare(files, applied):
        if migration.changed:
            raise ConfigError(
                f"migration {migration.version} was changed after it was applied",
                file=migration.file,
                cure="put the file back as it was, and make the change in a new migration",
            )
        if migration.file is None:
            raise ConfigError(
                f"migration {migration.version}_{migration.name} was applied, and its file is gone",
                cure="put the file back; in development, turnout db reset begins again",
            )


def _run(connection: sqlite3.Connection, file: _File, line: int, statement: str) -> None:
    word = _WORD.match(statement)
    if word and word[0].lower() in _CONTROL:
        raise ConfigError(
            f"{word[0].upper()} has no place in a migration, which is one transaction", file=file.path, line=line,
            cure="leave it out",
        )  # fmt: skip
    try:
        connection.execute(statement)
    except (sqlite3.Error, sqlite3.Warning) as exc:
        raise ConfigError(str(exc), file=file.path, line=line, cure="mend the statement; nothing was applied") from exc
    if not connection.in_transaction:  # "insert or rollback", or a trigger that rolls back
        raise ConfigError("the statement ended the transaction", file=file.path, line=line, cure="leave ROLLBACK out")


def _refuse_types(
    connection: sqlite3.Connection, file: _File, line: int, known: set[tuple[str, str, str]]
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


def _refuse_orphans(connection: sqlite3.Connection, file: _File) -> None:
    orphan = connection.execute("pragma foreign_key_check").fetchone()
    if orphan is not None:
        raise ConfigError(
            f"after it, a row of {orphan[0]} refers to a row of {orphan[2]} that does not exist", file=file.path,
            cure="mend the rows in the same migration",
        )  # fmt: skip
