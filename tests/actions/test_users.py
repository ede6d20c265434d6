"""Actions of people who are signed in, by their session's cookie."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import client_of

from turnout.actions import registry

SETTINGS = """
[tool.turnout]
allowed_hosts = ["localhost"]

[tool.turnout.auth]
pages = true
auto_confirm = true
bcrypt_cost = 4
"""
FILES = {
    "pyproject.toml": SETTINGS,
    "app/notes/actions.py": """
from turnout import ActionError, Request, action, create_client, flash

auth = "user"


@action
async def save(request: Request, title: str):
    user = (await (await create_client()).auth.get_user()).user
    flash(request, f"Half of it is saved for {user.email}")
    if not title:
        raise ActionError("Give it a title.", "title")
    return user.email
""",
    "app/notes/route.py": """
from turnout import Request, render

auth = "user"


async def GET(request: Request):
    return render("notes.html", user=request.state.user)
""",
    "templates/notes.html": "{{ user.email }}|{{ errors.title }}|{{ flashes|join }}",
}
ADA = {"email": "ada@example.com", "password": "correct horse"}
HERE = {"origin": "http://localhost", "referer": "http://localhost/notes", "accept": "text/html"}


@pytest.fixture(autouse=True)
def no_hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUPABASE_URL", "DATABASE_URL", "STORE_URL"):
        monkeypatch.delenv(name, raising=False)


async def test_a_session_carries_through_an_action_and_its_page(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        assert (await client.post("/auth/sign-up", form=ADA, headers=HERE)).status == 303
        url = registry.known().actions[tmp_path / "app/notes/actions.py"]["save"].url

        answer = await client.post(url, json={"title": "x"}, headers={"sec-fetch-site": "same-origin"})
        assert answer.json() == {"ok": True, "data": "ada@example.com"}
        assert "private" in answer.headers["cache-control"] or "no-store" in answer.headers["cache-control"]
        again = await client.post(url, form={"title": ""}, headers=HERE)
        shown = "Half of it is saved for ada@example.com"
        assert (again.status, again.text) == (422, f"ada@example.com|Give it a title.|{shown}{shown}")
        assert "no-store" in again.headers["cache-control"]
        assert (await client.get("/notes")).text == "ada@example.com||"


@pytest.mark.parametrize("headers", [{}, {"origin": "https://evil.example"}, {"sec-fetch-site": "same-site"}])
async def test_a_session_without_a_page_of_this_site_does_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    async with client_of(tmp_path, FILES) as client:
        assert (await client.post("/auth/sign-up", form=ADA, headers=HERE)).status == 303
        url = registry.known().actions[tmp_path / "app/notes/actions.py"]["save"].url

        answer = await client.post(url, json={"title": "x"}, headers=headers)
        assert (answer.status, answer.json()["code"], answer.headers.get_set_cookie()) == (403, "cross_origin", [])
