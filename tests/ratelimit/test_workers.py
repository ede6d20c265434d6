"""Real servers with several workers, under load: together they admit exactly the limit."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter

import pytest
from faults.load import Broken, Client, request
from faults.started import starting
from projects import make_project

# A handler that waits, so that no worker has used up the limit before the others have their clients.
ROUTE = """
import asyncio
import os

rate_limit = "150/day"

async def GET(request):
    await asyncio.sleep(0.01)
    return {"worker": os.getpid()}
"""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which only Linux has")


async def load(port: int, connections: int, each: int) -> list[tuple[int, int]]:
    """The status, and the worker where one said it, of each answer."""
    answers = []

    async def ask() -> None:
        client = await Client.connect(port)
        for _ in range(each):
            answer = await client.ask(request("/api/a"))
            answers.append((answer.status, answer.json.get("worker", 0)))
        client.close()

    await asyncio.gather(*(ask() for _ in range(connections)))
    return answers


@LINUX
def test_four_workers_admit_exactly_the_limit(tmp_path, shared_url):
    make_project(tmp_path, {"app/api/a/route.py": ROUTE})
    with starting(tmp_path, 4, env={"STORE_URL": shared_url}) as server:
        answers = asyncio.run(load(server.port, 40, 15))

    assert Counter(status for status, _ in answers) == {200: 150, 429: 450}
    assert len({worker for status, worker in answers if status == 200}) > 1


@LINUX
def test_without_a_setting_the_workers_of_production_share_a_file(tmp_path, monkeypatch):
    monkeypatch.delenv("STORE_URL", raising=False)
    make_project(tmp_path, {"app/api/a/route.py": ROUTE})
    with starting(tmp_path, 2) as server:
        answers = asyncio.run(load(server.port, 10, 30))

    assert Counter(status for status, _ in answers) == {200: 150, 429: 150}, server.log
    assert (tmp_path / "data/store.db").exists()


@LINUX
def test_a_worker_that_is_killed_takes_no_count_with_it(tmp_path, shared_url):
    import signal

    make_project(tmp_path, {"app/api/a/route.py": ROUTE})
    with starting(tmp_path, 2, env={"STORE_URL": shared_url}) as server:
        before = asyncio.run(load(server.port, 4, 20))
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)

        async def after() -> list[tuple[int, int]]:
            for _ in range(2_000):
                try:
                    return await load(server.port, 4, 40)
                except (Broken, ConnectionError, TimeoutError):
                    await asyncio.sleep(0.05)
            raise AssertionError("no worker came back")

        after_it = asyncio.run(after())

    assert Counter(status for status, _ in before) == {200: 80}
    # The first tries after the kill may have counted without an answer.
    assert 60 <= Counter(status for status, _ in after_it)[200] <= 70
