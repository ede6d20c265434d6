"""The auth constant: who gets in, before any of the body is read and before the user's own middleware."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from auth.test_client import CALL, KEY, SAME_ORIGIN, SETTINGS, sign_up
from projects import client_of, make_project
from security.test_bypass import SEED, mutated
from served import served

from turnout.auth import auth_service
from turnout.errors import ConfigError
from turnout.project import load_project
from turnout.testing import Client

SECRET = "s" * 32
ROUTE = """
from turnout import Response

async def GET(request):
    return {"in": True}

async def POST(request):
    return {"in": True, "bytes": len(await request.bytes())}

DELETE = PUT = PATCH = POST
"""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@pytest.fixture(autouse=True)
def no_hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUPABASE_URL", "DATABASE_URL", "STORE_URL", "API_SECRET", "CRON_SECRET"):
        monkeypatch.delenv(name, raising=False)


def project(root: Path, mode: str, settings: str = "", **files: str) -> Client:
    routes = {"app/api/x/route.py": f"auth = {mode!r}\n{ROUTE}", "app/api/call/route.py": CALL}
    return client_of(root, {"pyproject.toml": SETTINGS + settings, **routes, **files})


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def statuses(client: Client, **options: Any) -> set[int]:
    return {(await client.request(method, "/api/x", **options)).status for method in METHODS}


async def test_a_user_gets_in_by_cookie_or_token_and_nobody_else(tmp_path: Path) -> None:
    async with project(tmp_path, "user") as client:
        assert await statuses(client) == {401}
        answer = await client.post("/api/x", body=b"x")
        assert (answer.headers["www-authenticate"], answer.json()["code"]) == ("Bearer", "not_signed_in")
        assert await statuses(client, headers=bearer(auth_service().keys.api_key("anon"))) == {401}
        assert await statuses(client, headers=bearer(auth_service().keys.api_key("service_role"))) == {401}

        token = (await sign_up(client))["session"]["access_token"]

        assert await statuses(client, headers=SAME_ORIGIN) == {200}
        client.cookies = {}
        assert await statuses(client, headers=bearer(token)) == {200}


async def test_a_session_that_has_ended_gets_nobody_in(tmp_path: Path) -> None:
    async with project(tmp_path, "user") as client:
        token = (await sign_up(client))["session"]["access_token"]
        await client.post("/api/call", json={"call": "auth.sign_out"}, headers=SAME_ORIGIN)

        assert await statuses(client, headers=bearer(token)) == {401}


async def test_a_forged_request_does_not_get_in(tmp_path: Path) -> None:
    async with project(tmp_path, "user") as client:
        await sign_up(client)

        answers = {method: (await client.request(method, "/api/x")).status for method in METHODS}

        assert answers == {"GET": 200, "HEAD": 200, "POST": 403, "PUT": 403, "PATCH": 403, "DELETE": 403}


async def test_public_lets_everybody_in_without_a_look(tmp_path: Path) -> None:
    async with project(tmp_path, "public") as client:
        assert await statuses(client, headers={"cookie": f"{KEY}=x", **bearer("x")}) == {200}


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        ({"app_metadata": {"role": "editor"}}, 200),
        ({"app_metadata": {"roles": ["author", "editor"]}}, 200),
        ({"role": "editor"}, 200),
        ({"app_metadata": {"role": "author"}}, 403),
        ({"app_metadata": {"roles": "editor"}}, 403),
        ({"app_metadata": {"role": "editors"}}, 403),
        ({"user_metadata": {"role": "editor", "roles": ["editor"]}}, 403),
        ({}, 403),
    ],
)
async def test_a_role_is_what_the_project_gave_and_not_what_users_write(
    tmp_path: Path, metadata: dict[str, Any], status: int
) -> None:
    async with project(tmp_path, "editor", 'roles = ["editor", "author"]\n') as client:
        assert await statuses(client) == {401}
        user = (await sign_up(client))["user"]
        await auth_service().admin_update_user(user["id"], **metadata)

        assert await statuses(client, headers=SAME_ORIGIN) == {status}


async def test_the_service_key_gets_programs_in(tmp_path: Path) -> None:
    async with project(tmp_path, "service") as client:
        user = (await sign_up(client))["session"]["access_token"]
        keys = auth_service().keys

        key = keys.api_key("service_role")
        assert await statuses(client, headers=bearer(key)) == {200}
        assert await statuses(client, headers={"apikey": key}) == {200}
        for wrong in (user, keys.api_key("anon"), key[:-2], "x"):
            assert await statuses(client, headers=bearer(wrong)) == {401}
        assert await statuses(client, headers=SAME_ORIGIN) == {401}  # cookies do not count


async def test_hosted_supabases_service_key_does_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SUPABASE_SECRET_KEY", "sb_secret_1234567890")
    async with project(tmp_path, "service") as client:
        assert await statuses(client, headers=bearer("sb_secret_1234567890")) == {200}
        for wrong in ("sb_secret_123456789", "", "é"):
            assert await statuses(client, headers=bearer(wrong)) == {401}


@pytest.mark.parametrize(("mode", "name"), [("secret", "API_SECRET"), ("secret:CRON_SECRET", "CRON_SECRET")])
async def test_a_secret_gets_programs_in_and_may_be_two_while_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, name: str
) -> None:
    monkeypatch.setenv(name, f"{SECRET} {'t' * 40}")
    async with project(tmp_path, mode) as client:
        for good in (SECRET, "t" * 40):
            assert await statuses(client, headers=bearer(good)) == {200}
            assert await statuses(client, headers={"apikey": good}) == {200}
        for wrong in (SECRET[:-1], SECRET + "s", f"{SECRET} {'t' * 40}", "", "é" * 32):
            assert await statuses(client, headers=bearer(wrong)) == {401}
        assert await statuses(client) == {401}


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("users", "did you mean 'user'?"),
        ("User", "did you mean 'user'?"),
        ("pubic", "did you mean 'public'?"),
        ("editr", "did you mean 'editor'?"),
        ("admin", 'roles = ["admin"]'),
        ("", "known here: public, user, service, secret, editor"),
        ("secret", "the secret API_SECRET, which is not set"),
        ("secret:CRON_SECRET", "CRON_SECRET, which is not set"),
        ("secret:SHORT", "the secret SHORT has fewer than 32 characters"),
    ],
)
def test_a_wrong_word_stops_the_load_and_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, says: str
) -> None:
    monkeypatch.setenv("SHORT", "x" * 31)
    with pytest.raises(ConfigError) as caught:
        project(tmp_path, mode, 'roles = ["editor"]\n')

    assert says in str(caught.value)
    assert caught.value.file == tmp_path / "app/api/x/route.py"
    assert "xxx" not in str(caught.value)


async def test_options_that_turnout_answers_is_open_and_ones_own_is_guarded(tmp_path: Path) -> None:
    own = f"auth = 'user'\n{ROUTE}\nasync def OPTIONS(request):\n    return {{}}\n"
    async with project(tmp_path, "user", **{"app/api/own/route.py": own}) as client:
        assert (await client.options("/api/x")).status == 204
        assert (await client.options("/api/own")).status == 401
        assert (await client.request("TRACE", "/api/x")).status == 501


async def test_the_guard_stands_before_middleware_and_inside_error_handlers(tmp_path: Path) -> None:
    files = {
        "app/middleware.py": "async def middleware(request, next):\n    raise RuntimeError('not reached')\n",
        "app/error.py": (
            "from turnout import Response\n"
            "async def error(exc, request):\n    return Response.text(type(exc).__name__, 401)\n"
        ),
    }
    async with project(tmp_path, "user", **files) as client:
        answer = await client.post("/api/x", body=b"x")

        assert (answer.status, answer.text) == (401, "Unauthorized")


async def test_require_user_in_a_handler(tmp_path: Path) -> None:
    route = """
    import turnout
    from turnout.auth import get_user

    async def GET(request, role: str):
        user = await turnout.auth.require_user(role if role != "any" else None)
        assert (await get_user()).id == user.id
        return {"id": user.id}
    """
    async with project(tmp_path, "public", **{"app/api/as/[role]/route.py": route}) as client:
        assert (await client.get("/api/as/any")).status == 401
        user = (await sign_up(client))["user"]
        assert (await client.get("/api/as/any")).json() == {"id": user["id"]}
        assert (await client.get("/api/as/authenticated")).status == 200
        wrong = await client.get("/api/as/editor")
        assert (wrong.status, wrong.json()["code"]) == (403, "wrong_role")


@pytest.mark.parametrize(
    ("mode", "settings", "says"),
    [
        ("user", "", "TURNOUT_AUTH_KEYS"),
        ("service", "", "TURNOUT_AUTH_KEYS"),
        ("public", "pages = true\n", "TURNOUT_AUTH_KEYS"),
        ("public", "", None),
    ],
)
async def test_production_does_not_start_without_the_keys_that_a_route_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, settings: str, says: str | None
) -> None:
    monkeypatch.delenv("TURNOUT_AUTH_KEYS", raising=False)
    site = SETTINGS.replace("[tool.turnout]", '[tool.turnout]\norigin = "https://example.com"', 1)
    make_project(tmp_path, {"pyproject.toml": site + settings, "app/api/x/route.py": f"auth = {mode!r}\n{ROUTE}"})
    app = load_project(tmp_path, mode="production").app
    try:
        if says is None:
            await app.startup()
        else:
            with pytest.raises(ConfigError, match=says):
                await app.startup()
    finally:
        await app.shutdown()


# -- over sockets


async def test_a_body_that_never_comes_is_not_waited_for(tmp_path: Path) -> None:
    with served(tmp_path, {"app/api/x/route.py": f"auth = 'user'\n{ROUTE}"}) as server:
        for framing in ("content-length: 100000", "transfer-encoding: chunked"):
            for expect in ("", "expect: 100-continue\r\n"):
                status = await first_line(server.url, f"{framing}\r\n{expect}")

                assert status == b"HTTP/1.1 401 Unauthorized\r\n"  # and no 100 before it


async def first_line(url: str, fields: str) -> bytes:
    """What a POST without its body is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    try:
        writer.write(f"POST /api/x HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n".encode())
        async with asyncio.timeout(60):
            return await reader.readline()
    finally:
        writer.close()


# -- no way round it


async def test_no_path_and_no_header_gets_past_the_constant(tmp_path: Path) -> None:
    route = "auth = 'user'\nasync def GET(request):\n    return {'secret': True}\nPOST = PUT = GET\n"
    files = {
        f"app/{place}/route.py": route for place in ("admin", "admin/users/[id]", "admin/files/[...path]", "open/admin")
    }
    dice = random.Random(SEED)
    words = ("middleware", "nextjs", "turnout", "rewrite", "original", "forwarded", "http", "auth", "user", "internal")
    tails = ("subrequest", "url", "method-override", "user", "role", "prefix", "host", "id", "skip", "uri")
    names = [f"{start}{word}-{tail}" for start in ("x-", "", "cf-") for word in words for tail in tails]
    values = ("1", "true", "/admin", "middleware:middleware:middleware", "admin", "GET", "service_role")
    async with project(tmp_path, "public", **files) as client:
        for _ in range(3_000):
            method, target = dice.choice(["GET", "HEAD", "POST", "PUT"]), mutated(dice)
            assert b"secret" not in (await client.request(method, target)).body, (SEED, method, target)
        for name in names:
            answer = await client.get("/admin", headers={name: dice.choice(values)})
            assert answer.status == 401, name
        answer = await client.get("/admin", headers={"cookie": f"{KEY}=base64-{'A' * 3000}", "x-user": "admin"})
        assert answer.status == 401
