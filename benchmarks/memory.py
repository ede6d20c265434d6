"""Memory of each contender after boot and after load.

Run:     python -m benchmarks.memory                       (about 5 s a contender, two cores, wrk)
         python -m benchmarks.memory --only turnout,fastapi --seconds 10
Prints:  MB of the whole process tree after the first answer, and after W1 and, where it is answered, W3 for some
         seconds each with 64 connections. Proportional (PSS): pages that processes share are divided among them.
         Contenders run one at a time, so that they share with nobody but what else this machine runs; a Python of the
         same file that runs elsewhere lowers the figures of all Python contenders alike.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from .contenders import BASE, Setup, pick
from .environments import ENVS, HERE
from .load import require_wrk, run_round
from .processes import run_measurement
from .report import command_line, load_average, to_text, write_page
from .running import BOOT_S, TROUBLE, Trouble, prepare, running
from .workloads import WORKLOADS, Call, check


def after_boot_and_load(name: str, setup: Setup, seconds: float) -> tuple[float, float]:
    """MB after the first answer and after load."""
    with running(name, setup) as (server, stores):
        server.wait(Call("/api/hello"), timeout_s=BOOT_S)
        before = server.pss_mb()
        for workload in (WORKLOADS["W1"], WORKLOADS["W3"]):
            if server.wait(workload.call, timeout_s=5).status < 400:
                check(server.port, workload, stores)
                run_round(server, workload, seconds, ENVS / "wrk")
        return before, server.pss_mb()


def tables(args: argparse.Namespace, setups: Mapping[str, Setup], trouble: Trouble) -> dict[str, list[list[str]]]:
    """One table."""
    rows = [["memory, MB (PSS)", "after boot", "after load"]]
    for name, setup in setups.items():
        try:
            rows.append([name, *(f"{mb:.1f}" for mb in after_boot_and_load(name, setup, args.seconds))])
        except TROUBLE as exc:
            trouble.add(name, "memory", exc)
    return {"Memory": rows}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("--only", default=BASE, metavar="NAME,...", help=f"contenders (default {BASE})")
    parser.add_argument("--seconds", type=float, default=2, metavar="N", help="length of each load (default 2)")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Measure, print and write the page."""
    require_wrk()
    before, trouble = load_average(), Trouble()
    setups = prepare(pick(args.only), trouble)
    found = tables(args, setups, trouble)
    print(to_text(found["Memory"]))
    facts = {"Command": command_line("benchmarks.memory"), "Load average before the run": before}
    facts |= {name: setup.versions for name, setup in setups.items()}
    print(f"written to {write_page(HERE / 'results', 'memory', facts, found)}")


if __name__ == "__main__":
    sys.exit(run_measurement(run, parse_args(None)))
