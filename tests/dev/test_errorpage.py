"""dev/errorpage.py: the user's lines first, everything escaped, nothing secret."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

from turnout.dev import errorpage
from turnout.errors import ConfigError
from turnout.http.request import Request, RouteInfo


def module(folder: Path, text: str) -> ModuleType:
    file = folder / "users_code.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("users_code", file)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def caught(call, *args) -> Exception:
    try:
        call(*args)
    except Exception as exc:
        return exc
    raise AssertionError("nothing was raised")


def request(**fields: str) -> Request:
    made = Request("GET", "/api/posts/7?q=<b>&token=sesame", headers=fields, peer="127.0.0.1")
    made.route = RouteInfo("/api/posts/[id]", "/p/app/api/posts/[id]/route.py")
    made.params = {"id": "7"}
    return made


def test_the_users_line_comes_first_and_libraries_are_folded_away(tmp_path):
    users = module(tmp_path, "import json\n\ndef GET(text):\n    return json.loads(text)  # the line\n")

    page = errorpage.render(caught(users.GET, "{"), request())

    assert page.index("users_code.py:4") < page.index("<details><summary>") < page.index("json/decoder.py")
    assert '<span class="at"><i>4</i>    return json.loads(text)  # the line</span>' in page
    assert "JSONDecodeError" in page and "/api/posts/[id]" in page


def test_the_cause_is_shown_too(tmp_path):
    users = module(
        tmp_path,
        "def GET():\n    try:\n        1 / 0\n    except Exception as e:\n        raise ValueError('x') from e\n",
    )

    page = errorpage.render(caught(users.GET), request())

    assert page.index("ValueError: x") < page.index("ZeroDivisionError: division by zero")


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "</style><img src=x onerror=alert(1)>", "\"'><b>&amp;"])
def test_everything_is_escaped(text):
    made = Request("GET", "/" + text, headers={"x-a": text}, peer=None)
    made.route, made.params = RouteInfo(text, text), {text: text}

    page = errorpage.render(caught(lambda: (_ for _ in ()).throw(type(text, (Exception,), {})(text))), made)

    tags: set[str] = set()
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, attrs: tags.add(tag)
    reader.feed(page)
    assert tags & {"html", "h1", "table"} and not tags & {"script", "img", "b"}


def test_secrets_are_redacted():
    page = errorpage.render(
        ValueError("key sk_live_sesame1 and postgres://u:sesame2@db"),
        request(authorization="Bearer sesame3", cookie="session=sesame4", **{"x-api-key": "sesame5"}),
    )

    assert "sesame" not in page


def test_an_exception_without_a_readable_text_is_shown_all_the_same():
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "its text cannot be shown" in errorpage.render(Odd(), request())


def test_a_chain_in_a_circle_ends():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one

    assert errorpage.render(one, request()).count("<h1>") == 2


def test_the_policy_lets_exactly_this_style_through():
    style = re.search("<style>(.*?)</style>", errorpage.render(ValueError(), request()), re.DOTALL)[1]

    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in errorpage.CSP
    assert "<script" not in errorpage.render(ValueError(), request())


def test_a_project_that_does_not_start_says_what_where_and_the_cure(tmp_path):
    file = tmp_path / "route.py"
    file.write_text("def get(): ...\n")

    page = errorpage.render_config_error(ConfigError("no <handler>", file=file, line=1, cure="write GET"))

    assert "no &lt;handler&gt;" in page and f"{file}:1" in page and "write GET" in page
    assert "def get(): ..." in page and json.dumps(page)
