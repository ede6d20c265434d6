"""Actions in what ``turnout build`` makes: byte code without sources, and of Turnout only what is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from projects import make_project

from turnout.actions.action import id_of
from turnout.deploy.builder import Builder

SETTINGS = """
[project]
name = "sample"
version = "1"
dependencies = ["turnout", "jinja2", "python-multipart"]

[tool.turnout]
allowed_hosts = ["*"]
"""
PAGE = {
    "pyproject.toml": SETTINGS,
    "app/route.py": "from turnout import render\n\n\nasync def GET():\n    return render('p.html')\n",
    "templates/p.html": "{% for each in flashes %}{{ each }}{% endfor %}[{{ errors.title }}]{{ values.title }}",
}
ACTIONS = """
from turnout import ActionError, FormData, action


@action
async def save(form: FormData):
    if not form.get("title"):
        raise ActionError("Give it a title.", "title")
    return form.get("title")
"""
ASK = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from turnout.built import load_built
from turnout.http.request import Request

app = load_built(sys.argv[1]).app

async def ask(method, path, body=b"", **fields):
    headers = {"host": "x", **{name.replace("_", "-"): value for name, value in fields.items()}}
    response = await app.fetch(Request(method, path, headers=headers, body=body))
    print(response.status, response.body.decode())

async def main():
    form = {"content_type": "application/x-www-form-urlencoded", "sec_fetch_site": "same-origin"}
    await ask("GET", "/")
    await ask("POST", sys.argv[2], b"title=a", **form)
    await ask("POST", sys.argv[2], b"title=", accept="text/html", referer="http://x/", **form)

asyncio.run(main())
"""


@pytest.mark.parametrize("target", ["server", "aws-lambda"])
@pytest.mark.parametrize("has_actions", [True, False])
def test_pages_and_actions_work_in_a_build(tmp_path: Path, target: str, has_actions: bool) -> None:
    make_project(tmp_path, {**PAGE, **({"app/in/actions.py": ACTIONS} if has_actions else {})})
    builder = Builder(tmp_path, target=target)
    builder.build()
    folder = builder.out / "function" if (builder.out / "function").is_dir() else builder.out
    url = f"/_actions/{id_of('in/actions.py', 'save')}"
    command = [sys.executable, "-c", ASK, str(folder), url]
    ran = subprocess.run(command, capture_output=True, text=True, env={}, cwd=tmp_path)

    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0] == "200 []"
    if has_actions:
        assert lines[1:] == ['200 {"ok":true,"data":"a"}', "422 [Give it a title.]"]
    else:
        assert all(line.startswith("404") for line in lines[1:])
