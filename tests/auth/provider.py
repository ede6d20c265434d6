"""An OAuth provider that listens on a port: authorization codes, PKCE checked, profiles as a test wants them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class ProviderServer:
    """What the provider knows, and what it was asked.

    Attributes:
        profile: What the user endpoint answers; ``emails`` what is below it.
        asked: The requests to the token endpoint, as fields.
        broken: In place of an answer of one path: a status and a body.
    """

    def __init__(self) -> None:
        self.profile: Any = {}
        self.emails: Any = []
        self.asked: list[dict[str, str]] = []
        self.broken: dict[str, tuple[int, bytes]] = {}
        self.port = 0
        self._codes: dict[str, dict[str, str]] = {}
        self._tokens: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, name: str) -> dict[str, Any]:
        """What a site needs to know of it."""
        return {
            f"{name}_client_id": "client", f"{name}_authorize_url": f"{self.url}/authorize?tenant=1",
            f"{name}_token_url": f"{self.url}/token", f"{name}_user_url": f"{self.url}/user",
        }  # fmt: skip

    def consent(self, place: str) -> dict[str, str]:
        """A person says yes at *place*; the fields with which the browser comes back."""
        asked = dict(parse_qsl(urlsplit(place).query))
        assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self._codes[code] = asked
        return {"code": code, "state": asked["state"]}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        status, data = self.broken.get(target) or self.answer(method, target, lines, body)
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(data)}\r\nconnection: close\r\n".encode())
        writer.write(b"location: http://127.0.0.1:1/\r\n\r\n" + data)
        await writer.drain()
        writer.close()

    def answer(self, method: str, target: str, lines: list[str], body: bytes) -> tuple[int, bytes]:
        if (method, target) == ("POST", "/token"):
            return self.token(dict(parse_qsl(body.decode())))
        bearer = next((line.split(" ")[2] for line in lines if line.lower().startswith("authorization: bearer")), "")
        if bearer not in self._tokens:
            return 401, b"{}"
        return 200, json.dumps(self.emails if target == "/user/emails" else self.profile).encode()

    def token(self, fields: dict[str, str]) -> tuple[int, bytes]:
        self.asked.append(fields)
        asked = self._codes.pop(fields.get("code", ""), None)
        digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        good = (
            asked is not None
            and asked["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            and asked["redirect_uri"] == fields["redirect_uri"]
            and (fields["client_id"], fields["client_secret"])
            in (("client", "google-secret"), ("client", "github-secret"))
        )
        if not good:
            return 400, b'{"error":"invalid_grant"}'
        token = secrets.token_urlsafe(8)
        self._tokens.add(token)
        return 200, json.dumps({"access_token": token, "token_type": "bearer", "refresh_token": "again"}).encode()


@asynccontextmanager
async def provider() -> AsyncIterator[ProviderServer]:
    """A provider that listens."""
    found = ProviderServer()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()
