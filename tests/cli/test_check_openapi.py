"""turnout check --openapi: the document to a file or to the output, and what is wrong as ever."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from openapi_spec_validator import validate
from projects import make_project

GOOD = {
    "app/api/hello/route.py": 'auth = "public"\n\ndef GET() -> dict[str, str]:\n    """Say hello."""\n    return {}\n'
}


def check(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "turnout", "check", str(root), *words],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=180,
    )


def test_the_document_is_written_to_a_file(tmp_path: Path) -> None:
    make_project(tmp_path, GOOD)
    done = check(tmp_path, "--openapi", "openapi.json")
    document = json.loads((tmp_path / "openapi.json").read_text())
    validate(document)

    assert done.returncode == 0 and "1 route, no problems" in done.stdout
    assert document["paths"]["/api/hello"]["get"]["summary"] == "Say hello."


def test_folders_on_the_way_to_the_file_are_made(tmp_path: Path) -> None:
    make_project(tmp_path, GOOD)
    assert check(tmp_path, "--openapi", "public/v1/openapi.json").returncode == 0
    assert (tmp_path / "public/v1/openapi.json").exists()


def test_a_dash_stands_for_the_output_which_holds_nothing_else(tmp_path: Path) -> None:
    make_project(tmp_path, {**GOOD, "app/api/open/route.py": "def POST() -> None:\n    pass\n"})
    done = check(tmp_path, "--openapi", "-")

    validate(json.loads(done.stdout))
    assert "no problems" in done.stderr and "/api/open" in done.stderr


def test_a_project_that_cannot_start_has_no_document(tmp_path: Path) -> None:
    make_project(tmp_path, {"app/api/hello/route.py": "def get():\n    pass\n"})
    done = check(tmp_path, "--openapi", "openapi.json")

    assert done.returncode == 3 and "must be named GET" in done.stderr
    assert not (tmp_path / "openapi.json").exists()


def test_two_things_are_not_written_to_one_output(tmp_path: Path) -> None:
    make_project(tmp_path, GOOD)
    done = check(tmp_path, "--json", "--openapi", "-")

    assert done.returncode == 2 and "name a file" in json.loads(done.stdout)["problems"][0]["cure"]


def test_a_file_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    make_project(tmp_path, GOOD)
    done = check(tmp_path, "--openapi", "app")

    assert done.returncode == 3 and done.stderr == (
        "turnout: app: the document cannot be written: Is a directory\n  cure: choose another file\n"
    )
