"""Google and GitHub, against a provider that listens on a port and checks PKCE itself."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.auth.provider import ProviderServer, provider
from tests.auth.world import ADA, PASSWORD, SITE, World, fields, refused, session_of, world
from turnout.auth.codes import s256

VERIFIER = "v" * 43
PKCE = {"code_challenge": s256(VERIFIER), "code_challenge_method": "s256"}
GOOGLE = {"sub": "g-1", "email": "Ada@Example.com", "email_verified": True, "name": "Ada", "picture": "https://x/p.png"}
GITHUB = {"id": 7, "login": "ada", "name": "Ada", "avatar_url": "https://x/a.png", "email": "public@example.com"}
EMAILS = [
    {"email": "old@example.com", "primary": False, "verified": True},
    {"email": ADA, "primary": True, "verified": True},
]


async def sign_in(w: World, p: ProviderServer, name: str = "google", **options: Any) -> dict[str, str]:
    """What the browser comes back to the site with."""
    place = await w.auth.authorize_url(name, **options)
    return fields(await w.auth.callback(**p.consent(place)))


@pytest.mark.parametrize("name", ["google", "github"])
async def test_a_new_user_comes_in_with_a_verified_address(place: str, name: str) -> None:
    async with provider() as p, world(place, **p.settings(name)) as w:
        p.profile, p.emails = (GOOGLE if name == "google" else GITHUB), EMAILS
        found = await sign_in(w, p, name)
        user = await w.auth.get_user(found["access_token"])
        assert (user.email, user.app_metadata) == (ADA, {"provider": name, "providers": [name]})
        assert user.email_confirmed_at is not None and user.user_metadata["full_name"] == "Ada"
        assert [each.provider for each in user.identities] == [name]
        assert found["provider_token"] and found["provider_refresh_token"] == "again"
        assert (await w.auth.claims(found["access_token"]))["amr"][0]["method"] == "oauth"
        again = await sign_in(w, p, name)
        assert (await w.auth.get_user(again["access_token"])).id == user.id


async def test_the_providers_page_is_asked_for_a_code_with_state_and_pkce() -> None:
    async with provider() as p, world(":memory:", **p.settings("google")) as w:
        place = await w.auth.authorize_url(
            "google", scopes="https://www.googleapis.com/auth/drive email",
            query_params={"prompt": "consent", "redirect_uri": "https://evil.example", "state": "x"},
        )  # fmt: skip
        asked = dict(parse_qsl(urlsplit(place).query))
        assert place.startswith(f"{p.url}/authorize?tenant=1&")
        assert asked["redirect_uri"] == f"{SITE}/auth/v1/callback"
        assert asked["scope"] == "openid email profile https://www.googleapis.com/auth/drive"
        assert (asked["client_id"], asked["prompt"], asked["response_type"]) == ("client", "consent", "code")
        assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 43)
        assert len(asked["state"]) == 43
        other = dict(parse_qsl(urlsplit(await w.auth.authorize_url("google")).query))
        assert other["state"] != asked["state"] and other["code_challenge"] != asked["code_challenge"]
        text = str(await w.rows("select * from auth.flow_state"))
        assert asked["state"] not in text and "google-secret" not in place


async def test_the_secret_and_the_verifier_go_to_the_provider_and_nowhere_else() -> None:
    async with provider() as p, world(":memory:", **p.settings("google")) as w:
        p.profile = GOOGLE
        found = await sign_in(w, p)
        asked = p.asked[0]
        assert (asked["client_secret"], asked["grant_type"]) == ("google-secret", "authorization_code")
        assert asked["code_verifier"] not in str(found) and "google-secret" not in str(found)


async def test_a_state_is_good_once(place: str) -> None:
    async with provider() as p, world(place, **p.settings("google")) as w:
        p.profile = GOOGLE
        back = p.consent(await w.auth.authorize_url("google"))
        found = await asyncio.gather(*(w.auth.callback(**back) for _ in range(5)))
        assert len([each for each in found if "access_token" in each]) == 1
        assert [fields(each)["error_code"] for each in found if "error" in each] == ["bad_oauth_state"] * 4
        assert len(p.asked) == 1


@pytest.mark.parametrize("state", [None, "", "x", "x" * 5000, "\ud800"])
async def test_a_state_that_we_did_not_make_is_refused_before_the_provider_is_asked(state: Any) -> None:
    async with provider() as p, world(":memory:", **p.settings("google")) as w:
        found = await w.auth.callback("code", state)
        assert found.startswith(f"{SITE}#error=") and fields(found)["error_code"] == "bad_oauth_state"
        assert p.asked == []


async def test_a_state_is_good_for_an_hour() -> None:
    async with provider() as p, world(":memory:", **p.settings("google")) as w:
        p.profile = GOOGLE
        back = p.consent(await w.auth.authorize_url("google"))
        w.later(3601)
        assert fields(await w.auth.callback(**back))["error_code"] == "bad_oauth_state"


async def test_a_code_of_another_flow_is_refused_by_its_challenge() -> None:
    async with provider() as p, world(":memory:", **p.settings("google")) as w:
        p.profile = GOOGLE
        mine = p.consent(await w.auth.authorize_url("google"))
        other = p.consent(await w.auth.authorize_url("google"))
        found = fields(await w.auth.callback(other["code"], mine["state"]))
        assert (found["error"], found["error_code"]) == ("access_denied", "bad_oauth_callback")


async def test_a_person_who_says_no_comes_back_with_that() -> None:
    async with provider() as p, world(":memory:", **p.settings("google")) as w:
        back = p.consent(await w.auth.authorize_url("google", redirect_to=f"{SITE}/done"))
        place = await w.auth.callback(None, back["state"], "access_denied", "The user said no")
        assert place.startswith(f"{SITE}/done#")
        assert fields(place)["error_description"] == "The user said no"
        assert fields(await w.auth.callback(**back))["error_code"] == "bad_oauth_state"


async def test_a_pkce_flow_ends_in_a_code_for_who_has_the_verifier(place: str) -> None:
    async with provider() as p, world(place, **p.settings("github")) as w:
        p.profile, p.emails = GITHUB, EMAILS
        found = await sign_in(w, p, "github", redirect_to=f"{SITE}/in", **PKCE)
        assert set(found) == {"code"}
        with refused("flow_state_not_found", 404):
            await w.auth.exchange_code("x", VERIFIER)
        session = await w.auth.exchange_code(found["code"], VERIFIER)
        assert session.user.email == ADA and session.provider_token and session.provider_refresh_token == "again"
        assert await w.rows("select * from auth.flow_state") == []


@pytest.mark.parametrize("verified", [False, None, "true", 1, ...])
async def test_an_address_that_the_provider_has_not_verified_joins_nobody(place: str, verified: Any) -> None:
    async with provider() as p, world(place, **p.settings("google")) as w:
        victim = await w.user()
        p.profile = {name: value for name, value in {**GOOGLE, "email_verified": verified}.items() if value is not ...}
        assert (await sign_in(w, p))["error_code"] == "provider_email_needs_verification"
        assert len((await w.auth.get_user(victim.access_token)).identities) == 1
        p.profile["email"] = "new@example.com"
        assert (await sign_in(w, p))["error_code"] == "provider_email_needs_verification"
        assert (await w.auth.list_users())[1] == 1


@pytest.mark.parametrize("emails", [
    [], None, {}, ["x"], [{"email": ADA, "primary": True, "verified": False}],
    [{"email": ADA, "primary": False, "verified": True}],
    [{"email": ADA, "primary": True}], [{"email": 7, "primary": True, "verified": True}],
])  # fmt: skip
async def test_githubs_public_address_counts_for_nothing(emails: Any) -> None:
    async with provider() as p, world(":memory:", **p.settings("github")) as w:
        await w.user("public@example.com")
        p.profile, p.emails = GITHUB, emails
        assert (await sign_in(w, p, "github"))["error_code"] == "provider_email_needs_verification"


async def test_a_verified_address_joins_the_user_who_has_confirmed_it(place: str) -> None:
    async with provider() as p, world(place, **p.settings("google")) as w:
        mine = await w.user()
        p.profile = GOOGLE
        user = await w.auth.get_user((await sign_in(w, p))["access_token"])
        assert (user.id, user.app_metadata["providers"]) == (mine.user.id, ["email", "google"])
        assert await w.auth.sign_in_with_password(ADA, PASSWORD)


async def test_a_password_set_by_whoever_did_not_confirm_the_address_goes(place: str) -> None:
    async with provider() as p, world(place, **p.settings("google")) as w:
        await w.auth.sign_up(ADA, "password of eve")
        code = w.code()
        p.profile = GOOGLE
        user = await w.auth.get_user((await sign_in(w, p))["access_token"])
        assert user.email_confirmed_at is not None
        with refused("invalid_credentials"):
            await w.auth.sign_in_with_password(ADA, "password of eve")
        with refused("otp_expired"):
            await w.auth.verify("signup", token=code, email=ADA)


async def test_a_person_is_known_by_the_providers_id_and_not_by_the_address(place: str) -> None:
    async with provider() as p, world(place, **p.settings("google")) as w:
        p.profile = GOOGLE
        first = await w.auth.get_user((await sign_in(w, p))["access_token"])
        p.profile = {**GOOGLE, "email": "renamed@example.com"}
        again = await w.auth.get_user((await sign_in(w, p))["access_token"])
        assert (again.id, again.email) == (first.id, ADA)
        p.profile = {**GOOGLE, "sub": "g-2", "email": "eve@example.com"}
        assert (await w.auth.get_user((await sign_in(w, p))["access_token"])).id != first.id


async def test_sign_ups_that_are_off_and_bans_hold_here_too(place: str) -> None:
    async with provider() as p, world(place, sign_ups=False, **p.settings("google")) as w:
        p.profile = GOOGLE
        assert (await sign_in(w, p))["error_code"] == "signup_disabled"
        user = await w.auth.admin_create_user(email=ADA, email_confirm=True)
        assert "access_token" in await sign_in(w, p)
        await w.auth.admin_update_user(user.id, ban_duration="1h")
        assert (await sign_in(w, p))["error_code"] == "user_banned"


async def test_a_provider_that_is_not_set_up_is_refused() -> None:
    async with world(":memory:", google_client_id="client") as w:
        assert w.auth.providers() == {"google": True, "github": False}
        w.auth.secrets.clear()
        for name in ("google", "github", "facebook", "", "../x"):
            with refused("provider_disabled", 400):
                await w.auth.authorize_url(name)


async def test_the_way_back_is_on_the_list_or_the_site() -> None:
    async with provider() as p, world(":memory:", **p.settings("google")) as w:
        p.profile = GOOGLE
        back = p.consent(await w.auth.authorize_url("google", redirect_to="https://evil.example/"))
        assert (await w.auth.callback(**back)).startswith(f"{SITE}#access_token=")


@pytest.mark.parametrize("path", ["/token", "/user", "/user/emails"])
@pytest.mark.parametrize(
    "answer", [(500, b"{}"), (200, b"not json"), (200, b"[]"), (302, b""), (200, b" " * 1_000_002)]
)
async def test_a_provider_that_answers_nonsense_is_an_error_and_no_crash(path: str, answer: tuple[int, bytes]) -> None:
    async with provider() as p, world(":memory:", **p.settings("github")) as w:
        p.profile, p.emails, p.broken = GITHUB, EMAILS, {path: answer}
        found = await sign_in(w, p, "github")
        assert found["error_code"] in ("bad_oauth_callback", "provider_email_needs_verification")
        assert await w.rows("select 1 as n from auth.users") == []


@pytest.mark.parametrize("profile", [{}, {"sub": ""}, {"sub": 7}, {"sub": None}, [], "x"])
async def test_a_profile_without_an_id_is_nobody(profile: Any) -> None:
    async with provider() as p, world(":memory:", **p.settings("google")) as w:
        p.profile = profile
        assert (await sign_in(w, p))["error_code"] == "bad_oauth_callback"


async def test_a_provider_that_is_away_is_an_error_and_no_crash() -> None:
    async with provider() as p, world(":memory:", **p.settings("google")) as w:
        back = p.consent(await w.auth.authorize_url("google"))
        w.auth.settings = type(w.auth.settings)(**{**p.settings("google"), "google_token_url": "http://127.0.0.1:1/"})
        assert fields(await w.auth.callback(**back))["error_code"] == "bad_oauth_callback"


# --- identities ---


async def test_a_signed_in_user_links_a_provider_of_whatever_address_and_unlinks_it(place: str) -> None:
    async with provider() as p, world(place, **p.settings("github")) as w:
        mine = await w.user()
        p.profile, p.emails = GITHUB, [{"email": "other@example.com", "primary": True, "verified": True}]
        back = p.consent(await w.auth.link_identity_url(mine.access_token, "github"))
        assert "access_token" in await w.auth.callback(**back)
        user = await w.auth.get_user(mine.access_token)
        assert (user.email, [each.provider for each in user.identities]) == (ADA, ["email", "github"])
        assert user.app_metadata["providers"] == ["email", "github"]
        user = await w.auth.unlink_identity(mine.access_token, user.identities[1].identity_id)
        assert user.app_metadata["providers"] == ["email"]
        with refused("single_identity_not_deletable", 422):
            await w.auth.unlink_identity(mine.access_token, user.identities[0].identity_id)
        with refused("identity_not_found", 404):
            await w.auth.unlink_identity(mine.access_token, "aaaaaaaa-0000-4000-8000-000000000001")


async def test_an_identity_of_somebody_else_is_not_linked_nor_unlinked(place: str) -> None:
    async with provider() as p, world(place, **p.settings("google")) as w:
        p.profile = {**GOOGLE, "email": "bob@example.com"}
        bob = await w.auth.get_user((await sign_in(w, p))["access_token"])
        mine = await w.user()
        back = p.consent(await w.auth.link_identity_url(mine.access_token, "google"))
        assert fields(await w.auth.callback(**back))["error_code"] == "identity_already_exists"
        with refused("identity_not_found"):
            await w.auth.unlink_identity(mine.access_token, bob.identities[0].identity_id)


async def test_linking_needs_a_session(place: str) -> None:
    async with provider() as p, world(place, **p.settings("google")) as w:
        mine = await w.user()
        await w.auth.sign_out(mine.access_token)
        with refused("session_not_found"):
            await w.auth.link_identity_url(mine.access_token, "google")


async def test_an_anonymous_user_who_links_a_provider_is_anonymous_no_more(place: str) -> None:
    async with provider() as p, world(place, anonymous=True, **p.settings("google")) as w:
        mine = session_of(await w.auth.sign_in_anonymously())
        p.profile = GOOGLE
        back = p.consent(await w.auth.link_identity_url(mine.access_token, "google"))
        await w.auth.callback(**back)
        user = await w.auth.get_user(mine.access_token)
        assert (user.email, user.is_anonymous, user.id) == (ADA, False, mine.user.id)


async def test_without_the_identity_of_the_address_the_password_is_gone(place: str) -> None:
    async with provider() as p, world(place, **p.settings("google")) as w:
        mine = await w.user()
        p.profile = GOOGLE
        await sign_in(w, p)
        user = await w.auth.get_user(mine.access_token)
        await w.auth.unlink_identity(mine.access_token, user.identities[0].identity_id)
        with refused("invalid_credentials"):
            await w.auth.sign_in_with_password(ADA, PASSWORD)
        assert (await w.auth.get_user((await sign_in(w, p))["access_token"])).id == user.id
