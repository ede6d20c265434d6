"""Random queries on the same data: SQLite answers as PostgreSQL does, or says PGRST127.

A query is a list of calls on the builder, drawn from a seeded generator, so that a failure can
be run again by its number. An error counts as an answer by its code. What is not compared: the
order of rows that no order settles, which every query here settles by the key.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.db.conftest import Open
from tests.db.shop import shop
from turnout.errors import DbError

ROUNDS, EACH = 20, 200
COLUMNS = {
    "posts": {
        "id": [1, 2, "3", 9, "x"], "author_id": [1, 2], "title": ["Alpha", "beta", "%a", "A_p%", ""],
        "price": ["10.1", 0.05, "10.10", "abc"], "views": [3, 4, "4", 2**31], "big": [2**62, 1],
        "ratio": [0.1, "0.2", 1], "small": [0.1, 2.5], "published": [True, "no", "maybe"],
        "data": [{"k": 7}, [1, 2], "x", 7, None],
        "tags": [["x"], [], ["x", 'q"uo,te'], "x"], "key": ["0f8fad5b-d9cb-469f-a165-70867728950e", "bad"],
        "day": ["2026-01-02", "2026-02-30"], "created_at": ["2026-01-02T03:04:05.6Z", "2026-02-01", "soon"],
        "data->>k": ["7", "7.0"], "data->k": [7, 7.0, "7", True], "data->a->>b": ["text", "5"], "data->a->n": [1.5, 10],
        "data->>0": ["1"], "tags->>0": ["x"], "data->a->>yes": ["true"],
    },
    "comments": {
        "id": [1, 2, 3, 4], "post_id": [1, 2], "body": ["one", "t%", "%O%"], "published": [True, False],
        "weight": [0.1 + 0.2, -1, 3], "price": ["1.5", 2, "12345678.9"],
    },
    "users": {"id": [1, 2], "name": ["Ada", "%b", "c%"], "boss_id": [1], "score": [1e22, 0.30000000000000004]},
}  # fmt: skip
OPS = ["eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "isdistinct", "contains", "contained_by", "overlaps"]
TYPES = ["text", "int", "int8", "numeric", "float8", "boolean", "date", "timestamptz", "jsonb", "uuid", "nope"]
EMBEDS = {
    "posts": ["comments", "author_id", "editor_id", "labels", "users", "lonely", "posts_labels"],
    "comments": ["posts", "users", "author_id"],
    "users": ["users", "boss_id", "profiles", "comments", "posts!posts_author_id_fkey"],
    "labels": ["posts"], "profiles": ["users"], "posts_labels": ["labels"],
}  # fmt: skip
TARGETS = {
    "comments": "comments", "author_id": "users", "editor_id": "users", "labels": "labels", "users": "users",
    "posts": "posts", "boss_id": "users", "posts!posts_author_id_fkey": "posts", "profiles": "profiles",
    "posts_labels": "posts_labels",
}  # fmt: skip


class Dice(random.Random):
    """Draws the parts of a query."""

    def column(self, table: str) -> str:
        return self.choice(list(COLUMNS[table])) if table in COLUMNS else "id"

    def value(self, table: str, column: str) -> Any:
        values = COLUMNS.get(table, {}).get(column, [1])
        return self.choice([value for value in values if value is not None])

    def items(self, table: str, depth: int) -> str:
        items = []
        for _ in range(self.randint(1, 3)):
            column = self.column(table) if table in COLUMNS else "*"
            roll = self.random()
            if roll < 0.2 and table in COLUMNS:
                # A key is a bigint on SQLite, and PostgreSQL makes booleans of integers only.
                column += f"::{self.choice([type_ for type_ in TYPES if column != 'id' or type_ != 'boolean'])}"
            elif roll < 0.27 and table in COLUMNS:
                kinds = ["min", "max", "count"] if column == "id" else ["sum", "avg", "min", "max", "count"]
                column += f".{self.choice(kinds)}()"
            if column != "*":
                column = f"a{self.randint(0, 99)}:{column}"
            items.append(column)
        if self.random() < 0.1:
            items.append("n:count()")
        if depth < 2 and self.random() < (0.7 if depth == 0 else 0.4):
            for _ in range(self.randint(1, 2)):
                items.append(self.embed(table, depth + 1))
        return ",".join(items)

    def embed(self, table: str, depth: int) -> str:
        relation = self.choice(EMBEDS.get(table, ["users"]))
        inside = self.items(TARGETS.get(relation, "users"), depth)
        alias = "" if self.random() < 0.1 else f"e{self.randint(0, 99)}:"
        return f"{alias}{relation}{'!inner' * (self.random() < 0.3)}({inside})"

    def calls(self, table: str) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
        """What is called after select, but for the order by the key."""
        calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        for _ in range(self.randint(0, 3)):
            column = self.column(table)
            value, op = self.value(table, column), self.choice(OPS)
            kind = self.random()
            if kind < 0.45:
                calls.append(("filter", (column, op, value), {}))
            elif kind < 0.55:
                calls.append(("in_", (column, [value, self.value(table, column)]), {}))
            elif kind < 0.65:
                calls.append(("is_", (column, self.choice([None, True, False, "unknown", "not_null"])), {}))
            elif kind < 0.75:
                calls.append(("not_", (column, op, value), {}))
            elif kind < 0.85:
                word = self.choice(["like", "ilike", "eq", "gte"])
                values = [value, self.value(table, column)]
                calls.append(("filter", (column, f"{word}({self.choice(['any', 'all'])})", values), {}))
            else:
                other = self.column(table)
                one, two = (column, op, value), (other, "eq", self.value(table, other))
                calls.append(("or_", (one, two), {}))
        if self.random() < 0.4:
            nulls = self.choice([None, "first", "last"])
            calls.append(("order", (self.column(table),), {"desc": self.random() < 0.5, "nulls": nulls}))
        return calls


def draw(number: int) -> tuple[str, str, list[tuple[str, tuple[Any, ...], dict[str, Any]]]]:
    """The query of this number."""
    dice = Dice(number)
    table = dice.choice(list(COLUMNS))
    items, calls = dice.items(table, 0), dice.calls(table)
    if "()" not in items.split("(", 1)[0]:
        calls.append(("order", ("id",), {}))
    if dice.random() < 0.3:
        calls.append(("limit", (dice.randint(1, 2),), {}))
    return table, items, calls


async def answer(db: Any, table: str, items: str, calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> Any:
    try:
        query = db.from_(table).select(items)
        for name, args, rest in calls:
            query = getattr(query, name)(*args, **rest)
        return await query
    except DbError as exc:
        return exc.code


def settled(found: Any) -> Any:
    """Lists inside rows in an order of their own, as nothing orders them."""
    if isinstance(found, dict):
        return {key: settled(value) for key, value in found.items()}
    if isinstance(found, list) and found and all(isinstance(item, dict) for item in found):
        return sorted((settled(item) for item in found), key=repr)
    return (type(found).__name__, found) if isinstance(found, (bool, int, float)) else found


BAD = ("'x'", "abc", "maybe", "bad", "02-30", "soon", "2147483648")


def agree(ours: Any, theirs: Any, items: str, calls: Any) -> bool:
    """Whether both answers are one.

    An engine need not look at a value that some other condition, or the limit, makes needless; so
    a bad value is an error of one and not always of the other.
    """
    if settled(ours) == settled(theirs):
        return True
    bad = [isinstance(each, str) and each.startswith("22") for each in (ours, theirs)]
    if all(bad) or "PGRST127" in (ours, theirs):
        return True
    return any(bad) and ("::" in items or any(word in repr(calls) for word in BAD))


@pytest.mark.parametrize("part", range(ROUNDS))
async def test_sqlite_answers_as_postgresql_or_refuses(postgres, part):
    refused = 0
    async with shop(Open(":memory:")) as lite, shop(Open(postgres)) as pg:
        for number in range(part * EACH, (part + 1) * EACH):
            table, items, calls = draw(number)
            ours, theirs = await answer(lite, table, items, calls), await answer(pg, table, items, calls)
            if ours == "PGRST127":
                refused += 1
                continue
            assert agree(ours, theirs, items, calls), f"query {number}: {table} {items} {calls}\n{ours}\n{theirs}"
    assert refused < EACH / 2, "too much is refused for the comparison to mean anything"
