"""PostgREST's grammar: what each text means, and that no text means anything by accident."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from turnout.db.ast import Column, Cond, Embed, Logic, Order, Path, Star
from turnout.db.parse import (
    parse_array,
    parse_logic,
    parse_names,
    parse_order,
    parse_path,
    parse_query,
    parse_select,
)
from turnout.errors import DbError


def col(name, **rest):
    return Column(Path(name), **rest)


SELECTS = {
    "": (Star(),),
    "*": (Star(),),
    "id, title": (col("id"), col("title")),
    "name:title": (col("title", alias="name"),),
    '"a b":"c.d"': (col("c.d", alias="a b"),),
    "first name": (col("first name"),),
    "post-id": (col("post-id"),),
    "ünï": (col("ünï"),),
    "id::text": (col("id", cast="text"),),
    "x:id::double precision": (col("id", alias="x", cast="double precision"),),
    "views.sum()": (col("views", aggregate="sum"),),
    "n:views::int.max()::text": (col("views", alias="n", cast="int", aggregate="max", result="text"),),
    "count()": (Column(Path("*"), None, None, "count"),),
    "n:count()::text": (Column(Path("*"), "n", None, "count", "text"),),
    "data->a->>b": (Column(Path("data", ("a", "b"), True)),),
    "data->0->-1": (Column(Path("data", (0, -1))),),
    'data->"a.b"->>"0"': (Column(Path("data", ("a.b", "0"), True)),),
    "data->1a": (Column(Path("data", ("1a",))),),
    "data->a-b": (Column(Path("data", ("a-b",))),),
    r'"say \"hi\""': (col('say "hi"'),),
}


@pytest.mark.parametrize("text", SELECTS)
def test_a_select_list_means_its_columns(text):
    assert parse_select(text) == SELECTS[text]


def test_a_select_list_means_its_relations():
    items = parse_select("a:users!fk!inner(id,posts(*)),...tags(n:name),comments(count),none()")
    author, tags, comments, none = items
    assert isinstance(author, Embed)
    assert (author.relation, author.alias, author.hint, author.inner) == ("users", "a", "fk", True)
    assert author.query.items[1].query.items == (Star(),)
    assert (tags.spread, tags.query.items) == (True, (col("name", alias="n"),))
    assert comments.query.items == (col("count"),)
    assert none.query.items == ()
    assert parse_select("users!inner!fk(id)")[0] == parse_select("users!fk!inner(id)")[0]
    assert parse_select("users!left(id)")[0].inner is False


FILTERS = {
    "eq.5": Cond(Path("c"), "eq", 0, wire=True),
    "not.eq.5": Cond(Path("c"), "eq", 0, negated=True, wire=True),
    "is.null": Cond(Path("c"), "is", word="null", wire=True),
    "not.is.NULL": Cond(Path("c"), "is", word="null", negated=True, wire=True),
    "cs.{a}": Cond(Path("c"), "contains", 0, wire=True),
    "isdistinct.5": Cond(Path("c"), "isdistinct", 0, wire=True),
    "like(any).{a,b}": Cond(Path("c"), "like", 0, wire=True, quantifier="any"),
    "fts(english).cat": Cond(Path("c"), "fts", 0, wire=True, config="english"),
    "sl.[1,2)": Cond(Path("c"), "sl", 0, wire=True),
}


@pytest.mark.parametrize("text", FILTERS)
def test_a_parameter_means_its_condition(text):
    assert parse_query([("c", text)]).where.items == (FILTERS[text],)


VALUES = {
    "eq.": "",
    "eq.a.b,c)": "a.b,c)",
    'eq."x"': '"x"',
    "eq. padded ": " padded ",
    "in.(1,2)": ["1", "2"],
    'in.("a,b",c d, e)': ["a,b", "c d", " e"],
    r'in.("a\"b\\c")': ['a"b\\c'],
    "in.()": [],
    'in.("")': [""],
    "in.(,)": ["", ""],
    r'like(all).{a*,"b,\"c"}': ["a*", 'b,"c'],
}


@pytest.mark.parametrize("text", VALUES)
def test_a_parameter_has_its_value(text):
    assert parse_query([("c", text)]).values == (VALUES[text],)


def test_a_query_string_is_taken_apart():
    asked = parse_query(
        [
            ("select", "id,comments(*)"),
            ("or", '(a.eq.1,and(b.gt."x,y",c.is.null),not.or(d.in.(1,2)))'),
            ("not.and", "(e.eq.1)"),
            ("comments.not.or", "(f.eq.2,g.eq.{1,2})"),
            ("comments.id", "gt.3"),
            ("comments.order", "id.desc,x.nullsfirst"),
            ("comments.limit", "4"),
            ("comments.offset", "5"),
            ("order", "comments(id).asc.nullslast,data->>k.desc"),
            ("limit", "6"),
            ("offset", "7"),
            ("columns", '"a","b c"'),
            ("on_conflict", "a, b"),
        ],
        first_slot=2,
    )
    assert asked.values == ("1", "x,y", ["1", "2"], "1", "2", "{1,2}", "3", 4, 5, 6, 7)
    either, neither = asked.where.items
    assert (either.kind, [type(item) for item in either.items]) == ("or", [Cond, Logic, Logic])
    assert (either.items[2].negated, neither.kind, neither.negated) == (True, "and", True)
    assert [item.slot for item in (either.items[0], neither.items[0])] == [2, 5]
    inside = asked.items[1].query
    assert (inside.where.items[0].kind, inside.where.items[0].negated) == ("or", True)
    assert inside.order == (Order(Path("id"), True), Order(Path("x"), False, "first"))
    assert (inside.limit, inside.offset, asked.limit, asked.offset) == (9, 10, 11, 12)
    assert asked.order == (
        Order(Path("id"), False, "last", "comments"), Order(Path("data", ("k",), True), True)
    )  # fmt: skip
    assert (asked.columns, asked.on_conflict) == (("a", "b c"), ("a", "b"))
    assert asked.select("t", count="exact").table == "t"


BROKEN_SELECTS = [
    ",", "id,", "id,,x", "(", "id)", "a:", ":a", "a:b:c", "*x", "x*", "...", "...x", "x!(", "x!h", "x!a!b(id)",
    "x!inner", "x(id", "x(,)", "x::", "x.y()", "x.sum", "x.sum(1)", "count(1)", "x->", "x->>", "x->(a)", '"x',
    "x->>a->b", "'", "x!inner!left(id)", "a b c::,", "x;y", "x=1", "..x(id)",
]  # fmt: skip
BROKEN_FILTERS = [
    "", "5", "eq", "eq5", ".5", "foo.5", "is.5", "is.", "in.1", "in.(1", "in.(1))", 'in.("a"b)', 'in.("a)', "in.1)",
    "not.5", "not.not.eq.5", "eq(any).5", "eq(some).{1}", "neq(any).{1}", "contains.x", "eq (any).{1}", "fts().x",
    "like(any).{", "like(any).{a},", "EQ.5",
]  # fmt: skip
BROKEN_PAIRS = [
    ("or", "a.eq.1"), ("or", "()"), ("or", "(a.eq.1"), ("or", "(a.eq.1))"), ("or", "(a)"), ("or", "(a.eq.1,)"),
    ("or", '(a.eq."x"y)'), ("or", '(a.eq."x)'), ("or", "(a.eq.{x)"), ("or", "(xor(a.eq.1))"), ("and", ""),
    ("limit", "x"), ("limit", ""), ("limit", "1.5"), ("limit", "٣"), ("limit", "1" * 30), ("offset", "+1"),
    ("order", ""), ("order", "a,"), ("order", "a.up"), ("order", "a.desc.desc"), ("order", "a.nullsfirst.desc"),
    ("order", "r(a"), ("order", "r()"), ("", "eq.1"), (".a", "eq.1"), ("a..b", "eq.1"), ("a.", "eq.1"),
    (".limit", "x"), ("columns", "a,,b"), ("on_conflict", "a b,"), ("a->", "eq.1"),
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN_SELECTS)
def test_a_broken_select_list_is_refused(text):
    with pytest.raises(DbError) as caught:
        parse_select(text)
    assert (caught.value.code, caught.value.status) == ("PGRST100", 400)


@pytest.mark.parametrize("text", BROKEN_FILTERS)
def test_a_broken_filter_is_refused(text):
    with pytest.raises(DbError) as caught:
        parse_query([("c", text)])
    assert caught.value.code in ("PGRST100", "22P02")


@pytest.mark.parametrize("pair", BROKEN_PAIRS, ids=str)
def test_a_broken_parameter_is_refused(pair):
    with pytest.raises(DbError) as caught:
        parse_query([pair])
    assert caught.value.code == "PGRST100"


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([("limit", "-1")], "PGRST103"),
        ([("limit", "1"), ("limit", "2")], "PGRST100"),
        ([("select", "a"), ("select", "b")], "PGRST100"),
        ([("comments.id", "eq.1")], "PGRST108"),
        ([("comments.limit", "1")], "PGRST108"),
        ([("or", "(" + "and(" * 30 + "a.eq.1" + ")" * 31)], "54001"),
        ([("select", "a(" * 30 + "b" + ")" * 30)], "54001"),
        ([(".".join("a" * 40), "eq.1")], "54001"),
    ],
)
def test_what_is_too_much_or_in_vain_is_refused(pairs, code):
    with pytest.raises(DbError) as caught:
        parse_query(pairs)
    assert (caught.value.code, caught.value.status) == (code, 400)


ARRAYS = {
    "{}": [], " { } ": [], "{a}": ["a"], "{a, b}": ["a", "b"], '{"a,b"}': ["a,b"], r'{"\"",\,}': ['"', ","],
    "{NULL,null}": [None, None], '{"NULL"}': ["NULL"], '{""}': [""],
}  # fmt: skip


@pytest.mark.parametrize("text", ARRAYS)
def test_an_array_literal_means_its_members(text):
    assert parse_array(text) == ARRAYS[text]


@pytest.mark.parametrize(
    "text", ["", "a", "{", "}", "{a", "{,}", "{a,}", '{"a}', '{"a"b}', "{{a}}", "{a}}", "[a]", "{}{}"]
)
def test_a_broken_array_literal_is_refused(text):
    with pytest.raises(DbError) as caught:
        parse_array(text)
    assert caught.value.code == "22P02"


signs = st.text(st.sampled_from('aborn1(),.:!*-> "\\{}_%éis'), max_size=40)
grammar = st.lists(
    st.sampled_from(
        ["a", "b c", "or", "and", "not.", "eq.", "in.(", "(any).", "(", ")", ",", ".", "->", "->>", "::", ":", "!inner",
         "...", "{", "}", '"', "\\", "*", "count()", ".sum()", "is.null", "desc", "nullsfirst", "1", "-1"]
    ), max_size=14,
).map("".join)  # fmt: skip
anything = st.one_of(st.text(max_size=60), signs, grammar)
PARSERS = [
    parse_select, parse_order, parse_path, parse_names, parse_array, lambda text: parse_logic(text, "or", 0),
    lambda text: parse_query([("c", text)]), lambda text: parse_query([(text, "eq.1")]),
    lambda text: parse_query([(text, text)]), lambda text: parse_query([("select", text), ("or", text)]),
]  # fmt: skip


@settings(deadline=None, max_examples=500)
@given(anything)
@example("((((((((")
@example('"' * 30)
@example("\\" * 30)
@example("a->" * 30)
@example("a:" * 30)
def test_any_text_is_parsed_or_refused_with_a_code(text):
    for parse in PARSERS:
        try:
            parse(text)
        except DbError as exc:
            assert exc.code in ("PGRST100", "PGRST103", "PGRST108", "22P02", "54001")
            assert exc.status == 400


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(deadline=None, max_examples=200)
@given(names, names)
def test_a_quoted_name_is_read_back_whole(first, second):
    def quote(name):
        return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'

    assert parse_select(f"{quote(first)}:{quote(second)}") == (col(second, alias=first),)
    assert parse_path(f"{quote(first)}->>{quote(second)}") == Path(first, (second,), True)
    assert parse_names(f"{quote(first)},{quote(second)}") == (first, second)
    assert parse_logic(f"{quote(first)}.eq.{quote(second)}", "or", 0)[1] == (second,)
    assert parse_logic(f"a.in.({quote(first)},{quote(second)})", "or", 0)[1] == ([first, second],)
    assert parse_array("{" + f"{quote(first)},{quote(second)}" + "}") == [first, second]
