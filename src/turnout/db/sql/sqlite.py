"""Plans to SQLite's SQL, with the encoders of every value and the decoders of every row.

Every column is written with its table, since SQLite takes an unknown ``"name"`` alone for a
string. LIKE becomes GLOB, which heeds case and uses the index; NULLs are placed as PostgreSQL
places them; an ``in`` list is one bound JSON array, so that its length is no part of the text.
An embedded relation is a subquery that gives a JSON array of raw values, which the same decoders
read: SQLite's own JSON would keep 15 digits of a float. Binders stand in the order of the text.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..ast import TEXT_SEARCH
from ..errors import error, not_supported
from ..parse import parse_array
from ..plan import (
    NUMERIC,
    Condition,
    DeletePlan,
    EmbedPlan,
    Has,
    InsertPlan,
    Json,
    Output,
    Pairs,
    Plan,
    SelectPlan,
    Sort,
    Tree,
    UpdatePlan,
    tables,
    type_of,
)  # fmt: skip
from ..policy import Guard
from ..schema import Column, Schema, Type, quote
from . import values
from .functions import check_cast, json_key, json_literal
from .policies import guard_sql
from .rows import Binder, Read, json_row, read, read_output
from .rows import Compiled as Compiled
from .values import Codec, Stored, codec

_COMPARE = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "isdistinct": "is not"}
_IS = {"null": "is null", "not_null": "is not null", "true": "is 1", "false": "is 0", "unknown": "is null"}
_ARRAYS = {"contains": "turnout_contains", "contained_by": "turnout_contained", "overlaps": "turnout_overlaps"}
_MAX_IN = 10_000


def compile_plan(plan: Plan) -> Compiled:
    """The statement for *plan*, or PGRST127 for what SQLite cannot do exactly."""
    match plan:
        case SelectPlan():
            return _select(plan)
        case InsertPlan():
            return _insert(plan)
        case UpdatePlan():
            binders = Binders(_writer(slot, column) for slot, column in enumerate(plan.columns))
            sets = ", ".join(f"{column.quoted} = ?" for column in plan.columns)
            where = _where(plan.where, plan.table.quoted, binders)
            return _mutation(f"update {plan.table.quoted} set {sets}{where}", binders, plan, plan.most)
        case DeletePlan():
            if any(embed.many for embed in plan.embeds):
                # They would be read when ON DELETE CASCADE is done with them.
                raise not_supported("embedding several rows in what a delete gives back", hint="read them before")
            binders = Binders()
            where = _where(plan.where, plan.table.quoted, binders)
            return _mutation(f"delete from {plan.table.quoted}{where}", binders, plan, plan.most)


class Binders(list[Binder]):
    """The binders of one statement so far, and the names its tables have been given."""

    def __init__(self, binders: Iterable[Binder] = ()) -> None:
        super().__init__(binders)
        self._named = 0

    def alias(self, letter: str = "t") -> str:
        """A name that no other table of the statement has."""
        self._named += 1
        return f"{letter}{self._named}"


def _select(plan: SelectPlan) -> Compiled:
    if plan.explain:
        raise not_supported("explain")
    binders = Binders()
    table = binders.alias()
    columns = ", ".join(_columns(plan.outputs, plan.embeds, table, binders))
    before = len(binders)
    source = f"from {plan.table.quoted} as {table}{_where(plan.where, table, binders)}"
    counted = slice(before, len(binders))
    count = f"select count(*) {source}" if plan.count else None
    if plan.head:
        kept = binders[counted] if count else []
        return Compiled("select 1 where 0", kept, (), reads=True, count_sql=count, counted=slice(len(kept)))
    text = f"select {columns} {source}{_groups(plan)}{_order(plan.order, table, binders)}"
    if plan.limit < 0 and plan.one:
        text += " limit 2"  # two rows are enough to know that one is too many
    elif plan.limit < 0 and plan.offset >= 0:
        text += " limit -1"
    text += _window(plan, binders)
    return Compiled(
        text, binders, [read_output(output) for output in plan.outputs],
        reads=True, embeds=plan.embeds, one=plan.one, count_sql=count, counted=counted,
    )  # fmt: skip


def _window(plan: SelectPlan, binders: Binders) -> str:
    text = ""
    for word, slot in (("limit", plan.limit), ("offset", plan.offset)):
        if slot >= 0:
            text += f" {word} ?"
            binders.append((slot, _same))
    return text


def _insert(plan: InsertPlan) -> Compiled:
    binders = Binders(_writer(slot, column) for slot, column in enumerate(plan.columns))
    names = ", ".join(column.quoted for column in plan.columns)
    marks = ", ".join("?" * len(plan.columns))
    row = f"({names}) values ({marks})" if plan.columns else "default values"
    text = f"insert into {plan.table.quoted} {row}"
    if plan.conflict is not None:
        if not plan.columns:
            raise error("PGRST102", "an upsert needs at least one column")
        keys = ", ".join(column.quoted for column in plan.conflict)
        sets = ", ".join(f"{column.quoted} = excluded.{column.quoted}" for column in plan.updates)
        text += f" on conflict ({keys}) do " + ("nothing" if plan.ignore else f"update set {sets}")
    return _mutation(text, binders, plan)


def _mutation(text: str, binders: Binders, plan: InsertPlan | UpdatePlan | DeletePlan, most: int = -1) -> Compiled:
    if plan.returning is None:
        return Compiled(text, binders, None, reads=False, most=most)
    if plan.table.name in tables(plan.embeds):
        # PostgreSQL shows its rows as they were before the statement, SQLite as they are halfway.
        raise not_supported(
            f'embedding "{plan.table.name}" in what a write to it gives back', hint="read it afterwards"
        )
    # RETURNING knows no alias: the table's own name it is.
    columns = ", ".join(_columns(plan.returning, plan.embeds, plan.table.quoted, binders))
    outputs = [read_output(output) for output in plan.returning]
    return Compiled(f"{text} returning {columns}", binders, outputs, reads=False, embeds=plan.embeds, most=most)


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


# --- what is selected ---


def _columns(outputs: Sequence[Output], embeds: Sequence[EmbedPlan], table: str, binders: Binders) -> list[str]:
    return [_output(output, table) for output in outputs] + [_embed(embed, table, binders) for embed in embeds]


def _output(output: Output, table: str) -> str:
    if output.column.name == "*":
        text = "count(*)"
    else:
        text = _value(output.column, output.json, table)
        if output.cast is not None:
            text = _cast(text, type_of(output.column, output.json), output.cast)
        if output.aggregate is not None:
            text = _aggregate(output, text)
    if output.result is None:
        return text
    return _cast(text, output.computed, output.result, exact=output.input != NUMERIC)


def _value(column: Column, json: Json | None, table: str) -> str:
    """A column, or what is at a place inside it."""
    text = f"{table}.{column.quoted}"
    if json is None:
        return text
    path = literal("$" + "".join(_step(step) for step in json.steps))
    # What -> gives is marked as JSON, and would go into an embedded row as a value and not as text.
    inside = f"(({text} -> {path}) || '')"
    if not json.as_text:
        return inside
    # SQLite's ->> gives 1 for true and prints numbers and objects its own way.
    return (
        f"(case json_type({text}, {path}) when 'text' then {text} ->> {path} when 'integer' then {inside}"
        f" else turnout_json_text({inside}) end)"
    )


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]" if step >= 0 else f"[#{step}]"
    if not step or any(letter in '"\\' or letter < " " for letter in step):
        raise not_supported("an empty JSON key, and one with a quote, a backslash or a control character")
    return f'."{step}"'


def literal(text: str) -> str:
    """*text* as an SQL string; for JSON paths and type names, which are part of a statement's shape."""
    values.clean_text(text)
    return "'" + text.replace("'", "''") + "'"


def _cast(text: str, source: Type, target: Type, *, exact: bool = False) -> str:
    """*exact*: a numeric without a scale has all of its digits after all, as it is a sum of numbers that have."""
    if not exact and source == NUMERIC and target.name in ("text", "varchar"):
        raise not_supported("a numeric without a scale as text, whose last zeros are lost", hint="numeric(10, 2)")
    check_cast(source, target)
    return f"turnout_cast({text}, {literal(str(source))}, {literal(str(target))})"


def _aggregate(output: Output, text: str) -> str:
    kind, type_ = output.aggregate, output.input
    if kind in ("count", "min", "max"):
        if kind != "count" and type_.name == "bytea":
            raise not_supported(f"{kind}() of bytea")
        return f"{kind}({text})"
    if kind == "sum" and type_.name in ("int2", "int4"):
        return f"sum({text})"
    word = f"_{type_.name}" if type_.name in ("float4", "float8") else ""
    return f"turnout_{kind}{word}({text}, {literal(str(type_))})"


def _groups(plan: SelectPlan) -> str:
    if not plan.grouped:
        return ""
    places = []
    for place, output in enumerate(plan.outputs, 1):
        if output.aggregate is None:
            if output.type.array or output.type.name in ("json", "jsonb", "unknown"):
                raise not_supported(f"grouping by {output.type}")
            places.append(str(place))
    return f" group by {', '.join(places)}" if places else ""


# --- embedded relations ---


def _embed(embed: EmbedPlan, outer: str, binders: Binders) -> str:
    """The subquery that gives the rows of *embed* as JSON. Its own subquery is what keeps their order."""
    query = embed.query
    table = binders.alias()
    columns = _columns(query.outputs, query.embeds, table, binders)
    named = ", ".join(f"{text} as c{at}" for at, text in enumerate(columns))
    rows = f"select {named} {_source(embed, outer, table, binders)}{_groups(query)}"
    rows += _order(query.order, table, binders)
    if query.limit < 0 and query.offset >= 0:
        rows += " limit -1"
    rows += _window(query, binders)
    alias = binders.alias("s")
    row = json_row([read_output(output) for output in query.outputs], alias, len(query.embeds))
    return f"(select {f'json_group_array({row})' if embed.many else row} from ({rows}) as {alias})"


def _source(embed: EmbedPlan, outer: str, table: str, binders: Binders) -> str:
    """FROM and WHERE of the rows that belong to one row of *outer*."""
    source, trees = f"from {embed.query.table.quoted} as {table}", [(embed.query.where, table)]
    parts = _joined(embed.on, outer, table)
    if embed.junction is not None:
        middle = binders.alias()
        source += f", {embed.junction.table.quoted} as {middle}"
        parts += _joined(embed.junction.near, outer, middle) + _joined(embed.junction.far, middle, table)
        trees.append((embed.junction.where, middle))
    parts += [f"({_tree(tree, alias, binders)})" for tree, alias in trees if tree.items]
    return f"{source} where {' and '.join(parts)}"


def _joined(pairs: Pairs, left: str, right: str) -> list[str]:
    return [f"{right}.{theirs.quoted} = {left}.{ours.quoted}" for ours, theirs in pairs]


def _has(has: Has, outer: str, binders: Binders) -> str:
    query = has.embed.query
    source = _source(has.embed, outer, binders.alias(), binders)
    if query.limit < 0 and query.offset >= 0:
        source += " limit -1"
    return f"{'not ' if has.negated else ''}exists (select 1 {source}{_window(query, binders)})"


# --- order and conditions ---


def _order(keys: tuple[Sort, ...], table: str, binders: Binders) -> str:
    parts = []
    for key in keys:
        if not codec(key.type).comparable:
            raise not_supported(f"ordering by {key.type}", hint="->> orders by text" if key.json else None)
        if key.embed is None:
            text = _value(key.column, key.json, table)
        else:
            inner = binders.alias()
            text = f"(select {_value(key.column, key.json, inner)} {_source(key.embed, table, inner, binders)})"
        if key.desc:
            text += " desc"
        # Where there is no NULL, the words would only keep the index from being used.
        if key.column.nullable or key.json is not None or key.embed is not None:
            text += " nulls first" if key.nulls_first else " nulls last"
        parts.append(text)
    return f" order by {', '.join(parts)}" if parts else ""


def _where(tree: Tree, table: str, binders: Binders) -> str:
    return f" where {_tree(tree, table, binders)}" if tree.items else ""


def _tree(tree: Tree, table: str, binders: Binders) -> str:
    parts = [_part(item, table, binders) for item in tree.items]
    text = f" {tree.kind} ".join(parts) or ("1" if tree.kind == "and" else "0")
    return f"not ({text})" if tree.negated else text


def _part(item: Condition | Has | Tree | Guard, table: str, binders: Binders) -> str:
    if isinstance(item, Guard):
        return f"({guard_sql(item, table, binders)})"
    if isinstance(item, Has):
        return _has(item, table, binders)
    return f"({_tree(item, table, binders)})" if isinstance(item, Tree) else _condition(item, table, binders)


def _condition(cond: Condition, table: str, binders: Binders) -> str:
    text = _positive(cond, _value(cond.column, cond.json, table), codec(cond.type), binders)
    return f"not ({text})" if cond.negated else text


def _positive(cond: Condition, text: str, kind: Codec, binders: Binders) -> str:
    op = cond.op
    if op == "is":
        return f"{text} {_IS[cond.word or 'null']}"
    if op in ("match", "imatch"):
        raise not_supported("a regular expression", hint="like and ilike match patterns")
    if op in TEXT_SEARCH:
        raise not_supported("full-text search", hint="ilike finds plain text")
    if cond.quantifier is not None:
        return _quantified(cond, text, kind, binders)
    if op in ("like", "ilike"):
        binders.append((cond.slot, _pattern(op == "ilike", cond.wire)))
        return f"turnout_lower({text}) glob ?" if op == "ilike" else f"{text} glob ?"
    if op in _ARRAYS:
        binders.append((cond.slot, _container(kind, cond.wire)))
        return f"{_ARRAYS[op]}({text}, ?)"
    text, encode, _ = _comparison(cond, text, kind)
    if op == "in":
        binders.append((cond.slot, _members(encode, kind.in_json)))
        return f"{text} in (select {_member(kind)} from json_each(?))"
    binders.append((cond.slot, encode))
    return f"{text} {_COMPARE[op]} ?"


def _comparison(cond: Condition, text: str, kind: Codec) -> tuple[str, Callable[[Any], Stored], str]:
    """What is compared, how the value is encoded, and what a value of a list is called."""
    if kind.comparable:
        if kind.in_json is None and (cond.op == "in" or cond.quantifier):
            raise not_supported(f"a list of {kind.of}")
        return text, kind.compare, _member(kind)
    if kind.of.name == "json" and not kind.of.array:
        raise error("42883", f"operator does not exist: json {_COMPARE.get(cond.op, cond.op)} unknown")
    if cond.op not in ("eq", "neq", "in", "isdistinct"):
        raise not_supported(f"comparing {kind.of} with {cond.op}", hint="->> compares text")
    return f"turnout_json_key({text})", _json_value(kind, cond.wire), _member(kind)


def _member(kind: Codec) -> str:
    return "turnout_float(value)" if kind.in_json is repr else "value"


def _quantified(cond: Condition, text: str, kind: Codec, binders: Binders) -> str:
    """``like(any)``: the list is one bound array; of a NULL column nothing is known."""
    if cond.op in ("like", "ilike"):
        encode = _pattern(cond.op == "ilike", cond.wire)
        test = f"turnout_lower({text}) glob value" if cond.op == "ilike" else f"{text} glob value"
    else:
        left, encode, member = _comparison(cond, text, kind)
        test = f"{left} {_COMPARE[cond.op]} {member}"
    binders.append((cond.slot, _members(encode, kind.in_json if cond.op not in ("like", "ilike") else None)))
    found = f"exists (select 1 from json_each(?) where {test})"
    if cond.quantifier == "all":
        found = f"not exists (select 1 from json_each(?) where not ({test}))"
    return f"case when {text} is null then null else {found} end"


def _pattern(fold: bool, wire: bool) -> Callable[[Any], Stored]:
    def encode(value: Any) -> Stored:
        if not isinstance(value, str):
            raise error("22P02", f"a LIKE pattern is text, not {type(value).__name__}")
        return values.glob(values.clean_text(value), fold=fold, wire=wire)

    return encode


def _container(kind: Codec, wire: bool) -> Callable[[Any], Stored]:
    def encode(value: Any) -> Stored:
        if kind.of.array:
            return kind.compare(parse_array(value) if wire and isinstance(value, str) else value)
        return values.json_text(json_literal(value) if wire else value)

    return encode


def _json_value(kind: Codec, wire: bool) -> Callable[[Any], Stored]:
    contain = _container(kind, wire)
    return lambda value: json_key(contain(value))


def _members(encode: Callable[[Any], Stored], travel: Callable[[Any], Any] | None = None) -> Callable[[Any], Stored]:
    def encode_all(value: Any) -> Stored:
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise error("22P02", f"in_ takes a list of values, not {type(value).__name__}")
        items = list(itertools.islice(value, _MAX_IN + 1))
        if len(items) > _MAX_IN:
            raise error("54000", f"more than {_MAX_IN} values in one list", status=400)
        if None in items:
            raise error("22004", "None in a list matches nothing in SQL", hint='add an or_ with (column, "is", None)')
        return values.json_text([(travel or _same)(encode(item)) for item in items])

    return encode_all


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
        "plain",
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
        self.plain = False  # its columns' types are known only once it is prepared
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

    def _outputs(self, names: tuple[str, ...], schema: Schema) -> list[Read]:
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise error("42701", f'two columns of the answer are named "{twice}"', hint="give one an alias with AS")
        if self._types is not None and len(self._types) == len(names):
            from ..schema import parse_type

            types = [parse_type(declared) for _, declared in self._types]
            return [read(name, Column("sql", name, t) if t else None) for name, t in zip(names, types, strict=True)]
        table = schema.tables.get(self._target) if self._target else None
        return [read(name, table.columns.get(name) if table else None) for name in names]


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
