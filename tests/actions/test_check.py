"""``turnout check`` and ``turnout routes`` know of actions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from projects import make_project

from turnout.cli.main import main

ONE = "from turnout import action\n\n\n@action\nasync def save(title: str): ...\n"


def checked(root: Path, capsys: Any) -> tuple[int, dict[str, Any]]:
    status = main(["check", str(root), "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_actions_that_do_not_say_who_may_call_them_are_listed(tmp_path: Path, capsys: Any) -> None:
    make_project(tmp_path, {"app/a/actions.py": ONE, "app/b/actions.py": f'auth = "public"\n{ONE}'})

    status, said = checked(tmp_path, capsys)

    assert (status, said["ok"]) == (0, True)
    assert said["undeclared"] == [{"pattern": "actions: save", "methods": ["POST"], "file": "app/a/actions.py"}]


def test_every_mistake_in_files_of_actions_is_listed_at_once(tmp_path: Path, capsys: Any) -> None:
    files = {
        "app/a/actions.py": ONE.replace("title: str", "title: Nope"),
        "app/b/actions.py": ONE.replace("title: str", "*titles: str"),
        "app/c/actions.py": f"rate_limit = 7\n{ONE}",
        "app/d/middleware.py": "wrong = 1\n",
        "app/d/actions.py": ONE,
    }
    make_project(tmp_path, files)

    status, said = checked(tmp_path, capsys)

    assert status == 3
    found = {Path(each["file"]).relative_to(tmp_path).as_posix() for each in said["problems"]}
    assert found == {"app/a/actions.py", "app/b/actions.py", "app/c/actions.py", "app/d/middleware.py"}


def test_routes_lists_actions_when_it_is_asked_to(tmp_path: Path, capsys: Any) -> None:
    make_project(tmp_path, {"app/a/actions.py": ONE, "app/route.py": "def GET():\n    return 1\n"})

    assert main(["routes", str(tmp_path), "--actions"]) == 0
    name, url, place = capsys.readouterr().out.split()
    assert (name, url[:10], place) == ("save", "/_actions/", "app/a/actions.py:4")
    assert main(["routes", str(tmp_path)]) == 0
    assert "_actions" not in capsys.readouterr().out


def test_two_actions_of_one_name_in_a_file_are_told(tmp_path: Path, capsys: Any) -> None:
    make_project(tmp_path, {"app/actions.py": ONE + "\n\n@action\nasync def save(other: int): ...\n"})

    status, said = checked(tmp_path, capsys)

    assert status == 3
    assert [each["line"] for each in said["problems"]] == [8]
    assert "two actions are called save" in said["problems"][0]["message"]
