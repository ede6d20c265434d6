"""R15: nothing grows: memory, objects, files and tasks after very many requests, and after clients that leave."""

from __future__ import annotations

import asyncio
import random
import time
from itertools import cycle

import pytest
from faults.load import Client, request
from faults.started import open_files, resident_kb, started

MIX = [
    *[request()] * 4,
    *[request("/api/items/7?q=abc&limit=3")] * 2,
    request("/api/items/8?q=def", None, "Cookie: a=b", "Accept: application/json", "User-Agent: soak"),
    request("/api/nothing"),
    request("/api/notes"),
    request("/api/notes", b'{"text":1}'),
    request("/api/echo", b'{"a":[1,2,3]}'),
    request("/api/form", b"--x"),
    request("/api/stream?items=3&ms=0"),
    request("/api/sleep?ms=1"),
    request("/api/thread"),
]
STATUSES = {200, 404, 422, 415}
CLIENTS = 16
FIRST = 100_000  # after which what is made once has been made
GROWTH_KB = 5_000


async def ask_many(port: int, count: int) -> int:
    """*count* requests of the mix over a few connections, each used for a thousand; how many were answered well."""
    asked = good = 0
    requests = cycle(MIX)

    async def one() -> None:
        nonlocal asked, good
        while asked < count:
            client = await Client.connect(port)
            for _ in range(1_000):
                if asked >= count:
                    break
                asked += 1
                answer = await client.ask(next(requests))
                good += answer.status in STATUSES
            client.close()

    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    return good


async def leave_many(port: int, count: int, seed: int) -> None:
    """*count* clients that leave in the middle of something."""
    chance = random.Random(seed)
    choices = [
        request("/api/wait"),
        request("/api/wait", b"{}"),
        request("/api/stream?items=1000"),
        request("/api/large"),
    ]

    async def one() -> None:
        client = await Client.connect(port)
        data = chance.choice(choices)
        client.transport.write(data if chance.random() < 0.7 else data[: chance.randrange(len(data))])
        await asyncio.sleep(chance.random() * 0.01)
        client.close()

    for _ in range(count // CLIENTS):
        await asyncio.gather(*(one() for _ in range(CLIENTS)))


async def census(port: int) -> dict[str, int]:
    """The worker's own count, once nothing of the load is left."""
    client = await Client.connect(port)
    await client.ask()  # by the second request its arrival is over
    for _ in range(1_200):
        counts = (await client.ask(request("/api/census"))).json
        if counts["connections"] == 1 >= counts["requests"]:  # itself, where it is counted at all
            break
        await asyncio.sleep(0.05)
    client.close()
    return counts


def constant(before: dict, after: dict) -> None:
    """Asserts that nothing is left of the requests between two counts."""
    for name in ("tasks", "files", "connections", "requests"):
        assert after[name] == before[name], (name, before[name], after[name])
    grown = {kind: count - before["kinds"].get(kind, 0) for kind, count in after["kinds"].items()}
    # A thread that is only now begun is some twenty objects; one left by every request would be thousands.
    assert after["objects"] - before["objects"] < 400, {kind: by for kind, by in grown.items() if by > 5}


@pytest.mark.soak
async def test_many_requests_leave_nothing_behind(tmp_path, full, say):
    total, first = (1_000_000, FIRST) if full else (20_000, 5_000)
    with started(tmp_path, max_in_flight=1_000, sync_threads=CLIENTS) as server:
        (pid,) = server.workers()
        begun_s = time.monotonic()
        assert await ask_many(server.port, first) == first
        before, before_kb = await census(server.port), resident_kb(pid)
        steps = []
        for _ in range(9 if full else 3):
            count = (total - first) // (9 if full else 3)
            assert await ask_many(server.port, count) == count
            steps.append(resident_kb(pid))
        after, took_s = await census(server.port), time.monotonic() - begun_s
        say(
            f"{total:,} requests in {took_s:.0f} s. Memory after the first {first:,}: {before_kb} KiB, "
            f"then {steps}; objects {before['objects']} -> {after['objects']}, tasks {after['tasks']}, "
            f"files {after['files']}"
        )
        constant(before, after)
        assert max(steps) - before_kb < GROWTH_KB
        assert server.workers() == {pid}


@pytest.mark.soak
async def test_many_clients_that_leave_leave_nothing_behind(tmp_path, full, say):
    total, first = (10_000, 2_000) if full else (800, 400)
    with started(tmp_path, max_in_flight=1_000, sync_threads=CLIENTS) as server:
        (pid,) = server.workers()
        await leave_many(server.port, first, 1)
        before, before_kb = await census(server.port), resident_kb(pid)
        await leave_many(server.port, total - first, 2)
        after, after_kb = await census(server.port), resident_kb(pid)
        say(
            f"{total:,} clients left. Memory after the first {first:,}: {before_kb} KiB, then {after_kb} KiB; objects "
            f"{before['objects']} -> {after['objects']}, tasks {after['tasks']}, files {open_files(pid)}"
        )
        # The sample itself notes when each handler was cancelled: numbers, which are no tracked objects.
        constant(before, after)
        assert after_kb - before_kb < GROWTH_KB
