"""contract/read.py: what a route promises is what its code says, and nothing has to be said twice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from projects import make_project

from turnout.contract import Answer, Contract, Operation, read
from turnout.project import load_project
from turnout.routing.module import unload

PROBLEM = "application/problem+json"
BINARY = {"type": "string", "format": "binary"}
DECIMAL = {"type": "string", "format": "decimal"}
REF = {"$ref": "#/components/schemas/Problem"}


def contract(root: Path, files: dict[str, str]) -> Contract:
    """The contract of the project that *files* make."""
    make_project(root, files)
    unload(root)
    try:
        return read(load_project(root, mode="test"))
    finally:
        unload(root)


def one(root: Path, route: str, *, folder: str = "app/api/x", method: str = "", **files: str) -> Operation:
    """The first operation of a project with one route, or that of *method*."""
    found = contract(root, {f"{folder}/route.py": route, **files}).operations
    return next(each for each in found if not method or each.method == method)


def answers(operation: Operation) -> dict[int, Answer]:
    return {each.status: each for each in operation.answers}


def own(operation: Operation) -> dict[int, dict[str, Any]]:
    """What an operation answers besides what every operation does."""
    return {
        each.status: each.media
        for each in operation.answers
        if each.status not in (400, 500, 503) or set(each.media) != {PROBLEM}
    }


# -- what goes in


def test_path_query_and_body_are_those_of_the_signature(tmp_path: Path) -> None:
    found = contract(
        tmp_path,
        {
            "app/api/posts/[id]/route.py": """
                from typing import Annotated
                from msgspec import Meta, Struct

                class Change(Struct, forbid_unknown_fields=True):
                    title: Annotated[str, Meta(min_length=1)]

                class Options(Struct):
                    draft: bool = False
                    tags: list[str] = []
                    after: int | None = None

                async def PUT(id: int, query: Options, body: Change) -> Change:
                    '''Change a post.

                    Only its title.
                    '''
                    return body
            """
        },
    )
    put = found.operations[0]

    assert (put.method, put.path, put.operation_id) == ("PUT", "/api/posts/[id]", "put_api_posts_by_id")
    assert (put.summary, put.description, put.tags) == ("Change a post.", "Only its title.", ["posts"])
    assert (put.file, put.line) == ("app/api/posts/[id]/route.py", 13)
    path, *query = put.parameters
    assert (path.name, path.place, path.schema["type"], path.required) == ("id", "path", "integer", True)
    assert [(each.name, each.schema, each.required) for each in query] == [
        ("draft", {"type": "boolean", "default": False}, False),
        ("tags", {"type": "array", "items": {"type": "string"}, "default": []}, False),
        ("after", {"type": "integer"}, False),
    ]
    assert put.body is not None and put.body.media == {"application/json": {"$ref": "#/components/schemas/Change"}}
    assert found.schemas["Change"]["additionalProperties"] is False
    assert own(put)[200] == {"application/json": {"$ref": "#/components/schemas/Change"}}
    assert {404, 413, 415, 422} <= set(answers(put))
    assert "Options" not in found.schemas  # its members are parameters


@pytest.mark.parametrize(
    ("annotation", "media", "statuses"),
    [
        ("bytes", ["*/*"], {413}),
        ("str", ["text/plain"], {413}),
        ("FormData", ["application/x-www-form-urlencoded", "multipart/form-data"], {400, 413, 415}),
        ("dict[str, int]", ["application/json"], {400, 413, 415, 422}),
    ],
)
def test_a_body_comes_in_the_types_that_its_annotation_reads(
    tmp_path: Path, annotation: str, media: list[str], statuses: set[int]
) -> None:
    operation = one(tmp_path, f"from turnout import FormData\ndef POST(body: {annotation}):\n    return 1\n")

    assert operation.body is not None and sorted(operation.body.media) == media
    assert operation.body.required == (annotation not in ("bytes", "str"))
    assert statuses <= set(answers(operation))
    assert (422 in answers(operation)) == (422 in statuses)


def test_a_body_and_a_query_that_the_handler_reads_itself_are_seen(tmp_path: Path) -> None:
    operation = one(
        tmp_path,
        """
        from msgspec import Struct
        from turnout import Request, Response

        class Note(Struct):
            text: str

        async def POST(request: Request) -> Response:
            page = request.search_params.get("page")
            tags = request.url.search_params.get_all("tag")
            note = await request.json(Note)
            return Response.json({"page": page, "tags": tags, "text": note.text}, status=201)
        """,
    )

    assert [(each.name, each.schema["type"]) for each in operation.parameters] == [("page", "string"), ("tag", "array")]
    assert operation.body is not None and operation.body.media == {
        "application/json": {"$ref": "#/components/schemas/Note"}
    }
    assert set(own(operation)) == {201, 408, 413, 415, 422}


def test_several_segments_are_a_list_that_may_be_empty_where_the_folder_says_so(tmp_path: Path) -> None:
    found = contract(
        tmp_path,
        {
            "app/a/[...rest]/route.py": "def GET(rest: list[int]):\n    return rest\n",
            "app/b/[[...rest]]/route.py": "def GET(rest):\n    return rest\n",
        },
    )
    some, any_ = (each for each in found.operations if each.method == "GET")

    assert some.parameters[0].required and some.parameters[0].schema["minItems"] == 1
    assert some.parameters[0].schema["items"]["type"] == "integer"
    assert not any_.parameters[0].required and "minItems" not in any_.parameters[0].schema


# -- what comes out


@pytest.mark.parametrize(
    ("returns", "body", "expected"),
    [
        ("Post", "return Post('a')", {200: {"application/json": {"$ref": "#/components/schemas/Post"}}}),
        (
            "Post | None",
            "return None",
            {200: {"application/json": {"$ref": "#/components/schemas/Post"}}, 204: {}},
        ),
        (
            "list[Post]",
            "return []",
            {200: {"application/json": {"type": "array", "items": {"$ref": "#/components/schemas/Post"}}}},
        ),
        ("None", "pass", {204: {}}),
        ("bytes", "return b''", {200: {"application/octet-stream": {"type": "string", "format": "binary"}}}),
        ("AsyncIterator[str]", "yield ''", {200: {"text/plain": {"type": "string"}}}),
        (
            "Response",
            "return Response.json({'id': 1, 'at': request.id}, 201)",
            {
                201: {
                    "application/json": {
                        "type": "object",
                        "properties": {"id": {"type": "integer"}, "at": {}},
                        "required": ["id", "at"],
                    }
                }
            },
        ),
        (
            "Annotated[Response, Post]",
            "return Response.json(make(), status=201)",
            {201: {"application/json": {"$ref": "#/components/schemas/Post"}}},
        ),
        ("Response", "return redirect('/x')", {307: {}}),
        ("Response", "return Response.redirect('/x', 303)", {303: {}}),
        ("Response", "return Response(None, 204)", {204: {}}),
        ("Response", "return Response.html('<p>')", {200: {"text/html": {"type": "string"}}}),
        ("Response", "return render('a.html')", {200: {"text/html": {"type": "string"}}}),
        (
            "Response",
            "return Response.text('', headers={'Content-Type': 'application/rss+xml; charset=utf-8'})",
            {200: {"application/rss+xml": {"type": "string"}}},
        ),
        ("Response", "return Response.sse(events())", {200: {"text/event-stream": {"type": "string"}}}),
        ("Response", "return Response.json([], status=make())", {0: {"application/json": {"type": "array"}}}),
        (
            "Response",
            "return Response.json([], status=200 if request.id else 202)",
            {200: {"application/json": {"type": "array"}}, 202: {"application/json": {"type": "array"}}},
        ),
        (
            "Response",
            "response = Response.text('x')\n    response.set_cookie('a', 'b')\n    return response",
            {200: {"text/plain": {"type": "string"}}},
        ),
        (
            "Response",
            "page = Response.html('x')\n    page.status = 404\n    return page",
            {404: {"text/html": {"type": "string"}}},
        ),
        ("Response", "return Response(b'', 200)", {200: {"application/octet-stream": BINARY}}),
        ("Response", "return Response(f'{request.id}')", {200: {"text/plain": {"type": "string"}}}),
        ("Response", "return Response(make())", {200: {"*/*": {}}}),
        ("Response", "return Response.error()", {}),  # a 500, which is there anyway
        ("Response", "return Response.stream([b''], media_type='video/mp4')", {200: {"video/mp4": BINARY}}),
        (
            "Response",
            "return Response.file('cat.png')",
            {200: {"image/png": BINARY}, 206: {"image/png": BINARY}, 304: {}, 404: {PROBLEM: REF}, 416: {}},
        ),
        (
            "Response",
            "return Response.json({str(n): n for n in range(3)})",
            {200: {"application/json": {"type": "object"}}},
        ),
        (
            "Response",
            "return Response.json([n for n in range(3)])",
            {200: {"application/json": {"type": "array"}}},
        ),
        (
            "Response",
            "return Response.json([Post('a'), Post('b')])",
            {200: {"application/json": {"type": "array", "items": {"$ref": "#/components/schemas/Post"}}}},
        ),
        (
            "Response",
            "return Response.json({'a': f'{request.id}', 'b': not request.id, 'c': None, 'd': 1.5, **{}})",
            {200: {"application/json": {"type": "object"}}},
        ),
        ("Decimal", "return Decimal(1)", {200: {"application/json": {"anyOf": [{"type": "number"}, DECIMAL]}}}),
        ("Unknown", "return Unknown()", {200: {"application/json": {}}}),
        ("Response", "return answer()", {202: {"application/json": {"type": "boolean"}}}),
        (
            "Post | Response",
            "return Response.text('no', 410) if request.id else Post('a')",
            {
                200: {"application/json": {"$ref": "#/components/schemas/Post"}},
                410: {"text/plain": {"type": "string"}},
            },
        ),
    ],
)
def test_an_answer_is_read_from_the_annotation_and_the_source(
    tmp_path: Path, returns: str, body: str, expected: dict[int, Any]
) -> None:
    operation = one(
        tmp_path,
        "from collections.abc import AsyncIterator\n"
        "from decimal import Decimal\n"
        "from typing import Annotated\n"
        "from msgspec import Struct\n"
        "from turnout import Request, Response, redirect, render\n\n"
        "class Post(Struct):\n    title: str\n\n"
        "class Unknown: pass\n\n"
        "def make(): return eval('1')\n\n"
        "def answer(): return Response.json(True, 202)\n\n"
        f"async def GET(request: Request) -> {returns}:\n    {body}\n",
    )

    assert own(operation) == expected
    assert operation.streams == any(each in body for each in (".sse", ".stream", ".file", "yield"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return {'a': [1, 2]}", {200}),
        ("return None", {204}),
        ("pass", {204}),
        ("if request.id:\n        return {}", {200, 204}),
        ("raise NotFound('no')", {404}),
        ("yield 'a'", {200}),
    ],
)
def test_without_an_annotation_the_source_alone_is_read(tmp_path: Path, body: str, expected: set[int]) -> None:
    operation = one(tmp_path, f"from turnout import NotFound\n\nasync def GET(request):\n    {body}\n")

    assert set(own(operation)) == expected


def test_data_that_is_changed_after_it_was_made_is_any_object(tmp_path: Path) -> None:
    operation = one(
        tmp_path,
        """
        def GET(request):
            data = {"a": 1}
            data["b"] = 2
            return data
        """,
    )

    assert own(operation)[200] == {"application/json": {"type": "object"}}


def test_rows_have_the_model_that_the_query_names(tmp_path: Path) -> None:
    found = contract(
        tmp_path,
        {
            "app/api/posts/route.py": """
                from msgspec import Struct
                from turnout import NotFound, Response, db

                class Post(Struct):
                    id: int
                    title: str

                async def GET() -> Response:
                    posts = await db.from_("posts").select("*").as_(Post)
                    return Response.json(posts)

                async def POST() -> Response:
                    post = await db.from_("posts").select("*").as_(Post).eq("id", 1).single()
                    if post is None:
                        raise NotFound("No such post")
                    return Response.json(post)

                async def PUT() -> Response:
                    return Response.json(await db.from_("posts").select("*").eq("id", 1).single())
            """
        },
    )
    get, post, put, *_ = found.operations
    ref = {"$ref": "#/components/schemas/Post"}

    assert own(get)[200] == {"application/json": {"type": "array", "items": ref}}
    assert own(post)[200] == {"application/json": ref}
    assert post.answers[2].description == "No such post" and put.method == "PUT"
    assert own(put)[200] == {"application/json": {"anyOf": [{"type": "object"}, {"type": "null"}]}}


def test_errors_are_found_wherever_the_project_raises_them(tmp_path: Path) -> None:
    operation = one(
        tmp_path,
        """
        from turnout import HTTPError, Response
        from lib.shop import Shop, SoldOut, check

        shop = Shop()

        async def POST() -> Response:
            check()
            shop.buy()
            if shop.closed:
                raise HTTPError(409, "Closed today", code="closed")
            return Response(None, 204)
        """,
        **{
            "lib/shop.py": """
                from http import HTTPStatus
                from turnout import Forbidden, HTTPError

                class SoldOut(HTTPError):
                    status = 410
                    code = "sold_out"

                class Shop:
                    closed = False

                    def buy(self) -> None:
                        raise SoldOut("Nothing left")

                def check() -> None:
                    if deep():
                        raise HTTPError(status=HTTPStatus.PAYMENT_REQUIRED, code="pay_first")

                def deep() -> bool:
                    check()
                    raise Forbidden
            """
        },
    )
    found = answers(operation)

    assert {402, 403, 409, 410} <= set(found)
    assert (found[409].description, found[409].codes) == ("Closed today", ["closed"])
    assert (found[410].description, found[410].codes) == ("Nothing left", ["sold_out"])
    assert found[402].codes == ["pay_first"]


@pytest.mark.parametrize(
    ("line", "statuses"),
    [
        ("await auth.require_user('admin')", {401, 403}),
        ("await rate_limit.check(request, limit=5)", {429}),
        ("await (await create_client()).auth.get_user()", {403}),
        ("client = await create_client(); await client.auth.sign_up({})", {403, 422, 429}),
        ("client = await create_client(); await client.auth.admin.delete_user('x')", {401, 403, 404, 422, 429}),
        ("client = await create_client(); await client.table('a').select('*').execute()", {401, 403, 409}),
        ("await request.bytes()", {408, 413}),
        ("await request.json()", {408, 413}),
        ("await request.form_data()", {408, 413, 415}),
        ("await db.from_('posts').insert({})", {409}),
        ("webhooks.stripe.construct_event(b'', '', 'whsec_x')", set()),
        ("async with webhooks.once('id', 'type') as tx: pass", {409}),
    ],
)
def test_what_turnouts_own_functions_refuse_is_known(tmp_path: Path, line: str, statuses: set[int]) -> None:
    operation = one(
        tmp_path,
        "from turnout import Request, Response, auth, create_client, db, rate_limit, webhooks\n\n"
        f"async def GET(request: Request) -> Response:\n    {line}\n    return Response('')\n",
    )

    assert {each for each in answers(operation) if 400 < each < 500} == statuses
    assert ("invalid_signature" in answers(operation)[400].codes) == ("construct_event" in line)


def test_a_function_inside_a_handler_refuses_for_it(tmp_path: Path) -> None:
    operation = one(
        tmp_path,
        """
        from turnout import HTTPError, Response

        async def GET(request) -> Response:
            def look() -> str:
                if request.id:
                    raise HTTPError(423)
                return "x"

            return Response.text(look())
        """,
    )

    assert set(own(operation)) == {200, 423}


def test_middleware_and_error_files_of_its_folders_answer_too(tmp_path: Path) -> None:
    operation = one(
        tmp_path,
        """
        from turnout import NotFound, Response

        async def GET() -> Response:
            raise NotFound("No such thing")
        """,
        **{
            "app/middleware.py": """
                from turnout import Response

                async def middleware(request, next) -> Response:
                    if not request.headers.has("x-team"):
                        return Response.text("Which team?", 428)
                    response = await next(request)
                    response.headers.set("x-a", "b")
                    return response
            """,
            "app/error.py": """
                from turnout import HTTPError, Response

                async def error(exc, request) -> Response | None:
                    if isinstance(exc, HTTPError):
                        return Response.json({"error": exc.detail}, status=exc.status)
                    return None
            """,
        },
    )
    found = answers(operation)
    said = {"type": "object", "properties": {"error": {}}, "required": ["error"]}

    assert found[428].media == {"text/plain": {"type": "string"}}
    assert found[404].media == {PROBLEM: REF, "application/json": said}
    assert found[400].media["application/json"] == said
    assert 204 not in found


def test_constants_of_the_route_bring_their_refusals(tmp_path: Path) -> None:
    operation = one(
        tmp_path,
        'auth = "user"\nrate_limit = "20/min"\nbody_limit = "64 KB"\ncors = ["https://a.example"]\n'
        "def POST(body: dict):\n    return body\n",
    )
    found = answers(operation)

    assert (operation.auth, operation.rate_limit, operation.body_limit) == ("user", "20/min", 64_000)
    assert operation.cors is not None and operation.cors.origins == ["https://a.example"]
    assert {"not_signed_in"} == set(found[401].codes) and "WWW-Authenticate" in found[401].headers
    assert 403 in found and "Retry-After" in found[429].headers and "RateLimit" in found[200].headers


def test_what_anybody_may_call_asks_for_nobody(tmp_path: Path) -> None:
    found = answers(one(tmp_path, 'auth = "public"\ndef GET():\n    return {}\n'))

    assert not {401, 403, 429} & set(found)


def test_every_answer_that_any_route_may_give_is_there(tmp_path: Path) -> None:
    found = answers(one(tmp_path, "def GET():\n    return {}\n"))

    assert [status for status in found if status >= 400] == [400, 500, 503]
    assert all(found[status].media == {PROBLEM: REF} for status in (400, 500, 503))


def test_head_and_options_are_there_as_turnout_answers_them(tmp_path: Path) -> None:
    get, head, options = contract(tmp_path, {"app/api/[id]/route.py": "def GET(id: int):\n    return {}\n"}).operations

    assert [each.method for each in (get, head, options)] == ["GET", "HEAD", "OPTIONS"]
    assert [each.status for each in head.answers] == [each.status for each in get.answers]
    assert not any(each.media for each in head.answers)
    assert answers(options)[204].headers["Allow"]["required"]
    assert options.parameters[0].schema["type"] == "string"  # it is answered whatever the id is


def test_an_idempotent_handler_takes_its_key(tmp_path: Path) -> None:
    operation = one(
        tmp_path,
        """
        from turnout import Response, idempotent

        @idempotent(required=True)
        async def POST(request, tx) -> Response:
            '''Order something.'''
            return Response.json({"id": 1}, 201)
        """,
    )
    (key,) = operation.parameters

    assert (key.name, key.place, key.required) == ("Idempotency-Key", "header", True)
    assert operation.summary == "Order something." and 201 in answers(operation)
    assert "idempotency_key_missing" in answers(operation)[400].codes
    assert "idempotency_key_reused" in answers(operation)[422].codes


def test_a_decorator_of_the_project_is_read_with_what_it_is_around(tmp_path: Path) -> None:
    operation = one(
        tmp_path,
        """
        import functools
        from turnout import Response

        def teapot(handler):
            @functools.wraps(handler)
            async def wrapped(request):
                if request.headers.has("x-tea"):
                    return Response.text("short and stout", 418)
                return await handler(request)
            return wrapped

        @teapot
        async def GET(request) -> Response:
            return Response.json({"ok": True}, 203)
        """,
    )

    assert {203, 418} <= set(own(operation))


def test_a_webhook_object_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_" + "a" * 32)
    operation = one(
        tmp_path,
        '"""Stripe tells us of payments."""\nfrom turnout import webhooks\n\nPOST = webhooks.stripe.webhook()\n',
    )

    assert operation.description == "Stripe tells us of payments."
    assert operation.body is not None and {200, 400, 413} <= set(answers(operation))


def test_models_of_pydantic_are_described_by_pydantic(tmp_path: Path) -> None:
    found = contract(
        tmp_path,
        {
            "app/api/x/route.py": """
                from pydantic import BaseModel, Field

                class Address(BaseModel):
                    street: str

                class Person(BaseModel):
                    name: str = Field(max_length=20, alias="fullName")
                    home: Address

                async def POST(body: Person) -> list[Person]:
                    return [body]
            """
        },
    )

    assert set(found.schemas) == {"Address", "Person", "Problem"}
    assert found.schemas["Person"]["properties"]["fullName"]["maxLength"] == 20
    assert found.schemas["Person"]["properties"]["home"] == {"$ref": "#/components/schemas/Address"}
    assert own(found.operations[0])[200]["application/json"]["items"] == {"$ref": "#/components/schemas/Person"}


def test_two_models_of_one_name_keep_apart(tmp_path: Path) -> None:
    route = "from msgspec import Struct\n\nclass Body(Struct):\n    {}: int\n\ndef POST(body: Body):\n    return body\n"
    found = contract(tmp_path, {"app/[id]/a/route.py": route.format("a"), "app/[id]/b/route.py": route.format("b")})

    assert len(found.schemas) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in found.schemas)
    bodies = [each.body.media["application/json"]["$ref"] for each in found.operations if each.body is not None]
    assert len(set(bodies)) == 2


def test_a_contract_goes_to_json_and_back(tmp_path: Path) -> None:
    found = contract(
        tmp_path,
        {
            "pyproject.toml": '[project]\nname = "shop"\nversion = "1.2.0"\n',
            "app/api/[id]/route.py": 'auth = "public"\ncors = "*"\ndef PUT(id: int, body: dict):\n    return body\n',
        },
    )

    assert (found.title, found.version) == ("shop", "1.2.0")
    assert msgspec.json.decode(msgspec.json.encode(found), type=Contract) == found


def test_a_type_that_nobody_can_describe_leaves_the_others_described(tmp_path: Path) -> None:
    found = contract(
        tmp_path,
        {
            "app/a/route.py": "def GET() -> dict[tuple[int, int], 'int | dict | list[type[int]]']:\n    return {}\n",
            "app/b/route.py": "def GET() -> list[int]:\n    return []\n",
        },
    )
    first, second = (each for each in found.operations if each.method == "GET")

    assert 200 in answers(first)
    assert own(second)[200] == {"application/json": {"type": "array", "items": {"type": "integer"}}}


def test_two_models_of_pydantic_with_one_name_keep_apart(tmp_path: Path) -> None:
    route = (
        "from pydantic import BaseModel\n\nclass Body(BaseModel):\n    {}: int\n\ndef POST(body: Body):\n    return 1\n"
    )
    found = contract(tmp_path, {"app/[id]/a/route.py": route.format("a"), "app/b/route.py": route.format("b")})

    bodies = [each.body.media["application/json"]["$ref"] for each in found.operations if each.body is not None]
    assert len(set(bodies)) == 2 and len(found.schemas) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in found.schemas)
