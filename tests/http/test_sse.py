from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from turnout import Response
from turnout.http.sse import PING, encode_event


@pytest.mark.parametrize(
    ("item", "wire"),
    [
        ("hello", b"data: hello\n\n"),
        ("two\nlines\r\nthree", b"data: two\ndata: lines\ndata: three\n\n"),
        ("", b"data: \n\n"),
        ({"data": "x", "event": "e", "id": 7, "retry": 1000}, b"event: e\nid: 7\nretry: 1000\ndata: x\n\n"),
        ({"data": {"a": 1}}, b'data: {"a":1}\n\n'),
        ({"a": 1}, b'data: {"a":1}\n\n'),
        ([1, 2], b"data: [1,2]\n\n"),
    ],
)
def test_an_item_is_one_event(item: Any, wire: bytes) -> None:
    assert encode_event(item) == wire


@pytest.mark.parametrize(
    "item", [{"data": "x", "evnt": "e"}, {"data": "x", "event": "a\nb"}, {"data": "x", "id": "a\r"}]
)
def test_what_would_break_an_event_raises(item: Any) -> None:
    with pytest.raises(TypeError):
        encode_event(item)


async def test_a_stream_closes_its_source_and_says_what_a_door_sends_when_it_is_quiet() -> None:
    closed = False

    async def events() -> AsyncIterator[str]:
        nonlocal closed
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            closed = True

    response = Response.sse(events(), ping_s=3)
    chunks: Any = response.chunks
    assert await anext(chunks) == b"data: a\n\n"
    await chunks.aclose()
    assert closed
    assert response.ping == (3, PING)
    assert response.headers.get("content-type") == "text/event-stream; charset=utf-8"
    assert response.headers.get("cache-control") == "no-store"


async def test_a_stream_of_events_ends_with_its_source() -> None:
    async def events() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    chunks: Any = Response.sse(events()).chunks
    assert [piece async for piece in chunks] == [b"data: a\n\n", b"data: b\n\n"]


async def test_an_error_in_the_source_reaches_the_door() -> None:
    async def events() -> AsyncIterator[str]:
        yield "a"
        raise ValueError("broken")

    chunks: Any = Response.sse(events()).chunks
    with pytest.raises(ValueError, match="broken"):
        _ = [piece async for piece in chunks]
