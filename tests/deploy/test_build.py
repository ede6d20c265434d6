"""What a build reads, refuses and writes."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from deploy.functions import PYTHON, build, project
from ports import free_port

from turnout.cli.main import main
from turnout.deploy.builder import Builder
from turnout.errors import ConfigError

HELLO = "async def GET(request):\n    return {'hello': 'world'}\n"


def refused(root: Path, files: dict[str, str], deploy: str = "", target: str = "aws-lambda") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Builder(project(root, files, deploy), target=target)
    return caught.value


def tree(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_a_build_runs_nothing_of_the_project(tmp_path):
    loud = f"from pathlib import Path\n\nPath({str(tmp_path / 'ran')!r}).touch()\n"
    project(tmp_path, {"app/api/a/route.py": loud + HELLO, "app/middleware.py": loud, "lib/tasks.py": loud})

    build(tmp_path, "server")

    assert not (tmp_path / "ran").exists()


def test_the_manifest_says_what_the_routes_are(tmp_path):
    project(
        tmp_path,
        {
            "app/middleware.py": "async def middleware(request, next):\n    return await next(request)\n",
            "app/api/a/[id]/route.py": 'body_limit = "2 MB"\nmax_duration = 5\n\n' + HELLO + "\n\nPOST = GET\n",
        },
    )

    out = build(tmp_path, "server")

    (route,) = json.loads((out / "manifest.json").read_text())["routes"]
    assert route == {
        "pattern": "/api/a/[id]",
        "file": "app/api/a/[id]/route.py",
        "methods": ["GET", "POST"],
        "constants": {"body_limit": 2_000_000, "max_duration": 5},
        "middleware": ["app/middleware.py"],
        "errors": [],
        "waits": False,
    }
    report = json.loads((out / "build.json").read_text())
    assert report["target"] == "server"
    assert (
        report["routes"][0]["sha256"] == hashlib.sha256((tmp_path / "app/api/a/[id]/route.py").read_bytes()).hexdigest()
    )


@pytest.mark.parametrize("target", ["server", "aws-lambda"])
def test_two_builds_are_the_same_byte_for_byte(tmp_path, target):
    files = {"app/api/a/route.py": HELLO, "lib/b.py": "WORDS = {'a', 'b', 'c', 'd'}\n", "public/style.css": "p {}"}
    here, there = project(tmp_path / "here", files), project(tmp_path / "over" / "there", files)
    script = (
        "import sys; from turnout.cli.main import main; sys.exit(main(['build', sys.argv[1], '--target', sys.argv[2]]))"
    )
    for root, seed in ((here, "1"), (there, "2")):
        subprocess.run([sys.executable, "-c", script, str(root), target], check=True, env={"PYTHONHASHSEED": seed})

    assert tree(here / "build" / target) == tree(there / "build" / target)


def test_secrets_tests_and_data_are_not_shipped(tmp_path):
    project(
        tmp_path,
        {
            "app/api/a/route.py": HELLO,
            ".env": "SECRET=1",
            ".env.production": "SECRET=2",
            "tests/test_a.py": "",
            "data/app.db": "rows",
            "node_modules/x/index.js": "",
            "evals/a.toml": "",
            "AGENTS.md": "",
            "CLAUDE.md": "",
            "lib/AGENTS.md": "",
            "conftest.py": "",
            ".github/workflows/ci.yml": "",
            "public/AGENTS.md": "served",
            "app/tests/route.py": HELLO,
            "content/page.md": "# Page",
            "public/.well-known/security.txt": "Contact: x",
        },
    )

    names = set(tree(build(tmp_path, "server")))

    assert {"content/page.md", "public/.well-known/security.txt", "app/api/a/route.py", "app/tests/route.py"} <= names
    assert not [
        name for name in names if name.startswith((".env", ".github", "tests", "data", "node_modules", "evals"))
    ]
    assert [name for name in sorted(names) if name.endswith((".md", "conftest.py"))] == [
        "content/page.md",
        "public/AGENTS.md",
    ]


def test_a_folder_that_is_no_build_is_left_alone(tmp_path):
    project(tmp_path, {"app/api/a/route.py": HELLO})
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years")

    with pytest.raises(ConfigError, match="no build"):
        build(tmp_path, "server", out=precious)

    assert (precious / "thesis.txt").read_text() == "years"
    assert build(tmp_path, "server") == build(tmp_path, "server")  # an earlier build is replaced


# -- constants


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("max_duration = 2 * 30", "not a literal"),
        ("max_duration = LIMIT", "not a literal"),
        ("from lib.limits import max_duration", "imported"),
        ("max_duration = 'long'", "must be a number"),
        ("body_limit, max_duration = 1, 2", "not a literal"),
        ("cache = CacheRule(LIMIT)", "not a literal"),
    ],
)
def test_a_constant_that_is_no_literal_fails_the_build_with_its_line(tmp_path, line, problem):
    source = f"from turnout import CacheRule\n\nLIMIT = 5\n{line}\n\n\n{HELLO}"

    error = refused(tmp_path, {"app/api/a/route.py": source, "lib/limits.py": "max_duration = 5"}, target="server")

    assert problem in error.message
    assert (error.file, error.line) == (tmp_path / "app/api/a/route.py", 4)
    assert error.cure


def test_a_helper_with_the_name_of_a_constant_is_none(tmp_path):
    helper = "from turnout import auth\nfrom lib.limit import rate_limit\n\n\n" + HELLO
    project(tmp_path, {"app/api/a/route.py": helper, "lib/limit.py": "async def rate_limit(key): ...\n"})

    build(tmp_path, "server")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x = 1\n", "no handler"),
        ("from lib.handlers import *\n", r"import \*"),
        ("async def GET(request:\n", "not Python"),
        (HELLO + "\n\ndef Post(request): ...\n", "must be named POST"),
        (HELLO + "\n\ndef PSOT(request): ...\n", "'PSOT' is no method"),
    ],
)
def test_a_route_file_that_a_build_cannot_read_fails_it(tmp_path, source, problem):
    error = refused(tmp_path, {"app/api/a/route.py": source, "lib/handlers.py": HELLO}, target="server")

    assert error.file == tmp_path / "app/api/a/route.py"
    assert re.search(problem, error.message)


# -- what a target cannot carry

SSE = """
from turnout import Response


async def GET(request):
    return Response.sse(events())
"""
CASES = {
    "streaming": SSE,
    "streaming by yield": "async def GET(request):\n    yield 'a'\n",
    "background": "import asyncio\n\n\nasync def GET(request):\n    asyncio.create_task(later())\n",
    "files": "async def POST(request):\n    with open('visits.txt', 'a') as file:\n        file.write('x')\n",
    "state": 'rate_limit = "5/min"\n' + HELLO,
    "sqlite": "from turnout import db\n\n\nasync def GET(request):\n    return await db.from_('posts')\n",
    "body": 'body_limit = "20 MB"\n' + HELLO,
    "duration": "max_duration = 1000\n" + HELLO,
    "websocket": HELLO + "\n\nWEBSOCKET = GET\n",
}


@pytest.mark.parametrize("case", CASES)
def test_what_lambda_cannot_carry_fails_the_build_with_route_feature_and_cure(tmp_path, case, monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)

    error = refused(tmp_path, {"app/api/bad/route.py": CASES[case]})

    assert "aws-lambda" in error.message
    assert "/api/bad" in error.message
    assert error.file == tmp_path / "app/api/bad/route.py"
    assert error.line
    assert f'allow = ["{case.split()[0]}"]' in (error.cure or "")


@pytest.mark.parametrize("case", CASES)
def test_what_is_allowed_is_built_with_a_warning(tmp_path, case, monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    root = project(tmp_path, {"app/api/bad/route.py": CASES[case]}, deploy=f'allow = ["{case.split()[0]}"]')

    assert any("/api/bad" in warning for warning in Builder(root, target="aws-lambda").warnings)


def test_a_feature_is_found_where_a_route_imports_it_from(tmp_path):
    error = refused(
        tmp_path,
        {
            "app/api/a/route.py": "from lib.feed import feed\n\n\nasync def GET(request):\n    return feed()\n",
            "lib/feed.py": "from turnout import Response\n\n\ndef feed():\n    return Response.stream([])\n",
        },
    )

    assert "/api/a" in error.message
    assert (error.file, error.line) == (tmp_path / "lib/feed.py", 5)


def test_the_loop_carries_streams_and_the_names_in_environment_stand_for_servers(tmp_path):
    deploy = 'lambda_runtime = "loop"\nenvironment = ["STORE_URL", "DATABASE_URL"]'
    files = {"app/api/a/route.py": SSE, "app/api/b/route.py": CASES["state"], "app/api/c/route.py": CASES["sqlite"]}

    assert Builder(project(tmp_path, files, deploy), target="aws-lambda").warnings == []


def test_after_is_a_warning_under_the_managed_runtime(tmp_path):
    source = "from turnout import after\n\n\nasync def GET(request):\n    after(print)\n"
    root = project(tmp_path, {"app/api/a/route.py": source})

    (warning,) = Builder(root, target="aws-lambda").warnings

    assert "before the answer leaves" in warning


def test_several_problems_are_told_at_once(tmp_path):
    error = refused(tmp_path, {"app/api/a/route.py": SSE, "app/api/b/route.py": CASES["files"]})

    assert "2 things" in error.message
    assert "/api/a" in error.message
    assert "/api/b" in error.message


def test_the_server_carries_all_but_what_turnout_has_not(tmp_path, monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    files = {f"app/api/{name.split()[0]}/route.py": text for name, text in CASES.items() if name != "websocket"}

    build(project(tmp_path, files), "server")

    assert "WebSockets" in refused(tmp_path / "w", {"app/api/w/route.py": CASES["websocket"]}, target="server").message


def test_an_unknown_feature_in_allow_is_refused(tmp_path):
    error = refused(tmp_path, {"app/api/a/route.py": HELLO}, deploy='allow = ["everything"]')

    assert "everything" in error.message


# -- which routes may be answered without an event loop

WAITS = {
    "a plain one": (HELLO, False),
    "one that imports asyncio": ("import asyncio\n" + HELLO, True),
    "one with a package": ("import httpx\n" + HELLO, True),
    "one with the database": ("from turnout import db\n" + HELLO, True),
    "one with values only": ("from turnout import NotFound, Response, after\n" + HELLO, False),
    "one with a guard": ('auth = "required"\n' + HELLO, True),
    "one whose helper waits": ("from lib.slow import x\n" + HELLO, True),
    "one whose helper does not": ("from lib.quick import x\n" + HELLO, False),
    "one with the whole of Turnout": ("import turnout\n" + HELLO, True),
}


@pytest.mark.parametrize("case", WAITS)
def test_a_route_needs_a_loop_unless_nothing_in_it_can_wait(tmp_path, case):
    source, waits = WAITS[case]
    files = {
        "app/api/a/route.py": source,
        "lib/slow.py": "import asyncio\nx = 1\n",
        "lib/quick.py": "import json\nx = 1\n",
    }
    root = project(tmp_path, files, 'environment = ["DATABASE_URL"]')

    assert [route.file.waits for route in Builder(root, target="aws-lambda").routes] == [waits]


# -- running it


def test_a_built_project_is_served_and_imports_a_route_when_it_is_asked_for(tmp_path):
    project(
        tmp_path,
        {
            "app/api/a/route.py": "print('importing a')\n" + HELLO,
            "app/api/b/route.py": "print('importing b')\n" + HELLO,
            "app/api/gone/route.py": "from lib.nothing import x\n" + HELLO,
        },
    )
    folder = build(tmp_path) / "function"
    code = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from turnout.built import load_built
from turnout.http.request import Request

app = load_built(sys.argv[1]).app
print(len(app.routes))
for path in ("/api/a", "/api/a", "/api/b", "/api/gone", "/api/none"):
    print(path, asyncio.run(app.fetch(Request("GET", path, headers={"host": "x"}))).status)
print(app.fetch.__code__.co_filename)
"""
    ran = subprocess.run(
        [PYTHON, "-S", "-c", code, str(folder)], capture_output=True, text=True, check=True, env={}, cwd=tmp_path
    )

    assert ran.stdout.splitlines()[:-1] == [
        "6", "importing a", "/api/a 200", "/api/a 200", "importing b", "/api/b 200", "/api/gone 500", "/api/none 404",
    ]  # fmt: skip
    assert "app/api/gone/route.py does not load" in ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("turnout/")  # of the build, without its source


def test_an_eager_build_imports_every_route_at_the_start(tmp_path):
    project(tmp_path, {"app/api/a/route.py": "print('importing a')\n" + HELLO})
    folder = build(tmp_path, eager=True) / "function"
    code = "import sys; sys.path.insert(0, sys.argv[1]); from turnout.built import load_built; load_built(sys.argv[1])"

    ran = subprocess.run([PYTHON, "-S", "-c", code, str(folder)], capture_output=True, text=True, check=True, env={})

    assert ran.stdout == "importing a\n"


def test_preview_serves_the_build(tmp_path):
    import time
    from urllib.request import urlopen

    project(tmp_path, {"app/api/a/route.py": HELLO, "public/a.txt": "static"})
    for target in ("server", "aws-lambda"):
        out, port = build(tmp_path, target), free_port()
        command = [sys.executable, "-m", "turnout", "preview", str(out), "--port", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(1_800):
                try:
                    with urlopen(f"http://127.0.0.1:{port}/api/a") as answer:
                        assert answer.read() == b'{"hello":"world"}'
                    break
                except OSError:
                    time.sleep(0.05)
            with urlopen(f"http://127.0.0.1:{port}/a.txt") as answer:
                assert answer.read() == b"static"
        finally:
            process.terminate()
            process.wait(90)


def test_the_command_reports_what_it_built(tmp_path, capsys):
    project(tmp_path, {"app/api/a/route.py": HELLO})

    assert main(["build", str(tmp_path), "--target", "aws-lambda"]) == 0
    assert "built 1 route for aws-lambda" in capsys.readouterr().out

    out = tmp_path / "build/aws-lambda"
    assert main(["preview", str(out), "--port", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["target"], said["out"], said["env"]) == ("aws-lambda", str(out), {"PORT": "1"})
    assert said["command"][-1] == str(out / "function")

    (tmp_path / "app/api/a/route.py").write_text(CASES["files"])
    assert main(["build", str(tmp_path), "--target", "aws-lambda"]) == 3
    assert "object storage" in capsys.readouterr().err

    assert main(["preview", str(tmp_path / "nothing")]) == 3
