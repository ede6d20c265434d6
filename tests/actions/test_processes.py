"""Addresses are the same in every process; two workers answer each other's forms."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from projects import make_project
from served import served

FILES = {
    "app/actions.py": """
import os
import time
from turnout import action

@action
async def add(one: int, two: int):
    time.sleep(0.01)  # holds this worker, so that the other one has something to do
    return {"sum": one + two, "pid": os.getpid()}
""",
    "app/deep/(group)/[id]/actions.py": "from turnout import action\n@action\nasync def add(): ...\n",
    "app/route.py": """
import os
import time
from turnout import render

async def GET():
    time.sleep(0.01)
    return render("p.html", pid=os.getpid())
""",
    "templates/p.html": "{{ pid }} {{ actions.add.bind(one=1).url }}",
}


def listed(root: Path, seed: str) -> dict[str, str]:
    command = [sys.executable, "-m", "turnout", "routes", str(root), "--actions", "--json"]
    said = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
    ).stdout
    return {each["file"]: each["url"] for each in map(json.loads, said.splitlines())}


def test_addresses_are_the_same_in_every_process_and_place_and_for_each_file_another(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "elsewhere/two"
    make_project(one, FILES)
    shutil.copytree(one, two)

    found = listed(one, "1")
    assert found == listed(one, "2") == listed(two, "3")
    assert len(set(found.values())) == 2
    # Written down: a release that changed this would break every page that is open in a browser.
    assert found["app/actions.py"] == "/_actions/e2c60cda17c6dac93201bcac0ed8b4cc"
    assert all(re.fullmatch(r"/_actions/[0-9a-f]{32}", url) for url in found.values())


def by_both(ask: Callable[[int], dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """What each of two workers answers, by its process id; asked by many at once, so that neither is idle."""
    found: dict[int, dict[str, Any]] = {}
    with ThreadPoolExecutor(8) as threads:
        for _ in range(500):
            found |= {told["pid"]: told for told in threads.map(ask, range(16))}
            if len(found) == 2:
                return found
    raise AssertionError(f"one worker answered everything: {found}")


def test_a_form_of_one_worker_is_answered_by_another(tmp_path: Path) -> None:
    with served(tmp_path, FILES, production=True) as server:

        def get(_: int) -> dict[str, Any]:
            with urllib.request.urlopen(f"{server.url}/") as answer:
                pid, url = answer.read().decode().split()
            return {"pid": int(pid), "url": server.url + url.replace("&amp;", "&")}

        pages = by_both(get)
        for page in pages.values():

            def post(two: int, url: str = page["url"]) -> dict[str, Any]:
                with urllib.request.urlopen(url, urllib.parse.urlencode({"two": two}).encode()) as answer:
                    told: dict[str, Any] = json.load(answer)["data"]
                assert told["sum"] == 1 + two
                return told

            assert by_both(post).keys() == pages.keys()
