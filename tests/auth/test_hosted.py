"""create_client() with SUPABASE_URL: signed out, signed in, expired, and away, which are four different things."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from projects import client_of
from served import Served, node, served

from turnout.auth import hosted
from turnout.auth.cookies import decode, encode, join, to_chunks
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
    monkeypatch.setattr(hosted, "TIMEOUT_S", 1.0)
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


# -- against a server that speaks both wires


CALL = """
from turnout import Response, create_admin_client, create_client

async def POST(request, body: dict):
    target = supabase = await (create_admin_client if body.get("admin") else create_client)()
    for name in body["call"].split("."):
        target = getattr(target, name)
    return Response.json({"result": await target(*body.get("args", []))})
"""
ROWS = """
from turnout import Response, create_client

async def GET(request):
    supabase = await create_client()
    found = await supabase.table("notes").select("*", count="exact").execute()
    return Response.json({"data": found.data, "count": found.count})

async def POST(request, body: dict):
    supabase = await create_client()
    return Response.json((await supabase.table("notes").insert(body).execute()).data)
"""
CAUGHT = """
from supabase_auth.errors import AuthApiError
from turnout import create_client

async def GET(request):
    try:
        supabase = await create_client()
        await supabase.auth.sign_in_with_password({"email": "a@b.co", "password": "x"})
    except AuthApiError as exc:
        return [exc.message, exc.status, exc.code]
"""
FRONT = {
    "app/api/caught/route.py": CAUGHT,
    "app/api/me/route.py": ME,
    "app/api/call/route.py": CALL,
    "app/api/notes/route.py": ROWS,
}
BACK = {
    "migrations/0001_notes.sql": "create table notes (id integer primary key autoincrement, text text, owner uuid);",
    "lib/policies.py": """
from turnout.db import policy, col, uid
policy("notes", for_="all", to="authenticated", using=col("owner") == uid(), check=col("owner") == uid())
""",
}
ADA = {"email": "ada@example.com", "password": "correct horse"}
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def back(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A Turnout server in hosted Supabase's place."""
    auth = "auto_confirm = true\nbcrypt_cost = 4\nsign_ins_per_five_min = 1000\nrefreshes_per_five_min = 1000"
    with served(tmp_path_factory.mktemp("back"), BACK, auth=auth) as server:
        yield server


@asynccontextmanager
async def front(root: Path, back: Served, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """A project that uses *back* as its Supabase."""
    monkeypatch.setenv("SUPABASE_URL", back.url)
    monkeypatch.setenv("SUPABASE_ANON_KEY", back.anon)
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", back.service)
    async with client_of(root, FRONT) as client:
        try:
            yield client
        finally:
            await hosted.close()


async def call(client: Client, name: str, *args: Any, **options: Any) -> Any:
    body = {"call": name, "args": list(args), **options}
    answer = await client.post("/api/call", json=body, headers=SAME_ORIGIN)
    assert answer.status == 200, answer.text
    return answer.json()["result"]


def someone() -> dict[str, str]:
    return {**ADA, "email": f"{secrets.token_hex(6)}@example.com"}


def session_of(client: Client) -> Any:
    return json.loads(decode(join(KEY, client.cookies) or "") or "null")


def age(client: Client, seconds: float = 3600) -> None:
    session = session_of(client)
    session["expires_at"] -= seconds
    client.cookies = dict(to_chunks(KEY, encode(json.dumps(session))))


async def test_the_official_client_signs_in_and_out_with_the_cookies_of_its_request(
    tmp_path: Path, back: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with front(tmp_path, back, monkeypatch) as client:
        who = someone()
        assert (await client.get("/api/me")).status == 401
        user = (await call(client, "auth.sign_up", who))["user"]

        assert (await client.get("/api/me")).json() == {"userId": user["id"]}
        assert session_of(client)["user"]["email"] == who["email"]
        await call(client, "auth.update_user", {"data": {"name": "Ada"}})
        assert session_of(client)["user"]["user_metadata"]["name"] == "Ada"
        assert (await call(client, "auth.get_session"))["user"]["id"] == user["id"]
        assert (await call(client, "auth.get_claims"))["claims"]["sub"] == user["id"]
        await call(client, "auth.sign_out")
        assert client.cookies == {}
        assert (await call(client, "auth.sign_in_with_password", who))["user"]["id"] == user["id"]
        token = session_of(client)["access_token"]
        client.cookies = {}
        by_token = await client.get("/api/me", headers={"authorization": f"Bearer {token}"})
        assert by_token.json() == {"userId": user["id"]} and by_token.headers.get_set_cookie() == []


async def test_rows_are_the_users_own(tmp_path: Path, back: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async with front(tmp_path, back, monkeypatch) as client:
        ada = (await call(client, "auth.sign_up", someone()))["user"]["id"]
        made = await client.post("/api/notes", json={"text": "hers", "owner": ada}, headers=SAME_ORIGIN)
        assert [row["text"] for row in made.json()] == ["hers"]
        token = session_of(client)["access_token"]
        client.cookies = {}

        await call(client, "auth.sign_up", someone())

        assert (await client.get("/api/notes")).json() == {"data": [], "count": 0}
        hers = await client.get("/api/notes", headers={"authorization": f"Bearer {token}"})
        assert [row["owner"] for row in hers.json()["data"]] == [ada]
        client.cookies = {}
        assert (await client.get("/api/notes")).json() == {"data": [], "count": 0}


async def test_an_expired_session_is_refreshed_once_for_many_requests(
    tmp_path: Path, back: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with front(tmp_path, back, monkeypatch) as client:
        user = (await call(client, "auth.sign_up", someone()))["user"]
        age(client)
        line = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        before = session_of(client)["refresh_token"]

        answers = await asyncio.gather(*[client.get("/api/me", headers={"cookie": line}) for _ in range(20)])

        assert {json.dumps(answer.json()) for answer in answers} == {json.dumps({"userId": user["id"]})}
        assert len({tuple(answer.headers.get_set_cookie()) for answer in answers}) == 1
        assert session_of(client)["refresh_token"] != before
        assert session_of(client)["expires_at"] > time.time() + 3000
        notes = await client.get("/api/notes")
        assert (notes.status, notes.headers.get_set_cookie()) == (200, [])


async def test_a_session_that_the_service_has_ended_is_signed_out(
    tmp_path: Path, back: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with front(tmp_path, back, monkeypatch) as client:
        for by_age in (False, True):
            await call(client, "auth.sign_up", someone())
            kept = dict(client.cookies)
            await call(client, "auth.sign_out")
            client.cookies = kept
            if by_age:
                age(client)

            assert (await client.get("/api/me")).status == 401
            assert client.cookies == {}


async def test_a_refused_sign_in_is_the_officials_error(
    tmp_path: Path, back: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with front(tmp_path, back, monkeypatch) as client:
        body = {"call": "auth.sign_in_with_password", "args": [someone()]}

        answer = await client.post("/api/call", json=body, headers=SAME_ORIGIN)

        assert (answer.status, answer.json()["code"]) == (400, "invalid_credentials")
        assert client.cookies == {}
        assert (await client.get("/api/caught")).json() == ["Invalid login credentials", 400, "invalid_credentials"]


@pytest.mark.parametrize(
    ("name", "args", "status", "code"),
    [
        ("auth.update_user", [{"data": {}}], 401, "no_authorization"),
        ("auth.refresh_session", [], 401, "no_authorization"),
        ("auth.sign_up", [{"email": "", "password": "x"}], 400, "validation_failed"),
        ("auth.sign_in_with_otp", [{}], 400, "validation_failed"),
        ("auth.verify_otp", [{"email": "a@b.co", "token": "123456", "type": "email"}], 403, "otp_expired"),
        ("auth.admin.list_users", [], 403, "not_admin"),
    ],
)
async def test_what_is_refused_ends_the_request_with_its_status(
    tmp_path: Path, back: Served, monkeypatch: pytest.MonkeyPatch, name: str, args: list[Any], status: int, code: str
) -> None:
    async with front(tmp_path, back, monkeypatch) as client:
        answer = await client.post("/api/call", json={"call": name, "args": args}, headers=SAME_ORIGIN)

        assert (answer.status, answer.json()["code"]) == (status, code)


async def test_another_sites_page_is_refused(tmp_path: Path, back: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async with front(tmp_path, back, monkeypatch) as client:
        await call(client, "auth.sign_up", someone())
        body = {"call": "auth.sign_out"}

        for headers in ({}, {"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
            assert (await client.post("/api/call", json=body, headers=headers)).status == 403
        assert (await client.get("/api/me")).status == 200


async def test_a_pkce_flow_ends_in_a_session(tmp_path: Path, back: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async with front(tmp_path, back, monkeypatch) as client:
        who = someone()
        await call(client, "auth.sign_up", who)
        await call(client, "auth.sign_out")

        await call(client, "auth.reset_password_for_email", who["email"], {"redirect_to": "http://localhost:8000/"})

        assert json.loads(decode(client.cookies[f"{KEY}-code-verifier"]) or "").endswith("/PASSWORD_RECOVERY")
        async with httpx.AsyncClient() as browser:
            landed = await browser.get(await asyncio.to_thread(back.link, who["email"]))
        code = landed.headers["location"].rpartition("code=")[2]
        await call(client, "auth.exchange_code_for_session", {"auth_code": code})
        assert f"{KEY}-code-verifier" not in client.cookies
        assert (await client.get("/api/me")).status == 200


async def test_an_admin_client_has_the_service_key_and_no_session(
    tmp_path: Path, back: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with front(tmp_path, back, monkeypatch) as client:
        user = (await call(client, "auth.sign_up", someone()))["user"]

        found = await call(client, "auth.admin.get_user_by_id", user["id"], admin=True)

        assert found["user"]["email"] == user["email"]
        assert await call(client, "auth.get_session", admin=True) is None


async def test_a_worker_shares_its_connections(tmp_path: Path, back: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async with front(tmp_path, back, monkeypatch) as client:
        await call(client, "auth.sign_up", someone())
        pool = hosted._pool()
        for _ in range(3):
            assert (await client.get("/api/me")).status == 200

        assert hosted._pool() is pool and not pool.is_closed
        assert len(pool._transport._pool.connections) == 1  # type: ignore[attr-defined]


async def test_a_cookie_that_one_user_is_answered_with_goes_to_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []

    async def setting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nset-cookie: whose=anns; Path=/\r\ncontent-length: 2\r\n\r\n[]")
        await writer.drain()

    table = """
        from turnout import create_client
        async def GET(request):
            supabase = await create_client()
            return (await supabase.table("notes").select("*").execute()).data
    """
    async with service(setting, monkeypatch), client_of(tmp_path, {"app/notes/route.py": table}) as client:
        for who in ("ann", "bob"):
            assert (await client.get("/notes", headers={"authorization": f"Bearer {who}"})).json() == []

    assert [b"Bearer bob" in head for head in heads] == [False, True]
    assert not [head for head in heads if b"cookie:" in head.lower()]


# -- the same session in JavaScript


JS = Path(__file__).parents[1] / "js"
SSR = """
import { createServerClient } from "@supabase/ssr";
globalThis.WebSocket ??= class {};  // Node 20 has none, and nothing here opens one
const { url, key, cookies, signIn } = JSON.parse(process.argv[1]);
const jar = new Map(Object.entries(cookies));
const supabase = createServerClient(url, key, { cookies: {
  getAll: () => [...jar].map(([name, value]) => ({ name, value })),
  setAll: (all) => all.forEach(({ name, value, options }) => options.maxAge ? jar.set(name, value) : jar.delete(name)),
}});
if (signIn) await supabase.auth.signInWithPassword(signIn);
const { data, error } = await supabase.auth.getUser();
await new Promise((done) => setTimeout(done, 50));
const found = { id: data?.user?.id ?? null, error: error?.code ?? null };
console.log(JSON.stringify({ ...found, cookies: Object.fromEntries(jar) }));
process.exit(0);
"""


async def in_node(back: Served, cookies: dict[str, str], sign_in: dict[str, str] | None = None) -> Any:
    asked = json.dumps({"url": back.url, "key": back.anon, "cookies": cookies, "signIn": sign_in})
    process = await asyncio.create_subprocess_exec(
        "node", "--input-type=module", "-e", SSR, asked, cwd=JS, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


@pytest.mark.skipif(node() is None, reason="npm ci in tests/js was not run")
async def test_a_front_end_with_supabase_ssr_has_the_same_session(
    tmp_path: Path, back: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with front(tmp_path, back, monkeypatch) as client:
        who = someone()
        user = (await call(client, "auth.sign_up", who))["user"]

        # Ours, read there; near its end it is refreshed there, and read here again.
        found = await in_node(back, client.cookies)
        assert (found["id"], found["error"]) == (user["id"], None)
        age(client)
        before = session_of(client)["refresh_token"]
        found = await in_node(back, client.cookies)
        assert found["id"] == user["id"]
        client.cookies = found["cookies"]
        assert session_of(client)["refresh_token"] != before
        assert (await client.get("/api/me")).json() == {"userId": user["id"]}

        # Theirs, read here; signed out here, it is over there.
        client.cookies = (await in_node(back, {}, who))["cookies"]
        assert (await client.get("/api/me")).json() == {"userId": user["id"]}
        kept = dict(client.cookies)
        await call(client, "auth.sign_out")
        assert client.cookies == {} and (await in_node(back, kept))["id"] is None


async def test_the_pages_sign_in_to_it(tmp_path: Path, back: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = '[tool.turnout]\nallowed_hosts = ["localhost"]\n[tool.turnout.auth]\npages = true\n'
    monkeypatch.setitem(FRONT, "pyproject.toml", settings)
    async with front(tmp_path, back, monkeypatch) as client:
        who = someone()
        made = await client.post("/auth/sign-up", form={**who, "next": "/notes"}, headers=SAME_ORIGIN)
        assert (made.status, made.headers.get("location")) == (303, "/notes")
        await client.post("/auth/sign-out", headers=SAME_ORIGIN | FORM)
        nobody = await client.post("/auth/new-password", form={"password": "another horse"}, headers=SAME_ORIGIN)
        assert nobody.status == 303
        empty = await client.post("/auth/sign-in", form={"email": "", "password": ""}, headers=SAME_ORIGIN)
        assert empty.status == 422
        wrong = await client.post("/auth/sign-in", form={**who, "password": "wrong horse"}, headers=SAME_ORIGIN)
        assert wrong.status == 422 and "do not match an account" in wrong.text
        await client.post("/auth/sign-in", form=who, headers=SAME_ORIGIN)
        assert (await client.get("/api/me")).status == 200


FORM = {"content-type": "application/x-www-form-urlencoded"}
