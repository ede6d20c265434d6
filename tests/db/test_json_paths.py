"""Places inside JSON and arrays: in what is selected, in filters, in the order."""

from __future__ import annotations

from decimal import Decimal

import pytest

from turnout.errors import DbError

TABLE = "create table t (id integer primary key, j jsonb, tags text[], n integer)"
ROWS = [
    {"id": 1, "j": {"a": {"b": "text", "x y": [10, {"k": "é"}, None]}, "n": 1, "f": 1.5, "yes": True, "no": None},
     "tags": ["x", "y"]},
    {"id": 2, "j": {"a": {"b": "5"}, "n": 10, "f": 1.0, "yes": False, "o": {"bb": 1, "a": [1, "z"]}}, "tags": []},
    {"id": 3, "j": {"n": "1", "a.b": 3, "it's": 4, "0": "zero"}},
    {"id": 4, "j": [1, 2.50, "three", [4]]},
    {"id": 5, "j": "bare"},
    {"id": 6, "j": 7},
    {"id": 7, "j": None},
]  # fmt: skip
SELECTS = {
    "an object": ("j->o", 2, {"o": {"a": [1, "z"], "bb": 1}}),
    "text": ("j->a->>b", 1, {"b": "text"}),
    "a value of text": ("j->a->b", 1, {"b": "text"}),
    "a number": ("j->n", 1, {"n": 1}),
    "a number as text": ("j->>f", 1, {"f": "1.5"}),
    "a round number as text": ("j->>f", 2, {"f": "1.0"}),
    "true": ("j->yes", 1, {"yes": True}),
    "true as text": ("j->>yes", 1, {"yes": "true"}),
    "false as text": ("j->>yes", 2, {"yes": "false"}),
    "null": ("j->no", 1, {"no": None}),
    "null as text": ("j->>no", 1, {"no": None}),
    "an object as text": ("j->>o", 2, {"o": '{"a": [1, "z"], "bb": 1}'}),
    "a key of words": ('v:j->a->"x y"->0', 1, {"v": 10}),
    "a key of words, bare": ("j->a->x y->1->>k", 1, {"k": "é"}),
    "from the end": ("v:j->a->x y->-2", 1, {"v": {"k": "é"}}),
    "past the end": ("v:j->a->x y->9", 1, {"v": None}),
    "a dot in the key": ('v:j->"a.b"', 3, {"v": 3}),
    "a quote in the key": ("v:j->>it's", 3, {"v": "4"}),
    "a key of digits": ('v:j->>"0"', 3, {"v": "zero"}),
    "an index of an object": ("v:j->>0", 3, {"v": None}),
    "a key of an array": ('v:j->>"0"', 4, {"v": None}),
    "an index": ("j->1", 4, {"j": 2.5}),
    "an index as text": ("j->>3", 4, {"j": "[4]"}),
    "of a bare text": ("j->a", 5, {"a": None}),
    "of a bare number": ("j->>a", 6, {"a": None}),
    "of NULL": ("j->a->>b", 7, {"b": None}),
    "of an array": ("tags->0", 1, {"tags": "x"}),
    "of an array as text": ("tags->>-1", 1, {"tags": "y"}),
    "with a cast": ("j->>n::int", 2, {"n": 10}),
    "with a cast of the value": ("j->f::numeric", 1, {"f": Decimal("1.5")}),
}
FILTERS = {
    "text equals": (lambda q: q.eq("j->a->>b", "5"), [2]),
    "a number's text equals": (lambda q: q.eq("j->>n", "1"), [1, 3]),
    "text is greater": (lambda q: q.gt("j->>n", "1"), [2]),
    "text in a list": (lambda q: q.in_("j->a->>b", ["text", "x"]), [1]),
    "text is like": (lambda q: q.like("j->a->>b", "te%"), [1]),
    "text is like, whatever the case": (lambda q: q.ilike("j->a->>b", "TE%"), [1]),
    "a number equals": (lambda q: q.eq("j->n", 1), [1]),
    "a number equals however it is written": (lambda q: q.eq("j->f", 1), [2]),
    "a text equals": (lambda q: q.eq("j->n", "1"), [3]),
    "on the wire a number is a number": (lambda q: q.or_("j->n.eq.1"), [1]),
    "on the wire a text has quotes": (lambda q: q.or_(r'j->n.eq."\"1\""'), [3]),
    "true equals": (lambda q: q.eq("j->yes", True), [1]),
    "one is not true": (lambda q: q.eq("j->yes", 1), []),
    "differs": (lambda q: q.neq("j->n", 1), [2, 3]),
    "an object equals": (lambda q: q.eq("j->o", {"bb": 1.0, "a": [1, "z"]}), [2]),
    "in a list": (lambda q: q.in_("j->n", [10, "1"]), [2, 3]),
    "not distinct": (lambda q: q.not_("j->n", "isdistinct", 1), [1]),
    "is not there": (lambda q: q.is_("j->a", None).lt("id", 5), [3, 4]),
    "null is there": (lambda q: q.not_("j->no", "is", None), [1]),
    "null's text is not": (lambda q: q.not_("j->>no", "is", None), []),
    "contains": (lambda q: q.contains("j->a", {"b": "text"}), [1]),
    "contained by": (lambda q: q.contained_by("j->o", {"bb": 1, "a": [1, "z", 2], "c": 1}), [2]),
    "contains on the wire": (lambda q: q.or_(r'j->a.cs."{\"b\": \"text\"}"'), [1]),
    "the whole column equals": (lambda q: q.eq("j", "bare"), [5]),
    "the whole column equals a number": (lambda q: q.eq("j", 7.0), [6]),
    "the whole column is in a list": (lambda q: q.in_("j", [7, "bare", [1]]), [5, 6]),
    "an array's member": (lambda q: q.eq("tags->>0", "x"), [1]),
    "a whole array equals": (lambda q: q.eq("tags", ["x", "y"]), [1]),
    "a whole array differs": (lambda q: q.neq("tags", ["x", "y"]), [2]),
    "any of": (lambda q: q.like_any_of("j->a->>b", ["t%", "5"]), [1, 2]),
}
ORDERS = {
    "text": (lambda q: q.order("j->a->>b", nulls="last").order("id"), [2, 1, 3, 4, 5, 6, 7]),
    "text, falling": (lambda q: q.order("j->>n", desc=True, nulls="last").order("id"), [2, 1, 3, 4, 5, 6, 7]),
}


@pytest.mark.parametrize("case", SELECTS)
async def test_a_place_is_read_as_postgresql_reads_it(blog, case):
    select, number, expected = SELECTS[case]
    async with blog(TABLE) as db:
        await db.from_("t").insert(ROWS)
        row = await db.from_("t").select(select).eq("id", number).single()
        assert row == expected
        assert list(map(type, row.values())) == list(map(type, expected.values()))


@pytest.mark.parametrize("case", FILTERS | ORDERS)
async def test_a_place_is_filtered_and_sorted_by(blog, case):
    narrow, expected = (FILTERS | ORDERS)[case]
    async with blog(TABLE) as db:
        await db.from_("t").insert(ROWS)
        query = narrow(db.from_("t").select("id"))
        assert [row["id"] for row in await (query if case in ORDERS else query.order("id"))] == expected


REFUSED = {
    "a path in a number": ("42883", lambda q: q.select("n->a")),
    "a path in a number in a filter": ("42883", lambda q: q.select().eq("n->>a", 1)),
    "like on a value": ("42883", lambda q: q.select().like("j->a", "x")),
    "is true on a value": ("42804", lambda q: q.select().is_("j->yes", True)),
    "json that is none, on the wire": ("22P02", lambda q: q.select().or_('j->n.eq."{"')),
    "overlaps on json": ("42883", lambda q: q.select().overlaps("j->a", ["x"])),
    "a path too long": ("54001", lambda q: q.select("j" + "->a" * 21)),
    "two arrows as text": ("PGRST100", lambda q: q.select("j->>a->>b")),
    "a key that is no name, and no alias": ("PGRST100", lambda q: q.select("j->x y")),
    "no key": ("PGRST100", lambda q: q.select("j->")),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_path_that_makes_no_sense_is_refused(blog, case):
    code, ask = REFUSED[case]
    async with blog(TABLE) as db:
        with pytest.raises(DbError) as caught:
            await ask(db.from_("t"))
        assert caught.value.code == code


async def test_what_sqlite_cannot_do_exactly_it_refuses(blog):
    if blog.engine != "sqlite":
        pytest.skip("PostgreSQL can")
    async with blog(TABLE) as db:
        for query in (
            db.from_("t").select().order("j->a"),
            db.from_("t").select().gt("j->n", 1),
            db.from_("t").select('v:j->"a\\"b"'),
            db.from_("t").select('v:j->"a\\\\b"'),
            db.from_("t").select("j->a, count()"),
        ):
            with pytest.raises(DbError) as caught:
                await query
            assert caught.value.code == "PGRST127"
