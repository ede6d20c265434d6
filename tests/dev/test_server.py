"""turnout dev as a process: reload on save, the last good app, the error page, the request log."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HELLO = "async def GET(request):\n    return {'message': 'one'}\n"
ROUTE = "app/api/hello/route.py"


class Dev:
    """A running ``turnout dev`` in *root*, and what it has printed so far."""

    def __init__(self, root: Path, *words: str) -> None:
        self.root = root
        names = ("PORT", "HOST", "DATABASE_URL", "GREETING")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "turnout", "dev", "--port", "0", *words],
            cwd=root,
            env={name: value for name, value in os.environ.items() if name not in names},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.errors: list[str] = []
        self.reader = threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True)
        self.reader.start()
        self.ready = self.process.stdout.readline()
        self.port = int(self.ready.split()[2].rpartition(":")[2])

    def __enter__(self) -> Dev:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join(timeout=90)
        self.process.stdout.close()
        self.process.stderr.close()

    @property
    def err(self) -> str:
        return "".join(self.errors)

    def write(self, name: str, text: str) -> None:
        """Write at one stroke: half a file is another change, if the watcher looks just then."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        part = self.root.with_name(f"{self.root.name}.part")
        part.write_text(text)
        part.replace(file)

    def get(self, path: str = "/api/hello", accept: str = "application/json") -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        try:
            connection.request("GET", path, headers={"accept": accept})
            response = connection.getresponse()
            return response.status, response.read().decode(), {k.lower(): v for k, v in response.getheaders()}
        finally:
            connection.close()

    def until(self, text: str, path: str = "/api/hello") -> None:
        """Ask until *text* is in the answer."""
        self.wait(lambda: text in self.get(path)[1])

    def wait(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 90
        while not is_so():
            assert time.monotonic() < deadline, self.err
            time.sleep(0.02)

    def until_printed(self, text: str) -> None:
        """Wait until *text* is on standard error."""
        self.wait(lambda: text in self.err)


@pytest.fixture
def dev(tmp_path):
    for name, text in {"pyproject.toml": "", ROUTE: HELLO}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with Dev(tmp_path) as running:
        yield running


def test_a_save_is_served_a_broken_one_is_not_and_a_mended_one_is_again(dev):
    assert dev.get()[:2] == (200, '{"message":"one"}')
    dev.write(ROUTE, HELLO.replace("one", "two"))  # the same size within the same second
    dev.until("two")

    dev.write(ROUTE, HELLO.replace("one", "three") + "def (\n")
    dev.until_printed("still serving the last version that worked")
    assert f"turnout: {ROUTE}:3: " in dev.err and "SyntaxError" in dev.err and "cure:" in dev.err
    assert "Traceback" not in dev.err
    assert dev.get()[:2] == (200, '{"message":"two"}')

    dev.write(ROUTE, HELLO.replace("one", "four"))
    dev.until("four")


def test_a_module_in_lib_is_reloaded_too(dev):
    dev.write("lib/words.py", "WORD = 'lib-one'\n")
    dev.write(ROUTE, "from lib.words import WORD\nasync def GET(request):\n    return WORD\n")
    dev.until("lib-one")
    dev.write("lib/words.py", "WORD = 'lib-two'\n")
    dev.until("lib-two")


def test_what_the_old_app_imports_late_is_the_old_code_after_a_failed_reload(dev):
    dev.write("lib/words.py", "WORD = 'good'\n")
    dev.write(ROUTE, "import lib.words\nasync def GET(request):\n    from lib.words import WORD\n    return WORD\n")
    dev.until("good")
    dev.write("lib/words.py", "WORD = 'bad'\n1 / 0\n")
    dev.until_printed("ZeroDivisionError")

    assert "lib/words.py:2" in dev.err
    assert dev.get()[:2] == (200, '"good"')


def test_routes_come_and_go(dev):
    dev.write("app/api/new/[id]/route.py", "async def GET(request, id: int):\n    return {'id': id}\n")
    dev.until('{"id":7}', "/api/new/7")
    (dev.root / "app/api/new/[id]/route.py").unlink()
    dev.wait(lambda: dev.get("/api/new/7")[0] == 404)


def test_an_edited_env_file_counts(dev):
    dev.write(ROUTE, "from turnout import env\nasync def GET(request):\n    return env.get('GREETING', 'none')\n")
    dev.until("none")
    dev.write(".env.local", "GREETING=hello")
    dev.until("hello")
    dev.write(".env.local", "GREETING=changed")
    dev.until("changed")


def test_a_new_migration_is_applied(dev):
    dev.write(ROUTE, "from turnout import db\nasync def GET(request):\n    return await db.from_('a').select('*')\n")
    dev.write("migrations/1_a.sql", "create table a (id integer primary key);\ninsert into a values (7);")
    dev.until('[{"id":7}]')

    assert "applied migrations/1_a" in dev.err


WAITING = """
import asyncio
from pathlib import Path

async def GET(request):
    Path("began").touch()
    while not Path("gate").exists():
        await asyncio.sleep(0.02)
    return "old"
"""


def test_a_request_under_way_is_finished_by_the_app_that_began_it(dev):
    dev.write("app/slow/route.py", WAITING)
    dev.until_printed("app/slow/route.py")
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(dev.get("/slow")[1]))
    asking.start()
    dev.wait((dev.root / "began").exists)
    dev.write("app/slow/route.py", "async def GET(request):\n    return 'new'\n")
    dev.wait(lambda: dev.err.count("reloaded") >= 2)
    assert dev.get("/slow")[1] == '"new"'

    (dev.root / "gate").touch()
    asking.join(timeout=90)

    assert answers == ['"old"']


def test_each_request_is_logged_with_its_time(dev):
    dev.get("/api/hello?token=secret")
    dev.until_printed("GET /api/hello 200 ")

    (line,) = [line for line in dev.errors if line.startswith("GET") and "blocked" not in line]
    assert line.endswith(" ms\n") and "secret" not in dev.err and "\x1b" not in dev.err


def test_a_handler_that_blocks_the_loop_is_named(dev):
    dev.write("app/[id]/route.py", "import time\nasync def GET(request, id):\n    time.sleep(0.2)\n    return 'woke'\n")
    dev.until("woke", "/7")
    dev.write(
        "app/[id]/route.py", "import time\ndef GET(request, id):\n    time.sleep(0.2)\n    return 'in a thread'\n"
    )
    dev.until("in a thread", "/7")

    warnings = [line for line in dev.errors if "blocked the event loop" in line]
    assert warnings and all("GET /[id] blocked" in line and "app/[id]/route.py" in line for line in warnings)
    # One that blocks is named each time; one in a thread only where the machine itself has stood still.
    named = []
    for _ in range(20):
        before = dev.err.count("blocked the event loop")
        dev.get("/7")
        named.append(dev.err.count("blocked the event loop") - before)
        if not named[-1]:
            break
    assert named[-1] == 0


def test_a_browser_gets_a_page_and_a_program_gets_json_when_a_handler_raises(dev):
    dev.write(ROUTE, "async def GET(request):\n    raise ValueError('the <reason>')\n")
    dev.until("ValueError")

    status, page, fields = dev.get(accept="text/html")
    assert status == 500 and fields["content-type"].startswith("text/html")
    assert (
        "the &lt;reason&gt;" in page
        and "route.py:2" in page
        and "style-src 'sha256-" in fields["content-security-policy"]
    )
    status, body, fields = dev.get()
    assert (status, fields["content-type"]) == (500, "application/problem+json")
    assert json.loads(body)["detail"] == "ValueError: the <reason>"


def test_a_project_that_never_worked_says_why_until_it_does(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "route.py").write_text("async def get(request): ...\n")
    with Dev(tmp_path) as dev:
        status, body, fields = dev.get("/")
        assert (status, fields["content-type"]) == (500, "application/problem+json")
        problem = json.loads(body)
        assert (problem["file"], problem["line"]) == (str(tmp_path / "app" / "route.py"), 1) and "GET" in problem[
            "cure"
        ]
        status, page, _ = dev.get("/", accept="text/html")
        assert status == 500 and "route.py:1" in page and "Cure:" in page

        dev.write("app/route.py", "async def get(request):\n    return 2\n")
        dev.wait(lambda: dev.err.count("cure:") >= 2)
        assert "still serving" not in dev.err
        dev.write("app/route.py", "async def GET(request):\n    return 'mended'\n")
        dev.until("mended", "/")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_told(dev, signum):
    dev.process.send_signal(signum)

    assert dev.process.wait(timeout=90) == 0
    assert "Traceback" not in dev.err
