"""Several requests on one connection: answers in order, one handler at a time, a bounded number ahead."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.http.response import Response

from .wire import HOST, Client, describe, echo, get, hello, post, post_chunked, serve, until, wait_on

pytestmark = pytest.mark.usefixtures("loop_factory")


async def at_once(request: Any) -> str:
    return str(request.target)


async def soon(request: Any) -> str:
    await asyncio.sleep(0)
    return str(request.target)


async def later(request: Any) -> str:
    await asyncio.sleep(0.003)
    return str(request.target)


async def streamed(request: Any) -> Response:
    async def chunks() -> Any:
        yield request.target[:3]
        await asyncio.sleep(0)
        yield request.target[3:]

    return Response.stream(chunks())


MIXED = {"/at-once": at_once, "/soon": soon, "/later": later, "/streamed": streamed}


@pytest.mark.parametrize("seed", range(6))
async def test_answers_come_in_the_order_of_the_requests(seed: int) -> None:
    dice = random.Random(seed)
    targets = [f"{dice.choice(list(MIXED))}?{number}" for number in range(30)]
    async with serve(MIXED) as door:
        client = await door.connect()
        await client.send(b"".join(get(target) for target in targets))
        for target in targets:
            body = (await client.answer()).body.decode()

            assert body.strip('"') == target


async def test_one_handler_runs_at_a_time_on_one_connection() -> None:
    running = most = 0

    async def handler(request: Any) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return "x"

    async with serve({"/": handler}) as door:
        client = await door.connect()
        await client.send(get() * 20)
        for _ in range(20):
            assert (await client.answer()).status == 200
            assert door.serving.in_flight <= 1
    assert most == 1


async def test_behind_a_handler_that_waits_a_bounded_number_is_parsed_and_reading_pauses() -> None:
    release = asyncio.Event()
    async with serve({"/wait": wait_on(release), "/": hello}) as door:
        client = await door.connect()
        await client.send(get("/wait"))
        small = b"GET / HTTP/1.1\r\nHost:localhost\r\n\r\n"
        await client.send(small * 3_000)
        connection = next(iter(door.serving.connections))

        assert 64 <= len(connection._waiting) <= 64 + 1_024 // len(small)
        assert not connection._reading
        release.set()
        answers = [await client.answer() for _ in range(3_001)]
        assert {answer.status for answer in answers} == {200}
        assert connection._reading


async def test_a_refusal_waits_for_its_turn() -> None:
    async with serve(MIXED) as door:
        client = await door.connect()
        await client.send(get("/later") + get("/soon") + b"GET / HTTP/1.1\r\n\r\n" + get("/at-once"))

        assert [(await client.answer()).status for _ in range(3)] == [200, 200, 400]
        assert await client.is_closed()


async def test_what_is_malformed_behind_a_request_does_not_harm_its_answer() -> None:
    async with serve(MIXED) as door:
        for path in MIXED:
            client = await door.connect()
            await client.send(get(path) + b"\x00\x01\r\n\r\n")

            assert [(await client.answer()).status for _ in range(2)] == [200, 400]
            assert await client.is_closed()


async def test_requests_with_bodies_are_pipelined_too() -> None:
    async with serve({"/": echo, "/wait": later}) as door:
        client = await door.connect()
        bodies = [b"a", b"", b"c" * 5_000, b"d" * 200_000, b"e"]
        await client.send(get("/wait"))
        sending = asyncio.ensure_future(
            client.send(b"".join(post("/", body) + post_chunked("/", body or b"x") for body in bodies))
        )
        await client.answer()
        for body in bodies:
            assert (await client.answer()).body == body
            assert (await client.answer()).body == (body or b"x")
        await sending


async def test_a_body_left_unread_by_its_handler_does_not_become_a_request() -> None:
    calls = []

    async def ignores(request: Any) -> str:
        calls.append(request.method)
        return "x"

    async def ignores_later(request: Any) -> str:
        calls.append(request.method)
        await asyncio.sleep(0.001)
        return "x"

    smuggled = get("/smuggled")
    async with serve({"/": ignores, "/later": ignores_later, "/smuggled": hello}) as door:
        for path in ("/", "/later"):
            for request in (post(path, smuggled), post_chunked(path, smuggled)):
                calls.clear()
                client = await door.connect()
                assert (await client.asks(request + get(path))).status == 200  # came whole: it goes on
                assert (await client.answer()).body == b'"x"'
                assert calls == ["POST", "GET"]

                calls.clear()
                client = await door.connect()
                head, _, body = request.partition(b"\r\n\r\n")
                await client.send(head + b"\r\n\r\n")
                answer = await client.answer()
                assert answer.status == 200 and answer.closes  # the rest would be read only to be dropped
                await client.send(body)
                assert await client.is_closed()
                assert calls == ["POST"]


STREAMS: dict[str, bytes] = {
    "plain": get("/a") + get("/b?c=d") + get("/a", "Connection: close"),
    "bodies": post("/a", b"12345") + post("/a", b"") + post_chunked("/a", b"ab", b"c", trailer=b"X: y\r\n") + get("/b"),
    "the same block": post("/a", b"12345") + post("/b", b"54321") + post("/a", b"00000"),
    "blank lines": b"\r\n\r\n" + get("/a") + b"\r\n" + get("/b"),
    "version 1.0": get("/a") + b"\r\nGET /b HTTP/1.0\r\n" + HOST + b"\r\n",
    "version 1.0 behind a body": post("/a", b"abc") + get("/b", version="1.0"),
    "refused": get("/a") + b"GET /a HTTP/1.1\r\n\r\n",
    "upgrade": get("/a", "Connection: Upgrade", "Upgrade: h2c"),
    "too long": get("/a") + get("/" + "x" * 3_000),
    "absolute": get("http://localhost/a") + get("/b"),
    "expects": post("/a", b"abc", "Expect: 100-continue"),
    "bad chunk": post_chunked("/a", b"ab") + post("/a", b"ab") + b"\x16\x03\x01",
}


LAST = get("/end", "Connection: close")


async def everything(client: Client, *pieces: bytes) -> list[tuple[int, str | None, Any]]:
    """Status, Connection and what was described, of all answers up to the close; interim ones left out."""
    for piece in (*pieces, LAST):
        try:
            client.sock.send(piece)
        except OSError:  # closed: what comes behind the last request is not read
            break
        for _ in range(3):
            await asyncio.sleep(0)
    await client.end()
    answers = []
    while client.seen:
        answer = await client.answer()
        if answer.status != 100:
            body = json.loads(answer.body) if answer.body else None
            if isinstance(body, dict):
                body.pop("instance", None)
            answers.append((answer.status, answer["connection"], body))
    assert answers[-1][1] == "close"
    return answers


@pytest.mark.parametrize("name", STREAMS)
async def test_splitting_the_input_anywhere_changes_no_answer(name: str) -> None:
    data = STREAMS[name]
    async with serve({"/a": describe, "/b": describe}) as door:
        client = await door.connect()
        whole = await everything(client, data)
        assert whole
        client.close()

        async def split(*cuts: int) -> None:
            edges = [0, *cuts, len(data)]
            client = await door.connect()
            found = await everything(client, *(data[a:b] for a, b in itertools.pairwise(edges) if a < b))
            client.close()
            assert found == whole, cuts

        step = 1 if len(data) < 600 else len(data) // 300
        places = range(1, len(data), step)
        for at in range(0, len(places), 40):
            await asyncio.gather(*(split(cut) for cut in places[at : at + 40]))
        dice = random.Random(name)
        await asyncio.gather(*(split(*sorted(dice.sample(range(1, len(data)), 6))) for _ in range(20)))
        await split(*places)  # byte by byte


@settings(deadline=None, max_examples=20)
@given(
    first=st.sampled_from(sorted(STREAMS)), second=st.sampled_from(sorted(STREAMS)), cuts=st.sets(st.integers(1, 400))
)
def test_any_two_inputs_after_each_other_split_anywhere_are_answered_as_one(
    first: str, second: str, cuts: set[int]
) -> None:
    data = STREAMS[first] + STREAMS[second]

    async def run() -> None:
        async with serve({"/a": describe, "/b": describe}) as door:
            whole = await everything(await door.connect(), data)
            edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
            pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
            assert await everything(await door.connect(), *pieces) == whole

    asyncio.run(run())


async def test_a_repeated_header_block_is_judged_like_the_first() -> None:
    """The short way round the parser: only the request line may differ, and is held to the same rules."""
    async with serve({"/a": describe, "/b": describe}) as door:
        client = await door.connect()
        for _ in range(2):
            first = await client.asks(get("/a", "X-One: 1"))
            assert json.loads(first.body)["target"] == "/a"
        for line, status in (
            (b"GET /b?x=y HTTP/1.1", 200),
            (b"PUT /b HTTP/1.1", 200),
            (b"HEAD /b HTTP/1.1", 200),
            (b"DELETE /none HTTP/1.1", 404),
            (b"GET http://localhost/b HTTP/1.1", 200),
            (b"OPTIONS * HTTP/1.1", 204),
            (b"OPTIONS /a HTTP/1.1", 204),
        ):
            await client.send(line + b"\r\nHost: localhost\r\nX-One: 1\r\n\r\n")
            answer = await client.answer(head_only=line.startswith(b"HEAD"))
            assert answer.status == status, line
        for line, status in (
            (b"GET /b HTTP/1.0", 200),
            (b"GET /b HTTP/1.2", 400),
            (b"GET /\xc3\xa9 HTTP/1.1", 400),
            (b"GET /\x00 HTTP/1.1", 400),
            (b"GET /a\n HTTP/1.1", 400),
            (b"GET /a\\ HTTP/1.1", 400),
            (b"GET /a# HTTP/1.1", 400),
            (b"GET example.com HTTP/1.1", 400),
            (b"GET /" + b"x" * 2_048 + b" HTTP/1.1", 414),
            (b"TRACE / HTTP/1.1", 501),
            (b"FOO / HTTP/1.1", 501),
            (b"GET / RTSP/1.0", 505),
        ):
            client = await door.connect()
            await client.asks(get("/a", "X-One: 1"))
            await client.asks(get("/a", "X-One: 1"))
            answer = await client.asks(line + b"\r\nHost: localhost\r\nX-One: 1\r\n\r\n")
            assert answer.status == status, line
            assert answer.closes


@pytest.mark.parametrize("other", ["Connection: close", "Expect: 100-continue", "Transfer-Encoding: chunked"])
async def test_a_block_that_does_more_than_describe_is_never_repeated_unread(other: str) -> None:
    async with serve({"/": echo}) as door:
        client = await door.connect()
        data = get("/", other) if "chunked" not in other else post_chunked("/", b"ab")
        first = await client.asks(data)
        assert first.closes == (other == "Connection: close")
        if not first.closes:
            for _ in range(3):
                assert (await client.asks(data)).status == 200


async def test_a_known_block_waits_for_its_turn_when_the_socket_is_full() -> None:
    large = b"x" * 4_000_000
    order = []

    async def handler(request: Any) -> bytes:
        order.append(request.target)
        return large if "large" in request.target else b"small"

    async with serve({"/": handler}) as door:
        client = await door.connect(receive_buffer=4_096)
        for _ in range(2):
            await client.asks(get("/?first"))
        await client.send(get("/?large"), get("/?second"), get("/?third"))
        connection = next(iter(door.serving.connections))
        await until(lambda: not connection._writable)
        bodies = [(await client.answer()).body for _ in range(3)]

        assert bodies == [large, b"small", b"small"]
        assert order == ["/?first", "/?first", "/?large", "/?second", "/?third"]
