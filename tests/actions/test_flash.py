"""Messages for the next page: shown once, to one browser, kept by no cache."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import client_of

from turnout.actions import flash, get_flashes
from turnout.actions.flash import NAME, _read
from turnout.http.request import Request

FILES = {
    "app/say/route.py": """
from turnout import Request, flash, redirect

async def POST(request: Request, query: dict[str, str]):
    for kind, message in query.items():
        flash(request, message, kind)
    return redirect("/", 303)
""",
    "app/route.py": "from turnout import render\nasync def GET():\n    return render('p.html')\n",
    "app/quiet/route.py": "from turnout import render\nasync def GET():\n    return render('quiet.html')\n",
    "app/kept/route.py": """
from turnout import render
revalidate = 60
RUNS = []

async def GET():
    RUNS.append(1)
    page = render("p.html", run=len(RUNS))
    page.headers.set("cache-control", "public, max-age=60")
    return page
""",
    "templates/base.html": (
        "{% if flashes %}{% for each in flashes %}[{{ each.kind }}: {{ each.message }}]{% endfor %}{% endif %}"
    ),
    "templates/p.html": '{% extends "base.html" %}',
    "templates/quiet.html": "nothing",
}


async def test_a_message_is_shown_once_on_the_next_page_that_shows_any(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        said = await client.post("/say?info=Saved&error=%3Cb%3E+%C3%A4")
        assert "HttpOnly" in said.headers["set-cookie"] and "SameSite=Lax" in said.headers["set-cookie"]
        assert len(said.headers.get_set_cookie()) == 1
        assert (await client.get("/quiet")).text == "nothing"
        await client.post("/say?success=More")

        shown = await client.get("/")
        assert shown.text == "[info: Saved][error: &lt;b&gt; ä][success: More]"
        assert shown.headers["cache-control"] == "private, no-store"
        assert (await client.get("/")).text == ""
        assert client.cookies == {}


async def test_a_kept_page_stays_kept_and_never_shows_anybodys_message(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        first = await client.get("/kept")
        assert (first.text, first.headers["cache-control"]) == ("", "public, max-age=60")
        assert "hit" in (await client.get("/kept")).headers["cache-status"]
        await client.post("/say?info=Saved")
        jar = dict(client.cookies)

        shown = await client.get("/kept")
        assert (shown.text, shown.headers["cache-control"]) == ("[info: Saved]", "private, no-store")
        for cookies in ({}, {"other": "1"}):
            client.cookies = dict(cookies)
            again = await client.get("/kept")
            assert again.text == "" and "hit" in again.headers["cache-status"]
        client.cookies = jar
        assert (await client.get("/kept")).text == "[info: Saved]"


async def test_a_page_that_is_first_made_with_a_message_is_not_kept(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        await client.post("/say?info=Saved")
        assert (await client.get("/kept")).text == "[info: Saved]"
        client.cookies = {}
        assert (await client.get("/kept")).text == ""


async def test_over_https_no_other_host_can_set_the_cookie(tmp_path: Path) -> None:
    settings = '[tool.turnout]\nallowed_hosts = ["localhost"]\norigin = "https://localhost"\n'
    async with client_of(tmp_path, {**FILES, "pyproject.toml": settings}) as client:
        said = await client.post("/say?info=Saved")
        assert said.headers["set-cookie"].startswith(f"__Host-{NAME}=") and "Secure" in said.headers["set-cookie"]
        planted = client.cookies.pop(f"__Host-{NAME}")
        client.cookies[NAME] = planted
        assert (await client.get("/")).text == ""
        client.cookies = {f"__Host-{NAME}": planted}
        assert (await client.get("/")).text == "[info: Saved]"


def test_a_message_that_cannot_travel_is_refused_where_it_is_said() -> None:
    request = Request("POST", "/", headers={"host": "localhost"})
    for kind in ("", "Info", "a b", '"><script>', "1"):
        with pytest.raises(ValueError, match="kind"):
            flash(request, "x", kind)
    flash(request, "x" * 2000)
    with pytest.raises(ValueError, match="too long"):
        flash(request, "x" * 2000)
    assert [each.message for each in request.flashes or ()] == ["x" * 2000]


def test_outside_of_a_request_there_are_no_messages() -> None:
    assert get_flashes() == []


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.binary(max_size=60).map(lambda data: base64.urlsafe_b64encode(data).decode()),
        st.recursive(st.none() | st.text(max_size=5) | st.integers(), lambda inner: st.lists(inner, max_size=3)).map(
            lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
        ),
    )
)
def test_a_cookie_that_is_not_ours_shows_nothing_and_breaks_nothing(text: str) -> None:
    for each in _read(text):
        assert isinstance(each.message, str) and each.kind.isascii()


async def test_a_broken_cookie_is_left_alone_by_every_page(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        for value in ("x", "!!", base64.urlsafe_b64encode(b'[["a"]]').decode(), "e" * 4000):
            client.cookies = {NAME: value}
            answer = await client.get("/")
            assert (answer.status, answer.text) == (200, "")
