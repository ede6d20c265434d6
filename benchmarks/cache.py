"""What a kept answer costs beside the plainest one, and how soon every worker knows that it is over.

Run:     python -m benchmarks.cache                   (about 40 s, two cores, wrk)
Prints:  requests/s of /api/hello, of the same answer kept by `revalidate`, of a page that is made anew for each
         request and of that page kept, in turn, with the ratio to hello: once as a plain client asks, who gets the
         page's 3 KB as they are, and once as a browser does, with its fields, who gets them compressed. Then
         milliseconds from the request that revalidates until each of four workers has given the new page: median and
         worst. The page has ten rows from SQLite.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from .contenders import turnout_command
from .environments import ENVS, HERE
from .load import measure, require_wrk
from .processes import BenchmarkError, Server, free_port, run_measurement, serving
from .report import command_line, load_average, to_table, to_text, write_page
from .stores import Stores
from .workloads import BROWSER, Call, Expect, Workload, check

PAGE = """\
import os
import time
from html import escape

from turnout import Response, db
{settings}

async def GET(request):
    posts = await db.from_("posts").select("*").order("id").limit(10)
    parts = [f"<article><h2>{{escape(post['title'])}}</h2><p>{{escape(post['body'])}}</p></article>" for post in posts]
    response = Response.html(f"<!doctype html><title>Posts</title><main>{{''.join(parts)}}</main>")
    response.headers.set("x-made", f"{{os.getpid()}}.{{time.time_ns()}}")
    return response
"""
FILES = {
    "pyproject.toml": '[tool.turnout]\nallowed_hosts = ["127.0.0.1"]\n',
    "app/api/hello/route.py": 'async def GET(request):\n    return {"message": "Hello World!"}\n',
    "app/small/route.py": 'revalidate = 3600\n\n\nasync def GET(request):\n    return {"message": "Hello World!"}\n',
    "app/made/route.py": PAGE.format(settings=""),
    "app/kept/route.py": PAGE.format(settings="revalidate = 3600"),
    "app/who/route.py": "import os\n\n\nasync def GET(request):\n    return os.getpid()\n",
    "app/change/route.py": (
        'from turnout import revalidate_path\n\n\nasync def POST(request):\n    await revalidate_path("/kept")\n'
    ),
    "migrations/0001_posts.sql": (
        "create table posts (id integer primary key, title text not null, body text not null);\n"
        + "".join(f"insert into posts (title, body) values ('Post {n}', '{'words ' * 40}');\n" for n in range(10))
    ),
}
HELLO = {"message": "Hello World!"}
ASKING = {"a plain client": {}, "a browser": BROWSER}


def make(root: Path) -> Path:
    """The project, migrated."""
    for name, text in FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    program = turnout_command(root, 0)[0]
    environment = {**os.environ, "TURNOUT_MODE": "production"}
    subprocess.run([program, "db", "migrate"], cwd=root, env=environment, check=True, capture_output=True)
    return root


def loads(fields: Mapping[str, str]) -> dict[str, Workload]:
    """What is asked for, with *fields*; ``same_page`` sees that the pages are right."""

    def load(path: str, data: object) -> Workload:
        return Workload(path.replace("/", "-"), path, (Expect(Call(path, headers=fields), 200, data),))

    return {
        "hello": load("/api/hello", HELLO),
        "hello, kept": load("/small", HELLO),
        "page, made anew": load("/made", None),
        "page, kept": load("/kept", None),
    }


def ask(port: int, method: str, path: str) -> tuple[bytes, str]:
    """Body and x-made of an answer, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.read(), answer.getheader("x-made") or ""
    finally:
        connection.close()


def same_page(port: int) -> None:
    """Both pages say the same; one is made anew, one is kept."""
    (made, first), (kept, second) = ask(port, "GET", "/made"), ask(port, "GET", "/kept")
    if made != kept or b"Post 9" not in made:
        raise BenchmarkError("the two pages differ")
    if ask(port, "GET", "/made")[1] == first or ask(port, "GET", "/kept")[1] != second:
        raise BenchmarkError("the made page is kept, or the kept one is made anew")
    if ask(port, "POST", "/change") and ask(port, "GET", "/kept")[1] == second:
        raise BenchmarkError("the kept page is not made anew when it is revalidated")


class Line:
    """A connection that stays with one worker."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def get(self, path: str, method: str = "GET") -> tuple[bytes, str]:
        self.connection.request(method, path)
        answer = self.connection.getresponse()
        return answer.read(), answer.getheader("x-made") or ""


def every_worker(port: int, workers: int) -> list[Line]:
    """A connection to each worker."""
    found: dict[int, Line] = {}
    lines = []  # kept open meanwhile: a new connection goes to whoever has few
    for _ in range(400):
        line = Line(port)
        lines.append(line)
        found.setdefault(json.loads(line.get("/who")[0]), line)
        if len(found) == workers:
            return list(found.values())
    raise BenchmarkError(f"only {len(found)} of {workers} workers answer")


def until_all_know(port: int, workers: int, changes: int) -> list[float]:
    """Milliseconds from each change until every worker has given the page made after it."""
    lines, changer = every_worker(port, workers), Line(port)
    times = []
    for _ in range(changes):
        old = {line.get("/kept")[1] for line in lines}
        began = time.perf_counter()
        changer.get("/change", "POST")
        for line in lines:
            while line.get("/kept")[1] in old:
                pass
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(0.02)
    return times


def run(args: argparse.Namespace) -> None:
    """Measure, print and write the page."""
    require_wrk()
    before = load_average()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turnout-cache-")))
        root = make(folder)
        servers: dict[str, Server] = {}
        for name, workload in loads({}).items():
            port = free_port()
            log = ENVS / "logs" / "cache.log"
            server = stack.enter_context(serving(name, turnout_command(root, port), port=port, log=log, cwd=root))
            server.wait(workload.call, timeout_s=30)
            if workload.expected[0].data is not None:
                check(server.port, workload, Stores(folder / "none.db"))
            same_page(port)
            servers[name] = server
        found = {}
        for who, fields in ASKING.items():
            asked = {servers[name]: workload for name, workload in loads(fields).items()}
            results = measure(asked, seconds=args.seconds, rounds=args.rounds, scripts=ENVS / "wrk")
            found[f"A kept answer, for {who}"] = to_table(results, "hello", first="what")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turnout-cache-")))
        root, port = make(folder), free_port()
        command = [*turnout_command(root, port)[:-1], "4"]
        log = ENVS / "logs" / "cache4.log"
        server = stack.enter_context(serving("four workers", command, port=port, log=log, cwd=root))
        server.wait(Call("/api/hello"), timeout_s=30)
        times = until_all_know(port, 4, args.changes)
    row = [f"{args.changes}", f"{statistics.median(times):.1f} ms", f"{max(times):.1f} ms"]
    found["From a change until four workers know"] = [["changes", "median", "worst"], row]
    print("\n".join(map(to_text, found.values())))
    facts = {
        "Command": command_line("benchmarks.cache"),
        "Rounds": f"{args.rounds} of {args.seconds:g} s in turn",
        "Load average before the run": before,
    }
    print(f"written to {write_page(HERE / 'results', 'kept answers', facts, found)}")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cache")
    parser.add_argument("--seconds", type=float, default=2, metavar="N", help="length of one round (default 2)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds for each (default 5)")
    parser.add_argument("--changes", type=int, default=200, metavar="N", help="revalidations to time (default 200)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(run_measurement(run, parse_args(None)))
