"""A handler's signature to its call (http.md 3.1-3.3)."""

from __future__ import annotations

import asyncio
import enum
import functools
import inspect
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime
from textwrap import dedent
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, TypedDict
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from turnout.errors import BadRequest, ConfigError, NotFound, UnsupportedMediaType, ValidationFailed
from turnout.http.request import Request
from turnout.http.response import Response
from turnout.http.url import URLSearchParams
from turnout.routing.bind import Endpoint, bind, plan
from turnout.routing.module import load_module, unload
from turnout.routing.pattern import Pattern

if TYPE_CHECKING:
    from turnout.only_for_type_checkers import Ghost

JSON = {"content-type": "application/json"}


def endpoint(handler: Any, pattern: str = "/posts") -> Endpoint:
    return bind(handler, Pattern.parse(pattern), "app/posts/route.py", run_sync=asyncio.to_thread)


async def call(handler: Any, pattern: str = "/posts", target: str = "/posts", **given: Any) -> Response:
    """Bind *handler* and send it one request; ``params`` are those that the match would give."""
    params = given.pop("params", {})
    request = Request(given.pop("method", "POST"), target, **given)
    request.params = params
    return await endpoint(handler, pattern)(request)


async def result(handler: Any, *args: Any, **given: Any) -> bytes:
    return (await call(handler, *args, **given)).body


def refusal(handler: Any, pattern: str = "/posts") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        endpoint(handler, pattern)
    found = caught.value
    assert found.cure and found.file and found.file.name == "test_bind.py"
    assert found.line == inspect.unwrap(handler).__code__.co_firstlineno
    return found


class NewPost(Struct):
    title: str
    tags: list[str] = []


@dataclass
class Paging:
    page: int = 1
    tag: list[str] | None = None


class Options(TypedDict, total=False):
    limit: int


# -- 3.1: filled by name


async def test_a_handler_without_parameters_is_called():
    async def GET():
        return "hello"

    assert await result(GET) == b'"hello"'


async def test_request_is_the_request():
    async def GET(request):
        return request.method

    assert await result(GET) == b'"POST"'


async def test_params_is_the_mapping_of_path_parameters():
    async def GET(request, params):
        return params["id"]

    assert await result(GET, "/posts/[id]", params={"id": "7"}) == b'"7"'


async def test_a_path_parameter_comes_under_its_own_name():
    async def GET(request, id, rest):
        return [id, rest]

    assert await result(GET, "/[id]/[...rest]", params={"id": "7", "rest": ["a", "b"]}) == b'["7",["a","b"]]'


async def test_body_is_read_into_its_model():
    async def POST(request, body: NewPost):
        return body

    assert await result(POST, body=b'{"title":"A"}', headers=JSON) == b'{"title":"A","tags":[]}'


async def test_query_is_read_into_its_model():
    async def GET(request, query: Paging):
        return [query.page, query.tag]

    assert await result(GET, target="/posts?page=2&tag=a&tag=b") == b'[2,["a","b"]]'
    assert await result(GET) == b"[1,null]"


async def test_a_query_may_be_a_typed_dict_or_a_pydantic_model():
    pydantic = pytest.importorskip("pydantic")
    Model = pydantic.create_model("Model", page=(int, 1))

    async def with_dict(query: Options):
        return query

    async def with_model(query):
        return query.page

    with_model.__annotations__["query"] = Model

    assert await result(with_dict, target="/?limit=5") == b'{"limit":5}'
    assert await result(with_model, target="/?page=3") == b"3"


@pytest.mark.parametrize("annotation", [inspect.Parameter.empty, Any, URLSearchParams])
async def test_a_query_without_a_model_is_the_search_params(annotation):
    async def GET(query):
        assert isinstance(query, URLSearchParams)
        return query.get_all("a")

    if annotation is not inspect.Parameter.empty:
        GET.__annotations__["query"] = annotation
    assert await result(GET, target="/?a=1&a=2") == b'["1","2"]'


async def _path_query(request, id: int, query: Paging):
    return [id, query.page]


async def _path_query_body(request, id: int, query: Paging, body: NewPost):
    return [id, query.page, body.title]


async def _body_first(body: NewPost, id: int, request):
    return [id, body.title]


async def _path_alone(id: int):
    return [id]


async def _by_keyword(request, *, id: int, query: Paging):
    return [id, query.page]


async def _after_default(request, _clock="none", id: int = 5, body: NewPost = None):
    return [_clock, id, body.title]


async def _four(request, params, id: int, query: Paging, /):
    return [params["id"], id, query.page]


async def _body_by_keyword(id: int, *, body: NewPost, request):
    return [id, body.title]


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (_path_query, b"[7,2]"),
        (_path_query_body, b'[7,2,"A"]'),
        (_body_first, b'[7,"A"]'),
        (_path_alone, b"[7]"),
        (_by_keyword, b"[7,2]"),
        (_after_default, b'["none",7,"A"]'),
        (_four, b'["7",7,2]'),
        (_body_by_keyword, b'[7,"A"]'),
    ],
)
async def test_parameters_may_come_in_any_order_and_kind(handler, expected):
    given = {"params": {"id": "7"}, "body": b'{"title":"A"}', "headers": JSON}

    assert await result(handler, "/posts/[id]", "/posts/7?page=2", **given) == expected


async def test_annotations_may_be_text_or_types():
    async def GET(request, id):
        return id + 1

    for annotation in (int, "int", "Annotated[int, Meta(ge=0)]"):
        GET.__annotations__ = {"id": annotation}
        assert await result(GET, "/[id]", params={"id": "7"}) == b"8"


async def test_types_of_the_users_own_file_are_found(tmp_path):
    file = tmp_path / "app/[id]/route.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        dedent("""
        from __future__ import annotations
        from typing import TYPE_CHECKING
        from msgspec import Struct

        if TYPE_CHECKING:
            from turnout import Request, Response

        class Post(Struct):
            title: str
            parent: Post | None = None

        async def PUT(request: Request, id: int, body: Post) -> Response:
            return [id, body.parent.title]
        """)
    )
    handler = load_module(file, tmp_path).PUT
    try:
        body = b'{"title":"A","parent":{"title":"B"}}'
        assert await result(handler, "/[id]", params={"id": "7"}, body=body, headers=JSON) == b'[7,"B"]'
        assert plan(handler, Pattern.parse("/[id]"), "").returns is Any
    finally:
        unload(tmp_path)


# -- 1.4: a parameter that nothing can fill


def test_a_parameter_that_nothing_can_fill_is_refused():
    async def GET(request, slug): ...

    found = refusal(GET, "/posts/[id]")

    assert "'slug'" in found.message and "/posts/[id]" in found.message
    assert "id, request, params, body, query" in str(found.cure)


def test_a_required_keyword_that_nothing_can_fill_is_refused():
    async def GET(request, *, session): ...

    assert "'session'" in refusal(GET).message


@pytest.mark.parametrize("stars", ["*", "**"])
def test_a_wrapper_that_hides_the_parameters_is_refused(stars):
    async def one(request, *args): ...
    async def two(request, **kwargs): ...

    found = refusal(one if stars == "*" else two)

    assert f"{stars}{'args' if stars == '*' else 'kwargs'}" in found.message
    assert "functools.wraps" in str(found.cure)


async def test_a_private_parameter_with_a_default_keeps_it():
    async def GET(request, _limit=10):
        return _limit

    assert await result(GET) == b"10"


def test_a_default_does_not_hide_a_parameter_that_nothing_fills():
    async def GET(request, page: int = 1): ...

    found = refusal(GET)

    assert "'page'" in found.message and "query: Model" in str(found.cure)


def test_a_parameter_by_position_alone_cannot_keep_its_default():
    async def GET(request, _limit=10, /): ...

    assert "'_limit'" in refusal(GET).message


@pytest.mark.parametrize("name", ["id", "query", "body"])
def test_an_annotation_that_cannot_be_resolved_is_refused(name):
    async def GET(): ...

    GET.__signature__ = inspect.Signature([inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation="Ghost")])

    found = refusal(GET, "/[id]")

    assert "Ghost" in found.message and "TYPE_CHECKING" in str(found.cure)


async def test_what_is_not_looked_at_need_not_be_resolved():
    async def GET(request: Ghost, params: Ghost, _other: Ghost = 1) -> Ghost:
        return "fine"

    assert await result(GET) == b'"fine"'


@pytest.mark.parametrize(
    ("pattern", "annotation"),
    [
        ("/[id]", dict),
        ("/[id]", list[str]),
        ("/[id]", bytes),
        ("/[id]", NewPost),
        ("/[id]", int | str),
        ("/[id]", Literal[1.5]),
        ("/[id]", enum.Enum("Pair", {"ONE": (1, 2)})),
        ("/[...id]", str),
        ("/[...id]", int),
        ("/[...id]", tuple[str, ...]),
        ("/[[...id]]", list[dict]),
    ],
)
def test_a_path_parameter_of_a_type_that_no_path_holds_is_refused(pattern, annotation):
    async def GET(id): ...

    GET.__annotations__["id"] = annotation

    found = refusal(GET, pattern)

    assert "'id'" in found.message and "UUID" in str(found.cure)


def test_a_constraint_that_does_not_fit_its_type_is_refused():
    async def GET(id: Annotated[int, Meta(pattern="x")]): ...

    assert "'id'" in refusal(GET, "/[id]").message


@pytest.mark.parametrize("name", ["query", "body"])
def test_a_model_that_cannot_be_read_is_refused(name):
    async def GET(): ...

    kinds = {"query": int, "body": asyncio.Event | dict}
    GET.__signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kinds[name])]
    )

    assert f"its {name}" in refusal(GET).message


def test_a_handler_without_a_signature_is_refused():
    with pytest.raises(ConfigError, match="signature") as caught:
        endpoint(dict)
    assert str(caught.value.file) == "app/posts/route.py"


# -- 3.1: path parameters convert, or 404


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


Id = NewType("Id", int)
ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


async def converted(annotation: Any, raw: Any, pattern: str = "/[id]") -> Any:
    seen = []

    async def GET(request, id):
        seen.append(id)

    GET.__annotations__["id"] = annotation
    await call(GET, pattern, params={"id": raw})
    return seen[0]


@pytest.mark.parametrize(
    ("annotation", "raw", "value"),
    [
        (str, "a/b", "a/b"),
        (Any, "x", "x"),
        (object, "x", "x"),
        (int, "42", 42),
        (int, "-7", -7),
        (int, "007", 7),
        (int, "9223372036854775807", 2**63 - 1),
        (int, "-9223372036854775808", -(2**63)),
        (int | None, "3", 3),
        (Id, "3", 3),
        (float, "1.5", 1.5),
        (float, "-2e3", -2000.0),
        (float, "7", 7.0),
        (bool, "true", True),
        (bool, "0", False),
        (UUID, ID, UUID(ID)),
        (UUID, ID.upper(), UUID(ID)),
        (date, "2026-11-22", date(2026, 11, 22)),
        (datetime, "2026-11-22T08:00:00Z", datetime(2026, 11, 22, 8, tzinfo=UTC)),
        (Color, "red", Color.RED),
        (Level, "2", Level.HIGH),
        (Literal["a", "b"], "b", "b"),
        (Literal[1, 2], "2", 2),
        (Literal[True], "true", True),
        (Annotated[int, Meta(ge=1)], "1", 1),
        (Annotated[str, Meta(max_length=3)], "abc", "abc"),
        (Annotated[int, "a note"], "1", 1),
        (Annotated[str, "a note"], "1", "1"),
    ],
)
async def test_a_path_parameter_converts(annotation, raw, value):
    found = await converted(annotation, raw)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("annotation", "raw", "value"),
    [
        (list[str], ["a", "b"], ["a", "b"]),
        (list, ["a"], ["a"]),
        (Any, ["a"], ["a"]),
        (list[int], ["1", "2"], [1, 2]),
        (list[Color], [], []),
        (list[Annotated[int, Meta(ge=1)]], ["1"], [1]),
        (Annotated[list[int], Meta(max_length=2)], ["1", "2"], [1, 2]),
    ],
)
@pytest.mark.parametrize("pattern", ["/[...id]", "/[[...id]]"])
async def test_the_segments_of_a_rest_convert(pattern, annotation, raw, value):
    assert await converted(annotation, raw, pattern) == value


@pytest.mark.parametrize(
    ("annotation", "raws"),
    [
        (int, ["x", "", "1_000", "+1", " 1", "1 ", "1.0", "0x1", "٣", "²", "-", "--1", "-+1", "1\n", "9" * 5000]),
        (int, ["9223372036854775808", "-9223372036854775809", "1e3"]),
        (float, ["x", "", "nan", "inf", "-inf", "1_0", ".5", "1.", "+1", " 1", "1e999", "٣.٣", "0x1p3", "1\n"]),
        (bool, ["yes", "True", "", "2", "on"]),
        (UUID, ["x", "", ID[:-1], f"{{{ID}}}", f"urn:uuid:{ID}"]),
        (date, ["2026-13-01", "2026-1-1", "today", "", "2026-11-22T00:00:00"]),
        (datetime, ["2026-11-22", "yesterday", "", "1700000000"]),
        (Color, ["RED", "green", ""]),
        (Level, ["3", "LOW", "01", ""]),
        (Literal["a", "b"], ["c", "", "A"]),
        (Literal[1], ["01", "+1"]),
        (Annotated[int, Meta(ge=1)], ["0", "x"]),
        (Annotated[str, Meta(max_length=3)], ["abcd"]),
        (Annotated[str, Meta(pattern="^[a-z]+$")], ["A"]),
    ],
)
async def test_a_path_parameter_that_does_not_convert_is_404(annotation, raws):
    for raw in raws:
        with pytest.raises(NotFound):
            await converted(annotation, raw)


@pytest.mark.parametrize(
    ("annotation", "raw"), [(list[int], ["1", "x"]), (Annotated[list[str], Meta(max_length=1)], ["a", "b"])]
)
async def test_a_rest_that_does_not_convert_is_404(annotation, raw):
    with pytest.raises(NotFound):
        await converted(annotation, raw, "/[...id]")


@given(st.text(max_size=25) | st.integers().map(str))
@settings(deadline=None)
def test_an_int_has_one_way_of_being_written(raw):
    async def GET(request, id: int):
        return id

    request = Request("GET", "/")
    request.params = {"id": raw}
    try:
        answer = asyncio.run(endpoint(GET, "/[id]")(request)).body
    except NotFound:
        return
    assert answer.decode() == raw or raw.lstrip("-").startswith("0")


# -- body and query that do not fit


async def _post(request, body: NewPost): ...


@pytest.mark.parametrize("handler_body", [NewPost, dict, list, Any, inspect.Parameter.empty, list[int]])
@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}, {"content-type": "text/html"}])
async def test_a_body_that_is_not_declared_as_json_is_415(handler_body, headers):
    async def POST(body): ...

    if handler_body is not inspect.Parameter.empty:
        POST.__annotations__["body"] = handler_body
    with pytest.raises(UnsupportedMediaType):
        await call(POST, body=b'{"title":"A"}', headers=headers)


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b'{"title":}'])
async def test_a_body_that_is_not_json_is_400(body):
    with pytest.raises(BadRequest):
        await call(_post, body=body, headers=JSON)


async def test_a_body_that_does_not_fit_is_422_with_every_failure():
    with pytest.raises(ValidationFailed) as caught:
        await call(_post, body=b'{"title":1,"tags":"x"}', headers=JSON)
    assert [error["pointer"] for error in caught.value.errors or ()] == ["/title", "/tags"]


async def test_a_body_without_a_model_is_plain_json_that_remembers_where_it_came_from():
    async def any_body(body):
        assert type(body) is not dict and isinstance(body, dict)
        return body

    async def dict_body(body: dict[str, Any]):
        return await any_body(body)

    for handler in (any_body, dict_body):
        assert await result(handler, body=b'{"a":[1]}', headers=JSON) == b'{"a":[1]}'
    with pytest.raises(ValidationFailed):
        await call(dict_body, body=b"[1]", headers=JSON)


async def test_a_body_may_be_bytes_or_text_of_any_type():
    async def raw(body: bytes):
        return {"size": len(body)}

    async def text(body: str):
        return body

    assert await result(raw, body=b"\xff\x00") == b'{"size":2}'
    assert await result(text, body="é".encode(), headers={"content-type": "text/plain"}) == '"é"'.encode()


async def test_a_body_may_be_a_form():
    from turnout.http.form import FormData

    async def POST(request, body):
        return body.get("title")

    POST.__annotations__["body"] = FormData
    headers = {"content-type": "application/x-www-form-urlencoded"}

    assert await result(POST, body=b"title=A+B", headers=headers) == b'"A B"'
    with pytest.raises(UnsupportedMediaType):
        await call(POST, body=b"{}", headers=JSON)


async def test_a_query_that_does_not_fit_is_422():
    async def GET(query: Paging): ...

    with pytest.raises(ValidationFailed) as caught:
        await call(GET, target="/?page=x")
    assert [error["pointer"] for error in caught.value.errors or ()] == ["/page"]


@pytest.mark.parametrize("handler", [_path_query_body, _body_first])
async def test_a_path_that_does_not_exist_is_refused_before_the_body_is_read(handler):
    async def read() -> bytes:
        raise AssertionError("the body was read")

    with pytest.raises(NotFound):
        await call(handler, "/posts/[id]", params={"id": "x"}, read=read, headers=JSON)


# -- 3.2: how it runs


async def test_an_async_handler_runs_on_the_loop_in_the_caller_s_task():
    async def GET(request):
        return asyncio.current_task() is task and threading.current_thread() is threading.main_thread()

    task = asyncio.current_task()

    assert await result(GET) == b"true"


async def test_a_sync_handler_runs_in_a_thread():
    def GET(request, id: int, *, query: Paging):
        return [id, query.page, threading.current_thread() is threading.main_thread()]

    assert await result(GET, "/[id]", params={"id": "7"}) == b"[7,1,false]"


async def test_a_sync_handler_is_run_by_the_function_that_the_app_gives():
    ran = []

    async def run_sync(function, *args):
        ran.append(args)
        return function(*args)

    def GET(request, id: int):
        return id

    request = Request("GET", "/")
    request.params = {"id": "7"}
    await bind(GET, Pattern.parse("/[id]"), "", run_sync=run_sync)(request)

    assert ran == [(request, 7)]


def no_thread(function, *args):
    raise AssertionError("a thread was asked for")


class Hook:
    async def __call__(self, request):
        return "hook"


def keep(function):
    @functools.wraps(function)
    async def wrapper(*args, **kwargs):
        return await function(*args, **kwargs)

    return wrapper


def keep_plainly(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


async def _handler(request, id: int):
    return id


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (Hook(), b'"hook"'),
        (Hook().__call__, b'"hook"'),
        (keep(_handler), b"7"),
        (functools.partial(_handler), b"7"),
        (functools.partial(_handler, id=8), b"8"),
    ],
)
async def test_async_callables_of_every_kind_run_on_the_loop(handler, expected):
    request = Request("GET", "/")
    request.params = {"id": "7"}
    # A partial's own keyword is a default, so the path still fills it where it has the slug.
    pattern = "/[id]" if expected == b"7" else "/"

    response = await bind(handler, Pattern.parse(pattern), "", run_sync=no_thread)(request)

    assert response.body == expected


async def test_a_plain_wrapper_around_an_async_handler_is_awaited():
    assert await result(keep_plainly(_handler), "/[id]", params={"id": "7"}) == b"7"


# -- 3.3: what is returned


@pytest.mark.parametrize(
    ("value", "status", "body"),
    [
        ({"a": 1}, 200, b'{"a":1}'),
        ([1], 200, b"[1]"),
        (NewPost("A"), 200, b'{"title":"A","tags":[]}'),
        (Paging(2), 200, b'{"page":2,"tag":null}'),
        ("text", 200, b'"text"'),
        (5, 200, b"5"),
        (b"\x00", 200, b"\x00"),
        (None, 204, b""),
    ],
)
async def test_data_becomes_a_response(value, status, body):
    async def GET(request):
        return value

    response = await call(GET)

    assert (response.status, response.body) == (status, body)


async def test_a_response_is_sent_as_it_is():
    made = Response.json({"a": 1}, 201)
    handlers = []

    async def none():
        return made

    async def one(request):
        return made

    async def two(request, id):
        return made

    async def three(request, id, query):
        return made

    async def with_body(request, body):
        return made

    async def with_id_and_body(request, id, body):
        return made

    async def other(id, request):
        return made

    handlers = [none, one, two, three, with_body, with_id_and_body, _path_returning(made), other]
    for handler in handlers:
        assert await call(handler, "/[id]", params={"id": "7"}, body=b"{}", headers=JSON) is made


def _path_returning(made):
    async def handler(request, id, query, body):
        return made

    return handler


async def test_a_subclass_of_response_is_sent_as_it_is():
    class Own(Response):
        pass

    made = Own("x")

    async def GET():
        return made

    assert await call(GET) is made


async def _async_items(request):
    yield "a"
    yield "b"


def _sync_items(request, id: int):
    yield "a"
    yield str(id)


@pytest.mark.parametrize(("handler", "expected"), [(_async_items, ["a", "b"]), (_sync_items, ["a", "7"])])
async def test_a_generator_handler_is_a_stream(handler, expected):
    request = Request("GET", "/")
    request.params = {"id": "7"}

    response = await bind(handler, Pattern.parse("/[id]"), "", run_sync=no_thread)(request)

    assert response.chunks is not None
    assert [item async for item in response.chunks] == expected


async def test_what_the_handler_raises_comes_through():
    async def GET(request):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await call(GET)


# -- the plan, as documentation reads it


def test_a_plan_says_where_each_parameter_comes_from():
    async def PUT(request, id: int, *, body: NewPost, query: Paging) -> NewPost: ...

    found = plan(PUT, Pattern.parse("/[id]"), "")

    assert [(p.name, p.source, p.type, p.by_keyword) for p in found.parameters] == [
        ("request", "request", Any, False),
        ("id", "path", int, False),
        ("body", "body", NewPost, True),
        ("query", "query", Paging, True),
    ]
    assert found.returns is NewPost


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements came with 3.12")
async def test_a_type_alias_is_looked_through(tmp_path):
    file = tmp_path / "app/route.py"
    file.parent.mkdir()
    file.write_text("type Number = int\n\nasync def GET(request, id: Number):\n    return id\n")
    try:
        assert await result(load_module(file, tmp_path).GET, "/[id]", params={"id": "7"}) == b"7"
    finally:
        unload(tmp_path)
