"""Who may call: Sec-Fetch-Site by Origin by cookie by settings, each combination (security.md 10)."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from projects import client_of

from turnout.actions import registry
from turnout.testing import Client

ACTIONS = """
from turnout import FormData, action

DONE = []
{constants}

@action
async def form(form_data: FormData):
    DONE.append(1)
"""
SETTINGS = '[tool.turnout]\nallowed_hosts = ["localhost", "blog.example", "app.internal"]\n{}'

SITES = (None, "same-origin", "same-site", "cross-site", "none")
OWN, OTHER, LISTED = "http://localhost", "https://evil.example", "https://app.example.com"


def may_pass(site: str | None, origin: str | None, cookie: bool, own: str, listed: bool = False) -> bool:
    """The rule, written another way than the code: what must hold for a request to be taken."""
    if site == "same-origin":
        return True
    if listed and origin == LISTED:
        return True
    if origin is None:
        return site is None and not cookie
    return origin == own and site in (None, "none")


async def sent(client: Client, site: str | None, origin: str | None, cookie: bool, **more: str) -> int:
    headers = {"sec-fetch-site": site, "origin": origin, "cookie": "a=b" if cookie else None, **more}
    given = {name: value for name, value in headers.items() if value is not None}
    url = next(iter(registry.known().actions.values()))["form"].url
    answer = await client.post(url, form={"a": "1"}, headers=given)
    assert answer.status == 200 or answer.json()["code"] == "cross_origin"
    return answer.status


ORIGINS = (
    None, "null", OWN, OTHER, LISTED, "http://localhost:8000", "https://localhost", "HTTP://LOCALHOST", "http://localhost.",
    "http://sub.localhost", "http://localhost.evil.example", "http://localhost@evil.example", "http://localhost/",
    "http://localhost, http://localhost", "nonsense", "", "\x80", "http://[::1", "http://localhost:99999999",
)  # fmt: skip


async def test_the_whole_matrix_without_settings(tmp_path: Path) -> None:
    async with client_of(tmp_path, {"app/actions.py": ACTIONS.format(constants="")}) as client:
        for site, origin, cookie in product(SITES, ORIGINS, (False, True)):
            wanted = 200 if may_pass(site, origin, cookie, OWN) else 403

            assert await sent(client, site, origin, cookie) == wanted, (site, origin, cookie)


async def test_a_configured_origin_is_the_only_one_of_its_own(tmp_path: Path) -> None:
    files = {
        "app/actions.py": ACTIONS.format(constants=""),
        "pyproject.toml": SETTINGS.format('origin = "https://blog.example"'),
    }
    async with client_of(tmp_path, files) as client:
        for site, origin, cookie in product(SITES, (None, "null", OWN, "https://blog.example", OTHER), (False, True)):
            wanted = 200 if may_pass(site, origin, cookie, "https://blog.example") else 403

            assert await sent(client, site, origin, cookie) == wanted, (site, origin, cookie)


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_forwarded_host_counts_only_from_a_trusted_proxy(tmp_path: Path, trusted: bool) -> None:
    files = {
        "app/actions.py": ACTIONS.format(constants=""),
        "pyproject.toml": SETTINGS.format('trusted_proxies = ["127.0.0.1"]' if trusted else ""),
    }
    passed = {"x-forwarded-proto": "https", "x-forwarded-host": "blog.example"}
    own = "https://blog.example" if trusted else OWN
    async with client_of(tmp_path, files) as client:
        for site, origin, cookie in product(SITES, (None, OWN, "https://blog.example", OTHER), (False, True)):
            wanted = 200 if may_pass(site, origin, cookie, own) else 403

            assert await sent(client, site, origin, cookie, **passed) == wanted, (site, origin, cookie)


async def test_pages_of_a_listed_origin_may_call_and_nobody_else(tmp_path: Path) -> None:
    files = {"app/actions.py": ACTIONS.format(constants=f'cors = ["{LISTED}"]')}
    async with client_of(tmp_path, files) as client:
        for site, origin, cookie in product(SITES, (None, "null", OWN, LISTED, OTHER), (False, True)):
            wanted = 200 if may_pass(site, origin, cookie, OWN, listed=True) else 403

            assert await sent(client, site, origin, cookie) == wanted, (site, origin, cookie)
    files["app/actions.py"] = ACTIONS.format(constants='cors = "*"')
    async with client_of(tmp_path, files) as client:
        assert await sent(client, "cross-site", OTHER, False) == 403
        assert await sent(client, "same-origin", OWN, True) == 200


async def test_the_projects_own_cors_lets_nobody_call(tmp_path: Path) -> None:
    files = {
        "app/actions.py": ACTIONS.format(constants=""),
        "pyproject.toml": SETTINGS.format(f'cors = ["{LISTED}"]'),
    }
    async with client_of(tmp_path, files) as client:
        assert await sent(client, "cross-site", LISTED, False) == 403


async def test_a_field_that_comes_twice_is_refused(tmp_path: Path) -> None:
    from turnout.http.request import Request

    async with client_of(tmp_path, {"app/actions.py": ACTIONS.format(constants="")}) as client:
        url = next(iter(registry.known().actions.values()))["form"].url
        for name, values in (("origin", (OWN, OTHER)), ("sec-fetch-site", ("same-origin", "cross-site"))):
            fields = [("host", "localhost"), *((name, value) for value in values)]
            response = await client.app.fetch(Request("POST", url, headers=fields, peer="127.0.0.1"))
            assert response.status == 403


async def test_a_refused_request_ran_nothing_and_read_no_body(tmp_path: Path) -> None:
    async def endless():  # type: ignore[no-untyped-def]
        raise AssertionError("somebody read the body")
        yield b""

    async with client_of(tmp_path, {"app/actions.py": ACTIONS.format(constants='rate_limit = "1/min"')}) as client:
        group = next(iter(registry.known().actions.values()))
        for _ in range(3):  # and counts for no limit: a stranger cannot use it up
            answer = await client.post(group["form"].url, body=endless(), headers={"origin": OTHER})
            assert answer.status == 403
        assert group["form"].function.__globals__["DONE"] == []
        assert await sent(client, "same-origin", OWN, True) == 200


async def test_a_forged_form_gets_a_page_that_says_so_and_not_the_victims_page(tmp_path: Path) -> None:
    files = {
        "app/actions.py": ACTIONS.format(constants=""),
        "app/route.py": "from turnout import render\nasync def GET():\n    return render('p.html')\n",
        "templates/p.html": "secret {{ errors.form }}",
    }
    async with client_of(tmp_path, files) as client:
        url = next(iter(registry.known().actions.values()))["form"].url
        headers = {"accept": "text/html", "sec-fetch-site": "cross-site", "referer": "http://localhost/"}
        answer = await client.post(url, form={"a": "1"}, headers=headers)

        assert (answer.status, "secret" in answer.text) == (403, False)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
