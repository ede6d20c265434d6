"""Templates: pages with layouts, what is escaped, and errors that name their line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from turnout import render, templates
from turnout.errors import ConfigError
from turnout.templates import Templates, render_text
from turnout.testing import Client

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write("a.html", "text")`` makes a template; the folder is the configured one."""
    templates.configure(tmp_path / "templates")

    def write(name: str, text: str) -> None:
        file = tmp_path / "templates" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return write


HOSTILE = "<script>alert('1')</script>&\""
ESCAPED = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&#34;"


@pytest.mark.parametrize("name", ["a.html", "a.htm", "a.xml", "a.svg", "a.html.j2", "a", "mail/a.html"])
def test_everything_is_escaped(write: Write, name: str) -> None:
    write(name, '<a title="{{ x }}">{{ x }}</a>')

    assert render_text(name, x=HOSTILE) == f'<a title="{ESCAPED}">{ESCAPED}</a>'


def test_texts_are_not_escaped(write: Write) -> None:
    write("a.txt", "{{ x }}")

    assert render_text("a.txt", x=HOSTILE) == HOSTILE


def test_a_page_has_a_layout_and_a_type(write: Write) -> None:
    write("base.html", "<title>{% block title %}Blog{% endblock %}</title>{% block body %}{% endblock %}")
    write(
        "posts.html",
        '{% extends "base.html" %}{% block body %}{% for p in posts %}<li>{{ p }}{% endfor %}{% endblock %}',
    )

    page = render("posts.html", posts=["a", "<b>"])

    assert page.body == b"<title>Blog</title><li>a<li>&lt;b&gt;"
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.status == 200


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.txt", "text/plain"), ("feed.xml", "/xml"), ("a.svg", "image/svg+xml"), ("README", "text/plain")],
)
def test_the_type_is_that_of_the_ending(write: Write, name: str, kind: str) -> None:
    write(name, "x")

    assert f"{kind}; charset=utf-8" in render(name).headers["content-type"]


def test_a_name_may_be_called_anything(write: Write) -> None:
    write("a.html", "{{ name }} {{ self_ }}")

    assert render("a.html", name="Ada", self_="x").body == b"Ada x"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("one\n{{ nmae }}", 2, "'nmae' is undefined"),
        ("one\n\n{{ user.nmae }}", 3, "has no attribute 'nmae'"),
        ("{% if nmae %}{% endif %}", 1, "'nmae' is undefined"),
        ("one\n{% for x in y %}", 2, "Unexpected end of template"),
        ("{{ x", 1, "unexpected end of template"),
        ("one\n{{ x|nofilter }}", 2, "nofilter"),
        ('one\n{% include "none.html" %}', 2, "there is no template 'none.html'"),
        ('{% extends "none.html" %}', 1, "there is no template 'none.html'"),
    ],
)
def test_a_mistake_is_an_error_with_file_and_line(
    write: Write, tmp_path: Path, text: str, line: int, says: str
) -> None:
    write("a.html", text)

    with pytest.raises(ConfigError) as caught:
        render("a.html", user={})

    assert says.lower() in caught.value.message.lower()
    assert (caught.value.file, caught.value.line) == (tmp_path / "templates/a.html", line)


def test_a_mistake_in_an_included_template_is_found_there(write: Write, tmp_path: Path) -> None:
    write("a.html", 'one\ntwo\n{% include "part.html" %}')
    write("part.html", "\n{{ nmae }}")

    with pytest.raises(ConfigError) as caught:
        render("a.html")

    assert (caught.value.file, caught.value.line) == (tmp_path / "templates/part.html", 2)


def test_what_the_data_raises_is_not_the_templates_mistake(write: Write) -> None:
    write("a.html", "{{ boom() }}")

    with pytest.raises(ZeroDivisionError):
        render("a.html", boom=lambda: 1 / 0)


@pytest.mark.parametrize(
    "name",
    ["none.html", "../secret.txt", "/etc/passwd", "a/../../secret.txt", "..\\secret.txt", "", ".", "a\0.html", "a//b"],
)
def test_only_what_is_below_the_folder_is_a_template(write: Write, tmp_path: Path, name: str) -> None:
    write("a/b", "x")
    (tmp_path / "secret.txt").write_text("secret")

    with pytest.raises(ConfigError, match="there is no template"):
        render(name)


@pytest.mark.parametrize("reload", [True, False])
def test_a_saved_template_is_seen_at_once_in_development_alone(write: Write, tmp_path: Path, reload: bool) -> None:
    templates.configure(tmp_path / "templates", reload=reload)
    write("a.html", "old")
    assert render_text("a.html") == "old"

    write("a.html", "new")
    os.utime(tmp_path / "templates/a.html", (1, 1))

    assert render_text("a.html") == ("new" if reload else "old")


def test_outside_a_project_there_are_no_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnout.templates._configured", None)

    with pytest.raises(ConfigError, match="no project"):
        render("a.html")


async def test_a_route_answers_with_a_page_that_sees_its_request(write: Write, tmp_path: Path) -> None:
    write("a.html", "<p>{{ request.path }} {{ name }}</p>")
    route = tmp_path / "app/hello/route.py"
    route.parent.mkdir(parents=True)
    route.write_text("from turnout import render\n\n\nasync def GET():\n    return render('a.html', name='<Ada>')\n")

    async with Client(root=tmp_path) as client:
        answer = await client.get("/hello")

    assert (answer.status, answer.text) == (200, "<p>/hello &lt;Ada&gt;</p>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_without_jinja2_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.html").write_text("x")
    monkeypatch.setitem(sys.modules, "jinja2", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=re.escape("turnout[templates]")):
        Templates(tmp_path).render("a.html", {})
    with pytest.raises(ConfigError, match=re.escape("turnout[templates]")):
        Templates(tmp_path).check()
