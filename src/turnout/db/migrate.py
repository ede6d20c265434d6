"""Migrations: plain SQL files, applied forward, each in one transaction.

``migrations/20261122093000_add_posts.sql``; the leading digits are the version and the order. Where the
engines differ, ``name.sqlite.sql`` and ``name.pg.sql`` stand beside or instead of ``name.sql``.
A file that was applied must not change: its checksum is kept in ``_turnout_migrations``. There is
no diffing, no translation and no way back; a mistake is mended by another migration. How each
engine does it is in ``exec/migrate_sqlite.py`` and ``exec/migrate_postgres.py``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from .migration_files import Migration, new, read_files, seed_file

if TYPE_CHECKING:
    from .database import Database
    from .exec.postgres import PostgresEngine
    from .exec.sqlite import SqliteEngine


async def status(database: Database, folder: Path) -> list[Migration]:
    """Every migration in order, applied or not; writes nothing."""
    files = read_files(folder, database.dialect)
    if database.dialect == "postgres":
        from .exec import migrate_postgres

        return await migrate_postgres.status(_postgres(database), files)
    from .exec import migrate_sqlite

    return await asyncio.to_thread(migrate_sqlite.status, _sqlite(database), files)


async def migrate(database: Database, folder: Path) -> list[Migration]:
    """Apply what is pending, and give what was applied.

    Safe with several processes at once: one migrates, the others wait and then look again.

    Raises:
        ConfigError: with file and line; the migration that failed has left nothing behind,
            those before it stay.
    """
    files = read_files(folder, database.dialect)
    if database.dialect == "postgres":
        from .exec import migrate_postgres

        return await migrate_postgres.migrate(_postgres(database), files)
    from .exec import migrate_sqlite

    return await asyncio.to_thread(migrate_sqlite.migrate, _sqlite(database), files)


async def reset(database: Database, folder: Path) -> list[Migration]:
    """Drop everything in the database, and migrate from nothing."""
    if database.dialect == "postgres":
        from .exec import migrate_postgres

        await migrate_postgres.clear(_postgres(database))
    else:
        from .exec import migrate_sqlite

        await asyncio.to_thread(migrate_sqlite.clear, _sqlite(database))
    return await migrate(database, folder)


async def seed(database: Database, folder: Path) -> Path | None:
    """Run the seed file of *folder* in one transaction, and give its path; None if there is none."""
    path = seed_file(folder, database.dialect)
    if path is None:
        return None
    if database.dialect == "postgres":
        from .exec import migrate_postgres

        await migrate_postgres.seed(_postgres(database), path)
    else:
        from .exec import migrate_sqlite

        await asyncio.to_thread(migrate_sqlite.seed, _sqlite(database), path)
    return path


def _postgres(database: Database) -> PostgresEngine:
    from .exec.postgres import PostgresEngine

    engine = database.engine
    assert isinstance(engine, PostgresEngine)
    return engine


def _sqlite(database: Database) -> SqliteEngine:
    from .exec.sqlite import SqliteEngine

    engine = database.engine
    assert isinstance(engine, SqliteEngine)
    return engine


__all__ = ["Migration", "migrate", "new", "reset", "seed", "status"]
