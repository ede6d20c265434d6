"""ai/policy.py: where a proposal may write, each rule with what it refuses and what it allows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.ai.changeset import ChangeSet, FileChange
from turnout.ai.explain import explain
from turnout.ai.policy import CODES, check_paths

ALLOWED = [
    "app/route.py",
    "app/api/notes/route.py",
    "app/api/notes/[id]/route.py",
    "app/(admin)/[...rest]/route.py",
    "app/.well-known/thing/route.py",
    "app/api/middleware.py",
    "app/posts/actions.py",
    "app/error.py",
    "lib/notes.py",
    "lib/deep/er.py",
    "lib/id_card.py",
    "tests/test_notes.py",
    "templates/mail/welcome.html",
    "templates/mail/welcome.txt",
    "migrations/0002_notes.sql",
]
REFUSED = {
    "TRN171": [
        "",
        "/etc/passwd",
        "/app/api/x/route.py",
        "../evil.py",
        "app/../../evil.py",
        "app/api/../route.py",
        "app/./route.py",
        "app//route.py",
        "~/x.py",
        "C:/x.py",
        "app\\api\\route.py",
        "app/api/a\0b/route.py",
        "app/api/a\nb/route.py",
        "app/api/b:stream/route.py",
        "lib/con.py",
        "lib/NUL",
        "lib/com1.py",
        "lib/trailing./x.py",
        "lib/space /x.py",
        "lib/naïve.py",
        "lib/" + "x" * 300 + ".py",
    ],
    "TRN172": [
        ".env",
        ".env.local",
        ".env.example",
        "app/.env",
        ".git/hooks/pre-commit",
        ".github/workflows/ci.yml",
        "pyproject.toml",
        "uv.lock",
        "requirements.txt",
        "Makefile",
        "conftest.py",
        "setup.py",
        "app/api/notes/helper.py",
        "app/api/notes/Route.py",
        "lib/notes.so",
        "lib/credentials.py",
        "lib/secrets.py",
        "lib/.hidden/x.py",
        "app/.ssh/route.py",
        "tests/data.pickle",
        "templates/run.sh",
        "migrations/0002.py",
        "migrations/deep/0002.sql",
        "data/app.db",
        "id_ed25519",
        "public/index.html",
        ".turnout/ai/journal.json",
    ],
}


def codes(root: Path, *files: FileChange, **rest: list[str]) -> list[str]:
    return [finding.code for finding in check_paths(ChangeSet("", files=list(files), **rest), root)]


@pytest.mark.parametrize("path", ALLOWED)
def test_what_belongs_to_a_route_may_be_written(tmp_path, path):
    assert codes(tmp_path, FileChange(path, None, "x\n")) == []


@pytest.mark.parametrize(("code", "path"), [(code, path) for code, paths in REFUSED.items() for path in paths])
def test_every_other_path_is_refused(tmp_path, code, path):
    assert codes(tmp_path, FileChange(path, None, "x\n")) == [code]


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=300)
def test_whatever_is_allowed_stays_in_the_project(tmp_path_factory, path):
    root = tmp_path_factory.getbasetemp()
    if not codes(root, FileChange(path, None, "x\n")):
        assert (root / path).resolve().is_relative_to(root.resolve())
        assert path.startswith(("app/", "lib/", "tests/", "templates/", "migrations/"))


def test_a_migration_that_exists_is_neither_changed_nor_removed(tmp_path):
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations/0001.sql").write_text("create table a (id int);")

    assert codes(tmp_path, FileChange("migrations/0001.sql", "x", "drop table a;")) == ["TRN174"]
    assert codes(tmp_path, FileChange("migrations/0001.sql", "x", None)) == ["TRN174"]
    assert codes(tmp_path, FileChange("migrations/0002.sql", None, "create table b (id int);")) == []


@pytest.mark.parametrize("path", ["lib", "lib/deep", "lib/deep/x.py"])
def test_nothing_is_written_through_a_link(tmp_path, path):
    root, outside = tmp_path / "project", tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (root / path).parent.mkdir(parents=True)
    (root / path).symlink_to(outside / "deep" if not path.endswith(".py") else outside / "x.py")

    assert codes(root, FileChange("lib/deep/x.py", None, "x\n")) == ["TRN173"]


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "lib/x.py").mkdir(parents=True)

    assert codes(tmp_path, FileChange("lib/x.py", None, "x\n")) == ["TRN173"]


def test_names_equal_but_for_case_are_refused(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/Notes.py").write_text("")

    assert codes(tmp_path, FileChange("lib/notes.py", None, "x\n")) == ["TRN175"]
    assert codes(tmp_path, FileChange("lib/a.py", None, "x\n"), FileChange("lib/A.py", None, "x\n")) == ["TRN175"]
    assert codes(tmp_path, FileChange("lib/a.py", None, "x\n"), FileChange("lib/a.py", None, "y\n")) == ["TRN175"] * 2
    assert codes(tmp_path, FileChange("lib/Notes.py", None, "x\n")) == []


def test_a_proposal_has_a_size(tmp_path):
    big = "x" * 65_536

    assert codes(tmp_path, *(FileChange(f"lib/a{number}.py", None, "x") for number in range(20))) == []
    assert codes(tmp_path, *(FileChange(f"lib/a{number}.py", None, "x") for number in range(21))) == ["TRN176"]
    assert codes(tmp_path, FileChange("lib/a.py", None, big)) == []
    assert codes(tmp_path, FileChange("lib/a.py", None, big + "x")) == ["TRN176"]
    assert codes(tmp_path, *(FileChange(f"lib/a{number}.py", None, big) for number in range(5))) == ["TRN176"]


HIDDEN_TEXTS = ["a\0b", "a\x1b[2Kb", "x = 1\ry = 2\n", "a\x9bb", "# \u202e hidden", "x = '\u2066'", "\ud800"]


@pytest.mark.parametrize("text", [*HIDDEN_TEXTS, "KEY = '[redacted]'"])
def test_a_text_that_hides_something_is_refused(tmp_path, text):
    assert codes(tmp_path, FileChange("lib/a.py", None, text)) == ["TRN177"]


def test_names_are_names(tmp_path):
    assert codes(tmp_path, env=["STRIPE_KEY"], needs=["httpx", "stripe[async]>=8", "a-b.c"]) == []
    assert codes(tmp_path, env=["lower", "A=1", "A\nB"]) == ["TRN178"] * 3
    assert codes(tmp_path, needs=["x; rm -rf /", "--index-url", "git+https://x", ""]) == ["TRN178"] * 4


def test_a_finding_says_place_code_and_cure(tmp_path):
    found = check_paths(ChangeSet("", files=[FileChange("pyproject.toml", None, "x")]), tmp_path)

    assert str(found[0]).startswith("pyproject.toml: TRN172 ") and "— fix: use app/**/" in str(found[0])
    assert all(explain(code) for code in CODES) and explain("trn171") == CODES["TRN171"] and explain("TRN999") is None
