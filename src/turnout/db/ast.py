"""The query as immutable values: what was asked, without the values asked about.

Frozen records, no behaviour. Two fronts write them (the builder, and text in PostgREST's
grammar), ``plan.py`` alone reads them. A value is never in here: a node holds a *slot*, the
index of its value in a tuple kept beside the tree. So two queries that differ only in their
values are equal, and share one compiled statement.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Op = Literal[
    "eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch", "is", "isdistinct", "in", "contains",
    "contained_by", "overlaps", "fts", "plfts", "phfts", "wfts", "sl", "sr", "nxl", "nxr", "adj",
]  # fmt: skip
Quantifier = Literal["any", "all"]
Count = Literal["exact", "planned", "estimated"]
Aggregate = Literal["count", "sum", "avg", "min", "max"]
Is = Literal["null", "not_null", "true", "false", "unknown"]
OPS: frozenset[str] = frozenset(Op.__args__)  # type: ignore[attr-defined]
IS_WORDS: frozenset[str] = frozenset(Is.__args__)  # type: ignore[attr-defined]
QUANTIFIED = frozenset({"eq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch"})
TEXT_SEARCH = frozenset({"fts", "plfts", "phfts", "wfts"})
AGGREGATES: frozenset[str] = frozenset(Aggregate.__args__)  # type: ignore[attr-defined]


class Path(Struct, frozen=True):
    """A column, or a place inside a JSON column: ``data->a->>0`` has the steps ``"a"`` and ``0``."""

    column: str
    steps: tuple[str | int, ...] = ()
    as_text: bool = False


class Cond(Struct, frozen=True):
    """One comparison. *slot* is the index of its value; ``is`` has a *word* instead.

    Args:
        wire: The value came as PostgREST text, where ``*`` is a wildcard too.
        quantifier: The value is a list, and the comparison holds for ``any`` or ``all`` of it.
        config: The text search configuration, ``english``.
    """

    path: Path
    op: Op
    slot: int = -1
    word: Is | None = None
    negated: bool = False
    wire: bool = False
    quantifier: Quantifier | None = None
    config: str | None = None


class Logic(Struct, frozen=True):
    """Conditions joined by one word; no items means true for ``and``, false for ``or``."""

    kind: Literal["and", "or"]
    items: tuple[Cond | Logic, ...]
    negated: bool = False


class Column(Struct, frozen=True):
    """One output column: ``alias:path::cast.aggregate()::result``; ``count()`` has the path ``*``."""

    path: Path
    alias: str | None = None
    cast: str | None = None
    aggregate: Aggregate | None = None
    result: str | None = None


class Star(Struct, frozen=True):
    """Every column of the table."""


class Embed(Struct, frozen=True):
    """Rows of a related table inside each row: ``alias:relation!hint!inner(…)``."""

    relation: str
    query: Select
    alias: str | None = None
    hint: str | None = None
    inner: bool = False
    spread: bool = False


class Order(Struct, frozen=True):
    """One sort key; *nulls* is None for PostgreSQL's default: last when rising, first when falling.

    Args:
        relation: The embedded relation whose column it is, ``author(name)``.
    """

    path: Path
    desc: bool = False
    nulls: Literal["first", "last"] | None = None
    relation: str | None = None


Item = Column | Star | Embed


class Select(Struct, frozen=True):
    """Rows of one table.

    Args:
        limit: The slot of the greatest number of rows, or -1.
        offset: The slot of the number of rows to skip, or -1.
        one: The caller wants a single row; several are an error.
        call: *table* is the name of a function, called with these arguments in the slots 0, 1, …
        explain: The options of EXPLAIN, when it is the plan that is asked for.
    """

    table: str
    items: tuple[Item, ...] = (Star(),)
    where: Logic = Logic("and", ())
    order: tuple[Order, ...] = ()
    limit: int = -1
    offset: int = -1
    count: Count | None = None
    head: bool = False
    one: bool = False
    call: tuple[str, ...] | None = None
    explain: tuple[str, ...] = ()


class Returning(Struct, frozen=True):
    """What a mutation gives back of each row that it touched."""

    items: tuple[Item, ...] = (Star(),)


class Form(Struct, frozen=True):
    """How a statement from the wire is planned, and what its answer is made of.

    Args:
        aggregates: ``count()`` and its like may be asked for.
        body: ``json`` and ``object`` (of one row) may come as text that the database has made; ``rows`` never do.
        strip: Leave out what is null; only of text.
    """

    aggregates: bool = False
    body: Literal["json", "object", "rows"] = "rows"
    strip: bool = False


class Conflict(Struct, frozen=True):
    """What to do when a row is already there; no columns means the primary key.

    Args:
        ignore: Leave it as it is.
        updates: What it takes from the new row, defaults included; if None, the columns that are given.
    """

    columns: tuple[str, ...] = ()
    ignore: bool = False
    updates: tuple[str, ...] | None = None


class Insert(Struct, frozen=True):
    """One row; its values are in the slots 0, 1, … in the order of *columns*.

    Several rows are several executions of one of these, so that every row may leave out
    other columns and still get their defaults.
    """

    table: str
    columns: tuple[str, ...]
    conflict: Conflict | None = None
    returning: Returning | None = None


class Update(Struct, frozen=True):
    """New values for every row that matches; they are in the slots 0, 1, … in the order of *columns*.

    Args:
        most: The slot of the greatest number of rows it may touch, or -1.
    """

    table: str
    columns: tuple[str, ...]
    where: Logic
    returning: Returning | None = None
    most: int = -1


class Delete(Struct, frozen=True):
    """Remove every row that matches; *most* as for an update."""

    table: str
    where: Logic
    returning: Returning | None = None
    most: int = -1


Statement = Select | Insert | Update | Delete
