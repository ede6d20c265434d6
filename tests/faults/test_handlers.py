"""R5: handlers that do not end are ended, or counted until their worker is replaced."""

from __future__ import annotations

import asyncio
import time

from faults.load import Client, ask, request
from faults.started import DEADLINE_S, started

THREADS = 4


async def tasks(port: int) -> int:
    """The worker's tasks, asked on a connection that is not still being accepted."""
    client = await Client.connect(port)
    await client.ask()
    count = (await client.ask(request("/api/census"))).json["tasks"]
    client.close()
    return count


async def test_an_endless_handler_is_a_503_and_leaves_no_task(tmp_path):
    with started(tmp_path) as server:
        before = await tasks(server.port)

        answers = await asyncio.gather(
            *(ask(server.port, request("/api/endless")) for _ in range(20)),
            *(ask(server.port, request("/api/endless?stubborn=1")) for _ in range(5)),
        )

        assert [answer.status for answer in answers] == [503] * 25
        assert {answer.json["code"] for answer in answers} == {"handler_timeout"}
        # The stubborn ones, cancelled once and still there, are known and counted; that is all one can do.
        give_up_s = time.monotonic() + DEADLINE_S
        while (left := await tasks(server.port)) != before + 5:
            assert time.monotonic() < give_up_s, (before, left)


async def test_threads_that_never_end_are_counted_refused_when_full_and_end_their_worker(tmp_path, say):
    # stuck: over max_duration_s, with nobody waiting for it any more
    with started(tmp_path, max_duration_s=2, sync_threads=THREADS) as server:
        (old,) = server.workers()
        stuck = []
        for _ in range(THREADS):
            stuck.append(asyncio.create_task(ask(server.port, request("/api/thread?stuck"))))
            assert not (await asyncio.wait(stuck, timeout=0.1))[0]
        full = await ask(server.port, request("/api/thread"))
        assert full.status == 503 and full.headers["retry-after"] == "1" and full.json["code"] == "overloaded"
        assert (await ask(server.port)).status == 200  # what needs no thread goes on

        answers = await asyncio.gather(*stuck)
        assert [answer.json["code"] for answer in answers] == ["handler_timeout"] * THREADS

        failed = asked = 0
        while old in server.workers():
            asked += 1
            failed += (await ask(server.port)).status != 200
            await asyncio.sleep(0.02)
        assert (await ask(server.port, request("/api/thread"))).status == 200
        say(f"{THREADS} of {THREADS} threads stuck: replaced, {failed} of {asked} other requests failed meanwhile")
        assert failed == 0 and "is being replaced" in server.log
        assert server.stop() == 0
