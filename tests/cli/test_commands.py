"""routes, call, db and start: what they print, and what their exit status means."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ports import free_port

from turnout.cli.start import _quota, default_workers

MIGRATION = "create table notes (id integer primary key, text text not null);"
NOTES = """
from turnout import HTTPError, Response, db, env

async def GET(request):
    return await db.from_("notes").select("*")

async def POST(request):
    return Response.json(await db.from_("notes").insert(await request.json()).select().single(), 201)

async def PUT(request):
    fields = request.headers
    return {"type": fields.get("content-type"), "text": await request.text(), "who": fields.get("x-who")}

async def DELETE(request):
    raise HTTPError(418, "no")

async def PATCH(request):
    return Response.text(env.get("MODE", "none"))
"""
HOSTS = '[tool.turnout]\nallowed_hosts = ["localhost", "127.0.0.1"]\n'


def environment(**more: str) -> dict[str, str]:
    names = ("PORT", "HOST", "DATABASE_URL", "WEB_CONCURRENCY", "TURNOUT_MODE", "MODE")
    return {name: value for name, value in os.environ.items() if name not in names} | more


def turnout(*words: str, cwd: Path, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "turnout", *words],
        cwd=cwd,
        env=environment(**env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "pyproject.toml": HOSTS,
        "app/api/notes/route.py": NOTES,
        "app/(site)/[[...rest]]/route.py": "def GET(request): return 'page'\ndef HEAD(request): return 'head'\n",
        "migrations/1_notes.sql": MIGRATION,
        ".env.development": "MODE=development",
        ".env.production": "MODE=production",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_routes_is_a_table_in_path_order(project):
    done = turnout("routes", cwd=project)

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["/[[...rest]]", "GET", "HEAD", "app/(site)/[[...rest]]/route.py"],
        ["/api/notes", "GET", "POST", "PUT", "DELETE", "PATCH", "app/api/notes/route.py"],
    ]


def test_routes_is_one_object_a_line_with_json_from_anywhere(project, tmp_path_factory):
    done = turnout("routes", "--json", str(project), cwd=tmp_path_factory.mktemp("elsewhere"))

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0] == {
        "pattern": "/[[...rest]]",
        "methods": ["GET", "HEAD"],
        "file": "app/(site)/[[...rest]]/route.py",
    }
    assert len(lines) == 2


def test_db_goes_from_pending_to_applied(project):
    before = turnout("db", "status", cwd=project)
    migrated = turnout("db", "migrate", cwd=project)
    again = turnout("db", "migrate", cwd=project)
    after = turnout("db", "status", "--json", cwd=project)

    assert (before.returncode, before.stdout) == (1, "pending  1_notes\n")
    assert (migrated.returncode, migrated.stdout) == (0, "applied 1_notes\n")
    assert (again.returncode, again.stdout) == (0, "data/app.db is up to date\n")
    assert after.returncode == 0
    assert json.loads(after.stdout)["state"] == "applied"
    assert (project / "data" / "app.db").is_file()


def test_db_new_names_the_file_it_made(project):
    done = turnout("db", "new", "Add a Title", cwd=project)

    (made,) = [file for file in (project / "migrations").iterdir() if file.name != "1_notes.sql"]
    assert (done.returncode, done.stdout) == (0, f"created migrations/{made.name}\n")
    assert made.name.endswith("_add_a_title.sql")


def test_db_speaks_json(project):
    made = turnout("db", "new", "next", "--json", cwd=project)
    migrated = turnout("db", "migrate", "--json", cwd=project)
    again = turnout("db", "migrate", "--json", cwd=project)
    types = turnout("db", "types", "--check", "--json", cwd=project)

    assert json.loads(made.stdout)["file"].endswith("_next.sql")
    first, second = map(json.loads, migrated.stdout.splitlines())
    assert first == {"version": "1", "name": "notes", "state": "applied"} and second["name"] == "next"
    assert (again.returncode, again.stdout) == (0, "")
    assert (types.returncode, json.loads(types.stdout)) == (1, {"file": "lib/db_types.py", "state": "stale"})


def test_db_says_which_migration_was_changed_or_lost(project):
    (project / "migrations" / "2_x.sql").write_text("create table x (id integer primary key);")
    turnout("db", "migrate", cwd=project)
    (project / "migrations" / "1_notes.sql").write_text(MIGRATION + "\n-- more")
    (project / "migrations" / "2_x.sql").unlink()

    done = turnout("db", "status", cwd=project)

    assert (done.returncode, done.stdout) == (1, "changed  1_notes\nmissing  2_x\n")


def test_db_reset_asks_to_be_meant(project):
    turnout("db", "migrate", cwd=project)
    turnout("call", "POST", "/api/notes", "-d", '{"text": "kept"}', cwd=project)

    refused = turnout("db", "reset", cwd=project)
    kept = turnout("call", "GET", "/api/notes", cwd=project)
    done = turnout("db", "reset", "--yes", cwd=project)
    gone = turnout("call", "GET", "/api/notes", cwd=project)

    assert refused.returncode == 2 and "deletes all data" in refused.stderr and "kept" in kept.stdout
    assert done.returncode == 0 and gone.stdout == "200\n[]\n"


def test_a_broken_migration_ends_with_3_and_its_line(project):
    (project / "migrations" / "2_x.sql").write_text("\n\ncreate tabel x;")

    done = turnout("db", "migrate", cwd=project)

    assert done.returncode == 3 and "migrations/2_x.sql:3" in done.stderr and "Traceback" not in done.stderr


def test_db_uses_the_database_of_its_mode(project):
    (project / ".env.test").write_text("DATABASE_URL=sqlite:///data/of-test.db")

    done = turnout("db", "migrate", cwd=project, TURNOUT_MODE="test")

    assert done.returncode == 0
    assert [file.name for file in (project / "data").iterdir() if file.suffix == ".db"] == ["of-test.db"]


def test_call_prints_status_and_body(project):
    turnout("db", "migrate", cwd=project)
    made = turnout("call", "post", "/api/notes", "-d", '{"text": "äö"}', cwd=project)

    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == '201\n{\n  "id": 1,\n  "text": "äö"\n}\n'


@pytest.mark.parametrize(
    ("words", "stdin", "seen"),
    [
        (["-d", '{"a": 1}'], "", ("application/json", '{"a": 1}')),
        (["-d", " [1]"], "", ("application/json", " [1]")),
        (["-d", "a=1"], "", ("application/x-www-form-urlencoded", "a=1")),
        (["-d", "x", "-H", "Content-Type: text/plain"], "", ("text/plain", "x")),
        (["-d", "@-"], "piped", ("application/x-www-form-urlencoded", "piped")),
        (["-d", "@body.txt"], "", ("application/x-www-form-urlencoded", "of a file")),
    ],
)
def test_call_sends_a_body(project, words, stdin, seen):
    (project / "body.txt").write_text("of a file")
    done = turnout("call", "PUT", "/api/notes", *words, "-H", "X-Who: me", cwd=project, stdin=stdin)

    answer = json.loads(done.stdout.partition("\n")[2])
    assert (answer["type"], answer["text"], answer["who"]) == (*seen, "me")


def test_call_shows_header_fields_on_request(project):
    done = turnout("call", "PATCH", "/api/notes", "-i", cwd=project)

    head, _, body = done.stdout.partition("\n\n")
    assert head.startswith("200\n") and "content-type: text/plain" in head and "x-content-type-options: nosniff" in head
    assert body == "development\n"


@pytest.mark.parametrize(("words", "status"), [(["DELETE", "/api/notes"], "418"), (["GET", "/x//y"], "308")])
def test_the_exit_status_of_call_follows_the_answer(project, words, status):
    done = turnout("call", *words, cwd=project)

    assert (done.returncode, done.stdout.split("\n")[0]) == (1 if status >= "400" else 0, status)


@pytest.mark.parametrize("words", [["-H", "nonsense"], ["-d", "@nowhere"]])
def test_call_refuses_what_it_cannot_send(project, words):
    done = turnout("call", "PUT", "/api/notes", *words, cwd=project)

    assert done.returncode == 2 and done.stderr.startswith("usage: turnout call") and "cure:" in done.stderr


@pytest.mark.parametrize("body", [b'{"a": "\xc3\xa9"}', "é".encode(), b"\xff\x00"])
def test_call_is_one_object_with_json(project, body):
    (project / "body").write_bytes(body)
    (project / "app/api/echo").mkdir()
    kind = "application/json" if body[:1] == b"{" else "text/plain"
    (project / "app/api/echo/route.py").write_text(
        "from turnout import Response\n\n\nasync def POST(request):\n"
        f"    return Response(await request.bytes(), 400, {{'content-type': '{kind}'}})\n"
    )
    done = turnout("call", "POST", "/api/echo", "-d", "@body", "--json", cwd=project)

    said = json.loads(done.stdout)
    assert (done.returncode, said["status"]) == (1, 400)
    assert ["content-type", kind] in said["headers"]
    if body == b"\xff\x00":
        assert said["body_base64"] == "/wA="
    else:
        assert said["body"] == ({"a": "é"} if kind == "application/json" else "é")


@contextmanager
def serving(*words: str, cwd: Path, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running server and the line it printed when it was ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "turnout", *words],
        cwd=cwd,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
    connection.request("GET", path)
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer


def test_start_serves_from_elsewhere_and_ends_with_0(project, tmp_path_factory):
    turnout("db", "migrate", cwd=project)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    words = ["start", str(project), "--port", "0", "--workers", "1", "--access-log"]
    with serving(*words, cwd=elsewhere) as (process, ready):
        assert ready.startswith("ready on http://127.0.0.1:") and ready.endswith("(1 worker)")
        port = int(ready.split()[2].rpartition(":")[2])
        assert get(port, "/api/notes") == (200, "[]")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=90)

    assert process.returncode == 0
    lines = [json.loads(line) for line in err.splitlines()]
    (access,) = [line for line in lines if line["logger"] == "turnout.access"]
    assert (access["method"], access["route"], access["status"]) == ("GET", "/api/notes", 200)


def test_start_takes_its_port_from_the_environment(project):
    turnout("db", "migrate", cwd=project)
    port = free_port()
    with serving("start", cwd=project, PORT=str(port), WEB_CONCURRENCY="1") as (_, ready):
        assert ready == f"ready on http://127.0.0.1:{port} (1 worker)"


def test_start_listens_on_a_unix_socket(project):
    turnout("db", "migrate", cwd=project)
    with serving("start", "--uds", "s", "--workers", "1", cwd=project) as (_, ready):
        assert ready == "ready on unix:s (1 worker)"
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(project / "s"))
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b" 200 OK\r\n" in client.recv(65536)
        client.close()


def test_a_fixed_hash_seed_is_warned_about(project):
    turnout("db", "migrate", cwd=project)
    with serving("start", "--port", "0", "--workers", "1", cwd=project, PYTHONHASHSEED="0") as (process, _):
        process.send_signal(signal.SIGINT)
        assert "PYTHONHASHSEED is fixed" in process.communicate(timeout=90)[1]


def test_there_are_two_workers_at_least():
    assert default_workers() >= 2


@pytest.mark.parametrize(
    ("text", "cpus"), [("max 100000\n", sys.maxsize), ("200000 100000\n", 2), ("50000 100000\n", 1), ("", sys.maxsize)]
)
def test_the_quota_of_a_control_group_is_read(tmp_path, text, cpus):
    (tmp_path / "cpu.max").write_text(text)

    assert _quota(tmp_path / "cpu.max") == cpus
    assert _quota(tmp_path / "absent") == sys.maxsize


def test_a_database_in_memory_is_refused_for_several_workers(project):
    end = turnout("start", "--port", "0", "--workers", "2", cwd=project, DATABASE_URL=":memory:")
    assert (end.returncode, "in memory" in end.stderr, "--workers 1" in end.stderr) == (3, True, True)
