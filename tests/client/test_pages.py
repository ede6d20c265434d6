"""What the documentation shows of clients compiles and runs; tests/docs has run its routes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from client.compile import compile_ts, needs_tsc
from client.test_python import mypy
from docs.story import REPOSITORY, blocks
from projects import SETTINGS, make_project
from served import served

from turnout.cli.main import main

PAGE = REPOSITORY / "docs/how-to/call-your-routes.md"


def shown(root: Path) -> dict[str, str]:
    """The files of the page, in a project."""
    files = {}
    for block in blocks(PAGE):
        first = block.text.partition("\n")[0]
        if first.startswith(("# ", "// ")) and block.kind in ("python", "typescript"):
            files[first.partition(" ")[2]] = block.text
    make_project(root, files)
    return files


@needs_tsc
def test_the_typescript_of_the_page_compiles(tmp_path: Path) -> None:
    files = shown(tmp_path)
    assert main(["client", str(tmp_path), "--ts", str(tmp_path / "src/api.ts")]) == 0

    assert compile_ts(tmp_path, *(name for name in files if name.endswith(".ts"))) == ""


def test_the_python_of_the_page_is_typed_and_runs(tmp_path: Path) -> None:
    files = shown(tmp_path)
    assert main(["client", str(tmp_path), "--python", str(tmp_path / "client/api.py")]) == 0

    assert mypy(tmp_path / "client", "show.py") == []
    with served(tmp_path, files, settings=SETTINGS) as server:
        command = [sys.executable, "show.py", server.url]
        done = subprocess.run(command, cwd=tmp_path / "client", capture_output=True, text=True, timeout=180)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["First", "409 already_published", "tick 0", "tick 1", "tick 2"]
