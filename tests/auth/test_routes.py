"""The auth wire as requests and answers: its two shapes of errors, who may call, and what cannot go wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import make_project

from turnout.auth import auth_service
from turnout.auth.routes import TABLE
from turnout.mail import outbox
from turnout.routing.module import unload
from turnout.testing import Answer, Client

ADA, PASSWORD = "ada@example.com", "correct horse"
VERSION = {"x-supabase-api-version": "2024-01-01"}
MANY = "\n".join(
    f"{name} = 100000"
    for name in ("mails_per_hour", "sign_ins_per_five_min", "verifications_per_five_min", "codes_per_five_min",
                 "refreshes_per_five_min", "passwords_per_five_min", "anonymous_per_hour")
)  # fmt: skip


class Site(Client):
    """A client that sends the public key, unless it is told to send something else."""

    async def call(self, method: str, path: str, body: Any = None, *, token: str | None = None, **more: str) -> Answer:
        headers = {"apikey": self.anon, **({"authorization": f"Bearer {token}"} if token else {}), **more}
        return await self.request(method, f"/auth/v1{path}", json=body, headers=headers)

    @property
    def anon(self) -> str:
        return auth_service().keys.api_key("anon")

    @property
    def service(self) -> str:
        return auth_service().keys.api_key("service_role")

    async def session(self, email: str = ADA) -> dict[str, Any]:
        answer = await self.call("POST", "/signup", {"email": email, "password": PASSWORD})
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Site]:
    """Makes the client of a project with *lines* among the settings of auth."""

    def make(lines: str = "auto_confirm = true", top: str = "") -> Site:
        text = (
            f'[tool.turnout]\nallowed_hosts = ["localhost", "evil.example"]\n{top}\n'
            f"[tool.turnout.auth]\nbcrypt_cost = 4\nanonymous = true\n{MANY}\n{lines}\n"
        )
        make_project(tmp_path, {"pyproject.toml": text, "app/route.py": "def GET(request):\n    return {}\n"})
        unload(tmp_path)
        return Site(root=tmp_path)

    return make


# -- errors


async def test_an_error_has_the_shape_that_the_caller_asked_for(site: Callable[..., Site]) -> None:
    async with site() as client:
        wanted = {"email": ADA, "password": "not this"}
        old = await client.call("POST", "/token?grant_type=password", wanted)
        assert old.json() == {"code": 400, "error_code": "invalid_credentials", "msg": "Invalid login credentials"}
        assert not old.headers.has("x-supabase-api-version")
        new = await client.call("POST", "/token?grant_type=password", wanted, **VERSION)
        assert new.json() == {"code": "invalid_credentials", "message": "Invalid login credentials"}
        assert new.headers.get("x-supabase-api-version") == "2024-01-01"


@pytest.mark.parametrize("version", ["2023-01-01", "9999-99-99", "x", ""])
async def test_another_version_is_the_oldest(site: Callable[..., Site], version: str) -> None:
    async with site() as client:
        answer = await client.call("POST", "/signup", {"email": "x"}, **{"x-supabase-api-version": version})
        assert answer.json()["code"] == 400
        assert answer.json()["error_code"] == "validation_failed"


async def test_a_weak_password_says_why(site: Callable[..., Site]) -> None:
    async with site() as client:
        for headers in ({}, VERSION):
            answer = await client.call("POST", "/signup", {"email": ADA, "password": "x"}, **headers)
            assert answer.status == 422
            assert answer.json()["weak_password"]["reasons"] == ["length"]


async def test_a_path_that_is_not_there_is_404(site: Callable[..., Site]) -> None:
    async with site() as client:
        for path in ("/nothing", "/admin", "/admin/users/x/y", "/user/x", "/factors/a/b/c", "/.well-known"):
            answer = await client.call("GET", path)
            assert (answer.status, answer.json()["error_code"]) == (404, "not_found")


async def test_another_method_is_405_with_those_that_there_are(site: Callable[..., Site]) -> None:
    async with site() as client:
        answer = await client.call("DELETE", "/user")
        assert (answer.status, answer.headers.get("allow")) == (405, "GET, HEAD, OPTIONS, PUT")
        assert answer.json()["error_code"] == "method_not_allowed"
        assert (await client.call("GET", "/signup")).headers.get("allow") == "OPTIONS, POST"


async def test_an_unknown_method_is_501(site: Callable[..., Site]) -> None:
    async with site() as client:
        assert (await client.call("PROPFIND", "/user")).status == 501


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'"x"', b"1", b"\xff\xfe", b"nul", b'{"email": NaN}', b"[" * 100, b'{"a":1e999}', b"\xef\xbb\xbf{}"],
)
async def test_a_body_that_is_no_json_object_is_400(site: Callable[..., Site], body: bytes) -> None:
    async with site() as client:
        for path in ("/signup", "/token?grant_type=password", "/recover", "/verify", "/otp"):
            answer = await client.request("POST", f"/auth/v1{path}", body=body, headers={"apikey": client.anon})
            assert (answer.status, answer.json()["error_code"]) == (400, "bad_json")


async def test_unknown_fields_are_ignored(site: Callable[..., Site]) -> None:
    async with site() as client:
        given = {"email": ADA, "password": PASSWORD, "gotrue_meta_security": {"captcha_token": None}, "zzz": [1]}
        assert (await client.call("POST", "/signup", given)).status == 200


async def test_too_much_is_413(site: Callable[..., Site]) -> None:
    async with site() as client:
        answer = await client.call("POST", "/signup", {"email": ADA, "password": PASSWORD, "x": "y" * 20_000_000})
        assert answer.status == 413
        assert answer.json()["msg"]


async def test_what_goes_wrong_inside_is_told_to_nobody(site: Callable[..., Site], monkeypatch: Any) -> None:
    async with site() as client:

        async def fail(*args: Any, **kwargs: Any) -> None:
            raise RuntimeError("secret marker")

        # Not a mock of what is tested: the one way to have a fault of our own.
        monkeypatch.setattr(auth_service(), "sign_up", fail)
        answer = await client.call("POST", "/signup", {"email": ADA, "password": PASSWORD})
        assert (answer.status, answer.json()["error_code"]) == (500, "unexpected_failure")
        assert "marker" not in answer.text


# -- who may call


OPEN = {"GET /verify", "GET /authorize", "GET /callback", "GET /health", "GET /.well-known/jwks.json"}
CALLS = sorted(f"{method} {path}" for path, methods in TABLE.items() for method in methods)


@pytest.mark.parametrize("call", CALLS)
async def test_only_what_a_browser_opens_by_itself_needs_no_key(site: Callable[..., Site], call: str) -> None:
    method, path = call.split()
    path = path.replace("*", "8e9c4c3e-6a3d-4a3f-9a43-2f0f5b7a6f11")
    async with site() as client:
        answer = await client.request(method, f"/auth/v1{path}", headers={"content-type": "application/json"})
        assert (answer.status == 401) is (call not in OPEN)
        assert answer.status < 500


@pytest.mark.parametrize("call", [call for call in CALLS if "/admin/" in call or "/invite" in call])
async def test_an_administrators_call_needs_the_key_of_service_role(site: Callable[..., Site], call: str) -> None:
    method, path = call.split()
    path = path.replace("*", "8e9c4c3e-6a3d-4a3f-9a43-2f0f5b7a6f11")
    async with site() as client:
        token = (await client.session())["access_token"]
        for headers in ({}, {"token": client.anon}, {"token": token}):
            answer = await client.call(method, path, {} if method != "GET" else None, **headers)
            assert (answer.status, answer.json()["error_code"]) == (403, "not_admin")
        # The key alone is enough, and so is the token beside the public key.
        for more in ({"apikey": client.service}, {"authorization": f"Bearer {client.service}"}):
            assert (await client.call(method, path, {} if method != "GET" else None, **more)).status != 403


async def test_a_key_that_is_none_is_refused(site: Callable[..., Site]) -> None:
    async with site() as client:
        token = (await client.session())["access_token"]
        for key in ("nonsense", "", token, client.anon[:-2]):
            answer = await client.call("POST", "/recover", {"email": ADA}, apikey=key)
            assert (answer.status, answer.json()["error_code"]) == (401, "no_authorization")


async def test_a_key_of_another_project_is_refused(site: Callable[..., Site]) -> None:
    from turnout.auth.keys import Keys, make_key

    async with site() as client:
        foreign = Keys.of([make_key()]).api_key("service_role")
        assert (await client.call("GET", "/admin/users", apikey=foreign)).status == 401
        assert (await client.call("GET", "/admin/users", token=foreign)).status == 403


@pytest.mark.parametrize("field", ["", "Bearer", "Bearer ", "Basic eDp5", "bearer x y z", "Token abc"])
async def test_an_odd_authorization_field_is_never_a_500(site: Callable[..., Site], field: str) -> None:
    async with site() as client:
        answer = await client.call("GET", "/user", authorization=field)
        assert answer.status in (401, 403)


async def test_a_token_is_good_without_a_key(site: Callable[..., Site]) -> None:
    async with site() as client:
        token = (await client.session())["access_token"]
        answer = await client.get("/auth/v1/user", headers={"authorization": f"Bearer {token}"})
        assert answer.json()["email"] == ADA


# -- the shapes of answers


async def test_a_session_is_what_clients_keep(site: Callable[..., Site]) -> None:
    async with site() as client:
        session = await client.session()
        assert {"access_token", "token_type", "expires_in", "expires_at", "refresh_token", "user"} <= session.keys()
        user = session["user"]
        assert user["phone"] == ""
        names = "id aud role email email_confirmed_at confirmed_at last_sign_in_at app_metadata user_metadata"
        for name in (*names.split(), "identities", "created_at", "updated_at", "is_anonymous"):
            assert name in user
        assert "password" not in json.dumps(session).lower()


async def test_an_unconfirmed_user_is_not_nested(site: Callable[..., Site]) -> None:
    async with site("auto_confirm = false") as client:
        answer = await client.call("POST", "/signup", {"email": ADA, "password": PASSWORD})
        assert answer.json()["email"] == ADA
        assert "user" not in answer.json()
        assert "access_token" not in answer.json()


async def test_what_has_not_happened_to_a_user_is_left_out_of_the_answer(site: Callable[..., Site]) -> None:
    async with site("auto_confirm = false") as client:
        user = await client.session()
        assert user["phone"] == "" and user["is_anonymous"] is False
        assert "email_confirmed_at" not in user and "banned_until" not in user


async def test_users_come_in_pages_with_links_to_the_others(site: Callable[..., Site]) -> None:
    async with site() as client:
        for number in range(5):
            await client.session(f"user{number}@example.com")
        answer = await client.call("GET", "/admin/users?page=2&per_page=2", apikey=client.service)
        assert len(answer.json()["users"]) == 2
        assert answer.json()["aud"] == "authenticated"
        assert answer.headers.get("x-total-count") == "5"
        link = answer.headers.get("link")
        assert 'page=3&per_page=2>; rel="next"' in link
        assert 'page=3&per_page=2>; rel="last"' in link


@pytest.mark.parametrize("query", ["page=-1", "page=x", "per_page=1.5", "page=99999999999", "page=%EF%BC%91"])
async def test_a_page_that_is_none_is_400(site: Callable[..., Site], query: str) -> None:
    async with site() as client:
        assert (await client.call("GET", f"/admin/users?{query}", apikey=client.service)).status == 400


async def test_signing_out_has_no_body(site: Callable[..., Site]) -> None:
    async with site() as client:
        token = (await client.session())["access_token"]
        answer = await client.call("POST", "/logout?scope=local", token=token)
        assert (answer.status, answer.body) == (204, b"")
        assert (await client.call("GET", "/user", token=token)).json()["error_code"] == "session_not_found"


async def test_signing_out_of_nowhere_is_refused(site: Callable[..., Site]) -> None:
    async with site() as client:
        token = (await client.session())["access_token"]
        assert (await client.call("POST", "/logout?scope=everywhere", token=token)).status == 400
        assert (await client.call("GET", "/user", token=token)).status == 200


async def test_nothing_with_a_token_in_it_is_kept(site: Callable[..., Site]) -> None:
    async with site() as client:
        session = await client.session()
        refresh = {"refresh_token": session["refresh_token"]}
        for answer in (
            await client.call("POST", "/token?grant_type=refresh_token", refresh),
            await client.call("GET", "/user", token=session["access_token"]),
            await client.call("GET", "/user"),
        ):
            assert answer.headers.get("cache-control") == "no-store"


async def test_the_public_keys_may_be_kept(site: Callable[..., Site]) -> None:
    async with site() as client:
        answer = await client.get("/auth/v1/.well-known/jwks.json")
        assert answer.headers.get("cache-control") == "public, max-age=600"
        assert all("d" not in key and "k" not in key for key in answer.json()["keys"])


# -- what is told about people


@pytest.mark.parametrize(
    ("path", "more"),
    [("/recover", {}), ("/otp", {"create_user": False}), ("/magiclink", {"create_user": False}),
     ("/resend", {"type": "signup"}), ("/resend", {"type": "email_change"})],
)  # fmt: skip
async def test_the_answer_for_an_unknown_address_is_that_for_a_known_one(
    site: Callable[..., Site], path: str, more: dict[str, Any]
) -> None:
    async with site("auto_confirm = false") as client:
        user = {"email": ADA, "password": PASSWORD}
        assert (await client.call("POST", "/admin/users", user, apikey=client.service)).status == 200
        known = await client.call("POST", path, {"email": ADA, **more})
        unknown = await client.call("POST", path, {"email": "grace@example.com", **more})
        assert (known.status, known.body) == (unknown.status, unknown.body) == (200, b"{}")


async def test_the_host_of_a_request_is_in_no_link(site: Callable[..., Site]) -> None:
    async with site("auto_confirm = false") as client:
        forged = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "host": "evil.example"}
        await client.call("POST", "/signup", {"email": ADA, "password": PASSWORD}, **forged)
    (message,) = outbox
    assert b"evil.example" not in message.to_bytes()


TRICKS = [
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "javascript:alert(1)",
    "http://localhost:8000@evil.example",
    "http://localhost:8000.evil.example",
    "data:text/html,x",
    "\\\\evil.example",
    "http://evil.example#http://localhost:8000",
]


@pytest.mark.parametrize("place", TRICKS)
async def test_a_link_leads_to_no_other_site(site: Callable[..., Site], place: str) -> None:
    from urllib.parse import quote

    async with site() as client:
        for path in ("/verify?token=x&type=signup", "/callback?state=x&code=y"):
            answer = await client.get(f"/auth/v1{path}&redirect_to={quote(place, safe='')}")
            assert answer.status in (302, 303)
            assert urlsplit(answer.headers.get("location")).hostname == "localhost"


async def test_a_link_that_is_none_leads_on_with_an_error(site: Callable[..., Site]) -> None:
    async with site() as client:
        answer = await client.get("/auth/v1/verify?token=nonsense&type=signup")
        assert answer.status == 303
        assert answer.headers.get("referrer-policy") == "no-referrer"
        fragment = parse_qs(urlsplit(answer.headers.get("location")).fragment)
        assert fragment["error"] == ["access_denied"]
        assert fragment["error_code"] == ["otp_expired"]


async def test_looking_ahead_at_a_link_does_not_use_it_up(site: Callable[..., Site]) -> None:
    async with site() as client:
        user = {"type": "magiclink", "email": ADA}
        link = urlsplit(
            (await client.call("POST", "/admin/generate_link", user, apikey=client.service)).json()["action_link"]
        )
        target = f"{link.path}?{link.query}"
        looked = await client.request("HEAD", target)
        assert (looked.status, looked.headers.get("allow")) == (405, "GET, OPTIONS, POST")
        assert "access_token=" in (await client.get(target)).headers.get("location")


async def test_too_many_tries_are_429_and_say_when_to_come_back(site: Callable[..., Site]) -> None:
    async with site() as client:
        assert (await client.call("POST", "/recover", {"email": ADA})).status == 200
        again = await client.call("POST", "/recover", {"email": ADA}, **VERSION)
        assert (again.status, again.json()["code"]) == (429, "over_email_send_rate_limit")
        assert 0 < int(again.headers.get("retry-after")) <= 60


# -- nothing that is sent makes a 500


texts = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=40), st.just(ADA), st.lists(st.text(max_size=3))
)
bodies = st.dictionaries(
    st.sampled_from(
        ["email", "password", "phone", "data", "type", "token", "token_hash", "refresh_token", "auth_code",
         "code_verifier", "code_challenge", "code_challenge_method", "create_user", "nonce", "factor_type", "code",
         "challenge_id", "user_metadata", "app_metadata", "ban_duration", "role", "new_email", "email_confirm", "id"]
    ),
    st.one_of(texts, st.dictionaries(st.text(max_size=5), texts, max_size=3)),
    max_size=6,
)  # fmt: skip
queries = st.sampled_from(
    ["", "?grant_type=password", "?grant_type=refresh_token", "?grant_type=pkce", "?grant_type=x"]
)


async def test_no_body_makes_a_500(site: Callable[..., Site]) -> None:
    examples: list[tuple[str, dict[str, Any], str]] = []

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(CALLS), bodies, queries)
    def collect(call: str, body: dict[str, Any], query: str) -> None:
        examples.append((call, body, query))

    collect()
    async with site() as client:
        token = (await client.session())["access_token"]
        for call, body, query in examples:
            method, path = call.split()
            path = path.replace("*", "8e9c4c3e-6a3d-4a3f-9a43-2f0f5b7a6f11") + query
            keys = client.service if "admin" in path or "invite" in path else token
            answer = await client.call(method, path, None if method == "GET" else body, token=keys)
            assert answer.status < 500, (call, body, query, answer)
