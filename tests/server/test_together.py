"""Answers that are made in one turn of the event loop are written together, but for the first; none is lost or late."""

from __future__ import annotations

import asyncio
import select
import socket
from typing import Any

import pytest

from turnout.context import after
from turnout.http.response import Response
from turnout.server import serving

from .wire import Client, Door, breathe, describe, get, hello, serve, until

pytestmark = pytest.mark.usefixtures("loop_factory")


async def connect(door: Door, count: int) -> list[Client]:
    return [await door.connect() for _ in range(count)]


def send_in_one_turn(clients: list[Client], data: bytes) -> None:
    """Send without giving way to the loop: it finds all of them at once."""
    for client in clients:
        assert client.send_now(data) == len(data)


def answered(clients: list[Client]) -> int:
    """How many have bytes of an answer to read."""
    return len(select.select([client.sock for client in clients], [], [], 0)[0])


@pytest.mark.parametrize(("together_s", "out"), [(60.0, [0, 1, 1, 1]), (-1.0, [0, 1, 2, 3])], ids=["quick", "slow"])
async def test_the_first_is_written_at_once_and_the_rest_when_the_time_is_over_or_the_turn(
    monkeypatch: pytest.MonkeyPatch, together_s: float, out: list[int]
) -> None:
    monkeypatch.setattr(serving, "TOGETHER_S", together_s)
    clients: list[Client] = []
    seen: list[int] = []

    async def look(request: Any) -> str:
        seen.append(answered(clients))
        return "ok"

    async with serve({"/": look}) as door:
        clients += await connect(door, 4)
        send_in_one_turn(clients, get())
        for client in clients:
            assert (await client.answer()).status == 200
    assert seen == out


async def test_each_client_gets_its_own_answers_in_order() -> None:
    async def streamed(request: Any) -> Response:
        async def chunks() -> Any:
            yield "a"
            yield "b"

        return Response.stream(chunks())

    async with serve({"/": describe, "/stream": streamed, "/large": large}) as door:
        clients = await connect(door, 10)
        for number, client in enumerate(clients):
            client.send_now(get(f"/?{number}") + get("/stream") + get("/large") + get(f"/?{number}.2"))
        for number, client in enumerate(clients):
            assert f'"/?{number}"' in (await client.answer()).body.decode()
            assert (await client.answer()).body == b"ab"
            assert (await client.answer()).body == b"x" * 60_000
            assert f'"/?{number}.2"' in (await client.answer()).body.decode()


async def large(request: Any) -> Response:
    return Response.text("x" * 60_000)


async def test_a_client_that_ends_its_half_with_the_request_is_answered() -> None:
    async with serve({"/": hello}) as door:
        clients = await connect(door, 3)
        send_in_one_turn(clients, get())
        for client in clients:
            client.ends_sending()
        for client in clients:
            assert (await client.answer()).body == b"hello"
            assert await client.is_closed()


async def test_a_refusal_and_the_end_come_after_the_answer() -> None:
    async with serve({"/": hello}) as door:
        clients = await connect(door, 3)
        send_in_one_turn(clients, get() + b"\x00\x01\r\n\r\n")
        for client in clients:
            assert [(await client.answer()).status for _ in range(2)] == [200, 400]
            assert await client.is_closed()


@pytest.mark.parametrize("end", ["drain", "cancel"])
async def test_a_server_that_ends_in_the_same_turn_writes_what_is_answered(end: str) -> None:
    async def ends(request: Any) -> str:
        if end == "drain":
            door.serving.drain()
            door.serving.close_idle()
        else:
            door.serving.cancel_all()
        return "ended"

    async with serve({"/": hello, "/end": ends}) as door:
        clients = await connect(door, 4)
        send_in_one_turn(clients[:3], get())
        clients[3].send_now(get("/end"))
        for client in clients[:3]:
            assert (await client.answer()).body == b"hello"
            assert await client.is_closed()


async def test_work_after_the_answer_finds_it_written() -> None:
    clients: list[Client] = []
    seen: list[int] = []

    async def handler(request: Any) -> str:
        after(lambda: seen.append(answered(clients)))
        return "ok"

    async with serve({"/": handler}) as door:
        clients += await connect(door, 3)
        send_in_one_turn(clients, get())
        await until(lambda: len(seen) == 3)
        assert all(out >= number for number, out in enumerate(seen, 1))


@pytest.mark.parametrize(
    "pipeline",
    [get() * 100, get("/", "Padding: " + "x" * 1_000) * 100, get("/soon") + get() * 60],
    ids=["several to a slice", "one to a slice", "behind one that waits"],
)
async def test_a_pipeline_whose_answers_are_not_read_is_not_answered_ahead(
    monkeypatch: pytest.MonkeyPatch, pipeline: bytes
) -> None:
    monkeypatch.setattr(serving, "TOGETHER_S", 60.0)
    release = asyncio.Event()

    async def soon(request: Any) -> Response:
        await release.wait()
        return await large(request)

    async with serve({"/": large, "/soon": soon}) as door:
        clients = [await door.connect(receive_buffer=4_096) for _ in range(2)]
        for connection in door.serving.connections:
            connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        for _ in range(3):
            send_in_one_turn(clients, pipeline)
            await breathe()
        release.set()
        await breathe()
        held = [connection.transport.get_write_buffer_size() for connection in door.serving.connections]

        assert max(held) < 65_536 + 2 * 61_000
        for client in clients:
            assert {len((await client.answer()).body) for _ in range(3 * pipeline.count(b"GET"))} == {60_000}
