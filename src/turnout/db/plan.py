"""Names to schema objects: the only gate between what was asked and SQL.

Every name of the AST is looked up in the schema (unknown: an error, never text in a statement),
embedded relations are resolved to the columns that join them, every output gets one name, sizes
and depths are checked. Compilers receive plans only, so a compiler has no raw name to misuse.
Every table that a plan reads passes ``_Planner.touch``, the one place for what must hold of the
rows of each of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal
from weakref import WeakKeyDictionary

from msgspec import Struct
from msgspec.structs import replace

from . import ast
from .errors import error
from .policy import Guard, guards
from .relations import Relation, find
from .schema import NAME, UNKNOWN, Argument, Column, Function, Schema, Table, Type, parse_type

MAX_FILTERS, MAX_DEPTH, MAX_EMBEDS, MAX_EMBEDDED = 200, 20, 5, 50
JSONB, TEXT, INT8, NUMERIC, FLOAT8 = Type("jsonb"), Type("text"), Type("int8"), Type("numeric"), Type("float8")
_WHOLE = ("int2", "int4", "int8")
_SUMS = {"int2": INT8, "int4": INT8, "int8": NUMERIC, "numeric": NUMERIC, "float4": Type("float4"), "float8": FLOAT8}
_UNORDERED = ("bool", "json", "jsonb", "uuid")  # PostgreSQL has no min and max for these
_EXPLAIN = frozenset({"analyze", "verbose", "settings", "buffers", "wal", "format text", "format json"})
_RANGES = ("sl", "sr", "nxl", "nxr", "adj")


class Json(Struct, frozen=True):
    """A place inside a JSON column or array; *as_text* is ``->>`` at the end."""

    steps: tuple[str | int, ...]
    as_text: bool


def type_of(column: Column, json: Json | None) -> Type:
    """The type of *column*, or of the place inside it."""
    if json is None:
        return column.type
    return TEXT if json.as_text else column.type if column.type == Type("json") else JSONB


class Condition(Struct, frozen=True):
    """A comparison on a column that exists; *json* is a place inside it."""

    column: Column
    op: ast.Op
    slot: int
    word: ast.Is | None
    negated: bool
    wire: bool
    json: Json | None = None
    quantifier: ast.Quantifier | None = None
    config: str | None = None

    @property
    def type(self) -> Type:
        """The type of what is compared."""
        return type_of(self.column, self.json)


class Has(Struct, frozen=True):
    """A row of an embedded relation exists; or none does, if *negated*."""

    embed: EmbedPlan
    negated: bool = False


class Tree(Struct, frozen=True):
    """Conditions joined by ``and`` or ``or``."""

    kind: Literal["and", "or"]
    items: tuple[Condition | Has | Tree | Guard, ...]
    negated: bool = False


class Output(Struct, frozen=True):
    """A value and the name it has in the answer, which passed ``schema.NAME`` or is the column's own.

    Args:
        json: A place inside the column.
        cast: The type that the value is made, before any aggregate.
        aggregate: Computed of every row in a group; ``count`` of the column ``*`` counts rows.
        result: The type that the aggregate is made.
    """

    name: str
    column: Column
    json: Json | None = None
    cast: Type | None = None
    aggregate: ast.Aggregate | None = None
    result: Type | None = None

    @property
    def input(self) -> Type:
        """The type before any aggregate."""
        return self.cast or type_of(self.column, self.json)

    @property
    def computed(self) -> Type:
        """The type before the last cast."""
        if self.aggregate == "count":
            return INT8
        if self.aggregate == "sum":
            return _SUMS[self.input.name]
        if self.aggregate == "avg":
            return FLOAT8 if self.input.name in ("float4", "float8") else NUMERIC
        return self.input

    @property
    def type(self) -> Type:
        """The type of the answer."""
        return self.result or self.computed


class Sort(Struct, frozen=True):
    """One sort key; the place of NULL is decided. *embed* is the relation that *column* is in, if not the query's."""

    column: Column
    desc: bool
    nulls_first: bool
    json: Json | None = None
    embed: EmbedPlan | None = None

    @property
    def type(self) -> Type:
        """The type of the key."""
        return type_of(self.column, self.json)


class CallPlan(Struct, frozen=True):
    """The function that the rows come from; its *arguments* are in the slots 0, 1, …

    Args:
        scalar: It gives plain values, which are the column ``value``.
    """

    function: Function
    arguments: tuple[Argument, ...]
    scalar: bool


class SelectPlan(Struct, frozen=True):
    """Rows to read; *grouped* by every output without an aggregate.

    Args:
        call: They come from this function, and *table* says what they are like.
        explain: The options of EXPLAIN, from a closed list.
    """

    table: Table
    outputs: tuple[Output, ...]
    where: Tree
    order: tuple[Sort, ...] = ()
    limit: int = -1
    offset: int = -1
    count: ast.Count | None = None
    head: bool = False
    one: bool = False
    embeds: tuple[EmbedPlan, ...] = ()
    grouped: bool = False
    call: CallPlan | None = None
    explain: tuple[str, ...] = ()


Pairs = tuple[tuple[Column, Column], ...]


class JunctionPlan(Struct, frozen=True):
    """The table between: *near* pairs the outer table's columns with its own, *far* its own with the target's."""

    table: Table
    where: Tree
    near: Pairs
    far: Pairs


class EmbedPlan(Struct, frozen=True):
    """Rows of a related table inside each row: a list if *many*, else an object or null.

    Args:
        on: Pairs of the outer table's columns and the related table's; empty with a junction.
        spread: Its one row's values are put beside the outer row's.
    """

    name: str
    query: SelectPlan
    many: bool
    spread: bool
    on: Pairs
    junction: JunctionPlan | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What it adds to the outer row."""
        if not self.spread:
            return (self.name,)
        return tuple(output.name for output in self.query.outputs) + tuple(
            name for inner in self.query.embeds for name in inner.names
        )


class InsertPlan(Struct, frozen=True):
    """One row to write; *conflict* is None, or the columns that make it a duplicate, which then takes *updates*."""

    table: Table
    columns: tuple[Column, ...]
    conflict: tuple[Column, ...] | None
    ignore: bool
    returning: tuple[Output, ...] | None
    embeds: tuple[EmbedPlan, ...] = ()
    updates: tuple[Column, ...] = ()


class UpdatePlan(Struct, frozen=True):
    """Rows to change; *most* is the slot of the greatest number of them, or -1."""

    table: Table
    columns: tuple[Column, ...]
    where: Tree
    returning: tuple[Output, ...] | None
    embeds: tuple[EmbedPlan, ...] = ()
    most: int = -1


class DeletePlan(Struct, frozen=True):
    """Rows to remove; *most* as for an update."""

    table: Table
    where: Tree
    returning: tuple[Output, ...] | None
    embeds: tuple[EmbedPlan, ...] = ()
    most: int = -1


Plan = SelectPlan | InsertPlan | UpdatePlan | DeletePlan
EVERYTHING = Tree("and", ())


def plan(
    statement: ast.Statement,
    schema: Schema,
    *,
    aggregates: bool = True,
    role: str | None = None,
    form: ast.Form | None = None,
) -> Plan:
    """Resolve *statement* against *schema*, or raise DbError.

    Args:
        aggregates: ``count()`` and its like are allowed; a bare ``rel(count)`` always is.
        role: Its row policies hold; None is the program itself, which none restrict.
        form: The statement comes from the wire, which does not see the tables of the framework.
    """
    return _Planner(schema, aggregates if form is None else form.aggregates, role, form is not None).statement(
        statement
    )


def tables(embeds: tuple[EmbedPlan, ...]) -> set[str]:
    """The names of all tables that *embeds* read."""
    names: set[str] = set()
    for embed in embeds:
        names |= {embed.query.table.name} | tables(embed.query.embeds)
        if embed.junction is not None:
            names.add(embed.junction.table.name)
    return names


class _Planner:
    """Resolves one statement."""

    def __init__(self, schema: Schema, aggregates: bool, role: str | None, wire: bool = False) -> None:
        # Policies may look at tables that the client of the wire may not name.
        self.whole, self.schema = schema, visible(schema) if wire else schema
        self.aggregates, self.role, self.wire = aggregates, role, wire
        self.embedded = self.filters = 0

    def touch(self, table: Table, where: Tree, statement: ast.Statement | None = None) -> Tree:
        """*where* and what the policies demand of *table*: of every one read, and of that which *statement* writes."""
        allowed = guards(table, self.whole, self.role, statement)
        return Tree("and", (*allowed, where)) if allowed else where

    def statement(self, statement: ast.Statement) -> Plan:
        if isinstance(statement, ast.Select) and statement.call is not None:
            return self.call(statement, statement.call)
        table = self.schema.tables.get(statement.table)
        if table is None and self.wire:
            from difflib import get_close_matches

            near = get_close_matches(statement.table, self.schema.tables, 1, 0.5)
            raise error(
                "PGRST205", f"Could not find the table 'public.{statement.table[:63]}' in the schema cache",
                hint=f"Perhaps you meant the table 'public.{near[0]}'" if near else None,
            )  # fmt: skip
        if table is None:
            raise error(
                "42P01", f'relation "{statement.table[:63]}" does not exist', hint=_near(statement.table, self.schema)
            )
        match statement:
            case ast.Select():
                return self.select(statement, table, 0)
            case ast.Insert():
                return self.insert(statement, table)
            case ast.Update():
                columns = tuple(_written(table, name) for name in statement.columns)
                if not columns:
                    raise error("PGRST102", f'the update of "{table.name}" sets nothing')
                where = self.touch(table, self.tree(statement.where, table, ()), statement)
                outputs, embeds = self.returning(statement.returning, table)
                return UpdatePlan(table, columns, where, outputs, embeds, statement.most)
            case ast.Delete():
                where = self.touch(table, self.tree(statement.where, table, ()), statement)
                outputs, embeds = self.returning(statement.returning, table)
                return DeletePlan(table, where, outputs, embeds, statement.most)

    # --- reading ---

    def call(self, statement: ast.Select, given: tuple[str, ...]) -> SelectPlan:
        find_function = choose if self.wire else _function
        function = find_function(self.schema, statement.table, given)
        by_name = {argument.name: argument for argument in function.arguments}
        table = self.schema.tables.get(function.table or "")
        scalar = table is None and not function.columns
        if table is None:
            columns = function.columns or {"value": Column(function.name, "value", function.type)}
            table = Table(function.name, "view", columns)
        if statement.count is not None and not self.wire and (scalar or function.writes):
            raise error("PGRST127", f'a count of "{function.name}" would call it twice', hint="count what it gives")
        found = self.select(statement, table, 0)
        call = CallPlan(function, tuple(by_name[name] for name in given), scalar)
        return replace(found, call=call, one=statement.one or not function.many)

    def select(self, statement: ast.Select, table: Table, depth: int) -> SelectPlan:
        resolved = self.embeds(statement.items, table, depth)
        outputs = self.outputs(statement.items, table, resolved)
        grouped = any(output.aggregate for output in outputs)
        embeds = tuple(embed for _, embed in resolved if embed.names and _shown(embed))
        if grouped:
            _check_groups(statement, outputs, embeds)
        where = self.tree(statement.where, table, resolved)
        inner = tuple(Has(embed) for item, embed in resolved if item.inner)
        if inner:
            where = Tree("and", (*inner, where)) if where.items else Tree("and", inner)
        sorts = tuple(self.sort(key, table, resolved) for key in statement.order)
        if grouped:
            _check_sorts(sorts, outputs)
        return SelectPlan(
            table, outputs, self.touch(table, where), sorts, statement.limit, statement.offset, statement.count,
            statement.head, statement.one, embeds, grouped, None, _explain(statement),
        )  # fmt: skip

    def sort(self, key: ast.Order, table: Table, resolved: Resolved) -> Sort:
        nulls_first = key.desc if key.nulls is None else key.nulls == "first"
        if key.relation is None:
            column, json = _place(table, key.path)
            return Sort(column, key.desc, nulls_first, json)
        embed = _named(resolved, key.relation)
        if embed is None:
            raise error(
                "PGRST108", f"'{key.relation[:63]}' is not an embedded resource in this request",
                hint=f"Verify that '{key.relation[:63]}' is included in the 'select' query parameter.",
            )  # fmt: skip
        if embed.many:
            raise error(
                "PGRST118", f"A related order on '{key.relation}' is not possible",
                details=f"'{table.name}' and '{key.relation}' do not form a many-to-one or one-to-one relationship",
            )  # fmt: skip
        column, json = _place(embed.query.table, key.path)
        return Sort(column, key.desc, nulls_first, json, embed)

    # --- embedded relations ---

    def embeds(self, items: tuple[ast.Item, ...], table: Table, depth: int) -> Resolved:
        embeds = (item for item in dict.fromkeys(items) if isinstance(item, ast.Embed))
        return tuple((item, self.embed(item, table, depth + 1)) for item in embeds)

    def embed(self, item: ast.Embed, table: Table, depth: int) -> EmbedPlan:
        self.embedded += 1
        if depth > MAX_EMBEDS or self.embedded > MAX_EMBEDDED:
            raise error(
                "54001", f"embedded relations go {MAX_EMBEDS} levels deep, and {MAX_EMBEDDED} fit in one query",
                status=400,
            )  # fmt: skip
        relation = find(self.schema, table, item.relation, item.hint)
        if item.spread and relation.many:
            raise error(
                "PGRST119", f"A spread operation on '{item.relation}' is not possible",
                details=f"'{table.name}' and '{item.relation}' do not form a many-to-one or one-to-one relationship",
            )  # fmt: skip
        query = self.select(item.query, relation.target, depth)
        if item.spread and query.grouped:
            raise error("PGRST127", "aggregates inside a spread relation are not supported")
        name = _name(item.alias) if item.alias is not None else item.relation
        on = _pairs(relation.on, relation.origin, relation.target)
        return EmbedPlan(name, query, relation.many, item.spread, on, self.junction(relation))

    def junction(self, relation: Relation) -> JunctionPlan | None:
        way = relation.junction
        if way is None:
            return None
        near = _pairs(way.near, relation.origin, way.table)
        far = _pairs(way.far, way.table, relation.target)
        return JunctionPlan(way.table, self.touch(way.table, EVERYTHING), near, far)

    # --- writing ---

    def insert(self, statement: ast.Insert, table: Table) -> InsertPlan:
        columns = tuple(_written(table, name) for name in statement.columns)
        for name in table.pk:
            key = table.columns[name]
            if self.schema.engine != "sqlite" or table.kind != "table":
                break
            if name not in statement.columns and not key.rowid and key.default is None:
                # SQLite itself would store NULL in the primary key.
                raise error(
                    "23502",
                    f'null value in column "{name}" of relation "{table.name}" violates not-null constraint',
                    hint=f'give "{name}" a value, a default, or the type "integer primary key", which numbers itself',
                )
        conflict = None
        if statement.conflict is not None:
            names = statement.conflict.columns or table.pk
            if not names and not self.wire:  # on the wire it is an insert like any other
                raise error("42P10", f'"{table.name}" has no primary key: name the columns with on_conflict=')
            conflict = tuple(_known(table, name) for name in names) or None
        ignore = statement.conflict is not None and statement.conflict.ignore
        outputs, embeds = self.returning(statement.returning, table)
        updates = columns
        if statement.conflict is not None and statement.conflict.updates is not None:
            updates = tuple(_written(table, name) for name in statement.conflict.updates)
        return InsertPlan(table, columns, conflict, ignore, outputs, embeds, updates)

    def returning(
        self, returning: ast.Returning | None, table: Table
    ) -> tuple[tuple[Output, ...] | None, tuple[EmbedPlan, ...]]:
        if returning is None:
            return None, ()
        resolved = self.embeds(returning.items, table, 0)
        if any(item.inner for item, _ in resolved):
            raise error("PGRST127", "!inner in what a mutation gives back is not supported", hint="leave !inner out")
        outputs = self.outputs(returning.items, table, resolved)
        if any(output.aggregate for output in outputs):
            raise error("PGRST127", "aggregates in what a mutation gives back are not supported")
        return outputs, tuple(embed for _, embed in resolved if embed.names and _shown(embed))

    # --- outputs ---

    def outputs(self, items: tuple[ast.Item, ...], table: Table, resolved: Resolved) -> tuple[Output, ...]:
        outputs: dict[str, Output] = {}
        # On the wire, "*, author_id(*)" puts the related row in the place of the column.
        over = {name for _, embed in resolved for name in embed.names} if self.wire else frozenset[str]()
        for item in items:
            for output in self.expand(item, items, table):
                if output.name in over and isinstance(item, ast.Star):
                    continue
                if outputs.setdefault(output.name, output) != output:
                    raise _twice(output.name)
        taken = set(outputs)
        for _, embed in resolved:
            for name in embed.names if _shown(embed) else ():
                if name in taken:
                    raise _twice(name)
                taken.add(name)
        return tuple(outputs.values())

    def expand(self, item: ast.Item, items: tuple[ast.Item, ...], table: Table) -> list[Output]:
        match item:
            case ast.Star():
                return [Output(column.name, column) for column in table.columns.values()]
            case ast.Embed():
                return []
            case ast.Column(path=ast.Path("count", ()), cast=None, aggregate=None) if "count" not in table.columns:
                # rel(count), which PostgreSQL reads as a function of the row: allowed where aggregates are not.
                if len(items) > 1:
                    self.allow_aggregates()
                return [Output(_name(item.alias or "count"), _rows(table), aggregate="count")]
            case ast.Column():
                return [self.column(item, table)]

    def column(self, item: ast.Column, table: Table) -> Output:
        if item.aggregate is not None:
            self.allow_aggregates()
        if item.path.column == "*" and item.aggregate == "count":
            column, json = _rows(table), None
        else:
            column, json = _place(table, item.path)
        cast, result = _cast(item.cast), _cast(item.result)
        name = item.alias or item.aggregate or _key(item.path)
        # A name of one's own goes into SQL only as text that has passed NAME; a column's is the schema's.
        output = Output(
            name if name == column.name else _name(name),
            column,
            json,
            cast,
            item.aggregate,
            result,
        )
        _check_aggregate(output)
        return output

    def allow_aggregates(self) -> None:
        if not self.aggregates:
            raise error("PGRST123", "Use of aggregate functions is not allowed")

    # --- conditions ---

    def tree(self, logic: ast.Logic, table: Table, resolved: Resolved) -> Tree:
        self.filters += _size(logic, 0)
        if self.filters > MAX_FILTERS:
            raise error("54000", f"more than {MAX_FILTERS} filters in one query", status=400)
        return self.branch(logic, table, resolved)

    def branch(self, logic: ast.Logic, table: Table, resolved: Resolved) -> Tree:
        items = tuple(
            self.branch(item, table, resolved) if isinstance(item, ast.Logic) else self.condition(item, table, resolved)
            for item in logic.items
        )
        return Tree(logic.kind, items, logic.negated)

    def condition(self, cond: ast.Cond, table: Table, resolved: Resolved) -> Condition | Has:
        embed = None if cond.path.steps else _named(resolved, cond.path.column)
        if embed is not None:
            if cond.op == "is" and cond.word in ("null", "not_null"):
                return Has(embed, (cond.word == "null") != cond.negated)
            if cond.path.column not in table.columns:
                raise error(
                    "PGRST120", f"Bad operator on the '{cond.path.column}' embedded resource",
                    details="Only is null or not is null filters are allowed on embedded resources",
                )  # fmt: skip
        column, json = _place(table, cond.path)
        found = Condition(
            column, cond.op, cond.slot, cond.word, cond.negated, cond.wire, json, cond.quantifier, cond.config
        )
        if not (found.type.read or found.type.name in ("bpchar", "name")):  # PostgreSQL knows best about those
            _check(found)
        return found


Resolved = tuple[tuple[ast.Embed, EmbedPlan], ...]
_HIDDEN = re.compile(r"(?:auth|_turnout|pg|sqlite)_")
_visible: WeakKeyDictionary[Schema, Schema] = WeakKeyDictionary()


def visible(schema: Schema) -> Schema:
    """*schema* as the wire shows it: without the tables of the framework and of the engines."""
    found = _visible.get(schema)
    if found is None:
        tables_ = {name: table for name, table in schema.tables.items() if not _HIDDEN.match(name)}
        found = _visible[schema] = replace(schema, tables=tables_)
    return found


def _explain(statement: ast.Select) -> tuple[str, ...]:
    if not _EXPLAIN.issuperset(statement.explain):
        raise error("PGRST100", "explain has an option that is none")
    return statement.explain


def _fitting(overloads: Iterable[Function], given: Iterable[str]) -> list[Function]:
    """Those of *overloads* that can be called with arguments of these names, and need no others."""
    names = set(given)
    return [
        each for each in overloads
        if names <= {argument.name for argument in each.arguments}
        and names >= {argument.name for argument in each.arguments if not argument.optional and not argument.variadic}
    ]  # fmt: skip


def _function(schema: Schema, name: str, given: tuple[str, ...]) -> Function:
    """The function *name* that takes the arguments *given*, or PGRST202, or PGRST203."""
    if schema.engine == "sqlite":
        raise error("PGRST202", f"SQLite has no stored functions, so not {name[:63]!r} either")
    overloads = schema.functions.get(name, ())
    fitting = _fitting(overloads, given)
    if len(fitting) == 1:
        return fitting[0]
    spelled = f"{name[:63]}({', '.join(sorted(given))})"
    if fitting:
        raise error("PGRST203", f"Could not choose the best candidate function for {spelled}", status=500)
    from difflib import get_close_matches

    near = get_close_matches(name, schema.functions, 1, 0.5)
    takes = " or ".join(f"{name}({', '.join(a.name for a in each.arguments)})" for each in overloads)
    hint = f"Perhaps you meant {takes}" if takes else f"Perhaps you meant {near[0]}" if near else None
    raise error("PGRST202", f"Could not find the function {spelled} in the schema cache", hint=hint, status=500)


def choose(schema: Schema, name: str, given: tuple[str, ...], *, posted: bool = False) -> Function:
    """The function that a call over the wire means, or PGRST202, or PGRST203, in PostgREST's words.

    A parameter without a name has the name "", if it is the only one and takes JSON or text.

    Args:
        posted: The arguments came as a body, which one such parameter could take as a whole.
    """
    overloads = [each for each in schema.functions.get(name, ()) if _callable(each)]
    fitting = _fitting(overloads, given)
    if len(fitting) == 1:
        return fitting[0]
    spelled = f"public.{name[:63]}"
    if fitting:
        between = ", ".join(f"{spelled}({', '.join(map(_spelled, each.arguments))})" for each in fitting)
        raise error(
            "PGRST203", f"Could not choose the best candidate function between: {between}",
            hint="Try renaming the parameters or the function itself in the database so function overloading "
            "can be resolved", status=500,
        )  # fmt: skip
    names = ", ".join(sorted(given))[:500]
    from difflib import get_close_matches

    near = get_close_matches(name, [each for each in schema.functions if each != name], 1, 0.6)
    how = f"with parameters {names}" if names else "without parameters"
    whole = " or with a single unnamed json/jsonb parameter" if posted else ""
    raise error(
        "PGRST202",
        f"Could not find the function {spelled}{f'({names})' if names else ' without parameters'} in the schema cache",
        details=f"Searched for the function {spelled} {how}{whole}, but no matches were found in the schema cache.",
        hint=f"Perhaps you meant to call the function public.{near[0]}" if near else None,
    )


_LONG = {"int2": "smallint", "int4": "integer", "int8": "bigint", "bool": "boolean", "float4": "real"}


def _spelled(argument: Argument) -> str:
    kind = argument.type
    return f"{argument.name} => {_LONG.get(kind.name, kind.name)}{'[]' * kind.array}"


def _callable(function: Function) -> bool:
    unnamed = [argument for argument in function.arguments if not argument.name]
    alone = len(function.arguments) == 1 and function.arguments[0].type.name in ("json", "jsonb", "text", "bytea")
    return not unnamed or alone


def _near(name: str, schema: Schema) -> str | None:
    same = [table for table in schema.tables if table.lower() == name.lower()]
    return f'perhaps you meant "{same[0]}"' if same else None


def _named(resolved: Resolved, name: str) -> EmbedPlan | None:
    return next((embed for item, embed in resolved if name == (item.alias or item.relation)), None)


def _shown(embed: EmbedPlan) -> bool:
    """Whether anything of it is in the answer: ``comments()`` only serves filters."""
    return bool(embed.query.outputs) or any(_shown(inner) for inner in embed.query.embeds)


def _pairs(names: tuple[tuple[str, str], ...], left: Table, right: Table) -> Pairs:
    return tuple((left.columns[ours], right.columns[theirs]) for ours, theirs in names)


def _rows(table: Table) -> Column:
    return Column(table.name, "*", INT8)


def _twice(name: str) -> Exception:
    return error("42701", f'two columns of the answer are named "{name}"', hint="alias:column")


def _name(alias: str) -> str:
    if not NAME.match(alias):
        raise error("PGRST100", f"{alias[:63]!r} is not a name for a value", hint="give it one: alias:column")
    return alias


def _key(path: ast.Path) -> str:
    """What a path is called: its last key that is a word, as PostgREST does, else its column."""
    return next((step for step in reversed(path.steps) if isinstance(step, str)), path.column)


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


def _place(table: Table, path: ast.Path) -> tuple[Column, Json | None]:
    column = _known(table, path.column)
    if not path.steps:
        return column, None
    if not (column.type.array or column.type.name in ("json", "jsonb")):
        raise error(
            "42883", f"operator does not exist: {column.type} -> unknown",
            hint=f'"{column.name}" is neither json nor an array',
        )  # fmt: skip
    return column, Json(path.steps, path.as_text)


def _written(table: Table, name: str) -> Column:
    column = table.columns.get(name)
    if column is None:
        raise error("PGRST204", f"Could not find the '{name[:63]}' column of '{table.name}' in the schema cache")
    if column.generated:
        raise error("428C9", f'column "{name}" is computed by the database and cannot be written')
    return column


def _cast(name: str | None) -> Type | None:
    if name is None:
        return None
    found = parse_type(name)
    if found is None or found.args or found.array:
        raise error(
            "42704", f'type "{name[:63]}" does not exist', hint="one of text, integer, numeric, boolean, date …"
        )
    return found


def _check_aggregate(output: Output) -> None:
    kind, type_ = output.aggregate, output.input
    if kind in (None, "count"):
        return
    if kind in ("sum", "avg"):
        wrong = type_.array or type_.name not in _SUMS
    else:
        wrong = type_.array or type_.name in _UNORDERED
    if wrong and type_ != UNKNOWN:
        raise error("42883", f"function {kind}({type_}) does not exist", hint="a cast may help: column::numeric.sum()")
    if wrong or type_ == UNKNOWN:
        raise error("PGRST127", f"{kind}() of a column whose type is not known", hint="a cast helps: column::numeric")


def _check_groups(statement: ast.Select, outputs: tuple[Output, ...], embeds: tuple[EmbedPlan, ...]) -> None:
    if embeds:
        raise error(
            "PGRST127", "aggregates beside an embedded relation are not supported",
            hint="put the aggregate inside the relation, or read the two apart",
        )  # fmt: skip
    if statement.count is not None or statement.head:
        raise error("PGRST127", "count= and head= are not supported together with aggregates")
    for output in outputs:
        if output.aggregate is None and output.input.name == "json":
            raise error("42883", "could not identify an equality operator for type json")


def _check_sorts(sorts: tuple[Sort, ...], outputs: tuple[Output, ...]) -> None:
    groups = {(output.column, output.json) for output in outputs if output.aggregate is None and output.cast is None}
    for sort in sorts:
        if sort.embed is not None or (sort.column, sort.json) not in groups:
            raise error(
                "42803", f'column "{sort.column.name}" must appear in the select list to order groups by it', status=400
            )


def _size(logic: ast.Logic, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise error("54001", f"filters nested deeper than {MAX_DEPTH}", status=400)
    return sum(_size(item, depth + 1) if isinstance(item, ast.Logic) else 1 for item in logic.items)


def _check(cond: Condition) -> None:
    """Refuse an operator that PostgreSQL does not have for the type."""
    op, type_ = cond.op, cond.type
    text = not type_.array and type_.name in ("text", "varchar", "unknown")
    if op in ("like", "ilike", "match", "imatch") and not text:
        raise error("42883", f"operator does not exist: {type_} ~~ text", hint=f'"{cond.column.name}" is not text')
    if op == "is" and cond.word in ("true", "false", "unknown") and (type_.array or type_.name != "bool"):
        raise error(
            "42804",
            f'argument of IS {str(cond.word).upper()} must be boolean, and "{cond.column.name}" is {type_}',
        )
    if op in ("contains", "contained_by") and not (type_.array or type_.name == "jsonb"):
        raise error("42883", f"operator does not exist: {type_} @> unknown", hint=f'"{cond.column.name}" is no array')
    if op == "overlaps" and not type_.array:
        raise error("42883", f"operator does not exist: {type_} && unknown", hint=f'"{cond.column.name}" is no array')
    if op in _RANGES:
        raise error("PGRST127", f"the range operator {op} is not supported")
    if op in ast.TEXT_SEARCH and not (text or type_.name in ("json", "jsonb")):
        raise error("42883", f"function to_tsvector({type_}) does not exist", hint=f'"{cond.column.name}" is not text')
