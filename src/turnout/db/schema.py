"""Tables, columns and keys as the database has them; the only home of a quoted name.

``Schema`` is plain data that any engine can fill; ``load_sqlite`` reads it through pragmas,
``introspect.py`` from PostgreSQL's catalogue. In SQLite the declared type name of a column *is*
its logical type, as SQLite keeps the words but not their meaning. Look-ups are by exact case,
though SQLite's own are not, because PostgreSQL's are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

if TYPE_CHECKING:
    import sqlite3

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\Z")


def quote(name: str) -> str:
    """*name* as an SQL identifier; only this module and ``sql/`` may call it."""
    if "\0" in name:
        raise ValueError("a name may not hold NUL")
    return '"' + name.replace('"', '""') + '"'


class Type(msgspec.Struct, frozen=True, eq=False):
    """A logical type: PostgreSQL's internal name, its arguments, and whether it is an array of them.

    Args:
        cast: How PostgreSQL spells it in a cast, without its arguments; "" for the name alone.
        read: What it is read as there: ``text`` or ``json`` where the driver has no plain value for it.
    """

    name: str
    args: tuple[int, ...] = ()
    array: bool = False
    cast: str = ""
    read: Literal["", "text", "json"] = ""

    def __eq__(self, other: object) -> bool:
        """How one is cast and read follows from what it is."""
        if not isinstance(other, Type):
            return NotImplemented
        return self.name == other.name and self.args == other.args and self.array == other.array

    def __ne__(self, other: object) -> bool:
        return not self == other  # Struct's own compares every field, or nothing

    def __hash__(self) -> int:
        return hash((self.name, self.args, self.array))

    def __str__(self) -> str:
        args = f"({','.join(map(str, self.args))})" if self.args else ""
        return self.name + args + ("[]" if self.array else "")


UNKNOWN = Type("unknown")
_ALIASES = {
    "smallint": "int2", "int2": "int2", "smallserial": "int2", "integer": "int4", "int": "int4", "int4": "int4",
    "serial": "int4", "bigint": "int8", "int8": "int8", "bigserial": "int8", "real": "float4", "float4": "float4",
    "double precision": "float8", "float8": "float8", "float": "float8", "numeric": "numeric", "decimal": "numeric",
    "boolean": "bool", "bool": "bool", "text": "text", "varchar": "varchar", "character varying": "varchar",
    "uuid": "uuid", "date": "date", "time": "time", "time without time zone": "time", "timestamp": "timestamp",
    "timestamp without time zone": "timestamp", "timestamptz": "timestamptz",
    "timestamp with time zone": "timestamptz", "json": "json", "jsonb": "jsonb", "bytea": "bytea", "blob": "bytea",
}  # fmt: skip
_TYPE = re.compile(r"([a-z][a-z0-9_ ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*(\[\s*\])?\Z")


def parse_type(declared: str) -> Type | None:
    """The logical type of a declaration such as ``numeric(10,2)``, or None for one we do not know."""
    match = _TYPE.match(" ".join(declared.lower().split()))
    if match is None or match[1] not in _ALIASES:
        return None
    name = _ALIASES[match[1]]
    args = tuple(int(arg) for arg in (match[2], match[3]) if arg is not None)
    if len(args) > {"numeric": 2, "varchar": 1}.get(name, 0):
        return None
    return Type(name, args, match[4] is not None)


class Column(Struct, frozen=True):
    """One column.

    Args:
        nullable: NULL may be stored.
        default: The default's SQL text, or None.
        generated: The database computes it; it cannot be written.
        rowid: SQLite's ``integer primary key``, which numbers itself.
    """

    table: str
    name: str
    type: Type
    nullable: bool = True
    default: str | None = None
    generated: bool = False
    rowid: bool = False
    quoted: str = ""  # made of the names

    def __post_init__(self) -> None:
        force_setattr(self, "quoted", quote(self.name))


class ForeignKey(Struct, frozen=True):
    """*columns* point at *references* of *table*."""

    name: str
    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...]


class Table(Struct, frozen=True):
    """One table or view; *schema* is PostgreSQL's, "" elsewhere, and *rls* that its row-level security is on."""

    name: str
    kind: Literal["table", "view"]
    columns: dict[str, Column]
    pk: tuple[str, ...] = ()
    uniques: tuple[tuple[str, ...], ...] = ()
    fks: tuple[ForeignKey, ...] = ()
    schema: str = ""
    rls: bool = False
    quoted: str = ""  # made of the names

    def __post_init__(self) -> None:
        space = f"{quote(self.schema)}." if self.schema else ""
        force_setattr(self, "quoted", space + quote(self.name))


class Argument(Struct, frozen=True):
    """One argument of a function; *optional* when it has a default."""

    name: str
    type: Type
    optional: bool = False
    variadic: bool = False


class Function(Struct, frozen=True):
    """One stored function.

    Args:
        many: It returns a set of rows.
        table: The table whose rows it returns, if it is one.
        columns: The columns of what it returns otherwise, when it returns rows; else empty.
        type: What it returns when that is a plain value.
        writes: It may change something, so that a GET must not call it.
    """

    schema: str
    name: str
    arguments: tuple[Argument, ...]
    many: bool = False
    table: str | None = None
    columns: dict[str, Column] = msgspec.field(default_factory=dict)
    type: Type = UNKNOWN
    writes: bool = True
    quoted: str = ""  # made of the names

    def __post_init__(self) -> None:
        force_setattr(self, "quoted", f"{quote(self.schema)}.{quote(self.name)}")


class Schema(Struct, frozen=True, eq=False, weakref=True):
    """Every table by name; *version* changes whenever a table does. *functions* holds the overloads of each name."""

    tables: dict[str, Table]
    version: int = 0
    engine: Literal["sqlite", "postgres"] = "sqlite"
    functions: dict[str, tuple[Function, ...]] = msgspec.field(default_factory=dict)


def load_sqlite(connection: sqlite3.Connection) -> Schema:
    """Read the schema; the connection must be in no transaction that changes it."""
    version = int(connection.execute("pragma schema_version").fetchone()[0])
    listed = connection.execute(
        "select name, type, wr from pragma_table_list where schema = 'main' and type in ('table', 'view')"
        " and name not like 'sqlite#_%' escape '#' order by name"
    ).fetchall()
    tables = {name: _load_table(connection, name, kind, bool(wr)) for name, kind, wr in listed}
    return Schema(tables, version)


def _load_table(connection: sqlite3.Connection, name: str, kind: str, without_rowid: bool) -> Table:
    info = connection.execute(
        'select name, type, "notnull", dflt_value, pk, hidden from pragma_table_xinfo(?)', (name,)
    )
    rows = [row for row in info.fetchall() if row[5] != 1]  # 1: a hidden column of a virtual table
    keys = sorted((row[4], row[0]) for row in rows if row[4])
    alias = _rowid(rows) if kind == "table" and not without_rowid else None
    columns = {
        column: Column(
            name,
            column,
            # SQLite numbers rows in 64 bits whatever the word is.
            Type("int8") if column == alias else parse_type(declared) or UNKNOWN,
            nullable=not (notnull or pk),
            default=default,
            generated=hidden in (2, 3),
            rowid=column == alias,
        )
        for column, declared, notnull, default, pk, hidden in rows
    }
    return Table(
        name,
        "view" if kind == "view" else "table",
        columns,
        tuple(column for _, column in keys),
        tuple(_uniques(connection, name)),
        tuple(_foreign_keys(connection, name)),
    )


def _rowid(rows: Iterable[tuple[str, str, int, str | None, int, int]]) -> str | None:
    """The name of the column that is the rowid: the only key, and declared exactly ``INTEGER``."""
    keys = [(name, declared) for name, declared, _, _, pk, _ in rows if pk]
    return keys[0][0] if len(keys) == 1 and keys[0][1].upper() == "INTEGER" else None


def _uniques(connection: sqlite3.Connection, table: str) -> Iterable[tuple[str, ...]]:
    found = connection.execute(
        'select name from pragma_index_list(?) where "unique" = 1 and partial = 0 order by seq', (table,)
    ).fetchall()
    for (index,) in found:
        names = connection.execute("select name from pragma_index_info(?) order by seqno", (index,)).fetchall()
        if all(name is not None for (name,) in names):  # None: an index on an expression
            yield tuple(name for (name,) in names)


def _foreign_keys(connection: sqlite3.Connection, table: str) -> Iterable[ForeignKey]:
    found = connection.execute(
        'select id, "table", "from", "to" from pragma_foreign_key_list(?) order by id, seq', (table,)
    ).fetchall()
    ddl = connection.execute("select sql from sqlite_master where type = 'table' and name = ?", (table,)).fetchone()
    names = _constraint_names(ddl[0]) if found and ddl and ddl[0] else {}
    for number in sorted({row[0] for row in found}):
        rows = [row for row in found if row[0] == number]
        target, columns = rows[0][1], tuple(row[2] for row in rows)
        references = tuple(row[3] for row in rows)
        if None in references:  # "references users" alone means its primary key
            keys = connection.execute("select name from pragma_table_xinfo(?) where pk > 0 order by pk", (target,))
            references = tuple(name for (name,) in keys.fetchall())
        # SQLite keeps a constraint's name in its text only; without one, PostgreSQL's default stands in.
        yield ForeignKey(names.get(columns) or f"{table}_{'_'.join(columns)}_fkey", columns, target, references)


_WORD = r'(?:"(?:[^"]|"")*"|[A-Za-z_]\w*)'
# Texts, which re compiles at the first foreign key that has to be named, and keeps: most tables have none.
_IGNORED = r"(?s)'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/"
_NAMED_TABLE = rf"(?i)\bconstraint\s+({_WORD})\s+foreign\s+key\s*\(([^)]*)\)"
_NAMED_COLUMN = rf"(?i)[(,]\s*({_WORD})\s[^,()]*(?:\([^()]*\)[^,()]*)*?\bconstraint\s+({_WORD})\s+references\b"


def _constraint_names(ddl: str) -> dict[tuple[str, ...], str]:
    """The names that CREATE TABLE gives to foreign keys, by their columns."""
    text = re.sub(_IGNORED, " ", ddl)
    named = re.findall(_NAMED_COLUMN, text)
    found: dict[tuple[str, ...], str] = {(_bare(column),): _bare(name) for column, name in named}
    for name, columns in re.findall(_NAMED_TABLE, text):
        found[tuple(_bare(column) for column in columns.split(","))] = _bare(name)
    return found


def _bare(name: str) -> str:
    name = name.strip()
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
