"""Bodies both ways: 100-continue, back-pressure, what is kept in memory and for how long."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import weakref
from typing import Any

import pytest

from turnout.http.response import Response

from .wire import HOST, breathe, echo, get, hello, post, post_chunked, serve, until

pytestmark = pytest.mark.usefixtures("loop_factory")

HEAD = b"POST / HTTP/1.1\r\n" + HOST
EXPECTS = HEAD + b"Expect: 100-continue\r\n"


# --- Expect


async def test_100_goes_out_when_the_handler_first_reads() -> None:
    read = asyncio.Event()

    async def handler(request: Any) -> bytes:
        await read.wait()
        return await request.bytes()  # type: ignore[no-any-return]

    async with serve({"/": handler}) as door:
        client = await door.connect()
        await client.send(EXPECTS + b"Content-Length: 2\r\n\r\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await client.more()
        read.set()
        assert (await client.answer()).status == 100
        await client.send(b"ab")
        answer = await client.answer()

        assert (answer.status, answer.body, answer["connection"]) == (200, b"ab", None)
        assert (await client.asks(get())).status == 200


async def test_100_is_sent_once_and_for_chunks_too() -> None:
    async with serve({"/": echo}) as door:
        client = await door.connect()
        await client.send(EXPECTS + b"Transfer-Encoding: chunked\r\n\r\n")
        assert (await client.answer()).status == 100
        await client.send(b"1\r\na\r\n", b"1\r\nb\r\n", b"0\r\n\r\n")

        assert (await client.answer()).body == b"ab"


async def test_there_is_no_100_when_the_body_has_begun_to_come() -> None:
    async with serve({"/": echo}) as door:
        client = await door.connect()
        await client.send(EXPECTS + b"Content-Length: 4\r\n\r\nab", b"cd")
        assert (await client.answer()).body == b"abcd"
        answer = await client.asks(EXPECTS + b"Content-Length: 2\r\n\r\nab")
        assert (answer.status, answer.body) == (200, b"ab")
        answer = await client.asks(EXPECTS + b"Content-Length: 0\r\n\r\n")
        assert (answer.status, answer.body) == (200, b"")


async def test_there_is_no_100_after_a_refusal_or_without_a_reader() -> None:
    async with serve({"/none": hello, "/": echo}) as door:
        for path, length, status in ((b"/none", 2, 200), (b"/missing", 2, 404), (b"/", 20_000_000, 413)):
            client = await door.connect()
            line = b"POST %b HTTP/1.1\r\n" % path
            await client.send(line + HOST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % length)
            answer = await client.answer()

            assert answer.status == status and answer.closes
            assert await client.is_closed()


async def test_there_is_no_100_inside_of_a_stream() -> None:
    async def handler(request: Any) -> Response:
        return Response.stream(request.stream())

    async with serve({"/": handler}) as door:
        client = await door.connect()
        await client.send(EXPECTS + b"Content-Length: 4\r\n\r\n", b"ab", b"cd")
        answer = await client.answer()

        assert (answer.status, answer.body) == (200, b"abcd")


@pytest.mark.parametrize("value", ["200-ok", "100-continue, more", "", "100"])
async def test_another_expectation_is_417(value: str) -> None:
    async with serve({"/": echo}) as door:
        client = await door.connect()
        answer = await client.asks(post("/", b"", f"Expect: {value}"))

        assert answer.status == 417 and answer.closes


async def test_expect_is_known_in_any_case_and_means_nothing_in_http_1_0() -> None:
    async with serve({"/": echo}) as door:
        client = await door.connect()
        await client.send(HEAD + b"Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n")
        assert (await client.answer()).status == 100
        client = await door.connect()
        await client.send(b"POST / HTTP/1.0\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        await client.send(b"a")
        assert (await client.answer()).body == b"a"


# --- uploads


async def test_a_handler_that_does_not_read_lets_64_kib_in_and_no_more() -> None:
    go_on = asyncio.Event()

    async def handler(request: Any) -> int:
        await go_on.wait()
        return len(await request.bytes())

    size = 12_000_000
    for framing in ("length", "chunked", "small chunks"):
        go_on.clear()
        async with serve({"/": handler}) as door:
            client = await door.connect()
            if framing == "length":
                data = post("/", b"x" * size)
            elif framing == "chunked":
                data = post_chunked("/", *[b"x" * 1_000_000] * 12)
            else:
                data = post_chunked("/", *[b"x" * 100] * 120_000)
            sending = asyncio.ensure_future(client.send(data))
            connection = next(iter(door.serving.connections))
            await until(lambda c=connection: not c._reading)
            await breathe()
            current = connection._current
            assert current is not None and not sending.done()
            assert current.size <= 65_536 * 2
            assert current.size + len(connection._held) <= 600_000  # one read of the loop's
            go_on.set()
            assert json.loads((await client.answer()).body) == size
            await sending


async def test_a_body_in_tiny_packets_is_held_back_too() -> None:
    go_on = asyncio.Event()

    async def handler(request: Any) -> int:
        await go_on.wait()
        return len(await request.bytes())

    async with serve({"/": handler}) as door:
        client = await door.connect()
        await client.send(HEAD + b"Content-Length: 300000\r\n\r\n")
        connection = next(iter(door.serving.connections))
        sent = 0
        while connection._reading and sent < 300_000:
            sent += client.send_now(b"x" * 500)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        assert not connection._reading
        assert connection._current is not None and connection._current.size < 70_000
        go_on.set()
        sending = asyncio.ensure_future(client.send(b"x" * (300_000 - sent)))
        assert (await client.answer()).body == b"300000"
        await sending


async def test_an_upload_streams_through_a_handler_without_piling_up() -> None:
    most = 0

    async def handler(request: Any) -> int:
        nonlocal most
        total = 0
        async for piece in request.stream():
            most = max(most, len(piece))
            total += len(piece)
            await asyncio.sleep(0)
        return total

    async with serve({"/": handler}) as door:
        client = await door.connect()
        sending = asyncio.ensure_future(client.send(post("/", b"x" * 10_000_000)))
        assert json.loads((await client.answer()).body) == 10_000_000
        await sending
    assert most <= 131_072


async def test_tiny_chunks_reach_the_handler_together() -> None:
    pieces = []

    async def handler(request: Any) -> None:
        async for piece in request.stream():
            pieces.append(piece)
            await asyncio.sleep(0)

    async with serve({"/": handler}) as door:
        answer = await door.asks(post_chunked("/", *[b"x"] * 30_000))

        assert answer.status == 204
    assert b"".join(pieces) == b"x" * 30_000
    assert len(pieces) < 1_000


async def test_a_chunk_that_breaks_off_while_the_handler_reads_is_a_400() -> None:
    seen = []

    async def handler(request: Any) -> None:
        try:
            async for piece in request.stream():
                seen.append(piece)
        except asyncio.CancelledError:
            seen.append(b"cancelled")
            raise

    async with serve({"/": handler}) as door:
        client = await door.connect()
        await client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", b"ZZ\r\n")
        answer = await client.answer()

        assert answer.status == 400 and answer.closes
        assert await client.is_closed()
    assert seen == [b"ab", b"cancelled"]


async def test_a_body_that_is_read_late_by_a_task_of_its_own_is_still_there() -> None:
    bodies = []

    async def handler(request: Any) -> str:
        async def work() -> None:
            await asyncio.sleep(0.005)
            bodies.append(await request.bytes())

        tasks.append(asyncio.ensure_future(work()))
        return "x"

    tasks: list[Any] = []
    async with serve({"/": handler}) as door:
        client = await door.connect()
        await client.send(post("/", b"abc") + get())
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]
        await asyncio.gather(*tasks)
    assert bodies == [b"abc", b""]


async def test_the_body_of_an_answered_request_is_not_kept_by_an_idle_connection() -> None:
    class Kept:
        pass

    kept: list[weakref.ref[Any]] = []

    async def handler(request: Any) -> str:
        request.state.kept = thing = Kept()
        kept.append(weakref.ref(thing))
        await request.bytes()
        return "x"

    async with serve({"/": handler}) as door:
        client = await door.connect()
        for data in (post("/", b"x"), post("/", b"y"), post_chunked("/", b"z"), get()):
            await client.asks(data)
            await breathe()
            gc.collect()
            assert [each() for each in kept] == [None] * len(kept)


async def test_413_for_a_body_that_grows_over_the_limit_chunk_by_chunk() -> None:
    async with serve({"/": echo}, options={"body_limit": 1_000}) as door:
        for data in (post("/", b"x" * 1_001), post_chunked("/", *[b"x" * 100] * 11)):
            client = await door.connect()
            answer = await client.asks(data)
            assert answer.status == 413
        for data in (post("/", b"x" * 1_000), post_chunked("/", *[b"x" * 100] * 10)):
            assert (await door.asks(data)).status == 200
        client = await door.connect()
        await client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(11):
            await client.send(b"64\r\n" + b"x" * 100 + b"\r\n")
        answer = await client.answer()  # without its end
        assert answer.status == 413 and answer.closes


# --- downloads


async def test_a_slow_reader_holds_the_generator_back() -> None:
    pulled = 0

    async def handler(request: Any) -> Response:
        async def chunks() -> Any:
            nonlocal pulled
            for _ in range(5_000):
                pulled += 1
                yield b"x" * 10_000

        return Response.stream(chunks())

    async with serve({"/": handler}) as door:
        client = await door.connect(receive_buffer=4_096)
        connection = next(iter(door.serving.connections))
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        await client.send(get())
        await until(lambda: not connection._writable)
        await breathe()
        first = pulled
        assert first < 50  # the buffer, the kernel's two, and the item that did not fit
        assert connection.transport.get_write_buffer_size() < 65_536 + 20_000
        await client.reads_slowly(200_000)
        await until(lambda: pulled > first)
        await breathe()
        assert pulled < first + 50
        client.close()


async def test_a_slow_reader_of_small_answers_holds_the_next_requests_back() -> None:
    calls = 0

    async def handler(request: Any) -> bytes:
        nonlocal calls
        calls += 1
        return b"x" * 50_000

    async with serve({"/": handler}) as door:
        client = await door.connect(receive_buffer=4_096)
        connection = next(iter(door.serving.connections))
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        await client.send(get() * 200)
        await until(lambda: not connection._writable)
        await breathe()
        assert calls < 20
        assert not connection._reading
        for _ in range(200):
            assert len((await client.answer()).body) == 50_000
        assert calls == 200


async def test_a_stream_of_empty_items_still_gives_way() -> None:
    async def handler(request: Any) -> Response:
        async def chunks() -> Any:
            for _ in range(10):
                yield b""
                await asyncio.sleep(0)
            yield "end"

        return Response.stream(chunks())

    async with serve({"/": handler}) as door:
        answer = await door.asks(get())

        assert answer.chunks == [b"end"]


async def test_a_request_body_can_be_streamed_back() -> None:
    async def handler(request: Any) -> Response:
        return Response.stream(request.stream())

    async with serve({"/": handler}) as door:
        client = await door.connect()
        size = 3_000_000
        sending = asyncio.ensure_future(client.send(post("/", b"x" * size)))
        answer = await client.answer()
        await sending

        assert len(answer.body) == size


async def test_a_stream_that_said_close_closes_although_the_body_came_to_its_end() -> None:
    async def handler(request: Any) -> Response:
        return Response.stream(request.stream())

    async with serve({"/": handler}) as door:
        client = await door.connect()
        await client.send(HEAD + b"Content-Length: 4\r\n\r\nab", b"cd" + get())
        answer = await client.answer()

        assert answer.closes and answer.body == b"abcd"
        assert await client.is_closed()


async def test_head_fields_of_a_file_with_a_wrong_length_are_those_of_its_bytes() -> None:
    async def handler(request: Any) -> Response:
        response = Response("four", headers={"a": "b"})
        response.content_length = 999
        return response

    async with serve({"/": handler}) as door:
        client = await door.connect()
        assert (await client.asks(get())).body == b"four"
        assert (await client.asks(get())).body == b"four"
