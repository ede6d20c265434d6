"""App.fetch through the in-process client: order, errors, limits, after(), probes."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from projects import client_of

from turnout import HTTPError, Request, Response, after
from turnout.admission import Admission
from turnout.app import App, Route
from turnout.http.address import Trust
from turnout.http.guard import AllowedHosts
from turnout.middleware import Endpoint
from turnout.routing.pattern import Pattern
from turnout.testing import Client
from turnout.threads import Threads


def app_of(handlers: dict[str, Endpoint], **options: Any) -> App:
    """An app with a GET and a POST for each path."""
    routes = [
        Route(Pattern.parse(path), Path("route.py"), {"GET": handler, "POST": handler})
        for path, handler in handlers.items()
    ]
    return App(routes, allowed_hosts=options.pop("allowed_hosts", AllowedHosts(["localhost"])), **options)


async def test_middleware_runs_from_root_to_leaf_and_back(tmp_path: Path) -> None:
    middleware = """
        async def middleware(request, next):
            request.state.seen = [*getattr(request.state, "seen", []), "{0}"]
            response = await next(request)
            response.headers.append("x-way-back", "{0}")
            return response
    """
    files = {
        "app/middleware.py": middleware.format("root"),
        "app/api/(group)/middleware.py": middleware.format("group"),
        "app/api/(group)/a/middleware.py": middleware.format("leaf"),
        "app/api/(group)/a/route.py": "async def GET(request): return request.state.seen\n",
        "app/api/b/route.py": "async def GET(request): return request.state.seen\n",
    }
    async with client_of(tmp_path, files) as client:
        answer = await client.get("/api/a")
        assert answer.json() == ["root", "group", "leaf"]
        assert answer.headers.get_all("x-way-back") == ["leaf", "group", "root"]
        assert (await client.get("/api/b")).json() == ["root"]


@pytest.mark.parametrize("code", ["await next(request)", "return next(request)", "return None", "return {}"])
async def test_middleware_that_loses_its_response_is_named(
    tmp_path: Path, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = {
        "app/middleware.py": f"async def middleware(request, next):\n    {code}\n",
        "app/a/route.py": "async def GET(request): return 'a'\n",
    }
    async with client_of(tmp_path, files) as client:
        assert (await client.get("/a")).status == 500
    assert "middleware.py" in caplog.text
    assert "return await next(request)" in caplog.text


async def test_authorization_comes_before_the_body_is_read(tmp_path: Path) -> None:
    files = {
        "app/api/middleware.py": """
            from turnout import Unauthorized

            async def middleware(request, next):
                raise Unauthorized()
        """,
        "app/api/a/route.py": """
            async def POST(request, body: dict):
                return body
        """,
    }
    reads = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal reads
        reads += 1
        yield b"{"

    async with client_of(tmp_path, files) as client:
        answer = await client.post("/api/a", body=body(), headers={"content-type": "application/json"})
        assert (answer.status, reads) == (401, 0)
        answer = await client.post("/api/a", body=body(), headers={"content-length": "99999999999"})
        assert (answer.status, reads) == (401, 0)


async def test_a_declared_length_over_the_limit_is_413_before_a_byte_is_read(tmp_path: Path) -> None:
    files = {
        "app/a/route.py": 'body_limit = "1 KB"\nasync def POST(request): return {"size": len(await request.bytes())}\n'
    }
    reads = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal reads
        reads += 1
        yield b"x" * 1000

    async with client_of(tmp_path, files) as client:
        answer = await client.post("/a", body=body(), headers={"content-length": "1001"})
        assert (answer.status, reads) == (413, 0)
        assert (await client.post("/a", body=body(), headers={"content-length": "1000"})).json() == {"size": 1000}
        assert (await client.post("/a", body=b"x" * 1001)).status == 413


async def test_the_nearest_error_file_answers_and_none_passes_on(tmp_path: Path) -> None:
    files = {
        "app/error.py": """
            from turnout import Response

            async def error(exc, request):
                return Response.json({"root": type(exc).__name__}, 500)
        """,
        "app/a/error.py": """
            async def error(exc, request):
                return {"leaf": str(exc)} if isinstance(exc, KeyError) else None
        """,
        "app/a/route.py": """
            async def GET(request, query: dict | None = None):
                raise KeyError("k")

            async def POST(request):
                raise ValueError("v")
        """,
        "app/b/route.py": "async def GET(request): raise KeyError\n",
    }
    files["app/a/route.py"] = files["app/a/route.py"].replace(", query: dict | None = None", "")
    async with client_of(tmp_path, files) as client:
        assert (await client.get("/a")).json() == {"leaf": "'k'"}
        assert (await client.post("/a")).json() == {"root": "ValueError"}
        assert (await client.get("/b")).json() == {"root": "KeyError"}


@pytest.mark.parametrize("debug", [True, False])
async def test_an_unexpected_error_shows_its_text_in_development_only(
    debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: Request) -> Response:
        raise RuntimeError("s3cret")

    async with Client(app_of({"/a": handler}, debug=debug)) as client:
        with caplog.at_level(logging.ERROR):
            answer = await client.get("/a")
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("s3cret" in answer.text) is debug
    record = caplog.records[-1]
    assert record.__dict__["request_id"] == answer.json()["instance"]
    assert record.__dict__["route"] == "/a"
    assert "s3cret" in caplog.text


async def test_the_cause_of_a_raised_error_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        raise HTTPError(502, "Upstream failed") from ValueError("s3cret")

    async with Client(app_of({"/a": handler})) as client:
        answer = await client.get("/a")
    assert (answer.status, answer.json()["detail"]) == (502, "Upstream failed")
    assert "s3cret" not in answer.text
    assert "s3cret" in caplog.text


async def test_an_expected_error_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with Client(app_of({})) as client:
        assert (await client.get("/absent")).status == 404
    assert not caplog.records


async def test_a_browser_gets_the_error_page_only_from_this_machine() -> None:
    async def handler(request: Request) -> Response:
        raise RuntimeError("broken")

    app = app_of({"/a": handler}, debug=True)
    app.error_page = lambda exc, request: f"<h1>{exc}</h1>"
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with Client(app) as client:
        assert (await client.get("/a", headers=browser)).text == "<h1>broken</h1>"
        assert (await client.get("/a")).headers["content-type"] == "application/problem+json"
        client.peer = "10.0.0.7"
        answer = await client.get("/a", headers=browser)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "broken" not in answer.text


async def test_a_handler_that_takes_too_long_is_cancelled_and_answered_with_503(tmp_path: Path) -> None:
    files = {
        "app/a/route.py": """
            import asyncio

            max_duration = 0.02
            ended = []

            async def GET(request):
                try:
                    await asyncio.sleep(60)
                finally:
                    ended.append(True)

            async def POST(request):
                return ended
        """,
        "app/b/route.py": """
            import asyncio

            max_duration = 60

            async def GET(request):
                await asyncio.sleep(0.05)
                return "done"
        """,
    }
    async with client_of(tmp_path, files) as client:
        answer = await client.get("/a")
        assert (answer.status, answer.json()["code"]) == (503, "handler_timeout")
        assert (await client.post("/a")).json() == [True]
        assert (await client.get("/b", max_duration_s=0.01)).json() == "done"  # the route's own limit counts


async def test_a_timeout_of_the_handlers_own_is_no_handler_timeout() -> None:
    async def handler(request: Request) -> Response:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
        return Response()

    async with Client(app_of({"/a": handler})) as client:
        assert (await client.get("/a")).status == 500


async def test_after_work_runs_in_order_when_the_response_is_out_also_after_an_error() -> None:
    ran: list[str] = []
    thread_names: list[str] = []

    async def note(text: str) -> None:
        await asyncio.sleep(0)
        ran.append(text)

    def sync_note(text: str) -> None:
        thread_names.append(threading.current_thread().name)
        ran.append(text)

    async def handler(request: Request) -> Response:
        await after(note, "one")
        after(sync_note, "two")
        after(note, text="three")
        assert not ran
        if request.method == "POST":
            raise RuntimeError
        return Response()

    for method in ("GET", "POST"):
        ran.clear()
        async with Client(app_of({"/a": handler})) as client:
            await client.request(method, "/a")
        assert ran == ["one", "two", "three"]
    assert all(name.startswith("turnout") for name in thread_names)


async def test_what_after_work_raises_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    ran: list[int] = []

    async def fail() -> None:
        raise ValueError("broken")

    async def handler(request: Request) -> Response:
        after(fail)
        after(ran.append, 1)
        return Response()

    async with Client(app_of({"/a": handler})) as client:
        assert (await client.get("/a")).status == 200
    assert ran == [1]
    assert "broken" in caplog.text


async def test_one_request_too_many_is_refused_with_retry_after_and_probes_are_not() -> None:
    go = asyncio.Event()

    async def slow(request: Request) -> Response:
        await go.wait()
        return Response()

    app = app_of({"/slow": slow}, admission=Admission(max_in_flight=2))
    async with Client(app) as client:
        held = [asyncio.ensure_future(client.get("/slow")) for _ in range(2)]
        await asyncio.sleep(0)
        answer = await client.get("/slow")
        assert (answer.status, answer.headers["retry-after"], answer.json()["code"]) == (503, "1", "overloaded")
        assert (await client.get("/readyz")).status == 200
        go.set()
        assert [answer.status for answer in await asyncio.gather(*held)] == [200, 200]
    assert (app.admission.in_flight, app.admission.refused) == (0, 1)


async def test_one_stream_too_many_is_refused_and_closed() -> None:
    closed: list[str] = []

    async def pieces() -> AsyncIterator[str]:
        try:
            yield "a"
        finally:
            closed.append("closed")

    async def handler(request: Request) -> Response:
        source = pieces()
        await anext(source)
        return Response.stream(source)

    app = app_of({"/a": handler}, admission=Admission(max_streams=0))
    async with Client(app) as client:
        assert (await client.get("/a")).status == 503
    assert closed == ["closed"]
    assert app.admission.streams == 0


async def test_def_handlers_run_in_threads_that_are_counted(tmp_path: Path) -> None:
    held = threading.Event()
    threads = Threads(1)

    async def handler(request: Request) -> Response:
        await threads.run(held.wait)
        return Response()

    async with Client(app_of({"/a": handler}, threads=threads)) as client:
        first = asyncio.ensure_future(client.get("/a"))
        await asyncio.sleep(0)
        assert (await client.get("/a")).status == 503
        held.set()
        assert (await first).status == 200
        await asyncio.sleep(0.01)
        assert threads.busy == 0


async def test_a_thread_keeps_the_context_of_its_request(tmp_path: Path) -> None:
    files = {
        "app/a/route.py": """
            from turnout import cookies, current_request, headers

            def GET(request):
                cookies().set("seen", "1")
                return [current_request() is request, headers().get("host"), dict(cookies())]
        """
    }
    async with client_of(tmp_path, files) as client:
        answer = await client.get("/a", headers={"cookie": "a=1"})
        assert answer.json() == [True, "localhost", {"a": "1"}]
        assert client.cookies == {"seen": "1"}


async def test_head_runs_get_and_does_not_iterate_its_stream(tmp_path: Path) -> None:
    files = {
        "app/a/route.py": """
            pulled = []

            async def GET(request):
                pulled.append(1)
                yield "a"

            async def POST(request):
                return len(pulled)
        """
    }
    async with client_of(tmp_path, files) as client:
        assert (await client.head("/a")).body == b""
        assert (await client.post("/a")).json() == 0


async def test_allow_lists_the_methods_sorted(tmp_path: Path) -> None:
    files = {"app/a/route.py": "async def GET(request): ...\nasync def POST(request): ...\n"}
    async with client_of(tmp_path, files) as client:
        answer = await client.options("/a")
        assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        answer = await client.delete("/a")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
        answer = await client.request("BREW", "/a")
        assert answer.status == 501
        assert (await client.options("*")).status == 204


async def test_the_file_is_decided_by_the_path_alone(tmp_path: Path) -> None:
    files = {
        "app/users/me/route.py": "async def GET(request): return 'me'\n",
        "app/users/[id]/route.py": "async def GET(request, id): return id\nasync def POST(request, id): return id\n",
    }
    async with client_of(tmp_path, files) as client:
        assert (await client.post("/users/me")).status == 405
        assert (await client.post("/users/you")).json() == "you"


async def test_a_trailing_slash_can_be_the_canonical_form(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": '[tool.turnout]\nallowed_hosts = ["localhost"]\ntrailing_slash = true\n',
        "app/route.py": "async def GET(request): return 'root'\n",
        "app/a/route.py": "async def GET(request): return request.path\n",
        "app/b/[id]/route.py": "async def GET(request, id): return id\n",
    }
    async with client_of(tmp_path, files) as client:
        assert (await client.get("/a/")).status == 200
        assert (await client.get("/a?x=1")).headers["location"] == "/a/?x=1"
        assert (await client.get("/b/1")).headers["location"] == "/b/1/"
        assert (await client.get("/b/1/")).json() == "1"
        assert (await client.get("/a//")).headers["location"] == "/a/"
        assert (await client.get("/")).json() == "root"
        assert (await client.get("/readyz")).status == 200


async def test_a_redirect_to_the_canonical_path_never_names_another_host(tmp_path: Path) -> None:
    files = {"app/[...path]/route.py": "async def GET(request, path): return path\n"}
    async with client_of(tmp_path, files) as client:
        for target in ("//evil.example/x", "///evil.example", "/%2F/evil.example/", "/a//%2fevil.example"):
            answer = await client.get(target)
            assert answer.status == 308
            assert answer.headers["location"].startswith("/")
            assert not answer.headers["location"].startswith("//")


async def test_hsts_is_sent_to_clients_that_speak_https() -> None:
    async def handler(request: Request) -> Response:
        return Response("x")

    async with Client(app_of({"/a": handler}, trust=Trust.of(["127.0.0.1"]))) as client:
        assert "strict-transport-security" not in (await client.get("/a")).headers
        answer = await client.get("/a", headers={"x-forwarded-proto": "https"})
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        client.peer = "9.9.9.9"
        answer = await client.get("/a", headers={"x-forwarded-proto": "https"})
        assert "strict-transport-security" not in answer.headers


async def test_readiness_asks_every_check_and_a_draining_app_says_no(caplog: pytest.LogCaptureFixture) -> None:
    state: list[bool | None] = [True]

    async def check() -> bool:
        if state[0] is None:
            raise OSError("down")
        return state[0]

    app = app_of({})
    app.on_ready.append(check)
    client = Client(app)
    await app.startup()
    client._entered = True
    assert (await client.get("/readyz")).status == 200
    for state[0] in (False, None):
        assert (await client.get("/readyz")).status == 503
        assert (await client.get("/livez")).status == 200
    app.drain()
    assert (await client.get("/readyz")).json() == {"status": "draining"}
    await app.shutdown()


async def test_startup_and_shutdown_run_in_order() -> None:
    ran: list[str] = []

    def noting(text: str) -> Any:
        async def note() -> None:
            ran.append(text)

        return note

    app = app_of({})
    app.on_startup += [noting("a"), noting("b")]
    app.on_shutdown += [noting("a down"), noting("b down")]
    async with Client(app):
        assert ran == ["a", "b"]
    assert ran == ["a", "b", "b down", "a down"]


async def test_an_app_that_starts_again_after_a_shutdown_begins_anew() -> None:
    """Mangum starts and shuts down an ASGI app for each event."""
    ran: list[str] = []

    async def handler(request: Request) -> Response:
        after(ran.append, "after")  # no coroutine function, so it has a thread
        return Response.text("answered")

    app = app_of({"/a": handler})
    for _ in range(2):
        ran.clear()
        async with Client(app) as client:
            assert (await client.get("/readyz")).json() == {"status": "ok"}
            assert (await client.get("/a")).text == "answered"
        assert ran == ["after"]


def test_threads_of_a_loop_that_is_gone_are_counted_no_more_once_the_app_starts_again() -> None:
    event, app = threading.Event(), app_of({})

    async def left() -> None:
        await app.startup()
        call = asyncio.create_task(app.threads.run(event.wait, 10))
        await asyncio.sleep(0.01)
        call.cancel()
        await app.shutdown()

    for _ in range(2):
        asyncio.run(left())
        assert app.threads.busy == 1
    event.set()


async def test_an_upload_is_closed_when_the_answer_is_out(tmp_path: Path) -> None:
    files = {
        "app/a/route.py": """
            kept = []

            async def POST(request):
                form = await request.form_data()
                kept.append(form.get("f"))
                return {"size": kept[0].size}

            async def GET(request):
                return kept[0].file.closed
        """
    }
    body = (
        b'--x\r\ncontent-disposition: form-data; name="f"; filename="f"\r\n\r\n' + b"a" * 2_000_000 + b"\r\n--x--\r\n"
    )
    async with client_of(tmp_path, files) as client:
        answer = await client.post("/a", body=body, headers={"content-type": "multipart/form-data; boundary=x"})
        assert answer.json() == {"size": 2_000_000}
        assert (await client.get("/a")).json() is True


def test_a_route_in_the_place_of_a_probe_stops_the_start(tmp_path: Path) -> None:
    from turnout import ConfigError

    with pytest.raises(ConfigError, match="livez"):
        client_of(tmp_path, {"app/livez/route.py": "async def GET(request): ...\n"})
