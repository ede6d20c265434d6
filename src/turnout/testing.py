"""A client that calls an app in-process: the server's code path, without a socket.

async with Client(root="examples/blog") as client:
    response = await client.get("/api/hello")
    assert response.json() == {"message": "Hello World!"}
"""

from __future__ import annotations

import json as jsonlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from .errors import TurnoutError
from .http import guard
from .http.fetch import Fetch, within
from .http.headers import Headers
from .http.request import Request
from .http.response import Response, to_bytes
from .project import load_project


class Answer:
    """What a client received: status, header fields and body as they would be on the wire."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status <= 299

    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body decoded from JSON."""
        return jsonlib.loads(self.body)

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.body[:80]!r}>"


class Client:
    """Calls *app*, or the project in *root* loaded in test mode; keeps cookies between calls.

    Args:
        app: Anything with ``fetch``; loaded from *root* if None.
        root: The project's folder.
        headers: Sent with every request.
        host: The Host field.
        peer: The address that requests come from.
    """

    def __init__(
        self,
        app: Fetch | None = None,
        *,
        root: Path | str = ".",
        headers: Mapping[str, str] | None = None,
        host: str = "localhost",
        peer: str = "127.0.0.1",
    ) -> None:
        self.app: Fetch = app if app is not None else load_project(root, mode="test").app
        self.headers, self.host, self.peer = dict(headers or {}), host, peer
        self.cookies: dict[str, str] = {}
        self._entered = False

    async def __aenter__(self) -> Client:
        await self.app.startup()
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.app.drain()
        await self.app.shutdown()

    async def request(
        self,
        method: str,
        target: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        body: bytes | str | AsyncIterator[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        max_duration_s: float = 30,
    ) -> Answer:
        """Send one request and read the whole answer.

        Args:
            target: Path and query: ``/api/posts?page=2``.
            json: Sent as JSON.
            form: Sent urlencoded.
            body: Sent as it is; an iterator is sent piece by piece, without a length.
        """
        if not self._entered:
            raise TurnoutError("use the client as: async with Client(...) as client")
        fields = Headers({"host": self.host, **self.headers, **(headers or {})})
        if json is not None:
            body = jsonlib.dumps(json).encode()
            _default(fields, "content-type", "application/json")
        elif form is not None:
            body = urlencode(form).encode()
            _default(fields, "content-type", "application/x-www-form-urlencoded")
        if self.cookies:
            _default(fields, "cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        request = self._request(method, target, fields, body)
        response = await within(self.app, request, max_duration_s)
        answer = await self._receive(request, response)
        self._keep_cookies(answer.headers)
        return answer

    def _request(self, method: str, target: str, fields: Headers, body: bytes | str | AsyncIterator[bytes]) -> Request:
        if isinstance(body, (bytes, str)):
            whole = body.encode() if isinstance(body, str) else body
            if whole:
                _default(fields, "content-length", str(len(whole)))
            return Request(method, target, headers=fields, body=whole, peer=self.peer)
        pieces = body

        async def read() -> bytes:
            return await anext(pieces, b"")

        return Request(method, target, headers=fields, read=read, peer=self.peer)

    async def _receive(self, request: Request, response: Response) -> Answer:
        fields = Headers(guard.fields(response))
        body = response.body
        chunks: Any = response.chunks
        try:
            if chunks is not None:
                body = b""
                if request.method != "HEAD":
                    body = b"".join([to_bytes(item) async for item in chunks])
        finally:
            if chunks is not None and hasattr(chunks, "aclose"):
                await chunks.aclose()
            self.app.sent(request, response)
        if response.status not in (204, 304):
            length = response.content_length if chunks is not None else len(body)
            if length is not None:
                fields.set("content-length", str(length))
        if request.method == "HEAD" or response.status in (204, 304):
            body = b""
        return Answer(response.status, fields, body)

    def _keep_cookies(self, fields: Headers) -> None:
        for line in fields.get_set_cookie():
            pair, _, attributes = line.partition(";")
            name, _, value = pair.partition("=")
            if "max-age=0" in attributes.lower():
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value

    async def get(self, target: str, **options: Any) -> Answer:
        """``request("GET", ...)``."""
        return await self.request("GET", target, **options)

    async def head(self, target: str, **options: Any) -> Answer:
        """``request("HEAD", ...)``."""
        return await self.request("HEAD", target, **options)

    async def options(self, target: str, **options: Any) -> Answer:
        """``request("OPTIONS", ...)``."""
        return await self.request("OPTIONS", target, **options)

    async def post(self, target: str, **options: Any) -> Answer:
        """``request("POST", ...)``."""
        return await self.request("POST", target, **options)

    async def put(self, target: str, **options: Any) -> Answer:
        """``request("PUT", ...)``."""
        return await self.request("PUT", target, **options)

    async def patch(self, target: str, **options: Any) -> Answer:
        """``request("PATCH", ...)``."""
        return await self.request("PATCH", target, **options)

    async def delete(self, target: str, **options: Any) -> Answer:
        """``request("DELETE", ...)``."""
        return await self.request("DELETE", target, **options)


def _default(fields: Headers, name: str, value: str) -> None:
    if not fields.has(name):
        fields.set(name, value)
