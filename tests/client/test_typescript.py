"""The TypeScript client: compiled as strictly as can be, run by Node and by a page against a live server."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import chromium, new_context
from client.compile import HERE, compile_ts, needs_tsc
from client.everything import FILES
from projects import SETTINGS, make_project
from served import Served, served

from turnout.cli.main import main

pytestmark = needs_tsc


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app of everything.py, served, with its compiled client in ``built``."""
    root = make_project(tmp_path_factory.mktemp("everything"), FILES)
    assert main(["client", str(root), "--ts", str(root / "api.ts")]) == 0
    for name in ("calls.ts", "wrong.ts", "main.mjs"):
        shutil.copy(HERE / name, root)
    assert compile_ts(root, "calls.ts", "wrong.ts") == ""
    with served(root, FILES, settings=SETTINGS) as server:
        yield server


def test_every_kind_of_call_works_from_node(live: Served) -> None:
    done = subprocess.run(["node", "main.mjs", live.url], cwd=live.root, capture_output=True, text=True, timeout=180)

    assert (done.stderr, json.loads(done.stdout or "null")) == ("", [])


def test_every_kind_of_call_works_from_a_page(live: Served) -> None:
    with chromium() as browser:
        page = new_context(browser).new_page()
        page.goto(live.url)

        assert page.evaluate("import('/client/calls.js').then((calls) => calls.run(''))") == []


def test_a_mistake_in_a_call_is_one_of_the_compiler(tmp_path: Path, live: Served) -> None:
    shutil.copy(live.root / "api.ts", tmp_path)
    text = (HERE / "wrong.ts").read_text()
    (tmp_path / "wrong.ts").write_text(text.replace("// @ts-expect-error", "//"))

    said = compile_ts(tmp_path, "wrong.ts")

    lines = [int(line.partition("(")[2].partition(",")[0]) for line in said.splitlines() if line.startswith("wrong.ts")]
    wanted = [at + 2 for at, line in enumerate(text.splitlines()) if "@ts-expect-error" in line]
    assert sorted(set(lines)) == wanted
