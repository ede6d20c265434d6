"""The README and every page of docs/: what they show is run, where they point exists, nothing is left out."""

from __future__ import annotations

import re
import sqlite3
import sys
from pathlib import Path

import pytest
from docs.story import REPOSITORY, Block, Story, blocks, same
from msgspec import NODEFAULT
from msgspec.structs import fields

import turnout
from turnout.cli.main import COMMANDS
from turnout.config import _SECTIONS as SECTIONS
from turnout.config import Config

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]
LINKED = [*PAGES, *(REPOSITORY / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))]

_link = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
_fenced = re.compile(r"^( *)```.*?^\1```\s*$", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def text_of(page: Path) -> str:
    """The prose of a page, without its blocks."""
    return _fenced.sub("", page.read_text())


# DBOS takes a Python of 3.12 or later to have it, and the routes of this page have tasks.
TOO_OLD = sys.version_info >= (3, 12) and sqlite3.sqlite_version_info < (3, 42)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
async def test_every_block_of_a_page_does_what_it_says(page, tmp_path, monkeypatch):
    if TOO_OLD and page.name == "create-routes-with-ai.md":
        pytest.skip("DBOS needs SQLite 3.42 here")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    story = Story(tmp_path)
    try:
        for block in blocks(page):
            await story.run(block)
    finally:
        await story.end()


async def test_a_block_of_unknown_kind_fails(tmp_path):
    story = Story(tmp_path)
    for kind in ("", "python3", "rust"):
        with pytest.raises(AssertionError, match="nothing here knows"):
            await story.run(Block(DOCS / "index.md", 1, kind, "x = 1\n"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_fence_of_a_page_is_a_block(page):
    fences = re.findall(r"^ *```", page.read_text(), re.MULTILINE)

    assert len(fences) == 2 * len(list(blocks(page)))


async def test_what_a_page_says_wrongly_is_noticed(tmp_path):
    page = DOCS / "index.md"
    story = Story(tmp_path)
    route = '# app/api/x/route.py\nasync def GET(request):\n    return {"a": 1}\n'
    await story.run(Block(page, 1, "python", route))
    wrong = [
        ("http", 'GET /api/x -> 200 {"a":2}'),
        ("http", "GET /api/x -> 404"),
        ("http", "GET /api/x"),
        ("console", '$ curl localhost:8000/api/x\n{"a":2}'),
        ("console", "$ curl localhost:8000/api/y"),
        ("console", "$ rm -r /"),
        ("python", "1 + 1  # -> 3"),
        ("python", "1 + 1  # raises TypeError"),
        ("sh", "turnout start --no-such-option"),
        ("sh", "make no-such-target"),
        ("html", "<p><b></p>"),
        ("nginx", "listen 80"),
    ]
    for kind, text in wrong:
        with pytest.raises(AssertionError):
            await story.run(Block(page, 1, kind, text + "\n"))
    await story.run(Block(page, 1, "http", 'GET /api/x -> 200 {"a":…}\n'))
    await story.end()


def test_an_ellipsis_stands_for_anything_and_nothing_else_does():
    same("a1b", "a…b", "")
    with pytest.raises(AssertionError):
        same("a1b", "a.b", "")


# -- links


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings have on the usual sites."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page):
    for link in _link.findall(text_of(page)):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_is_reached_from_the_index():
    index = DOCS / "index.md"
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in _link.findall(text_of(index))}

    assert {page for page in DOCS.rglob("*.md") if page != index} <= linked


# -- nothing is left out


def test_every_setting_is_listed_with_its_default():
    page = (DOCS / "how-to/configure.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| `?([^`|]*?)`? \|", page, re.MULTILINE))
    known = {}
    for table in (Config, *SECTIONS.values()):
        for field in fields(table):
            if field.name not in ("root", "mode", "database_url", *SECTIONS):
                made = field.default_factory() if field.default_factory is not NODEFAULT else field.default
                known[field.name] = made

    assert rows.keys() == known.keys()
    for name, default in known.items():
        said = rows[name].replace(",", "").replace("_", "") if isinstance(default, (int, float)) else rows[name]
        if isinstance(default, bool):
            assert said == str(default).lower(), name
        elif isinstance(default, (int, float)):
            assert float(said) == default, name
        elif isinstance(default, str):
            assert said == f'"{default}"', name


def test_every_public_name_has_its_place_in_the_reference():
    text = "".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    missing = [name for name in turnout.__all__ if not re.search(rf"`[^`]*\b{name}\b", text)]

    assert not missing


def test_every_command_and_option_is_in_the_reference():
    import argparse
    from importlib import import_module

    text = (DOCS / "reference/cli.md").read_text()
    for name in COMMANDS:
        assert f"## turnout {name}" in text
        parser = argparse.ArgumentParser()
        import_module(f"turnout.cli.{name}").configure(parser)
        options = [each for action in parser._actions for each in action.option_strings if each not in ("-h", "--help")]
        assert [each for each in options if f"`{each}" not in text] == []


def test_every_row_of_the_security_page_names_tests_that_exist():
    rows = re.findall(r"^\|(.+)\|$", (REPOSITORY / "SECURITY.md").read_text(), re.MULTILINE)[2:]
    assert rows
    for row in rows:
        names = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        assert names, f"this row names no test: {row}"
        for file, test in names:
            path = REPOSITORY / file
            assert path.is_file() and re.search(rf"def {test}\(", path.read_text()), f"{file}::{test}"


def test_every_change_is_a_fragment_of_a_known_kind():
    for file in (REPOSITORY / "changes").glob("*.md"):
        if file.name != "README.md":
            assert re.fullmatch(r"\d+\.(added|changed|fixed|removed|security)(\.[a-z]+)?\.md", file.name), file.name
            assert file.read_text().strip(), file.name
