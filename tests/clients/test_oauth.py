"""A provider and back, as a browser goes it, with the official asynchronous client at both ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from auth.provider import ProviderServer, provider
from served import Served, served

supabase = pytest.importorskip("supabase", reason="the Python client is not installed: pip install supabase")
from supabase_auth.errors import AuthApiError  # noqa: E402

HOME = "http://localhost:3000/in"
ADA = {"sub": "1234", "email": "ada@example.com", "email_verified": True, "name": "Ada"}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@asynccontextmanager
async def world(root: Path, flow: str) -> AsyncIterator[tuple[Served, ProviderServer, httpx.AsyncClient, Any]]:
    """A site, its provider, a browser and a client."""
    async with provider() as there, httpx.AsyncClient() as browser:
        there.profile = ADA
        lines = [f"{name} = {json.dumps(value)}" for name, value in there.settings("google").items()]
        lines += ['redirect_urls = ["http://localhost:3000/**"]', "manual_linking = true", "auto_confirm = true"]
        with served(root, auth="\n".join(lines), environment={"AUTH_GOOGLE_SECRET": "google-secret"}) as site:
            options = supabase.AsyncClientOptions(auto_refresh_token=False, flow_type=flow, httpx_client=browser)
            yield site, there, browser, (await supabase.acreate_client(site.url, site.anon, options)).auth


async def consented(site: Served, there: ProviderServer, browser: httpx.AsyncClient, url: str) -> httpx.URL:
    """Where the browser ends that was sent to *url* and said yes at the provider."""
    gone = await browser.get(url)
    assert gone.status_code == 302
    assert gone.headers["location"].startswith(there.url)
    back = await browser.get(f"{site.url}/auth/v1/callback", params=there.consent(gone.headers["location"]))
    assert back.status_code == 302
    return httpx.URL(back.headers["location"])


def sign_in(there: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"provider": "google", "options": {"redirect_to": HOME, **(there or {})}}


async def test_a_browser_comes_back_with_a_session(tmp_path: Path) -> None:
    async with world(tmp_path, "implicit") as (site, there, browser, auth):
        place = await consented(site, there, browser, (await auth.sign_in_with_oauth(sign_in())).url)
        assert str(place.copy_with(fragment=None)) == HOME
        fragment = {name: values[0] for name, values in parse_qs(place.fragment).items()}
        user = (await auth.get_user(fragment["access_token"])).user
        assert (user.email, user.app_metadata["provider"]) == ("ada@example.com", "google")
        assert user.user_metadata["full_name"] == "Ada"
        assert fragment["provider_token"]


async def test_with_pkce_it_comes_back_with_a_code(tmp_path: Path) -> None:
    async with world(tmp_path, "pkce") as (site, there, browser, auth):
        place = await consented(site, there, browser, (await auth.sign_in_with_oauth(sign_in())).url)
        assert not place.fragment
        answer = await auth.exchange_code_for_session({"auth_code": place.params["code"]})
        assert answer.user.email == "ada@example.com"
        assert answer.session.provider_token
        with pytest.raises(AuthApiError):  # a code works once
            await auth.exchange_code_for_session({"auth_code": place.params["code"], "code_verifier": "x" * 50})


async def test_who_says_no_comes_back_with_an_error(tmp_path: Path) -> None:
    async with world(tmp_path, "implicit") as (site, _, browser, auth):
        gone = await browser.get((await auth.sign_in_with_oauth(sign_in())).url)
        state = parse_qs(urlsplit(gone.headers["location"]).query)["state"][0]
        params = {"state": state, "error": "access_denied", "error_description": "The user said no"}
        back = httpx.URL((await browser.get(f"{site.url}/auth/v1/callback", params=params)).headers["location"])
        assert str(back).startswith(HOME)
        assert parse_qs(back.fragment)["error_description"] == ["The user said no"]


async def test_a_state_works_once_and_only_if_it_was_made_here(tmp_path: Path) -> None:
    async with world(tmp_path, "implicit") as (site, there, browser, auth):
        gone = await browser.get((await auth.sign_in_with_oauth(sign_in())).url)
        fields = there.consent(gone.headers["location"])
        await browser.get(f"{site.url}/auth/v1/callback", params=fields)
        for again in (fields, {**fields, "state": "mine"}, {"code": "x"}):
            back = await browser.get(f"{site.url}/auth/v1/callback", params=again)
            assert "access_token" not in back.headers["location"]
            assert "bad_oauth_state" in back.headers["location"]


async def test_a_provider_is_added_and_taken_away(tmp_path: Path) -> None:
    async with world(tmp_path, "implicit") as (site, there, browser, auth):
        await auth.sign_up({"email": "grace@example.com", "password": "correct horse"})
        params = there.consent((await auth.link_identity(sign_in())).url)
        back = await browser.get(f"{site.url}/auth/v1/callback", params=params)
        assert "access_token=" in back.headers["location"]
        identities = (await auth.get_user_identities()).identities
        assert [each.provider for each in identities] == ["email", "google"]
        await auth.unlink_identity(identities[1])
        assert [each.provider for each in (await auth.get_user_identities()).identities] == ["email"]


async def test_nobody_is_sent_on_to_another_site(tmp_path: Path) -> None:
    async with world(tmp_path, "implicit") as (site, there, browser, auth):
        wanted = sign_in({"redirect_to": "https://evil.example/"})
        place = await consented(site, there, browser, (await auth.sign_in_with_oauth(wanted)).url)
        assert place.host == "localhost"
