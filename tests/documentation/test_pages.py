"""turnout.docs: the pages of the installed version, found by words and as one text; also in the wheel."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from turnout import docs

REPOSITORY = Path(__file__).parents[2]


def test_the_pages_are_those_of_the_checkout() -> None:
    assert docs.folder() == REPOSITORY / "docs"
    assert {page.path for page in docs.pages()} == {
        file.relative_to(REPOSITORY / "docs").as_posix() for file in (REPOSITORY / "docs").rglob("*.md")
    }


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("how do I verify a signed webhook", "webhook"),
        ("rate limit a route", "limit"),
        ("send mail with a template", "mail"),
        ("upload a file", "upload"),
        ("body validation struct 422", "validate"),
        ("run a task every night, cron", "task"),
        ("idempotency key", "idempotency"),
    ],
)
def test_a_question_finds_its_page(question: str, page: str) -> None:
    found = docs.search(question)

    assert any(page in each.path for each in found[:3]), [each.path for each in found]
    assert all(Path(each.place).is_file() and len(each.excerpt) <= 1_200 for each in found)


@pytest.mark.parametrize("question", ["", "the of and", "???", "x" * 100_000, "zzzzqqq"])
def test_a_question_about_nothing_finds_nothing(question: str) -> None:
    assert docs.search(question) == []


def test_a_sharp_in_code_is_no_heading() -> None:
    text = "# A\n\n```python\n# B\n```\n\n## C\n\nx\n"

    assert [heading for heading, _ in docs.sections(text)] == ["A", "C"]


def test_llms_txt_names_every_page_once_and_the_full_one_holds_them(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "turnout.docs", "--write", str(tmp_path)], check=False)

    assert done.returncode == 0
    short, full = (tmp_path / "llms.txt").read_text(), (tmp_path / "llms-full.txt").read_text()
    assert short.startswith("# Turnout\n\n> ")
    for page in docs.pages():
        assert short.count(f"]({page.path})") == 1
        assert page.text in full


def test_the_command_says_where_they_are_and_finds(tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "turnout.docs", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert run("--path").stdout == f"{REPOSITORY / 'docs'}\n"
    assert "receive-webhooks.md" in run("--search", "receive webhooks").stdout
    assert run("--search", "zzzzqqq").returncode == 1
    assert run().returncode == 2


def test_the_wheel_takes_them_along() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]["docs"] == "turnout/docs"
