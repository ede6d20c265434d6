"""Where the wire is served, to whom, and what browsers are told of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from projects import make_project

from turnout.auth import auth_service
from turnout.auth.keys import Keys, make_key
from turnout.config import load_config
from turnout.errors import ConfigError
from turnout.project import load_project
from turnout.routing.module import unload
from turnout.testing import Client

HOSTS = '[tool.turnout]\nallowed_hosts = ["localhost"]\n'
ROUTE = "def GET(request):\n    return {}\n"


def client_of(root: Path, settings: str = "", mode: Any = "test", peer: str = "127.0.0.1", **files: str) -> Client:
    """A client of a project with *settings*, loaded in *mode*."""
    make_project(root, {"pyproject.toml": HOSTS + settings, "app/route.py": ROUTE, **files})
    unload(root)
    return Client(load_project(root, mode=mode).app, peer=peer)


def keys_of(client: Client) -> dict[str, str]:
    """The header fields of somebody who holds the public key."""
    return {"apikey": auth_service().keys.api_key("anon")}


# -- where it is served


async def test_a_site_whose_paths_end_with_a_slash_serves_it_too(tmp_path: Path) -> None:
    async with client_of(tmp_path, "trailing_slash = true\n") as client:
        assert (await client.get("/auth/v1/health/")).status == 200
        moved = await client.get("/auth/v1/verify?token=x&type=signup")
        assert moved.headers.get("location") == "/auth/v1/verify/?token=x&type=signup"
        assert (await client.get("/auth/v1/verify/?token=x&type=signup")).status == 303


@pytest.mark.parametrize(
    ("mode", "setting", "on"),
    [
        ("development", None, True), ("development", True, True), ("development", False, False),
        ("test", None, True), ("test", False, False),
        ("production", None, False), ("production", False, False), ("production", True, True),
    ],
)  # fmt: skip
def test_production_serves_it_only_when_it_is_told_to(
    tmp_path: Path, mode: Any, setting: bool | None, on: bool
) -> None:
    from turnout.auth.wire import endpoints

    text = HOSTS + ("" if setting is None else f"supabase = {str(setting).lower()}\n")
    make_project(tmp_path, {"pyproject.toml": text})
    assert bool(endpoints(load_config(tmp_path, mode, {}))) is on


@pytest.mark.parametrize("path", ["/auth/v1/health", "/rest/v1/posts", "/rest/v1"])
async def test_where_it_is_off_there_is_nothing(tmp_path: Path, path: str) -> None:
    async with client_of(tmp_path, "supabase = false\n") as client:
        assert (await client.get(path)).status == 404


async def test_production_does_not_start_without_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TURNOUT_AUTH_KEYS", raising=False)
    client = client_of(tmp_path, 'supabase = true\norigin = "https://example.com"\n', mode="production")
    with pytest.raises(ConfigError, match="TURNOUT_AUTH_KEYS is not set"):
        await client.__aenter__()


async def test_production_serves_it_with_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    key = make_key()
    monkeypatch.setenv("TURNOUT_AUTH_KEYS", json.dumps([key]))
    settings = 'supabase = true\norigin = "https://example.com"\n'
    async with client_of(tmp_path, settings, mode="production", peer="203.0.113.9") as client:
        answer = await client.get("/auth/v1/settings", headers={"apikey": Keys.of([key]).api_key("anon")})
        assert answer.status == 200


def test_a_route_of_the_project_cannot_take_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="answered by Turnout itself"):
        client_of(tmp_path, **{"app/auth/v1/[...path]/route.py": ROUTE})


async def test_a_project_that_does_not_use_it_gets_no_tables_and_no_keys(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        assert (await client.get("/")).status == 200
        assert (await client.get("/auth/v1/nothing")).status == 404
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").glob("app.db*"))


# -- to whom


@pytest.mark.parametrize("peer", ["203.0.113.9", "10.0.0.1", "::ffff:10.0.0.1"])
async def test_by_default_only_this_machine_may_call(tmp_path: Path, peer: str) -> None:
    async with client_of(tmp_path, mode="development", peer=peer) as client:
        answer = await client.get("/auth/v1/health")
        assert (answer.status, answer.json()["code"]) == (403, "wire_is_local")
        assert (await client.request("OPTIONS", "/rest/v1/posts")).status == 403


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1"])
async def test_this_machine_may(tmp_path: Path, peer: str) -> None:
    async with client_of(tmp_path, mode="development", peer=peer) as client:
        assert (await client.get("/auth/v1/health")).status == 200


async def test_everybody_may_once_it_is_said(tmp_path: Path) -> None:
    async with client_of(tmp_path, "supabase = true\n", mode="development", peer="203.0.113.9") as client:
        assert (await client.get("/auth/v1/health")).status == 200


async def test_a_forwarded_address_makes_nobody_local(tmp_path: Path) -> None:
    async with client_of(tmp_path, mode="development", peer="203.0.113.9") as client:
        answer = await client.get("/auth/v1/health", headers={"x-forwarded-for": "127.0.0.1"})
        assert answer.status == 403


# -- who asks for rows


async def test_nobody_is_401_in_postgrests_shape(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        answer = await client.get("/rest/v1/posts")
        assert answer.status == 401
        assert answer.json() == {
            "code": "PGRST302", "message": "Anonymous access is disabled", "details": None, "hint": None
        }  # fmt: skip
        assert answer.headers.get("www-authenticate") == "Bearer"


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "x" * 20_000])
async def test_a_bad_token_is_401_and_never_500(tmp_path: Path, token: str) -> None:
    async with client_of(tmp_path) as client:
        for headers in ({"authorization": f"Bearer {token}"}, {"apikey": token}):
            answer = await client.get("/rest/v1/posts", headers=headers)
            assert (answer.status, answer.json()["code"]) == (401, "PGRST301")


MIGRATION = "create table notes (id integer primary key, owner text, words text);\n"
POLICIES = """
    from turnout.db import Policy, col, uid

    Policy("notes", "own", for_="all", to="authenticated", using=col("owner") == uid(), check=col("owner") == uid())
"""


@pytest.fixture
def tables(tmp_path: Path) -> Callable[[], Client]:
    """A project with one table, which is made."""

    def make() -> Client:
        client = client_of(tmp_path, "[tool.turnout.auth]\nauto_confirm = true\nbcrypt_cost = 4\n")
        (tmp_path / "data").mkdir(exist_ok=True)
        import sqlite3

        with sqlite3.connect(tmp_path / "data" / "app.db") as connection:
            connection.execute(MIGRATION)
        connection.close()
        return client

    return make


async def test_the_role_is_the_tokens_and_else_the_keys(tables: Callable[[], Client]) -> None:
    async with tables() as client:
        ring = auth_service().keys
        anon, service = ring.api_key("anon"), ring.api_key("service_role")
        row = {"id": 1, "owner": "x", "words": "y"}
        as_service = {"apikey": service}
        assert (await client.post("/rest/v1/notes", json=row, headers=as_service)).status == 201
        # The key is the public one, but the token says service_role, and the other way round.
        read = await client.get("/rest/v1/notes", headers={"apikey": anon, "authorization": f"Bearer {service}"})
        assert (read.status, len(read.json())) == (200, 1)
        hidden = await client.get("/rest/v1/notes", headers={"apikey": service, "authorization": f"Bearer {anon}"})
        assert hidden.status != 200 or hidden.json() == []


async def test_cookies_are_never_read(tables: Callable[[], Client]) -> None:
    async with tables() as client:
        client.cookies["sb-localhost-auth-token"] = "base64-" + "e30"
        service = auth_service().keys.api_key("service_role")
        client.cookies["apikey"] = service
        client.cookies["authorization"] = f"Bearer {service}"
        assert (await client.get("/rest/v1/notes")).status == 401
        assert (await client.get("/auth/v1/user")).status == 401
        assert (await client.post("/auth/v1/logout")).status == 401


async def test_no_answer_sets_a_cookie(tables: Callable[[], Client]) -> None:
    async with tables() as client:
        given = {"email": "ada@example.com", "password": "correct horse"}
        answer = await client.post("/auth/v1/signup", json=given, headers=keys_of(client))
        assert answer.status == 200
        assert not answer.headers.has("set-cookie")
        assert answer.headers.get("cache-control") == "no-store"


async def test_keys_that_are_none_are_told_to_the_log_and_to_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TURNOUT_AUTH_KEYS", "nonsense marker")
    async with client_of(tmp_path) as client:
        users = await client.get("/auth/v1/settings", headers={"apikey": "x"})
        rows = await client.get("/rest/v1/posts", headers={"apikey": "x"})
    assert (users.status, users.json()["error_code"]) == (500, "unexpected_failure")
    assert (rows.status, rows.json()["code"]) == (500, "PGRST000")
    assert "marker" not in users.text + rows.text
    assert "TURNOUT_AUTH_KEYS" in caplog.text


# -- browsers


APP = "https://app.example.com"
ORIGINS = f'supabase = true\nsupabase_origins = ["{APP}"]\n'


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Client]:
    """A site in production whose pages are elsewhere."""
    import json

    monkeypatch.setenv("TURNOUT_AUTH_KEYS", json.dumps([make_key()]))

    def make() -> Client:
        return client_of(tmp_path, ORIGINS + 'origin = "https://api.example.com"\n', mode="production")

    return make


async def preflight(client: Client, path: str, origin: str) -> Any:
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "apikey"}
    return await client.request("OPTIONS", path, headers=asked)


@pytest.mark.parametrize("path", ["/auth/v1/token", "/rest/v1/posts", "/rest/v1/rpc/f"])
async def test_a_named_origin_may_call(production: Callable[[], Client], path: str) -> None:
    async with production() as client:
        answer = await preflight(client, path, APP)
        assert answer.status == 204
        assert answer.headers.get("access-control-allow-origin") == APP
        allowed = answer.headers.get("access-control-allow-headers")
        for name in ("authorization", "apikey", "content-type", "prefer", "accept-profile", "content-profile",
                     "x-client-info", "x-supabase-api-version", "x-retry-count"):  # fmt: skip
            assert name in allowed
        for method in ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"):
            assert method in answer.headers.get("access-control-allow-methods")
        assert not answer.headers.has("access-control-allow-credentials")


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "https://app.example.com.evil.example", "https://evilapp.example.com", "null",
     "http://app.example.com", "https://app.example.com:444", "https://app.example.com/", "http://localhost:3000", "x"],
)  # fmt: skip
async def test_no_other_origin_is_told_anything(production: Callable[[], Client], origin: str) -> None:
    async with production() as client:
        asked, got = (
            await preflight(client, "/auth/v1/token", origin),
            await client.get("/auth/v1/health", headers={"origin": origin}),
        )
        for answer in (asked, got):
            assert not answer.headers.has("access-control-allow-origin")
            assert "Origin" in answer.headers.get("vary")


async def test_a_page_may_read_what_the_clients_read(production: Callable[[], Client]) -> None:
    async with production() as client:
        answer = await client.get("/rest/v1/posts", headers={"origin": APP})
        assert answer.status == 401  # and the page may read why
        assert answer.headers.get("access-control-allow-origin") == APP
        exposed = answer.headers.get("access-control-expose-headers")
        for name in (
            "content-range",
            "preference-applied",
            "location",
            "x-total-count",
            "link",
            "x-supabase-api-version",
        ):
            assert name in exposed


@pytest.mark.parametrize(
    ("origin", "lets"),
    [("http://localhost:5173", True), ("http://127.0.0.1:3000", True), ("https://localhost", True),
     ("http://[::1]:8080", True), ("http://localhost.evil.example", False), ("http://localhost:5173/", False),
     ("http://evil.example", False), ("http://127.0.0.1.evil.example", False), ("null", False)],
)  # fmt: skip
async def test_in_development_pages_of_this_machine_may_call(tmp_path: Path, origin: str, lets: bool) -> None:
    async with client_of(tmp_path, mode="development") as client:
        answer = await preflight(client, "/auth/v1/token", origin)
        assert answer.headers.has("access-control-allow-origin") is lets


@pytest.mark.parametrize("origin", ["*", "app.example.com", "https://app.example.com/x", "https://*.example.com", ""])
def test_what_is_no_origin_stops_the_start(tmp_path: Path, origin: str) -> None:
    with pytest.raises(ConfigError, match="supabase_origins"):
        client_of(tmp_path, f'supabase_origins = ["{origin}"]\n')


def test_the_routes_load_nothing_of_cryptography(tmp_path: Path) -> None:
    import subprocess
    import sys

    make_project(tmp_path, {"pyproject.toml": HOSTS, "app/route.py": ROUTE})
    code = (
        "import sys; from turnout.project import load_project\n"
        f"load_project({str(tmp_path)!r}, mode='test')\n"
        "print([name for name in ('cryptography', 'jwt', 'bcrypt') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
