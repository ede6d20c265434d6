"""The fluent builder: ``db.from_("posts").select("*").eq("id", id).single()``.

Method names are Supabase's, with a trailing underscore where Python needs one. A Query never
changes: every method gives a new one, so a base may be shared. It holds two tuples, the *shape*
(what was called, without values) and the values; the shape is the key of the compile cache, and
``to_ast`` replays it into an AST only on a miss. Nothing here knows an engine or a schema.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Generator, Iterable, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    NotRequired,
    Protocol,
    TypeVar,
    cast,
    get_origin,
    get_type_hints,
    overload,
)
from weakref import WeakKeyDictionary

import msgspec
import msgspec.structs

from ..errors import DbError, ValidationFailed
from . import ast
from .errors import error
from .parse import SHORT, Parts, nest, parse_key, parse_logic, parse_path, parse_place, parse_select

if TYPE_CHECKING:
    from .schema import Schema

T = TypeVar("T")
M = TypeVar("M")
R = TypeVar("R", covariant=True)
Row = dict[str, Any]
Shape = tuple[Any, ...]
Condition = str | tuple[str, str, Any]

PENDING: Final = object()  # what Door.now gives when the answer needs waiting for
_FILTERS = frozenset(ast.OPS - {"is"})
_CALL = re.compile(r"([a-z_]+)(?:\(([A-Za-z0-9_]{1,63})\))?")
_SEARCHES = {None: "fts", "plain": "plfts", "phrase": "phfts", "websearch": "wfts", "web_search": "wfts"}


class Rows(list[T]):
    """The rows of an answer, and how many there were or would be.

    *count* is the total asked for by ``select(..., count="exact")``, or the number of rows that a
    mutation touched; else None. It takes the place of ``list.count``.
    """

    __slots__ = ("count",)
    count: int | None  # type: ignore[assignment]

    def __init__(self, rows: Iterable[T] = (), count: int | None = None) -> None:
        list.__init__(self, rows)  # super() would cost as much as the copy
        self.count = count


class Page(msgspec.Struct, frozen=True):
    """Rows as the JSON text that the database made of them: how many they are, and the total if it was asked for."""

    body: str
    rows: int
    total: int | None


class Door(Protocol):
    """What runs queries: a Database or a Transaction."""

    server_owned: frozenset[str]

    @property
    def engine(self) -> Any: ...

    def now(self, shape: Shape, values: tuple[Any, ...]) -> Any: ...

    def later(self, shape: Shape, values: tuple[Any, ...]) -> Awaitable[Any]: ...


class From:
    """One table, before it is said what to do with it."""

    __slots__ = ("_door", "_table")

    def __init__(self, door: Door, table: str) -> None:
        self._door, self._table = door, table

    def select(self, columns: str = "*", *, count: ast.Count | None = None, head: bool = False) -> Query[Rows[Row]]:
        """Read rows.

        Args:
            columns: ``"id, name:title, author:users(name), comments(count)"``: columns, ``alias:column``,
                ``column::type``, ``data->key->>key``, ``column.sum()``, ``count()``, related tables.
            count: ``"exact"`` also counts every row that matches, whatever the limit. ``"planned"`` and
                ``"estimated"`` may be less exact where that is quicker.
            head: Only count.
        """
        return Query(self._door, (("select", self._table, columns, count, head),), ())

    def insert(self, rows: Any, *, only: Sequence[str] | None = None) -> Query[Rows[Row]]:
        """Write one row or a list of them, in one transaction; ``.select()`` gives them back.

        Args:
            rows: A mapping, Struct, dataclass or pydantic model, or a list of those. A column
                left out takes its default.
            only: Take just these columns. A raw request body needs it to write a column that the
                server owns, such as ``user_id``.
        """
        found = _rows(rows, only, self._door.server_owned)
        return Query(self._door, (("insert", self._table, None, False),), (found,))

    def upsert(
        self,
        rows: Any,
        *,
        on_conflict: str | None = None,
        ignore_duplicates: bool = False,
        only: Sequence[str] | None = None,
    ) -> Query[Rows[Row]]:
        """Write rows, replacing the given columns of those already there.

        Args:
            rows: As for :meth:`insert`.
            on_conflict: The unique columns that make a duplicate, ``"a,b"``; the primary key if None.
            ignore_duplicates: Leave a row that is there as it is.
            only: As for :meth:`insert`.
        """
        found = _rows(rows, only, self._door.server_owned)
        target = tuple(name.strip() for name in on_conflict.split(",")) if on_conflict else ()
        return Query(self._door, (("insert", self._table, target, ignore_duplicates),), (found,))

    def update(self, patch: Any, *, only: Sequence[str] | None = None) -> Query[Rows[Row]]:
        """Change the rows that the filters match; with no filter it raises, unless ``.all_rows()``."""
        row = _row(patch, only, self._door.server_owned, "")
        return Query(self._door, (("update", self._table, tuple(row)),), tuple(row.values()))

    def delete(self) -> Query[Rows[Row]]:
        """Remove the rows that the filters match; with no filter it raises, unless ``.all_rows()``."""
        return Query(self._door, (("delete", self._table),), ())


class Query(Generic[R]):
    """A query under construction; ``await`` runs it and gives its data."""

    __slots__ = ("_door", "_model", "_shape", "_values")

    def __init__(self, door: Door, shape: Shape, values: tuple[Any, ...], model: Any = None) -> None:
        self._door, self._shape = door, shape
        self._values, self._model = values, model

    def __await__(self) -> Generator[Any, None, R]:
        answer: R = self._door.now(self._shape, self._values)
        if answer is PENDING:
            answer = yield from self._door.later(self._shape, self._values).__await__()
        if self._model is None:
            return answer
        _check_model(self._model, self._shape, self._door.engine)
        return cast("R", _fit(answer, self._model))

    def __repr__(self) -> str:
        return f"<Query {self._shape!r}>"  # without values: they are nobody's business in a log

    def _add(self, step: tuple[Any, ...], *values: Any) -> Query[R]:
        # Query(door, (*shape, step), …) takes twice as long: a call from C, and a list on the way to the tuple.
        query = _new(Query)
        query._door, query._shape = self._door, self._shape + (step,)  # noqa: RUF005
        query._values, query._model = self._values + values, self._model
        return query

    def _compare(self, op: str, column: str, value: Any) -> Query[R]:
        if value is None:
            raise error(
                "22004", f'{op}("{column}", None) would match nothing in SQL',
                hint=f'use .is_("{column}", None), or .not_("{column}", "is", None)', status=500,
            )  # fmt: skip
        if op == "in":
            value = _listed(value)
        return self._add((op, column), value)

    def _list(self, op: str, quantifier: ast.Quantifier, column: str, values: Iterable[Any]) -> Query[R]:
        return self._add(("filter", op, column, quantifier, None), _some(op, values))

    # --- filters: all of them must hold ---

    def eq(self, column: str, value: Any) -> Query[R]:
        """*column* equals *value*."""
        return self._compare("eq", column, value)

    def neq(self, column: str, value: Any) -> Query[R]:
        """*column* differs from *value*; NULL does not count as different."""
        return self._compare("neq", column, value)

    def gt(self, column: str, value: Any) -> Query[R]:
        """*column* is greater than *value*."""
        return self._compare("gt", column, value)

    def gte(self, column: str, value: Any) -> Query[R]:
        """*column* is greater than *value* or equal."""
        return self._compare("gte", column, value)

    def lt(self, column: str, value: Any) -> Query[R]:
        """*column* is less than *value*."""
        return self._compare("lt", column, value)

    def lte(self, column: str, value: Any) -> Query[R]:
        """*column* is less than *value* or equal."""
        return self._compare("lte", column, value)

    def like(self, column: str, pattern: str) -> Query[R]:
        """*column* matches *pattern*: ``%`` is any text, ``_`` any character, ``\\`` escapes; case counts."""
        return self._compare("like", column, pattern)

    def ilike(self, column: str, pattern: str) -> Query[R]:
        """As :meth:`like`, whatever the case, in every alphabet."""
        return self._compare("ilike", column, pattern)

    def like_all_of(self, column: str, patterns: Iterable[str]) -> Query[R]:
        """*column* matches every one of *patterns*."""
        return self._list("like", "all", column, patterns)

    def like_any_of(self, column: str, patterns: Iterable[str]) -> Query[R]:
        """*column* matches at least one of *patterns*."""
        return self._list("like", "any", column, patterns)

    def ilike_all_of(self, column: str, patterns: Iterable[str]) -> Query[R]:
        """As :meth:`like_all_of`, whatever the case."""
        return self._list("ilike", "all", column, patterns)

    def ilike_any_of(self, column: str, patterns: Iterable[str]) -> Query[R]:
        """As :meth:`like_any_of`, whatever the case."""
        return self._list("ilike", "any", column, patterns)

    def is_(
        self, column: str, value: Literal["null", "not_null", "true", "false", "unknown"] | bool | None
    ) -> Query[R]:
        """*column* is NULL, true or false: ``is_("deleted_at", None)``."""
        return self._add(("is", column, _word(value)))

    def in_(self, column: str, values: Iterable[Any]) -> Query[R]:
        """*column* is one of *values*; an empty list matches nothing."""
        return self._compare("in", column, values)

    def not_in(self, column: str, values: Iterable[Any]) -> Query[R]:
        """*column* is none of *values*."""
        return self.not_(column, "in", values)

    def contains(self, column: str, value: Any) -> Query[R]:
        """The array or jsonb *column* holds everything in *value*."""
        return self._compare("contains", column, value)

    def contained_by(self, column: str, value: Any) -> Query[R]:
        """Everything in the array or jsonb *column* is in *value*."""
        return self._compare("contained_by", column, value)

    def overlaps(self, column: str, value: Any) -> Query[R]:
        """The array *column* and *value* have something in common."""
        return self._compare("overlaps", column, value)

    def text_search(
        self,
        column: str,
        query: str,
        *,
        type: Literal["plain", "phrase", "websearch"] | None = None,
        config: str | None = None,
    ) -> Query[R]:
        """Full-text search; on SQLite it is refused.

        Args:
            column: Text or tsvector.
            query: ``to_tsquery``'s words and signs, ``"cat & !dog"``, or what *type* says.
            type: ``"plain"`` words, all of them; a ``"phrase"``; what people type into a ``"websearch"``.
            config: The language, such as ``"english"``.
        """
        if type not in _SEARCHES or not (config is None or _CALL.fullmatch(f"fts({config})")):
            raise error("PGRST100", "text_search takes a type of plain, phrase or websearch, and a config of one word")
        return self._add(("filter", _SEARCHES[type], column, None, config), query)

    def match(self, query: Mapping[str, Any]) -> Query[R]:
        """Every column named equals its value."""
        found = self
        for column, value in query.items():
            found = found.eq(column, value)
        return found

    def filter(self, column: str, op: str, value: Any) -> Query[R]:
        """A filter whose operator comes by name, ``filter("age", "gte", 18)``; ``not.gte`` negates, and
        ``like(any)`` takes a list."""
        if op.startswith("not."):
            return self.not_(column, op[4:], value)
        op, quantifier, config = _operator(op)
        if op == "is":
            return self._add(("is", column, _word(value)))
        if quantifier is not None:
            value = _some(op, value)
        elif config is None:
            return self._compare(op, column, value)
        return self._add(("filter", op, column, quantifier, config), value)

    def not_(self, column: str, op: str, value: Any) -> Query[R]:
        """The opposite of a filter: ``not_("status", "eq", "draft")``."""
        relations, path = parse_place(column)
        logic, values = _conditions("and", ((path, op, value),), len(self._values), negated=True)
        return self._add(("logic", logic, len(values), relations), *values)

    def or_(self, *conditions: Condition, reference_table: str | None = None) -> Query[R]:
        """At least one condition holds: ``or_(("views", "gt", 9), ("pinned", "is", True))``.

        A condition may also be text in PostgREST's grammar, ``"views.gt.9,pinned.is.true"``. Never
        build that text from input: a comma in it would begin another condition. A tuple cannot.

        Args:
            conditions: What may hold.
            reference_table: The embedded relation that the conditions are about.
        """
        logic, values = _conditions("or", conditions, len(self._values))
        return self._add(("logic", logic, len(values), _relations(reference_table)), *values)

    # --- the rest ---

    def order(
        self,
        column: str,
        *,
        desc: bool = False,
        nulls: Literal["first", "last"] | None = None,
        foreign_table: str | None = None,
    ) -> Query[R]:
        """Sort by *column*, after any earlier order; NULLs come last, or first when falling.

        Args:
            column: A column, or ``author(name)``: one of an embedded relation that has one row.
            desc: Falling.
            nulls: Where NULLs go after all.
            foreign_table: Sort the rows of this embedded relation, not those of the query.
        """
        if nulls not in (None, "first", "last"):
            raise error("PGRST100", f'nulls is "first" or "last", not {nulls!r}')
        return self._add(("order", column, bool(desc), nulls, foreign_table))

    def limit(self, count: int, *, foreign_table: str | None = None) -> Query[R]:
        """At most *count* rows, or rows of an embedded relation in each."""
        return self._add(("limit", foreign_table), _whole(count, "limit"))

    def range(self, start: int, end: int, *, foreign_table: str | None = None) -> Query[R]:
        """Rows *start* to *end*, counted from 0, both included."""
        first, last = _whole(start, "range"), _whole(end, "range", -1)
        if last < first - 1:
            raise error("PGRST103", f"the range {start} to {end} ends before it begins")
        return self._add(("range", foreign_table), last - first + 1, first)

    def explain(
        self,
        *,
        analyze: bool = False,
        verbose: bool = False,
        settings: bool = False,
        buffers: bool = False,
        wal: bool = False,
        format: Literal["text", "json"] = "text",
    ) -> Query[Rows[Row]]:
        """How PostgreSQL would run the select, as rows of ``QUERY PLAN``; refused on SQLite."""
        if format not in ("text", "json"):
            raise error("PGRST100", f'explain has the formats "text" and "json", not {str(format)[:40]!r}')
        given = {"analyze": analyze, "verbose": verbose, "settings": settings, "buffers": buffers, "wal": wal}
        options = (*(name for name, wanted in given.items() if wanted), f"format {format}")
        return cast("Query[Rows[Row]]", self._add(("explain", options)))

    def max_affected(self, count: int) -> Query[R]:
        """Undo the update or delete, with PGRST124, if it touches more than *count* rows."""
        return self._add(("most",), _whole(count, "max_affected"))

    @overload  # "*" is a str too, and the first that fits is meant
    def select(self, columns: Literal["*"] = "*") -> Query[R]: ...  # type: ignore[overload-overlap]
    @overload
    def select(self, columns: str) -> Query[Rows[Row]]: ...
    def select(self, columns: str = "*") -> Query[Any]:
        """After a mutation: give back the rows that it touched."""
        return self._add(("returning", columns))

    def single(self: Query[Rows[M]]) -> Query[M | None]:
        """The one row, or None; several raise PGRST116, and undo a mutation."""
        return self._add(("one",))  # type: ignore[return-value]  # the step that makes it so

    def maybe_single(self: Query[Rows[M]]) -> Query[M | None]:
        """The same as :meth:`single`."""
        return self.single()

    def all_rows(self) -> Query[R]:
        """Let an update or delete without filters touch every row."""
        return self._add(("all",))

    @overload
    def as_(self: Query[Rows[Any]], model: type[M]) -> Query[Rows[M]]: ...
    @overload
    def as_(self: Query[Mapping[str, Any] | None], model: type[M]) -> Query[M | None]: ...
    def as_(self, model: type[Any]) -> Query[Any]:
        """Give each row as *model*: a msgspec Struct, dataclass, TypedDict or pydantic model.

        What the model needs and the select does not give raises 42804, whether there are rows or not.
        """
        return Query(self._door, self._shape, self._values, model)


_new = Query.__new__


# --- values on the way in ---


def _whole(value: Any, what: str, least: int = 0) -> int:
    if type(value) is not int:
        try:
            value = int(value) if not isinstance(value, float) or value.is_integer() else -2
        except (TypeError, ValueError, OverflowError):
            value = -2
    if least <= value < 1 << 62:
        return int(value)
    raise error("PGRST103", f"{what} takes whole numbers from 0")


def _listed(values: Any) -> Any:
    """The members as they are now: a query may run twice, and a generator gives them once."""
    return tuple(values) if isinstance(values, Iterable) and not isinstance(values, (str, bytes)) else values


def _word(value: Any) -> str:
    word = {None: "null", True: "true", False: "false"}.get(value) if not isinstance(value, str) else value.lower()
    if word not in ast.IS_WORDS:
        raise error("22P02", f"is_ takes None, True, False, 'not_null' or 'unknown', not {str(value)[:40]!r}")
    return word


def _some(op: str, values: Any) -> Any:
    found = _listed(values)
    if not isinstance(found, tuple) or not found:
        # What "all of nothing" is of a NULL column, engines do not agree on.
        raise error("22P02", f"{op} of a list takes a list of at least one value")
    return found


def _relations(name: str | None) -> tuple[str, ...]:
    """The path of an embedded relation, ``comments.author``."""
    if name is None:
        return ()
    before, path = parse_place(name)
    if path.steps:
        raise error("PGRST100", f"{name[:63]!r} is not the name of an embedded relation")
    return (*before, path.column)


def _operator(text: str) -> tuple[str, ast.Quantifier | None, str | None]:
    """An operator's name, whether it is of any or all of a list, and the configuration of a text search."""
    found = _CALL.fullmatch(text)
    op, inside = (found[1], found[2]) if found else (text, None)
    op = SHORT.get(op, "is" if op == "is_" else "in" if op == "in_" else op)
    if op in ast.OPS:
        if inside is None:
            return op, None, None
        if op in ast.QUANTIFIED and inside in ("any", "all"):
            return op, cast("ast.Quantifier", inside), None
        if op in ast.TEXT_SEARCH:
            return op, None, inside
    raise error("PGRST100", f"unknown operator {text[:40]!r}", hint=f"one of {', '.join(sorted(ast.OPS))}")


def _conditions(
    kind: Literal["and", "or"],
    conditions: Sequence[str | tuple[str | ast.Path, str, Any]],
    first: int,
    *,
    negated: bool = False,
) -> tuple[ast.Logic, tuple[Any, ...]]:
    items: list[ast.Cond | ast.Logic] = []
    values: list[Any] = []
    for condition in conditions:
        if isinstance(condition, str):
            logic, found = parse_logic(condition, "or", first + len(values))
            items.extend(logic.items)
            values.extend(found)
            continue
        column, word, value = condition
        flip = word.startswith("not.")
        op, quantifier, config = _operator(word[4:] if flip else word)
        path = column if isinstance(column, ast.Path) else parse_path(column)
        if op == "is":
            items.append(ast.Cond(path, "is", word=cast("ast.Is", _word(value)), negated=flip))
            continue
        if value is None:
            raise error(
                "22004", f'("{path.column}", "{word}", None) would match nothing in SQL', hint='use the operator "is"'
            )
        items.append(
            ast.Cond(path, cast("ast.Op", op), first + len(values), negated=flip, quantifier=quantifier, config=config)
        )
        values.append(_some(op, value) if quantifier else _listed(value) if op == "in" else value)
    return ast.Logic(kind, tuple(items), negated), tuple(values)


def _rows(rows: Any, only: Sequence[str] | None, owned: frozenset[str]) -> list[Row]:
    if isinstance(rows, (list, tuple)):
        return [_row(row, only, owned, f"/{number}") for number, row in enumerate(rows)]
    return [_row(rows, only, owned, "")]


def _row(row: Any, only: Sequence[str] | None, owned: frozenset[str], where: str) -> Row:
    from ..http.jsontext import JSONObject  # here, so that a database alone does not load JSON's limits

    if only is None and isinstance(row, JSONObject):
        _refuse_owned(row, owned, where)
    found = _mapping(row)
    if only is not None:
        found = {name: value for name, value in found.items() if name in only}
    return {name: value for name, value in found.items() if value is not msgspec.UNSET}


def _refuse_owned(row: Mapping[str, Any], owned: frozenset[str], where: str) -> None:
    named = [name for name in row if name in owned]
    if named:
        raise ValidationFailed(
            f"The body may not set {', '.join(named)}",
            errors=[
                {"pointer": f"{where}/{name}", "message": "this column is set by the server", "type": "server_owned"}
                for name in named
            ],
        )


def _mapping(row: Any) -> Mapping[str, Any]:
    if isinstance(row, Mapping):
        if not all(isinstance(name, str) for name in row):
            raise error("PGRST102", "a row's column names are text")
        return row
    if isinstance(row, msgspec.Struct):
        return {name: getattr(row, name) for name in row.__struct_fields__}
    if hasattr(type(row), "__dataclass_fields__"):
        from dataclasses import fields

        return {field.name: getattr(row, field.name) for field in fields(row)}
    dump = getattr(row, "model_dump", None)
    if dump is not None:
        return cast("Mapping[str, Any]", dump())
    raise error("PGRST102", f"a row is a mapping or a model, not {type(row).__name__}")


# --- values on the way out ---


def _fit(answer: Any, model: Any) -> Any:
    if answer is None:
        return None
    if isinstance(answer, Rows):
        return Rows((_convert(row, model) for row in answer), answer.count)
    return _convert(answer, model)


_checked: WeakKeyDictionary[Any, set[Any]] = WeakKeyDictionary()


def _check_model(model: Any, shape: Shape, engine: Any) -> None:
    """Raise if *model* has a field that the rows of *shape* cannot fill; looked at once for each shape."""
    done = _checked.setdefault(engine, set())
    if (model, shape) in done or shape[0][0] not in ("select", "insert", "update", "delete"):
        return
    missing = [name for name in _needs(model) if name not in _gives(shape, engine.schema)]
    if missing:
        raise error(
            "42804", f"{model.__name__} needs {', '.join(missing)}, which the query does not give",
            hint="select it, or give the field a default", status=500,
        )  # fmt: skip
    if len(done) >= 1_000:
        done.clear()
    done.add((model, shape))


def _gives(shape: Shape, schema: Schema) -> tuple[str, ...]:
    from .plan import SelectPlan, plan  # here, since a plan is made of what this module makes

    if shape[0][0] == "select":
        items = parse_select(shape[0][2])
    else:
        returning = _returning(shape[1:], Parts())
        items = returning.items if returning is not None else (ast.Star(),)
    found = plan(ast.Select(shape[0][1], items), schema)
    assert isinstance(found, SelectPlan)
    return tuple(output.name for output in found.outputs) + tuple(name for e in found.embeds for name in e.names)


def _needs(model: Any) -> list[str]:
    if isinstance(model, type) and issubclass(model, msgspec.Struct):
        return [field.encode_name for field in msgspec.structs.fields(model) if field.required]
    if hasattr(model, "__dataclass_fields__"):
        from dataclasses import MISSING, fields

        return [
            field.name
            for field in fields(model)
            if field.init and field.default is MISSING and field.default_factory is MISSING
        ]
    pydantic = getattr(model, "model_fields", None)
    if pydantic is not None:
        # A field with an alias may go by several names; pydantic itself says what is missing then.
        return [name for name, field in pydantic.items() if field.is_required() and not field.validation_alias]
    return [name for name in sorted(getattr(model, "__required_keys__", ())) if not _optional(model, name)]


def _optional(model: Any, name: str) -> bool:
    """A TypedDict's NotRequired, which its own list overlooks where annotations are postponed."""
    try:
        return get_origin(get_type_hints(model, include_extras=True)[name]) is NotRequired
    except NameError:
        return True


def _convert(row: Row, model: Any) -> Any:
    validate = getattr(model, "model_validate", None)
    try:
        return validate(row) if validate is not None else msgspec.convert(row, model)
    except ValueError as exc:  # msgspec's and pydantic's errors are both ValueErrors
        raise error("42804", f"the row does not fit {model.__name__}: {exc}", status=500) from exc


# --- shape to AST ---


def form_of(shape: Shape) -> ast.Form | None:
    """The form of a query from the wire, whose shape is ``((verb, statement, form), *flags)``; else None.

    The flag ``("sole",)`` asks for exactly one row, ``("once",)`` for a statement that is not kept.
    """
    return shape[0][2] if isinstance(shape[0][-1], ast.Form) else None


def is_kept(key: tuple[Any, ...]) -> bool:
    """Whether the statement of *key*, a shape or a pair of one and its columns, is worth keeping."""
    return ("once",) not in (key if isinstance(key[0][0], str) else key[0])


def to_ast(shape: Shape) -> ast.Statement:
    """The statement that *shape* stands for, as a select, update or delete."""
    first, *steps = shape
    if isinstance(first[-1], ast.Form):
        return cast("ast.Statement", first[1])
    parts, most = _parts(steps, len(first[2]) if first[0] in ("update", "rpc") else 0)
    root = parts[()]
    where = ast.Logic("and", tuple(root.conditions))
    names = {step[0] for step in steps}
    explain = next((step[1] for step in steps if step[0] == "explain"), ())
    if first[0] in ("select", "rpc"):
        if not names.isdisjoint(("all", "most")) or (first[0] == "select" and "returning" in names):
            raise error("PGRST100", "a query is selected once; only update and delete take all_rows and max_affected")
        _, table, given, count, head = first
        if count not in (None, "exact", "planned", "estimated"):
            raise error("PGRST100", f"count={count!r} is not supported", hint='count="exact"')
        called = first[0] == "rpc"
        columns = next((step[1] for step in reversed(steps) if step[0] == "returning"), "*") if called else given
        items = nest(parse_select(columns), parts)
        return ast.Select(
            table, items, where, tuple(root.order), root.limit, root.offset, count, head, "one" in names,
            given if called else None, explain,
        )  # fmt: skip
    if explain:
        raise error("PGRST127", f"explain of {first[0]} is not supported")
    if not root.conditions and "all" not in names:
        raise error(
            "21000", f"{first[0].upper()} requires a WHERE clause",
            hint="add a filter, or .all_rows() if every row is meant", status=400,
        )  # fmt: skip
    _refuse_order(parts, first[0])
    returning = _returning(steps, parts)
    if first[0] == "update":
        return ast.Update(first[1], first[2], where, returning, most)
    return ast.Delete(first[1], where, returning, most)


def _parts(steps: Sequence[tuple[Any, ...]], slot: int) -> tuple[Parts, int]:
    """What *steps* ask of each level of the query, and the slot of max_affected; values begin at *slot*."""
    parts, most = Parts(), -1
    for step in steps:
        match step:
            case ("limit", table):
                parts[_relations(table)].limit, slot = slot, slot + 1
            case ("range", table):
                part = parts[_relations(table)]
                part.limit, part.offset, slot = slot, slot + 1, slot + 2
            case ("order", column, desc, nulls, table):
                path, relation = parse_key(column)
                parts[_relations(table)].order.append(ast.Order(path, desc, nulls, relation))
            case ("logic", logic, width, relations):
                parts[relations].conditions.append(logic)
                slot += width
            case ("is", column, word):
                relations, path = parse_place(column)
                parts[relations].conditions.append(ast.Cond(path, "is", word=word))
            case ("most",):
                most, slot = slot, slot + 1
            case ("filter", op, column, quantifier, config):
                relations, path = parse_place(column)
                cond = ast.Cond(path, op, slot, quantifier=quantifier, config=config)
                parts[relations].conditions.append(cond)
                slot += 1
            case (op, column) if op in _FILTERS:
                relations, path = parse_place(column)
                parts[relations].conditions.append(ast.Cond(path, op, slot))
                slot += 1
    return parts, most


def to_insert(shape: Shape, columns: tuple[str, ...]) -> ast.Insert:
    """The statement for one row of an insert or upsert that names *columns*."""
    if isinstance(shape[0][-1], ast.Form):
        return _with_columns(shape[0][1], columns)
    (_, table, target, ignore), *steps = shape
    # An insert's own values are one in its query, and as many as its columns in the statement of one row.
    parts, most = _parts(steps, len(columns))
    if parts[()].conditions or most >= 0 or any(step[0] == "all" for step in steps):
        raise error("PGRST100", "an insert takes no filters")
    _refuse_order(parts, "insert")
    conflict = None if target is None else ast.Conflict(target, ignore)
    return ast.Insert(table, columns, conflict, _returning(steps, parts))


def _with_columns(template: ast.Insert, columns: tuple[str, ...]) -> ast.Insert:
    """*template*, whose slots are counted without a row, with those of a row of *columns* before them."""
    returning = template.returning
    if returning is not None:
        returning = msgspec.structs.replace(returning, items=_moved(returning.items, len(columns)))
    return msgspec.structs.replace(template, columns=columns, returning=returning)


def _moved(node: Any, by: int) -> Any:
    """*node* with every slot *by* further on."""
    if isinstance(node, tuple):
        return tuple(_moved(each, by) for each in node)
    if not isinstance(node, (ast.Embed, ast.Select, ast.Logic, ast.Cond)):
        return node
    changed = {}
    for field in msgspec.structs.fields(node):
        value = getattr(node, field.name)
        if field.name in ("slot", "limit", "offset"):
            changed[field.name] = value + by if value >= 0 else value
        elif field.name in ("items", "where", "query"):
            changed[field.name] = _moved(value, by)
    return msgspec.structs.replace(node, **changed)


def _returning(steps: Sequence[tuple[Any, ...]], parts: Parts) -> ast.Returning | None:
    """What the steps after a mutation ask back; ``.single()`` alone asks for everything."""
    asked = [step[1] for step in steps if step[0] == "returning"]
    if asked:
        return ast.Returning(nest(parse_select(asked[-1]), parts))
    nest((), parts)  # nothing is embedded, so nothing may be asked of it
    return ast.Returning() if any(step[0] == "one" for step in steps) else None


def _refuse_order(parts: Parts, verb: str) -> None:
    root = parts[()]
    if root.order or root.limit >= 0 or root.offset >= 0:
        raise error("PGRST127", f"order, limit and range on {verb} are not supported")


__all__ = [
    "PENDING", "DbError", "Door", "From", "Page", "Query", "Row", "Rows", "Shape", "form_of", "is_kept", "to_ast",
    "to_insert",
]  # fmt: skip
