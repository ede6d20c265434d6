"""turnout diff: against a revision of git, a kept contract and an OpenAPI document, and its exit status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from projects import make_project

from turnout.cli.main import main
from turnout.contract.openapi import openapi
from turnout.contract.read import read
from turnout.project import load_project
from turnout.routing.module import unload

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

BEFORE = 'auth = "user"\n\n\nasync def GET(request) -> dict[str, int]:\n    return {}\n'
AFTER = "async def GET(request) -> dict[str, str]:\n    return {}\n"
NEEDS_ENV = "from turnout import env\n\nNAME = env['DIFF_NAME']\n" + AFTER


def git(folder: Path, *words: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    clean |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", *who, *words], cwd=folder, env=clean, check=True, capture_output=True, text=True
    ).stdout


def commit(folder: Path, tag: str) -> None:
    git(folder, "add", ".")
    git(folder, "commit", "-qm", tag)
    git(folder, "tag", tag)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in a folder of a repository, with the tags ``empty`` and ``before``, and changes since."""
    root = tmp_path / "apps" / "blog"
    root.mkdir(parents=True)
    git(tmp_path, "init", "-q")
    (tmp_path / "README").write_text("")
    commit(tmp_path, "empty")
    make_project(root, {"app/api/a/route.py": BEFORE, ".gitignore": ".env\n__pycache__/\n"})
    commit(tmp_path, "before")
    (root / "app/api/a/route.py").write_text(AFTER)
    unload(root)
    monkeypatch.chdir(root)
    return root


def test_what_breaks_since_a_revision_is_listed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = git(project, "status", "--porcelain")

    assert main(["diff", "before"]) == 1

    assert capsys.readouterr().out.splitlines() == [
        "GET /api/a",
        "  breaking  answer 200 /* may be string now",
        "  security  auth asks nobody who they are any more; it was 'user'",
        "1 breaking, 1 relevant to security",
    ]
    assert git(project, "status", "--porcelain") == status
    assert len(git(project, "worktree", "list").splitlines()) == 1


def test_what_only_opens_does_not_fail(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "app/api/a/route.py").write_text(BEFORE.replace('"user"', '"public"'))

    assert main(["diff", "before", "--json"]) == 0

    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["breaking"]) == (True, 0)
    assert said["changes"] == [
        {
            "kind": "security",
            "code": "auth-removed",
            "operation": "GET /api/a",
            "at": "auth",
            "text": "asks nobody who they are any more; it was 'user'",
        }
    ]


def test_what_is_the_same_says_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "app/api/a/route.py").write_text(BEFORE)

    assert main(["diff", "HEAD"]) == 0
    assert capsys.readouterr().out == "nothing breaks, and nothing is opened\n"


def test_an_earlier_version_has_the_environment_of_now(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / ".env").write_text("DIFF_NAME=ada\n")
    (project / "app/api/a/route.py").write_text(NEEDS_ENV)
    commit(project, "needs")

    assert main(["diff", "needs"]) == 0


@pytest.mark.parametrize("rev", ["nothing", "--output=x", "empty", "broken"])
def test_a_revision_that_cannot_be_read_is_said(project: Path, rev: str, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "app/api/a/route.py").write_text("x = = 1\n")
    commit(project, "broken")
    (project / "app/api/a/route.py").write_text(AFTER)
    unload(project)

    assert main(["diff", "--", rev]) == 3

    said = capsys.readouterr().err
    wanted = {"nothing": "no revision 'nothing'", "--output=x": "no revision", "empty": "was not there at empty"}
    assert wanted.get(rev, "app/api/a/route.py:1: app/api/a/route.py does not load") in said


def test_a_contract_can_be_kept_in_a_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "app/api/a/route.py").write_text(BEFORE)
    assert main(["diff", "--write", "contract.json"]) == 0
    (project / "app/api/a/route.py").write_text(AFTER)
    unload(project)

    assert main(["diff", "contract.json"]) == 1
    assert "auth asks nobody" in capsys.readouterr().out


def test_an_openapi_document_is_a_version_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "app/api/a/route.py").write_text(BEFORE)
    document = openapi(read(load_project(project, mode="development")))
    (project / "openapi.json").write_text(json.dumps(document))
    unload(project)
    assert main(["diff", "openapi.json"]) == 0
    (project / "app/api/a/route.py").write_text(AFTER)
    unload(project)

    assert main(["diff", "openapi.json"]) == 1
    assert "answer 200 /* may be string now" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"openapi": "2.0"}', '{"operations": 1}'])
def test_a_file_that_holds_no_contract_is_refused(project: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "file.json").write_text(text)

    assert main(["diff", "file.json"]) == 3
    assert "no contract can be read from this file" in capsys.readouterr().err


def test_a_contract_that_is_kept_is_said_to_be(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "--write", "kept/contract.json"]) == 0
    assert capsys.readouterr().out == "wrote kept/contract.json\n"
    assert main(["diff", "--write", "app"]) == 3
    assert "app: the contract cannot be written" in capsys.readouterr().err


def test_it_wants_to_know_what_to_compare_with(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff"]) == 2
    assert "turnout diff main" in capsys.readouterr().err
