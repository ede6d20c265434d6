"""Row policies in SQL: as conditions inside SQLite's statements, and as CREATE POLICY for PostgreSQL.

In a SQLite statement every value is bound. The whole Scope travels as the last slot, from which
each ``?`` takes its claim, so one compiled statement serves every user of a role. CREATE POLICY
has no parameters: there a claim is ``auth.uid()`` or ``auth.jwt()``, within a scalar subquery,
which PostgreSQL runs once for a query and not once for a row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from ..errors import error, not_supported
from ..policy import (
    All,
    Claim,
    Compared,
    Guard,
    IsNull,
    Literal_,
    Member,
    Node,
    Opposite,
    Place,
    Policy,
    Side,
    resolve,
)
from ..schema import UNKNOWN, Schema, Table, Type, quote
from ..scope import Scope
from .values import Codec, Stored, codec, json_text

Binder = tuple[int, Callable[[Any], Stored]]
SCOPE = -1  # the slot of the Scope: the last of a scoped statement's values
_COMPARE = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_NUMBERS = {"int2", "int4", "int8", "float4", "float8", "numeric"}
_TEXTS = {"text", "varchar"}


def guard_sql(guard: Guard, alias: str, binders: list[Binder]) -> str:
    """*guard* as a condition on the rows of *alias*; its values are appended to *binders*."""
    return _sqlite(guard.node, (alias,), binders)


def _sqlite(node: Node, aliases: tuple[str, ...], binders: list[Binder]) -> str:
    """*aliases* are those of the tables around the node, innermost first."""
    match node:
        case All():
            parts = [f"({_sqlite(item, aliases, binders)})" for item in node.items]
            return f" {node.kind} ".join(parts) or ("1" if node.kind == "and" else "0")
        case Opposite():
            return f"not ({_sqlite(node.item, aliases, binders)})"
        case IsNull():
            return f"{_side(node.left, None, aliases, binders)} is null"
        case Compared():
            return _compared(node, aliases, binders)
        case Member():
            left = _side(node.left, _type(node.left), aliases, binders)
            kind = _kind(_type(node.left))
            binders.append((SCOPE, _list(node.values, kind)))
            member = "turnout_float(value)" if kind is not None and kind.in_json is repr else "value"
            return f"{left} in (select {member} from json_each(?))"
        case _:
            alias = f"p{len(aliases)}"
            where = _sqlite(node.where, (alias, *aliases), binders)
            return f"exists (select 1 from {node.table.quoted} as {alias} where {where})"


def _compared(node: Compared, aliases: tuple[str, ...], binders: list[Binder]) -> str:
    left, right = _type(node.left), _type(node.right)
    if left is not None and right is not None and _class(left) != _class(right):
        raise error("42883", f"operator does not exist: {left} {_COMPARE[node.op]} {right}", status=500)
    if left is None and right is None and node.op not in ("eq", "neq"):
        raise error("42883", "two claims are compared as text, by == and != only", status=500)
    first = _side(node.left, left or right, aliases, binders)
    second = _side(node.right, left or right, aliases, binders)
    return f"{first} {_COMPARE[node.op]} {second}"


def _class(type_: Type) -> str:
    if type_.array:
        return str(type_)
    return "number" if type_.name in _NUMBERS else "text" if type_.name in _TEXTS else type_.name


def _type(side: Side) -> Type | None:
    return side.column.type if isinstance(side, Place) else None


def _kind(type_: Type | None) -> Codec | None:
    """The codec of *type_*, or None for the text of a claim."""
    if type_ is None:
        return None
    kind = codec(type_)
    if not kind.comparable:
        raise not_supported(f"comparing {type_} in a policy")
    return kind


def _side(side: Side, type_: Type | None, aliases: tuple[str, ...], binders: list[Binder]) -> str:
    """*side* as text, compared as *type_*: None if it is not compared, or with another claim."""
    kind = _kind(type_)
    if isinstance(side, Place):
        return f"{aliases[side.up]}.{side.column.quoted}"
    binders.append((SCOPE, _value(side, kind)))
    return "?"


def _value(side: Claim | Literal_, kind: Codec | None) -> Callable[[Any], Stored]:
    encode = _text if kind is None else kind.compare
    if isinstance(side, Literal_):
        stored = encode(side.value)
        return lambda scope: stored

    def encode_claim(scope: Scope) -> Stored:
        found = scope.claim(side.path)
        return None if found is None else encode(found if kind is None or _plain(found) else _text(found))

    return encode_claim


def _plain(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _list(values: tuple[Any, ...] | Claim, kind: Codec | None) -> Callable[[Any], Stored]:
    if kind is not None and kind.in_json is None:
        raise not_supported(f"in_ on {kind.of} in a policy")

    def encode(items: Sequence[Any]) -> str:
        if kind is None:
            return json_text([_text(item) for item in items])
        assert kind.in_json is not None
        # NULL stays: with it, "not in" is unknown and lets nothing pass.
        return json_text([None if item is None else kind.in_json(kind.compare(item)) for item in items])

    if not isinstance(values, Claim):
        stored = encode(values)
        return lambda scope: stored
    path = values.path

    def encode_claim(scope: Scope) -> str:
        found = scope.claim(path)
        return encode(found if isinstance(found, list) else [] if found is None else [found])

    return encode_claim


def _text(value: Any) -> Stored:
    """*value* as PostgreSQL's ``->>`` shows it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, default=str) if isinstance(value, (bool, int, float, list, dict)) else str(value)


# --- CREATE POLICY ---

_WORDS = {
    "int2": "smallint", "int4": "integer", "int8": "bigint", "float4": "real", "float8": "double precision",
    "bool": "boolean",
}  # fmt: skip


def create_policies(policies: Sequence[Policy], schema: Schema) -> Iterator[str]:
    """The statements that give a PostgreSQL database the same *policies*, table by table.

    Args:
        schema: The tables as they are, of whichever engine: the types of their columns decide how
            a claim is cast.
    """
    for name in dict.fromkeys(each.table for each in policies):
        mine = [each for each in policies if each.table == name]
        table = schema.tables.get(name)
        if table is None:
            raise error("42P01", f'a policy names the table "{name[:63]}", which does not exist', status=500)
        if table.kind == "view":
            # A view has no policies there; it shows what the policies of its tables show.
            yield f"alter view {table.quoted} set (security_invoker = true);"
            yield from _grants(mine, table)
            continue
        yield f"alter table {table.quoted} enable row level security;"
        yield from _grants(mine, table)
        for number, each in enumerate(mine, 1):
            yield _create(each, number, table, schema)


def _grants(policies: Sequence[Policy], table: Table) -> Iterator[str]:
    allowed: dict[str, dict[str, None]] = {}
    for each in policies:
        verbs = ("select", "insert", "update", "delete") if each.command == "all" else (each.command,)
        for role in each.roles:
            # Filters and RETURNING read, so whoever writes needs to read as well.
            allowed.setdefault(role, {"select": None}).update(dict.fromkeys(verbs))
    for role, granted in allowed.items():
        yield f"grant {', '.join(granted)} on {table.quoted} to {_role(role)};"


def _role(name: str) -> str:
    return "public" if name == "public" else quote(name)


def _create(policy: Policy, number: int, table: Table, schema: Schema) -> str:
    roles = ", ".join(_role(each) for each in policy.roles)
    text = f"create policy {quote(f'{table.name}_{policy.command}_{number}')} on {table.quoted}"
    text += f" for {policy.command} to {roles}"
    if policy.using is not None:
        text += f"\n  using ({_postgres(resolve(policy.using, table, schema), (table.quoted,))})"
    if policy.check is not None:
        text += f"\n  with check ({_postgres(resolve(policy.check, table, schema), (table.quoted,))})"
    return text + ";"


def _postgres(node: Node, aliases: tuple[str, ...]) -> str:
    match node:
        case All():
            parts = [_postgres(item, aliases) for item in node.items]
            joined = f" {node.kind} ".join(f"({part})" for part in parts) if len(parts) > 1 else "".join(parts)
            return joined or ("true" if node.kind == "and" else "false")
        case Opposite(IsNull(left)):
            return f"{_pg_side(left, None, aliases)} is not null"
        case Opposite():
            return f"not ({_postgres(node.item, aliases)})"
        case IsNull():
            return f"{_pg_side(node.left, None, aliases)} is null"
        case Compared():
            type_ = _type(node.left) or _type(node.right)
            first, second = _pg_side(node.left, type_, aliases), _pg_side(node.right, type_, aliases)
            return f"{first} {_COMPARE[node.op]} {second}"
        case Member():
            return f"{_pg_side(node.left, _type(node.left), aliases)} {_pg_list(node, _type(node.left))}"
        case _:
            alias = f"p{len(aliases)}"
            assert isinstance(node.where, All)  # the policies of that table, which are its own affair, and ours
            where = _postgres(node.where.items[1], (alias, *aliases))
            return f"exists (select 1 from {node.table.quoted} as {alias} where {where})"


def _pg_list(node: Member, type_: Type | None) -> str:
    if isinstance(node.values, Claim):
        path = ".".join(f'"{step}"' for step in node.values.path)
        cast = "" if type_ is None or type_.name in _TEXTS else f"::{_word(type_)}"
        items = f"jsonb_path_query((select auth.jwt()), '$.{path}[*]')"
        return f"in (select (item #>> '{{}}'){cast} from {items} as item)"
    if not node.values:
        return "in (null)"
    return f"in ({', '.join(_pg_literal(_text(each) if type_ is None else each) for each in node.values)})"


def _pg_side(side: Side, type_: Type | None, aliases: tuple[str, ...]) -> str:
    if isinstance(side, Place):
        return f"{aliases[side.up]}.{side.column.quoted}"
    if isinstance(side, Literal_):
        return _pg_literal(_text(side.value) if type_ is None else side.value)
    if side.path == ("sub",) and type_ is not None and type_.name == "uuid":
        return "(select auth.uid())"
    if side.path == ("role",) and type_ is None:
        return "(select auth.role())"
    path = ",".join(side.path)
    cast = "" if type_ is None or type_.name in _TEXTS or type_ == UNKNOWN else f"::{_word(type_)}"
    return f"((select auth.jwt()) #>> '{{{path}}}'){cast}"


def _word(type_: Type) -> str:
    return _WORDS.get(type_.name, type_.name) + ("[]" if type_.array else "")


def _pg_literal(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    if isinstance(value, (str, date, datetime, time, UUID)):
        # E'' reads the same whatever standard_conforming_strings says.
        text = str(value).replace("\\", "\\\\").replace("'", "''")
        return f"E'{text}'" if "\\" in text else f"'{text}'"
    raise not_supported(f"a {type(value).__name__} in a policy")


__all__ = ["SCOPE", "create_policies", "guard_sql"]
