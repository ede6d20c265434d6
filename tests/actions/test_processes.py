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
from pathlib import Path

from projects import make_project
from served import served

FILES = {
    "app/actions.py": """
import os
from turnout import action

@action
async def add(one: int, two: int):
    return {"sum": one + two, "pid": os.getpid()}
""",
    "app/deep/(group)/[id]/actions.py": "from turnout import action\n@action\nasync def add(): ...\n",
    "app/route.py": """
import os
from turnout import render

async def GET():
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


def test_a_form_of_one_worker_is_answered_by_another(tmp_path: Path) -> None:
    with served(tmp_path, FILES, production=True) as server:
        pids, pages = set(), {}
        for _ in range(200):
            with urllib.request.urlopen(f"{server.url}/") as answer:  # a new connection each: either worker
                pid, url = answer.read().decode().split()
            pages[pid] = url.replace("&amp;", "&")
            if len(pages) == 2:
                break
        assert len(pages) == 2
        for url in pages.values():
            answered = set()
            for two in range(40):
                data = urllib.parse.urlencode({"two": two}).encode()
                with urllib.request.urlopen(server.url + url, data) as answer:
                    told = json.load(answer)
                assert told["data"]["sum"] == 1 + two
                answered.add(told["data"]["pid"])
            pids |= answered
            assert len(answered) == 2
        assert {str(pid) for pid in pids} == set(pages)
