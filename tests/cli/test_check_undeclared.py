"""turnout check lists the routes that write and do not say who may call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from projects import make_project

from turnout.cli.main import main

FILES = {
    "app/api/open/route.py": "async def GET():\n    return 1\nasync def DELETE():\n    return 1\nPOST = DELETE\n",
    "app/api/read/route.py": "async def GET():\n    return 1\nHEAD = OPTIONS = GET\n",
    "app/api/said/route.py": "auth = 'public'\nasync def POST():\n    return 1\n",
    "app/api/user/[id]/route.py": "auth = 'user'\nasync def PUT(id: int):\n    return 1\n",
}


def test_it_names_methods_pattern_and_file_and_is_no_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project(tmp_path, FILES)

    assert main(["check", str(tmp_path)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 routes, no problems"
    assert [line.split() for line in lines[2:]] == [["POST,DELETE", "/api/open", "app/api/open/route.py"]]


def test_it_says_so_as_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_project(tmp_path, FILES)

    assert main(["check", str(tmp_path), "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["undeclared"] == [
        {"pattern": "/api/open", "methods": ["POST", "DELETE"], "file": "app/api/open/route.py"}
    ]


def test_it_is_silent_where_all_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_project(tmp_path, {"app/api/said/route.py": FILES["app/api/said/route.py"]})

    assert main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1 route, no problems\n"


def test_a_wrong_word_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_project(tmp_path, {"app/api/x/route.py": "auth = 'usr'\nasync def POST():\n    return 1\n"})

    assert main(["check", str(tmp_path)]) == 3
    assert "did you mean 'user'?" in capsys.readouterr().err
