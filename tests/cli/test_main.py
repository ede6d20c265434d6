"""cli/main.py: help, unknown commands, exit codes and how an error is printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from turnout.cli.main import COMMANDS


def turnout(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "turnout", *words],
        cwd=cwd,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_help_lists_every_command(tmp_path, words):
    done = turnout(*words, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(tmp_path, name):
    done = turnout(name, "--help", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: turnout {name}")


def test_help_of_a_command_may_be_asked_for_in_two_ways(tmp_path):
    assert turnout("help", "dev", cwd=tmp_path).stdout == turnout("dev", "--help", cwd=tmp_path).stdout
    assert turnout("help", "db", "reset", cwd=tmp_path).stdout.startswith("usage: turnout db reset")
    assert turnout("help", "dve", cwd=tmp_path).returncode == 2


def test_the_version_is_printed(tmp_path):
    assert turnout("--version", cwd=tmp_path).stdout.startswith("turnout 0.")


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("rotues", "did you mean turnout routes?"),
        ("strat", "did you mean turnout start?"),
        ("xyzzy", "there are new, dev"),
    ],
)
def test_an_unknown_command_is_a_usage_error_with_the_nearest_name(tmp_path, typed, hint):
    done = turnout(typed, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert hint in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("routes", "--nonsense"),
        ("start", "--port", "x"),
        ("call", "GET"),
        ("db",),
        ("new",),
        ("new", "..."),
        ("client",),
        ("diff",),
        ("check", "--explain", "nonsense"),
        ("tasks", "list", "--limit", "0"),
        ("webhooks", "list", "--limit", "0"),
        ("auth", "keys", "--rotate", "--keep", "1"),
        ("create",),
    ],
)
def test_wrong_arguments_are_a_usage_error(tmp_path, words):
    (tmp_path / "app").mkdir()
    done = turnout(*words, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"usage: turnout {words[0]}")


@pytest.mark.parametrize(
    "words",
    [
        ("routes", "--nonsense"), ("call", "GET"), ("db", "migrat"), ("client",), ("create",), ("start", "--port", "x"),
        ("check", "--openapi", "-"), ("call", "GET", "/", "-H", "nonsense"),
    ],
)  # fmt: skip
def test_a_usage_error_is_an_object_with_json(tmp_path, words):
    (tmp_path / "app").mkdir()
    done = turnout(*words, "--json", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (2, "")
    said = json.loads(done.stdout)
    assert said["ok"] is False and said["problems"][0]["message"] and said["problems"][0]["cure"]


def test_help_is_help_with_json_too(tmp_path):
    done = turnout("routes", "--json", "--help", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("usage: turnout routes")


def test_every_command_that_ends_and_prints_has_json(tmp_path):
    without = {"dev", "start", "mcp"}  # these serve
    for name in COMMANDS:
        words = {"db": ["migrate"], "tasks": ["list"], "auth": ["show"], "webhooks": ["list"]}.get(name, [])
        done = turnout(name, *words, "--help", cwd=tmp_path)
        assert ("--json" in done.stdout) == (name not in without), name


@pytest.mark.parametrize(
    "words", [("routes",), ("start",), ("dev",), ("check",), ("call", "GET", "/"), ("db", "status")]
)
def test_a_folder_without_a_project_exits_with_3_and_the_cure(tmp_path, words):
    done = turnout(*words, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (3, "")
    assert "there is no project in" in done.stderr and "cure:" in done.stderr
    assert "Traceback" not in done.stderr and "\x1b" not in done.stderr


def test_an_error_is_an_object_with_json(tmp_path):
    done = turnout("routes", "--json", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (3, "")
    (problem,) = json.loads(done.stdout)["problems"]
    assert "there is no project" in problem["message"] and problem["cure"]


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    made = turnout("new", "blog", cwd=tmp_path)
    assert made.returncode == 0
    command = f"{sys.executable} -m turnout routes | true"
    done = subprocess.run(command, shell=True, cwd=tmp_path / "blog", capture_output=True, text=True, check=False)

    assert done.stderr == ""


def test_help_imports_no_part_of_the_server(tmp_path):
    code = "import sys; from turnout.cli.main import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = set(done.stderr.split())
    assert not loaded & {"asyncio", "argparse", "turnout.app", "turnout.server", "turnout.db", "uvloop", "sqlite3"}


def test_declaring_arguments_loads_nothing_that_a_server_would_keep():
    code = """
import sys
from turnout.cli.main import main
try:
    main(["start", "--nonsense"])
except SystemExit:
    print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert "argparse" in done.stdout.split()
    assert not {"shutil", "bz2", "lzma"} & set(done.stdout.split())
