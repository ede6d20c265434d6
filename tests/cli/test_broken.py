"""Projects that cannot start: start and check end with 3, name the place, and show no traceback of ours."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from turnout.cli.main import main
from turnout.env import env
from turnout.routing.module import unload

OK = "async def GET(request):\n    return {}\n"
HOSTS = '[tool.turnout]\nallowed_hosts = ["localhost"]\n'
ROUTE = "app/api/a/route.py"
GOOD = {"pyproject.toml": HOSTS, ROUTE: OK}

# name: files beside the good ones (None removes one), the place that must be named, what must be said
BROKEN: dict[str, tuple[dict[str, str | None], str, str]] = {
    "a syntax error": ({ROUTE: OK + "def (\n"}, f"{ROUTE}:3", "SyntaxError"),
    "a wrong indentation": ({ROUTE: "def GET(request):\nreturn 1\n"}, f"{ROUTE}:2", "IndentationError"),
    "a NUL byte in the source": ({ROUTE: OK + "\0"}, ROUTE, "null bytes"),
    "a package that is not installed": ({ROUTE: "import nowhere_to_be_found\n" + OK}, f"{ROUTE}:1", "install"),
    "a misspelt name in lib": ({ROUTE: "from lib.x import nope\n" + OK, "lib/x.py": "a = 1\n"}, f"{ROUTE}:1", "nope"),
    "an error in lib": ({ROUTE: "import lib.x\n" + OK, "lib/x.py": "\n1 / 0\n"}, "lib/x.py:2", "ZeroDivisionError"),
    "an unknown name": ({ROUTE: "\nx = undefined\n" + OK}, f"{ROUTE}:2", "undefined"),
    "an exit at import": ({ROUTE: "import sys\nsys.exit(0)\n" + OK}, f"{ROUTE}:2", "must not end the process"),
    "a lower-case get": ({ROUTE: "async def get(request):\n    return {}\n"}, f"{ROUTE}:1", "GET"),
    "a capitalized Post": ({ROUTE: OK + "def Post(request): ...\n"}, f"{ROUTE}:3", "rename it to POST"),
    "a misspelt GET": ({ROUTE: OK + "def GETT(request): ...\n"}, f"{ROUTE}:3", "did you mean GET?"),
    "a misspelt DELETE": ({ROUTE: "async def DELTE(request): ...\n"}, f"{ROUTE}:1", "did you mean DELETE?"),
    "no handler": ({ROUTE: "x_y = 1\n"}, f"{ROUTE}:1", "exports no handler"),
    "a handler that is no function": ({ROUTE: "GET = 3\n"}, f"{ROUTE}:1", "not a function"),
    "a parameter that nothing fills": ({ROUTE: "\nasync def GET(request, what): ...\n"}, f"{ROUTE}:2", "what"),
    "an annotation that does not exist": (
        {ROUTE: "async def POST(request, body: 'Nope'): ...\n"},
        f"{ROUTE}:1",
        "Nope",
    ),
    "a route constant of a wrong type": ({ROUTE: OK + "max_duration = 'x'\n"}, f"{ROUTE}:3", "max_duration"),
    "a route constant misspelt": ({ROUTE: OK + "max_durations = 3\n"}, f"{ROUTE}:3", "max_duration"),
    "two slugs at one place": ({"app/[id]/route.py": OK, "app/[slug]/x/route.py": OK}, "app/[slug]", "[id]"),
    "one slug twice": ({"app/[id]/x/[id]/route.py": OK}, "app/[id]/x/[id]", "id"),
    "a catch-all that is not last": ({"app/[...all]/x/route.py": OK}, "app/[...all]", "last"),
    "two kinds of catch-all": ({"app/x/[...a]/route.py": OK, "app/x/[[...a]]/route.py": OK}, "app/x/[", "..."),
    "a page beside its optional rest": ({"app/x/route.py": OK, "app/x/[[...a]]/route.py": OK}, "app/x/", "[[...a]]"),
    "one URL from two groups": ({"app/(a)/x/route.py": OK, "app/(b)/x/route.py": OK}, "app/(", "(a)"),
    "folders that differ in case": ({"app/x/route.py": OK, "app/X/route.py": OK}, "app/", "case"),
    "malformed brackets": ({"app/[id/route.py": OK}, "app/[id", "["),
    "a static file behind a route": ({"public/api/a": "x"}, "public/api/a", "api/a"),
    "a broken middleware": ({"app/middleware.py": "x ="}, "app/middleware.py:1", "SyntaxError"),
    "a middleware without its function": ({"app/middleware.py": "\n"}, "app/middleware.py:1", "middleware"),
    "a sync error handler": ({"app/error.py": "def error(exc, request): ...\n"}, "app/error.py:1", "async"),
    "settings that are no TOML": ({"pyproject.toml": HOSTS + "x = [\n"}, "pyproject.toml:4", "TOML"),
    "an unknown setting": ({"pyproject.toml": HOSTS + "orign = 'x'\n"}, "pyproject.toml:3", "did you mean origin"),
    "a setting of a wrong type": ({"pyproject.toml": HOSTS + "sync_threads = '4'\n"}, "pyproject.toml:3", "number"),
    "no allowed hosts": ({"pyproject.toml": ""}, "pyproject.toml", "allowed_hosts is missing"),
    "a host with a scheme": (
        {"pyproject.toml": HOSTS.replace("localhost", "http://x")},
        "pyproject.toml:2",
        "host name",
    ),
    "a proxy that is no address": (
        {"pyproject.toml": HOSTS + "trusted_proxies = ['x']\n"},
        "pyproject.toml:3",
        "not an address",
    ),
    "an open quote in .env": ({".env": "A=1\nB='x\n"}, ".env:2", "never closes"),
    "a line in .env that is none": ({".env": "A=1\n\nnonsense\n"}, ".env:3", "NAME=value"),
    "a reference in .env to nowhere": ({".env": "A=$NOWHERE_AT_ALL\n"}, ".env:1", "NOWHERE_AT_ALL"),
    "a missing variable": (
        {ROUTE: "from turnout import env\nkey = env['NOWHERE_AT_ALL']\n" + OK},
        f"{ROUTE}:2",
        "NOWHERE_AT_ALL is not set",
    ),
    "missing settings": (
        {ROUTE: "from turnout import Settings\nclass S(Settings):\n    a_b_c: int\n    d_e_f: str\nS()\n" + OK},
        f"{ROUTE}:5",
        "D_E_F is missing",
    ),
    "no app folder": ({ROUTE: None}, "app", "app"),
}


def write(folder: Path, files: dict[str, str | None]) -> None:
    for name, text in {**GOOD, **files}.items():
        if text is not None:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def turnout(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("PORT", "HOST", "DATABASE_URL")}
    return subprocess.run(
        [sys.executable, "-m", "turnout", *words],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.mark.parametrize("name", BROKEN)
def test_start_ends_with_3_and_names_the_place(tmp_path, name):
    files, place, said = BROKEN[name]
    write(tmp_path, files)

    done = turnout("start", "--port", "0", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert place in done.stderr and said in done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("turnout: ") == 1


@pytest.fixture
def in_process(tmp_path, monkeypatch):
    """A process start for each of the table would take most of the time of this file."""
    path = list(sys.path)
    monkeypatch.chdir(tmp_path)
    for name in ("PORT", "HOST", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    yield
    unload(tmp_path)
    env.unload()
    sys.path[:] = path


@pytest.mark.parametrize("name", BROKEN)
def test_check_ends_with_3_and_names_the_place(tmp_path, name, in_process, capsys):
    files, place, said = BROKEN[name]
    write(tmp_path, files)

    status = main(["check", "--json"])

    out, err = capsys.readouterr()
    assert (status, err) == (3, "")
    result = json.loads(out)
    problem = result["problems"][0]
    shown = f"{problem['file']}:{problem['line']} {problem['message']} {problem['cure']}"
    assert result["ok"] is False and len(result["problems"]) == 1
    assert place in shown and said in shown


def test_the_same_project_without_its_mistake_has_none(tmp_path):
    write(tmp_path, {})

    done = turnout("check", cwd=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (0, "1 route, no problems\n", "")


def test_check_lists_every_mistake_at_once(tmp_path):
    write(
        tmp_path,
        {
            ROUTE: "def (\n",
            "app/api/b/route.py": "GET = 3\n",
            "app/api/c/route.py": "async def GET(request, what): ...\nasync def POST(request, that): ...\n",
            "app/api/c/middleware.py": "",
            "app/error.py": "error = 1\n",
            "pyproject.toml": "[tool.turnout]\norign = 'x'\n",
            ".env": "nonsense",
        },
    )

    done = turnout("check", cwd=tmp_path)

    assert done.returncode == 3
    for place in (
        "api/a/route.py:1",
        "b/route.py:1",
        "c/route.py:1",
        "c/route.py:2",
        "c/middleware.py:1",
        "error.py:1",
    ):
        assert place in done.stderr
    assert "pyproject.toml:2" in done.stderr and ".env:1" in done.stderr


def test_one_broken_file_that_two_routes_import_is_one_problem(tmp_path):
    write(tmp_path, {ROUTE: "import lib.x\n", "app/b/route.py": "import lib.x\n", "lib/x.py": "def (\n"})

    done = turnout("check", "--json", cwd=tmp_path)

    assert {(each["file"], each["line"]) for each in json.loads(done.stdout)["problems"]} == {
        (str(tmp_path / "lib/x.py"), 1)
    }


def test_check_compares_the_environment_with_its_example(tmp_path):
    write(tmp_path, {".env.example": "A_KEY=\nB_KEY=\n", ".env": "A_KEY=1\nC_KEY=1\n"})

    done = turnout("check", cwd=tmp_path)

    assert done.returncode == 1
    assert "B_KEY is in .env.example and not set" in done.stderr
    assert "C_KEY is set and not in .env.example" in done.stderr


def test_pending_migrations_stop_the_start(tmp_path):
    write(tmp_path, {"migrations/1_a.sql": "create table a (id integer primary key);"})

    refused = turnout("start", "--port", "0", cwd=tmp_path)

    assert (refused.returncode, refused.stdout) == (3, "")
    assert "a migration is not applied" in refused.stderr and refused.stderr.endswith("run: turnout db migrate\n")

    elsewhere = turnout("start", str(tmp_path), "--port", "0", cwd=tmp_path.parent)

    assert elsewhere.stderr.endswith(f"run: turnout db migrate --root {tmp_path.name}\n")


def test_a_port_that_is_taken_is_named(tmp_path):
    write(tmp_path, {})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for command in ("start", "dev"):
            done = turnout(command, "--port", str(port), cwd=tmp_path)

            assert (done.returncode, done.stdout) == (3, "")
            assert str(port) in done.stderr and "cure:" in done.stderr
