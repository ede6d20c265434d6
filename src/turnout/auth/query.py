"""``supabase.table("posts").select("*").eq("id", 1).execute()`` on the project's own database.

Names, arguments and results are those of Supabase's Python client, so that a route reads the same whether its
data is here or hosted: a builder changes itself, mutations give their rows back, ``execute()`` gives ``data``
and ``count``. Each call goes to the query builder of ``db`` in the user's scope, where row policies hold. What
SQLite cannot do is refused there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Self

import msgspec

from ..db import Rows
from ..db.build import From, Query
from ..db.database import Scoped
from ..db.errors import error
from ..http.jsontext import JSONObject

_LAST = 1 << 61  # a row number that no table reaches


class APIResponse(msgspec.Struct):
    """What ``execute()`` gives.

    Attributes:
        data: A list of rows, the row after ``single()``, or what a function returned.
        count: How many rows match or were touched, where ``count="exact"`` asked for it.
    """

    data: Any
    count: int | None = None


class Table:
    """One table, before it is said what to do with it."""

    __slots__ = ("_from",)

    def __init__(self, table: From) -> None:
        self._from = table

    def select(self, *columns: str, count: str | None = None, head: bool | None = None) -> Builder:
        """Read rows; ``"*"`` if no columns are named."""
        query = self._from.select(",".join(columns) or "*", count=_count(count), head=bool(head))
        return Builder(query, counted=count is not None)

    def insert(
        self,
        json: Any,
        *,
        count: str | None = None,
        returning: str = "representation",
        upsert: bool = False,
        default_to_null: bool = True,
    ) -> Builder:
        """Write one row or a list of them."""
        if upsert:
            return self.upsert(json, count=count, returning=returning, default_to_null=default_to_null)
        return Builder(self._from.insert(_filled(json, default_to_null)), counted=_count(count) is not None)._giving(
            returning
        )

    def upsert(
        self,
        json: Any,
        *,
        count: str | None = None,
        returning: str = "representation",
        ignore_duplicates: bool = False,
        on_conflict: str = "",
        default_to_null: bool = True,
    ) -> Builder:
        """Write rows, replacing what is given of those already there."""
        query = self._from.upsert(
            _filled(json, default_to_null), on_conflict=on_conflict or None, ignore_duplicates=ignore_duplicates
        )
        return Builder(query, counted=_count(count) is not None)._giving(returning)

    def update(self, json: Any, *, count: str | None = None, returning: str = "representation") -> Builder:
        """Change the rows that the filters match."""
        return Builder(self._from.update(json), counted=_count(count) is not None)._giving(returning)

    def delete(self, *, count: str | None = None, returning: str = "representation") -> Builder:
        """Remove the rows that the filters match."""
        return Builder(self._from.delete(), counted=_count(count) is not None)._giving(returning)


class Builder:
    """A query under construction. Unlike ``db``'s it changes itself, as Supabase's client does."""

    __slots__ = ("_counted", "_limit", "_negated", "_offset", "_query", "_silent", "_single")

    def __init__(self, query: Query[Any], *, counted: bool) -> None:
        self._query, self._counted = query, counted
        self._silent = self._negated = False
        self._single: str | None = None
        self._limit: int | None = None
        self._offset: int | None = None

    async def execute(self) -> APIResponse | Any:
        """Run it.

        Returns:
            An APIResponse; None where ``maybe_single()`` found nothing.

        Raises:
            DbError: with ``code``, ``message``, ``details`` and ``hint`` as PostgREST says them: PGRST116 where
                ``single()`` found no row or several.
        """
        query = self._query
        if self._offset is not None:
            query = query.range(self._offset, self._offset + (_LAST if self._limit is None else self._limit) - 1)
        elif self._limit is not None:
            query = query.limit(self._limit)
        if self._single is not None:
            query = query.single()
        answer: Any = await query
        if answer is None and self._single == "maybe":
            return None
        if answer is None and self._single == "one":
            raise error(
                "PGRST116", "Cannot coerce the result to a single JSON object", details="The result contains 0 rows"
            )
        count = answer.count if self._counted and isinstance(answer, Rows) else None
        return APIResponse([] if self._silent else _plain(answer), count)

    # -- what comes back

    def select(self, *columns: str) -> Self:
        """After a mutation or a function: the columns to give back."""
        self._query, self._silent = self._query.select(",".join(columns) or "*"), False
        return self

    def single(self) -> Self:
        """The one row as ``data``; none or several raise PGRST116."""
        self._single = "one"
        return self

    def maybe_single(self) -> Self:
        """The one row as ``data``, or None in place of a response; several raise PGRST116."""
        self._single = "maybe"
        return self

    def csv(self) -> Self:
        """Only hosted Supabase writes CSV."""
        raise error(
            "PGRST127", "csv() is not there without SUPABASE_URL", hint="write the rows with Python's csv module"
        )

    def explain(self, **options: Any) -> Self:
        """How PostgreSQL would run it."""
        self._query = self._query.explain(**options)
        return self

    def max_affected(self, value: int) -> Self:
        """Undo the mutation if it touches more rows."""
        self._query = self._query.max_affected(value)
        return self

    # -- which rows

    @property
    def not_(self) -> Self:
        """The next filter has to fail instead: ``.not_.is_("email", None)``."""
        self._negated = True
        return self

    def filter(self, column: str, operator: str, criteria: Any) -> Self:
        """A filter by the name of its operator, its value as PostgREST writes it: ``("id", "in", "(1,2)")``."""
        if isinstance(criteria, str) and operator in ("in", "not.in"):
            table, _, name = column.rpartition(".")
            self._negate(operator.startswith("not."))
            condition = f"{name}.{'not.' if self._negation() else ''}in.{criteria}"
            self._query = self._query.or_(condition, reference_table=table or None)
            return self
        return self._where(column, operator, criteria)

    def _where(self, column: str, operator: str, value: Any) -> Self:
        self._query = self._query.filter(column, f"not.{operator}" if self._negation() else operator, value)
        return self

    def _negate(self, also: bool) -> None:
        self._negated = self._negated is not also

    def _negation(self) -> bool:
        negated, self._negated = self._negated, False
        return negated

    def eq(self, column: str, value: Any) -> Self:
        """*column* equals *value*."""
        return self._where(column, "eq", value)

    def neq(self, column: str, value: Any) -> Self:
        """*column* differs from *value*."""
        return self._where(column, "neq", value)

    def gt(self, column: str, value: Any) -> Self:
        """*column* is greater than *value*."""
        return self._where(column, "gt", value)

    def gte(self, column: str, value: Any) -> Self:
        """*column* is greater than *value* or equal."""
        return self._where(column, "gte", value)

    def lt(self, column: str, value: Any) -> Self:
        """*column* is less than *value*."""
        return self._where(column, "lt", value)

    def lte(self, column: str, value: Any) -> Self:
        """*column* is less than *value* or equal."""
        return self._where(column, "lte", value)

    def is_(self, column: str, value: Any) -> Self:
        """*column* is NULL, true or false."""
        return self._where(column, "is", value)

    def like(self, column: str, pattern: str) -> Self:
        """*column* matches *pattern*."""
        return self._where(column, "like", pattern)

    def ilike(self, column: str, pattern: str) -> Self:
        """*column* matches *pattern*, whatever the case."""
        return self._where(column, "ilike", pattern)

    def like_all_of(self, column: str, pattern: str) -> Self:
        """*column* matches all of the patterns, which commas part."""
        return self._where(column, "like(all)", _patterns(pattern))

    def like_any_of(self, column: str, pattern: str) -> Self:
        """*column* matches one of the patterns, which commas part."""
        return self._where(column, "like(any)", _patterns(pattern))

    def ilike_all_of(self, column: str, pattern: str) -> Self:
        """As ``like_all_of``, whatever the case."""
        return self._where(column, "ilike(all)", _patterns(pattern))

    def ilike_any_of(self, column: str, pattern: str) -> Self:
        """As ``like_any_of``, whatever the case."""
        return self._where(column, "ilike(any)", _patterns(pattern))

    def in_(self, column: str, values: Iterable[Any]) -> Self:
        """*column* is one of *values*."""
        return self._where(column, "in", list(values))

    def contains(self, column: str, value: Any) -> Self:
        """The array or jsonb *column* holds everything in *value*."""
        return self._where(column, "contains", value)

    def contained_by(self, column: str, value: Any) -> Self:
        """Everything in the array or jsonb *column* is in *value*."""
        return self._where(column, "contained_by", value)

    def overlaps(self, column: str, values: Any) -> Self:
        """The array *column* and *values* have something in common."""
        return self._where(column, "overlaps", values)

    cs, cd, ov = contains, contained_by, overlaps

    def fts(self, column: str, query: str) -> Self:
        """Full-text search by ``to_tsquery``."""
        return self._where(column, "fts", query)

    def plfts(self, column: str, query: str) -> Self:
        """Full-text search for plain words."""
        return self._where(column, "plfts", query)

    def phfts(self, column: str, query: str) -> Self:
        """Full-text search for a phrase."""
        return self._where(column, "phfts", query)

    def wfts(self, column: str, query: str) -> Self:
        """Full-text search as people type it."""
        return self._where(column, "wfts", query)

    def text_search(self, column: str, query: str, options: Mapping[str, Any] | None = None) -> Self:
        """Full-text search; *options* are ``type`` (plain, phrase, web_search) and ``config``."""
        kinds = {None: "fts", "plain": "plfts", "phrase": "phfts", "web_search": "wfts"}
        given = options or {}
        config = f"({given['config']})" if given.get("config") else ""
        return self._where(column, kinds.get(given.get("type"), "fts") + config, query)

    def match(self, query: Mapping[str, Any]) -> Self:
        """Every column named equals its value."""
        if not query:
            raise ValueError("match() takes at least one column and its value")
        for column, value in query.items():
            self.eq(column, value)
        return self

    def or_(self, filters: str, reference_table: str | None = None) -> Self:
        """At least one holds, in PostgREST's grammar: ``"views.gt.9,pinned.is.true"``. Never build it from input."""
        text = f"not.or({filters})" if self._negation() else filters
        self._query = self._query.or_(text, reference_table=reference_table)
        return self

    # -- which of them, and in what order

    def order(
        self, column: str, *, desc: bool = False, nullsfirst: bool | None = None, foreign_table: str | None = None
    ) -> Self:
        """Sort by *column*, after any earlier order."""
        nulls = None if nullsfirst is None else "first" if nullsfirst else "last"
        self._query = self._query.order(column, desc=desc, nulls=nulls, foreign_table=foreign_table)  # type: ignore[arg-type]
        return self

    def limit(self, size: int, *, foreign_table: str | None = None) -> Self:
        """At most *size* rows."""
        if foreign_table is None:
            self._limit = size
        else:
            self._query = self._query.limit(size, foreign_table=foreign_table)
        return self

    def offset(self, size: int) -> Self:
        """Leave out the first *size* rows."""
        self._offset = size
        return self

    def range(self, start: int, end: int, foreign_table: str | None = None) -> Self:
        """Rows *start* to *end*, both included."""
        if foreign_table is None:
            self._offset, self._limit = start, end - start + 1
        else:
            self._query = self._query.range(start, end, foreign_table=foreign_table)
        return self

    def _giving(self, returning: str) -> Self:
        self._silent = str(returning) == "minimal"
        if not self._silent:
            self._query = self._query.select("*")
        return self


class Data:
    """``table``, ``from_``, ``rpc`` and ``schema`` in one user's scope."""

    __slots__ = ("_door",)

    def __init__(self, door: Scoped) -> None:
        self._door = door

    def from_(self, table_name: str) -> Table:
        """Begin a query on a table."""
        return Table(self._door.from_(table_name))

    def table(self, table_name: str) -> Table:
        """The same as :meth:`from_`."""
        return self.from_(table_name)

    def rpc(
        self,
        fn: str,
        params: Mapping[str, Any] | None = None,
        count: str | None = None,
        head: bool = False,
        get: bool = False,
    ) -> Builder:
        """Call a function of the database's own; SQLite has none.

        Args:
            get: Accepted for Supabase's sake; whether the function may write, the database says.
        """
        return Builder(self._door.rpc(fn, params, count=_count(count), head=head), counted=count is not None)

    def schema(self, schema: str) -> Data:
        """The one schema there is, ``public``."""
        return Data(self._door.schema(schema))


def _count(count: str | None) -> Any:
    return None if count is None else str(count)


_PATTERN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|$)')


def _patterns(text: str) -> list[str]:
    """The members of ``a%,"b,c"``, what Supabase's client puts between braces."""
    found, at = [], 0
    while at < len(text) and (match := _PATTERN.match(text, at)):
        quoted, plain = match.groups()
        found.append(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain.strip())
        at = match.end()
    return found


def _filled(rows: Any, default_to_null: bool) -> Any:
    """Several rows with one set of columns: PostgREST takes what one row lacks and another has for NULL."""
    if not default_to_null or not isinstance(rows, (list, tuple)) or not all(isinstance(row, Mapping) for row in rows):
        return rows
    names = dict.fromkeys(name for row in rows for name in row)
    # A row that came straight from a request's body has to be known as one afterwards too.
    return [row if len(row) == len(names) else _like(row, {**dict.fromkeys(names), **row}) for row in rows]


def _like(row: Mapping[str, Any], filled: dict[str, Any]) -> Mapping[str, Any]:
    return JSONObject(filled) if isinstance(row, JSONObject) else filled


def _plain(value: Any) -> Any:
    """*value* as it would have come over the wire: numbers are numbers of JSON."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
    if isinstance(value, Mapping):
        return {
            name: _plain(each) if isinstance(each, (Decimal, Mapping, list)) else each for name, each in value.items()
        }
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
