"""The pages: forms that need no script, from this site alone, in a real browser with keyboard and in the dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from auth.test_client import ADA, ME, SAME_ORIGIN, SETTINGS
from browsers import chromium, new_context
from ports import free_port
from projects import client_of
from served import Served, served

from turnout.auth import auth_service
from turnout.auth.pages import EMAIL_COOKIE
from turnout.testing import Answer, Client

PAGES = SETTINGS + "pages = true\n"
MAILED = PAGES.replace("auto_confirm = true", "auto_confirm = false")
NAMES = ("sign-in", "sign-up", "reset", "new-password", "sent", "sign-out", "signed-out")


@pytest.fixture(autouse=True)
def no_hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUPABASE_URL", "DATABASE_URL", "STORE_URL"):
        monkeypatch.delenv(name, raising=False)


def project(root: Path, settings: str = PAGES, **files: str) -> Client:
    return client_of(root, {"pyproject.toml": settings, "app/api/me/route.py": ME, **files})


async def post(client: Client, page: str, **fields: str) -> Answer:
    return await client.post(f"/auth/{page}", form=fields, headers=SAME_ORIGIN)


def goes_to(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.headers.get("location")


async def test_without_the_setting_there_is_no_page(tmp_path: Path) -> None:
    async with project(tmp_path, SETTINGS) as client:
        for name in NAMES:
            assert (await client.get(f"/auth/{name}")).status == 404


async def test_an_account_is_made_and_signed_out_and_in_again(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        assert goes_to(await post(client, "sign-up", **ADA)) == (303, "/")
        assert (await client.get("/api/me")).status == 200
        assert goes_to(await client.get("/auth/sign-in?next=/notes%3Fa%3D1")) == (303, "/notes?a=1")
        assert "Sign out?" in (await client.get("/auth/sign-out")).text

        assert goes_to(await post(client, "sign-out")) == (303, "/auth/signed-out")
        assert (await client.get("/api/me")).status == 401
        assert "You are signed out" in (await client.get("/auth/signed-out")).text
        assert goes_to(await client.get("/auth/sign-out")) == (303, "/auth/signed-out")

        assert goes_to(await post(client, "sign-in", **ADA, next="/notes")) == (303, "/notes")
        assert (await client.get("/api/me")).status == 200


async def test_what_is_wrong_is_said_and_the_address_kept(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        await post(client, "sign-up", **ADA)
        client.cookies = {}

        wrong = await post(client, "sign-in", email=ADA["email"], password="wrong horse", next="/notes")
        unknown = await post(client, "sign-in", email="who@example.com", password="wrong horse", next="/notes")

        assert wrong.status == unknown.status == 422
        assert wrong.text.replace(ADA["email"], "X") == unknown.text.replace("who@example.com", "X")
        assert 'role="alert">That e-mail address and password do not match an account.' in wrong.text
        assert 'value="ada@example.com"' in wrong.text and 'value="/notes"' in wrong.text
        assert "<title>Error: Sign in" in wrong.text and "wrong horse" not in wrong.text
        short = await post(client, "sign-up", email="new@example.com", password="x")
        assert "at least 8 characters" in short.text
        taken = await post(client, "sign-up", **ADA)
        assert "There is an account with this address" in taken.text
        for page in ("sign-in", "sign-up", "reset"):
            answer = await post(client, page, email="nonsense", password="correct horse")
            assert (answer.status, "does not look like an e-mail address" in answer.text) == (422, True), page
        assert (
            (await post(client, "new-password", password="another horse"))
            .headers["location"]
            .startswith("/auth/sign-in")
        )


async def test_text_of_users_is_text_on_every_page(tmp_path: Path) -> None:
    evil = '"><script>alert(1)</script>&amp;'
    async with project(tmp_path) as client:
        pages = [
            await post(client, page, email=evil, password="x", next=evil, code="1")
            for page in ("sign-in", "sign-up", "reset", "sent")
        ]
        client.cookies = {EMAIL_COOKIE: "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E"}
        pages += [await client.get(f"/auth/{page}?next=%22%3E%3Cscript%3E&for=%3Cscript%3E") for page in NAMES]
        pages.append(await client.get("/auth/callback?error=x&error_description=%3Cscript%3Ealert(1)"))

        for page in pages:
            assert "<script" not in page.text


@pytest.mark.parametrize(
    "place", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "x", "/a\nb"]
)
async def test_nobody_is_sent_to_another_site(tmp_path: Path, place: str) -> None:
    async with project(tmp_path) as client:
        assert goes_to(await post(client, "sign-up", **ADA, next=place)) == (303, "/")
        again = await client.request(
            "GET", f"/auth/sign-in?next={place.encode().hex(' ').replace(' ', '%').join(['%', ''])}"
        )
        assert goes_to(again) == (303, "/")


@pytest.mark.parametrize("page", ["sign-in", "sign-up", "reset", "new-password", "sent", "sign-out"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "null"},
        {"origin": "http://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://localhost"},
    ],
)
async def test_a_form_of_another_site_is_refused(tmp_path: Path, page: str, headers: dict[str, str]) -> None:
    async with project(tmp_path) as client:
        answer = await client.post(f"/auth/{page}", form=ADA, headers=headers)

        assert (answer.status, answer.json()["code"], answer.headers.get_set_cookie()) == (403, "cross_origin", [])


async def test_pages_are_nobodys_to_keep_or_to_frame(tmp_path: Path) -> None:
    async with project(tmp_path) as client:
        for name in ("sign-in", "sign-up", "reset", "sent", "signed-out"):
            answer = await client.get(f"/auth/{name}")
            assert answer.headers["cache-control"] == "private, no-store"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert "style=" not in answer.text.replace("stylesheet", "")  # which that policy would ignore
        found = re.search(r'href="(/auth/style\.css\?\w{10})"', answer.text)
        assert found
        style = await client.get(found[1])
        assert (
            style.headers["content-type"] == "text/css; charset=utf-8" and "immutable" in style.headers["cache-control"]
        )


async def test_a_guarded_page_sends_browsers_to_sign_in_and_programs_away(tmp_path: Path) -> None:
    route = "auth = 'user'\nfrom turnout import Response\ndef GET():\n    return Response.html('in')\nPOST = GET\n"
    async with project(tmp_path, **{"app/notes/route.py": route}) as client:
        for headers in ({"sec-fetch-mode": "navigate"}, {"accept": "text/html,*/*;q=0.8"}):
            answer = await client.get("/notes?a=1&b=2", headers=headers)
            assert goes_to(answer) == (303, "/auth/sign-in?next=%2Fnotes%3Fa%3D1%26b%3D2")
        for headers in ({}, {"accept": "application/json"}, {"sec-fetch-mode": "cors", "accept": "text/html"}):
            assert (await client.get("/notes", headers=headers)).status == 401
        assert (await client.post("/notes", headers={"sec-fetch-mode": "navigate"})).status == 401


async def test_a_project_may_bring_a_page_or_its_look(tmp_path: Path) -> None:
    files = {
        "app/auth/sign-in/route.py": "def GET():\n    return 'mine'\n",
        "templates/auth/signed-out.html": '{% extends "layout.html" %}{% block title %}Bye{% endblock %}',
    }
    async with project(tmp_path, **files) as client:
        assert (await client.get("/auth/sign-in")).json() == "mine"
        assert "<h1>Bye</h1>" in (await client.get("/auth/signed-out")).text
        assert "Create your account" in (await client.get("/auth/sign-up")).text


async def test_without_sign_ups_nothing_leads_to_one(tmp_path: Path) -> None:
    async with project(tmp_path, PAGES + "sign_ups = false\n") as client:
        assert (await client.get("/auth/sign-up")).status == 404
        assert "sign-up" not in (await client.get("/auth/sign-in")).text


async def test_a_providers_button_leads_to_the_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_GITHUB_SECRET", "x" * 40)
    async with project(tmp_path, PAGES + 'github_client_id = "abc"\n') as client:
        page = (await client.get("/auth/sign-in?next=/notes")).text
        assert "Continue with GitHub" in page and "Google" not in page
        found = re.search(r'href="(/auth/provider[^"]+)"', page)
        assert found

        answer = await client.get(found[1].replace("&amp;", "&"))

        assert answer.status == 303 and answer.headers["location"].startswith(
            "https://github.com/login/oauth/authorize?"
        )
        assert any("-code-verifier" in line for line in answer.headers.get_set_cookie())
        assert (await client.get("/auth/provider?provider=google")).status == 400


async def test_known_and_unknown_addresses_look_the_same(tmp_path: Path) -> None:
    # The second mail to one address comes too soon, known or not.
    for page, fields, status in (("reset", {}, 303), ("sign-in", {"by": "code"}, 303), ("sign-up", {}, 303)):
        async with project(tmp_path / page, PAGES if page != "sign-up" else MAILED) as client:
            answers = []
            if page == "sign-up":
                user = await auth_service().admin_create_user(**ADA, email_confirm=True)
                assert user.email_confirmed_at is not None
            else:
                await post(client, "sign-up", **ADA)
            for email in (ADA["email"], "eve@example.com"):
                client.cookies = {}
                answers.append(await post(client, page, email=email, password="correct horse", **fields))

            assert goes_to(answers[0]) == goes_to(answers[1]) and answers[0].status == status
            assert "example" not in (answers[0].headers.get("location") or "")
            cookies = [[line.partition("=")[0] for line in each.headers.get_set_cookie()] for each in answers]
            assert cookies[0] == cookies[1]


async def test_links_of_mails_work_where_the_wire_is_off(tmp_path: Path) -> None:
    async with project(tmp_path, MAILED.replace("[tool.turnout]", "[tool.turnout]\nsupabase = false", 1)) as client:
        assert (await client.get("/auth/v1/settings")).status == 404
        answer = await client.get("/auth/v1/verify?token=x&type=signup&redirect_to=/auth/callback")
        assert answer.status == 303 and "error_code=otp_expired" in answer.headers["location"]


# -- in a browser

NOTES = """
auth = "user"
from turnout import Response, create_client

async def GET(request):
    user = (await (await create_client()).auth.get_user()).user
    return Response.html(f"<h1>Notes of {user.email}</h1><p id=aud>{user.role}</p><a href=/auth/sign-out>Sign out</a>")
"""


@contextmanager
def site(root: Path, auth: str = "") -> Iterator[Served]:
    """The project on a port that its mails know."""
    port = free_port()
    settings = f'pages = true\nbcrypt_cost = 4\nsite_url = "http://127.0.0.1:{port}"\nmail_interval_s = 1\n{auth}'
    with served(root, {"app/notes/route.py": NOTES}, auth=settings, port=port) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def heading(page: Any, name: str) -> None:
    """Wait for the page of that name, and for all of it."""
    page.get_by_role("heading", name=name).wait_for()
    page.wait_for_load_state()


def test_a_person_signs_up_by_code_and_resets_by_link_without_javascript(tmp_path: Path, browser: Any) -> None:
    with site(tmp_path) as server:
        page = new_context(browser, java_script_enabled=False).new_page()
        page.goto(f"{server.url}/notes?a=1")
        assert page.url.startswith(f"{server.url}/auth/sign-in?next=")
        page.get_by_role("link", name="Create an account").click()
        page.get_by_label("E-mail address").fill("ada@example.com")
        page.get_by_label("Password").fill("correct horse")
        page.get_by_role("button", name="Create account").click()

        heading(page, "Confirm your address")
        assert "ada@example.com" in page.inner_text("main") and "ada" not in page.url
        page.get_by_label("Code").fill("000000")
        page.get_by_role("button", name="Continue").click()
        assert "wrong or has expired" in page.get_by_role("alert").inner_text()
        page.get_by_label("Code").fill(" ".join(server.code("ada@example.com")))
        page.get_by_role("button", name="Continue").click()
        page.wait_for_url(f"{server.url}/notes?a=1")
        heading(page, "Notes of ada@example.com")

        page.get_by_role("link", name="Sign out").click()
        page.get_by_role("button", name="Sign out").click()
        heading(page, "You are signed out")
        page.get_by_role("link", name="Sign in again").click()
        page.get_by_role("link", name="Forgot your password?").click()
        page.get_by_role("button", name="Send the e-mail").wait_for()
        page.wait_for_timeout(1100)  # mail_interval_s
        page.get_by_label("E-mail address").fill("ada@example.com")
        page.get_by_role("button", name="Send the e-mail").click()
        heading(page, "Check your e-mail")
        page.goto(server.link("ada@example.com", 2))
        assert page.url == f"{server.url}/auth/new-password"
        page.get_by_label("New password").fill("another horse")
        page.get_by_role("button", name="Change password").click()
        heading(page, "Your password is changed")

        page.context.clear_cookies()
        page.goto(f"{server.url}/auth/sign-in")
        page.get_by_label("E-mail address").fill("ada@example.com")
        page.get_by_label("Password").fill("another horse")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{server.url}/")
        page.goto(f"{server.url}/notes")
        assert page.inner_text("#aud") == "authenticated"


def test_a_link_opened_in_another_browser_asks_for_the_code(tmp_path: Path, browser: Any) -> None:
    with site(tmp_path) as server:
        page = new_context(browser).new_page()
        page.goto(f"{server.url}/auth/sign-up")
        page.get_by_label("E-mail address").fill("bob@example.com")
        page.get_by_label("Password").fill("correct horse")
        page.get_by_label("Password").press("Enter")
        page.wait_for_url("**/auth/sent*")

        other = new_context(browser).new_page()
        other.goto(server.link("bob@example.com"))

        assert "belongs to the browser that asked for it" in other.get_by_role("alert").inner_text()
        assert other.get_by_label("E-mail address").is_visible() and other.get_by_label("Code").is_visible()


def test_the_keyboard_alone_is_enough(tmp_path: Path, browser: Any) -> None:
    with site(tmp_path, "auto_confirm = true") as server:
        page = new_context(browser).new_page()
        page.goto(f"{server.url}/auth/sign-up?next=/notes")
        page.locator("[name=email]:focus").wait_for()  # by itself, when the page is first drawn
        page.keyboard.type("ada@example.com")
        page.keyboard.press("Tab")
        page.locator("[name=password]:focus").wait_for()
        page.keyboard.type("correct horse")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{server.url}/notes")  # whole: sign-up ends in ?next=/notes

        page.context.clear_cookies()
        page.goto(f"{server.url}/auth/sign-in")
        page.locator("[name=email]:focus").wait_for()
        order = []
        for _ in range(6):
            order.append(page.evaluate("document.activeElement.innerText || document.activeElement.name"))
            assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
            page.keyboard.press("Tab")
        assert order == [
            "email", "password", "Sign in", "E-mail me a code instead", "Forgot your password?", "Create an account",
        ]  # fmt: skip


CONTRAST = """
() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const found = parse(getComputedStyle(node).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const worst = {};
  for (const node of document.querySelectorAll("h1, p, a, label, button, span, input:not([type=hidden]), strong")) {
    const [one, other] = [light(parse(getComputedStyle(node).color)), light(behind(node))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    worst[node.tagName + "." + node.className] = Math.min(ratio, worst[node.tagName + "." + node.className] || 99);
  }
  return worst;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_is_labelled_and_can_be_read(tmp_path: Path, browser: Any, scheme: str) -> None:
    with site(tmp_path) as server:
        page = new_context(browser, color_scheme=scheme).new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        for name in ("sign-in", "sign-up", "reset", "sent", "signed-out"):
            page.goto(f"{server.url}/auth/{name}")
            check(page)
        page.goto(f"{server.url}/auth/sign-in")
        page.get_by_label("E-mail address").fill("who@example.com")
        page.get_by_label("Password").fill("wrong horse")
        page.get_by_label("Password").press("Enter")
        page.get_by_role("alert").wait_for()
        page.wait_for_load_state()  # with its styles
        check(page)
        described = page.evaluate("document.querySelector('#email').getAttribute('aria-describedby')")
        assert described == "error"
        page.locator("#password:focus").wait_for()
        assert not [text for text in complaints if "422" not in text]  # such as a style that the policy refuses


def check(page: Any) -> None:
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("h1").count() == 1 and page.locator("main").count() == 1
    nameless = "[...document.querySelectorAll('input:not([type=hidden])')].filter((each) => !each.labels.length).length"
    assert page.evaluate(nameless) == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for what, ratio in page.evaluate(CONTRAST).items():
        assert ratio >= 4.5, (page.url, what, ratio)
