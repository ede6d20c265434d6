"""Random writes on equal tables: both engines end with the same rows, after the same answers.

Where two things are wrong with a write, the engines may name different ones. And a moment that is
none, or a NULL, is refused by PostgreSQL only when it is about to be stored, so not by an update of
no rows.
"""

from __future__ import annotations

import os
import random
from decimal import Decimal
from typing import Any

import pytest

from tests.db.conftest import Open
from turnout.errors import DbError

ROUNDS, EACH = 40 if os.environ.get("TURNOUT_FAULTS") == "full" else 4, 60
TABLES = (
    """create table parents (id bigint primary key, name text not null)""",
    """create table t (
        id bigint primary key, n int not null default 5 check (n < 100), b text default 'x', c numeric(6,2),
        d boolean not null default false, e jsonb, u varchar(4) unique, at timestamptz, tags text[],
        parent bigint references parents(id) on delete cascade)""",
)
VALUES: dict[str, list[Any]] = {
    "id": [1, 2, 3, 4, 5, "6", None, "x"],
    "n": [0, 7, "8", 99, 100, None, 2**31],
    "b": ["", "it's", "Ä 🎈", None, 5],
    "c": ["1.005", Decimal("2.50"), 3, "12345.6", None],
    "d": [True, "no", 1, "maybe"],
    "e": [{"b": 1, "a": [None, "x"]}, [], "text", 7, True, None],
    "u": ["a", "b", "cccc", "ddddd", None],
    "at": ["2026-01-02T03:04:05.6Z", "2026-01-02", "soon", None],
    "tags": [[], ["x", None, 'q"{,}\\'], "x", None],
    "parent": [1, 2, 9, None],
}
LATE = (("at", "soon"), ("id", None), ("n", None))
FILTERS = {"id": "eq", "n": "gte", "u": "neq", "b": "like", "d": "eq", "parent": "in"}


class Dice(random.Random):
    """Draws writes; *late* values are those that the two engines refuse at different moments."""

    late = True

    def row(self) -> dict[str, Any]:
        columns = self.sample(sorted(VALUES), self.randint(1, 4))
        row = {
            column: self.choice([v for v in VALUES[column] if self.late or (column, v) not in LATE])
            for column in columns
        }
        return row if self.random() < 0.1 else {"id": self.randint(1, 6), **row}

    def rows(self) -> Any:
        rows = [self.row() for _ in range(self.randint(1, 3))]
        return rows[0] if len(rows) == 1 and self.random() < 0.7 else rows

    def write(self) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
        verb = self.choice(["insert", "insert", "upsert", "upsert", "update", "delete"])
        calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        if verb == "insert":
            calls.append((verb, (self.rows(),), {}))
        elif verb == "upsert":
            given = {"on_conflict": self.choice(["id", "u", "b"])} if self.random() < 0.3 else {}
            calls.append((verb, (self.rows(),), {**given, "ignore_duplicates": self.random() < 0.3}))
        else:
            calls.append((verb, (self.row(),) if verb == "update" else (), {}))
            for _ in range(self.randint(0, 2)):
                column = self.choice(sorted(FILTERS))
                value: Any = self.choice([value for value in VALUES[column] if value is not None])
                value = [value] if FILTERS[column] == "in" else value
                calls.append(("filter", (column, FILTERS[column], value), {}))
        if self.random() < 0.6:
            calls.append(("select", (self.choice(["*", "id, n", "id, e, parents(name)", "x:c, d"]),), {}))
            if self.random() < 0.3:
                calls.append(("single", (), {}))
        return calls


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, str) and isinstance(theirs, str):
        return True
    return ours == theirs or (ours in ("22007", "22008", "23502") and theirs in (None, ([], 0)))


async def answer(place: Any, calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> Any:
    try:
        query = place.from_("t")
        for name, args, rest in calls:
            query = getattr(query, name)(*args, **rest)
        found = await query
    except DbError as exc:
        return exc.code
    return found if found is None or isinstance(found, dict) else (sorted(found, key=repr), found.count)


async def content(db: Any) -> Any:
    return [await db.from_(table).select().order("id") for table in ("parents", "t")]


@pytest.mark.parametrize("part", range(ROUNDS))
async def test_both_engines_end_with_the_same_rows(postgres, part):
    async with Open(":memory:")(*TABLES) as lite, Open(postgres)(*TABLES) as pg:
        for db in (lite, pg):
            await db.from_("parents").insert([{"id": 1, "name": "one"}, {"id": 2, "name": "two"}])
        for number in range(part * EACH, (part + 1) * EACH):
            calls = Dice(number).write()
            theirs, ours = await answer(pg, calls), await answer(lite, calls)
            assert same(ours, theirs), f"write {number}: {calls}"
            assert await content(lite) == await content(pg), f"write {number}: {calls}"


@pytest.mark.parametrize("part", range(ROUNDS))
async def test_both_engines_undo_the_same(postgres, part):
    async with Open(":memory:")(*TABLES) as lite, Open(postgres)(*TABLES) as pg:
        for number in range(part * 20, (part + 1) * 20):
            answers = []
            for db in (lite, pg):
                dice = Dice(f"tx {number}")
                dice.late = False
                answers.append(await transacted(db, dice))
            assert len(answers[0]) == len(answers[1]), f"transaction {number}"
            assert all(map(same, *answers)), f"transaction {number}"
            assert await content(lite) == await content(pg), f"transaction {number}"


async def transacted(db: Any, dice: Dice) -> list[Any]:
    """A transaction with savepoints, some of which are left by an exception."""
    answers: list[Any] = []
    try:
        async with db.transaction() as tx:
            for _ in range(dice.randint(1, 4)):
                if dice.random() < 0.5:
                    answers.append(await answer(tx, dice.write()))
                    continue
                try:
                    async with tx.transaction() as inner:
                        answers += [await answer(inner, dice.write()) for _ in range(dice.randint(1, 2))]
                        if dice.random() < 0.3:
                            raise ValueError("undone")
                except (ValueError, DbError) as exc:
                    answers.append(getattr(exc, "code", "undone"))
            if dice.random() < 0.2:
                raise ValueError("all undone")
    except (ValueError, DbError) as exc:
        answers.append(getattr(exc, "code", "undone"))
    return answers
