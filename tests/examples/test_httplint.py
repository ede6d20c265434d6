"""Every kind of answer that the example gives, over a socket, as the httplint linter sees it: nothing is bad."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from served import served

from turnout import env
from turnout.project import load_project
from turnout.routing.module import unload

httplint = pytest.importorskip("httplint", reason="httplint is not installed")
from httplint import HttpRequestLinter, HttpResponseLinter  # noqa: E402
from httplint.note import levels  # noqa: E402

EXAMPLE = Path(__file__).parents[2] / "examples" / "blog"
MOST_BYTES = 200_000
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Ask(NamedTuple):
    method: str
    path: str
    headers: dict[str, str] = {}  # noqa: RUF012
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.headers} {self.body!r}"


@pytest.fixture(scope="module")
def blog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[tuple[str, list[str]]]]]:
    """The address of a running example, and the methods of each of its routes."""
    root = tmp_path_factory.mktemp("blog") / "blog"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", "__pycache__", ".env*.local"))
    (root / "data").mkdir()
    subprocess.run([sys.executable, "-m", "turnout", "db", "migrate"], cwd=root, check=True, capture_output=True)
    routes = [(route.pattern.text, list(route.methods)) for route in load_project(root, mode="test").app.routes]
    unload(root)
    env.unload()
    own = {"app/route.py": (root / "app/route.py").read_text()} if (root / "app/route.py").exists() else {}
    with served(root, own, settings=(root / "pyproject.toml").read_text()) as server:
        yield server.url, routes


def asks(routes: list[tuple[str, list[str]]]) -> Iterator[Ask]:
    """Each route and method with good, missing and broken input, and what no route answers."""
    for pattern, methods in routes:
        for path in {_filled(pattern, value) for value in ("1", "nope")}:
            for method in methods:
                yield Ask(method, path)
                if method in ("POST", "PUT", "PATCH"):
                    yield Ask(method, path, JSON, b"{}")
                    yield Ask(method, path, JSON, b"{broken")
                    yield Ask(method, path, FORM, b"a=1")
                    yield Ask(method, path, {"content-type": "text/csv"}, b"a,b")
                if method == "GET":
                    for encoding in ("gzip", "br", "zstd"):
                        yield Ask(method, path, {"accept-encoding": encoding})
                    yield Ask(method, path, {"range": "bytes=0-9"})
                    yield Ask(method, path, {"range": "bytes=99999999-"})
                    yield Ask(method, path, {"if-none-match": "*"})
                    yield Ask(method, path, {"origin": "https://elsewhere.example"})
            for method in {"GET", "POST", "DELETE"} - set(methods):
                yield Ask(method, path)
            yield Ask("PROPFIND", path)
            yield Ask("TRACE", path)
    yield Ask("GET", "/nowhere")
    yield Ask("GET", "/a//b/")
    yield Ask("GET", "/%00")
    yield Ask("OPTIONS", "/api/posts", {"origin": "https://a.example", "access-control-request-method": "POST"})


def _filled(pattern: str, value: str) -> str:
    parts = [value if part.startswith("[") else part for part in pattern.split("/")]
    return "/".join(parts) or "/"


def exchange(url: str, ask: Ask) -> HttpResponseLinter:
    """Send *ask* on a connection of its own; the linter has read the answer."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=90)
    try:
        connection.request(ask.method, ask.path, ask.body or None, ask.headers)
        answer = connection.getresponse()
        request = HttpRequestLinter()
        request.process_request_topline(ask.method.encode(), (url + ask.path).encode(), b"1.1")
        request.process_headers([(name.encode(), value.encode()) for name, value in ask.headers.items()])
        request.finish_content(True)
        response = HttpResponseLinter()
        response.base_uri = url + ask.path
        response.request = request
        response.is_head_response = ask.method == "HEAD"
        response.process_response_topline(b"1.1", str(answer.status).encode(), answer.reason.encode())
        raw = [(name.encode(), value.encode("latin-1")) for name, value in answer.getheaders()]
        response.process_headers(raw)
        streams = (answer.getheader("content-type") or "").startswith("text/event-stream")
        # A stream of events has no end to wait for.
        content = b"" if streams else answer.read(MOST_BYTES)
        if content:
            response.feed_content(content)
        response.finish_content(True)
        return response
    finally:
        connection.close()


def test_the_linter_finds_nothing_bad_in_any_answer(blog: tuple[str, list[tuple[str, list[str]]]]) -> None:
    url, routes = blog
    statuses: set[int] = set()
    found: dict[str, str] = {}
    for ask in asks(routes):
        response = exchange(url, ask)
        assert response.status_code is not None
        statuses.add(response.status_code)
        for note in response.notes:
            if note.level == levels.BAD:
                found.setdefault(f"{type(note).__name__}: {note.summary}", f"{response.status_code} {ask}")
    assert found == {}
    assert {200, 206, 304, 400, 401, 404, 405, 415, 416, 422, 501} <= statuses


def test_it_would_be_found_if_something_were_bad() -> None:
    response = HttpResponseLinter()
    response.process_response_topline(b"1.1", b"200", b"OK")
    response.process_headers([(b"Content-Type", b"text/plain"), (b"Date", b"yesterday")])
    response.finish_content(True)
    assert [note for note in response.notes if note.level == levels.BAD]
