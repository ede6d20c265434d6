"""/_turnout/docs and /_turnout/openapi.json: the routes as they are now, for this machine alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium, new_context
from dev.test_server import Dev
from projects import make_project

from turnout.dev import docspage
from turnout.dev.docspage import Docs
from turnout.http.request import Request
from turnout.http.response import Response
from turnout.project import load_project
from turnout.routing.module import unload

ROUTE = '''
from msgspec import Struct

class Greeting(Struct):
    text: str

async def GET(name: str) -> Greeting:
    """Greet somebody <b>.

    By their name.
    """
    return Greeting(f"Hello {name}")
'''


def docs_of(root: Path) -> Docs:
    make_project(root, {"app/api/hello/[name]/route.py": ROUTE})
    unload(root)
    docs = Docs()
    docs.show(load_project(root, mode="test"))
    return docs


async def ask(docs: Docs, path: str, peer: str = "127.0.0.1", **headers: str) -> Response | None:
    given = {"host": "localhost:8000"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await docs.answer(Request("GET", path, headers=given, peer=peer))


async def test_the_document_is_that_of_the_project(tmp_path: Path) -> None:
    answer = await ask(docs_of(tmp_path), "/_turnout/openapi.json")

    assert answer is not None and b'"/api/hello/{name}"' in answer.body and b"Greet somebody" in answer.body
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/_turnout/openapi.json", "/_turnout/docs", "/_turnout/docs/start.js"])
async def test_nobody_else_is_shown_them(tmp_path: Path, path: str) -> None:
    docs = docs_of(tmp_path)

    assert await ask(docs, path, peer="192.0.2.7") is None
    assert await ask(docs, path, host="evil.example") is None
    assert await ask(docs, path, x_forwarded_for="192.0.2.7") is None
    assert await ask(docs, path) is not None


@pytest.mark.parametrize(
    "path", ["/_turnout/docs/../docspage.py", "/_turnout/docs/index.html", "/_turnout/docs/", "/_turnout/docsx"]
)
async def test_only_the_files_of_the_page_are_served(tmp_path: Path, path: str) -> None:
    assert await ask(docs_of(tmp_path), path) is None


async def test_nothing_is_there_before_a_project_has_loaded() -> None:
    assert await ask(Docs(), "/_turnout/docs") is None


async def test_without_the_extra_the_page_is_a_plain_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    missing: Any = lambda name, *rest: None if name == "flask_swagger_ui" else find(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", missing)
    docs = docs_of(tmp_path)
    page = await ask(docs, "/_turnout/docs")

    assert page is not None
    text = page.body.decode()
    assert "GET <code>/api/hello/[name]</code>" in text and "Greet somebody &lt;b&gt;." in text
    assert 'pip install "turnout[openapi]"' in text and "<script" not in text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe-inline" not in page.headers["content-security-policy"]
    assert await ask(docs, "/_turnout/docs/swagger-ui.css") is None


def test_a_save_changes_the_document(tmp_path: Path) -> None:
    make_project(tmp_path, {"app/api/hello/route.py": "def GET() -> dict:\n    return {}\n"})
    with Dev(tmp_path) as dev:
        assert "/api/later" not in dev.get("/_turnout/openapi.json")[1]
        dev.write("app/api/later/route.py", "def GET() -> dict:\n    return {}\n")
        dev.until("/api/later", "/_turnout/openapi.json")


def test_a_started_server_has_neither(tmp_path: Path) -> None:
    root = make_project(tmp_path, {"app/api/hello/route.py": "def GET() -> dict:\n    return {}\n"})
    unload(root)
    app = load_project(root, mode="test").app

    assert not [route for route in app.routes if "docs" in route.pattern.text or "openapi" in route.pattern.text]


@pytest.mark.skipif(importlib.util.find_spec("flask_swagger_ui") is None, reason='needs pip install "turnout[openapi]"')
def test_a_browser_shows_the_page_tries_a_route_and_asks_nobody_else(tmp_path: Path) -> None:
    make_project(tmp_path, {"app/api/hello/[name]/route.py": ROUTE})
    with Dev(tmp_path) as dev, chromium() as browser:
        page = new_context(browser, color_scheme="dark").new_page()
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        site = f"http://127.0.0.1:{dev.port}"
        page.goto(f"{site}{docspage.PAGE}")
        page.locator(".opblock-get .opblock-summary-control").first.click()
        page.locator("input[placeholder=name]").fill("Ada")
        page.locator("button.execute").click()
        body = page.locator(".live-responses-table .response-col_description")
        body.locator("text=Hello Ada").first.wait_for()

        assert page.title().startswith(tmp_path.name) and "dark-mode" in page.locator("html").get_attribute("class")
        assert f"{site}/api/hello/Ada" in asked
        assert all(url.startswith((site, "data:")) for url in asked), asked
        assert not said, said  # a policy that is broken is said here too
