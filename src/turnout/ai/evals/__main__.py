"""``python -m turnout.ai.evals``: prove the graders, ask a model, count."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from ...errors import ConfigError
from . import ask, data, grade, report


def main(argv: list[str] | None = None) -> int:
    """Do one of the three; the exit status is the result."""
    parser = argparse.ArgumentParser(prog="python -m turnout.ai.evals", description=__doc__)
    parser.add_argument("--evals", type=Path, default=Path("evals"), help="the folder of the evals (default: evals)")
    todo = parser.add_subparsers(dest="todo", required=True)
    each = todo.add_parser("check", help="every reference passes, every mutant fails a hidden test")
    each.add_argument("only", nargs="?", default="", help="those whose name begins so")
    each = todo.add_parser("run", help="ask for each prompt, and judge the answers")
    each.add_argument("only", nargs="?", default="", help="those whose name begins so")
    each.add_argument("--model", help="provider:model (default: as turnout create)")
    each.add_argument("-n", type=int, default=1, help="answers to each prompt")
    each.add_argument("--agent", metavar="'CMD {prompt}'", help="ask a coding agent, in a jailed copy of the project")
    each.add_argument("--agent-time", type=float, default=600, metavar="SECONDS", help="what an agent has (600)")
    each.add_argument("--no-jail", action="store_true", help="the agent has your network, files and environment")
    each.add_argument("--recipes", choices=("on", "off"), default="on", help="whether a recipe may answer")
    each.add_argument("--no-loop", action="store_true", help="a refused answer does not go back")
    each.add_argument("--max-cost", type=float, help="dollars, for each answer")
    each.add_argument("--out", type=Path, help="write results there, a line each")
    each = todo.add_parser("report", help="count what run has written")
    each.add_argument("file", type=Path)
    args = parser.parse_args(argv)
    try:
        return {"check": _check, "run": _run, "report": _report}[args.todo](args)
    except ConfigError as exc:
        print(f"turnout: {exc}", file=sys.stderr)
        return 3


def _check(args: argparse.Namespace) -> int:
    found = data.read(args.evals, args.only)
    problems = grade.check(args.evals, found)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        mutants = sum(len(each.mutants) for each in found)
        print(f"{len(found)} evals: every reference passes, {mutants} mutants are noticed")
    return 1 if problems else 0


def _run(args: argparse.Namespace) -> int:
    if args.agent is not None:
        ask.command(args.agent, "")  # before anything is laid out
    how = ask.How(
        model=args.model,
        recipes=args.recipes == "on",
        repairs=0 if args.no_loop else 3,
        times=args.n,
        max_cost_usd=args.max_cost,
        agent=args.agent,
        agent_s=args.agent_time,
        jail=not args.no_jail,
    )
    results = asyncio.run(_asked(args, how))
    print(report.text(results), end="")
    return 0 if all(each.secure for each in results) else 1


async def _asked(args: argparse.Namespace, how: ask.How) -> list[ask.Result]:
    results = []
    async for result in ask.run(args.evals, data.read(args.evals, args.only), how):
        results.append(result)
        said = "secure" if result.secure else "works" if result.works else f"failed at {result.stage}"
        print(f"{result.eval} #{result.number}: {said} ({result.seconds} s)", file=sys.stderr, flush=True)
        if args.out is not None:
            with args.out.open("a", encoding="utf-8") as file:
                file.write(ask.line(result) + "\n")
    return results


def _report(args: argparse.Namespace) -> int:
    print(report.text(report.load(args.file)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
