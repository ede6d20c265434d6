"""Which tables belong together: the relationships that the foreign keys make.

The rules and the words of the errors are PostgREST's
(https://docs.postgrest.org/en/stable/references/api/resource_embedding.html): a foreign key can
be followed both ways, a unique one gives one row either way, and a table whose primary key holds
two foreign keys joins many to many. Of a table that refers to itself, its name means the rows
below and the column's name the row above.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NoReturn

from msgspec import Struct

from .errors import error
from .schema import ForeignKey, Schema, Table

Pairs = tuple[tuple[str, str], ...]


class Junction(Struct, frozen=True):
    """The table between: *near* pairs the first table's columns with its own, *far* its own with the target's."""

    table: Table
    near: Pairs
    far: Pairs
    constraints: tuple[str, str]


class Relation(Struct, frozen=True):
    """A way from one table to another.

    Args:
        many: There may be several rows of *target*.
        on: Columns of the first table and those of *target* that they equal; empty with a junction.
        constraint: The foreign key's name.
        up: The foreign key is in the first table.
    """

    origin: Table
    target: Table
    many: bool
    on: Pairs = ()
    constraint: str = ""
    up: bool = False
    junction: Junction | None = None

    def answers(self, name: str, hint: str | None) -> bool:
        """Whether ``name!hint`` means this one."""
        if self.origin.name == self.target.name:
            return self._answers_self(name, hint)
        if hint is None:
            return name in (self.target.name, self.constraint) or (self.up and self._is_column(0, name))
        if name != self.target.name:
            return False
        if self.junction is not None:
            return hint == self.junction.table.name
        return hint == self.constraint or self._is_column(0, hint) or self._is_column(1, hint)

    def _answers_self(self, name: str, hint: str | None) -> bool:
        if self.junction is not None:
            return False  # which of its two keys comes first, nothing could say
        if self.up:
            return hint is None and (name == self.constraint or self._is_column(0, name))
        return name == self.target.name and (hint in (None, self.constraint) or self._is_column(1, hint))

    def _is_column(self, side: int, name: str | None) -> bool:
        return len(self.on) == 1 and self.on[0][side] == name

    def describe(self) -> dict[str, str]:
        """The candidate as PGRST201 lists it."""
        tables = f"{self.origin.name} with {self.target.name}"
        if self.junction is not None:
            first, second = self.junction.constraints
            near = ", ".join(inner for _, inner in self.junction.near)
            far = ", ".join(inner for inner, _ in self.junction.far)
            way = f"{self.junction.table.name} using {first}({near}) and {second}({far})"
            return {"cardinality": "many-to-many", "embedding": tables, "relationship": way}
        ours, theirs = (", ".join(pair[side] for pair in self.on) for side in (0, 1))
        way = f"{self.constraint} using {self.origin.name}({ours}) and {self.target.name}({theirs})"
        kind = "one-to-many" if self.many else "many-to-one" if self.up else "one-to-one"
        return {"cardinality": kind, "embedding": tables, "relationship": way}

    @property
    def hint(self) -> str:
        """The spelling that means this one alone."""
        return f"{self.target.name}!{self.junction.table.name if self.junction else self.constraint}"


def relations(schema: Schema, origin: Table) -> Iterator[Relation]:
    """Every way from *origin* to another table, or to itself."""
    for fk in origin.fks:
        target = _target(schema, fk)
        if target is not None:
            pairs = tuple(zip(fk.columns, fk.references, strict=True))
            yield Relation(origin, target, False, pairs, fk.name, up=True)
    for table in schema.tables.values():
        for fk in table.fks:
            if fk.table == origin.name and _target(schema, fk) is not None:
                pairs = tuple(zip(fk.references, fk.columns, strict=True))
                yield Relation(origin, table, not _unique(table, fk.columns), pairs, fk.name)
        yield from _through(schema, origin, table)


def _through(schema: Schema, origin: Table, middle: Table) -> Iterator[Relation]:
    for near in middle.fks:
        if near.table != origin.name or not set(near.columns) <= set(middle.pk):
            continue
        for far in middle.fks:
            target = _target(schema, far)
            if far == near or target is None or not set(far.columns) <= set(middle.pk):
                continue
            junction = Junction(
                middle,
                tuple(zip(near.references, near.columns, strict=True)),
                tuple(zip(far.columns, far.references, strict=True)),
                (near.name, far.name),
            )
            yield Relation(origin, target, True, junction=junction)


def _target(schema: Schema, fk: ForeignKey) -> Table | None:
    """The table that *fk* points at, unless it points nowhere, as SQLite lets it."""
    target = schema.tables.get(fk.table)
    if target is None or len(fk.columns) != len(fk.references):
        return None
    return target if all(name in target.columns for name in fk.references) else None


def _unique(table: Table, columns: tuple[str, ...]) -> bool:
    given = set(columns)
    return any(key and set(key) <= given for key in (table.pk, *table.uniques))


def find(schema: Schema, origin: Table, name: str, hint: str | None) -> Relation:
    """The one relationship that ``name!hint`` means from *origin*, or PGRST200, or PGRST201."""
    every = list(relations(schema, origin))
    found = [relation for relation in every if relation.answers(name, hint)]
    if len(found) == 1:
        return found[0]
    if found:
        _ambiguous(origin, name, found)
    from difflib import get_close_matches

    near = get_close_matches(name, sorted({relation.target.name for relation in every} - {name}), 3, 0.5)
    using = f"' using the hint '{hint[:63]}" if hint else ""
    raise error(
        "PGRST200",
        f"Could not find a relationship between '{origin.name}' and '{name[:63]}' in the schema cache",
        details=f"Searched for a foreign key relationship between '{origin.name}' and '{name[:63]}{using}' "
        "in the schema 'public', but no matches were found.",
        hint=f"Perhaps you meant '{near[0]}' instead of '{name[:63]}'." if near else None,
    )


def _ambiguous(origin: Table, name: str, found: list[Relation]) -> NoReturn:
    hints = ", ".join(f"'{relation.hint}'" for relation in found)
    raise error(
        "PGRST201",
        f"Could not embed because more than one relationship was found for '{origin.name}' and '{name}'",
        details=json.dumps([relation.describe() for relation in found]),
        hint=f"Try changing '{name}' to one of the following: {hints}. "
        "Find the desired relationship in the 'details' key.",
    )
