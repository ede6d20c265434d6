"""Whether requests a second depend on the number of routes.

Run:     python -m benchmarks.routes                  (about 1 minute, two cores, wrk)
         python -m benchmarks.routes --counts 10,10000 --seconds 4 --rounds 7
Prints:  routes in the project, requests/s on one dynamic path in the middle of them, CPU microseconds a request, the
         ratio to the smallest project, and seconds from process start to the first answer. Rounds are interleaved.
         All projects are up at once. A ratio within the spread (min to max) of the rounds is no difference.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from .contenders import Setup, turnout_command
from .environments import ENVS, HERE
from .load import measure, require_wrk
from .processes import Server, free_port, run_measurement, serving
from .report import command_line, load_average, to_table, to_text, write_page
from .running import Trouble
from .stores import Stores
from .workloads import Call, Expect, Workload, check

ROUTE = """\
async def GET(request, id: int):
    return {{"service": {number}, "id": id}}
"""


def generate(root: Path, count: int) -> Path:
    """A project with *count* route files, each at /api/s<number>/[id]."""
    for number in range(count):
        folder = root / "app" / "api" / f"s{number}" / "[id]"
        folder.mkdir(parents=True)
        (folder / "route.py").write_text(ROUTE.format(number=number))
    (root / "pyproject.toml").write_text('[tool.turnout]\nallowed_hosts = ["127.0.0.1"]\n')
    return root


def workload(count: int) -> Workload:
    """The call that is timed, and calls that only the right route answers rightly."""
    middle, last = count // 2, count - 1
    return Workload(
        f"routes-{count}",
        "one dynamic path",
        (
            Expect(Call(f"/api/s{middle}/42"), 200, {"service": middle, "id": 42}),
            Expect(Call(f"/api/s{last}/7"), 200, {"service": last, "id": 7}),
        ),
        (Call(f"/api/s{count}/42"), Call(f"/api/s{middle}/x"), Call(f"/api/s{middle}/42/more")),
    )


def start(stack: ExitStack, folder: Path, count: int) -> tuple[Server, float]:
    """Serve a project of *count* routes, and the seconds until its first answer."""
    port, name = free_port(), f"{count:,} routes"
    command = turnout_command(generate(folder / str(count), count), port)
    began = time.monotonic()
    log = ENVS / "logs" / f"routes-{count}.log"
    server = stack.enter_context(serving(name, command, port=port, log=log, cwd=folder))
    server.wait(workload(count).call, timeout_s=120)
    return server, time.monotonic() - began


def tables(args: argparse.Namespace, setups: Mapping[str, Setup], trouble: Trouble) -> dict[str, list[list[str]]]:
    """One table."""
    counts = [int(text) for text in args.counts.split(",")]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turnout-routes-")))
        started = {count: start(stack, folder, count) for count in counts}
        for count, (server, _) in started.items():
            check(server.port, workload(count), Stores(folder / "none.db"))
        loads = {server: workload(count) for count, (server, _) in started.items()}
        results = measure(loads, seconds=args.seconds, rounds=args.rounds, scripts=ENVS / "wrk")
    rows = to_table(results, f"{counts[0]:,} routes", first="routes in the project")
    seconds = ["to first answer", *(f"{started[count][1]:.2f} s" for count in counts)]
    return {"One dynamic path, by number of routes": [[*row, cell] for row, cell in zip(rows, seconds, strict=True)]}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routes")
    parser.add_argument("--counts", default="10,1000,10000", metavar="N,...", help="routes (default 10,1000,10000)")
    parser.add_argument("--seconds", type=float, default=2, metavar="N", help="length of one round (default 2)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds for each project (default 5)")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Measure, print and write the page."""
    require_wrk()
    before = load_average()
    found = tables(args, {}, Trouble())
    print("\n".join(map(to_text, found.values())))
    facts = {
        "Command": command_line("benchmarks.routes"),
        "Rounds": f"{args.rounds} of {args.seconds:g} s in turn",
        "Load average before the run": before,
    }
    print(f"written to {write_page(HERE / 'results', 'number of routes', facts, found)}")


if __name__ == "__main__":
    sys.exit(run_measurement(run, parse_args(None)))
