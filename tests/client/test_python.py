"""The Python client: checked by mypy as strictly as can be, run against a live server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from client.compile import HERE
from client.everything import FILES
from projects import SETTINGS, make_project
from served import served

from turnout.cli.main import main

pytest.importorskip("mypy")


def mypy(folder: Path, file: str) -> list[str]:
    """What mypy finds in *file*, and in what it imports from *folder*."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--warn-unreachable", "--no-error-summary"]
    command += ["--no-color-output", "--cache-dir", str(folder / ".mypy_cache"), "--", file]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if ": error:" in line]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_project(tmp_path_factory.mktemp("everything"), FILES)
    assert main(["client", str(root), "--python", str(root / "client" / "api_client.py")]) == 0
    shutil.copy(HERE / "calling.py", root / "client" / "calling.py")
    return root


def test_every_kind_of_call_is_typed_and_works(project: Path) -> None:
    assert mypy(project / "client", "calling.py") == []

    with served(project, FILES, settings=SETTINGS) as server:
        command = [sys.executable, "-W", "error", "calling.py", server.url]
        done = subprocess.run(command, cwd=project / "client", capture_output=True, text=True, timeout=180)

    assert (done.stderr, done.stdout) == ("", "done\n")


def test_a_mistake_in_a_call_is_one_of_the_type_checker(project: Path) -> None:
    text = (HERE / "mistaken.py.txt").read_text()
    (project / "client" / "mistaken.py").write_text(text)

    found = {int(line.split(":")[1]) for line in mypy(project / "client", "mistaken.py")}

    assert found == {at + 1 for at, line in enumerate(text.splitlines()) if "  # " in line}
