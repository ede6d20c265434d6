"""cli/new.py: the created project works at once, and nothing of the user's is overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def blog(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new")
    done = run("turnout", "new", "my_blog", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cd my_blog && turnout dev" in done.stdout
    return folder / "my_blog"


def test_it_has_no_problems(blog):
    done = run("turnout", "check", cwd=blog)

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "3 routes, no problems\n")


def test_its_own_tests_pass(blog):
    done = run("pytest", "-q", "-p", "no:cacheprovider", cwd=blog)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_mypy_has_no_complaint(blog):
    done = run("mypy", "--strict", "--cache-dir", os.devnull, cwd=blog)

    assert done.returncode == 0, done.stdout


def test_it_is_named_after_its_folder(blog):
    assert 'name = "my-blog"' in (blog / "pyproject.toml").read_text()
    assert "@NAME@" not in "".join(
        file.read_text() for file in blog.rglob("*") if file.is_file() and file.suffix != ".pyc"
    )


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "blog").mkdir()
    (tmp_path / "blog" / "mine.txt").write_text("mine")

    done = run("turnout", "new", "blog", cwd=tmp_path)

    assert done.returncode == 3 and "is not an empty folder" in done.stderr and "cure:" in done.stderr
    assert [file.name for file in (tmp_path / "blog").iterdir()] == ["mine.txt"]


def test_an_empty_folder_and_the_current_one_will_do(tmp_path):
    done = run("turnout", "new", ".", cwd=tmp_path)

    assert done.returncode == 0 and done.stdout == "created .; now: turnout dev\n"
    assert (tmp_path / "app" / "api" / "hello" / "route.py").is_file()


def test_the_next_command_can_be_pasted(tmp_path):
    done = run("turnout", "new", "my shop", cwd=tmp_path)

    assert done.stdout == "created my shop; now: cd 'my shop' && turnout dev\n"


def test_a_name_without_a_letter_is_refused(tmp_path):
    done = run("turnout", "new", "___", cwd=tmp_path)

    assert done.returncode == 2 and "gives no project name" in done.stderr
    assert list(tmp_path.iterdir()) == []
