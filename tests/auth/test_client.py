"""create_client() on the project's own users: signing in, sessions in cookies, rows through policies."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from projects import client_of

from turnout.auth import auth_service
from turnout.auth.cookies import decode, encode, join, to_chunks
from turnout.auth.models import Session
from turnout.db import db, migrate
from turnout.errors import TurnoutError
from turnout.testing import Answer, Client

KEY = "sb-localhost-auth-token"
SETTINGS = """
[tool.turnout]
allowed_hosts = ["localhost", "127.0.0.1"]
[tool.turnout.auth]
auto_confirm = true
anonymous = true
bcrypt_cost = 4
"""
# As the specification has it, word for word.
ME = """
from turnout import Response, create_client

async def GET(request):
    supabase = await create_client()
    user = (await supabase.auth.get_user()).user
    if not user:
        return Response.json({"error": "Unauthorized"}, status=401)
    return Response.json({"userId": user.id})
"""
# Does what its query says and answers with what came of it.
CALL = """
import asyncio
import msgspec
from turnout import Response, create_client, current_request

async def POST(request, body: dict):
    supabase = await create_client()
    target = supabase
    for name in body["call"].split("."):
        target = getattr(target, name)
    result = await target(*body.get("args", []))
    return Response.json({"result": msgspec.to_builtins(result)})
GET = POST
"""
ROWS = """
from turnout import Response, create_client, create_admin_client

async def POST(request, body: dict):
    supabase = await (create_admin_client if body.get("admin") else create_client)()
    query = eval(body["query"], {"supabase": supabase})
    result = await query.execute()
    if result is None:
        return Response.json(None)
    return Response.json({"data": result.data, "count": result.count})
"""
POLICIES = """
from turnout.db import policy, col, uid
policy("posts", for_="select", to=("anon", "authenticated"), using=col("published") == True)
policy("posts", for_="all", to="authenticated", using=col("author_id") == uid(), check=col("author_id") == uid())
"""
FILES = {
    "pyproject.toml": SETTINGS,
    "app/api/me/route.py": ME,
    "app/api/call/route.py": CALL,
    "app/api/rows/route.py": ROWS,
    "lib/policies.py": POLICIES,
}
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
ADA = {"email": "ada@example.com", "password": "correct horse"}


@pytest.fixture(autouse=True)
def no_hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUPABASE_URL", "DATABASE_URL", "STORE_URL"):
        monkeypatch.delenv(name, raising=False)


def project(root: Path, **files: str) -> Client:
    return client_of(root, FILES | files)


async def call(client: Client, name: str, *args: Any, **options: Any) -> Answer:
    options.setdefault("headers", SAME_ORIGIN)
    return await client.post("/api/call", json={"call": name, "args": list(args)}, **options)


async def sign_up(client: Client, **who: str) -> dict[str, Any]:
    answer = await call(client, "auth.sign_up", {**ADA, **who})
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.json()["result"]
    return found


def session_of(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(decode(join(KEY, client.cookies) or "") or "null")
    return found


def age(client: Client, seconds: float = 3600) -> None:
    """Make the session of *client* end that much earlier, as its own cookie tells it."""
    session = session_of(client)
    session["expires_at"] -= seconds
    put(client, session)


def put(client: Client, session: Any) -> None:
    client.cookies = {name: value for name, value in client.cookies.items() if not name.startswith(KEY)}
    client.cookies |= dict(to_chunks(KEY, encode(json.dumps(session))))


# -- the specification's example


async def test_nobody_is_unauthorized_and_a_user_has_an_id(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        answer = await client.get("/api/me")
        assert (answer.status, answer.json()) == (401, {"error": "Unauthorized"})
        assert answer.headers["cache-control"] == "private, no-store"

        user = (await sign_up(client))["user"]

        answer = await client.get("/api/me")
        assert (answer.status, answer.json()) == (200, {"userId": user["id"]})
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers.get_set_cookie() == []


async def test_a_bearer_token_says_who_it_is_and_wins_over_the_cookies(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        ada = await sign_up(client)
        client.cookies = {}
        bob = await sign_up(client, email="bob@example.com")
        token = ada["session"]["access_token"]

        for value in (f"Bearer {token}", f"bearer {token}", f"Bearer  {token}"):
            answer = await client.get("/api/me", headers={"authorization": value})
            assert answer.json() == {"userId": ada["user"]["id"]}
        assert (await client.get("/api/me")).json() == {"userId": bob["user"]["id"]}
        client.cookies = {}
        for value in ("Bearer", "Bearer ", "Bearer nonsense", f"Basic {token}", token, f"Bearer {token}x"):
            answer = await client.get("/api/me", headers={"authorization": value})
            assert (answer.status, answer.headers.get_set_cookie()) == (401, [])


async def test_the_session_cookies_are_safe_and_uncached(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        answer = await call(client, "auth.sign_up", ADA)

        lines = answer.headers.get_set_cookie()
        assert lines and all(line.startswith(f"{KEY}") for line in lines)
        for line in lines:
            assert line.partition("; ")[2] == "Max-Age=34560000; Path=/; HttpOnly; SameSite=Lax"
        assert answer.headers["cache-control"] == "private, no-cache, no-store, must-revalidate, max-age=0"
        assert (answer.headers["expires"], answer.headers["pragma"]) == ("0", "no-cache")
        assert session_of(client)["user"]["email"] == "ada@example.com"


async def test_over_https_the_cookies_are_secure(tmp_path: Path) -> None:
    origin = SETTINGS.replace("[tool.turnout]", '[tool.turnout]\norigin = "https://shop.example.com"', 1)
    async with project(tmp_path, **{"pyproject.toml": origin}) as client:
        answer = await call(client, "auth.sign_up", ADA)

        for line in answer.headers.get_set_cookie():
            assert line.startswith("sb-shop-auth-token") and "; Secure; HttpOnly" in line


async def test_a_browser_client_may_read_the_cookies_if_the_project_says_so(tmp_path: Path) -> None:
    async with project(tmp_path, **{"pyproject.toml": SETTINGS + "browser_client = true\n"}) as client:
        answer = await call(client, "auth.sign_up", ADA)

        assert not [line for line in answer.headers.get_set_cookie() if "HttpOnly" in line]


# -- signing in and out


async def test_signing_in_again_and_out(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        user = (await sign_up(client))["user"]
        old = dict(client.cookies)
        client.cookies = {}

        answer = await call(client, "auth.sign_in_with_password", ADA)
        assert answer.json()["result"]["user"]["id"] == user["id"]
        assert answer.json()["result"]["session"]["access_token"] == session_of(client)["access_token"]
        bearer = {"authorization": f"Bearer {session_of(client)['access_token']}"}

        assert (await call(client, "auth.sign_out", {"scope": "local"})).json() == {"result": None}
        assert client.cookies == {}
        assert (await client.get("/api/me")).status == 401
        assert (await client.get("/api/me", headers=bearer)).status == 401  # replayed
        client.cookies = old
        assert (await client.get("/api/me")).status == 200
        await call(client, "auth.sign_out")
        client.cookies = old
        assert (await client.get("/api/me")).status == 401


async def test_signing_out_the_others_keeps_this_session(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await sign_up(client)
        other = dict(client.cookies)
        client.cookies = {}
        await call(client, "auth.sign_in_with_password", ADA)

        await call(client, "auth.sign_out", {"scope": "others"})

        assert (await client.get("/api/me")).status == 200
        client.cookies = other
        assert (await client.get("/api/me")).status == 401
        assert client.cookies == {}  # a session that is no more takes its cookies along


@pytest.mark.parametrize(
    ("name", "args", "status", "code"),
    [
        ("auth.sign_in_with_password", [{**ADA, "password": "wrong horse"}], 400, "invalid_credentials"),
        ("auth.sign_in_with_password", [{**ADA, "email": "who@example.com"}], 400, "invalid_credentials"),
        ("auth.sign_in_with_password", [{"email": "ada@example.com"}], 400, "validation_failed"),
        ("auth.sign_in_with_password", [{"phone": "123", "password": "x"}], 400, "validation_failed"),
        ("auth.sign_in_with_password", [{"email": 7, "password": "x"}], 400, "validation_failed"),
        ("auth.sign_up", [ADA], 422, "user_already_exists"),
        ("auth.sign_up", [{"email": "new@example.com", "password": "x"}], 422, "weak_password"),
        ("auth.update_user", [{"data": {}}], 401, "no_authorization"),
        ("auth.refresh_session", [], 401, "no_authorization"),
        ("auth.refresh_session", ["nonsense"], 400, "refresh_token_not_found"),
        ("auth.reauthenticate", [], 401, "no_authorization"),
        ("auth.exchange_code_for_session", [{"auth_code": "x"}], 400, "validation_failed"),
        ("auth.verify_otp", [{"email": "ada@example.com", "token": "123456", "type": "email"}], 403, "otp_expired"),
        ("auth.sign_out", [{"scope": "everybody"}], 400, "validation_failed"),
        ("auth.admin.list_users", [], 403, "not_admin"),
    ],
)
async def test_what_is_refused_has_supabases_word_and_status(
    tmp_path: Path, name: str, args: list[Any], status: int, code: str
) -> None:
    async with project(tmp_path) as client:
        await sign_up(client)
        client.cookies = {}

        answer = await call(client, name, *args)

        assert (answer.status, answer.json()["code"]) == (status, code)
        assert client.cookies == {}


async def test_an_anonymous_user_is_a_user(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        answer = await call(client, "auth.sign_in_anonymously", {"options": {"data": {"theme": "dark"}}})

        user = answer.json()["result"]["user"]
        assert (user["is_anonymous"], user["user_metadata"]) == (True, {"theme": "dark"})
        assert (await client.get("/api/me")).json() == {"userId": user["id"]}


async def test_a_user_changes_and_so_does_the_cookie(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await sign_up(client)

        answer = await call(client, "auth.update_user", {"data": {"name": "Ada"}, "password": "another horse"})

        assert answer.json()["result"]["user"]["user_metadata"]["name"] == "Ada"
        assert session_of(client)["user"]["user_metadata"]["name"] == "Ada"
        client.cookies = {}
        assert (await call(client, "auth.sign_in_with_password", ADA)).status == 400
        assert (await call(client, "auth.sign_in_with_password", {**ADA, "password": "another horse"})).status == 200


async def test_claims_and_session_are_read_without_a_look_at_the_database(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        user = (await sign_up(client))["user"]

        claims = (await call(client, "auth.get_claims")).json()["result"]
        session = (await call(client, "auth.get_session")).json()["result"]

        assert (claims["claims"]["sub"], claims["headers"]["alg"]) == (user["id"], "ES256")
        assert (session["user"]["id"], session["token_type"]) == (user["id"], "bearer")
        client.cookies = {}
        assert (await call(client, "auth.get_claims")).json() == {"result": None}
        assert (await call(client, "auth.get_session")).json() == {"result": None}


async def test_a_session_made_elsewhere_can_be_taken(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        made = (await sign_up(client))["session"]
        client.cookies = {}

        await call(client, "auth.set_session", made["access_token"], made["refresh_token"])

        assert session_of(client)["refresh_token"] == made["refresh_token"]
        assert (await client.get("/api/me")).status == 200
        await call(client, "auth.set_session", "has.ended.already", made["refresh_token"])
        assert session_of(client)["refresh_token"] != made["refresh_token"]


# -- refreshing


async def test_a_session_near_its_end_is_refreshed_and_the_new_one_kept(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        user = (await sign_up(client))["user"]
        age(client)
        before = session_of(client)

        answer = await client.get("/api/me")

        assert answer.json() == {"userId": user["id"]}
        after = session_of(client)
        assert after["refresh_token"] != before["refresh_token"] and after["expires_at"] > time.time() + 3000
        assert answer.headers["cache-control"] == "private, no-cache, no-store, must-revalidate, max-age=0"
        assert (await client.get("/api/me")).headers.get_set_cookie() == []


async def test_many_requests_with_one_session_refresh_it_once(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await sign_up(client)
        age(client)
        jar = dict(client.cookies)
        service = auth_service()
        asked: list[str] = []
        refresh = service.refresh

        async def counted(token: str, **options: Any) -> Session:
            asked.append(token)
            return await refresh(token, **options)

        service.refresh = counted  # type: ignore[method-assign,assignment]

        answers = await asyncio.gather(*[client.get("/api/me", headers={"cookie": cookie(jar)}) for _ in range(50)])

        assert {answer.status for answer in answers} == {200} and len(asked) == 1
        kept = {tuple(answer.headers.get_set_cookie()) for answer in answers}
        assert len(kept) == 1 and kept != {()}
        (row,) = await db.sql("select count(*) as n from auth_refresh_tokens where revoked = false")
        assert row["n"] == 1


def cookie(jar: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in jar.items())


async def test_a_client_that_leaves_does_not_take_the_refresh_with_it(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await sign_up(client)
        age(client)
        first = asyncio.create_task(client.get("/api/me"))
        second = asyncio.create_task(client.get("/api/me"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()

        assert (await second).status == 200
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_a_session_that_was_ended_is_signed_out_and_its_cookies_go(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await sign_up(client)
        age(client)
        await db.sql("delete from auth_sessions")

        answer = await client.get("/api/me")

        assert (answer.status, client.cookies) == (401, {})


@pytest.mark.parametrize(("ends_earlier_s", "table"), [(0, "auth_sessions"), (3600, "auth_refresh_tokens")])
async def test_a_database_that_does_not_answer_is_not_signed_out(
    tmp_path: Path, ends_earlier_s: float, table: str
) -> None:
    async with project(tmp_path) as client:
        await sign_up(client)
        age(client, ends_earlier_s)
        await db.sql(f"alter table {table} rename column user_id to away")
        answer = await client.get("/api/me")
        await db.sql(f"alter table {table} rename column away to user_id")

        assert (answer.status, answer.headers.get_set_cookie()) == (500, [])
        assert (await client.get("/api/me")).status == 200


STREAM = """
from turnout import Response, create_client

async def GET(request):
    async def chunks():
        yield "begun "
        supabase = await create_client()
        user = (await supabase.auth.get_user()).user
        yield user.email if user else "nobody"
        try:
            await supabase.auth.sign_in_with_password({"email": "ada@example.com", "password": "correct horse"})
        except Exception as exc:
            yield f" {type(exc).__name__}"
    return Response.stream(chunks())
"""


async def test_once_the_response_has_begun_a_session_is_read_and_not_written(tmp_path: Path) -> None:
    async with project(tmp_path, **{"app/api/stream/route.py": STREAM}) as client:
        await sign_up(client)
        tokens = "select count(*) as n from auth_refresh_tokens"
        (before,) = await db.sql(tokens)

        assert (await client.get("/api/stream")).text == "begun ada@example.com TurnoutError"
        age(client, 3595)  # still good, for less than the margin
        assert (await client.get("/api/stream")).text.startswith("begun ada@example.com")
        age(client)
        assert (await client.get("/api/stream")).text.startswith("begun nobody")

        (row,) = await db.sql(tokens)
        assert row["n"] <= before["n"] + 3  # what signing in made, and no refresh


async def test_outside_of_a_request_there_is_nobody(tmp_path: Path) -> None:
    from turnout import create_client

    async with project(tmp_path):
        with pytest.raises(TurnoutError, match="there is no request here"):
            await create_client()


# -- what a check costs


async def test_a_check_of_a_session_is_one_query_by_key_and_one_for_a_whole_request(tmp_path: Path) -> None:
    twice = ME.replace(
        "    user =", "    await supabase.auth.get_user()\n    supabase = await create_client()\n    user =", 1
    )
    async with project(
        tmp_path, **{"app/api/twice/route.py": twice, "app/api/guarded/route.py": 'auth = "user"\n' + ME}
    ) as client:
        await sign_up(client)
        await client.get("/api/me")
        statements = await watched(client, "/api/me")
        verified = auth_service().tokens.verified

        assert [each.split()[0] for each in statements] == ["select"]
        for path in ("/api/twice", "/api/guarded"):
            assert len(await watched(client, path)) == len(statements)
        assert auth_service().tokens.verified == verified  # a signature is computed once for each token


async def watched(client: Client, path: str) -> list[str]:
    """The statements that SQLite ran for one request."""
    statements: list[str] = []
    reader = db.engine._reader()  # type: ignore[union-attr]
    reader.set_trace_callback(statements.append)
    try:
        assert (await client.get(path)).status == 200
    finally:
        reader.set_trace_callback(None)
    return statements


# -- forged requests


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://localhost"}, 200),
        ({"sec-fetch-site": "same-origin", "origin": "http://localhost"}, 200),
        ({}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost"}, 403),
        ({"sec-fetch-site": ""}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:8001"}, 403),
        ({"origin": "https://localhost"}, 403),
        ({"origin": "http://LOCALHOST"}, 403),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost, http://evil.example"}, 403),
        ({"origin": "http://localhost/"}, 403),
        ({"origin": "nonsense"}, 403),
        ({"origin": ""}, 403),
    ],
)
async def test_an_unsafe_request_with_cookies_has_to_come_from_this_site(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with project(tmp_path) as client:
        await sign_up(client)
        before = dict(client.cookies)

        answer = await call(client, "auth.update_user", {"data": {"x": 1}}, headers=headers)

        assert answer.status == status, answer.text
        if status == 403:
            assert answer.json()["code"] == "cross_origin" and client.cookies == before
        assert (await client.get("/api/me", headers=headers)).status == 200  # reading is open


async def test_a_bearer_token_needs_no_origin(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        token = (await sign_up(client))["session"]["access_token"]
        bearer = {"authorization": f"Bearer {token}", "sec-fetch-site": "cross-site"}

        assert (await call(client, "auth.update_user", {"data": {"x": 1}}, headers=bearer)).status == 200


async def test_another_site_cannot_sign_its_victim_in(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await sign_up(client)
        client.cookies = {}

        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
            answer = await call(client, "auth.sign_in_with_password", ADA, headers=headers)
            assert (answer.status, client.cookies) == (403, {})
        # No browser sends neither.
        assert (await call(client, "auth.sign_in_with_password", ADA, headers={})).status == 200


@pytest.mark.parametrize("value", ["", "x", "base64-", "base64-e30", "base64-bnVsbA", "base64-W10", "base64-ÿ", "%"])
async def test_nonsense_in_the_cookie_is_nobody(tmp_path: Path, value: str) -> None:
    async with project(tmp_path) as client:
        for name in (KEY, f"{KEY}.0"):
            answer = await client.get("/api/me", headers={"cookie": f"{name}={value}".encode().decode("latin-1")})

            assert answer.status == 401
            posted = await call(client, "auth.get_session", headers={"cookie": f"{name}=x"})
            assert posted.json() == {"result": None}


async def test_chunks_of_two_sessions_are_nobody(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await sign_up(client)
        session = session_of(client)
        put(client, session | {"user": {"padding": "x" * 6000}})
        assert f"{KEY}.1" in client.cookies
        client.cookies[f"{KEY}.1"] = client.cookies[f"{KEY}.1"][::-1]

        assert (await client.get("/api/me")).status == 401


# -- rows


async def posts(client: Client) -> None:
    await db.sql(
        "create table posts (id integer primary key autoincrement, title text not null, published boolean "
        "not null default false, price numeric(10,2), author_id uuid)"
    )


async def rows(client: Client, query: str, **options: Any) -> Answer:
    return await client.post("/api/rows", json={"query": query, **options}, headers=SAME_ORIGIN)


async def test_rows_are_seen_and_written_through_their_policies(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await posts(client)
        ada = (await sign_up(client))["user"]["id"]
        made = await rows(
            client, f"supabase.table('posts').insert({{'title': 'A', 'price': 1.5, 'author_id': '{ada}'}})"
        )
        assert made.json() == {
            "data": [{"id": 1, "title": "A", "published": False, "price": 1.5, "author_id": ada}], "count": None,
        }  # fmt: skip
        assert '"price":1.5' in made.text

        client.cookies = {}
        bob = (await sign_up(client, email="bob@example.com"))["user"]["id"]
        everything = "supabase.from_('posts').select('*', count='exact')"
        assert (await rows(client, everything)).json() == {"data": [], "count": 0}
        assert (await rows(client, everything, admin=True)).json()["count"] == 1
        forged = await rows(client, f"supabase.table('posts').insert({{'title': 'B', 'author_id': '{ada}'}})")
        assert (forged.status, forged.json()["code"]) == (403, "42501")
        gone = await rows(client, "supabase.table('posts').delete(count='exact').eq('id', 1)")
        assert gone.json() == {"data": [], "count": 0}
        own = await rows(client, f"supabase.table('posts').insert({{'title': 'B', 'author_id': '{bob}'}})")
        assert own.status == 200
        client.cookies = {}
        assert (await rows(client, everything)).json() == {"data": [], "count": 0}
        published = await rows(client, "supabase.table('posts').update({'published': True}).eq('id', 1)", admin=True)
        assert published.json()["data"][0]["published"] is True
        assert [row["id"] for row in (await rows(client, everything)).json()["data"]] == [1]


async def test_a_token_that_is_no_good_gets_no_rows_and_not_those_of_everybody(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await posts(client)

        answer = await client.post(
            "/api/rows",
            json={"query": "supabase.table('posts').select()"},
            headers={"authorization": "Bearer a.b.c"},
        )

        assert (answer.status, answer.json()["code"]) == (401, "PGRST301")


QUERIES: dict[str, Any] = {
    "t.select('id, title').eq('id', 2)": [{"id": 2, "title": "b,c"}],
    "t.select('id').neq('id', 2)": [1, 3, 4],
    "t.select('id').gt('id', 2)": [3, 4],
    "t.select('id').gte('id', 2).lt('id', 4)": [2, 3],
    "t.select('id').lte('id', 1)": [1],
    "t.select('id').in_('id', [1, 4, 9])": [1, 4],
    "t.select('id').in_('title', ['b,c', 'a'])": [1, 2],
    "t.select('id').filter('id', 'in', '(1,3)')": [1, 3],
    "t.select('id').not_.in_('id', [1, 4])": [2, 3],
    "t.select('id').not_.filter('id', 'in', '(1,3)')": [2, 4],
    "t.select('id').filter('id', 'not.in', '(1,3)')": [2, 4],
    "t.select('id').filter('title', 'eq', 'b,c')": [2],
    "t.select('id').is_('price', None)": [4],
    "t.select('id').is_('price', 'null')": [4],
    "t.select('id').not_.is_('price', None)": [1, 2, 3],
    "t.select('id').is_('published', True)": [1, 3],
    "t.select('id').eq('published', True).not_.eq('id', 1).eq('title', 'd%')": [3],
    "t.select('id').like('title', 'd%')": [3],
    "t.select('id').ilike('title', 'A')": [1],
    "t.select('id').like_any_of('title', 'a,d%')": [1, 3],
    "t.select('id').like_all_of('title', '%,%c,b%')": [2],
    "t.select('id').ilike_any_of('title', 'A,\"B,C\"')": [1, 2],
    "t.select('id').match({'id': 3, 'published': True})": [3],
    "t.select('id').or_('id.eq.1,title.eq.e')": [1, 4],
    "t.select('id').not_.or_('id.eq.1,title.eq.e')": [2, 3],
    "t.select('id').order('id', desc=True).limit(2)": [4, 3],
    "t.select('id').order('price', nullsfirst=True)": [4, 1, 2, 3],
    "t.select('id').order('price', desc=True, nullsfirst=False)": [3, 2, 1, 4],
    "t.select('id').order('id').range(1, 2)": [2, 3],
    "t.select('id').order('id').offset(3)": [4],
    "t.select('id').order('id').limit(1).offset(1)": [2],
    "t.select('id').order('id').limit(2).range(0, 0)": [1],
}


@pytest.mark.parametrize("query", QUERIES)
async def test_the_builder_finds_what_supabases_finds(tmp_path: Path, query: str) -> None:
    async with project(tmp_path) as client:
        await filled(client)

        answer = await rows(client, query.replace("t.", "supabase.table('posts').", 1), admin=True)

        assert answer.status == 200, answer.text
        wanted = [each if isinstance(each, dict) else {"id": each} for each in QUERIES[query]]
        assert answer.json() == {"data": wanted, "count": None}


async def filled(client: Client) -> None:
    await posts(client)
    titles = (("a", True, 1), ("b,c", False, 2), ("d%", True, "3.50"), ("e", False, None))
    for title, published, price in titles:
        await db.from_("posts").insert({"title": title, "published": published, "price": price})


async def test_single_and_maybe_single_keep_supabases_rules(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await filled(client)
        some = "supabase.table('posts').select('id, price')"

        one = await rows(client, f"{some}.eq('id', 3).single()", admin=True)
        assert one.json() == {"data": {"id": 3, "price": 3.5}, "count": None}
        assert (await rows(client, f"{some}.eq('id', 9).maybe_single()", admin=True)).json() is None
        assert (await rows(client, f"{some}.eq('id', 1).maybe_single()", admin=True)).json()["data"]["id"] == 1
        for query in (f"{some}.eq('id', 9).single()", f"{some}.single()", f"{some}.maybe_single()"):
            answer = await rows(client, query, admin=True)
            assert (answer.status, answer.json()["code"]) == (500, "PGRST116"), query
        many = await rows(client, "supabase.table('posts').update({'title': 'x'}).gt('id', 0).single()", admin=True)
        assert many.json()["code"] == "PGRST116"
        assert [row["title"] for row in await db.from_("posts").select("title").order("id")] == ["a", "b,c", "d%", "e"]


async def test_mutations_give_back_what_was_asked(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await posts(client)
        t = "supabase.table('posts')"

        both = await rows(
            client, f"{t}.insert([{{'title': 'a', 'price': 2}}, {{'title': 'b'}}], count='exact')", admin=True
        )
        assert [(row["id"], row["price"]) for row in both.json()["data"]] == [(1, 2), (2, None)]
        assert both.json()["count"] == 2
        silent = await rows(client, f"{t}.insert({{'title': 'c'}}, returning='minimal')", admin=True)
        assert silent.json() == {"data": [], "count": None}
        some = await rows(client, f"{t}.update({{'title': 'B'}}).eq('id', 2).select('title')", admin=True)
        assert some.json()["data"] == [{"title": "B"}]
        put = await rows(client, f"{t}.upsert({{'id': 2, 'title': 'bb'}})", admin=True)
        assert put.json()["data"][0]["title"] == "bb"
        kept = await rows(client, f"{t}.upsert({{'id': 2, 'title': 'no'}}, ignore_duplicates=True)", admin=True)
        assert kept.json()["data"] == []
        old = await rows(client, f"{t}.insert({{'id': 2, 'title': 'again'}}, upsert=True)", admin=True)
        assert old.json()["data"][0]["title"] == "again"
        gone = await rows(client, f"{t}.delete().in_('id', [1, 2]).select('id')", admin=True)
        assert gone.json()["data"] == [{"id": 1}, {"id": 2}]
        everything = await rows(client, f"{t}.delete()", admin=True)
        assert everything.json()["code"] == "21000"
        held = await rows(client, f"{t}.update({{'title': 'z'}}).gt('id', 0).max_affected(0)", admin=True)
        assert held.json()["code"] == "PGRST124"


async def test_count_alone(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await filled(client)

        answer = await rows(
            client, "supabase.table('posts').select('*', count='exact', head=True).gt('id', 1)", admin=True
        )

        assert answer.json() == {"data": [], "count": 3}


async def test_a_default_is_kept_for_one_row_and_null_for_a_gap_among_many(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await posts(client)
        t = "supabase.table('posts')"

        one = await rows(client, f"{t}.insert({{'title': 'a'}})", admin=True)
        assert one.json()["data"][0]["published"] is False
        many = "[{'title': 'b', 'published': True}, {'title': 'c'}]"
        gap = await rows(client, f"{t}.insert({many})", admin=True)
        assert gap.json()["code"] == "23502"
        filled_in = await rows(client, f"{t}.insert({many}, default_to_null=False)", admin=True)
        assert [row["published"] for row in filled_in.json()["data"]] == [True, False]


RAW = """
from turnout import create_client

async def POST(request):
    supabase = await create_client()
    return (await supabase.table("posts").insert(await request.json()).execute()).data
"""


@pytest.mark.parametrize("body", [{"title": "x", "id": 7}, [{"title": "x", "id": 7}, {"title": "y"}]])
async def test_a_raw_body_may_not_set_what_the_server_owns(tmp_path: Path, body: Any) -> None:
    async with project(tmp_path, **{"app/api/raw/route.py": RAW}) as client:
        await posts(client)

        answer = await client.post("/api/raw", json=body)

        assert (answer.status, answer.json()["detail"]) == (422, "The body may not set id")


@pytest.mark.parametrize("query", ["supabase.rpc('f', {'x': 1})", "supabase.schema('other')"])
async def test_what_sqlite_has_not_is_refused(tmp_path: Path, query: str) -> None:
    async with project(tmp_path) as client:
        answer = await rows(client, query, admin=True)

        assert answer.json()["code"] in ("PGRST202", "PGRST106")


@pytest.mark.parametrize("what", ["storage", "realtime", "functions", "channel('x')"])
async def test_services_of_hosted_supabase_say_what_to_do(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with project(tmp_path) as client:
        answer = await rows(client, f"supabase.{what}")

        assert answer.status == 500
        assert "is a service of hosted Supabase" in caplog.text and "cure: set SUPABASE_URL, or" in caplog.text


# -- administrators


ADMIN = """
import msgspec
from turnout import Response, create_admin_client

async def POST(request, body: dict):
    supabase = await create_admin_client()
    result = await getattr(supabase.auth.admin, body["call"])(*body["args"])
    return Response.json(msgspec.to_builtins(result))
"""


async def admin(client: Client, name: str, *args: Any) -> Any:
    answer = await client.post("/api/admin", json={"call": name, "args": list(args)})
    assert answer.status == 200, answer.text
    return answer.json()


async def test_an_admin_client_manages_users(tmp_path: Path) -> None:
    async with project(tmp_path, **{"app/api/admin/route.py": ADMIN}) as client:
        attributes = {**ADA, "email_confirm": True, "app_metadata": {"role": "editor"}}
        user = (await admin(client, "create_user", attributes))["user"]
        assert user["app_metadata"]["role"] == "editor"

        assert [each["id"] for each in await admin(client, "list_users")] == [user["id"]]
        assert (await admin(client, "get_user_by_id", user["id"]))["user"]["email"] == "ada@example.com"
        changed = await admin(client, "update_user_by_id", user["id"], {"user_metadata": {"name": "Ada"}})
        assert changed["user"]["user_metadata"]["name"] == "Ada"
        link = await admin(client, "generate_link", {"type": "recovery", "email": "ada@example.com"})
        assert link["properties"]["verification_type"] == "recovery" and link["user"]["id"] == user["id"]

        proof = {"token_hash": link["properties"]["hashed_token"], "type": "recovery"}
        signed_in = await call(client, "auth.verify_otp", proof)
        assert signed_in.json()["result"]["session"] is not None
        assert (await client.get("/api/me")).json() == {"userId": user["id"]}

        assert await admin(client, "delete_user", user["id"]) is None
        assert (await client.get("/api/me")).status == 401
        assert await admin(client, "list_users") == []


# -- on PostgreSQL


MIGRATION = """
create table posts (
    id int generated always as identity primary key, title text not null, price numeric(10,2), author_id uuid
);
alter table posts enable row level security;
grant all on posts to anon, authenticated, service_role;
create policy own on posts to authenticated using (author_id = auth.uid()) with check (author_id = auth.uid());
create function shout(word text) returns text language sql immutable as $$ select upper(word) $$;
"""


async def test_users_and_their_rows_on_postgresql(
    tmp_path: Path, auth_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"client_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(auth_postgres)
    await connection.execute(f"create database {name}")
    await connection.close()
    parts = urlsplit(auth_postgres)
    monkeypatch.setenv("DATABASE_URL", urlunsplit(parts._replace(path=f"/{name}")))
    async with project(tmp_path, **{"migrations/0001_posts.sql": MIGRATION, "lib/policies.py": ""}) as client:
        await sign_up(client)  # makes the schema that the migration speaks of
        await migrate.migrate(db, tmp_path / "migrations")
        ada = (await client.get("/api/me")).json()["userId"]
        made = await rows(
            client, f"supabase.table('posts').insert({{'title': 'A', 'price': 1.5, 'author_id': '{ada}'}})"
        )
        assert made.json()["data"] == [{"id": 1, "title": "A", "price": 1.5, "author_id": ada}]
        age(client)
        assert (await client.get("/api/me")).json() == {"userId": ada}
        shout = await rows(client, "supabase.rpc('shout', {'word': 'hi'})")
        assert shout.json() == {"data": "HI", "count": None}

        client.cookies = {}
        bob = (await sign_up(client, email="bob@example.com"))["user"]["id"]
        everything = "supabase.from_('posts').select('*', count='exact')"
        assert (await rows(client, everything)).json() == {"data": [], "count": 0}
        assert (await rows(client, everything, admin=True)).json()["count"] == 1
        forged = await rows(client, f"supabase.table('posts').insert({{'title': 'B', 'author_id': '{ada}'}})")
        assert (forged.status, forged.json()["code"]) == (403, "42501")
        one = await rows(client, f"supabase.table('posts').insert({{'title': 'B', 'author_id': '{bob}'}}).single()")
        assert one.json()["data"]["title"] == "B"
        await call(client, "auth.sign_out")
        assert (await client.get("/api/me")).status == 401
