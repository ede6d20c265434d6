"""Names to schema objects: the only gate between what was asked and SQL.

Every name of the AST is looked up in the schema (unknown: an error, never text in a statement),
every output gets one name, sizes and depths are checked. Compilers receive plans only, so a
compiler has no raw name to misuse. Row policies will join here, being added to every table that
a plan touches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from . import ast
from .errors import error
from .schema import NAME, Column, Schema, Table

MAX_FILTERS, MAX_DEPTH = 200, 20


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison on a column that exists."""

    column: Column
    op: ast.Op
    slot: int
    word: ast.Is | None
    negated: bool
    wire: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """Conditions joined by ``and`` or ``or``."""

    kind: Literal["and", "or"]
    items: tuple[Condition | Tree, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """A column and the name it has in the answer, which passed ``schema.NAME`` or is the column's own."""

    name: str
    column: Column


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort key; the place of NULL is decided."""

    column: Column
    desc: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class SelectPlan:
    """Rows to read."""

    table: Table
    outputs: tuple[Output, ...]
    where: Tree
    order: tuple[Sort, ...]
    limit: int
    offset: int
    count: bool
    head: bool
    one: bool


@dataclass(frozen=True, slots=True)
class InsertPlan:
    """One row to write; *conflict* is None, or the columns that make it a duplicate."""

    table: Table
    columns: tuple[Column, ...]
    conflict: tuple[Column, ...] | None
    ignore: bool
    returning: tuple[Output, ...] | None


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Rows to change."""

    table: Table
    columns: tuple[Column, ...]
    where: Tree
    returning: tuple[Output, ...] | None


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """Rows to remove."""

    table: Table
    where: Tree
    returning: tuple[Output, ...] | None


Plan = SelectPlan | InsertPlan | UpdatePlan | DeletePlan


def plan(statement: ast.Statement, schema: Schema) -> Plan:
    """Resolve *statement* against *schema*, or raise DbError."""
    table = schema.tables.get(statement.table)
    if table is None:
        raise error("42P01", f'relation "{statement.table[:63]}" does not exist', hint=_near(statement.table, schema))
    match statement:
        case ast.Select():
            return _select(statement, table)
        case ast.Insert():
            return _insert(statement, table)
        case ast.Update():
            columns = tuple(_written(table, name) for name in statement.columns)
            if not columns:
                raise error("PGRST102", f'the update of "{table.name}" sets nothing')
            return UpdatePlan(table, columns, _tree(statement.where, table), _returning(statement.returning, table))
        case ast.Delete():
            return DeletePlan(table, _tree(statement.where, table), _returning(statement.returning, table))


def _near(name: str, schema: Schema) -> str | None:
    same = [table for table in schema.tables if table.lower() == name.lower()]
    return f'perhaps you meant "{same[0]}"' if same else None


def _select(statement: ast.Select, table: Table) -> SelectPlan:
    sorts = tuple(
        Sort(_column(table, key.path), key.desc, key.desc if key.nulls is None else key.nulls == "first")
        for key in statement.order
    )
    return SelectPlan(
        table,
        _outputs(statement.items, table),
        _tree(statement.where, table),
        sorts,
        statement.limit,
        statement.offset,
        statement.count is not None,
        statement.head,
        statement.one,
    )


def _insert(statement: ast.Insert, table: Table) -> InsertPlan:
    columns = tuple(_written(table, name) for name in statement.columns)
    for name in table.pk:
        key = table.columns[name]
        if name not in statement.columns and not key.rowid and key.default is None and table.kind == "table":
            # SQLite itself would store NULL in the primary key.
            raise error(
                "23502",
                f'null value in column "{name}" of relation "{table.name}" violates not-null constraint',
                hint=f'give "{name}" a value, a default, or the type "integer primary key", which numbers itself',
            )
    conflict = None
    if statement.conflict is not None:
        names = statement.conflict.columns or table.pk
        if not names:
            raise error("42P10", f'"{table.name}" has no primary key: name the columns with on_conflict=')
        conflict = tuple(_known(table, name) for name in names)
    ignore = statement.conflict is not None and statement.conflict.ignore
    return InsertPlan(table, columns, conflict, ignore, _returning(statement.returning, table))


def _known(table: Table, name: str) -> Column:
    column = table.columns.get(name)
    if column is None:
        near = [other for other in table.columns if other.lower() == name.lower()]
        raise error(
            "42703",
            f"column {table.name}.{name[:63]} does not exist",
            hint=f'perhaps you meant "{near[0]}"' if near else None,
        )
    return column


def _column(table: Table, path: ast.Path) -> Column:
    if path.steps:
        raise error("PGRST127", "a path into a JSON column is not supported yet")
    return _known(table, path.column)


def _written(table: Table, name: str) -> Column:
    column = table.columns.get(name)
    if column is None:
        raise error("PGRST204", f"Could not find the '{name[:63]}' column of '{table.name}' in the schema cache")
    if column.generated:
        raise error("428C9", f'column "{name}" is computed by the database and cannot be written')
    return column


def _returning(returning: ast.Returning | None, table: Table) -> tuple[Output, ...] | None:
    return None if returning is None else _outputs(returning.items, table)


def _outputs(items: tuple[ast.Item, ...], table: Table) -> tuple[Output, ...]:
    outputs: dict[str, Output] = {}
    for item in items:
        for output in _expand(item, table):
            if outputs.setdefault(output.name, output) != output:
                raise error("42701", f'two columns of the answer are named "{output.name}"', hint="alias:column")
    return tuple(outputs.values())


def _expand(item: ast.Item, table: Table) -> list[Output]:
    match item:
        case ast.Star():
            return [Output(column.name, column) for column in table.columns.values()]
        case ast.Embed():
            raise error("PGRST127", f'the embedded relation "{item.relation[:63]}" is not supported yet')
        case ast.Column():
            if item.cast or item.aggregate:
                raise error("PGRST127", "casts and aggregates in a select list are not supported yet")
            if item.alias is not None and not NAME.match(item.alias):
                raise error("PGRST100", f"{item.alias[:63]!r} is not a name")
            column = _column(table, item.path)
            return [Output(item.alias or column.name, column)]


def _tree(logic: ast.Logic, table: Table) -> Tree:
    if _size(logic, 0) > MAX_FILTERS:
        raise error("54000", f"more than {MAX_FILTERS} filters in one query", status=400)
    return _branch(logic, table)


def _size(logic: ast.Logic, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise error("54001", f"filters nested deeper than {MAX_DEPTH}", status=400)
    return sum(_size(item, depth + 1) if isinstance(item, ast.Logic) else 1 for item in logic.items)


def _branch(logic: ast.Logic, table: Table) -> Tree:
    return Tree(
        logic.kind,
        tuple(_branch(item, table) if isinstance(item, ast.Logic) else _condition(item, table) for item in logic.items),
        logic.negated,
    )


def _condition(cond: ast.Cond, table: Table) -> Condition:
    column = _column(table, cond.path)
    type_ = column.type
    if cond.op in ("like", "ilike") and (type_.array or type_.name not in ("text", "varchar", "unknown")):
        raise error("42883", f"operator does not exist: {type_} ~~ text", hint=f'"{column.name}" is not text')
    if cond.op == "is" and cond.word in ("true", "false", "unknown") and type_.name != "bool":
        raise error("42804", f'argument of IS {cond.word.upper()} must be boolean, and "{column.name}" is {type_}')
    if cond.op in ("contains", "contained_by", "overlaps") and not (type_.array or type_.name == "jsonb"):
        raise error("42883", f"operator does not exist: {type_} @> unknown", hint=f'"{column.name}" is not an array')
    return Condition(column, cond.op, cond.slot, cond.word, cond.negated, cond.wire)
