"""What is written for Vercel, what is refused, and (opt-in) what Vercel's own builder and runtime make of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doors.cases import CASES
from doors.exceptions import EXCEPTIONS
from doors.hosts import Door
from doors.test_doors import SAMPLE, Reference, plain, send
from doors.vercel_runtime import Vercel, fill, python312
from doors.vercel_runtime import build as build_function
from projects import make_project

from turnout.config import DeployConfig
from turnout.deploy.builder import Builder
from turnout.deploy.target import detect
from turnout.errors import ConfigError

PROJECT = """
[project]
name = "sample"
requires-python = ">=3.12"
dependencies = ["turnout"]

[tool.turnout]
allowed_hosts = ["example.com"]
"""
HELLO = "async def GET(request):\n    return {'hello': 'world'}\n"


def build(root: Path, files: dict[str, str], pyproject: str = PROJECT) -> Path:
    builder = Builder(make_project(root, {"pyproject.toml": pyproject, **files}), target="vercel")
    builder.build()
    return builder.out


def refused(root: Path, files: dict[str, str], pyproject: str = PROJECT) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        build(root, files, pyproject)
    return caught.value


def test_the_three_files_that_vercel_reads_are_written(tmp_path):
    out = build(tmp_path, {"app/api/a/route.py": "max_duration = 120\n" + HELLO})

    assert json.loads((out / "vercel.json").read_text()) == {
        "$schema": "https://openapi.vercel.sh/vercel.json",
        "framework": "python",
        "functions": {"index.py": {"maxDuration": 120}},
    }
    assert tomllib.loads((out / "pyproject.toml").read_text())["tool"]["uv"]["override-dependencies"] == [
        "uvloop ; sys_platform == 'never'",
        "httptools ; sys_platform == 'never'",
    ]
    assert (out / "manifest.json").is_file()


def test_the_entry_file_is_an_asgi_app_of_the_built_project(tmp_path):
    out = build(tmp_path, {"app/api/a/route.py": HELLO})

    done = subprocess.run(
        [sys.executable, "-c", "import index; print(type(index.app).__name__)"],
        cwd=out, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout == "ASGI\n"


def test_the_project_s_own_settings_of_uv_are_kept(tmp_path):
    own = PROJECT + '\n[tool.uv]\nprerelease = "allow"\n\n[tool.other]\nx = 1\n'

    data = tomllib.loads((build(tmp_path, {"app/api/a/route.py": HELLO}, own) / "pyproject.toml").read_text())

    assert data["tool"]["uv"]["prerelease"] == "allow"
    assert len(data["tool"]["uv"]["override-dependencies"]) == 2
    assert data["tool"]["other"] == {"x": 1}


def test_a_lock_file_for_other_requirements_is_left_behind(tmp_path):
    out = build(tmp_path, {"app/api/a/route.py": HELLO, "uv.lock": "version = 1\n"})

    assert not (out / "uv.lock").exists()


@pytest.mark.parametrize("requires", ['">=3.11"', '">=3.10,<4"', '"==3.11.*"', '"~=3.11"', '"<4"'])
def test_an_older_python_than_vercel_s_is_refused(tmp_path, requires):
    error = refused(tmp_path, {"app/api/a/route.py": HELLO}, PROJECT.replace('">=3.12"', requires))

    assert "3.12" in error.message
    assert error.file == tmp_path / "pyproject.toml"


@pytest.mark.parametrize(
    ("files", "pyproject", "said"),
    [
        ({"app.py": ""}, PROJECT, "app.py"),
        ({"index.py": ""}, PROJECT, "index.py"),
        ({"api/a.py": ""}, PROJECT, "api"),
        ({}, PROJECT.replace('dependencies = ["turnout"]', ""), "dependencies"),
        ({}, PROJECT + '\n[tool.uv]\noverride-dependencies = ["a==1"]\n', "override-dependencies"),
        (
            {"lib/tasks.py": 'from turnout import task\n\n\n@task(cron="0 3 * * *")\nasync def nightly(): ...\n'},
            PROJECT,
            "nightly",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) and "\n" not in each else "",
)
def test_what_vercel_would_take_for_something_else_is_refused(tmp_path, files, pyproject, said):
    error = refused(tmp_path, {"app/api/a/route.py": HELLO, **files}, pyproject)

    assert said in error.message
    assert error.cure


@pytest.mark.parametrize(
    ("feature", "source"),
    [
        ("body", 'body_limit = "5 MB"\n' + HELLO),
        ("duration", "max_duration = 900\n" + HELLO),
        ("state", 'rate_limit = "5/min"\n' + HELLO),
        ("sqlite", "from turnout import db\n\n\nasync def GET(request):\n    return await db.from_('posts')\n"),
        ("background", "import asyncio\n\n\nasync def GET(request):\n    asyncio.create_task(later())\n"),
        ("files", "async def POST(request):\n    with open('visits.txt', 'a') as file:\n        file.write('x')\n"),
        ("websocket", HELLO + "\n\nWEBSOCKET = GET\n"),
    ],
    ids=lambda each: each if "\n" not in each else "",
)
def test_what_vercel_cannot_carry_fails_the_build(tmp_path, monkeypatch, feature, source):
    monkeypatch.delenv("DATABASE_URL", raising=False)

    error = refused(tmp_path, {"app/api/bad/route.py": source})

    assert "vercel" in error.message
    assert "/api/bad" in error.message
    assert f'allow = ["{feature}"]' in (error.cure or "")


def test_streams_are_carried_and_after_is_a_warning(tmp_path):
    source = "from turnout import after\n\n\nasync def GET(request):\n    after(print)\n    yield 'a'\n"
    builder = Builder(
        make_project(tmp_path, {"pyproject.toml": PROJECT, "app/api/a/route.py": source}), target="vercel"
    )

    (warning,) = builder.warnings
    assert "frozen" in warning


def test_vercel_s_builds_are_known_by_their_environment():
    assert detect({"VERCEL": "1"}, DeployConfig()).name == "vercel"
    assert detect({}, DeployConfig()).name == "server"


# -- Vercel's own builder and runtime: TURNOUT_VERCEL names a folder for them

opt_in = pytest.mark.skipif(
    not os.environ.get("TURNOUT_VERCEL") or python312() is None or shutil.which("npm") is None,
    reason="opt-in: TURNOUT_VERCEL=FOLDER, with npm and Python 3.12 on the machine",
)


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, built by Vercel's builder."""
    root = tmp_path_factory.mktemp("vercel") / "sample"
    shutil.copytree(SAMPLE, root, ignore=shutil.ignore_patterns("__pycache__", "build", "data"))
    builder = Builder(root, target="vercel")
    builder.build()
    tools = Path(os.environ["TURNOUT_VERCEL"]).absolute()
    fill(tools)
    return build_function(tools, builder.out)


@pytest.fixture(scope="module")
def door(function: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    opened = Vercel(function, tmp_path_factory.mktemp("v") / "log")
    try:
        yield opened
    finally:
        opened.end()


@opt_in
def test_vercel_s_builder_makes_one_function_that_streams_and_has_no_native_server(function):
    settings = json.loads((function / ".vc-config.json").read_text())
    names = set(settings["filePathMap"])

    assert settings["supportsResponseStreaming"] is True
    assert settings["runtime"] == "python3.12"
    assert settings["maxDuration"] == 30
    assert {"index.py", "manifest.json", "_vendor/turnout/built.py"} <= names
    assert not [name for name in names if name.startswith(("_vendor/uvloop/", "_vendor/httptools/"))]


@opt_in
async def test_vercel_s_runtime_answers_the_whole_corpus_alike(door: Any, function):
    async with Reference(root=function) as client:
        wanted = [plain(await client.answer(case)) for case in CASES]

    different = []
    for case, want in zip(CASES, wanted, strict=True):
        for row in EXCEPTIONS:
            want = plain(row.change(want)) if row.holds("vercel", case) else want
        got = send(door, case, want)
        if got != want:
            different.append((case.id, got, want))
    assert not different
