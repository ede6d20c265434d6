"""Turnout's client of the Runtime API against a server that speaks it word by word, and sees every byte."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from deploy.functions import PYTHON, build, event, project

FILES = {
    "app/api/hello/route.py": """
        from turnout import Response


        async def GET(request):
            return Response.text("hello")
    """,
    "app/api/stream/route.py": """
        from turnout import Response, after, cookies


        def note():
            print("after the stream", flush=True)


        async def GET(request):
            cookies().set("a", "1")
            cookies().set("b", "2")
            after(note)
            return Response.sse(events())


        async def events():
            yield {"data": "one"}
            yield {"data": "two"}
    """,
    "app/api/breaks/route.py": """
        async def GET(request):
            yield "some"
            raise ValueError("no more, ünfortunately")
    """,
    "app/api/after/route.py": """
        import asyncio

        from turnout import after


        async def work(word):
            await asyncio.sleep(0.05)
            print("after", word, flush=True)


        async def GET(request):
            after(work, "one")
            after(print, "two", flush=True)
            return {"sent": True}
    """,
    "app/api/slow/route.py": """
        import asyncio


        async def GET(request):
            await asyncio.sleep(30)
    """,
    "app/api/trace/route.py": """
        import os


        async def GET(request):
            return {"trace": os.environ["_X_AMZN_TRACE_ID"]}
    """,
}


class RuntimeAPI:
    """The other side of the Runtime API, for one connection: a test says what comes and sees what goes."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listening.getsockname()[1]}"
        self.listening.settimeout(90)
        self.sock: socket.socket | None = None

    def accept(self) -> None:
        self.sock = self.listening.accept()[0]
        self.sock.settimeout(90)
        self.left = b""

    def until(self, mark: bytes) -> bytes:
        while mark not in self.left:
            more = self.sock.recv(65_536)
            assert more, f"the client left; there was {self.left!r}"
            self.left += more
        found, _, self.left = self.left.partition(mark)
        return found

    def exactly(self, size: int) -> bytes:
        while len(self.left) < size:
            self.left += self.sock.recv(65_536)
        found, self.left = self.left[:size], self.left[size:]
        return found

    def request(self) -> tuple[str, dict[str, str]]:
        """The head of the next request: its first line and fields."""
        first, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        return first, dict(line.lower().split(": ", 1) if ":" in line else (line, "") for line in lines)

    def give(self, payload: Any, *, left_s: float = 30, chunked: bool = False, trace: str = "Root=1") -> None:
        """Answer the ``/next`` that must come now."""
        import time

        assert self.request()[0] == "GET /2018-06-01/runtime/invocation/next HTTP/1.1"
        body = json.dumps(payload).encode()
        head = (
            "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: id-1\r\n"
            f"Lambda-Runtime-Deadline-Ms: {int((time.time() + left_s) * 1000)}\r\nLambda-Runtime-Trace-Id: {trace}\r\n"
        ).encode()
        if not chunked:
            self.sock.sendall(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            return
        self.sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 7):
            piece = body[at : at + 7]
            self.sock.sendall(b"%x;x=1\r\n%b\r\n" % (len(piece), piece))
        self.sock.sendall(b"0\r\n\r\n")

    def take(self) -> tuple[str, dict[str, str], bytes]:
        """A whole body that is posted."""
        first, fields = self.request()
        return first, fields, self.exactly(int(fields["content-length"]))

    def pieces(self) -> list[bytes]:
        """The chunks of a body that is streamed, without the last one of length 0."""
        found = []
        while size := int(self.until(b"\r\n"), 16):
            found.append(self.exactly(size))
            assert self.exactly(2) == b"\r\n"
        return found

    def accepted(self) -> None:
        self.sock.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        self.listening.close()
        if self.sock is not None:
            self.sock.close()


class Running:
    """A function that runs against a RuntimeAPI; what it prints is there when it has ended."""

    def __init__(self, folder: Path, api: RuntimeAPI, **environment: str) -> None:
        values = {"AWS_LAMBDA_RUNTIME_API": api.address, "PATH": "/usr/bin:/bin", **environment}
        self.process = subprocess.Popen(
            ["/bin/sh", str(folder / "bootstrap"), PYTHON],
            env=values,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> str:
        self.process.kill()
        return self.process.communicate(timeout=90)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("loop")
    return build(project(root, FILES, 'lambda_runtime = "loop"')) / "function"


@pytest.fixture
def api():
    made = RuntimeAPI()
    yield made
    made.close()


@pytest.fixture
def started(folder, api):
    running = []

    def start(**environment: str) -> Running:
        running.append(Running(folder, api, **environment))
        api.accept()
        return running[-1]

    yield start
    for each in running:
        each.end()
        each.process.wait()


def test_an_invocation_is_answered_and_the_next_is_asked_for_on_the_same_connection(started, api):
    started()
    for chunked in (False, True):
        api.give(event("GET", "/api/hello"), chunked=chunked)
        first, fields, body = api.take()
        api.accepted()

        assert first == "POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1"
        assert fields["content-type"] == "application/json"
        assert json.loads(body)["body"] == "hello"


def test_the_trace_id_is_where_the_sdks_look_for_it(started, api):
    started()
    for trace in ("Root=1-a", "Root=1-b"):
        api.give(event("GET", "/api/trace"), trace=trace)
        answer = json.loads(api.take()[2])
        api.accepted()

        assert json.loads(answer["body"]) == {"trace": trace}


def test_a_stream_leaves_piece_by_piece_after_its_prelude(started, api):
    function = started(TURNOUT_LAMBDA_STREAM="1")
    api.give(event("GET", "/api/stream"))

    first, fields = api.request()
    prelude, *pieces = api.pieces()

    assert first == "POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1"
    assert fields["lambda-runtime-function-response-mode"] == "streaming"
    assert fields["content-type"] == "application/vnd.awslambda.http-integration-response"
    assert fields["transfer-encoding"] == "chunked"
    assert prelude.endswith(b"\0" * 8)
    head = json.loads(prelude[:-8])
    assert head["statusCode"] == 200
    assert head["headers"]["content-type"] == "text/event-stream; charset=utf-8"
    assert [cookie[:3] for cookie in head["cookies"]] == ["a=1", "b=2"]
    assert pieces == [b"data: one\n\n", b"data: two\n\n"]
    assert api.until(b"\r\n") == b""  # no trailers
    api.accepted()
    api.request()  # the next one is asked for after the work
    assert function.end() == "after the stream\n"


def test_a_whole_answer_goes_out_as_a_stream_too_where_streams_are_expected(started, api):
    started(TURNOUT_LAMBDA_STREAM="1")
    api.give(event("GET", "/api/hello"))

    api.request()
    prelude, *pieces = api.pieces()

    assert json.loads(prelude[:-8])["statusCode"] == 200
    assert b"".join(pieces) == b"hello"


def test_a_stream_that_breaks_off_says_so_in_its_trailers(started, api):
    started(TURNOUT_LAMBDA_STREAM="1")
    api.give(event("GET", "/api/breaks"))

    api.request()
    pieces = api.pieces()
    trailers = dict(line.split(": ", 1) for line in api.until(b"\r\n\r\n").decode().split("\r\n"))
    api.accepted()

    assert pieces[1:] == [b"some"]
    assert trailers["lambda-runtime-function-error-type"] == "Turnout.ValueError"
    assert "no more" in json.loads(b64decode(trailers["lambda-runtime-function-error-body"]))["errorMessage"]
    api.give(event("GET", "/api/hello"))  # and the function goes on
    api.request()


def test_work_after_the_answer_is_done_between_response_and_next(started, api):
    function = started()
    api.give(event("GET", "/api/after"))

    api.take()
    api.accepted()
    assert api.request()[0].startswith("GET /2018-06-01/runtime/invocation/next")
    assert function.end() == "after one\ntwo\n"


def test_a_handler_that_takes_too_long_is_answered_for_before_the_function_s_time_is_up(started, api):
    started()
    api.give(event("GET", "/api/slow"), left_s=0.7)

    answer = json.loads(api.take()[2])

    assert answer["statusCode"] == 503
    assert json.loads(answer["body"])["code"] == "handler_timeout"


def test_an_event_that_nobody_knows_is_told_as_an_error_and_the_function_goes_on(started, api):
    started()
    api.give({"hello": "world"})
    first, fields, body = api.take()
    api.accepted()

    assert first == "POST /2018-06-01/runtime/invocation/id-1/error HTTP/1.1"
    assert fields["lambda-runtime-function-error-type"] == "turnout.turnouterror"
    assert json.loads(body)["errorType"] == "TurnoutError"
    api.give(event("GET", "/api/hello"))
    assert json.loads(api.take()[2])["statusCode"] == 200


def test_a_project_that_does_not_load_is_told_as_an_init_error(tmp_path, api):
    root = project(
        tmp_path, {"app/api/a/route.py": FILES["app/api/hello/route.py"], "lib/tasks.py": "import nothing_here\n"}
    )
    function = Running(build(root) / "function", api)
    api.accept()

    first, _, body = api.take()
    api.accepted()

    assert first == "POST /2018-06-01/runtime/init/error HTTP/1.1"
    assert "nothing_here" in json.loads(body)["errorMessage"]
    assert function.process.wait(90) == 1
    function.end()


def test_what_goes_wrong_is_logged_as_json_with_its_route_and_without_secrets(tmp_path, api):
    source = """
        import os
        from turnout import Secret, Settings


        class Keys(Settings):
            API_KEY: Secret


        async def GET(request):
            raise RuntimeError(f"refused: {Keys().API_KEY.reveal()}")
    """
    root = project(tmp_path, {"app/api/a/route.py": source}, 'lambda_runtime = "loop"')
    function = Running(build(root) / "function", api, API_KEY="very-secret-value")
    api.accept()
    api.give(event("GET", "/api/a"))
    assert json.loads(api.take()[2])["statusCode"] == 500

    function.process.kill()
    _, log = function.process.communicate(timeout=90)
    line = json.loads(log.splitlines()[0])
    assert (line["level"], line["route"]) == ("error", "/api/a")
    assert "very-secret-value" not in log


BANNED = {"asyncio", "dataclasses", "email", "http.client", "inspect", "logging", "socket", "sqlite3", "ssl"}


def test_the_first_answer_imports_nothing_that_it_does_not_need(folder):
    """The budget of a cold start, as names: asyncio alone costs as much as everything that is here."""
    sent = json.dumps(event("GET", "/api/hello")).encode()
    code = f"""
import sys
sys.path.insert(0, {str(folder)!r})
from turnout.adapters.aws_lambda_loop import Loop
from turnout.built import load_built
from turnout.http import jsontext

class Once:
    def next(self):
        return {{"lambda-runtime-aws-request-id": "1", "lambda-runtime-deadline-ms": "0"}}, {sent!r}
    def post(self, path, body, *fields):
        assert b'"body":"hello"' in body
        return 202

Loop(load_built({str(folder)!r}).app, Once()).once()
print(*sys.modules)
"""
    ran = subprocess.run([PYTHON, "-S", "-c", code], capture_output=True, text=True, check=True, env={})

    loaded = ran.stdout.split()
    assert not BANNED & set(loaded)
    assert len([name for name in loaded if re.match(r"turnout(\.|$)", name)]) <= 45
