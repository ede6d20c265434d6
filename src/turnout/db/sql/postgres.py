"""Plans to PostgreSQL's SQL, with the encoders of every value and the readers of every row.

Every value travels as text and is cast by its column's type, ``($1::text)::int4``, never with the
type's length or scale: an explicit cast would cut silently where an assignment raises. An ``in``
list is one bound array, so that its length is no part of the text. Rows come back as JSON types,
which is the work of the connection's codecs; what the driver has no plain value for is read as
text or as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..ast import Form
from ..errors import error
from ..plan import (
    CallPlan,
    Condition,
    DeletePlan,
    EmbedPlan,
    Has,
    InsertPlan,
    Json,
    Output,
    Plan,
    SelectPlan,
    Sort,
    Tree,
    UpdatePlan,
)  # fmt: skip
from ..policy import Guard
from ..schema import Column, Table, Type, quote
from .pgvalues import Write, any_text, members, numeric, pattern, patterns, row_text, writer

Encode = Callable[[Any], Any]
Fix = Callable[[Any], Any]
Record = Mapping[str, Any]
COUNT = "turnout:count"  # no column is named so: a plan's names have no colon
TEXT = Type("text")
_COMPARE = {
    "eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "isdistinct": "is distinct from",
    "contains": "@>", "contained_by": "<@", "overlaps": "&&", "sl": "<<", "sr": ">>", "nxl": "&>", "nxr": "&<",
    "adj": "-|-",
}  # fmt: skip
_PATTERNS = {"like": "like", "ilike": "ilike", "match": "~", "imatch": "~*"}
_SEARCHES = {
    "fts": "to_tsquery", "plfts": "plainto_tsquery", "phfts": "phraseto_tsquery", "wfts": "websearch_to_tsquery",
}  # fmt: skip
_IS = {
    "null": "is null", "not_null": "is not null", "true": "is true", "false": "is false", "unknown": "is unknown",
}  # fmt: skip
MAX_ROWS, _MAX_IN = 10_000, 10_000


class Compiled:
    """A statement ready to run, and how its rows are read.

    Args:
        sql: The text; ``$n`` is the value of the binder n - 1.
        binders: Slot and encoder of each value.
        reads: It changes nothing.
        returns: Executing it gives rows.
        one: The caller wants one row; several are an error.
        several: It may give more rows than it is allowed to, so it needs a transaction to undo it.
        most: The slot of the greatest number of rows it may touch, or -1.
        fixes: What is still to be done to an output, by its name.
        count_sql: What counts when no row came to bring the count along; its binders are the first *count_binders*.
        bulk_sql: For several rows of an insert: ``$1`` is all of them as JSON.
        page: It gives one row: all rows as JSON text in ``body``, their number in ``rows``, and ``total`` if counted.
    """

    __slots__ = (
        "_bulk_binders", "_columns", "_keys", "_raw", "_writers", "binders", "bulk_sql", "count_binders",
        "count_sql", "fixes", "head", "most", "one", "page", "reads", "returns", "several", "sql",
    )  # fmt: skip

    def __init__(
        self,
        sql: str,
        binders: Sequence[tuple[int, Encode]],
        *,
        reads: bool = False,
        returns: bool = True,
        one: bool = False,
        several: bool = False,
        most: int = -1,
        head: bool = False,
        fixes: Mapping[str, Fix] | None = None,
        count_sql: str | None = None,
        count_binders: int = 0,
        bulk_sql: str | None = None,
        bulk_binders: Sequence[tuple[int, Encode]] = (),
        columns: Sequence[Column] = (),
        keys: Sequence[Column] = (),
        page: bool = False,
    ) -> None:
        self.sql, self.binders, self.page = sql, tuple(binders), page
        self.reads, self.returns, self.one, self.several, self.head = reads, returns, one, several, head
        self.most, self.fixes = most, tuple((fixes or {}).items())
        self.count_sql, self.count_binders = count_sql, count_binders
        self.bulk_sql, self._bulk_binders = bulk_sql, tuple(bulk_binders)
        self._columns = tuple(column.name for column in columns)
        self._writers: tuple[Write, ...] = tuple(writer(column.type) for column in columns)
        self._raw = frozenset(n for n, column in enumerate(columns) if _is_json(column.type))
        self._keys = tuple(n for n, column in enumerate(columns) if column in keys)

    def bind(self, slots: Sequence[Any]) -> list[Any]:
        """The text of every value, or DbError 22xxx."""
        return _bound(self.binders, slots)

    def bulk(self, rows: Sequence[tuple[Any, ...]], rest: tuple[Any, ...]) -> list[Any]:
        """The values of ``bulk_sql``: all *rows* as one, then those that *rest* holds behind a row's."""
        text = row_text(rows, self._columns, self._writers, self._raw)
        return [text, *_bound(self._bulk_binders, (*rows[0], *rest))]

    def key(self, row: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """What an upsert's row collides by; one statement may not touch a row twice."""
        return tuple(self._writers[n](row[n]) for n in self._keys) if self._keys else None

    def decode(self, records: Iterable[Record]) -> list[dict[str, Any]]:
        """Records to dicts."""
        rows = [dict(record) for record in records]
        for name, fix in self.fixes:
            for row in rows:
                if row[name] is not None:
                    row[name] = fix(row[name])
        return rows


class Scalars(Compiled):
    """A call of a function that gives plain values."""

    __slots__ = ()

    def decode(self, records: Iterable[Record]) -> list[Any]:
        """Records to values."""
        return [row["value"] for row in super().decode(records)]


def _bound(binders: Iterable[tuple[int, Encode]], slots: Sequence[Any]) -> list[Any]:
    return [encode(slots[slot]) if slot >= 0 else encode(None) for slot, encode in binders]


def _is_json(type_: Type) -> bool:
    return type_.name in ("json", "jsonb") and not type_.array


class _Text:
    """The values and aliases of a statement under construction.

    Args:
        exact: It becomes JSON text that nobody reads before the client, so a numeric may be a number in it.
    """

    def __init__(self, exact: bool = False) -> None:
        self.exact = exact
        self.binders: list[tuple[int, Encode]] = []
        self._constants: dict[str, str] = {}
        self._aliases = 0

    def alias(self) -> str:
        """A new name for a table."""
        self._aliases += 1
        return f"t{self._aliases}"

    def bind(self, slot: int, encode: Encode) -> str:
        """The placeholder of the value in *slot*."""
        self.binders.append((slot, encode))
        return f"${len(self.binders)}"

    def constant(self, text: str) -> str:
        """The placeholder of *text*, the same for the same text: only so are two expressions equal."""
        if text not in self._constants:
            self._constants[text] = f"{self.bind(-1, lambda _: text)}::text"
        return self._constants[text]

    def value(self, slot: int, type_: Type, wire: bool = False) -> str:
        """The value in *slot*, cast to *type_*."""
        return f"({self.bind(slot, writer(type_, wire))}::text)::{_type(type_)}"


def _type(type_: Type) -> str:
    base = type_.cast or f'"pg_catalog".{quote("text" if type_.name == "unknown" else type_.name)}'
    return base + "[]" * type_.array


def compile_plan(plan: Plan, form: Form | None = None) -> Compiled:
    """The statement for *plan*.

    Args:
        form: What the wire wants its answer to be.
    """
    text = _Text()
    match plan:
        case SelectPlan():
            if form is not None and form.body != "rows":
                return _page(plan, form, _Text(exact=True))
            return _select(plan, text)
        case InsertPlan():
            return _insert(plan, text)
        case UpdatePlan():
            alias = text.alias()
            sets = ", ".join(
                f"{column.quoted} = {text.value(slot, column.type)}" for slot, column in enumerate(plan.columns)
            )
            start = f"update {plan.table.quoted} as {alias} set {sets}{_where(plan.where, alias, text)}"
        case DeletePlan():
            alias = text.alias()
            start = f"delete from {plan.table.quoted} as {alias}{_where(plan.where, alias, text)}"
    statement = _returning(start, plan, alias, text)
    returns = plan.returning is not None
    several = plan.most >= 0 or (returns and not _by_key(plan.table, plan.where))
    return Compiled(
        statement, text.binders, returns=returns, several=several, most=plan.most,
        fixes=_fixes(plan.returning or (), plan.embeds, False),
    )  # fmt: skip


def _select(plan: SelectPlan, text: _Text) -> Compiled:
    alias = text.alias()
    source = f"{plan.table.quoted} as {alias}" if plan.call is None else _called(plan.call, alias, text)
    where = _where(plan.where, alias, text)
    filters = len(text.binders)
    count = f'select count(*) as "{COUNT}" from {source}{where}' if plan.count else None
    if plan.head:
        return Compiled(
            count or "select 1 where false", text.binders if count else (), reads=True, head=True, count_sql=count,
            count_binders=filters,
        )  # fmt: skip
    columns, joins = _columns(plan.outputs, plan.embeds, alias, text, inside=False)
    if count:
        # Not correlated, so it is run once, in the snapshot that the rows are of.
        columns.append(f'({count}) as "{COUNT}"')
    group = _group(plan, alias, text)
    statement = f"select {', '.join(columns)} from {source}{joins}{where}{group}"
    # One row more than may be is enough to know that there are too many.
    statement += _order(plan.order, alias, text) + _window(plan, text, 2 if plan.one else MAX_ROWS + 1)
    if plan.explain:
        return Compiled(f"explain ({', '.join(plan.explain)}) {statement}", text.binders, reads=True)
    made = Compiled if plan.call is None or not plan.call.scalar else Scalars
    return made(
        statement, text.binders, reads=True, one=plan.one, count_sql=count, count_binders=filters,
        fixes=_fixes(plan.outputs, plan.embeds, False),
    )  # fmt: skip


def _page(plan: SelectPlan, form: Form, text: _Text) -> Compiled:
    """A select whose rows come as one JSON text, which is what goes to the client."""
    alias, source, before = text.alias(), f"{plan.table.quoted} as t1", ""
    if plan.call is not None:
        source = _called(plan.call, alias, text)
        if plan.count:  # counted and read, but called once
            before, source = f"with called as materialized (select * from {source}) ", f"called as {alias}"
    where = _where(plan.where, alias, text)
    total = f', (select count(*) from {source}{where}) as "total"' if plan.count else ""
    if plan.head:
        return Compiled(f"{before}select '' as body, 0::int8 as rows{total}", text.binders, reads=True, page=True)
    columns, joins = _columns(plan.outputs, plan.embeds, alias, text, inside=True)
    group = _group(plan, alias, text)
    inner = f"select {', '.join(columns)} from {source}{joins}{where}{group}"
    inner += _order(plan.order, alias, text) + _window(plan, text, None)
    body = 'json_agg(w."value")' if plan.call is not None and plan.call.scalar else "json_agg(w)"
    body = f"json_strip_nulls({body})" if form.strip else body
    body = f"{body} -> 0" if form.body == "object" else f"coalesce({body}, '[]')"
    statement = f"{before}select ({body})::text as body, count(*) as rows{total} from ({inner}) as w"
    if plan.explain:
        return Compiled(f"explain ({', '.join(plan.explain)}) {statement}", text.binders, reads=True)
    return Compiled(statement, text.binders, reads=True, page=True)


def _called(call: CallPlan, alias: str, text: _Text) -> str:
    """The function as a table, its arguments by name."""
    arguments = ", ".join(
        f"{'variadic ' if argument.variadic else ''}{f'{quote(argument.name)} => ' if argument.name else ''}"
        f"{_argument(slot, argument.type, text)}"
        for slot, argument in enumerate(call.arguments)
    )
    return f"{call.function.quoted}({arguments}) as {alias}" + ('("value")' if call.scalar else "")


def _argument(slot: int, type_: Type, text: _Text) -> str:
    if type_.read == "json" and not type_.array:  # a row
        return f"json_populate_record(null::{_type(type_)}, ({text.bind(slot, writer(Type('json')))}::text)::json)"
    return text.value(slot, type_)


def _window(plan: SelectPlan, text: _Text, most: int | None) -> str:
    window = ""
    if plan.limit >= 0:
        window = f" limit ({text.bind(plan.limit, str if most is None else _capped(most))}::text)::int8"
    elif most is not None:
        window = f" limit {most}"
    if plan.offset >= 0:
        window += f" offset ({text.bind(plan.offset, str)}::text)::int8"
    return window


def _capped(most: int) -> Callable[[int], str]:
    return lambda limit: str(min(limit, most))


def _insert(plan: InsertPlan, text: _Text) -> Compiled:
    if plan.conflict is not None and not plan.columns:
        raise error("PGRST102", "an upsert needs at least one column")
    alias, table, end = text.alias(), plan.table.quoted, _conflict(plan)
    names = ", ".join(column.quoted for column in plan.columns)
    row = ", ".join(text.value(slot, column.type) for slot, column in enumerate(plan.columns))
    one = f"insert into {table} as {alias} " + (f"({names}) values ({row})" if plan.columns else "default values")
    several = _Text()
    several.alias()
    rows = f"json_populate_recordset(null::{table}, ({several.bind(-1, str)}::text)::json) as r"
    picked = ", ".join(f"r.{column.quoted}" for column in plan.columns)
    many = f"insert into {table} as {alias} ({names}) select {picked} from {rows}"
    return Compiled(
        _returning(one + end, plan, alias, text), text.binders, returns=plan.returning is not None,
        bulk_sql=_returning(many + end, plan, alias, several) if plan.columns else None,
        bulk_binders=several.binders[1:], columns=plan.columns, keys=() if plan.ignore else plan.conflict or (),
        fixes=_fixes(plan.returning or (), plan.embeds, False),
    )  # fmt: skip


def _conflict(plan: InsertPlan) -> str:
    if plan.conflict is None:
        return ""
    keys = ", ".join(column.quoted for column in plan.conflict)
    sets = ", ".join(f"{column.quoted} = excluded.{column.quoted}" for column in plan.updates)
    return f" on conflict ({keys}) do " + ("nothing" if plan.ignore else f"update set {sets}")


def _returning(statement: str, plan: InsertPlan | UpdatePlan | DeletePlan, alias: str, text: _Text) -> str:
    """*statement* with what it gives back."""
    if plan.returning is None:
        return statement
    columns, joins = _columns(plan.returning, plan.embeds, alias, text, inside=False)
    outputs = ", ".join(columns)
    if not plan.embeds:
        return f"{statement} returning {outputs}"
    return f"with written as ({statement} returning {alias}.*) select {outputs} from written as {alias}{joins}"


# --- what comes out ---


def _columns(
    outputs: Iterable[Output], embeds: Iterable[EmbedPlan], alias: str, text: _Text, *, inside: bool
) -> tuple[list[str], str]:
    """The output list, and the joins that it needs; *inside* is of a value that becomes JSON."""
    columns = [_output(output, alias, text, inside) for output in outputs]
    joins = ""
    for embed in embeds:
        name, query = text.alias(), _embedded(embed, alias, text, inside or not embed.spread)
        if embed.spread:
            joins += f" left join lateral ({query}) as {name} on true"
            columns += [f"{name}.{quote(each)} as {quote(each)}" for each in embed.names]
            continue
        whole = f"coalesce(json_agg({name}), '[]'::json)" if embed.many else f"row_to_json({name})"
        columns.append(f"(select {whole} from ({query}) as {name}) as {quote(embed.name)}")
    return columns, joins


def _embedded(embed: EmbedPlan, outer: str, text: _Text, inside: bool) -> str:
    """A select of the rows of *embed* that belong to the row *outer*."""
    plan, alias = embed.query, text.alias()
    source, where = _joined(embed, alias, outer, text)
    columns, joins = _columns(plan.outputs, plan.embeds, alias, text, inside=inside)
    group, order = _group(plan, alias, text), _order(plan.order, alias, text)
    window = _window(plan, text, None if embed.many else 1)
    return f"select {', '.join(columns)} {source}{joins}{where}{group}{order}{window}"


def _joined(embed: EmbedPlan, alias: str, outer: str, text: _Text) -> tuple[str, str]:
    """FROM and WHERE of the rows of *embed* that belong to the row *outer*."""
    source, parts = f"from {embed.query.table.quoted} as {alias}", []
    if embed.junction is None:
        parts += [f"{alias}.{theirs.quoted} = {outer}.{ours.quoted}" for ours, theirs in embed.on]
    else:
        way, between = embed.junction, text.alias()
        links = [f"{between}.{theirs.quoted} = {outer}.{ours.quoted}" for ours, theirs in way.near]
        links += [f"{alias}.{theirs.quoted} = {between}.{ours.quoted}" for ours, theirs in way.far]
        if way.where.items:
            links.append(f"({_tree(way.where, between, text)})")
        parts.append(f"exists (select from {way.table.quoted} as {between} where {' and '.join(links)})")
    if embed.query.where.items:
        parts.append(f"({_tree(embed.query.where, alias, text)})")
    return source, f" where {' and '.join(parts)}"


def _output(output: Output, alias: str, text: _Text, inside: bool) -> str:
    value = _expression(output, alias, text)
    type_ = output.type
    if type_.read == "text" or (inside and type_.name == "numeric" and not text.exact):
        value = f"({value})::text" + "[]" * type_.array
    elif type_.read == "json" and not inside:
        value = f"to_jsonb({value})"
    return f"{value} as {quote(output.name)}"


def _expression(output: Output, alias: str, text: _Text) -> str:
    if output.aggregate == "count" and output.column.name == "*":
        value = "count(*)"
    else:
        value = _place(alias, output.column, output.json, text)
        if output.cast is not None:
            value = f"({value})::{_type(output.cast)}"
        if output.aggregate is not None:
            value = f"{output.aggregate}({value})"
    return value if output.result is None else f"({value})::{_type(output.result)}"


def _place(alias: str, column: Column, json: Json | None, text: _Text) -> str:
    value = f"{alias}.{column.quoted}"
    if json is None:
        return value
    if column.type.array:
        value = f"to_jsonb({value})"
    for number, step in enumerate(json.steps, 1):
        arrow = "->>" if json.as_text and number == len(json.steps) else "->"
        value += f" {arrow} {int(step) if isinstance(step, int) else f'({text.constant(step)})'}"
    return f"({value})"


def _group(plan: SelectPlan, alias: str, text: _Text) -> str:
    keys = [_expression(output, alias, text) for output in plan.outputs if output.aggregate is None]
    return f" group by {', '.join(keys)}" if plan.grouped and keys else ""


def _fixes(outputs: Iterable[Output], embeds: Iterable[EmbedPlan], inside: bool) -> dict[str, Fix]:
    """What JSON cannot say: that 3 is a float; and a numeric travels as text, so that no digit is lost."""
    fixes: dict[str, Fix] = {}
    for output in outputs:
        fix = _INSIDE.get(output.type.name) if inside else None
        if fix is not None:
            fixes[output.name] = _each(fix) if output.type.array else fix
    for embed in embeds:
        inner = _fixes(embed.query.outputs, embed.query.embeds, inside or not embed.spread)
        if embed.spread:
            fixes |= inner
        elif inner:
            fixes[embed.name] = _fixer(inner, embed.many)
    return fixes


_INSIDE: dict[str, Fix] = {"numeric": numeric, "float4": float, "float8": float}


def _each(fix: Fix) -> Fix:
    def fixed(value: Any) -> Any:
        if isinstance(value, list):
            return [fixed(item) for item in value]
        return None if value is None else fix(value)

    return fixed


def _fixer(fixes: dict[str, Fix], many: bool) -> Fix:
    def each(row: dict[str, Any]) -> dict[str, Any]:
        for name, fix in fixes.items():
            if row[name] is not None:
                row[name] = fix(row[name])
        return row

    return (lambda rows: [each(row) for row in rows]) if many else each


# --- conditions ---


def _by_key(table: Table, where: Tree) -> bool:
    """Whether *where* can match one row at most, since it fixes a whole key."""
    if where.kind != "and" or where.negated:
        return False
    fixed = {
        item.column.name
        for item in where.items
        if isinstance(item, Condition) and item.op == "eq" and not (item.negated or item.json or item.quantifier)
    }
    return any(key and fixed.issuperset(key) for key in (table.pk, *table.uniques))


def _order(keys: tuple[Sort, ...], alias: str, text: _Text) -> str:
    parts = []
    for key in keys:
        if key.embed is None:
            value = _place(alias, key.column, key.json, text)
        else:
            inner = text.alias()
            source, where = _joined(key.embed, inner, alias, text)
            value = f"(select {_place(inner, key.column, key.json, text)} {source}{where} limit 1)"
        part = value + (" desc" if key.desc else "")
        nullable = key.column.nullable or key.json is not None or key.embed is not None
        if nullable and key.nulls_first != key.desc:
            part += " nulls first" if key.nulls_first else " nulls last"
        parts.append(part)
    return f" order by {', '.join(parts)}" if parts else ""


def _where(tree: Tree, alias: str, text: _Text) -> str:
    return f" where {_tree(tree, alias, text)}" if tree.items else ""


def _tree(tree: Tree, alias: str, text: _Text) -> str:
    joined = f" {tree.kind} ".join(_part(item, alias, text) for item in tree.items)
    joined = joined or ("true" if tree.kind == "and" else "false")
    return f"not ({joined})" if tree.negated else joined


def _part(item: Condition | Has | Tree | Guard, alias: str, text: _Text) -> str:
    match item:
        case Tree():
            return f"({_tree(item, alias, text)})"
        case Has():
            source, where = _joined(item.embed, text.alias(), alias, text)
            return f"{'not ' if item.negated else ''}exists (select {source}{where})"
        case Condition():
            positive = _positive(item, _place(alias, item.column, item.json, text), text)
            return f"not ({positive})" if item.negated else positive
        case _:
            # The database has its own policies; planning for SQLite's here would be a mistake of ours.
            raise error("XX000", "a row policy of lib/policies.py has no place on PostgreSQL")


def _positive(cond: Condition, column: str, text: _Text) -> str:
    op, type_ = cond.op, cond.type
    if op == "is":
        return f"{column} {_IS[cond.word or 'null']}"
    if op in _PATTERNS:
        if cond.quantifier is not None:
            encode: Encode = patterns(cond.wire, _MAX_IN) if op in ("like", "ilike") else members(TEXT, _MAX_IN)
            return f"{column} {_PATTERNS[op]} {cond.quantifier}({text.bind(cond.slot, encode)}::text[])"
        single = pattern(cond.wire) if op in ("like", "ilike") else writer(TEXT)
        return f"{column} {_PATTERNS[op]} {text.bind(cond.slot, single)}::text"
    if op in _SEARCHES:
        config = f"({text.constant(cond.config)})::regconfig, " if cond.config else ""
        document = column if type_.name == "tsvector" else f"to_tsvector({config}{column})"
        return f"{document} @@ {_SEARCHES[op]}({config}{text.bind(cond.slot, writer(TEXT))}::text)"
    if op == "in" or cond.quantifier is not None:
        if type_.array:
            raise error("PGRST127", f"{op} with a list on {type_} is not supported", hint="use contains or overlaps")
        listed = text.bind(cond.slot, members(type_, _MAX_IN, cond.wire))
        sign = "=" if op == "in" else _COMPARE[op]
        return f"{column} {sign} {cond.quantifier or 'any'}(({listed}::text[])::{_type(type_)}[])"
    return f"{column} {_COMPARE[op]} {text.value(cond.slot, type_, cond.wire)}"


# --- statements written by hand: db.sql ---

_TOKEN = re.compile(
    r"""(?P<skip>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|::|:="""
    r"""|\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$|[^\W\d][\w$]*)"""
    r"""|(?P<comment>/\*)|:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<end>;)|(?P<bad>['"\0]|\$\d)""",
    re.DOTALL,
)
_COMMENT = re.compile(r"/\*|\*/")
_BLANK = re.compile(r"\s*")
_WORD = re.compile(r"[A-Za-z]+")
_READS = {"select", "with", "values", "table", "explain", "show"}
_WRITES = {
    "insert", "update", "delete", "merge", "create", "alter", "drop", "truncate", "grant", "revoke", "comment",
    "refresh", "reindex", "analyze", "do", "call", "lock",
}  # fmt: skip
_ALTERS = {"create", "alter", "drop", "do", "call"}
_CHANGES = re.compile(r"\b(insert|update|delete|merge|into)\b", re.I)
# What outlives a statement on its connection, which the next user of that connection must not find.
_STAINS = re.compile(r"set_config|advisory_lock|\btemp(orary)?\b|pg_temp|\b(do|call)\b|\bdblink", re.I)


def pieces(text: str) -> list[tuple[str, str]]:
    """*text* cut into ``(kind, text)``: ``name`` is ``:name``, ``end`` a semicolon; ``blank``, ``quoted``, ``code``.

    Raises:
        DbError: 42601 for a quote or comment without end, and for ``$1``.
    """
    found: list[tuple[str, str]] = []
    at = 0
    while (token := _TOKEN.search(text, at)) is not None:
        if token.start() > at:
            found.append(("code", text[at : token.start()]))
        at = token.end()
        if token["bad"] is not None:
            raise error("42601", f"syntax error at or near {token['bad']!r}", hint="values are bound as :name")
        if token["comment"] is not None:
            at = _comment_end(text, at)
            found.append(("blank", text[token.start() : at]))
        elif token["name"] is not None:
            found.append(("name", token["name"]))
        elif token["end"] is not None:
            found.append(("end", ";"))
        else:
            kind = "blank" if token[0].startswith("--") else "quoted" if token[0][-1:] in "'\"$" else "code"
            found.append((kind, token[0]))
    found.append(("code", text[at:]))
    return found


def _comment_end(text: str, at: int) -> int:
    depth = 1  # comments nest, as they do not elsewhere
    while depth:
        token = _COMMENT.search(text, at)
        if token is None:
            raise error("42601", "a comment has no end")
        depth += 1 if token[0] == "/*" else -1
        at = token.end()
    return at


class Raw:
    """A statement of the user's own, checked: one statement, every value bound by ``:name``.

    Its types are learned from the server at its first use; then every value is text and cast, as
    everywhere else.

    Args:
        reads: It looks as if it changed nothing.
        alters: It may change the schema.
        stains: It may leave something behind on its connection.
    """

    __slots__ = ("_parts", "_writers", "alters", "names", "one", "reads", "returns", "sql", "stains")

    def __init__(self, text: str, one: bool) -> None:
        if "{" in text or "}" in text:
            raise error(
                "42601", "db.sql takes no braces: with one stray f before the quotes they would be an injection",
                hint="bind the value: db.sql('... where id = :id', id=3); an array: array['a', 'b']",
            )  # fmt: skip
        parts = _one_statement(pieces(text))
        self._parts, self.one = parts, one
        self.names = tuple(dict.fromkeys(name for kind, name in parts if kind == "name"))
        code = "".join(part for kind, part in parts if kind == "code")
        word = _first_word(code)
        if word not in _READS | _WRITES:
            raise error(
                "42601", f"db.sql does not run {word[:30].upper() or 'an empty statement'}",
                hint="transactions: db.transaction(); schema changes: migrations",
            )  # fmt: skip
        self.reads = word in _READS and not _CHANGES.search(code)
        self.alters, self.stains = word in _ALTERS, _STAINS.search(code) is not None
        self.sql = self._written([""] * len(self.names))
        self.returns: bool | None = None  # not known before the server has seen it
        self._writers: list[Write] = []

    def _written(self, types: list[str]) -> str:
        place = {name: n for n, name in enumerate(self.names)}
        out = []
        for kind, part in self._parts:
            if kind == "name":
                n = place[part]
                out.append(f"(${n + 1}::text)::{types[n]}" if types[n] else f"${n + 1}")
            else:
                out.append(part)
        return "".join(out)

    def learn(self, types: list[Type], returns: bool) -> None:
        """Take the type of each value, in the order of ``names``, and whether rows come back."""
        self.sql = self._written([_type(type_) for type_ in types])
        self._writers = [any_text if type_ == TEXT else writer(type_) for type_ in types]
        self.returns = returns

    def bind(self, given: dict[str, Any]) -> list[Any]:
        """The text of every named value, in order."""
        self.check(given)
        return [write(given[name]) for write, name in zip(self._writers, self.names, strict=True)]

    def check(self, given: dict[str, Any]) -> None:
        """Refuse values that are missing or that the statement does not name."""
        missing, unused = set(self.names) - given.keys(), given.keys() - set(self.names)
        if missing or unused:
            words = [f":{name} has no value" for name in sorted(missing)]
            words += [f"{name}= is not in the statement" for name in sorted(unused)]
            raise error("42P02", "; ".join(words), status=500)

    def decode(self, records: Sequence[Record]) -> list[dict[str, Any]]:
        """Records to dicts."""
        rows = [dict(record) for record in records]
        if rows and len(rows[0]) != len(records[0]):
            names = list(records[0].keys())
            twice = next(name for name in names if names.count(name) > 1)
            raise error("42701", f'two columns of the answer are named "{twice}"', hint="give one an alias with AS")
        return rows


def _one_statement(parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    ends = [n for n, (kind, _) in enumerate(parts) if kind == "end"]
    if not ends:
        return parts
    if any(kind != "blank" and not (kind == "code" and _BLANK.fullmatch(part)) for kind, part in parts[ends[0] + 1 :]):
        raise error("42601", "db.sql runs one statement at a time", hint="use one call for each")
    return parts[: ends[0]]


def _first_word(code: str) -> str:
    word = _WORD.match(code.lstrip(" \t\r\n("))
    return word[0].lower() if word else ""


# --- statements about the session ---

BEGIN, COMMIT, ROLLBACK = "begin", "commit", "rollback"
ISOLATION = {
    "read committed": "isolation level read committed",
    "repeatable read": "isolation level repeatable read",
    "serializable": "isolation level serializable",
}


def begin(isolation: str | None, readonly: bool) -> str:
    """Open a transaction; *isolation* is a key of ISOLATION, or None for the server's default."""
    words = [BEGIN, ISOLATION[isolation] if isolation else "", "read only" if readonly else ""]
    return " ".join(word for word in words if word)
