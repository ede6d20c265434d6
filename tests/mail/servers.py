"""Real mail servers for the tests: aiosmtpd with TLS and moods, sockets that misbehave, and an HTTP service."""

from __future__ import annotations

import asyncio
import ssl
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

USER, PASSWORD = "post", "p@ss:w/rd%"


@dataclass
class Box:
    """What a server took, and what it says to whom.

    Attributes:
        refuse: Answers by recipient, such as ``{"x@b.co": "550 No such user"}``.
        data: The answer to a whole message; None accepts it.
        greylist: How many messages are put off before one is taken.
    """

    refuse: dict[str, str] = field(default_factory=dict)
    data: str | None = None
    greylist: int = 0
    taken: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    over_tls: list[bool] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.greylist:
            self.greylist -= 1
            return "451 4.7.1 Greylisted, try again later"
        if self.data is not None:
            return self.data
        self.taken.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        self.over_tls.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 OK"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        right = (data.login.decode(), data.password.decode()) == (USER, PASSWORD)
        if right:
            self.users.append(data.login.decode())
        return AuthResult(success=right, handled=False)


class _Anywhere(Controller):
    """A controller whose port may be 0."""

    def factory(self) -> Any:
        with warnings.catch_warnings():
            # It warns of signing in without STARTTLS, not seeing that all of the connection is TLS.
            warnings.filterwarnings("ignore", "Requiring AUTH", UserWarning)
            return super().factory()

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def smtp(box: Box, *, tls: ssl.SSLContext | None = None, implicit: bool = False, auth: bool = False) -> Iterator[int]:
    """A server on 127.0.0.1; gives its port. *tls* is offered by STARTTLS, or from the first byte if *implicit*."""
    options: dict[str, Any] = {"enable_SMTPUTF8": False}
    if auth:
        options |= {
            "authenticator": box.authenticate,
            "auth_required": True,
            "auth_require_tls": tls is not None and not implicit,
        }
    if tls is not None:
        options |= {"ssl_context": tls} if implicit else {"tls_context": tls, "require_starttls": True}
    controller = _Anywhere(box, hostname="127.0.0.1", port=0, **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of this run."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> ssl.SSLContext:
    """A server's context for 127.0.0.1 and localhost, trusted by this process."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return server_context(authority, "127.0.0.1", "localhost")


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


@asynccontextmanager
async def script(*steps: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> Any:
    """A server that does *steps* with each connection, then leaves it open; gives its port."""
    hold = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for step in steps:
                await step(reader, writer)
            await hold.wait()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        hold.set()
        server.close()
        await server.wait_closed()


def say(text: str) -> Any:
    """A step: send a line."""

    async def step(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text.encode() + b"\r\n")
        await writer.drain()

    return step


def answer(text: str) -> Any:
    """A step: read a line, then send one."""

    async def step(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await say(text)(reader, writer)

    return step


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A step: close the connection at once."""
    writer.transport.abort()


@dataclass
class Web:
    """An HTTP service: what came, and the answers to give, the last one for ever."""

    answers: list[tuple[int, str, dict[str, str]]]
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@contextmanager
def web(*answers: tuple[int, str, dict[str, str]]) -> Iterator[Web]:
    """A real server that keeps what it is sent."""
    service = Web(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            service.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, text, headers = service.answers.pop(0) if len(service.answers) > 1 else service.answers[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
