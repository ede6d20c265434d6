"""No spelling of a path and no header gets past a guard: where the handler ran, its middleware ran first."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from projects import client_of

SEED = 20261122

GUARD = """
    from turnout import Response

    async def middleware(request, next):
        if request.headers.get("authorization") != "Bearer good":
            return Response.json({"error": "Unauthorized"}, status=401)
        return await next(request)
"""
HANDLER = """
    async def GET(request, {slug}):
        return {{"secret": True, "path": request.path}}

    POST = PUT = GET
"""
FILES = {
    "app/admin/middleware.py": GUARD,
    "app/admin/route.py": "async def GET(request): return {'secret': True}\n",
    "app/admin/users/[id]/route.py": HANDLER.format(slug="id"),
    "app/admin/files/[...path]/route.py": HANDLER.format(slug="path"),
    "app/route.py": "async def GET(request): return {'open': True}\n",
    "app/open/[[...rest]]/route.py": "async def GET(request, rest): return {'open': True}\n",
}
BASES = ["/admin", "/admin/users/7", "/admin/files/a/b", "/open", "/open/admin"]
PIECES = [
    "/",
    "//",
    "/./",
    "/../",
    "/%2e%2e/",
    "/%2E/",
    "%2F",
    "%2f",
    "%252F",
    "\\",
    "%5C",
    ";",
    ";x=1",
    ";/",
    ".json",
    ".",
    "..",
    "%00",
    "%20",
    "%09",
    "+",
    "?",
    "?x=/admin",
    "#",
    "%23",
    "%3F",
    "@",
    ":",
    "http://",
    "admin",
    "ADMIN",
    "Admin",
    "%61dmin",
    "ad%6Din",
    "open",
    "%c0%af",
    "%ef%bc%8f",
    "\u2215",
    "\xe9",
    "*",
    "~",
    "_next",
    "[id]",
    "(group)",
    "..;/",
    "/.;/",
    "%",
    "%2",
    "index",
    "route.py",
    "x" * 300,
]


def mutated(dice: random.Random) -> str:
    """A path near a guarded one, with pieces put in, taken out, swapped and re-encoded."""
    path = dice.choice(BASES)
    for _ in range(dice.randint(1, 4)):
        at = dice.randint(0, len(path))
        match dice.randint(0, 5):
            case 0 | 1 | 2:
                path = path[:at] + dice.choice(PIECES) + path[at:]
            case 3:
                path = path[: max(at - 1, 0)] + path[at:]
            case 4:
                path = path[:at] + "".join(f"%{byte:02X}" for byte in path[at : at + 1].encode()) + path[at + 1 :]
            case 5:
                path = path[:at] + path[at : at + 1].swapcase() + path[at + 1 :]
    if not path.startswith("/") and dice.random() < 0.8:
        path = "/" + path
    return path


async def test_where_a_guarded_handler_ran_its_guard_ran(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    seen: dict[int, int] = {}
    async with client_of(tmp_path, FILES) as client:
        for _ in range(10_000):
            target = mutated(dice)
            method = dice.choice(["GET", "GET", "HEAD", "POST", "PUT"])
            answer = await client.request(method, target)
            seen[answer.status] = seen.get(answer.status, 0) + 1
            assert b"secret" not in answer.body, (SEED, method, target)
            assert answer.status < 500, (SEED, method, target, answer)
    # A search that met nothing guarded, or nothing else, would prove nothing.
    assert {200, 308, 400, 401, 404, 405} <= seen.keys(), seen


async def test_with_the_right_token_the_same_paths_do_reach_the_handler(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    reached = 0
    async with client_of(tmp_path, FILES) as client:
        for _ in range(3_000):
            answer = await client.get(mutated(dice), headers={"authorization": "Bearer good"})
            reached += b"secret" in answer.body
    assert reached > 100


NAMES = [
    "x-middleware-subrequest",
    "x-middleware-next",
    "x-middleware-rewrite",
    "x-middleware-skip",
    "x-middleware-prefetch",
    "x-nextjs-data",
    "x-nextjs-redirect",
    "x-nextjs-rewrite",
    "x-nextjs-matched-path",
    "x-now-route-matches",
    "x-matched-path",
    "x-turnout-internal",
    "x-turnout-skip",
    "x-turnout-middleware",
    "x-turnout-user",
    "x-turnout-path",
    "x-rewrite-url",
    "x-original-url",
    "x-original-uri",
    "x-original-host",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-forwarded-host",
    "x-forwarded-uri",
    "x-forwarded-path",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-for",
    "x-real-ip",
    "x-accel-redirect",
    "x-sendfile",
    "x-envoy-original-path",
    "x-user",
    "x-authenticated",
    "forwarded",
]
VALUES = [
    "1",
    "true",
    "middleware",
    "middleware:middleware:middleware:middleware:middleware",
    "src/middleware",
    "/open",
    "GET",
    "127.0.0.1",
    "admin",
]


async def test_no_header_switches_a_guard_off(tmp_path: Path) -> None:
    cases = [(name, value) for name in NAMES for value in VALUES]
    assert len(cases) >= 300
    async with client_of(tmp_path, FILES) as client:
        for name, value in cases:
            for target in ("/admin", "/admin/users/7"):
                answer = await client.get(target, headers={name: value})
                assert (answer.status, answer.json()) == (401, {"error": "Unauthorized"}), (name, value)
                answer = await client.get("/open", headers={name: value})
                assert (answer.status, answer.json()) == (200, {"open": True}), (name, value)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_a_method_in_the_query_or_a_form_is_data(tmp_path: Path, method: str) -> None:
    files = {
        "app/a/route.py": "async def POST(request): return 'posted'\nasync def DELETE(request): return 'deleted'\n"
    }
    async with client_of(tmp_path, files) as client:
        answer = await client.post(f"/a?_method={method}", form={"_method": method})
        assert answer.json() == "posted"


async def test_no_host_makes_the_app_call_out_or_name_another_site(tmp_path: Path) -> None:
    files = {
        "app/a/route.py": "async def GET(request): return str(request.url)\n",
        "app/b/[id]/route.py": HANDLER.format(slug="id"),
    }
    hosts = [
        "evil.example",
        "localhost@evil.example",
        "localhost.evil.example",
        "localhost:80:80",
        "localhost/evil",
        "127.1",
    ]
    async with client_of(tmp_path, files) as client:
        for host in hosts:
            client.host = host
            answer = await client.get("/a")
            assert (answer.status, "evil" in answer.text) == (400, False)
            answer = await client.get("/b/1/")
            assert "evil" not in str(answer.headers.items())


async def test_text_from_a_client_never_breaks_a_header(tmp_path: Path) -> None:
    files = {
        "app/a/route.py": """
            from turnout import Response, redirect

            async def POST(request):
                text = (await request.bytes()).decode()
                return Response("x", headers={"x-echo": text})

            async def PUT(request):
                return redirect((await request.bytes()).decode())

            async def PATCH(request):
                response = Response("x")
                response.set_cookie("a", (await request.bytes()).decode())
                return response
        """
    }
    attacks = ["a\r\nset-cookie: x=1", "a\nb", "a\rb", "a\x00b", "\r\n\r\n<html>", "/x\r\nx: y", "/\x0bx"]
    async with client_of(tmp_path, files) as client:
        for attack in attacks:
            for method in ("POST", "PUT", "PATCH"):
                answer: Any = await client.request(method, "/a", body=attack)
                assert answer.status == 500, (method, attack)
                assert not answer.headers.has("x-echo")
                assert not answer.headers.has("set-cookie")
                assert not answer.headers.has("location")
