"""Tasks under real workers, and real deaths: none lost, none started twice, a tick once in all workers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.load import Broken, Client, request
from faults.started import Started, starting

from turnout.db.local import LocalPostgres

from .world import TOO_OLD, make, put, rows, until

FULL = os.environ.get("TURNOUT_FAULTS") == "full"
pytestmark = [pytest.mark.faults, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


@pytest.fixture(params=["sqlite", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str | Path, dict[str, str]]]:
    """The project, the place of its database, and the environment that its server needs."""
    if request.param == "sqlite":
        if TOO_OLD:
            pytest.skip("DBOS cannot use this SQLite")
        root = make(tmp_path / "project")
        yield root, root / "data/app.db", {}
        return
    folder = Path(tempfile.mkdtemp(prefix="turnout-pg-"))
    server = LocalPostgres(folder, {"fsync": "off"})
    server.start()
    try:
        yield make(tmp_path / "project", server.url()), server.url(), {"DATABASE_URL": server.url()}
    finally:
        server.stop("immediate")
        shutil.rmtree(folder)


async def order(client: Client, n: int, **more: bool) -> int:
    words = "".join(f',"{name}":true' for name in more)
    answer = await client.ask(request("/api/orders", f'{{"n":{n}{words}}}'.encode()))
    return answer.status


def done(place: str | Path) -> set[int]:
    return {row["n"] for row in rows(place, "select n from effects")}


def test_each_task_runs_once_and_each_tick_fires_once_in_all_workers(project):
    root, place, env = project
    with starting(root, workers=3, env=env) as server:

        async def orders() -> None:
            client = await Client.connect(server.port)
            for n in range(1, 41):
                assert await order(client, n) == 201
            for n in range(41, 51):
                assert await order(client, n, refuse=True) == 409
            client.close()

        asyncio.run(orders())
        until(lambda: done(place) == set(range(1, 41)), "40 tasks")
        until(lambda: len(rows(place, "select due from ticks")) >= 4, "4 ticks")
        assert server.stop() == 0
    assert {row["times"] for row in rows(place, "select times from effects")} == {1}
    runs = Counter(row["n"] for row in rows(place, "select n from runs"))
    assert runs == {n: 2 if n % 7 == 0 else 1 for n in range(1, 41)}  # every seventh fails at first
    assert not rows(place, "select id from _turnout_outbox")
    ticks = Counter(row["due"] for row in rows(place, "select due from ticks"))
    seconds = [int(second) for second in ticks]
    assert len(rows(place, "select due from ticks")) <= max(seconds) - min(seconds) + 2  # a late one shares its second


def test_another_worker_takes_over_what_a_dead_one_was_at(project):
    root, place, env = project
    with starting(root, workers=2, env=env) as server:
        put(server.port, "linger", 1, 4)
        pid = until(lambda: rows(place, "select pid from runs"), "its beginning")[0]["pid"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: done(place) == {1}, "its end")
        pids = [row["pid"] for row in rows(place, "select pid from runs")]
        assert len(pids) == 2 and pids[1] != pid
        assert server.stop() == 0
    assert rows(place, "select times from effects") == [{"times": 1}]


def test_no_acknowledged_task_is_lost_at_kill_9(project, capsys):
    root, place, env = project
    kills, each = (100, 40) if FULL else (3, 15)
    numbers = itertools.count(1)
    acknowledged: set[int] = set()
    dice = random.Random(20261122)

    async def write(server: Started, target: int) -> None:
        with contextlib.suppress(Broken):
            client = await Client.connect(server.port)
            while len(acknowledged) < target + 1_000:
                n = next(numbers)
                if await order(client, n) == 201:
                    acknowledged.add(n)

    async def round_of(server: Started, kill: int) -> None:
        target = len(acknowledged) + each
        writers = [asyncio.create_task(write(server, target)) for _ in range(4)]
        while len(acknowledged) < target:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        if kill % 3 == 1:  # one worker alone, while the others go on
            os.kill(dice.choice(sorted(server.workers())), signal.SIGKILL)
            await asyncio.sleep(0.3)
        server.kill()
        await asyncio.gather(*writers)

    for kill in range(kills):
        with starting(root, workers=2, env=env) as server:
            asyncio.run(round_of(server, kill))
    with starting(root, workers=2, env=env) as server:
        until(lambda: acknowledged <= done(place), "every acknowledged task", 300)
        until(lambda: not rows(place, "select id from _turnout_outbox"), "an empty outbox")
        assert server.stop() == 0
    ordered = {row["n"] for row in rows(place, "select n from orders")}
    effects = done(place)
    again = len(rows(place, "select n from effects where times > 1"))
    text = (
        f"{kills} kills, {len(acknowledged)} acknowledged, {len(acknowledged - effects)} lost, "
        f"{len(effects - ordered)} without their order, {again} had their effect again after a death in the middle"
    )
    with capsys.disabled() if FULL else contextlib.nullcontext():
        print(f"\n  {text}")
    assert effects == ordered  # neither an order without its task, nor a task without its order
