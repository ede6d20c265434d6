"""JSON: strict on the way in, every failure named, and a path to whatever cannot go out."""

from __future__ import annotations

import enum
import json
import subprocess
import sys
import typing
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.db import db
from turnout.errors import BadRequest, ValidationFailed
from turnout.http import failures, jsontext
from turnout.http.jsontext import JSONObject, decoder, dumps, flat_converter, load_as, loads, text_converter

# --- reading


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "the body is empty"),
        (b" \r\n\t", "the body is empty"),
        (b"{", "it ends too early at line 1, column 2"),
        (b'{"a": 1,}', "trailing comma in object at line 1, column 9"),
        (b'{"a": 1,\n  "b": ?}', "line 2, column 8"),
        ('{"é": ?}'.encode(), "line 1, column 7"),
        (b"NaN", "invalid character at line 1, column 1"),
        (b"[1, Infinity]", "invalid character at line 1, column 5"),
        (b"[-Infinity]", "Invalid JSON"),
        (b'"\\ud800"', "Invalid JSON"),
        (b'"\\udc00\\ud800"', "Invalid JSON"),
        (b'["a",\n"\xff"]', "not UTF-8 at line 2, column 2"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ("{}".encode("utf-16"), "byte order mark"),
        (b"1e999", "a number is out of range"),
        (b'{"a": [-1e999]}', "a number is out of range"),
        (b"9" * 5000, "a number is out of range"),
        (b"[1] [2]", "trailing characters at line 1"),
        (b"'a'", "Invalid JSON"),
        (b"{a: 1}", "Invalid JSON"),
        (b"[1] // comment", "Invalid JSON"),
        (b"01", "Invalid JSON"),
        (b"\x00", "Invalid JSON"),
    ],
)
def test_what_is_not_json_is_a_400_that_says_where(data: bytes, detail: str) -> None:
    for decode in (loads, decoder(Any), decoder(dict[str, int]), decoder(Post), decoder(PydanticPost)):
        with pytest.raises(BadRequest) as caught:
            decode(data)
        assert detail in str(caught.value.detail)
        assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_of_equal_keys_the_last_wins() -> None:
    assert loads(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("data", [b'{"a": {}}', b'[{"a": {}}, 1, {}]'])
def test_an_object_remembers_that_a_client_sent_it(data: bytes) -> None:
    for value in (loads(data), load_as(data, Any), load_as(data, dict[str, Any] | list[Any])):
        for item in value if isinstance(value, list) else [value]:
            assert isinstance(item, (JSONObject, int))
        assert value == json.loads(data)
        assert json.loads(dumps(value)) == value


def test_a_validated_object_is_a_plain_one() -> None:
    assert type(load_as(b'[{"id": 1}]', list[Row])[0]) is dict
    assert type(load_as(b'{"id": 1}', dict[str, int])) is JSONObject


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=30,
)


@given(JSON)
@settings(deadline=None)
def test_what_is_written_reads_back_the_same(value: Any) -> None:
    assert loads(dumps(value)) == value
    assert json.loads(dumps(value)) == value


@given(st.binary(max_size=60) | st.text('[]{}",:\\u0d81e+-. nultrfas\n', max_size=60).map(str.encode))
@settings(deadline=None)
def test_any_bytes_are_read_as_the_standard_library_reads_them_or_are_a_400(data: bytes) -> None:
    try:
        value = loads(data)
    except BadRequest:
        return
    assert value == json.loads(data)


# --- depth


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def nested(levels: int, inside: str = "") -> bytes:
    return ("[" * levels + inside + "]" * levels).encode()


SHAPES: dict[str, Callable[[int], bytes]] = {
    "arrays": nested,
    "objects": lambda levels: b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1),
    "mixed": lambda levels: (
        b'[{"a":' * (levels // 2) + nested(levels % 2, "1") + b"}]" * (levels // 2)
        if levels % 2
        else b'[{"a":' * (levels // 2) + b"1" + b"}]" * (levels // 2)
    ),
    "beside flat ones": lambda levels: b"[" + b"[]," * 500 + nested(levels - 1) + b"]",
    "closing brackets in strings": lambda levels: b'["]]]]",' * levels + b'"]"' + b"]" * levels,
    "opening brackets in strings": lambda levels: b'["[[{{",' * levels + b"1" + b"]" * levels,
    "escaped quotes": lambda levels: b'["\\"]\\\\",' * levels + b'"\\\\"' + b"]" * levels,
    "keys with brackets": lambda levels: b'{"}]\\"":' * levels + b"1" + b"}" * levels,
    "many hills": lambda levels: b"[" + nested(levels - 2) + b"," + b"[[],[[]]]," * 200 + nested(levels - 1) + b"]",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("levels", "refused"), [(63, False), (64, False), (65, True), (66, True), (300, True)])
def test_64_levels_are_read_and_65_are_not(shape: str, levels: int, refused: bool) -> None:
    data = SHAPES[shape](levels)
    assert depth(json.loads(data)) == levels
    for decode in (loads, decoder(Tree), decoder(Anything), decoder(PydanticAnything)):
        if refused:
            with pytest.raises(BadRequest, match="deeper than 64"):
                decode(data)
        elif decode is loads:
            assert depth(decode(data)) == levels


def test_many_brackets_in_strings_or_side_by_side_are_not_depth() -> None:
    assert loads(b'["' + b"[" * 100_000 + b'"]') == ["[" * 100_000]
    assert len(loads(b"[" + b"[[]]," * 10_000 + b"[]]")) == 10_001
    assert loads(b'["\\"' + b"{" * 100 + b'\\\\", "' + b"[" * 100 + b'"]') == ['"' + "{" * 100 + "\\", "[" * 100]


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b"[]" * 50_000, b"]" * 100_000, b'["' * 50_000])
def test_broken_nesting_is_a_400_too(data: bytes) -> None:
    for decode in (loads, decoder(Post), decoder(Closed), decoder(PydanticPost)):
        with pytest.raises(BadRequest):
            decode(data)


@given(JSON, st.sampled_from([60, 62, 64, 66]))
@settings(deadline=None)
def test_depth_is_judged_as_counting_judges_it(value: Any, levels: int) -> None:
    data = nested(levels, json.dumps([value, ["["] * 70]))
    try:
        loads(data)
    except BadRequest:
        assert depth(json.loads(data)) > 64
    else:
        assert depth(json.loads(data)) <= 64


ATTACKS: dict[str, bytes] = {
    "stairs": b"[" * 500_000,
    "flat": b"[]" * 250_000,
    "hills of 64": (b"[" * 64 + b"]" * 64) * 4_000,
    "hills of 9": (b"[" * 9 + b"]" * 9) * 28_000,
    "fern": b"[[]" * 160_000,
    "fading": b"".join(b"[" * n + b"]" * n for n in range(700)),
}


@pytest.mark.parametrize("shape", ATTACKS)
def test_cancelling_takes_few_rounds_and_each_pays(shape: str) -> None:
    brackets = ATTACKS[shape]
    sizes = [len(brackets)]
    rest, rounds = jsontext._cancel(brackets)
    for _ in range(rounds):
        brackets = brackets.replace(b"[]", b"")
        sizes.append(len(brackets))
    assert brackets == rest
    assert rounds <= 8
    # Every round but the last took a tenth off, so all of them together read less than ten times the text.
    assert all(after <= 0.9 * before for before, after in pairwise(sizes[:-1]))
    assert sum(sizes[:-1]) <= 8 * sizes[0]


def test_the_exact_scan_stops_at_the_65th_level() -> None:
    assert jsontext._is_deep(b"[" * 65 + b"x" * 1000)  # an x would be a KeyError


# --- models


class Author(msgspec.Struct, rename="camel"):
    full_name: Annotated[str, msgspec.Meta(max_length=5)]
    age: int = 0


class Post(msgspec.Struct):
    title: str
    tags: list[str] = []
    authors: list[Author] = []
    by_lang: dict[str, Author] = {}
    day: date | None = None
    rating: float = 0.0


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    a: int


@dataclass
class Line:
    sku: str
    count: int = 1
    notes: list[str] = field(default_factory=list)


@dataclass
class Order:
    lines: list[Line]
    place: tuple[int, str] = (0, "")
    sizes: set[int] = field(default_factory=set)


class Row(TypedDict):
    id: int
    name: NotRequired[str]


class Cat(msgspec.Struct, tag="cat", tag_field="kind"):
    lives: int


class Dog(msgspec.Struct, tag="dog", tag_field="kind"):
    tricks: list[str]


class Zoo(msgspec.Struct):
    pets: list[Cat | Dog]
    raw: msgspec.Raw = msgspec.Raw(b"null")
    state: Literal["open", "shut"] = "open"


class Tree(msgspec.Struct):
    kids: list[Tree] = []


class Anything(msgspec.Struct):
    x: Any = None


class Closed(msgspec.Struct):
    x: list[list[int]] = []


T = typing.TypeVar("T")


class Page(msgspec.Struct, typing.Generic[T]):
    items: list[T]
    next: int | None = None


class Ruled(msgspec.Struct):
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


class PydanticAuthor(pydantic.BaseModel):
    name: str = pydantic.Field(alias="fullName")


class PydanticAnything(pydantic.BaseModel):
    x: Any = None


class PydanticPost(pydantic.BaseModel):
    title: str
    authors: list[PydanticAuthor] = []
    size: int | dict[str, int] = 0


def errors_of(decode: Callable[[], Any]) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as caught:
        decode()
    assert (caught.value.status, caught.value.code) == (422, "validation_failed")
    errors = caught.value.errors or []
    assert all(set(error) == {"pointer", "message", "type"} and error["message"] for error in errors)
    assert len({error["pointer"] for error in errors}) == len(errors)
    return {error["pointer"]: error["type"] for error in errors}


@pytest.mark.parametrize(
    ("model", "data", "expected"),
    [
        (Post, {}, {"/title": "missing"}),
        (Post, [], {"": "type"}),
        (
            Post,
            {"title": 1, "tags": ["a", 2, None], "rating": "x"},
            dict.fromkeys(["/title", "/tags/1", "/tags/2", "/rating"], "type"),
        ),
        (
            Post,
            {
                "authors": [{"fullName": "Ada"}, {"full_name": "Bob"}, {"fullName": "too long", "age": 1.5}, 7],
                "day": "soon",
            },
            {
                "/title": "missing",
                "/authors/1/fullName": "missing",
                "/authors/2/fullName": "constraint",
                "/authors/2/age": "type",
                "/authors/3": "type",
                "/day": "value",
            },
        ),
        (
            Post,
            {"title": "", "by_lang": {"a/b~c": {}, "de": {"fullName": "Uwe"}}},
            {"/by_lang/a~1b~0c/fullName": "missing"},
        ),
        (Strict, {"b": 1, "c/d": 2}, {"/a": "missing", "/b": "extra_forbidden", "/c~1d": "extra_forbidden"}),
        (
            Order,
            {"lines": [{"count": "x"}, {"sku": 1, "notes": [1]}], "place": ["x", 1], "sizes": [1, "y"]},
            {
                "/lines/0/sku": "missing",
                "/lines/0/count": "type",
                "/lines/1/sku": "type",
                "/lines/1/notes/0": "type",
                "/place/0": "type",
                "/place/1": "type",
                "/sizes/1": "type",
            },
        ),
        (Order, {"lines": [], "place": [1]}, {"/place": "constraint"}),
        (Row, {"name": 1}, {"/id": "missing", "/name": "type"}),
        (list[Row], [{"id": 1}, {"id": "x"}, {}], {"/1/id": "type", "/2/id": "missing"}),
        (
            Zoo,
            {
                "pets": [{"kind": "cat"}, {"kind": "dog", "tricks": [1, 2]}, {"kind": "cow"}, {}],
                "raw": {"a": 1},
                "state": "x",
            },
            {
                "/pets/0/lives": "missing",
                "/pets/1/tricks/0": "type",
                "/pets/1/tricks/1": "type",
                "/pets/2/kind": "value",
                "/pets/3": "value",
                "/state": "enum",
            },
        ),
        (
            Page[Author],
            {"items": [{"fullName": 1}, {}], "next": "x"},
            {"/items/0/fullName": "type", "/items/1/fullName": "missing", "/next": "type"},
        ),
        (Ruled, {"low": 2, "high": 1}, {"": "value"}),
        (dict[int, int], {"1": 1, "x": 2, "3": "y"}, {"/x": "key", "/3": "type"}),
        (Annotated[list[int], msgspec.Meta(min_length=2)], [1], {"": "constraint"}),
        (Annotated[list[int], msgspec.Meta(min_length=2)], ["x"], {"/0": "type"}),
        (int, "x", {"": "type"}),
        (uuid.UUID, "x", {"": "value"}),
        (
            PydanticPost,
            {"authors": [{"fullName": "Ada"}, {"fullName": 1}, {}], "size": {"a/b": "x"}},
            {"/title": "missing", "/authors/1/fullName": "string_type", "/authors/2/fullName": "missing"},
        ),
        (list[PydanticAuthor], [{}, {"fullName": 1}], {"/0/fullName": "missing", "/1/fullName": "string_type"}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_every_failure_is_listed_with_its_pointer(model: Any, data: Any, expected: dict[str, str]) -> None:
    with pytest.raises(ValidationFailed) as caught:
        load_as(json.dumps(data).encode(), model)
    found = {error["pointer"]: error["type"] for error in caught.value.errors or []}
    assert {pointer: found.get(pointer) for pointer in expected} == expected
    assert caught.value.status == 422
    if not isinstance(data, dict) or "size" not in data:  # pydantic has a failure for each member of a union
        assert len(found) == len(caught.value.errors or []) == len(expected)


def test_a_pointer_into_a_pydantic_union_leaves_out_what_is_not_data() -> None:
    with pytest.raises(ValidationFailed) as caught:
        load_as(b'{"title": "", "size": {"a/b": "x"}}', PydanticPost)
    assert {error["pointer"] for error in caught.value.errors or []} == {"/size", "/size/a~1b"}


@pytest.mark.parametrize(
    ("model", "data", "expected"),
    [
        (Post, {"title": "x", "day": "2026-01-02"}, Post("x", day=date(2026, 1, 2))),
        (Order, {"lines": [{"sku": "a"}]}, Order([Line("a")])),
        (Row, {"id": 1, "other": 2}, {"id": 1}),
        (Page[Author], {"items": [{"fullName": "Ada"}]}, Page([Author("Ada")])),
        (
            PydanticPost,
            {"title": "x", "authors": [{"fullName": "Ada"}]},
            PydanticPost(title="x", authors=[PydanticAuthor(fullName="Ada")]),
        ),
        (list[int], [1, 2], [1, 2]),
        (Decimal, 1.10, Decimal("1.1")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_body_becomes_its_model(model: Any, data: Any, expected: Any) -> None:
    assert load_as(json.dumps(data).encode(), model) == expected


def test_a_broken_text_is_a_400_even_where_a_member_is_wrong_too() -> None:
    with pytest.raises(BadRequest):
        load_as(b'{"title": 1, "tags": [}', Post)
    with pytest.raises(BadRequest, match="out of range"):
        load_as(b'{"title": "", "rating": 1e999}', Post)


def test_a_closed_model_may_be_wide_and_skips_deep_members_it_does_not_know() -> None:
    assert load_as(b'{"x": [' + b"[1]," * 1000 + b"[]]}", Closed).x[:2] == [[1], [1]]
    assert load_as(b'{"y": ' + nested(100) + b"}", Closed) == Closed()


def test_the_decoder_of_a_model_is_made_once() -> None:
    assert decoder(Post) is decoder(Post)
    assert text_converter(Author) is text_converter(Author)


def test_a_model_that_msgspec_does_not_know_is_refused_when_it_is_prepared() -> None:
    with pytest.raises(TypeError):
        decoder(list[int] | set[int])
    with pytest.raises(TypeError):
        text_converter(int)


@pytest.mark.parametrize("size", [50, 1_000, 20_000])
def test_what_one_bad_body_can_cost_is_bounded(size: int) -> None:
    data = dumps([{"fullName": 1}] * size)
    with pytest.raises(ValidationFailed) as caught:
        load_as(data, list[Author])
    assert len(caught.value.errors or []) == min(size, failures.MAX_FAILURES)


def test_checking_again_stops_after_8_mb_and_still_says_what_was_wrong() -> None:
    body: dict[str, Any] = {"pad": "x" * 500_000, "n": "wrong"}
    for _ in range(40):
        body = {"next": body}
    walk = failures._Walk(strict=True)
    walk.visit(body, Chain, "")
    assert failures.MAX_CHECKED_BYTES - walk.left_bytes < failures.MAX_CHECKED_BYTES + 600_000
    assert [error["pointer"] for error in walk.found] == ["/next" * 40 + "/n"]


class Chain(msgspec.Struct):
    next: Chain | None = None
    pad: str = ""
    n: int = 0


def test_pydantic_is_not_loaded_for_other_models() -> None:
    code = (
        "import sys, msgspec; from turnout.http.jsontext import dumps, load_as, text_converter\n"
        "class A(msgspec.Struct): a: int\n"
        "assert dumps(load_as(b'{\"a\":1}', A)) == b'{\"a\":1}'; text_converter(A)([('a', '1')])\n"
        "assert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- queries and forms


class Color(enum.Enum):
    RED = "red"


class Search(msgspec.Struct, rename="kebab"):
    q: str
    page: Annotated[int, msgspec.Meta(ge=1)] = 1
    only_new: bool = False
    ids: list[int] = []
    since: date | None = None
    color: Color = Color.RED
    ratio: float = 1.0


@dataclass
class SearchData:
    q: str
    ids: list[int] = field(default_factory=list)


class SearchDict(TypedDict, total=False):
    q: str
    ids: list[int]


class SearchPydantic(pydantic.BaseModel):
    q: str
    ids: list[int] = pydantic.Field([], alias="id")


def convert_text(values: dict[str, list[str]], model: Any) -> Any:
    return text_converter(model)([(name, text) for name, texts in values.items() for text in texts])


def test_texts_become_what_the_model_asks_for() -> None:
    values = {
        "q": ["first", "second"],
        "page": ["2"],
        "only-new": ["true"],
        "ids": ["1", "2"],
        "since": ["2026-01-02"],
        "color": ["red"],
        "ratio": ["0.5"],
        "other": ["x"],
        "none": [],
    }
    assert convert_text(values, Search) == Search("first", 2, True, [1, 2], date(2026, 1, 2), Color.RED, 0.5)


@pytest.mark.parametrize(
    ("model", "values", "expected"),
    [
        (SearchData, {"q": ["a"], "ids": ["1"]}, SearchData("a", [1])),
        (SearchDict, {"q": ["a"], "ids": ["1"]}, {"q": "a", "ids": [1]}),
        (SearchPydantic, {"q": ["a", "b"], "id": ["1", "2"]}, SearchPydantic(q="a", id=[1, 2])),
        (dict[str, int], {"a": ["1", "2"]}, {"a": 1}),
        (dict[str, list[int]], {"a": ["1", "2"]}, {"a": [1, 2]}),
        (dict, {"a": ["1", "2"]}, {"a": "1"}),
        (Search, {"q": ["nan"]}, Search("nan")),
    ],
)
def test_every_kind_of_model_reads_a_query(model: Any, values: dict[str, list[str]], expected: Any) -> None:
    assert convert_text(values, model) == expected


@pytest.mark.parametrize(
    ("model", "values", "expected"),
    [
        (
            Search,
            {"page": ["0"], "only-new": ["maybe"], "ids": ["1", "x"], "since": [""], "color": ["blue"]},
            {
                "/q": "missing",
                "/page": "constraint",
                "/only-new": "type",
                "/ids/1": "type",
                "/since": "value",
                "/color": "enum",
            },
        ),
        (Search, {"q": ["a"], "ratio": ["nan"]}, {"/ratio": "type"}),
        (Search, {"q": ["a"], "ratio": ["-Infinity"]}, {"/ratio": "type"}),
        (Search, {"q": ["a"], "ratio": ["1e999"]}, {"/ratio": "value"}),
        (Search, {"q": ["a"], "page": ["9" * 5000]}, {"/page": "value"}),
        (Search, {"q": ["a"], "page": [" 1"]}, {"/page": "type"}),
        (dict[str, float], {"a/b": ["inf"], "c": ["1"]}, {"/a~1b": "type"}),
        (Strict, {"a": ["1"], "b": ["2"]}, {"/b": "extra_forbidden"}),
        (SearchPydantic, {"id": ["x", "1", "y"]}, {"/q": "missing", "/id/0": "int_parsing", "/id/2": "int_parsing"}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_every_failure_of_a_query_is_listed(model: Any, values: dict[str, list[str]], expected: dict[str, str]) -> None:
    assert errors_of(lambda: convert_text(values, model)) == expected


@given(
    st.dictionaries(st.sampled_from(["q", "page", "only-new", "ids", "since", "color", "ratio"]), st.lists(st.text()))
)
@settings(deadline=None)
def test_any_query_makes_a_model_or_a_422(values: dict[str, list[str]]) -> None:
    try:
        assert isinstance(convert_text(values, Search), Search)
    except ValidationFailed as exc:
        assert exc.errors


# --- writing


def test_what_the_contract_lists_is_written() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    value = {
        "datetime": moment,
        "uuid": uuid.UUID(int=7),
        "decimal": Decimal("1.10"),
        "enum": Color.RED,
        "dataclass": Line("a"),
        "struct": Author("Ada"),
        "pydantic": PydanticPost(title="x"),
        "float": [float("nan"), float("inf")],
    }
    assert dumps(value) == (
        b'{"datetime":"2026-01-02T03:04:05Z","uuid":"00000000-0000-0000-0000-000000000007","decimal":1.10,'
        b'"enum":"red","dataclass":{"sku":"a","count":1,"notes":[]},"struct":{"fullName":"Ada","age":0},'
        b'"pydantic":{"title":"x","authors":[],"size":0},"float":[null,null]}'
    )


def test_words_that_look_like_nan_are_only_text() -> None:
    assert dumps({"NaN": "Infinity"}) == b'{"NaN":"Infinity"}'
    assert dumps([Decimal("1E+400"), "NaN"]) == b'[1E+400,"NaN"]'


@dataclass
class Holder:
    inner: Any


class StructHolder(msgspec.Struct):
    inner: Any


class Broken(pydantic.BaseModel):
    @pydantic.model_serializer
    def write(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"items": [object()]}, "value[\"items\"][0]: <class 'object'> cannot be written as JSON"),
        (object(), "value: <class 'object'> cannot"),
        (
            [db.from_("posts").select("*")],
            "value[0]: <class 'turnout.db.build.Query'> cannot be written as JSON: it was not awaited",
        ),
        ({"a": [1, {"b": (2, 3, complex(1))}]}, 'value["a"][1]["b"][2]: <class \'complex\'>'),
        ({"a": Holder(StructHolder(range(3)))}, "value[\"a\"].inner.inner: <class 'range'>"),
        ({1: {2: iter([])}}, "value[1][2]: <class 'list_iterator'>"),
        ({"ok": 1, "a": {(1, 2): 3}}, 'value["a"]: the key (1, 2) cannot be written as JSON'),
        ({None: 1}, "value: the key None"),
        (["ok", "\ud800"], "value[1]: <class 'str'> cannot"),
        (
            [Decimal(1), Decimal("NaN")],
            "value[1]: <class 'decimal.Decimal'> cannot be written as JSON: it is not a number",
        ),
        ({"x": Decimal("-Infinity")}, "value[\"x\"]: <class 'decimal.Decimal'>"),
        ([10**5000], "value[0]: <class 'int'>"),
        ([Broken()], "value[0]: "),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_written_is_named_by_its_path(value: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        dumps(value)
    assert str(caught.value).startswith(message)


def test_a_value_that_holds_itself_is_a_type_error() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(TypeError, match="holds itself"):
        dumps({"a": value})


class _Texts(msgspec.Struct):
    a: str
    b: str | None = None
    c: str | int = 0
    d: str | bool | float | None = None


@given(
    st.dictionaries(st.sampled_from("abcdx"), st.text(max_size=5) | st.sampled_from(["null", "true", "1", "1.5", ""]))
)
@settings(deadline=None)
def test_members_that_may_be_text_are_read_as_where_texts_may_be_numbers(flat: dict[str, str]) -> None:
    convert = flat_converter(_Texts)
    assert convert is not None
    try:
        expected = msgspec.convert(flat, _Texts, strict=False)
    except msgspec.ValidationError:
        with pytest.raises(ValidationFailed):
            convert(flat)
    else:
        assert convert(flat) == text_converter(_Texts)(list(flat.items())) == expected
