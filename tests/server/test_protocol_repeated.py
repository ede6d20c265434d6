"""A connection whose requests repeat the fields of the one before: begun without the parser."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from turnout.http.response import Response

from .wire import get, serve

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
