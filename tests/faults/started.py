"""A real ``turnout start`` of the sample beside this file: its processes, files and memory, seen from outside."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parent / "sample"
DEADLINE_S = 90.0
QUICK = {"drain_delay_s": 0.1, "drain_s": 10, "heartbeat_s": 0.2}


def until(true: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """The first true value of *true*; fails when there is none in time."""
    give_up = time.monotonic() + deadline_s
    while time.monotonic() < give_up:
        if value := true():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {deadline_s:.0f} s: {what}")


def make(root: Path, *, sync_threads: int = 4, **settings: Any) -> Path:
    """A copy of the sample in *root*, with *settings* of [tool.turnout.server] and an empty table."""
    shutil.copytree(SAMPLE, root, ignore=shutil.ignore_patterns("__pycache__", "data"), dirs_exist_ok=True)
    lines = [f"{name} = {value}" for name, value in (QUICK | settings).items()]
    with (root / "pyproject.toml").open("a") as file:
        file.write("\n".join([f"sync_threads = {sync_threads}", "", "[tool.turnout.server]", *lines, ""]))
    (root / "data").mkdir(exist_ok=True)
    add_table(root / "data/app.db")
    return root


def add_table(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("create table if not exists notes (id integer primary key, text text not null)")
        connection.commit()


class Started:
    """A running server."""

    def __init__(self, root: Path, workers: int, port: int, before: Sequence[str], python: str, env: dict[str, str]):
        self.root, self.count, self.counted = root, workers, 0
        self.log_file = root / "log"
        command = [*before, python, "-m", "turnout", "start", str(root), "--port", str(port), "--workers", str(workers)]
        with self.log_file.open("a") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **env}
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()[self._log_start :]

    def until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log
            return "ready on http" in self.log and len(self.workers()) == self.count and self.readies() >= self.count

        until(ready, f"ready: {self.log}")
        found = re.search(r"ready on http://127\.0\.0\.1:(\d+)", self.log)
        assert found
        self.port = int(found[1])

    def readies(self) -> int:
        """How many workers have ever become ready."""
        return len(re.findall(r"worker \d+ is ready", self.log))

    def workers(self) -> set[int]:
        """The process ids of the workers that live."""
        try:
            return children(self.process.pid)
        except OSError:
            return set()

    def kill(self) -> None:
        """Kill every process at once, as when the power goes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        """Drain; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)


@contextmanager
def starting(
    root: Path,
    workers: int = 1,
    *,
    port: int = 0,
    before: Sequence[str] = (),
    python: str = sys.executable,
    env: dict[str, str] | None = None,
) -> Iterator[Started]:
    """A server that is ready, and gone afterwards; it must have logged no traceback."""
    server = Started(root, workers, port, before, python, env or {})
    try:
        server.until_ready()
        yield server
        # The driver's pool shows its own when it cannot reach a database that is away; it goes on trying.
        lines = (line for line in server.log.splitlines() if '"logger":"asyncpg.pool"' not in line)
        errors = [line[:600] for line in lines if "Traceback" in line]
        assert not errors, (len(errors), errors[:3])
    finally:
        server.kill()


@contextmanager
def started(folder: Path, workers: int = 1, *, before: Sequence[str] = (), **settings: Any) -> Iterator[Started]:
    """A server on a fresh copy of the sample."""
    with starting(make(folder / "project", **settings), workers, before=before) as server:
        yield server


def children(pid: int) -> set[int]:
    """The child processes of *pid* that are no zombies."""
    pids = (int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return {each for each in pids if state(each) not in "ZX"}


def state(pid: int) -> str:
    """The letter of a process's state; X if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def resident_kb(pid: int) -> int:
    """Memory of *pid* that is in RAM and its own, in KiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(number) for number in re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB", text, re.M))


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def raise_file_limit(wanted: int) -> int:
    """Raise this process's limit on open files, and with it that of every process it starts; the limit got."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
        except (OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
