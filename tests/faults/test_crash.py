"""R2: workers that die. The others' clients notice nothing; for what was written see test_db_crash.py."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time

from faults.load import Broken, Client, ask, request
from faults.started import DEADLINE_S, started, until

SEED = 20261122
BETWEEN_KILLS_S = 8.0  # five deaths in 30 s end the server: rightly, but not here


async def test_a_killed_worker_is_a_short_gap_and_costs_no_one_else_a_request(tmp_path, full, say):
    kills, clients, rate = (50, 40, 200) if full else (2, 20, 200)
    gaps_s, asked, lost_with_it = [], 0, 0
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    with started(tmp_path, workers=2) as server:
        victim = 0
        stop = asyncio.Event()

        async def client() -> None:
            """One keep-alive client; it knows which worker it talks to, and comes back when that is gone."""
            nonlocal asked, lost_with_it
            while not stop.is_set():
                connection = await Client.connect(server.port)  # refused by nobody, at no time
                pid = 0
                try:
                    while not stop.is_set():
                        answer = await connection.ask()
                        assert answer.status == 200
                        pid = answer.json["pid"]
                        asked += 1
                        await asyncio.sleep(clients / rate)
                except Broken:
                    assert pid in (0, victim), f"worker {pid} lost a request when {victim} was killed"
                    lost_with_it += 1
                finally:
                    connection.close()

        running = [asyncio.create_task(client()) for _ in range(clients)]
        for kill in range(kills):
            await asyncio.sleep(BETWEEN_KILLS_S if full else 0.7)
            ready, before = server.readies(), server.workers()
            victim = chance.choice(sorted(before))
            killed_s = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            while server.readies() == ready:
                await asyncio.sleep(0.005)
                assert time.monotonic() - killed_s < DEADLINE_S
            gaps_s.append(time.monotonic() - killed_s)
            assert len(server.workers() - before) == 1, kill
        await asyncio.sleep(0.3)
        stop.set()
        await asyncio.gather(*running)
        assert len({(await ask(server.port)).json["pid"] for _ in range(20)} - server.workers()) == 0

    gaps_s.sort()
    say(
        f"{kills} kills, {asked:,} requests answered, {lost_with_it} connections died with their worker, 0 others; "
        f"a new worker after {gaps_s[len(gaps_s) // 2] * 1e3:.0f} ms (median), {gaps_s[-1] * 1e3:.0f} ms (longest)"
    )
    # A time is a promise of the long form, which has a machine for itself.
    assert not full or (gaps_s[0] < 1.0 and gaps_s[-1] < 2.0)


def test_a_worker_that_blocks_its_loop_is_replaced(tmp_path):
    with started(tmp_path, workers=1, silence_s=3) as server:
        (before,) = server.workers()

        async def block() -> None:
            try:
                await ask(server.port, request("/api/block"))
            except Broken:
                return
            raise AssertionError("the endless loop has answered")

        asyncio.run(block())
        until(lambda: server.workers() - {before}, "another worker")
        assert asyncio.run(ask(server.port)).json["pid"] != before
        assert "has been silent" in server.log and "api/block/route.py" in server.log  # with its stack
