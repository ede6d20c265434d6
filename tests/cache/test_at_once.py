"""Kept answers that our own server gives without running anything: they are what the app would have said."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import brotli
from projects import SETTINGS, make_project
from server.wire import Answer, Door

from turnout.app import App
from turnout.config import ServerConfig
from turnout.project import load_project
from turnout.routing.module import unload
from turnout.server.serving import Serving

PAGE = """
    from turnout import Response
    runs = []
    revalidate = 60
    {constant}

    async def GET(request):
        runs.append(request.target)
        return Response.html(f"<p>A paragraph of run {{len(runs)}}</p>" * 100)
"""
SMALL = "revalidate = 60\n\nasync def GET(request):\n    return {'query': request.search_params.get('q')}\n"
COUNTING = """
    from turnout import Response
    seen = []

    async def middleware(request, next):
        seen.append(request.target)
        response = await next(request)
        response.headers.set("x-seen", str(len(seen)))
        return response
"""


@asynccontextmanager
async def served(root: Path, files: dict[str, str]) -> AsyncIterator[Door]:
    """The project that *files* make, behind our own server in this process."""
    make_project(root, files)
    unload(root)
    app = load_project(root, mode="test").app
    # Where another file's test has set up traces, which last as long as the process, every request would be watched.
    traces = sys.modules.pop("opentelemetry", None)
    try:
        await app.startup()
    finally:
        if traces is not None:
            sys.modules["opentelemetry"] = traces
    serving = Serving(app, ServerConfig(), asyncio.get_running_loop())
    server = await asyncio.get_running_loop().create_server(serving.connection, "127.0.0.1", 0)
    door = Door(app, serving, server.sockets[0].getsockname()[1])
    try:
        yield door
        await door.all_quiet()
    finally:
        for client in door.clients:
            client.close()
        server.close()
        serving.cancel_all()
        await app.shutdown()


def ask(target: str, *fields: str, method: str = "GET", host: str = "localhost") -> bytes:
    """The bytes of a request."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode()


def said(answer: Answer) -> Any:
    """All of an answer but its time."""
    return answer.status, sorted(pair for pair in answer.fields if pair[0] != "date"), answer.body


async def all_of(door: Door, requests: list[bytes]) -> list[Any]:
    """The answer to each, twice, on one connection as long as it lasts."""
    answers, client = [], await door.connect()
    for request in [each for each in requests for _ in range(2)]:
        await client.loop.sock_sendall(client.sock, request)
        answer = await client.answer(head_only=request.startswith(b"HEAD"))
        answers.append(said(answer))
        if answer.closes:
            client.close()
            client = await door.connect()
    return answers


CODINGS = ("", "Accept-Encoding: br", "accept-encoding: gzip;q=0.5, identity;q=0", "Accept-Encoding: x")
OTHERS = (
    "", "Cookie: theme=dark", "Cookie: sb-x-auth-token=1", "Authorization: Bearer x", "If-None-Match: *",
    'If-None-Match: "no"', "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: none", "X-Forwarded-Proto: https",
    "Range: bytes=0-3", "Connection: close",
)  # fmt: skip


async def test_every_request_gets_the_answer_that_the_app_would_give(tmp_path: Path) -> None:
    targets = ["/page", "/small", "/small?q=1", "/small?q=2", "/page?"]
    async with served(tmp_path, {"app/page/route.py": PAGE.format(constant=""), "app/small/route.py": SMALL}) as door:
        for target in targets * 2:
            await door.asks(ask(target))
        asked = list(product(targets, ("GET", "HEAD", "OPTIONS"), CODINGS, OTHERS))
        requests = [ask(target, *filter(None, fields), method=method) for target, method, *fields in asked]
        quick = await all_of(door, requests)
        kept, door.app.kept = door.app.kept, None
        assert kept is not None
        slow = await all_of(door, requests)
    # Runs of handlers for who is signed in are of their own, and numbered.
    personal = ["auth" in other.lower() for *_, other in asked for _ in range(2)]
    pairs = [(a, b) for a, b, own in zip(quick, slow, personal, strict=True) if not own]
    assert [a for a, _ in pairs] == [b for _, b in pairs]


async def test_a_hit_runs_neither_the_app_nor_a_task(tmp_path: Path) -> None:
    ran = []

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is App.fetch.__code__:
            ran.append(1)

    async with served(tmp_path, {"app/page/route.py": PAGE.format(constant="")}) as door:
        client = await door.connect()
        request = ask("/page", "Accept-Encoding: br")
        first = [said(await client.asks(request)) for _ in range(3)][-1]
        sys.setprofile(note)
        try:
            hits = [said(await client.asks(request)) for _ in range(5)]
            await client.asks(ask("/elsewhere"))
        finally:
            sys.setprofile(None)
    assert hits == [first] * 5
    assert len(ran) == 1


async def test_whoever_stands_before_a_route_is_asked_each_time(tmp_path: Path) -> None:
    guarded = {
        "app/limited/route.py": PAGE.format(constant='rate_limit = "3/m"'),
        "app/private/route.py": PAGE.format(constant='auth = "user"'),
        "app/shared/route.py": PAGE.format(constant='cors = ["https://other.example"]'),
        "app/(seen)/seen/route.py": PAGE.format(constant=""),
        "app/(seen)/middleware.py": COUNTING,
        "app/free/route.py": PAGE.format(constant=""),
    }
    async with served(tmp_path, guarded) as door:
        client = await door.connect()
        assert [(await client.asks(ask("/limited"))).status for _ in range(5)] == [200] * 3 + [429] * 2
        assert [(await client.asks(ask("/private"))).status for _ in range(3)] == [401] * 3
        seen = [await client.asks(ask("/seen")) for _ in range(5)]
        assert [answer["x-seen"] for answer in seen] == ["1", "2", "3", "4", "5"]
        await client.asks(ask("/shared"))
        crossed = [await client.asks(ask("/shared", "Origin: https://other.example")) for _ in range(3)]
        assert {answer["access-control-allow-origin"] for answer in crossed} == {"https://other.example"}


async def test_a_revalidation_and_another_host_are_noticed(tmp_path: Path) -> None:
    files = {
        "app/page/route.py": PAGE.format(constant=""),
        "app/change/route.py": """
            from turnout import revalidate_path
            async def POST(request):
                revalidate_path("/page")
        """,
    }
    async with served(tmp_path, files) as door:
        client = await door.connect()
        bodies = []
        for _ in range(3):
            bodies += [(await client.asks(ask("/page"))).body for _ in range(3)]
            await client.asks(ask("/change", method="POST"))
        assert [body[:26] for body in bodies] == [
            f"<p>A paragraph of run {run}</p>".encode()[:26] for run in (1, 1, 1, 2, 2, 2, 3, 3, 3)
        ]
        assert (await client.asks(ask("/page", host="evil.example"))).status == 400


async def test_whoever_counts_requests_counts_these_too(tmp_path: Path) -> None:
    files = {"pyproject.toml": SETTINGS + "metrics = true\n", "app/page/route.py": PAGE.format(constant="")}
    async with served(tmp_path, files) as door:
        client = await door.connect()
        for _ in range(7):
            await client.asks(ask("/page"))
        counts = (await client.asks(ask("/_turnout/metrics"))).body.decode()
    assert [
        line for line in counts.splitlines() if 'route="/page"' in line and "count" in line and line.endswith("7.0")
    ]


UNUSUAL = (
    ask("http://LOCALHOST/page"),
    ask("http://other.example/page"),
    ask("/%70age"),
    ask("/page/"),
    ask("/page", host="LOCALHOST"),
    ask("/page", host="localhost:80"),
    ask("/page", "Accept-Encoding: br", "Accept-Encoding: br;q=0, gzip"),
    ask("/page", "Accept-Encoding: br\t ", "Cookie: a=1 "),
    ask("/page", "Content-Length: 3") + b"abc",
    ask("/page", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n",
    ask("/page", "Content-Length: 3", "Expect: 100-continue"),
    ask("/page", "Content-Length: 9") + b"abc",
    ask("/page", "Connection: upgrade", "Upgrade: h2c"),
    ask("/page").replace(b"1.1", b"1.0", 1),
    ask("/page") * 3,
    ask("/page") + ask("/small", method="POST") + ask("/page", "Connection: close") + ask("/page"),
    ask("/page", method="TRACE"),
)


async def test_unusual_requests_get_the_same_bytes_and_the_same_line_in_the_log(tmp_path: Path) -> None:
    log: list[Any] = []

    async def conversation(door: Door, request: bytes) -> Any:
        log.clear()
        client = await door.connect()
        # The last request ends the connection, where the one before it has not.
        await client.send(request, b"" if b"Expect" in request else ask("/livez", "Connection: close"))
        if b"Expect" in request or b"Length: 9" in request:
            client.ends_sending()
        await client.end()
        same = [line.split(b'"instance"')[0] for line in client.seen.split(b"\r\n") if not line.startswith(b"date: ")]
        return same, log.copy()

    async with served(tmp_path, {"app/page/route.py": PAGE.format(constant=""), "app/small/route.py": SMALL}) as door:
        door.serving.access = lambda request, status, _: log.append((request.route and request.route.pattern, status))
        kept = door.app.kept
        for request in UNUSUAL:
            for _ in range(2):  # so that all that is going to be kept is, and each form made
                await conversation(door, request)
            door.app.kept = None
            slow = await conversation(door, request)
            door.app.kept = kept
            assert await conversation(door, request) == slow, request


async def test_another_site_gets_no_compressed_answer_however_the_field_is_spaced(tmp_path: Path) -> None:
    async with served(tmp_path, {"app/page/route.py": PAGE.format(constant="")}) as door:
        client = await door.connect()
        for spaced in ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Site:cross-site \t"):
            answers = [await client.asks(ask("/page", "Accept-Encoding: br", spaced)) for _ in range(3)]
            assert {answer["content-encoding"] for answer in answers} == {None}


async def test_what_is_added_to_one_answer_is_in_no_other(tmp_path: Path) -> None:
    adding = """
        async def middleware(request, next):
            response = await next(request)
            match request.headers.get("x-add"):
                case "cookie":
                    response.set_cookie("a", "1")
                case "field":
                    response.headers.append("x-added", "1")
                    response.headers.delete("etag")
                case "nothing":
                    response.headers.get("etag")
            return response
    """
    files = {
        "app/plain/page/route.py": PAGE.format(constant=""),
        "app/plain/small/route.py": SMALL,
        "app/cross/route.py": PAGE.format(constant='cors = ["https://a.example", "https://b.example"]'),
        "app/plain/middleware.py": adding,
    }
    async with served(tmp_path, files) as door:
        client = await door.connect()
        adds = {
            "/plain/page": ("X-Add: cookie", "X-Add: field"),
            "/plain/small": ("X-Add: cookie", "X-Add: field"),
            "/cross": ("Origin: https://a.example", "Origin: https://b.example"),
        }
        for path, coding in product(adds, ("br", "identity")):
            plain = [said(await client.asks(ask(path, f"Accept-Encoding: {coding}"))) for _ in range(3)][-1]
            for added in (*adds[path], "X-Add: nothing"):
                request = ask(path, f"Accept-Encoding: {coding}", added)
                changed, again = [said(await client.asks(request)) for _ in range(2)]
                assert changed == again
                assert (changed == plain) == added.endswith("nothing")
                assert said(await client.asks(ask(path, f"Accept-Encoding: {coding}"))) == plain


async def test_a_form_made_while_its_answer_ends_is_of_that_answer_alone(tmp_path: Path) -> None:
    large = """
        from turnout import Response
        runs = []
        revalidate = 60

        async def GET(request):
            runs.append(1)
            return Response.text(f"run {len(runs)} " * 40_000)
    """
    change = """
        from turnout import revalidate_path
        async def POST(request):
            revalidate_path("/large")
    """
    async with served(tmp_path, {"app/large/route.py": large, "app/change/route.py": change}) as door:
        client, changer = await door.connect(), await door.connect()
        await client.asks(ask("/large"))
        for run in range(1, 5):
            # Compressed in a thread, which takes longer than the change does.
            asked = asyncio.ensure_future(client.asks(ask("/large", "Accept-Encoding: br")))
            await asyncio.sleep(0)
            await changer.asks(ask("/change", method="POST"))
            assert brotli.decompress((await asked).body).startswith(b"run %d " % run)
            for _ in range(3):
                answer = await client.asks(ask("/large", "Accept-Encoding: br"))
                assert brotli.decompress(answer.body).startswith(b"run %d " % (run + 1))


async def test_a_server_that_ends_says_so_with_a_kept_answer_too(tmp_path: Path) -> None:
    async with served(tmp_path, {"app/page/route.py": PAGE.format(constant="")}) as door:
        client = await door.connect()
        for _ in range(3):
            await client.asks(ask("/page"))
        door.serving.drain()
        assert (await client.asks(ask("/page"))).closes
        assert await client.is_closed()


async def test_a_crowd_that_waits_keeps_nobody_from_a_kept_answer(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": SETTINGS + "[tool.turnout.server]\nmax_in_flight = 1\n",
        "app/page/route.py": PAGE.format(constant=""),
        "app/slow/route.py": """
            import asyncio
            go = asyncio.Event()

            async def GET(request):
                await go.wait()

            async def POST(request):
                go.set()
        """,
    }
    async with served(tmp_path, files) as door:
        client, waiting = await door.connect(), await door.connect()
        for _ in range(3):
            await client.asks(ask("/page"))
        await waiting.send(ask("/slow"))
        assert (await client.asks(ask("/slow"))).status == 503
        assert (await client.asks(ask("/page"))).status == 200
        door.app.admission.max_in_flight = 2
        await client.asks(ask("/slow", method="POST"))
        assert (await waiting.answer()).status == 204
