"""create_client() with SUPABASE_URL: signed out, signed in, expired, and away, which are four different things."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from projects import client_of

from turnout.auth import hosted
from turnout.auth.cookies import encode, to_chunks
from turnout.testing import Client

pytest.importorskip("supabase")

KEY = "sb-127-auth-token"
ME = """
from turnout import Response, create_client

async def GET(request):
    supabase = await create_client()
    user = (await supabase.auth.get_user()).user
    if not user:
        return Response.json({"error": "Unauthorized"}, status=401)
    return Response.json({"userId": user.id})
"""


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*hosted.KEYS, *hosted.SERVICE_KEYS, "SUPABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUPABASE_ANON_KEY", "anon-key")
    monkeypatch.setattr(hosted, "TIMEOUT_S", 0.3)


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def service(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """A server in SUPABASE_URL's place that treats every connection so; the request lines it got."""
    lines: list[str] = []

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            lines.append((await reader.readline()).decode().strip())
            await answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    monkeypatch.setenv("SUPABASE_URL", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield lines
    finally:
        await hosted.close()
        server.close()


def saying(status: int, body: Any) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        writer.write(b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n" % status)
        writer.write(b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(data), data))
        await writer.drain()

    return answer


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def cutting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def cookies(ends_in_s: float = 3600) -> dict[str, str]:
    session = {"access_token": "a.b.c", "refresh_token": "r", "expires_at": int(time.time() + ends_in_s)}
    return dict(to_chunks(KEY, encode(json.dumps(session))))


def me(root: Path) -> Client:
    return client_of(root, {"app/api/me/route.py": ME})


AWAY: dict[str, Answer] = {
    "hangs": hanging,
    "cuts": cutting,
    "500": saying(500, {"code": "unexpected_failure", "message": "x"}),
    "503": saying(503, {"message": "x"}),
    "a proxy's page": saying(502, b"<html>Bad gateway</html>"),
    "too many": saying(429, {"code": "over_request_rate_limit", "message": "x"}),
    "200 that is nonsense": saying(200, b"<html>"),
    "200 that is empty": saying(200, {}),
    "a bad API key": saying(401, {"message": "Invalid API key"}),
}


@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("ends_in_s", [3600, -5])
async def test_a_service_that_is_away_is_a_503_and_keeps_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: str, ends_in_s: float
) -> None:
    async with service(AWAY[away], monkeypatch) as lines, me(tmp_path) as client:
        client.cookies = cookies(ends_in_s)

        answer = await client.get("/api/me")

        assert (answer.status, answer.json()["code"]) == (503, "auth_unavailable")
        assert answer.headers.get_set_cookie() == [] and client.cookies
        assert "127.0.0.1" not in answer.text
        assert lines[0].split("?")[0].split(" ")[1] == ("/auth/v1/token" if ends_in_s < 0 else "/auth/v1/user")


@pytest.mark.parametrize("ends_in_s", [3600, -5])
async def test_a_closed_port_is_a_503_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_in_s: float) -> None:
    async with service(hanging, monkeypatch):
        pass  # its port is closed again
    async with me(tmp_path) as client:
        client.cookies = cookies(ends_in_s)

        answer = await client.get("/api/me")

        assert (answer.status, answer.headers.get_set_cookie()) == (503, [])


async def test_nobody_is_signed_in_without_asking_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with service(hanging, monkeypatch) as lines, me(tmp_path) as client:
        for jar in ({}, {KEY: "nonsense"}, {KEY: encode('{"access_token":1}')}, {f"{KEY}.1": "base64-e30"}):
            client.cookies = dict(jar)

            answer = await client.get("/api/me")

            assert (answer.status, answer.json()) == (401, {"error": "Unauthorized"})
            assert answer.headers["cache-control"] == "private, no-store"
        assert lines == []


@pytest.mark.parametrize("code", ["session_not_found", "user_not_found", "bad_jwt", None])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_the_service_refuses_is_signed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: str | None
) -> None:
    async with service(saying(status, {"error_code": code, "msg": "no"}), monkeypatch), me(tmp_path) as client:
        by_bearer = await client.get("/api/me", headers={"authorization": "Bearer a.b.c"})
        client.cookies = cookies()
        by_cookie = await client.get("/api/me")

        assert by_bearer.status == by_cookie.status == 401
        assert by_bearer.headers.get_set_cookie() == []
        assert (client.cookies == {}) is (code in ("session_not_found", "user_not_found"))


@pytest.mark.parametrize("code", ["refresh_token_not_found", "refresh_token_already_used", "session_expired"])
async def test_a_session_that_is_over_is_signed_out_and_its_cookies_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    async with service(saying(400, {"code": code, "message": "no"}), monkeypatch) as lines, me(tmp_path) as client:
        client.cookies = cookies(-5)

        answer = await client.get("/api/me")

        assert answer.status == 401 and len(lines) == 1
        assert client.cookies == {}
        assert answer.headers["cache-control"] == "private, no-cache, no-store, must-revalidate, max-age=0"
        assert (answer.headers["expires"], answer.headers["pragma"]) == ("0", "no-cache")


async def test_a_missing_key_or_a_wrong_address_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SUPABASE_URL", "abc.supabase.co")
    async with me(tmp_path) as client:
        assert (await client.get("/api/me")).status == 500
    monkeypatch.setenv("SUPABASE_URL", "https://abc.supabase.co")
    monkeypatch.delenv("SUPABASE_ANON_KEY")
    async with me(tmp_path) as client:
        assert (await client.get("/api/me")).status == 500

    assert "SUPABASE_URL is no URL" in caplog.text
    assert "SUPABASE_PUBLISHABLE_KEY or SUPABASE_ANON_KEY is not" in caplog.text
