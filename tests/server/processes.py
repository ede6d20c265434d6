"""What the tests of processes share: start serve.py, ask it, wait for it. No times are judged, only given up on."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEADLINE_S = 90.0
QUICK = {"drain_delay_s": 0.1, "drain_s": 5, "heartbeat_s": 0.1}


def until(true: Callable[[], Any], what: str) -> Any:
    """The first true value of *true*; fails when there is none within the deadline."""
    give_up = time.monotonic() + DEADLINE_S
    while time.monotonic() < give_up:
        if value := true():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {DEADLINE_S:.0f} s: {what}")


class UnixConnection(http.client.HTTPConnection):
    """http.client over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=DEADLINE_S)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(self.path)


class Server:
    """A running serve.py."""

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        self.folder, self.options = folder, options
        (folder / "workers").mkdir(exist_ok=True)
        with (folder / "stderr").open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("serve.py")), str(folder), json.dumps(options)],
                stderr=stderr,
                start_new_session=True,
            )

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    def started(self) -> set[int]:
        """The process ids that ever began to serve."""
        return {int(file.name) for file in (self.folder / "workers").iterdir()}

    def alive(self) -> set[int]:
        return {pid for pid in self.started() if is_alive(pid)}

    def until_ready(self, workers: int = 1) -> None:
        until((self.folder / "port").exists, f"ready\n{self.stderr}")
        if self.options["workers"]:
            until(lambda: self.stderr.count(" is ready") >= workers, f"{workers} workers\n{self.stderr}")
        else:
            until(self.started, "the worker")

    def connect(self) -> http.client.HTTPConnection:
        if "unix" in self.options:
            return UnixConnection(self.options["unix"])
        return http.client.HTTPConnection("127.0.0.1", int((self.folder / "port").read_text()), timeout=DEADLINE_S)

    def get(self, path: str = "/") -> int:
        """The process id that answered one request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == 200
            return int(response.read())
        finally:
            connection.close()

    def get_later(self, path: str) -> Later:
        later = Later(self, path)
        until((self.folder / "entered").exists, f"a handler for {path}")
        (self.folder / "entered").unlink()
        return later

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def exit_status(self) -> int:
        return self.process.wait(DEADLINE_S)


class Later(threading.Thread):
    """A request under way; ``answer`` waits for its outcome."""

    def __init__(self, server: Server, path: str) -> None:
        super().__init__(daemon=True)
        self.server, self.path = server, path
        self.outcome: int | Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self.server.get(self.path)
        except (OSError, http.client.HTTPException) as exc:
            self.outcome = exc

    def answer(self) -> int | Exception | None:
        self.join(DEADLINE_S)
        return self.outcome


class Load:
    """Clients that ask one request after the other, each on a new connection, and note what became of them."""

    def __init__(self, server: Server, clients: int = 2) -> None:
        self.server, self.clients = server, clients
        self.answers: list[int] = []
        self.failures: list[Exception] = []
        self._enough = threading.Event()

    def _run(self) -> None:
        while not self._enough.is_set():
            try:
                self.answers.append(self.server.get())
            except (OSError, http.client.HTTPException) as exc:
                self.failures.append(exc)
            time.sleep(0.002)

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)

    def until_more(self, count: int = 20, by: set[int] | None = None) -> None:
        """Wait for *count* more answers, from the processes *by* if given."""

        def so_far() -> int:
            return sum(by is None or pid in by for pid in self.answers)

        wanted = so_far() + count
        until(lambda: so_far() >= wanted, f"{count} more answers; failures: {self.failures[-3:]}")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")  # a zombie nobody waits for, as in a container without init, has ended
        return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
    except (ProcessLookupError, FileNotFoundError):
        return False


@contextmanager
def serving(folder: Path, workers: int = 2, settings: dict[str, Any] | None = None, **options: Any) -> Iterator[Server]:
    """A server that is ready, and gone afterwards."""
    with starting(folder, workers, settings, **options) as server:
        server.until_ready(max(workers, 1))
        yield server


@contextmanager
def starting(
    folder: Path, workers: int = 2, settings: dict[str, Any] | None = None, **options: Any
) -> Iterator[Server]:
    """A server of which nothing is known yet."""
    server = Server(folder, {"workers": workers, "settings": QUICK | (settings or {}), **options})
    try:
        yield server
    finally:
        for pid in server.alive():
            os.kill(pid, signal.SIGKILL)
        server.process.kill()
        server.process.wait()
