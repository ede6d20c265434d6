"""Turnout beside its peers: requests a second, CPU a request and latency, one worker on one core.

Run:     python -m benchmarks                   (about 5 minutes, two cores, wrk; the first run installs the peers)
         python -m benchmarks --quick           (about 1 minute)
         python -m benchmarks --only turnout,raw --workloads W1,W3 --rounds 3
Prints:  for each workload median, min and max requests/s over the rounds, CPU microseconds of the server's process
         tree for one request, p99 at full load, the share of its core the server had, and the ratio to Turnout.
         The same goes to benchmarks/results/<date>-<machine>.md. Compare ratios within one run; compare figures of
         two runs only on one quiet machine. Where `core` is well below 100 %, wrk or another process was the limit.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from .contenders import CONTENDERS, Setup, pick_setups
from .environments import ENVS, HERE
from .load import measure, require_wrk, wrk_command
from .processes import BenchmarkError, Server, cores, free_port, run_measurement, serving
from .report import command_line, load_average, machine, to_table, to_text, write_page
from .workloads import WORKLOADS, Call, Workload, WrongAnswer, check

BASE = "turnout"


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 seconds")
    parser.add_argument("--only", metavar="NAME,...", help=f"contenders: {', '.join(CONTENDERS)}")
    parser.add_argument("--workloads", metavar="NAME,...", help=f"workloads: {', '.join(WORKLOADS)}")
    parser.add_argument("--seconds", type=int, metavar="N", help="length of one round (default 4)")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds for each contender and workload (default 5)")
    args = parser.parse_args(argv)
    args.seconds = args.seconds or (2 if args.quick else 4)
    args.rounds = args.rounds or (2 if args.quick else 5)
    return args


def pick_workloads(names: str | None) -> list[Workload]:
    """The workloads of a comma-separated list; all of them without one."""
    wanted = [name.strip() for name in names.split(",")] if names else list(WORKLOADS)
    if unknown := [name for name in wanted if name not in WORKLOADS]:
        raise BenchmarkError(f"no workload named {', '.join(unknown)}; there are: {', '.join(WORKLOADS)}")
    return [WORKLOADS[name] for name in wanted]


def start(stack: ExitStack, setups: dict[str, Setup]) -> list[Server]:
    """Start every contender and wait for its first answer; *stack* ends them."""
    servers = []
    for name, setup in setups.items():
        port = free_port()
        log = ENVS / "logs" / f"{name}.log"
        server = stack.enter_context(
            serving(name, setup.command(port), port=port, log=log, cwd=setup.cwd, env=setup.env)
        )
        server.wait(Call("/api/hello"), timeout_s=20)
        servers.append(server)
    return servers


def check_all(servers: list[Server], workloads: list[Workload]) -> None:
    """See that every contender gives the right answers."""
    for server in servers:
        for workload in workloads:
            try:
                check(server.port, workload)
            except WrongAnswer as exc:
                raise BenchmarkError(f"{server.name} {workload.name}: {exc}") from exc


def run(args: argparse.Namespace) -> None:
    """Measure, print and write the page."""
    wrk, (server_core, load_core) = require_wrk(), cores()
    workloads, setups = pick_workloads(args.workloads), pick_setups(args.only)
    before = load_average()
    tables = {}
    with ExitStack() as stack:
        servers = start(stack, setups)
        check_all(servers, workloads)
        for workload in workloads:
            results = measure(
                dict.fromkeys(servers, workload), seconds=args.seconds, rounds=args.rounds, scripts=ENVS / "wrk"
            )
            title = f"{workload.name}: {workload.title}"
            tables[title] = to_table(results, BASE)
            print(f"{title}\n{to_text(tables[title])}\n", flush=True)
    example = " ".join(wrk_command("PORT", workloads[0], args.seconds, ENVS / "wrk")[:5])
    facts = {
        "Machine": machine(),
        "Cores": f"servers on {server_core}, one worker each; wrk on {load_core}",
        "Load average before the run": before,
        "Command": command_line("benchmarks"),
        "Rounds": f"{args.rounds} of {args.seconds} s in turn, after 1 s of warming up; answers checked first",
        "Load": f"{wrk}: `{example} ...`",
    }
    facts |= {name: setup.versions for name, setup in setups.items()}
    page = write_page(HERE / "results", f"requests a second, {args.rounds} x {args.seconds} s", facts, tables)
    print(f"written to {page.relative_to(HERE.parent)}")


if __name__ == "__main__":
    sys.exit(run_measurement(run, parse_args(None)))
