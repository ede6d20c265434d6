"""How soon a server answers, and what `import turnout` costs.

Run:     python -m benchmarks.start                          (about 10 s)
         python -m benchmarks.start --only turnout,raw,fastify --times 20
Prints:  1. milliseconds from process start to the first answer to GET /api/hello, asked every 2 ms: median, min, max;
         2. milliseconds of `import turnout` over bare Python, by the clock (two processes compared) and by the sum
            of -X importtime, and the third-party packages that were imported.
         Files are in the page cache and bytecode is compiled: this is a restart, not the first start after a deploy.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence

from .contenders import Setup, pick
from .environments import ENVS, HERE
from .processes import child_env, cores, free_port, run_measurement, serving
from .report import command_line, load_average, to_text, write_page
from .running import BOOT_S, TROUBLE, Trouble, prepare
from .stores import Stores, make_sqlite
from .workloads import HELLO, Call, Expect, check_answer

HELLO_CALL = Call("/api/hello")
IMPORT_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")


def first_answer_ms(name: str, setup: Setup) -> float:
    """Start a server, wait for its first right answer, and end it. Its data is made before the clock runs."""
    file, port = make_sqlite(ENVS / "data" / f"{name}.db", setup.migrate, setup.cwd), free_port()
    log, env = ENVS / "logs" / f"start-{name}.log", {**setup.env, **Stores(file).env()}
    began = time.monotonic()
    with serving(name, setup.command(port), port=port, log=log, cwd=setup.cwd, env=env) as server:
        answer = server.wait(HELLO_CALL, timeout_s=BOOT_S)
        took_ms = (time.monotonic() - began) * 1000
    check_answer(Expect(HELLO_CALL, 200, HELLO), answer)
    return took_ms


def python_ms(code: str) -> float:
    """Milliseconds of one `python -c code`, on the servers' core."""
    began = time.monotonic()
    subprocess.run(["taskset", "-c", str(cores()[0]), sys.executable, "-c", code], check=True, env=child_env())
    return (time.monotonic() - began) * 1000


def import_times(code: str) -> dict[str, int]:
    """Microseconds of its own that each module took which *code* imports, those of starting Python included."""
    return parse_importtime(_python("-X", "importtime", "-c", code).stderr)


def parse_importtime(text: str) -> dict[str, int]:
    """Module to microseconds of its own, from the report of -X importtime."""
    return {name: int(own) for own, name in IMPORT_LINE.findall(text)}


def imported_packages(code: str) -> set[str]:
    """Top-level names in sys.modules because of *code*; unlike -X importtime, without imports that failed."""
    count = f"import sys; before = set(sys.modules); {code}; print(*set(sys.modules) - before)"
    return {name.partition(".")[0] for name in _python("-c", count).stdout.split()}


def third_party(packages: Iterable[str]) -> list[str]:
    """Those of *packages* that are neither Turnout nor the standard library."""
    return sorted(set(packages) - set(sys.stdlib_module_names) - {"turnout"})


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, env=child_env())


def spread(name: str, values: Sequence[float]) -> list[str]:
    """A row: median, min, max."""
    return [name, *(f"{figure:.1f}" for figure in (statistics.median(values), min(values), max(values)))]


def start_table(setups: Mapping[str, Setup], times: int, trouble: Trouble) -> list[list[str]]:
    """First answers, contenders in turn, after one start of each that does not count."""
    took: dict[str, list[float]] = {name: [] for name in setups}
    for _ in range(times + 1):
        for name in list(took):
            try:
                took[name].append(first_answer_ms(name, setups[name]))
            except TROUBLE as exc:
                trouble.add(name, "start", exc)
                del took[name]
    return [["start to first answer, ms", "median", "min", "max"], *(spread(name, ms[1:]) for name, ms in took.items())]


def import_table(times: int) -> tuple[list[list[str]], list[str]]:
    """What `import turnout` costs over bare Python, and the third-party packages it imports."""
    python_ms("import turnout")  # compiles what is not compiled yet
    by_clock = [python_ms("import turnout") - python_ms("pass") for _ in range(times)]
    bare = import_times("pass").keys()
    by_sum = []
    for _ in range(times):
        own = {name: us for name, us in import_times("import turnout").items() if name not in bare}
        by_sum.append(sum(own.values()) / 1000)
    rows = [
        ["import turnout over bare Python, ms", "median", "min", "max"],
        spread("by the clock", by_clock),
        spread("by -X importtime", by_sum),
    ]
    return rows, third_party(imported_packages("import turnout"))


def tables(args: argparse.Namespace, setups: Mapping[str, Setup], trouble: Trouble) -> dict[str, list[list[str]]]:
    """Two tables: starts and imports."""
    starts = start_table(setups, args.times, trouble)
    imports, packages = import_table(args.times)
    third = f"`import turnout`; third-party packages imported: {', '.join(packages) or 'none'}"
    return {"Start to first answer": starts, third: imports}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start")
    parser.add_argument("--only", default="turnout", metavar="NAME,...", help="contenders (default turnout)")
    parser.add_argument("--times", type=int, default=5, metavar="N", help="starts and imports, after one (default 5)")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Measure, print and write the page."""
    before, trouble = load_average(), Trouble()
    setups = prepare(pick(args.only), trouble)
    found = tables(args, setups, trouble)
    print("\n\n".join(f"{title}\n{to_text(rows)}" for title, rows in found.items()))
    facts = {"Command": command_line("benchmarks.start"), "Load average before the run": before}
    facts |= {name: setup.versions for name, setup in setups.items()}
    print(f"written to {write_page(HERE / 'results', 'start and import', facts, found)}")


if __name__ == "__main__":
    sys.exit(run_measurement(run, parse_args(None)))
