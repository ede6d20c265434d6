"""Turnout beside its peers: requests a second, CPU a request and latency, one worker on one core.

Run:     python -m benchmarks                   (about 45 minutes; two cores, wrk; installs the peers at first)
         python -m benchmarks --quick           (about 4 minutes: W1 to W4, short rounds)
         python -m benchmarks --only turnout,raw --workloads W1,W3 --rounds 3
         python -m benchmarks --table           (no run: the last summary, for a README)
Prints:  for each workload median, min and max requests/s over the rounds, CPU microseconds of the server's process
         tree for one request, p99 at full load, the share of its core the server had, and the ratio to Turnout; then
         who was left out and why. A full run adds start, memory, routes and reload. All goes to
         benchmarks/results/<date>-<machine>.md. Compare ratios within one run; compare figures of two runs only on
         one quiet machine. Where `core` is well below 100 %, wrk or another process was the limit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from . import memory, reload, routes, start
from .contenders import BASE, BLOG, CONTENDERS, Contender, Setup, pick
from .environments import ENVS, HERE
from .load import Round, measure, require_wrk, wrk_command
from .processes import BenchmarkError, cores, run_measurement
from .report import SUMMARY, command_line, last_summary, load_average, machine, summary, to_table, to_text, write_page
from .running import TROUBLE, Trouble, check_all, prepare, start_postgres
from .running import start as start_all
from .workloads import WORKLOADS, Workload

QUICK = ("W1", "W2", "W3", "W4")
HEADINGS = {
    BASE: "**Turnout**",
    "W1": "hello",
    "W1h": "hello, a browser's headers",
    "W2": "path + query",
    "W3": "validated POST",
    "W4": "ten rows, SQLite",
}
Tables = dict[str, list[list[str]]]


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"{', '.join(QUICK)} in 2 rounds of 0.7 seconds")
    parser.add_argument("--table", action="store_true", help="measure nothing: print the last summary as Markdown")
    parser.add_argument("--only", metavar="NAME,...", help=f"contenders: {', '.join(CONTENDERS)}")
    parser.add_argument("--workloads", metavar="NAME,...", help=f"workloads: {', '.join(WORKLOADS)}")
    parser.add_argument("--seconds", type=float, metavar="N", help="length of one round (default 2)")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds for each contender and workload (default 5)")
    parser.add_argument("--results", type=Path, default=HERE / "results", metavar="FOLDER", help="where the page goes")
    args = parser.parse_args(argv)
    args.full = not (args.quick or args.only or args.workloads)
    args.seconds = args.seconds or (0.7 if args.quick else 2.0)
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.workloads = args.workloads or (",".join(QUICK) if args.quick else None)
    return args


def pick_workloads(names: str | None) -> list[Workload]:
    """The workloads of a comma-separated list; all of them without one."""
    wanted = [name.strip() for name in names.split(",")] if names else list(WORKLOADS)
    if unknown := [name for name in wanted if name not in WORKLOADS]:
        raise BenchmarkError(f"no workload named {', '.join(unknown)}; there are: {', '.join(WORKLOADS)}")
    return [WORKLOADS[name] for name in wanted]


def measure_all(
    args: argparse.Namespace,
    setups: dict[str, Setup],
    contenders: Mapping[str, Contender],
    workloads: Sequence[Workload],
    trouble: Trouble,
    tables: Tables,
) -> None:
    """Add a table for each workload, and the summary of those that most take part in, to *tables*."""
    compared: dict[str, dict[str, list[Round]]] = {}
    with ExitStack() as stack:
        wants_w5 = "W5" in (each.name for each in workloads) and any("W5" in contenders[n].workloads for n in setups)
        postgres = start_postgres(stack, trouble) if wants_w5 else None
        started = start_all(stack, setups, postgres, trouble)
        right = check_all(started, workloads, dict(contenders), trouble)
        for workload in workloads:
            results = measure(
                dict.fromkeys(right[workload.name], workload),
                seconds=args.seconds,
                rounds=args.rounds,
                scripts=ENVS / "wrk",
                warm_s=0.4 if args.quick else 1.0,
                fail=lambda server, exc, name=workload.name: trouble.add(server.name, name, exc),  # type: ignore[misc]
            )
            title = f"{workload.name}: {workload.title}"
            tables[title] = to_table(results, BLOG if workload.name == "W9" else BASE)
            print(f"{title}\n{to_text(tables[title])}\n", flush=True)
            if workload.name in CONTENDERS["express"].workloads:
                compared[workload.name] = results
    tables[SUMMARY] = summary(compared, BASE)


def measure_more(setups: dict[str, Setup], trouble: Trouble, tables: Tables) -> None:
    """Add what has a command of its own: start, memory, routes, reload."""
    for module in (start, memory, routes, reload):
        try:
            found = module.tables(module.parse_args([]), setups, trouble)
        except TROUBLE as exc:
            trouble.add(module.__name__, "all", exc)
            continue
        for title, rows in found.items():
            print(f"{title}\n{to_text(rows)}\n", flush=True)
        tables |= found


def run(args: argparse.Namespace) -> None:
    """Measure, print and write the page, also of what was measured before something went wrong."""
    if args.table:
        try:
            print(last_summary(args.results, {name: each.title for name, each in CONTENDERS.items()} | HEADINGS))
        except FileNotFoundError as exc:
            raise BenchmarkError(str(exc)) from None
        return
    wrk, (server_core, load_core) = require_wrk(), cores()
    workloads, chosen, trouble = pick_workloads(args.workloads), pick(args.only), Trouble()
    wanted = {workload.name for workload in workloads}
    contenders = {each.name: each for each in chosen if wanted & set(each.workloads)}
    setups = prepare(contenders.values(), trouble)
    before, tables = load_average(), Tables()
    try:
        measure_all(args, setups, contenders, workloads, trouble, tables)
        if args.full:
            alone = {name: setup for name, setup in setups.items() if not setup.on_postgres}
            measure_more(alone, trouble, tables)
    finally:
        if tables:
            tables["Not measured"] = trouble.rows
            example = " ".join(wrk_command("PORT", workloads[0], args.seconds, ENVS / "wrk")[:3])
            facts = {
                "Machine": machine(),
                "Cores": f"servers on {server_core}, one worker each; wrk and PostgreSQL on {load_core}",
                "Load average before the run": before,
                "Command": command_line("benchmarks"),
                "Rounds": f"{args.rounds} of {args.seconds:g} s in turn, after warming up; answers checked first",
                "Load": f"{wrk}: `{example} ...`",
            }
            facts |= {f"{name} ({CONTENDERS[name].title})": setup.versions for name, setup in setups.items()}
            title = f"requests a second, {args.rounds} x {args.seconds:g} s"
            page = write_page(args.results, title, facts, tables)
            print(f"written to {page}")
    if left_out := len(trouble.rows) - 1:
        print(f"{left_out} left out; see the end of the page", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run_measurement(run, parse_args(None)))
