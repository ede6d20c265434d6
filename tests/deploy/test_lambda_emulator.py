"""Whole functions in AWS's own emulator of Lambda's runtime, by both clients: pages, forms and files too."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from deploy.functions import body_of, build, emulate, event, project

FILES = {
    "app/api/hello/route.py": """
        from turnout import Response


        async def GET(request):
            return Response.text("hello")
    """,
    "app/api/posts/[id]/route.py": """
        from msgspec import Struct


        class Post(Struct):
            title: str


        async def PUT(request, id: int, body: Post):
            return {"id": id, "title": body.title}
    """,
    "app/api/slow/route.py": """
        import asyncio


        async def GET(request):
            await asyncio.sleep(0.01)
            return {"waited": True}
    """,
    "app/api/thread/route.py": "def GET(request):\n    return {'from': 'def'}\n",
    "app/api/breaks/route.py": "async def GET(request):\n    return 1 / 0\n",
    "app/middleware.py": """
        async def middleware(request, next):
            response = await next(request)
            response.headers.set("x-seen", request.path)
            return response
    """,
    "app/notes/route.py": """
        from turnout import render


        async def GET(request):
            return render("notes.html", title="Notes")
    """,
    "app/notes/actions.py": """
        from turnout import action


        @action
        async def add(text: str):
            return {"added": text}
    """,
    "templates/notes.html": """
        <h1>{{ title }}</h1>
        <form action="{{ actions.add.url }}" method="post"><input name="text"></form>
    """,
    "public/style.css": "body { margin: 0 }",
    "lib/tasks.py": """
        from turnout import task


        @task(cron="0 3 * * *")
        async def nightly():
            print("the night has come", flush=True)
    """,
}
DEPLOY = 'lambda_runtime = "{runtime}"\nenvironment = ["DATABASE_URL", "STORE_URL"]'
HELD = {"DATABASE_URL": "sqlite:////tmp/none.db", "STORE_URL": "memory:", "AUTH_KEYS": ""}


@pytest.fixture(scope="module", params=["loop", "managed"])
def function(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    out = build(project(root, FILES, DEPLOY.format(runtime=request.param)))
    folder = out / "unpacked"
    shutil.unpack_archive(out / "function.zip", folder)
    with emulate(folder, request.param, **HELD) as running:
        yield running


def test_a_function_answers(function):
    answer = function.call(event("GET", "/api/hello"))

    assert (answer["statusCode"], answer["body"]) == (200, "hello")
    assert answer["headers"]["x-seen"] == "/api/hello"
    assert answer["headers"]["x-content-type-options"] == "nosniff"


def test_a_body_is_read_and_checked(function):
    kind = {"content-type": "application/json"}

    right = function.call(event("PUT", "/api/posts/7", body='{"title":"one"}', **kind))
    wrong = function.call(event("PUT", "/api/posts/7", body='{"title":1}', **kind))

    assert json.loads(right["body"]) == {"id": 7, "title": "one"}
    assert wrong["statusCode"] == 422


@pytest.mark.parametrize(("path", "data"), [("/api/slow", {"waited": True}), ("/api/thread", {"from": "def"})])
def test_what_waits_and_what_blocks_is_answered_again_and_again(function, path, data):
    for _ in range(3):
        assert json.loads(function.call(event("GET", path))["body"]) == data


def test_an_error_of_a_handler_is_a_problem_and_not_a_failed_invocation(function):
    answer = function.call(event("GET", "/api/breaks"))

    assert answer["statusCode"] == 500
    assert json.loads(answer["body"])["title"] == "Internal Server Error"
    assert function.call(event("GET", "/api/none"))["statusCode"] == 404


def test_pages_actions_and_public_files_are_in_the_build(function):
    page = function.call(event("GET", "/notes"))
    assert page["statusCode"] == 200, page
    address = re.search(r'action="([^"]+)"', page["body"])
    assert address is not None

    form = {"content-type": "application/x-www-form-urlencoded", "origin": "https://sample.example"}
    sent = function.call(event("POST", address[1], body="text=milk", accept="application/json", **form))
    assert sent["statusCode"] in (200, 303), sent

    style = function.call(event("GET", "/style.css"))
    assert body_of(style) == b"body { margin: 0 }"
    assert style["headers"]["content-type"].startswith("text/css")


def test_a_schedule_runs_its_task(function):
    assert function.call({"source": "turnout.schedule", "task": "nightly"}) is None


def test_a_failed_invocation_says_why_and_the_function_goes_on(function):
    answer = function.call({"hello": "world"})

    assert "names no task" in answer["errorMessage"]
    assert function.call(event("GET", "/api/hello"))["statusCode"] == 200


def test_the_loop_s_stream_reaches_the_emulator_as_it_was_sent(tmp_path):
    stream = "async def GET(request):\n    yield 'one '\n    yield 'two'\n"
    root = project(tmp_path, {"app/api/stream/route.py": stream}, 'lambda_runtime = "loop"')

    with emulate(build(root) / "function", "loop", TURNOUT_LAMBDA_STREAM="1") as running:
        prelude, _, body = running.raw(event("GET", "/api/stream")).partition(b"\0" * 8)

    # The emulator hands prelude and body on as they are; a Function URL makes a response of them.
    assert json.loads(prelude)["statusCode"] == 200
    assert body == b"one two"
