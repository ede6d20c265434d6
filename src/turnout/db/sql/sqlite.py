"""Plans to SQLite's SQL, with the encoders of every value and the decoders of every row.

Every column is written with its table, since SQLite takes an unknown ``"name"`` alone for a
string. LIKE becomes GLOB, which heeds case and uses the index; NULLs are placed as PostgreSQL
places them; an ``in`` list is one bound JSON array, so that its length is no part of the text.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

from ...errors import DbError
from ..errors import error, not_supported
from ..plan import Condition, DeletePlan, InsertPlan, Output, Plan, SelectPlan, Sort, Tree, UpdatePlan
from ..schema import Column, Schema, Type, quote
from . import values
from .values import Codec, Stored, codec

Binder = tuple[int, Callable[[Any], Stored]]
_COMPARE = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_IS = {"null": "is null", "not_null": "is not null", "true": "is 1", "false": "is 0", "unknown": "is null"}
_ARRAYS = {"contains": "turnout_contains", "contained_by": "turnout_contained", "overlaps": "turnout_overlaps"}
_MAX_IN = 10_000


class Compiled:
    """A statement ready to run, and how its rows are read.

    Args:
        sql: The text; the same object for every execution, so the driver's own cache hits.
        binders: Slot and encoder of each ``?``, in order.
        count_sql: A select's second statement, for the total; its binders are the first *count_binders*.
        one: The caller wants one row; several are an error.
        returns: Executing it gives rows.
    """

    __slots__ = (
        "_codecs", "_known", "_origins", "binders", "count_binders", "count_sql", "names", "one", "reads", "returns",
        "slow_until", "sql",
    )  # fmt: skip

    def __init__(
        self,
        sql: str,
        binders: Sequence[Binder],
        outputs: Sequence[tuple[str, Column | None]] | None,
        *,
        reads: bool,
        one: bool = False,
        count_sql: str | None = None,
        count_binders: int = 0,
    ) -> None:
        self.sql, self.binders, self.reads, self.one = sql, tuple(binders), reads, one
        self.count_sql, self.count_binders = count_sql, count_binders
        self.returns = outputs is not None
        self.names = tuple(name for name, _ in outputs or ())
        self._origins = tuple(f"{column.table}.{column.name}" if column else name for name, column in outputs or ())
        self._codecs: tuple[Codec, ...] = tuple(
            codec(column.type if column else Type("unknown")) for _, column in outputs or ()
        )
        # The storage classes of a row seen before -> the columns that need decoding. Looking a
        # whole row up at once is what makes checking every value cheap.
        self._known: dict[tuple[type, ...], tuple[tuple[str, values.Decode, str], ...]] = {}
        self.slow_until = 0.0  # a monotonic time: until then this one runs on a thread

    def bind(self, slots: Sequence[Any]) -> list[Stored]:
        """The stored form of every value, or DbError 22xxx."""
        return [encode(slots[slot]) for slot, encode in self.binders]

    def decode(self, rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Raw rows to dicts of JSON types, or XX001 where a stored value does not fit its column."""
        names, known, answer = self.names, self._known, []
        for row in rows:
            fixes = known.get(tuple(map(type, row)))
            if fixes is None:
                fixes = self._learn(row)
            item = dict(zip(names, row))  # noqa: B905  (as long as each other; strict= costs a tenth)
            for name, decode, origin in fixes:
                try:
                    item[name] = decode(item[name])
                except (ValueError, ArithmeticError, LookupError, DbError) as exc:
                    raise _corrupt(origin, item[name]) from exc
            answer.append(item)
        return answer

    def _learn(self, row: tuple[Any, ...]) -> tuple[tuple[str, values.Decode, str], ...]:
        fixes, classes = [], tuple(map(type, row))
        for name, origin, kind, column in zip(self.names, self._origins, classes, self._codecs, strict=True):
            if kind is type(None):
                continue
            if kind not in column.decode:
                raise _corrupt(origin, kind.__name__, str(column.of))
            decode = column.decode[kind]
            if decode is not None:
                fixes.append((name, decode, origin))
        if len(self._known) >= 256:  # which columns are NULL makes 2^n classes
            self._known.clear()
        self._known[classes] = tuple(fixes)
        return self._known[classes]


def _corrupt(origin: str, found: Any, wanted: str = "the column's type") -> DbError:
    return error(
        "XX001", f"a stored value of {origin} is not {wanted}: {str(found)[:60]!r}",
        hint="something other than this library wrote it; mend the row",
    )  # fmt: skip


def compile_plan(plan: Plan) -> Compiled:
    """The statement for *plan*, or PGRST127 for what SQLite cannot do exactly."""
    match plan:
        case SelectPlan():
            return _select(plan)
        case InsertPlan():
            return _insert(plan)
        case UpdatePlan():
            binders = [_writer(slot, column) for slot, column in enumerate(plan.columns)]
            sets = ", ".join(f"{column.quoted} = ?" for column in plan.columns)
            where = _where(plan.where, plan.table.quoted, binders)
            text = f"update {plan.table.quoted} set {sets}{where}"
            return _mutation(text, binders, plan.returning, plan.table.quoted)
        case DeletePlan():
            binders = []
            where = _where(plan.where, plan.table.quoted, binders)
            return _mutation(f"delete from {plan.table.quoted}{where}", binders, plan.returning, plan.table.quoted)


def _select(plan: SelectPlan) -> Compiled:
    binders: list[Binder] = []
    where = _where(plan.where, "t1", binders)
    filters = len(binders)
    source = f"from {plan.table.quoted} as t1{where}"
    columns = ", ".join(f"t1.{output.column.quoted}" for output in plan.outputs)
    text = f"select {columns} {source}{_order(plan.order)}"
    if plan.limit >= 0:
        text += " limit ?"
        binders.append((plan.limit, _same))
    elif plan.one or plan.offset >= 0:
        text += " limit 2" if plan.one else " limit -1"  # two rows are enough to know that one is too many
    if plan.offset >= 0:
        text += " offset ?"
        binders.append((plan.offset, _same))
    count = f"select count(*) {source}" if plan.count else None
    if plan.head:
        text, binders = "select 1 where 0", binders[:filters] if count else []
        return Compiled(text, binders, (), reads=True, count_sql=count, count_binders=filters)
    return Compiled(
        text, binders, [(output.name, output.column) for output in plan.outputs],
        reads=True, one=plan.one, count_sql=count, count_binders=filters,
    )  # fmt: skip


def _insert(plan: InsertPlan) -> Compiled:
    binders = [_writer(slot, column) for slot, column in enumerate(plan.columns)]
    names = ", ".join(column.quoted for column in plan.columns)
    marks = ", ".join("?" * len(plan.columns))
    row = f"({names}) values ({marks})" if plan.columns else "default values"
    text = f"insert into {plan.table.quoted} {row}"
    if plan.conflict is not None:
        if not plan.columns:
            raise error("PGRST102", "an upsert needs at least one column")
        keys = ", ".join(column.quoted for column in plan.conflict)
        sets = ", ".join(f"{column.quoted} = excluded.{column.quoted}" for column in plan.columns)
        text += f" on conflict ({keys}) do " + ("nothing" if plan.ignore else f"update set {sets}")
    return _mutation(text, binders, plan.returning, plan.table.quoted)


def _mutation(text: str, binders: list[Binder], returning: tuple[Output, ...] | None, table: str) -> Compiled:
    if returning is None:
        return Compiled(text, binders, None, reads=False)
    # RETURNING knows no alias: the table's own name it is.
    columns = ", ".join(f"{table}.{output.column.quoted}" for output in returning)
    outputs = [(output.name, output.column) for output in returning]
    return Compiled(f"{text} returning {columns}", binders, outputs, reads=False)


def _writer(slot: int, column: Column) -> Binder:
    store = codec(column.type).store

    def encode(value: Any) -> Stored:
        if value is None:
            if column.rowid or not column.nullable:  # SQLite would give the rowid a number
                raise error("23502", f'null value in column "{column.name}" violates not-null constraint')
            return None
        return store(value)

    return slot, encode


def _same(value: Any) -> Any:
    return value


def _order(keys: tuple[Sort, ...]) -> str:
    parts = []
    for key in keys:
        if not codec(key.column.type).comparable:
            raise not_supported(f"ordering by {key.column.type}")
        text = f"t1.{key.column.quoted}" + (" desc" if key.desc else "")
        if key.column.nullable:  # where there is no NULL, the words would only keep the index from being used
            text += " nulls first" if key.nulls_first else " nulls last"
        parts.append(text)
    return f" order by {', '.join(parts)}" if parts else ""


def _where(tree: Tree, table: str, binders: list[Binder]) -> str:
    return f" where {_tree(tree, table, binders)}" if tree.items else ""


def _tree(tree: Tree, table: str, binders: list[Binder]) -> str:
    parts = [
        f"({_tree(item, table, binders)})" if isinstance(item, Tree) else _condition(item, table, binders)
        for item in tree.items
    ]
    text = f" {tree.kind} ".join(parts) or ("1" if tree.kind == "and" else "0")
    return f"not ({text})" if tree.negated else text


def _condition(cond: Condition, table: str, binders: list[Binder]) -> str:
    text = _positive(cond, f"{table}.{cond.column.quoted}", codec(cond.column.type), binders)
    return f"not ({text})" if cond.negated else text


def _positive(cond: Condition, column: str, kind: Codec, binders: list[Binder]) -> str:
    if cond.op == "is":
        return f"{column} {_IS[cond.word or 'null']}"
    if cond.op in ("like", "ilike"):
        fold = cond.op == "ilike"
        binders.append((cond.slot, _pattern(kind, fold, cond.wire)))
        return f"turnout_lower({column}) glob ?" if fold else f"{column} glob ?"
    if cond.op in _ARRAYS:
        if cond.op == "overlaps" and not kind.of.array:
            raise not_supported("overlaps on jsonb")
        binders.append((cond.slot, _container(kind, cond.wire)))
        return f"{_ARRAYS[cond.op]}({column}, ?)"
    if not kind.comparable:
        raise not_supported(f"comparing {kind.of} with {cond.op}", hint="use contains, or is_ for null")
    if cond.op == "in":
        if kind.in_json is None:
            raise not_supported(f"in_ on {kind.of}")
        binders.append((cond.slot, _members(kind)))
        member = "turnout_float(value)" if kind.in_json is repr else "value"
        return f"{column} in (select {member} from json_each(?))"
    binders.append((cond.slot, kind.compare))
    return f"{column} {_COMPARE[cond.op]} ?"


def _pattern(kind: Codec, fold: bool, wire: bool) -> Callable[[Any], Stored]:
    def encode(value: Any) -> Stored:
        if not isinstance(value, str):
            raise error("22P02", f"a LIKE pattern is text, not {type(value).__name__}")
        return values.glob(values.clean_text(value), fold=fold, wire=wire)

    return encode


def _container(kind: Codec, wire: bool) -> Callable[[Any], Stored]:
    def encode(value: Any) -> Stored:
        if wire:
            raise not_supported("contains, contained_by or overlaps as text", hint='pass (column, "contains", [...])')
        return kind.compare(value)

    return encode


def _members(kind: Codec) -> Callable[[Any], Stored]:
    def encode(value: Any) -> Stored:
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise error("22P02", f"in_ takes a list of values, not {type(value).__name__}")
        items = list(itertools.islice(value, _MAX_IN + 1))
        if len(items) > _MAX_IN:
            raise error("54000", f"more than {_MAX_IN} values in one list", status=400)
        if None in items:
            raise error("22004", "None in a list matches nothing in SQL", hint='add an or_ with (column, "is", None)')
        travel = kind.in_json or _same
        return values.json_text([travel(kind.compare(item)) for item in items])

    return encode


# --- statements written by hand: db.sql ---

_TOKENS = re.compile(
    r"""(?P<skip>'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)|::)"""
    r"""|:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<end>;)|(?P<bad>[?@$:'"`\[\0])""",
    re.DOTALL,
)
_BLANK = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_READS = {"select", "with", "values", "explain"}
_WRITES = {"insert", "update", "delete", "replace", "create", "alter", "drop", "reindex", "analyze"}
_TRIGGER = re.compile(r"\s*create\s+(temp\s+|temporary\s+)?trigger\b", re.I)
_TARGET = re.compile(r"(?:insert\s+(?:or\s+\w+\s+)?into|replace\s+into|update|delete\s+from)\s+\"?(\w+)\"?", re.I)


class Raw:
    """A statement of the user's own, checked: one statement, every value bound by ``:name``."""

    __slots__ = (
        "_columns",
        "_target",
        "_types",
        "alters",
        "names",
        "one",
        "probe",
        "probed",
        "reads",
        "slow_until",
        "sql",
    )

    def __init__(self, text: str, one: bool) -> None:
        if "{" in text or "}" in text:
            raise error(
                "42601", "db.sql takes no braces: with one stray f before the quotes they would be an injection",
                hint="bind the value: db.sql('... where id = :id', id=3)",
            )  # fmt: skip
        names, pieces, at = [], [], 0
        end = len(text)
        for token in _TOKENS.finditer(text):
            if token["bad"] is not None:
                raise error("42601", f"syntax error at or near {token['bad']!r}", hint="values are bound as :name")
            if token["name"] is not None:
                names.append(token["name"])
                pieces += [text[at : token.start()], "null"]
                at = token.end()
            if token["end"] is not None:
                if _TRIGGER.match(text):
                    continue  # its body has semicolons; the driver refuses what follows the end
                if not _BLANK.fullmatch(text, token.end()):
                    raise error("42601", "db.sql runs one statement at a time", hint="use one call for each")
                end = token.start()
                break
        self.sql, self.names, self.one = text[:end], frozenset(names), one
        self.probe = "".join((*pieces, text[at:end]))
        word = _first_word(self.sql)
        if word not in _READS | _WRITES:
            raise error(
                "42601", f"db.sql does not run {word[:30].upper() or 'an empty statement'}",
                hint="transactions: db.transaction(); schema changes: migrations",
            )  # fmt: skip
        self.reads, self.alters = word in _READS, word in ("create", "alter", "drop")
        target = None if self.reads else _TARGET.search(self.sql)
        self._target = target[1] if target else None
        self.probed = False
        self._types: list[tuple[str, str]] | None = None
        self._columns: tuple[tuple[str, ...], Compiled] | None = None
        self.slow_until = 0.0

    def bind(self, given: dict[str, Any]) -> dict[str, Stored]:
        """The stored form of every named value."""
        missing, unused = self.names - given.keys(), given.keys() - self.names
        if missing or unused:
            words = [f":{name} has no value" for name in sorted(missing)]
            words += [f"{name}= is not in the statement" for name in sorted(unused)]
            raise error("42P02", "; ".join(words), status=500)
        return {name: values.any_value(value) for name, value in given.items()}

    def learn(self, types: list[tuple[str, str]] | None) -> None:
        """Take the declared type of each output column, as a view of the statement has them."""
        self.probed, self._types = True, types
        if types is None and _first_word(self.sql) == "with":
            self.reads = False

    def decode(
        self, rows: list[tuple[Any, ...]], description: Sequence[Sequence[Any]], schema: Schema
    ) -> list[dict[str, Any]]:
        """Raw rows to dicts, decoding the columns whose type is known."""
        names = tuple(column[0] for column in description)
        if self._columns is None or self._columns[0] != names:
            self._columns = names, Compiled("", (), self._outputs(names, schema), reads=True)
        return self._columns[1].decode(rows)

    def _outputs(self, names: tuple[str, ...], schema: Schema) -> list[tuple[str, Column | None]]:
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise error("42701", f'two columns of the answer are named "{twice}"', hint="give one an alias with AS")
        if self._types is not None and len(self._types) == len(names):
            from ..schema import parse_type

            types = [parse_type(declared) for _, declared in self._types]
            return [(name, Column("sql", name, t) if t else None) for name, t in zip(names, types, strict=True)]
        table = schema.tables.get(self._target) if self._target else None
        return [(name, table.columns.get(name) if table else None) for name in names]


def _first_word(text: str) -> str:
    start = _BLANK.match(text)
    word = re.compile(r"[A-Za-z]+").match(text, start.end() if start else 0)
    return word[0].lower() if word else ""


# --- the other statements that hold a name ---


def savepoint(number: int) -> str:
    """Open savepoint *number*."""
    return f"savepoint turnout_{int(number)}"


def release(number: int) -> str:
    """Keep what savepoint *number* did."""
    return f"release turnout_{int(number)}"


def rollback_to(number: int) -> str:
    """Undo what savepoint *number* did; it stays open until released."""
    return f"rollback to turnout_{int(number)}"


def probe_view(select: str) -> str:
    """A temporary view of *select*, which has no parameters any more, to learn its column types."""
    return f"create temp view turnout_probe as {select}"


DROP_PROBE = "drop view temp.turnout_probe"
PROBE = "select name, type from pragma_table_xinfo('turnout_probe', 'temp')"


def drop(kind: str, name: str) -> str:
    """Remove the trigger, view or table *name*, as the database itself lists it."""
    return f"drop {kind} if exists {quote(name)}"
