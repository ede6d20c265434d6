"""Deadlines, and clients that leave: who is waited for, how long, and what is left when it is over."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from typing import Any

import pytest

from turnout.context import after
from turnout.http.response import Response

from .wire import HOST, Door, Watch, breathe, echo, get, hello, post, serve, until, wait_on

pytestmark = pytest.mark.usefixtures("loop_factory")

HEAD = b"POST / HTTP/1.1\r\n" + HOST


# --- the head


async def test_a_silent_client_is_closed_after_the_header_timeout() -> None:
    async with serve({"/": hello}, header_timeout_s=10) as door:
        client = await door.connect()
        await door.pass_s(9, 1)
        assert door.serving.connections
        await door.pass_s(1)

        assert await client.is_closed()


@pytest.mark.parametrize(
    "begun", [b"GET /", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b", b"\r\n"]
)
async def test_a_head_that_does_not_end_is_408_however_slowly_it_goes_on(begun: bytes) -> None:
    async with serve({"/": hello}, header_timeout_s=10) as door:
        client = await door.connect()
        await client.send(begun)
        for _ in range(10):
            await door.pass_s(1)
            await client.send(b"\r\n" if begun == b"\r\n" else b"x")
        assert door.serving.connections
        await door.pass_s(1)
        answer = await client.answer()

        assert answer.status == 408 and answer.closes
        assert await client.is_closed()


async def test_a_head_in_time_is_answered() -> None:
    async with serve({"/": hello}, header_timeout_s=10) as door:
        client = await door.connect()
        for piece in (b"GET / HTT", b"P/1.1\r\nHost: loc", b"alhost\r\n"):
            await client.send(piece)
            await door.pass_s(3)

        assert (await client.asks(b"\r\n")).status == 200


async def test_an_idle_connection_is_closed_after_keep_alive_and_each_request_begins_anew() -> None:
    async with serve({"/": hello}, keep_alive_s=75, header_timeout_s=10) as door:
        client = await door.connect()
        for _ in range(3):
            await client.asks(get())
            await door.pass_s(40, 30, 4)
        assert door.serving.connections
        await door.pass_s(2)

        assert await client.is_closed()


async def test_the_second_head_has_its_own_time() -> None:
    async with serve({"/": hello}, keep_alive_s=75, header_timeout_s=10) as door:
        client = await door.connect()
        await client.asks(get())
        await door.pass_s(60)
        await client.send(b"GET / HTTP/1.1\r\n")
        await door.pass_s(5)
        assert not client.seen
        await door.pass_s(6)
        assert (await client.answer()).status == 408


# --- the body


async def test_a_body_that_does_not_come_is_408_and_its_handler_cancelled() -> None:
    watch = Watch()

    async def handler(request: Any) -> None:
        try:
            await request.bytes()
        except asyncio.CancelledError:
            watch.cancelled += 1
            raise

    async with serve({"/": handler}, body_grace_s=10) as door:
        client = await door.connect()
        await client.send(HEAD + b"Content-Length: 100000\r\n\r\nab")
        await door.pass_s(*[1] * 10)
        assert not watch.cancelled
        await door.pass_s(1, 1)
        answer = await client.answer()

        assert answer.status == 408 and answer.closes
        assert watch.cancelled == 1


async def test_a_trickle_is_too_slow_and_a_steady_stream_is_not() -> None:
    for rate, status in ((900, 408), (1_100, 200)):
        async with serve({"/": echo}, body_grace_s=2, body_bytes_per_s=1_024, max_duration_s=1_000) as door:
            client = await door.connect()
            size = rate * 100
            await client.send(HEAD + b"Content-Length: %d\r\n\r\n" % size)
            sent = 0
            while sent < size and door.serving.in_flight:
                await client.send(b"x" * rate)
                sent += rate
                await door.pass_s(1)

            assert (await client.answer()).status == status


async def test_time_that_the_handler_takes_is_not_the_clients() -> None:
    go_on = asyncio.Event()

    async def handler(request: Any) -> int:
        await go_on.wait()
        return len(await request.bytes())

    async with serve({"/": handler}, body_grace_s=1, max_duration_s=1_000) as door:
        client = await door.connect()
        await client.send(HEAD + b"Content-Length: 10\r\n\r\n")
        await door.pass_s(*[1] * 50)
        go_on.set()
        await breathe()
        await door.pass_s(1)
        await client.send(b"x" * 10)

        assert (await client.answer()).body == b"10"


# --- the handler


async def test_a_handler_over_max_duration_is_cancelled_and_503(caplog: pytest.LogCaptureFixture) -> None:
    watch = Watch()
    async with serve({"/": watch, "/hello": hello}, max_duration_s=30) as door:
        client = await door.connect()
        await client.send(get() + get("/hello"))
        await door.pass_s(29, 1)
        assert watch.started == 1 and not watch.ended
        await door.pass_s(1)
        answer = await client.answer()

        assert (answer.status, json.loads(answer.body)["code"]) == (503, "handler_timeout")
        assert answer.closes and await client.is_closed()
        assert (watch.cancelled, watch.ended) == (1, 1)
    assert "timed out" in caplog.text


async def test_the_route_says_how_long() -> None:
    watch = Watch()
    async with serve({"/": watch}, options={"max_duration": 3}, max_duration_s=30) as door:
        client = await door.connect()
        await client.send(get())
        await door.pass_s(3)
        assert not watch.ended
        await door.pass_s(1)
        assert (await client.answer()).status == 503


async def test_a_time_limit_below_a_second_never_strikes_early() -> None:
    watch = Watch()
    async with serve({"/": watch}, options={"max_duration": 0.3}) as door:
        await door.pass_s(0.9)
        client = await door.connect()
        await client.send(get())
        await door.pass_s(0.31)  # the last tick may have been almost a second ago
        assert not watch.ended
        await door.pass_s(1)
        assert (await client.answer()).status == 503


async def test_time_in_the_queue_is_not_the_handlers() -> None:
    release, watch = asyncio.Event(), Watch()
    async with serve({"/wait": wait_on(release), "/": watch}, max_duration_s=10) as door:
        client = await door.connect()
        await client.send(get("/wait") + get())
        await door.pass_s(5, 4)
        release.set()
        await client.answer()
        await until(lambda: watch.started)
        await door.pass_s(5, 4)
        assert not watch.ended
        await door.pass_s(2)
        assert (await client.answer()).status == 503


async def test_a_handler_that_swallows_its_cancellation_and_answers_is_heard() -> None:
    async def handler(request: Any) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return "still here"

    async with serve({"/": handler, "/hello": hello}, max_duration_s=1) as door:
        client = await door.connect()
        await client.send(get())
        await door.pass_s(3)
        assert (await client.answer()).body == b'"still here"'
        assert (await client.asks(get("/hello"))).status == 200  # and nothing of it clings to the connection


async def test_a_handler_that_goes_on_after_its_cancellation_is_answered_for(caplog: pytest.LogCaptureFixture) -> None:
    release, ran = asyncio.Event(), []

    async def handler(request: Any) -> Response:
        after(ran.append, "after")
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                ran.append("swallowed")

        async def chunks() -> Any:
            yield "late"

        return Response.stream(chunks())

    async with serve({"/": handler}, max_duration_s=1) as door:
        client = await door.connect()
        await client.send(get() + get())
        await door.pass_s(3)
        assert ran == ["swallowed"]
        await door.pass_s(1)
        answer = await client.answer()
        assert answer.status == 503 and answer.closes
        assert await client.is_closed()
        await door.pass_s(1, 1, 100)
        assert ran == ["swallowed"]  # cancelled once, and still counted
        assert door.serving.in_flight == 1
        release.set()
        await until(lambda: not door.serving.in_flight)
        await until(lambda: ran == ["swallowed", "after"])
    assert "although it was cancelled" in caplog.text


async def test_after_work_runs_after_a_timeout() -> None:
    ran: list[str] = []

    async def handler(request: Any) -> None:
        after(ran.append, "after")
        await asyncio.Event().wait()

    async with serve({"/": handler}, max_duration_s=1) as door:
        client = await door.connect()
        await client.send(get())
        await door.pass_s(3)
        assert (await client.answer()).status == 503
        await until(lambda: ran == ["after"])


async def test_cleaning_up_is_not_cut_by_a_second_cancellation() -> None:
    cleaned = []

    async def handler(request: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.02)
            cleaned.append(1)

    async with serve({"/": handler}, max_duration_s=1) as door:
        client = await door.connect()
        await client.send(get())
        await door.pass_s(3)
        client.close()  # meanwhile the client leaves too
        await breathe()
        door.serving.cancel_all()  # and the server stops
        await until(lambda: cleaned)
    assert cleaned == [1]


# --- streams


async def test_a_stream_counts_until_its_head_and_then_from_item_to_item() -> None:
    more = asyncio.Event()

    async def handler(request: Any) -> Response:
        async def chunks() -> Any:
            try:
                for _ in range(4):
                    yield "x"
                    more.clear()
                    await more.wait()
            finally:
                await asyncio.sleep(0)
                ended.append(1)

        return Response.stream(chunks())

    ended: list[int] = []
    async with serve({"/": handler}, max_duration_s=5, stream_idle_s=60) as door:
        client = await door.connect()
        await client.send(get())
        for _ in range(2):
            await door.pass_s(30, 29)
            assert not ended
            more.set()
            await breathe()
        await door.pass_s(60, 1)

        assert await client.end() in ("reset", "closed")
        assert client.seen.endswith(b"1\r\nx\r\n" * 3)
        await until(lambda: ended)
    assert ended == [1]


@pytest.mark.parametrize(("version", "framed"), [("1.1", b"8\r\n: ping\n\n\r\n"), ("1.0", b": ping\n\n")])
async def test_a_quiet_stream_of_events_gets_comments_until_it_ends(version: str, framed: bytes) -> None:
    more = asyncio.Event()

    async def handler(request: Any) -> Response:
        async def events() -> Any:
            yield "a"
            await more.wait()

        return Response.sse(events(), ping_s=15)

    async with serve({"/": handler}, stream_idle_s=20) as door:
        client = await door.connect()
        await client.send(get(version=version))
        await door.pass_s(10)
        await door.pass_s(7, 10, 7, 10, 7)
        more.set()
        await breathe()
        await door.pass_s(16, 16)
        if version == "1.1":
            assert (await client.answer()).chunks == [b"data: a\n\n", *[b": ping\n\n"] * 3]
        else:
            assert (await client.rest()).endswith(b"\r\n\r\ndata: a\n\n" + framed * 3)


async def test_the_time_before_a_stream_is_not_its_first_items() -> None:
    go_on, more = asyncio.Event(), asyncio.Event()

    async def handler(request: Any) -> Response:
        async def chunks() -> Any:
            await more.wait()
            yield "x"

        await go_on.wait()
        return Response.stream(chunks())

    async with serve({"/": handler}, max_duration_s=100, stream_idle_s=60) as door:
        client = await door.connect()
        await client.send(get())
        await door.pass_s(50)
        go_on.set()
        await breathe()
        await door.pass_s(50)
        more.set()
        assert (await client.answer()).body == b"x"


# --- slow readers


def tighten(door: Door) -> Any:
    connection = next(iter(door.serving.connections))
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
    return connection


@pytest.mark.parametrize("streams", [True, False])
async def test_a_client_that_reads_nothing_is_cut_after_the_write_stall(streams: bool) -> None:
    ended = []

    async def handler(request: Any) -> Any:
        async def chunks() -> Any:
            try:
                while True:
                    yield b"x" * 10_000
            finally:
                ended.append(1)

        return Response.stream(chunks()) if streams else b"x" * 5_000_000

    async with serve({"/": handler}, write_stall_s=30) as door:
        client = await door.connect(receive_buffer=4_096)
        connection = tighten(door)
        await client.send(get())
        await until(lambda: not connection._writable)
        await door.pass_s(29, 1)
        assert door.serving.connections
        await door.pass_s(1)
        await until(lambda: not door.serving.connections)
    assert ended == [1] * streams


async def test_a_client_that_reads_slowly_but_steadily_gets_all_of_a_large_answer() -> None:
    large = b"x" * 1_000_000

    async def handler(request: Any) -> Any:
        return large

    async with serve({"/": handler}, write_stall_s=30, keep_alive_s=75) as door:
        client = await door.connect(receive_buffer=4_096)
        connection = tighten(door)
        await client.send(get())
        await until(lambda: not connection._writable)
        got = 0
        while not connection._writable:
            got += await client.reads_slowly(min(60_000, len(large) - got))
            await door.pass_s(20)
        assert got > 600_000
        assert door.ahead_s > 200


async def test_a_client_that_takes_a_trickle_of_a_large_answer_is_cut() -> None:
    async def handler(request: Any) -> Any:
        return b"x" * 5_000_000

    async with serve({"/": handler}, write_stall_s=30) as door:
        client = await door.connect(receive_buffer=4_096)
        connection = tighten(door)
        await client.send(get())
        await until(lambda: not connection._writable)
        for _ in range(40):
            await client.reads_slowly(100)
            await door.pass_s(1)
        await until(lambda: not door.serving.connections)


async def test_a_closing_connection_is_not_waited_for_longer_than_the_write_stall() -> None:
    async def handler(request: Any) -> Any:
        return b"x" * 60_000

    async with serve({"/": handler}, write_stall_s=30) as door:
        client = await door.connect(receive_buffer=2_048)
        connection = tighten(door)
        await client.send(get("/", "Connection: close"))
        await until(connection.transport.is_closing)
        assert connection in door.serving.connections
        await door.pass_s(29)
        assert connection in door.serving.connections
        await door.pass_s(2)
        await until(lambda: not door.serving.connections)


# --- clients that leave


@pytest.mark.parametrize("how", ["close", "resets", "ends_sending"])
async def test_a_client_that_leaves_cancels_the_handler_and_its_finally_runs(how: str, caplog: Any) -> None:
    watch, seen = Watch(), []

    async def handler(request: Any) -> None:
        seen.append(request)
        await watch(request)

    with caplog.at_level(logging.INFO):
        async with serve({"/": handler}) as door:
            client = await door.connect()
            await client.send(get() + get())
            assert watch.started == 1
            getattr(client, how)()
            await until(lambda: watch.ended)
            await until(lambda: not door.serving.in_flight)
    assert (watch.started, watch.cancelled, watch.ended) == (1, 1, 1)  # what waited behind it was not begun
    assert seen[0].signal.aborted
    assert not caplog.records  # leaving is no error


@pytest.mark.parametrize("how", ["close", "resets", "ends_sending"])
async def test_a_client_that_leaves_in_the_middle_of_its_body_cancels_the_handler(how: str, caplog: Any) -> None:
    ended = []

    async def handler(request: Any) -> None:
        try:
            await request.bytes()
        except BaseException as exc:
            ended.append(type(exc))
            raise

    async with serve({"/": handler}) as door:
        client = await door.connect()
        await client.send(HEAD + b"Content-Length: 100\r\n\r\nab")
        getattr(client, how)()
        await until(lambda: ended)
    assert ended == [asyncio.CancelledError]
    assert not caplog.records


@pytest.mark.parametrize("how", ["close", "resets"])
async def test_a_client_that_leaves_while_reading_is_paused_is_noticed_at_the_next_tick(how: str) -> None:
    watch = Watch()
    async with serve({"/": watch}) as door:
        client = await door.connect()
        connection = next(iter(door.serving.connections))
        await client.send(HEAD + b"Content-Length: 9000000\r\n\r\n")
        while connection._reading:
            await client.send(b"x" * 50_000)
        await client.send(b"x" * 50_000)  # stays in the kernel's buffer: the close comes behind unread data
        getattr(client, how)()
        await breathe()
        await door.pass_s(1)
        await until(lambda: watch.ended)
    assert watch.cancelled == 1


async def test_cancel_on_disconnect_false_lets_the_handler_finish() -> None:
    release, seen = asyncio.Event(), []

    async def handler(request: Any) -> str:
        await request.signal.wait()
        seen.append("left")
        await release.wait()
        seen.append("finished")
        after(seen.append, "after")
        return "x"

    async with serve({"/": handler}, options={"cancel_on_disconnect": False}) as door:
        client = await door.connect()
        await client.send(get())
        client.close()
        await until(lambda: seen == ["left"])
        release.set()
        await until(lambda: seen == ["left", "finished", "after"])


async def test_cancel_on_disconnect_false_still_ends_at_max_duration_and_with_the_server() -> None:
    for by in ("time", "the end"):
        watch = Watch()
        async with serve({"/": watch}, options={"cancel_on_disconnect": False}, max_duration_s=30) as door:
            client = await door.connect()
            await client.send(get())
            client.close()
            await door.pass_s(5)
            assert not watch.ended
            if by == "time":
                await door.pass_s(30)
            else:
                door.serving.cancel_all()
            await until(lambda watch=watch: watch.cancelled)


async def test_a_body_that_breaks_off_is_no_server_error_for_a_handler_that_stays(caplog: Any) -> None:
    seen = []

    async def handler(request: Any) -> None:
        try:
            await request.bytes()
        except Exception as exc:
            seen.append(getattr(exc, "status", None))
            raise

    async with serve({"/": handler}, options={"cancel_on_disconnect": False}) as door:
        client = await door.connect()
        await client.send(HEAD + b"Content-Length: 100\r\n\r\nab")
        client.close()
        await until(lambda: seen)
    assert seen == [400]
    assert not caplog.records


async def test_a_stream_is_closed_when_its_client_leaves_whatever_the_route_says() -> None:
    for options in ({}, {"cancel_on_disconnect": False}):
        ended: list[str] = []

        async def handler(request: Any, ended: list[str] = ended) -> Response:
            async def chunks() -> Any:
                try:
                    while True:
                        yield "x"
                        await asyncio.sleep(0.001)
                finally:
                    await asyncio.sleep(0)
                    ended.append("stream")

            after(ended.append, "after")
            return Response.stream(chunks())

        async with serve({"/": handler}, options=options) as door:
            client = await door.connect()
            await client.send(get())
            await client.more()
            client.close()
            await until(lambda ended=ended: ended == ["stream", "after"])


async def test_a_stream_that_waits_for_room_is_closed_when_its_client_leaves() -> None:
    ended = []

    async def handler(request: Any) -> Response:
        async def chunks() -> Any:
            try:
                while True:
                    yield b"x" * 100_000
            finally:
                await asyncio.sleep(0)
                ended.append(1)

        return Response.stream(chunks())

    async with serve({"/": handler}) as door:
        client = await door.connect(receive_buffer=4_096)
        connection = tighten(door)
        await client.send(get())
        await until(lambda: connection._drained is not None)
        client.resets()
        await door.pass_s(1)
        await until(lambda: ended)
    assert ended == [1]


async def test_after_work_runs_when_the_client_has_left() -> None:
    ran: list[str] = []

    async def handler(request: Any) -> None:
        after(ran.append, "after")
        await asyncio.Event().wait()

    async with serve({"/": handler}) as door:
        client = await door.connect()
        await client.send(get())
        client.close()
        await until(lambda: ran == ["after"])


async def test_clients_that_leave_at_any_moment_leave_nothing_behind() -> None:
    async def stream(request: Any) -> Response:
        async def chunks() -> Any:
            for _ in range(5):
                yield b"x" * 30_000
                await asyncio.sleep(0)

        return Response.stream(chunks())

    async def slow(request: Any) -> str:
        await asyncio.sleep(0.003)
        return "x"

    data = post("/", b"x" * 3_000) + get("/stream") + get("/slow") + post("/", b"y" * 500) + get("/stream")
    async with serve({"/": echo, "/stream": stream, "/slow": slow}) as door:

        async def leave(at: int) -> None:
            client = await door.connect()
            client.send_now(data[:at])
            for _ in range(at % 7):
                await asyncio.sleep(0.0005)
            (client.resets if at % 2 else client.close)()

        for start in range(1, len(data), 400):
            await asyncio.gather(*(leave(at) for at in range(start, min(start + 400, len(data)), 20)))


async def test_cancel_all_ends_everything() -> None:
    watch = Watch()
    async with serve({"/": watch}) as door:
        clients = [await door.connect() for _ in range(5)]
        for client in clients[:3]:
            await client.send(get())
        door.serving.cancel_all()
        await until(lambda: not door.serving.connections)
    assert watch.cancelled == 3


async def test_the_access_log_has_one_line_for_each_request_that_reached_the_app() -> None:
    lines = []
    watch = Watch()
    async with serve({"/": hello, "/watch": watch}, max_duration_s=1) as door:
        door.serving.access = lambda request, status, seconds: lines.append((request.target, status, seconds >= 0))
        client = await door.connect()
        await client.asks(get())
        await client.asks(get("/none"))
        await client.send(get("/watch"))
        await door.pass_s(3)
        await client.answer()
    assert lines == [("/", 200, True), ("/none", 404, True), ("/watch", 503, True)]
