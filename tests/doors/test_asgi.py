"""The ASGI door where hosts differ: driven as a host would, message by message."""

from __future__ import annotations

import asyncio
import gc
import logging
from pathlib import Path
from typing import Any

import pytest

from turnout import ASGI, Request, Response
from turnout.app import App, Route
from turnout.http.guard import AllowedHosts
from turnout.routing.pattern import Pattern


def app_of(handler: Any, **options: Any) -> App:
    route = Route(Pattern.parse("/a"), Path("route.py"), {"GET": handler, "POST": handler}, **options)
    return App([route], allowed_hosts=AllowedHosts(["localhost"]))


class Host:
    """A host with one request: what it will receive, and what it was sent."""

    def __init__(self, *messages: dict[str, Any], method: str = "POST", **scope: Any) -> None:
        self.messages = list(messages)
        self.more = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self.scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": "/a",
            "raw_path": b"/a",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1),
            **scope,
        }

    async def receive(self) -> Any:
        while not self.messages:
            self.more.clear()
            await self.more.wait()
        return self.messages.pop(0)

    def give(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        self.more.set()

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def call(self, app: App, **options: Any) -> None:
        await ASGI(app, **options)(self.scope, self.receive, self.send)


def piece(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}


async def test_a_client_that_leaves_cancels_its_handler() -> None:
    ended: list[bool] = []

    async def handler(request: Request) -> Response:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(request.signal.aborted)
        return Response()

    host = Host(piece(b""))
    call = asyncio.ensure_future(host.call(app_of(handler)))
    await asyncio.sleep(0.01)
    host.give(GONE)
    await call
    assert ended == [True]
    assert not host.sent


async def test_a_route_may_go_on_without_its_client() -> None:
    go = asyncio.Event()

    async def handler(request: Request) -> Response:
        await go.wait()
        return Response("done")

    host = Host(piece(b""), GONE)
    call = asyncio.ensure_future(host.call(app_of(handler, cancel_on_disconnect=False)))
    await asyncio.sleep(0.01)
    go.set()
    await call
    assert host.sent[0]["status"] == 200


async def test_a_client_that_leaves_within_its_body_is_no_server_error(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        return Response(await request.bytes())

    host = Host(piece(b"a", more=True), GONE)
    with caplog.at_level(logging.INFO):
        await host.call(app_of(handler))
    assert not caplog.records


async def test_a_body_is_read_while_its_client_is_watched() -> None:
    async def handler(request: Request) -> Response:
        await asyncio.sleep(0.01)
        return Response(b"|".join([part async for part in request.stream()]))

    host = Host(piece(b"ab", more=True), piece(b"cd", more=True), piece(b"ef"))
    await host.call(app_of(handler))
    assert host.sent[1]["body"] == b"ab|cd|ef"


async def test_an_unread_body_is_taken_in_up_to_64_kib() -> None:
    async def handler(request: Request) -> Response:
        await asyncio.sleep(0.05)
        return Response()

    host = Host(*[piece(b"x" * 10_000, more=True) for _ in range(100)])
    await host.call(app_of(handler))
    assert 90 <= len(host.messages) <= 94


async def test_the_deadline_is_ours_on_every_host() -> None:
    async def handler(request: Request) -> Response:
        await asyncio.sleep(60)
        return Response()

    host = Host(piece(b""))
    await host.call(app_of(handler), max_duration_s=0.01)
    assert host.sent[0]["status"] == 503


async def test_a_cancellation_by_the_host_passes() -> None:
    async def handler(request: Request) -> Response:
        await asyncio.sleep(60)
        return Response()

    call = asyncio.ensure_future(Host(piece(b"")).call(app_of(handler)))
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_stream_is_closed_when_its_client_leaves() -> None:
    closed: list[bool] = []

    async def handler(request: Request) -> Any:
        async def pieces() -> Any:
            try:
                yield "a"
                await asyncio.sleep(60)
            finally:
                closed.append(True)

        return Response.stream(pieces())

    host = Host(piece(b""))
    app = app_of(handler)
    call = asyncio.ensure_future(host.call(app))
    await asyncio.sleep(0.01)
    host.give(GONE)
    await call
    assert closed == [True]
    assert app.admission.streams == 0


async def test_a_quiet_stream_of_events_gets_comments_until_it_ends() -> None:
    more = asyncio.Event()

    async def handler(request: Request) -> Any:
        async def events() -> Any:
            yield "a"
            await more.wait()
            yield "b"

        return Response.sse(events(), ping_s=0.01)

    host = Host(piece(b""))
    call = asyncio.ensure_future(host.call(app_of(handler)))
    while len(host.sent) < 4:  # noqa: ASYNC110 - the head, an event, and two comments in their time
        await asyncio.sleep(0.005)
    more.set()
    await call
    bodies = [message["body"] for message in host.sent[1:]]
    assert bodies[:3] == [b"data: a\n\n", b": ping\n\n", b": ping\n\n"]
    assert bodies[-2:] == [b"data: b\n\n", b""]


async def test_a_path_without_raw_path_is_quoted_again() -> None:
    async def handler(request: Request) -> Response:
        return Response(request.target)

    app = App(
        [Route(Pattern.parse("/[x]"), Path("route.py"), {"GET": handler})], allowed_hosts=AllowedHosts(["localhost"])
    )
    host = Host(piece(b""), method="GET", path="/é b", raw_path=None, query_string=b"q=1")
    await host.call(app)
    assert host.sent[1]["body"] == b"/%C3%A9%20b?q=1"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"host", b"localhost"), (b"host", b"localhost")], 400),
        ([], 400),
        ([(b"host", b"localhost"), (b"transfer-encoding", b"gzip, chunked")], 501),
    ],
)
async def test_what_a_host_lets_through_is_refused(headers: list[tuple[bytes, bytes]], status: int) -> None:
    async def handler(request: Request) -> Response:
        return Response()

    host = Host(piece(b""), headers=headers)
    await host.call(app_of(handler))
    assert host.sent[0]["status"] == status


async def test_a_failed_startup_is_told_to_the_host() -> None:
    async def fail() -> None:
        raise OSError("no database")

    app = app_of(None)
    app.on_startup.append(fail)
    host = Host({"type": "lifespan.startup"}, type="lifespan")
    await host.call(app)
    assert host.sent == [{"type": "lifespan.startup.failed", "message": "no database"}]


async def test_what_is_loaded_at_the_start_is_out_of_the_collectors_way() -> None:
    gc.unfreeze()
    await Host({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}, type="lifespan").call(app_of(None))
    try:
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()


async def test_lifespan_starts_and_drains_the_app() -> None:
    app = app_of(None)
    host = Host({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}, type="lifespan")
    await host.call(app)
    assert [message["type"] for message in host.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert app.started and app.draining


async def test_a_websocket_is_refused() -> None:
    host = Host(type="websocket")
    await host.call(app_of(None))
    assert host.sent[0]["type"] == "websocket.close"
