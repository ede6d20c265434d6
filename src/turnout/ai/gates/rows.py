"""The throw-away database of the test bed: sample rows in every table, snapshots, and the way back to them.

Every table gets one row, which belongs to Ada where a column says whose it is; its texts are marks that no program
makes by chance, so a leak is seen by looking for them. A table whose row cannot be guessed stays empty and is named.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...errors import TurnoutError
from .values import NUMBER, UUID

OWNERS = ("user_id", "owner_id", "owner")  # rows that are for their owner alone
AUTHORS = (*OWNERS, "author_id", "created_by")  # rows that others may read and not change
Rows = dict[str, list[dict[str, Any]]]

_ODD_VALUES = {
    "bool": True, "date": "2026-01-02", "time": "03:04:05", "timestamp": "2026-01-02T03:04:05",
    "timestamptz": "2026-01-02T03:04:05Z", "json": {}, "jsonb": {}, "uuid": UUID, "numeric": 7, "float4": 7.0,
    "float8": 7.0,
}  # fmt: skip
_CHOICE = re.compile(r"(\w+)[\"`\]]?\s+in\s*\(\s*('(?:[^']|'')*'|\d+)", re.IGNORECASE)


def mark(table: str, column: str) -> str:
    """The text that the row of *table* has in *column*."""
    return f"mark-{table}-{column}-{NUMBER}"


async def tables() -> dict[str, Any]:
    """The project's own tables, as the database describes them."""
    from ...db import db

    refresh = db.engine.refresh()
    if not isinstance(refresh, bool):
        await refresh
    return {
        name: table
        for name, table in db.engine.schema.tables.items()
        if table.kind == "table" and not name.startswith(("_turnout_", "auth_", "sqlite_"))
    }


async def seed(owner: str | None, choices: str) -> tuple[Rows, list[str]]:
    """Put one row in each table; the rows as they then are, and the tables that stay empty.

    Args:
        owner: The id of the user whose rows they are.
        choices: The text of the migrations: what a check allows is found there.
    """
    from ...db import db

    found = await tables()
    allowed = {name: _literal(value) for name, value in _CHOICE.findall(choices)}
    empty: list[str] = []
    for name in _by_reference(found):
        row = {column.name: _value(column, found, found[name], owner, allowed) for column in _written(found[name])}
        try:
            await db.from_(name).insert({key: value for key, value in row.items() if value is not None})
        except TurnoutError:
            empty.append(name)
    return await snapshot(), empty


def _literal(text: str) -> Any:
    return text[1:-1].replace("''", "'") if text.startswith("'") else int(text)


def _by_reference(found: Mapping[str, Any]) -> list[str]:
    """Names with every table after those that it points at."""
    order: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in order or name not in found or name in above:
            return
        for key in found[name].fks:
            visit(key.table, (*above, name))
        order.append(name)

    for name in found:
        visit(name, ())
    return order


def _written(table: Any) -> Iterable[Any]:
    keys = set(table.pk)
    for column in table.columns.values():
        needed = not column.nullable and column.default is None
        if (
            not column.generated
            and (column.name in keys or needed or column.type.name in ("text", "varchar", "unknown"))
        ) or (column.name in AUTHORS and not column.generated):
            yield column


def _value(column: Any, found: Mapping[str, Any], table: Any, owner: str | None, allowed: Mapping[str, Any]) -> Any:
    for key in table.fks:
        if column.name in key.columns:
            if key.table not in found:  # Turnout's own users
                return owner
            target = found[key.table]
            return _plain(target.columns[key.references[key.columns.index(column.name)]])
    if column.name in AUTHORS:
        return owner if owner is not None and column.type.name not in ("int4", "int8") else NUMBER
    if column.name in allowed:
        return allowed[column.name]
    return _plain(column)


def _plain(column: Any) -> Any:
    kind = column.type.name
    if column.type.array:
        return []
    if kind in ("int2", "int4", "int8"):
        return NUMBER
    if kind in _ODD_VALUES:
        return _ODD_VALUES[kind]
    if kind == "bytea":
        return None
    text = f"{column.table}-{NUMBER}@example.com" if "email" in column.name else mark(column.table, column.name)
    return text[: column.type.args[0]] if kind == "varchar" and column.type.args else text


async def snapshot() -> Rows:
    """Every row of the project's tables and of the users."""
    from ...db import db

    names = [f'"{name}"' for name in await tables()]
    users = "auth.users" if db.dialect == "postgres" else "auth_users"
    rows: Rows = {}
    for name in [*names, users]:
        try:
            rows[name.strip('"')] = [dict(row) for row in await db.sql("select * from " + name)]
        except TurnoutError:
            continue  # a project without users has no table of them
    return rows


def changed(before: Rows, after: Rows) -> list[tuple[str, dict[str, Any]]]:
    """The rows of *after* that *before* does not have, with their tables."""
    return [(name, row) for name, rows in after.items() for row in rows if row not in before.get(name, [])]


def lost(before: Rows, after: Rows) -> list[tuple[str, dict[str, Any]]]:
    """The rows of *before* that are gone or no longer the same."""
    return changed(after, before)


def sizes(rows: Rows) -> dict[str, int]:
    """How many rows each table has."""
    return {name: len(found) for name, found in rows.items()}


class Kept:
    """A database that can be put back as it was: a file on SQLite, a template on PostgreSQL.

    Putting back costs a copy, so it is done only where something was written since the last time.
    """

    def __init__(self, folder: Path, server: Any | None) -> None:
        self.folder, self.server = folder, server
        self.count, self.name = 0, f"bed_{secrets.token_hex(4)}"  # the server outlives one gate
        self.template = ""
        self._mark: Any = None
        self._admin: Any = None

    @property
    def url(self) -> str:
        """The address of the database in use."""
        return str(self.folder / "app.db") if self.server is None else self.server.url(f"{self.name}_{self.count}")

    async def open_empty(self) -> None:
        """An empty database."""
        from ...db import db

        await db.close()
        if self.server is None:
            self._remove()
        else:
            await self._create("template0")
        db.configure(self.url)
        os.environ["DATABASE_URL"] = self.url

    async def keep(self) -> None:
        """Remember the database as it is now."""
        from ...db import db

        await db.close()
        if self.server is None:
            if (self.folder / "app.db").exists():
                shutil.copyfile(self.folder / "app.db", self.folder / "kept.db")
        else:
            self.template = f"{self.name}_{self.count}"
            await self._create(self.template)
        db.configure(self.url)
        self._mark = await self._writes()

    async def restore(self) -> None:
        """Put back what ``keep`` remembered."""
        from ...db import db

        if self._mark == await self._writes():
            return
        await db.close()
        if self.server is None:
            self._remove()
            if (self.folder / "kept.db").exists():
                shutil.copyfile(self.folder / "kept.db", self.folder / "app.db")
        else:
            before = f"{self.name}_{self.count}"
            await self._create(self.template)
            await self._admin.execute(f"drop database {before} with (force)")
        db.configure(self.url)
        self._mark = await self._writes()

    async def close(self) -> None:
        """Let go of it."""
        from ...db import db

        await db.close()
        if self._admin is not None:
            await self._admin.close()

    async def _writes(self) -> Any:
        """Something that is another after each write."""
        if self.server is not None:
            # A transaction gets a number when it first writes.
            return await self._admin.fetchval("select pg_snapshot_xmax(pg_current_snapshot())::text")
        files = [self.folder / "app.db", self.folder / "app.db-wal"]
        return [
            (file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.exists() and file.stat().st_size
        ]

    def _remove(self) -> None:
        for ending in ("", "-wal", "-shm"):
            (self.folder / f"app.db{ending}").unlink(missing_ok=True)

    async def _create(self, template: str) -> None:
        import asyncpg

        assert self.server is not None
        self.count += 1
        if self._admin is None:
            self._admin = await asyncpg.connect(self.server.url())
        await self._admin.execute(f"create database {self.name}_{self.count} template {template}")
