"""A scoped write on SQLite: the statement, and what runs beside it to see that the policies allow the result.

What existing rows a write may touch is in its WHERE. What it may leave behind is asked of the
rows themselves, after the write and within its transaction, as only they show what defaults,
triggers and subqueries make of it; one that is not allowed undoes everything with 42501.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from msgspec import Struct

from ...errors import DbError
from ..errors import error, not_supported
from ..plan import InsertPlan, UpdatePlan
from ..policy import Command, Guard, guard
from ..schema import Column, Schema, Table
from .policies import Binder, guard_sql
from .rows import Compiled
from .values import Stored, codec


class Statement(Struct, frozen=True):
    """A statement beside a write: its text, and where its values come from."""

    sql: str
    binders: tuple[Binder, ...]

    def bind(self, values: Sequence[Any]) -> list[Stored]:
        """The stored form of every value."""
        return [encode(values[slot]) for slot, encode in self.binders]


class Protected:
    """A write that policies restrict, and the statements that run beside it in its transaction.

    Args:
        entry: The write itself; where it touches existing rows, their policies are in it.
        sql: Its text, giving back the key of every row after what was asked for.
        width: How many columns were asked for.
        check: Counts the rows of one key that the policies do not allow to be there.
        upsert: Whether the row that is in the way may be changed (no row: none is in the way), and
            the check of a row that was not there before.
    """

    __slots__ = ("check", "entry", "most", "one", "reads", "returns", "sql", "table", "upsert", "width")

    def __init__(
        self,
        entry: Compiled,
        table: Table,
        check: Statement,
        upsert: tuple[Statement | None, Statement] | None = None,
    ) -> None:
        self.entry, self.table, self.check, self.upsert = entry, table, check, upsert
        self.reads, self.returns, self.one, self.most = False, entry.returns, entry.one, entry.most
        self.width = len(entry.names)
        verb, rest = entry.sql.split(" ", 1)
        keys = ", ".join(f"{table.quoted}.{key}" for key in _keys(table))
        # "or abort": a table made with "on conflict replace" would remove a hidden row.
        self.sql = f"{verb} or abort {rest}{', ' if entry.returns else ' returning '}{keys}"

    def bind(self, values: Sequence[Any]) -> tuple[list[Stored], Sequence[Any]]:
        """The write's own values, and all of them for the statements beside it."""
        return self.entry.bind(values), values


def protect(entry: Compiled, plan: InsertPlan | UpdatePlan, schema: Schema, role: str, *, reads: bool) -> Protected:
    """*entry*, which *plan* became, with the checks that the policies of *role* ask for.

    Args:
        reads: It filters or gives back rows, so what it writes must be visible too.
    """
    table = plan.table
    if table.kind == "view":
        raise not_supported(f'writing to the view "{table.name}" under row policies')

    def ask(command: Command, part: Literal["using", "check"] = "using") -> Guard:
        return guard(table, schema, role, command, part)

    sees = [ask("select")] if reads else []
    if isinstance(plan, UpdatePlan):
        return Protected(entry, table, _check(table, [ask("update", "check"), *sees]))
    if ask("insert", "check").closed:
        raise _denied(table)  # before a unique violation could tell what is there
    if plan.conflict is None or plan.ignore:
        return Protected(entry, table, _check(table, [ask("insert", "check"), *sees]))
    # An upsert looks for the row that is in the way, so it may only write what it may see.
    sees = [ask("select")]
    fresh = _check(table, [ask("insert", "check"), *sees])
    changed = _check(table, [ask("insert", "check"), ask("update", "check"), *sees])
    return Protected(entry, table, changed, upsert=(_probe(plan, [ask("update"), *sees]), fresh))


def _keys(table: Table) -> list[str]:
    if table.pk:
        return [table.columns[name].quoted for name in table.pk]
    return [next(name for name in ("rowid", "_rowid_", "oid") if name not in {each.lower() for each in table.columns})]


def _check(table: Table, guards: list[Guard]) -> Statement:
    binders: list[Binder] = []
    # "is", since a key may hold NULL; "is not true", since unknown is no yes.
    key = " and ".join(f"t1.{name} is ?" for name in _keys(table))
    allowed = " and ".join(f"({guard_sql(each, 't1', binders)})" for each in guards)
    text = f"select count(*) from {table.quoted} as t1 where {key} and ({allowed}) is not true"
    return Statement(text, tuple(binders))


def _probe(plan: InsertPlan, guards: list[Guard]) -> Statement | None:
    assert plan.conflict is not None
    binders: list[Binder] = []
    for column in plan.conflict:
        if column in plan.columns:
            binders.append((plan.columns.index(column), _store(column)))
        elif column.default is None or column.rowid:
            return None  # NULL, or a new number: nothing can be in the way
        else:
            raise not_supported(f'an upsert under row policies that leaves "{column.name}" to its default')
    key = " and ".join(f"t1.{column.quoted} = ?" for column in plan.conflict)
    allowed: list[Binder] = []
    text = " and ".join(f"({guard_sql(each, 't1', allowed)})" for each in guards)
    return Statement(f"select ({text}) is true from {plan.table.quoted} as t1 where {key}", (*allowed, *binders))


def _store(column: Column) -> Callable[[Any], Stored]:
    store = codec(column.type).store
    return lambda value: None if value is None else store(value)


def run(connection: Any, write: Protected, bound: tuple[list[Stored], Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The rows that *write* touches, as far as they were asked for; 42501 if one of them may not be there."""
    params, values = bound
    check = write.check
    if write.upsert is not None:
        probe, fresh = write.upsert
        there = None if probe is None else connection.execute(probe.sql, probe.bind(values)).fetchone()
        if there is None:
            check = fresh
        elif not there[0]:
            raise _denied(write.table, " (USING expression)")
    rows = connection.execute(write.sql, params).fetchall()
    asked = check.bind(values)
    for row in rows:
        if connection.execute(check.sql, [*row[write.width :], *asked]).fetchone() != (0,):
            raise _denied(write.table)
    return [row[: write.width] for row in rows]


def _denied(table: Table, which: str = "") -> DbError:
    return error("42501", f'new row violates row-level security policy{which} for table "{table.name}"')
