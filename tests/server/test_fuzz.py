"""Requests bent in every way a seeded die knows: always an answer, well formed, and nothing left behind.

TURNOUT_FUZZ sets how many connections are tried (3,000), TURNOUT_FUZZ_SEED where the die begins;
a failure prints the seed of its own connection, with which it replays alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from typing import Any

import httptools
import pytest

from turnout.http.response import Response

from .wire import HOST, Door, describe, echo, get, hello, post, post_chunked, serve

COUNT = int(os.environ.get("TURNOUT_FUZZ") or 3_000)
SEED = int(os.environ.get("TURNOUT_FUZZ_SEED") or 20_261_122)
AT_ONCE = 25
GIVE_UP_S = 60.0

TOKENS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\x00",
    b"\x7f",
    b"\xff",
    b":",
    b",",
    b";",
    b"0",
    b"-1",
    b"+1",
    b"/",
    b"//",
    b"*",
    b"#",
    b"\\",
    b"%",
    b"%00",
    b"%2e%2e",
    b"..",
    b"?",
    b"&",
    b"@",
    b"[",
    b"]",
    b"http://localhost",
    b"http://example.com",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"RTSP/1.0",
    b"GET",
    b"POST",
    b"HEAD",
    b"OPTIONS",
    b"CONNECT",
    b"PRI",
    b"Host: localhost\r\n",
    b"Host: other\r\n",
    b"Host:\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: 1000000000\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b"Connection: keep-alive\r\n",
    b"Expect: 100-continue\r\n",
    b"Expect: x\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"ffffffffffffffff\r\n",
    b"5;x=y\r\n",
    b"A: " + b"x" * 40_000,
    b"A: b\r\n" * 120,
    b"x" * 3_000,
]


async def soon(request: Any) -> str:
    await asyncio.sleep(0)
    return "soon"


async def later(request: Any) -> bytes:
    await asyncio.sleep(0.001)
    return await request.bytes()  # type: ignore[no-any-return]


async def stream(request: Any) -> Response:
    async def chunks() -> Any:
        async for piece in request.stream():
            yield piece
        yield "end"

    return Response.stream(chunks())


async def form(request: Any) -> int:
    return len([pair async for pair in _pairs(request)])


async def _pairs(request: Any) -> Any:
    for pair in request.search_params:
        yield pair
    for cookie in request.cookies:
        yield cookie


HANDLERS = {
    "/": hello, "/soon": soon, "/later": later, "/echo": echo, "/describe": describe, "/stream": stream, "/form": form,
    "/x/[id]": describe,
}  # fmt: skip


def a_request(dice: random.Random) -> bytes:
    """One request, mostly well formed."""
    path = dice.choice(
        ["/", "/soon", "/later", "/echo", "/describe", "/stream", "/form?a=b&c", "/x/1", "/x/%C3%A9", "/no", "//x/"]
    )
    fields = dice.sample(
        ["Accept: */*", "Cookie: a=b; c", "Content-Type: application/json", "Connection: keep-alive", "X: " + "y" * 50],
        dice.randrange(4),
    )
    kind = dice.randrange(6)
    if kind < 3:
        return get(path, *fields, version=dice.choice(["1.1", "1.1", "1.1", "1.0"]))
    body = dice.randbytes(dice.choice([0, 1, 5, 100, 3_000]))
    if kind == 3:
        return post(path, body, *fields, *dice.choice([(), ("Expect: 100-continue",)]))
    if kind == 4:
        cut = dice.randrange(len(body) + 1)
        chunks = [chunk for chunk in (body[:cut], body[cut:]) if chunk]
        return post_chunked(path, *chunks, fields=tuple(fields), trailer=dice.choice([b"", b"X: y\r\n"]))
    method = dice.choice(["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
    return f"{method} {path} HTTP/1.1\r\n".encode() + HOST + b"\r\n"


def mutate(dice: random.Random, data: bytes) -> bytes:
    """One change somewhere."""
    at = dice.randrange(len(data) + 1)
    to = min(len(data), at + dice.choice([1, 1, 2, 5, 20]))
    kind = dice.randrange(8)
    if kind == 0:
        return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + data[to:]
    if kind in (2, 3):
        return data[:at] + dice.choice(TOKENS) + data[at:]
    if kind == 4:
        return data[:at] + dice.choice(TOKENS) + data[to:]
    if kind == 5:
        return data[:at] + data[at:to] * dice.choice([2, 3, 50]) + data[to:]
    lines = data.split(b"\r\n")
    if kind == 6:
        lines.insert(dice.randrange(len(lines)), dice.choice(lines))
    else:
        dice.shuffle(lines)
    return b"\r\n".join(lines)


def a_conversation(dice: random.Random) -> list[bytes]:
    """What one client sends, in pieces."""
    data = b"".join(a_request(dice) for _ in range(dice.choice([1, 1, 2, 3, 8])))
    for _ in range(dice.choice([0, 1, 1, 1, 2, 4])):
        data = mutate(dice, data)
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.choice([0, 0, 1, 2, 6])))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


class Reader:
    """Takes answers apart with the other half of the parser; it complains of what is malformed."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.open = False
        self._new()

    def _new(self) -> None:
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.open = True

    def on_headers_complete(self) -> None:
        self.statuses.append(self.parser.get_status_code())

    def on_message_complete(self) -> None:
        self.open = False


async def converse(door: Door, seed: int) -> list[int]:
    """The statuses of all answers to the conversation of *seed*, read up to the end."""
    dice = random.Random(seed)
    pieces = a_conversation(dice)
    leaves = dice.random() < 0.1
    client = await door.connect()
    received = b""
    try:
        async with asyncio.timeout(GIVE_UP_S):
            for piece in pieces:
                try:
                    client.send_now(piece)
                except OSError:
                    break
                await asyncio.sleep(0)
            if leaves:
                (client.resets if dice.random() < 0.5 else client.close)()
                return []
            # What is still awaited of an unfinished request would come at its deadline only.
            quiet = 0
            while quiet < 3:
                await asyncio.sleep(0.002)
                try:
                    data = client.sock.recv(1_000_000)
                except BlockingIOError:
                    quiet += 1
                    continue
                except ConnectionResetError:
                    break
                if not data:
                    break
                received, quiet = received + data, 0
    finally:
        client.close()
    return statuses_in(received, heads=b"HEAD" in b"".join(pieces))


def statuses_in(received: bytes, *, heads: bool) -> list[int]:
    """The status of every answer in *received*.

    An answer to HEAD has a length and no body, which only who asked can tell: with one among
    the requests the heads are looked at one by one.
    """
    if not heads:
        reader = Reader()
        try:
            reader.parser.feed_data(received)
        except httptools.HttpParserUpgrade:
            raise AssertionError(f"an upgrade nobody offered: {received!r}") from None
        return reader.statuses
    statuses = []
    for part in received.split(b"HTTP/1.1 ")[1:]:
        head, found, _ = part.partition(b"\r\n\r\n")
        if found and b"date: " in head:
            statuses.append(int(head[:3]))
    return statuses


@pytest.mark.usefixtures("loop_factory")
async def test_bent_requests_get_answers_and_never_a_server_error(caplog: pytest.LogCaptureFixture) -> None:
    seen: dict[int, int] = {}
    async with serve(HANDLERS) as door:

        async def try_one(seed: int) -> None:
            try:
                statuses = await converse(door, seed)
                assert not [each for each in statuses if each >= 500 and each not in (501, 505)], statuses
            except BaseException as exc:
                if isinstance(exc, asyncio.CancelledError):
                    raise
                raise AssertionError(f"seed {seed}: {a_conversation(random.Random(seed))!r}") from exc
            for status in statuses:
                seen[status] = seen.get(status, 0) + 1

        for start in range(0, COUNT // 2, AT_ONCE):
            await asyncio.gather(*(try_one(SEED + number) for number in range(start, start + AT_ONCE)))
    # asyncio warns of writes to a connection reset a moment ago; a stream may break off for a body over the limit.
    expected = ("socket.send() raised", "a stream failed: (4")
    assert not [each for each in caplog.records if not each.getMessage().startswith(expected)], caplog.text
    # The die reaches every corner: successes as well as most refusals.
    assert {200, 204, 400, 404, 417, 431, 501, 505} <= set(seen), json.dumps(seen)
