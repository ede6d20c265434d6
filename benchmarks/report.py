"""Rounds to a table, and a run to a page of benchmarks/results/.

The ratio of two contenders is the median of their ratios round by round: neighbours in time share whatever else the
machine did, so the ratio holds still where the figures drift.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from .load import Round

SUMMARY = "### Summary: requests/s (ratio to Turnout), fastest first"
COLUMNS = ("contender", "median req/s", "min", "max", "CPU µs/req", "p99 ms", "core", "ratio")


def ratio(rounds: Sequence[Round], base: Sequence[Round]) -> float:
    """Median over the rounds of requests a second as a multiple of *base* in the same round."""
    return statistics.median(a.requests_s / b.requests_s for a, b in zip(rounds, base, strict=True))


def to_table(results: Mapping[str, Sequence[Round]], base: str, first: str = COLUMNS[0]) -> list[list[str]]:
    """Head and one row a contender; ratios to *base*, if it took part."""
    rows = [[first, *COLUMNS[1:-1], f"ratio to {base}"]]
    for name, rounds in results.items():
        rates = [each.requests_s for each in rounds]
        rows.append(
            [
                name,
                f"{statistics.median(rates):,.0f}",
                f"{min(rates):,.0f}",
                f"{max(rates):,.0f}",
                f"{statistics.median(each.cpu_us for each in rounds):.1f}",
                f"{statistics.median(each.p99_ms for each in rounds):.2f}",
                f"{statistics.median(each.busy for each in rounds):.0%}",
                f"{ratio(rounds, results[base]):.2f}" if base in results else "–",
            ]
        )
    return rows


def summary(tables: Mapping[str, Mapping[str, Sequence[Round]]], base: str) -> list[list[str]]:
    """One row a contender, one column a workload: median requests/s and the ratio to *base*, fastest first.

    Args:
        tables: Workload to contender to rounds.
        base: The contender that others are compared with.
    """
    names = list(dict.fromkeys(name for results in tables.values() for name in results))
    rates = {name: [_rate(results.get(name)) for results in tables.values()] for name in names}
    rows = []
    for name in sorted(names, key=lambda name: [-(rate or 0) for rate in rates[name]]):
        row = [name]
        for rate, results in zip(rates[name], tables.values(), strict=True):
            compared = f" ({ratio(results[name], results[base]):.2f})" if rate and base in results else ""
            row.append(f"{rate:,.0f}{compared}" if rate else "–")
        rows.append(row)
    return [["contender", *tables], *rows]


def _rate(rounds: Sequence[Round] | None) -> float | None:
    return statistics.median(each.requests_s for each in rounds) if rounds else None


def last_summary(folder: Path, titles: Mapping[str, str]) -> str:
    """The newest summary of the newest page in *folder*, with its machine, date and command, as Markdown.

    Args:
        folder: Where the pages are.
        titles: What to call contenders and workloads for readers who do not know their names here.

    Raises:
        FileNotFoundError: no page has one.
    """
    for page in sorted(folder.glob("*.md"), reverse=True):
        head, *runs = re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for text in reversed(runs):
            if SUMMARY in text:
                lines = text.partition(SUMMARY)[2].partition("\n##")[0].strip().splitlines()
                cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
                named = [[titles.get(cell, cell) for cell in row] for row in cells]
                where = f"[All of it](benchmarks/results/{page.name})"
                table = "\n".join(f"| {' | '.join(row)} |" for row in named)
                command = re.search(r"^- Command: (.+)$", text, re.MULTILINE)
                rounds = re.search(r"^- Rounds: (.+)$", text, re.MULTILINE)
                how = rounds[1] if rounds else ""
                said = f"{head.strip().removeprefix('# ')}. Command: {command[1] if command else '?'}"
                return f"{table}\n\nMeasured {said}; {how}. In brackets: the ratio to Turnout in that run. {where}."
    raise FileNotFoundError(f"no summary in {folder}; run python -m benchmarks first")


def to_text(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns for a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        figures = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *figures]))
    return "\n".join(lines)


def to_markdown(rows: Sequence[Sequence[str]]) -> str:
    """The same as a Markdown table."""
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])


def machine() -> str:
    """Processor, cores and kernel, in words."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", info)
    name = model[1] if model else platform.machine()
    return f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def machine_slug() -> str:
    """The same in a file name: `intel-xeon-processor-2-cores`."""
    name = re.sub(r"\((?:R|TM)\)|@.*", "", machine().rpartition(f", {platform.system()}")[0])
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def load_average() -> str:
    """The machine's load average over 1 minute: how busy it was with other things too."""
    return f"{os.getloadavg()[0]:.2f}"


def command_line(module: str) -> str:
    """The command of this run, as Markdown."""
    return f"`{' '.join(['python -m', module, *sys.argv[1:]])}`"


def write_page(
    folder: Path, heading: str, facts: Mapping[str, str], tables: Mapping[str, Sequence[Sequence[str]]]
) -> Path:
    """Add a run to the page of this day and machine, and return the page.

    Args:
        folder: Where the pages are.
        heading: What was measured, in a few words.
        facts: The circumstances, in order: load average, command, versions.
        tables: Title to rows.
    """
    now = datetime.now().astimezone()
    page = folder / f"{now:%Y-%m-%d}-{machine_slug()}.md"
    lines = [] if page.exists() else [f"# {now:%Y-%m-%d}, {machine()}", ""]
    lines += [f"## {now:%H:%M %Z}: {heading}", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    for title, rows in tables.items():
        if len(rows) > 1:
            lines += ["", f"### {title}" if not title.startswith("#") else title, "", to_markdown(rows)]
    page.parent.mkdir(parents=True, exist_ok=True)
    with page.open("a", encoding="utf-8") as out:
        out.write("\n".join(["", *lines, ""]) if page.exists() and page.stat().st_size else "\n".join([*lines, ""]))
    return page
