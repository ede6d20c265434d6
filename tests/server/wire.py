"""A server on a local port and a client that sends bytes as written: what the protocol tests share.

``async with serve({"/path": handler}) as door`` ends by asking that nothing is left behind:
no request in flight, no connection, no task. Time is told, not waited for: ``door.pass_s(11)``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnout.app import App, Route
from turnout.config import ServerConfig
from turnout.http.guard import AllowedHosts
from turnout.http.request import Request
from turnout.http.response import Response, to_response
from turnout.routing.pattern import Pattern
from turnout.server.serving import Serving

GIVE_UP_S = 60.0
HOST = b"Host: localhost\r\n"
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")

Handler = Callable[[Request], Awaitable[Any]]


def get(path: str = "/", *fields: str, version: str = "1.1") -> bytes:
    """A GET request, well formed."""
    lines = [f"GET {path} HTTP/{version}", "Host: localhost", *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def post(path: str, body: bytes, *fields: str) -> bytes:
    """A POST request with a length, well formed."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def post_chunked(path: str, *chunks: bytes, fields: tuple[str, ...] = (), trailer: bytes = b"") -> bytes:
    """A POST request in chunks, well formed."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", *fields]
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body + b"0\r\n" + trailer + b"\r\n"


@dataclass
class Answer:
    """One response as it was on the wire."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)

    def __getitem__(self, name: str) -> str | None:
        values = [value for key, value in self.fields if key == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def closes(self) -> bool:
        return self["connection"] == "close"


class Client:
    """One connection, bytes in and out."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.loop, self.seen = sock, asyncio.get_running_loop(), b""

    async def send(self, *pieces: bytes) -> None:
        """Send each piece by itself, and let the server read it before the next."""
        for piece in pieces:
            await asyncio.wait_for(self.loop.sock_sendall(self.sock, piece), GIVE_UP_S)
            await breathe()

    def send_now(self, data: bytes) -> int:
        """Send what the socket takes at once; 0 when it is full."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    async def more(self) -> bytes:
        """The next bytes from the server, b"" at the end."""
        return await asyncio.wait_for(self.loop.sock_recv(self.sock, 65_536), GIVE_UP_S)

    async def rest(self) -> bytes:
        """Everything up to the end of file; ConnectionResetError when it is broken off."""
        while data := await self.more():
            self.seen += data
        seen, self.seen = self.seen, b""
        return seen

    async def _until(self, mark: bytes) -> bytes:
        while mark not in self.seen:
            data = await self.more()
            assert data, f"the connection ended after {self.seen!r}"
            self.seen += data
        found, _, self.seen = self.seen.partition(mark)
        return found

    async def _exactly(self, count: int) -> bytes:
        while len(self.seen) < count:
            data = await self.more()
            assert data, f"the connection ended {count - len(self.seen)} bytes early"
            self.seen += data
        found, self.seen = self.seen[:count], self.seen[count:]
        return found

    async def answer(self, *, head_only: bool = False) -> Answer:
        """The next response, framed as RFC 9112 section 6.3 says."""
        lines = (await self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        assert lines[0].startswith("HTTP/1.1 "), lines[0]
        pairs = [line.split(": ", 1) for line in lines[1:]]
        answer = Answer(int(lines[0][9:12]), [(name, value) for name, value in pairs])
        if head_only or answer.status in (100, 204, 304):
            return answer
        if answer["transfer-encoding"] is not None:
            assert answer["transfer-encoding"] == "chunked" and answer["content-length"] is None
            while size := int(await self._until(b"\r\n"), 16):
                answer.chunks.append(await self._exactly(size))
                assert await self._exactly(2) == b"\r\n"
            assert await self._exactly(2) == b"\r\n"
            answer.body = b"".join(answer.chunks)
        elif answer["content-length"] is not None:
            answer.body = await self._exactly(int(answer["content-length"]))
        else:
            answer.body = await self.rest()
        return answer

    async def asks(self, data: bytes) -> Answer:
        """Send, and read one answer."""
        await self.send(data)
        return await self.answer()

    async def reads_slowly(self, count: int) -> int:
        """Read about *count* bytes and no more; how many came."""
        got = 0
        while got < count:
            got += len(await asyncio.wait_for(self.loop.sock_recv(self.sock, min(4_096, count - got)), GIVE_UP_S))
        return got

    async def is_closed(self) -> bool:
        """Whether the server ends the connection, in order, with nothing more to say."""
        return await self.rest() == b""

    async def end(self) -> str:
        """How the connection ends, ``closed`` or ``reset``; what comes before stays in ``seen``."""
        try:
            while data := await self.more():
                self.seen += data
        except ConnectionResetError:
            return "reset"
        return "closed"

    def ends_sending(self) -> None:
        """Half-close."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def resets(self) -> None:
        """Close with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Door:
    """A running server and what is needed to look into it."""

    def __init__(self, app: App, serving: Serving, port: int) -> None:
        self.app, self.serving, self.port = app, serving, port
        self.ahead_s = 0.0
        self.clients: list[Client] = []

    async def connect(self, *, receive_buffer: int | None = None) -> Client:
        """A new connection; with a small buffer it is a client that can be made to read slowly."""
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        client = Client(sock)
        self.clients.append(client)
        name = sock.getsockname()
        await until(lambda: any(each.transport.get_extra_info("peername") == name for each in self.serving.connections))
        return client

    async def asks(self, data: bytes) -> Answer:
        """One answer on a connection of its own."""
        client = await self.connect()
        try:
            return await client.asks(data)
        finally:
            client.close()

    async def pass_s(self, *seconds: float) -> None:
        """Let time pass for the deadlines, one tick after each span; timers of the loop do not notice."""
        loop = asyncio.get_running_loop()
        real = type(loop).time
        for span in seconds:
            self.ahead_s += span
            loop.time = lambda: real(loop) + self.ahead_s  # type: ignore[method-assign]
            try:
                self.serving.tick()
            finally:
                del loop.time
            await breathe()

    async def all_quiet(self) -> None:
        """Wait until every connection is gone and nothing is left of any request."""
        for client in self.clients:
            client.close()
        await until(lambda: not self.serving.connections)
        await until(lambda: not self.serving.in_flight)
        assert self.app.admission.in_flight == self.app.admission.streams == 0


@asynccontextmanager
async def serve(
    handlers: Mapping[str, Handler], *, options: Mapping[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Door]:
    """Serve *handlers*, path to function, on a local port.

    Args:
        options: Of every Route, such as ``max_duration``.
        settings: Of ServerConfig.
    """

    def endpoint(handler: Handler) -> Handler:
        async def answers(request: Request) -> Response:
            return to_response(await handler(request))

        return answers

    routes = [
        Route(Pattern.parse(path), Path("x"), dict.fromkeys(METHODS, endpoint(handler)), **(options or {}))
        for path, handler in handlers.items()
    ]
    loop = asyncio.get_running_loop()
    app = App(routes, allowed_hosts=AllowedHosts(["localhost"]))
    await app.startup()
    tasks = asyncio.all_tasks()
    serving = Serving(app, ServerConfig(**settings), loop)
    server = await loop.create_server(serving.connection, "127.0.0.1", 0)
    door = Door(app, serving, server.sockets[0].getsockname()[1])
    try:
        yield door
        await door.all_quiet()
        await app.shutdown()
        await until(lambda: asyncio.all_tasks() == tasks)
    finally:
        server.close()
        serving.cancel_all()
        for client in door.clients:
            client.close()


async def until(true: Callable[[], Any]) -> None:
    """Give way to the loop until *true*; fails when that takes too long."""
    async with asyncio.timeout(GIVE_UP_S):
        while not true():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)


async def breathe() -> None:
    """Let the server read what was sent and its handlers take their steps."""
    for _ in range(5):
        await asyncio.sleep(0)
    await asyncio.sleep(0.002)


def wait_on(event: asyncio.Event, answer: Any = "done") -> Handler:
    """A handler that waits for *event*."""

    async def handler(request: Request) -> Any:
        await event.wait()
        return answer

    return handler


async def hello(request: Request) -> Response:
    """Answers at once."""
    return Response.text("hello")


async def echo(request: Request) -> Response:
    """Answers with the body."""
    return Response(await request.bytes())


async def describe(request: Request) -> Response:
    """Answers with what it was asked."""
    return Response.json(
        {
            "method": request.method,
            "target": request.target,
            "fields": list(request.headers.items()),
            "body": (await request.bytes()).decode("latin-1"),
        }
    )


class Watch:
    """A handler that waits for ever and notes how it ended."""

    def __init__(self) -> None:
        self.started = self.cancelled = self.ended = 0

    async def __call__(self, request: Request) -> None:
        self.started += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.ended += 1
