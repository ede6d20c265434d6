"""How soon a saved change is served while developing.

Run:     python -m benchmarks.reload                       (about 30 s)
         python -m benchmarks.reload --only turnout-10 --times 20
Prints:  milliseconds from writing a route file to the first answer with the new text, asked every 5 ms: median, min,
         max; how many answers failed meanwhile; for `turnout dev` with 10 and 1,000 routes, `uvicorn --reload` with
         FastAPI, `node --watch` with Fastify and `next dev`. Most of it is how often a tool looks at its files.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .contenders import Setup, turnout_env
from .environments import ENVS, HERE, NODE_PEERS, QUIET, node_env, python_env
from .processes import BenchmarkError, Server, free_port, run_measurement, serving
from .report import command_line, load_average, to_text, write_page
from .routes import generate
from .running import BOOT_S, TROUBLE, Trouble
from .workloads import Call, fetch

HELLO_CALL = Call("/api/hello")
GIVE_UP_S = 20

TURNOUT = """\
async def GET(request):
    return {"message": "%s"}
"""
FASTAPI = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/api/hello")
async def hello() -> dict[str, str]:
    return {"message": "%s"}
"""
FASTIFY = """\
import Fastify from "fastify";

const app = Fastify();
app.get("/api/hello", async () => ({ message: "%s" }));
app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
"""
NEXT = """\
export const dynamic = "force-dynamic";
export async function GET() {
  return Response.json({ message: "%s" });
}
"""


@dataclass(frozen=True)
class Project:
    """A project being worked on: the file to change, its text with a %s, and how it is served."""

    file: Path
    text: str
    command: Callable[[int], list[str]]
    cwd: Path

    def save(self, message: str) -> None:
        """Write the file as an editor does, at once."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(self.text % message)


def turnout_project(folder: Path, routes: int) -> Project:
    """`turnout dev` on a project of generated routes."""
    root = generate(folder / f"turnout-{routes}", routes - 1)
    command = [str(turnout_env() / "turnout"), "dev", str(root), "--port"]
    return Project(root / "app" / "api" / "hello" / "route.py", TURNOUT, lambda port: [*command, str(port)], root)


def fastapi_project(folder: Path) -> Project:
    """`uvicorn --reload`."""
    root = folder / "fastapi"
    command = [str(python_env("fastapi") / "python"), "-m", "uvicorn", "main:app", "--reload", "--port"]
    return Project(root / "main.py", FASTAPI, lambda port: [*command, str(port)], root)


def fastify_project(folder: Path) -> Project:
    """`node --watch`, in the folder that has the packages."""
    root = node_env("main")
    return Project(root / "watched.mjs", FASTIFY, lambda port: ["node", "--watch", "watched.mjs", str(port)], root)


def next_project(folder: Path) -> Project:
    """`next dev` on the peer's project, with the packages of the one that was built."""
    root = folder / "next"
    shutil.copytree(NODE_PEERS / "next", root)
    shutil.copytree(node_env("next") / "node_modules", root / "node_modules", symlinks=True)
    shutil.copytree(NODE_PEERS / "shared", root / "shared")
    return Project(
        root / "app" / "api" / "hello" / "route.js",
        NEXT,
        lambda port: ["node", "node_modules/next/dist/bin/next", "dev", "--hostname", "127.0.0.1", "--port", str(port)],
        root,
    )


PROJECTS: dict[str, Callable[[Path], Project]] = {
    "turnout-10": lambda folder: turnout_project(folder, 10),
    "turnout-1000": lambda folder: turnout_project(folder, 1000),
    "uvicorn-reload": fastapi_project,
    "node-watch": fastify_project,
    "next-dev": next_project,
}


def wait_for(server: Server, message: str) -> int:
    """Ask until the answer is *message*; how many questions got no right answer at all.

    Raises:
        BenchmarkError: it did not come.
    """
    failed, deadline = 0, time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        try:
            answer = fetch(server.port, HELLO_CALL)
            if answer.status != 200:
                failed += 1
            elif json.loads(answer.body) == {"message": message}:
                return failed
        except (OSError, http.client.HTTPException):
            failed += 1
        time.sleep(0.005)
    raise BenchmarkError(f"{server.name} did not serve the change within {GIVE_UP_S} s")


def reload_row(name: str, project: Project, times: int) -> list[str]:
    """Serve, save *times* times, and tell."""
    project.save("first")
    port, log = free_port(), ENVS / "logs" / f"reload-{name}.log"
    env = {name: value for name, value in QUIET.items() if name != "NODE_ENV"} | {"BENCH_SQLITE": ":memory:"}
    with serving(name, project.command(port), port=port, log=log, cwd=project.cwd, env=env) as server:
        server.wait(HELLO_CALL, timeout_s=BOOT_S)
        wait_for(server, "first")
        took, failed = [], 0
        for number in range(times + 1):
            time.sleep(0.5)  # some tools note changes by the second, and none is at its best right after another
            project.save(f"change {number}")
            began = time.monotonic()
            failed += wait_for(server, f"change {number}")
            took.append((time.monotonic() - began) * 1000)
    took = took[1:]
    return [name, *(f"{ms:,.0f}" for ms in (statistics.median(took), min(took), max(took))), str(failed)]


def tables(args: argparse.Namespace, setups: Mapping[str, Setup], trouble: Trouble) -> dict[str, list[list[str]]]:
    """One table."""
    rows = [["change saved to served, ms", "median", "min", "max", "failed answers meanwhile"]]
    for name in args.only.split(","):
        with tempfile.TemporaryDirectory(prefix="turnout-reload-", ignore_cleanup_errors=True) as folder:
            try:
                rows.append(reload_row(name, PROJECTS[name](Path(folder)), args.times))
            except TROUBLE as exc:
                trouble.add(name, "reload", exc)
    return {"Reload": rows}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reload")
    parser.add_argument("--only", default=",".join(PROJECTS), metavar="NAME,...", help=f"of {', '.join(PROJECTS)}")
    parser.add_argument("--times", type=int, default=5, metavar="N", help="changes, after one (default 5)")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Measure, print and write the page."""
    before = load_average()
    found = tables(args, {}, Trouble())
    print(to_text(found["Reload"]))
    facts = {"Command": command_line("benchmarks.reload"), "Load average before the run": before}
    print(f"written to {write_page(HERE / 'results', 'reload', facts, found)}")


if __name__ == "__main__":
    sys.exit(run_measurement(run, parse_args(None)))
