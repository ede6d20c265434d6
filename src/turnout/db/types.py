"""Typed rows: the file ``lib/db_types.py`` that ``turnout db types`` writes, and what it is made of.

For every table there is a TypedDict of a row, of what an insert takes and of what an update takes;
``from_`` has an overload for each. So ``from lib.db_types import db`` gives the same database, and
an editor knows the columns of ``db.from_("posts").select()``. A select that names its columns gives
plain dicts: what a text means, types cannot say.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, LiteralString, Protocol, TypeVar, overload

from .schema import Column, Schema, Table, Type

if TYPE_CHECKING:
    from .ast import Count
    from .build import Query, Row, Rows
    from .database import Database

R = TypeVar("R")
I = TypeVar("I", contravariant=True)  # noqa: E741
U = TypeVar("U", contravariant=True)


class TypedTable(Protocol[R, I, U]):
    """``From`` for a table whose rows are *R*, which takes *I* to insert and *U* to update."""

    @overload  # "*" is a str too, and the first that fits is meant
    def select(  # type: ignore[overload-overlap]
        self, columns: Literal["*"] = "*", *, count: Count | None = None, head: bool = False
    ) -> Query[Rows[R]]: ...
    @overload
    def select(self, columns: str, *, count: Count | None = None, head: bool = False) -> Query[Rows[Row]]: ...
    def insert(self, rows: I | Sequence[I], *, only: Sequence[str] | None = None) -> Query[Rows[R]]:
        """As :meth:`.build.From.insert`."""

    def upsert(
        self,
        rows: I | Sequence[I],
        *,
        on_conflict: str | None = None,
        ignore_duplicates: bool = False,
        only: Sequence[str] | None = None,
    ) -> Query[Rows[R]]:
        """As :meth:`.build.From.upsert`."""

    def update(self, patch: U, *, only: Sequence[str] | None = None) -> Query[Rows[R]]:
        """As :meth:`.build.From.update`."""

    def delete(self) -> Query[Rows[R]]:
        """As :meth:`.build.From.delete`."""


class Queries(Protocol):
    """What a database and a transaction have besides their tables."""

    def sql(self, statement: LiteralString, /, **values: Any) -> Query[Rows[Row]]:
        """As :meth:`.database.Database.sql`."""

    def rpc(self, function: str, args: dict[str, Any] | None = None) -> Query[Any]:
        """As :meth:`.database.Database.rpc`."""


_READ = {
    "int2": "int", "int4": "int", "int8": "int", "float4": "float", "float8": "float", "numeric": "Decimal",
    "bool": "bool", "json": "Any", "jsonb": "Any", "unknown": "Any",
}  # fmt: skip
_TEXTS = {"text", "varchar", "bpchar", "name", "citext", "uuid", "date", "time", "timestamp", "timestamptz", "bytea"}
_WRITTEN = {
    "numeric": "Decimal | int | float | str", "uuid": "UUID | str", "date": "date | str", "time": "time | str",
    "timestamp": "datetime | str", "timestamptz": "datetime | str", "bytea": "bytes | str",
}  # fmt: skip
_HEAD = '''"""The tables of the database as types: written by ``turnout db types``, not to be edited."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Literal, NotRequired, Protocol, TypedDict, cast, overload
from uuid import UUID

from turnout.db import db as _db
from turnout.db.types import Queries, TypedTable

__all__ = ["db"]
'''
_FOOT = """
    def transaction(self) -> AbstractAsyncContextManager[Database]: ...


db = cast("Database", _db)
"""


async def load(db: Database) -> Schema:
    """The schema of *db* as it is now."""
    fresh = db.engine.refresh()
    if not isinstance(fresh, bool):
        await fresh
    return db.engine.schema


def generate(schema: Schema) -> str:
    """The text of ``lib/db_types.py``."""
    tables = [schema.tables[name] for name in sorted(schema.tables) if not name.startswith(("_turnout_", "sqlite_"))]
    names = _class_names(tables)
    parts = [_HEAD]
    for table in tables:
        columns = list(table.columns.values())
        written = [column for column in columns if not column.generated]
        parts += _typed_dict(f"{names[table.name]}Row", [(column.name, _read(column), True) for column in columns])
        parts += _typed_dict(
            f"{names[table.name]}Insert", [(column.name, _written(column), _needed(column)) for column in written]
        )
        parts += _typed_dict(
            f"{names[table.name]}Update", [(column.name, _written(column), False) for column in written]
        )
    parts.append("\n\nclass Database(Queries, Protocol):")
    parts.append('    """The database, with its tables."""\n')
    for method in ("from_", "table"):
        for table in tables:
            if len(tables) > 1:
                parts.append("    @overload")
            kind = names[table.name]
            parts.append(
                f"    def {method}(self, table: Literal[{table.name!r}])"
                f" -> TypedTable[{kind}Row, {kind}Insert, {kind}Update]: ..."
            )
    return "\n".join(parts) + "\n" + _FOOT


def _class_names(tables: Sequence[Table]) -> dict[str, str]:
    names: dict[str, str] = {}
    for table in tables:
        words = re.findall(r"[^\W_]+", table.name)
        name = "".join(word[:1].upper() + word[1:] for word in words) or "Table"
        name = f"T{name}" if not name.isidentifier() else name
        while name in names.values() or name == "Database":
            name += "_"
        names[table.name] = name
    return names


def _typed_dict(name: str, fields: Sequence[tuple[str, str, bool]]) -> Iterator[str]:
    spelled = [(key, kind if needed else f"NotRequired[{kind}]") for key, kind, needed in fields]
    if spelled and all(
        key.isidentifier() and not keyword.iskeyword(key) and not key.startswith("__") for key, _ in spelled
    ):
        yield f"\n\nclass {name}(TypedDict):"
        yield from (f"    {key}: {kind}" for key, kind in spelled)
    else:
        yield f"\n\n{name} = TypedDict({name!r}, {{"
        yield from (f"    {key!r}: {kind!r}," for key, kind in spelled)
        yield "})"


def _needed(column: Column) -> bool:
    return not (column.nullable or column.rowid or column.generated or column.default is not None)


def _read(column: Column) -> str:
    return _nullable(_of(column.type, _READ), column)


def _written(column: Column) -> str:
    return _nullable(_of(column.type, {**_READ, **_WRITTEN}), column)


def _of(type_: Type, names: dict[str, str]) -> str:
    name = names.get(type_.name) or ("str" if type_.name in _TEXTS or type_.read == "text" else "Any")
    return f"list[{_union(name, 'None')}]" if type_.array else name


def _nullable(name: str, column: Column) -> str:
    return _union(name, "None") if column.nullable and not column.rowid else name


def _union(name: str, other: str) -> str:
    return name if name == "Any" else f"{name} | {other}"
