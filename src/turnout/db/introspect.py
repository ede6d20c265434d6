"""PostgreSQL's catalogue to Schema: columns, constraints and functions, one query each.

Seen is what a plain name means on this connection: what its search path shows, without the
system's own schemas. A domain counts as the type beneath it, since its checks run when the value
is assigned; an identity column that is always generated counts as generated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

from .schema import UNKNOWN, Argument, Column, ForeignKey, Function, Schema, Table, Type, quote

_PLAIN = {
    "int2", "int4", "int8", "oid", "float4", "float8", "numeric", "bool", "text", "varchar", "bpchar", "name", "json",
    "jsonb", "uuid", "date", "time", "timetz", "timestamp", "timestamptz", "interval", "bytea", "xml", "inet", "cidr",
    "macaddr", "macaddr8", "bit", "varbit", "point", "line", "lseg", "box", "path", "polygon", "circle",
}  # fmt: skip

# A type as its base: domains unfolded, an array as its element and a flag.
_TYPES = """
with recursive base(oid, target, typmod) as (
    select oid, oid, -1 from pg_catalog.pg_type where typtype <> 'd'
    union all
    select d.oid, b.target, case when b.typmod = -1 then d.typtypmod else b.typmod end
    from base b join pg_catalog.pg_type d on d.typbasetype = b.oid and d.typtype = 'd'
), kinds as (
    select b.oid, b.typmod, e.typname as name, n.nspname as space, e.typtype as kind, t.typcategory = 'A' as array
    from base b
    join pg_catalog.pg_type t on t.oid = b.target
    join pg_catalog.pg_type e on e.oid = case when t.typcategory = 'A' and t.typelem <> 0 then t.typelem else t.oid end
    join pg_catalog.pg_namespace n on n.oid = e.typnamespace
)
"""

COLUMNS = f"""{_TYPES}
select n.nspname::text as space, c.relname::text as "table", c.relkind::text as relkind, c.relrowsecurity as rls,
    a.attnum::int4 as number, a.attname::text as name, a.attnotnull as required, a.attidentity::text as identity,
    a.attgenerated::text as generated, pg_catalog.pg_get_expr(d.adbin, d.adrelid) as "default",
    k.name::text as type, k.space::text as type_space, k.kind::text as kind, k.array as array,
    (case when a.atttypmod = -1 then k.typmod else a.atttypmod end)::int4 as typmod
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join kinds k on k.oid = a.atttypid
left join pg_catalog.pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relkind in ('r', 'p', 'v', 'm', 'f') and pg_catalog.pg_table_is_visible(c.oid)
    and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%'
order by c.relname, a.attnum
"""

CONSTRAINTS = """
select c.relname::text as "table", o.conname::text as name, o.contype::text as kind, o.conkey::int4[] as columns,
    f.relname::text as target, o.confkey::int4[] as target_columns
from pg_catalog.pg_constraint o
join pg_catalog.pg_class c on c.oid = o.conrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_class f on f.oid = o.confrelid
where o.contype in ('p', 'u', 'f') and o.conparentid = 0 and pg_catalog.pg_table_is_visible(c.oid)
    and (f.oid is null or pg_catalog.pg_table_is_visible(f.oid))
    and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%'
order by c.relname, o.conname
"""

FUNCTIONS = f"""{_TYPES}
select n.nspname::text as space, p.proname::text as name, p.proretset as many, p.provolatile = 'v' as writes,
    p.pronargdefaults::int4 as defaults, p.provariadic <> 0 as variadic, p.prorettype = 2249 as record,
    p.proargnames as names, p.proargmodes::text[] as modes, r.relname::text as table, c.name::text as type,
    c.space::text as type_space, c.kind::text as kind, c.array as array,
    (select array_agg(row_to_json(k) order by o.place) from
        unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality as o(oid, place)
        join kinds k on k.oid = o.oid)::text[] as types
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
left join kinds c on c.oid = p.prorettype
left join pg_catalog.pg_class r on r.reltype = p.prorettype and r.relkind in ('r', 'p', 'v', 'm', 'f')
where p.prokind = 'f' and pg_catalog.pg_function_is_visible(p.oid) and p.prorettype <> 2279
    and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%'
    and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::regclass
        and d.objid = p.oid and d.deptype = 'e')
order by p.proname, p.oid
"""


class Connection(Protocol):
    """What is needed of a connection."""

    async def fetch(self, query: str) -> Iterable[Mapping[str, Any]]: ...


async def load_postgres(connection: Connection, version: int) -> Schema:
    """Read what *connection* sees; *version* is the caller's own count of the times it did."""
    tables, numbers = _tables(await connection.fetch(COLUMNS))
    _constrain(tables, numbers, await connection.fetch(CONSTRAINTS))
    built = {
        name: Table(
            name, each["kind"], each["columns"], each["pk"], tuple(each["uniques"]), tuple(each["fks"]),
            each["space"], each["rls"],
        )
        for name, each in tables.items()
    }  # fmt: skip
    functions: dict[str, list[Function]] = {}
    for row in await connection.fetch(FUNCTIONS):
        functions.setdefault(row["name"], []).append(_function(row))
    return Schema(built, version, "postgres", {name: tuple(each) for name, each in functions.items()})


def _tables(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, dict[str, Any]], dict[str, dict[int, str]]]:
    tables: dict[str, dict[str, Any]] = {}
    numbers: dict[str, dict[int, str]] = {}
    for row in rows:
        name = row["table"]
        table = tables.setdefault(
            name,
            {
                "kind": "view" if row["relkind"] in "vm" else "table",
                "space": row["space"],
                "rls": row["rls"],
                "columns": {},
                "pk": (),
                "uniques": [],
                "fks": [],
            },
        )
        numbers.setdefault(name, {})[row["number"]] = row["name"]
        table["columns"][row["name"]] = Column(
            name,
            row["name"],
            _type(row, row["typmod"]),
            nullable=not row["required"],
            default=row["default"] or ("identity" if row["identity"] else None),
            generated=bool(row["generated"]) or row["identity"] == "a",
        )
    return tables, numbers


def _type(row: Mapping[str, Any], typmod: int = -1) -> Type:
    name, array = row["type"], bool(row["array"])
    args: tuple[int, ...] = ()
    if typmod >= 4 and name in ("varchar", "bpchar"):
        args = (typmod - 4,)
    elif typmod >= 4 and name == "numeric":
        # The scale is 11 bits with a sign: https://www.postgresql.org/docs/current/datatype-numeric.html
        scale = (typmod - 4) & 0x7FF
        args = ((typmod - 4) >> 16 & 0xFFFF, scale - 0x800 if scale & 0x400 else scale)
    if row["type_space"] == "pg_catalog" and name in _PLAIN:
        return Type(name, args, array, f'"pg_catalog".{quote(name)}')
    read: Literal["text", "json"] = "json" if row["kind"] == "c" else "text"
    return Type(name, args, array, f"{quote(row['type_space'])}.{quote(name)}", read)


def _constrain(
    tables: dict[str, dict[str, Any]], numbers: dict[str, dict[int, str]], rows: Iterable[Mapping[str, Any]]
) -> None:
    for row in rows:
        table = tables.get(row["table"])
        if table is None:
            continue
        columns = tuple(numbers[row["table"]][number] for number in row["columns"])
        if row["kind"] == "p":
            table["pk"] = columns
        elif row["kind"] == "u":
            table["uniques"].append(columns)
        elif row["target"] in numbers:
            target = tuple(numbers[row["target"]][number] for number in row["target_columns"])
            table["fks"].append(ForeignKey(row["name"], columns, row["target"], target))


def _function(row: Mapping[str, Any]) -> Function:
    import json

    types = [json.loads(each) for each in row["types"] or ()]
    kinds = [_type({**each, "type": each["name"], "type_space": each["space"]}, each["typmod"]) for each in types]
    names = list(row["names"] or [""] * len(kinds))
    modes = list(row["modes"] or ["i"] * len(kinds))
    given = [(name, kind, mode) for name, kind, mode in zip(names, kinds, modes, strict=True) if mode in "ibv"]
    first_optional = len(given) - row["defaults"]
    arguments = tuple(
        Argument(name, kind, number >= first_optional, mode == "v") for number, (name, kind, mode) in enumerate(given)
    )
    out = [(name, kind) for name, kind, mode in zip(names, kinds, modes, strict=True) if mode in "obt"]
    columns = {name: Column(row["name"], name, kind) for name, kind in out} if len(out) > 1 or row["many"] else {}
    type_ = UNKNOWN if row["type"] is None or row["record"] else _type(row)
    return Function(
        row["space"], row["name"], arguments, row["many"], row["table"], columns, type_, row["writes"]
    )  # fmt: skip
