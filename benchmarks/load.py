"""One round of load by wrk (by sse.py for events): how many answers, how late, and what they cost the server's CPU.

All connections, mostly 64, are kept busy all the time, so latency here is queueing at full load and compares contenders
only; it is not what a user of a server with time to spare sees.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .processes import BenchmarkError, Server, cores
from .workloads import Workload

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


def wrk_command(port: int | str, workload: Workload, seconds: float, scripts: Path) -> list[str]:
    """The command of one round; the script it names is written first."""
    scripts.mkdir(parents=True, exist_ok=True)
    script = scripts / f"{workload.name}.lua"
    script.write_text(workload.to_lua())
    url = f"http://127.0.0.1:{port}{workload.call.path}"
    lasting = f"-d{int(seconds) + 1}s"  # wrk takes whole seconds; run_round ends it in time
    return ["wrk", "-t1", f"-c{workload.connections}", lasting, "--timeout", "10s", "--latency", "-s", str(script), url]


def run_round(server: Server, workload: Workload, seconds: float, scripts: Path) -> Round:
    """Load *server* for *seconds* and read what came of it."""
    if workload.stream:
        return run_stream(server, workload, seconds)
    command = ["taskset", "-c", str(cores()[1]), *wrk_command(server.port, workload, seconds, scripts)]
    cpu, clock = server.cpu_s(), time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as wrk:
        try:
            time.sleep(seconds)
            wrk.send_signal(signal.SIGINT)  # wrk prints what it has counted
            out, err = wrk.communicate(timeout=30)
        except BaseException:
            wrk.kill()
            raise
    cpu, clock = server.cpu_s() - cpu, time.monotonic() - clock
    if wrk.returncode:
        raise BenchmarkError(f"wrk failed on {server.name}: {err.strip() or out.strip()}")
    requests, requests_s, p99_ms = parse_wrk(out, f"{server.name} {workload.name}")
    return Round(requests_s, p99_ms, cpu / requests * 1e6, cpu / clock)


def run_stream(server: Server, workload: Workload, seconds: float) -> Round:
    """Open the streams, and count events for *seconds* once every client has had one."""
    words = [str(server.port), workload.call.path, str(workload.connections), str(seconds)]
    command = ["taskset", "-c", str(cores()[1]), sys.executable, str(Path(__file__).with_name("sse.py")), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as clients:
        try:
            assert clients.stdout is not None
            clients.stdout.readline()  # all are open, and counting begins
            cpu, clock = server.cpu_s(), time.monotonic()
            counted = clients.stdout.readline()  # counting has ended
            cpu, clock = server.cpu_s() - cpu, time.monotonic() - clock
            _, err = clients.communicate(timeout=30)
        except BaseException:
            clients.kill()
            raise
    if clients.returncode:
        raise BenchmarkError(f"{server.name} {workload.name}: {(err.strip() or 'no event came').splitlines()[-1]}")
    found = json.loads(counted)
    return Round(found["events"] / found["seconds"], found["p99_gap_ms"], cpu / found["events"] * 1e6, cpu / clock)


def measure(
    loads: Mapping[Server, Workload],
    *,
    seconds: float,
    rounds: int,
    scripts: Path,
    warm_s: float = 1.0,
    fail: Callable[[Server, Exception], None] | None = None,
) -> dict[str, list[Round]]:
    """Rounds by server, taken in turn, after *warm_s* of warming up that do not count.

    Args:
        fail: Told of a server that could not be measured, which then takes no further part and is not in the
            results; without it the first such error ends the measurement.
    """
    left = dict(loads)
    results: dict[str, list[Round]] = {server.name: [] for server in loads}
    for number in range(rounds + 1):
        for server, workload in list(left.items()):
            try:
                found = run_round(server, workload, seconds if number else warm_s, scripts)
            except (BenchmarkError, OSError, subprocess.SubprocessError) as exc:
                if fail is None:
                    raise
                fail(server, exc)
                del left[server], results[server.name]
                continue
            if number:
                results[server.name].append(found)
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
