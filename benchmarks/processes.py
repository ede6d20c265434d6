"""Child processes on a core of their own: started, waited for, their CPU time read, and ended.

Linux only: `taskset` pins and /proc tells the time. Each server leads a process group of its own, so that a
supervisor with its workers is ended as one, also when the run is interrupted.
"""

from __future__ import annotations

import argparse
import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from .workloads import Answer, Call

BYTECODE = Path(__file__).parent / ".envs" / "pycache"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """The run cannot go on; the message says what to do."""


def cores() -> tuple[int, int]:
    """The core for servers and the core for the load generator."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise BenchmarkError("two cores are needed, one for the server and one for wrk; this process may use only one")
    return usable[0], usable[1]


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def child_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of what is measured: no PYTHON* setting of the caller's, and compiled bytecode always kept.

    A shell that forbids bytecode files would have every start compile the checkout anew, half as slow again.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return inherited | {"PYTHONPYCACHEPREFIX": str(BYTECODE)} | dict(extra or {})


class Server:
    """A running server: its port and its process tree."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.name, self.process, self.port, self.log = name, process, port, log

    def wait(self, call: Call, timeout_s: float) -> Answer:
        """The first answer to *call*, asked again every 2 ms until the server listens."""
        from .workloads import fetch  # which knows the data, whose servers are started from here

        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise BenchmarkError(f"{self.name} ended with status {self.process.returncode}; {self._last_words()}")
            try:
                return fetch(self.port, call)
            except (OSError, http.client.HTTPException):
                time.sleep(0.002)
        raise BenchmarkError(f"{self.name} did not answer within {timeout_s:g} s; {self._last_words()}")

    def cpu_s(self) -> float:
        """CPU seconds, user and system, used so far by the process and its descendants."""
        return sum(_cpu_ticks(pid) for pid in _tree(self.process.pid)) / TICKS_PER_S

    def pss_mb(self) -> float:
        """Memory of the process and its descendants in MB; what processes share is divided among them (PSS)."""
        return sum(_pss_kb(pid) for pid in _tree(self.process.pid)) / 1024

    def stop(self, grace_s: float = 3.0) -> None:
        """Ask the tree to end, then make it."""
        end_group(self.process, grace_s)

    def _last_words(self) -> str:
        text = self.log.read_text(errors="replace").strip()
        return "it printed:\n" + "\n".join(text.splitlines()[-15:]) if text else "it printed nothing"


def end_group(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask a process that leads a group to end with all below it, then make them."""
    pids = _tree(process.pid)
    _kill_group(process.pid, signal.SIGTERM)
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        pass
    _kill_group(process.pid, signal.SIGKILL)
    for pid in pids & _tree(os.getpid()):  # a worker that left the group but is still below this process
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()


@contextmanager
def serving(
    name: str, command: Sequence[str], *, port: int, log: Path, cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a server on the servers' core for as long as the block lasts; what it prints goes to *log*."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "-c", str(cores()[0]), *command],
            cwd=cwd,
            env=child_env(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(name, process, port, log)
    try:
        yield server
    finally:
        server.stop()


def interrupted(number: int, frame: object) -> NoReturn:
    """SIGTERM ends a run as Ctrl-C does, so that no server is left behind."""
    raise KeyboardInterrupt


def run_measurement(measurement: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> int:
    """Exit status 0, 1 when something could not be measured, 130 when interrupted."""
    signal.signal(signal.SIGTERM, interrupted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)  # W8's clients
    try:
        measurement(args)
    except BenchmarkError as exc:
        print(f"benchmarks: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks: interrupted; every server was ended", file=sys.stderr)
        return 130
    return 0


def _kill_group(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        pass


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command's name, which may itself hold spaces; empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu_ticks(pid: int) -> int:
    # utime, stime, cutime, cstime: fields 14 to 17 of proc(5), of which the first two are cut off here. The last
    # two hold what ended children used, so that the sum never falls when a worker is replaced.
    return sum(int(field) for field in _stat(pid)[11:15])


def _pss_kb(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def _tree(root: int) -> set[int]:
    """*root* and all processes below it."""
    parents = {
        int(entry.name): _stat(int(entry.name))[1:2] for entry in Path("/proc").iterdir() if entry.name.isdigit()
    }
    found, fresh = {root}, {root}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent and int(parent[0]) in fresh} - found
        found |= fresh
    return found
