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
        lines += ["", f"### {title}", "", to_markdown(rows)]
    with page.open("a", encoding="utf-8") as out:
        out.write("\n".join(["", *lines, ""]) if page.exists() and page.stat().st_size else "\n".join([*lines, ""]))
    return page
