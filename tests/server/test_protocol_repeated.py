"""A connection whose requests repeat the fields of the one before: begun without the parser."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.http.request import Request
from turnout.http.response import Response
from turnout.server import reading

from .wire import Client, describe, get, hello, post, serve

pytestmark = pytest.mark.usefixtures("loop_factory")


async def test_requests_that_repeat_each_other_share_nothing() -> None:
    seen: list[Any] = []

    async def handler(request: Any) -> Any:
        assert not hasattr(request.state, "mark")
        request.state.mark = True
        seen.append(request)
        if "wait" in request.target:
            await asyncio.sleep(0)
        if "stream" in request.target:

            async def pieces() -> Any:
                yield request.target

            return Response.stream(pieces())
        if "bad" in request.target:
            raise RuntimeError("no")
        return Response(request.target)

    targets = ["/", "/", "/wait", "/", "/stream", "/", "/bad", "/", "/stream?wait", "/?q", "/wait", "/wait", "/"]
    async with serve({"/": handler, "/wait": handler, "/stream": handler, "/bad": handler}) as door:
        client = await door.connect()
        for target in targets:
            answer = await client.asks(get(target))
            if "bad" in target:
                assert answer.status == 500
            else:
                assert (b"".join(answer.chunks) if "stream" in target else answer.body) == target.encode()
    assert [request.target for request in seen] == targets
    assert len(set(map(id, seen))) == len(targets)


async def test_nothing_is_begun_on_a_connection_that_is_about_to_close() -> None:
    calls: list[str] = []

    async def handler(request: Any) -> str:
        calls.append(request.target)
        return "x"

    async with serve({"/": handler}) as door:
        client = await door.connect()
        await client.asks(get())
        await client.asks(get())
        door.serving.drain()
        await client.send(get())
        assert (await client.answer()).closes
        with contextlib.suppress(OSError):
            await client.send(get())
        await asyncio.sleep(0)
        assert len(calls) == 3


async def test_a_known_block_and_one_of_the_parser_have_the_limit_of_a_query() -> None:
    async with serve({"/": describe}, max_query_bytes=10) as door:
        for before in range(4):
            client = await door.connect()
            for _ in range(before):
                assert (await client.asks(get("/?0123456789"))).status == 200
            assert (await client.asks(get("/?0123456789a"))).status == 414


PLAIN = [
    *(["Host: localhost", f"X-Id: {n}"] for n in range(3)),
    *([f"X-Id: {n}", "HOST:\tlocalhost \t", "Content-type: a/b"] for n in range(2)),
    ["Host: localhost", "Upgrade: h2c"],
]
BENT = [
    ["Host: localhost", "Host: localhost"],
    ["X-Id: 1"],
    ["Host: local host"],
    ["Host: localhost", "Connection: close"],
    ["Host: localhost", "Expect: 100-continue"],
    ["Host: localhost", "Expect: more"],
    ["Host: localhost", "Connection: upgrade", "Upgrade: h2c"],
    ["Host: localhost", "Transfer-Encoding: gzip, chunked"],
    ["Host: localhost", "Transfer-Encoding: chunked"],
    ["Host: localhost", "Content-Length: 1"],
    ["Host: localhost", "Content-Length : 1"],
    ["Host: localhost", *(f"X-{n}: 1" for n in range(100))],
]
LINES = ["GET /a HTTP/1.1", "POST /a HTTP/1.1", "PUT /a?b=%20 HTTP/1.1", "DELETE /a?x HTTP/1.1", "PATCH /a HTTP/1.1"]
BENT_LINES = [
    "GET /a HTTP/1.0",
    "GET /a#b HTTP/1.1",
    "POST http://localhost/a HTTP/1.1",
    "FOO /a HTTP/1.1",
    "GET /a HTTP/1.2",
]
BODIES = [None, b"", b"1", b"22", b"0\r\n\r\n", b"GET /a HTTP/1.1\r\n\r\n", b"x" * 1_000, b"y" * 3_000]


def one_of_them(lines: list[str], fields: list[list[str]]) -> Any:
    return st.tuples(st.sampled_from(lines), st.sampled_from(fields), st.sampled_from(BODIES))


def to_bytes(line: str, fields: list[str], body: bytes | None) -> bytes:
    if "Transfer-Encoding: chunked" in fields:
        body = body or b"-"
        return "\r\n".join([line, *fields, "", ""]).encode() + b"%x\r\n%b\r\n0\r\nHost: x\r\n\r\n" % (len(body), body)
    length = [] if body is None else [f"Content-Length: {len(body)}"]
    return "\r\n".join([line, *fields, *length, "", ""]).encode() + (body or b"")


async def told(client: Client, *pieces: bytes) -> tuple[int, bool, Any]:
    """How a request is answered, but for what is of this answer alone."""
    await client.send(*pieces)
    answer = await client.answer()
    if answer.status == 100:
        answer = await client.answer()
    body: Any = json.loads(answer.body) if answer.body else None
    if answer.status >= 400:
        body.pop("instance", None)
    return answer.status, answer.closes, body


@settings(deadline=None, max_examples=30)
@given(
    st.lists(one_of_them(LINES, PLAIN), max_size=8), one_of_them(LINES + BENT_LINES, PLAIN + BENT), st.integers(1, 60)
)
def test_a_request_is_answered_as_if_it_came_alone_and_in_pieces(before: Any, last: Any, cut: int) -> None:
    """Every short way (a known block, a body that is here with its head) against a parser that is fed in pieces."""

    async def run() -> None:
        async with serve({"/a": describe}) as door:
            client = await door.connect()
            for each in [*before, *before[-1:], *before[-1:], last]:
                data = to_bytes(*each)
                head = data.index(b"\r\n\r\n") + 4
                edges = sorted({0, min(cut, head), head, head + (len(data) - head) // 2, len(data)})
                pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
                whole = await told(client, data)
                assert whole == await told(await door.connect(), *pieces), data
                if whole[1]:
                    break

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ([], ""),
        (["Content-Type:"], ""),
        (["CONTENT-TYPE: \ta/b; c=\xe9"], "a/b; c=\xe9"),
        (["Content-Type: a/b", "X-Id: 1", "content-type: a/b"], ""),
        (["Content-Type: a/b", "content-type: c/d", "content-type: a/b"], ""),
    ],
)
async def test_the_content_type_is_the_one_field_however_often_its_block_came(fields: list[str], kind: str) -> None:
    async def kinds(request: Any) -> Any:
        first = request.content_type
        return Response.json([first, Request("POST", "/", headers=request.headers.items()).content_type])

    async with serve({"/": kinds}) as door:
        client = await door.connect()
        for _ in range(4):
            answer = await client.asks(post("/", b"x", *fields))
            assert json.loads(answer.body) == [kind, kind]


async def test_what_is_remembered_of_requests_is_bounded_and_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_TARGETS", 3)
    async with serve({"/": hello}) as door:
        client = await door.connect()
        for number in range(20):
            await client.asks(get(f"/{number}"))
            await client.asks(f"GET / HTTP/1.1\r\nHost: localhost:{number}\r\n\r\n".encode())
            assert b"GET /" in door.serving.asked
            assert f"localhost:{number}".encode() in door.serving.hosts
            assert len(door.serving.asked) <= 3 and len(door.serving.hosts) <= 3
