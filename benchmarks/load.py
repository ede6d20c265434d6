"""One round of load by wrk: how many answers, how late, and what they cost the server's CPU.

64 connections are kept busy all the time, so latency here is queueing at full load and compares contenders only;
it is not what a user of a server with time to spare sees.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .processes import BenchmarkError, Server, cores
from .workloads import Workload

CONNECTIONS = 64
UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Round:
    """What one round gave."""

    requests_s: float
    p99_ms: float
    cpu_us: float
    """CPU microseconds of the server's process tree for one request."""
    busy: float
    """Share of its core that the server had, 0 to 1. Well below 1, something else was the limit."""


def require_wrk() -> str:
    """wrk's version, or an error that says how to get it."""
    if not shutil.which("wrk"):
        raise BenchmarkError("wrk is not installed; on Debian or Ubuntu: sudo apt-get install wrk")
    if not shutil.which("taskset"):
        raise BenchmarkError("taskset is not installed; on Debian or Ubuntu: sudo apt-get install util-linux")
    text = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    return text.partition("[")[0].strip()


def wrk_command(port: int | str, workload: Workload, seconds: int, scripts: Path) -> list[str]:
    """The command of one round; the script it names is written first."""
    scripts.mkdir(parents=True, exist_ok=True)
    script = scripts / f"{workload.name}.lua"
    script.write_text(workload.call.to_lua())
    url = f"http://127.0.0.1:{port}{workload.call.path}"
    return ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script), url]


def run_round(server: Server, workload: Workload, seconds: int, scripts: Path) -> Round:
    """Load *server* for *seconds* and read what came of it."""
    command = ["taskset", "-c", str(cores()[1]), *wrk_command(server.port, workload, seconds, scripts)]
    cpu, clock = server.cpu_s(), time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 30)
    cpu, clock = server.cpu_s() - cpu, time.monotonic() - clock
    if done.returncode:
        raise BenchmarkError(f"wrk failed on {server.name}: {done.stderr.strip() or done.stdout.strip()}")
    requests, requests_s, p99_ms = parse_wrk(done.stdout, f"{server.name} {workload.name}")
    return Round(requests_s, p99_ms, cpu / requests * 1e6, cpu / clock)


def measure(loads: Mapping[Server, Workload], *, seconds: int, rounds: int, scripts: Path) -> dict[str, list[Round]]:
    """Rounds by server, taken in turn, after a second of warming up that does not count."""
    for server, workload in loads.items():
        run_round(server, workload, 1, scripts)
    results: dict[str, list[Round]] = {server.name: [] for server in loads}
    for _ in range(rounds):
        for server, workload in loads.items():
            results[server.name].append(run_round(server, workload, seconds, scripts))
    return results


def parse_wrk(text: str, what: str) -> tuple[int, float, float]:
    """Requests, requests a second and p99 in milliseconds, from what wrk printed.

    Raises:
        BenchmarkError: answers with an error status, or connections that broke: such a round measures something else.
    """
    if trouble := re.search(r"(Socket errors|Non-2xx or 3xx responses): .*", text):
        raise BenchmarkError(f"{what}: {trouble[0]}")
    requests = re.search(r"(\d+) requests in ", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", text)
    if not (requests and rate and p99) or requests[1] == "0":
        raise BenchmarkError(f"{what}: no answer was counted; wrk printed:\n{text}")
    return int(requests[1]), float(rate[1]), float(p99[1]) * UNITS_MS[p99[2]]
