"""Several processes at one store: nothing is counted twice, nothing lost, everybody hears."""

from __future__ import annotations

import asyncio

from turnout.store import connect

BEGIN = """
import asyncio, sys
from turnout.store import connect

async def main():
    store = connect(sys.argv[1])
    await store.get("open")
    print("ready", flush=True)
    sys.stdin.readline()
"""
END = """
    await store.close()

asyncio.run(main())
"""


def test_four_processes_count_to_the_right_sum(shared_url, processes):
    work = """
    for _ in range(10):
        await asyncio.gather(*(store.increment("n") for _ in range(25)))
"""
    processes(4, BEGIN + work + END, shared_url)

    async def total() -> bytes | None:
        store = connect(shared_url)
        try:
            return await store.get("n")
        finally:
            await store.close()

    assert asyncio.run(total()) == b"1000"


def test_four_processes_swap_without_losing_one(shared_url, processes):
    work = """
    swapped = 0
    while swapped < 100:
        old = await store.get("n")
        swapped += await store.compare_and_set("n", old, b"%d" % (int(old or b"0") + 1), 60)
    print(await store.add("lease", sys.argv[1].encode()))
"""
    said = processes(4, BEGIN + work + END, shared_url)

    async def total() -> bytes | None:
        store = connect(shared_url)
        try:
            return await store.get("n")
        finally:
            await store.close()

    assert asyncio.run(total()) == b"400"
    assert sorted(said) == ["False\n"] * 3 + ["True\n"]


def test_four_processes_take_exactly_the_limit(shared_url, processes):
    work = """
    taken = []
    for _ in range(5):
        taken += await asyncio.gather(*(store.take("a", 3_600_000_000, 137) for _ in range(20)))
    print(sum(each.granted for each in taken))
"""
    said = processes(4, BEGIN + work + END, shared_url)

    assert sum(map(int, said)) == 137


async def test_what_other_processes_publish_is_heard(shared_url, processes):
    work = """
    for each in range(50):
        await store.publish("news", b"%d" % each)
"""
    store = connect(shared_url)
    async with store.subscribe("news") as messages:
        await asyncio.to_thread(processes, 3, BEGIN + work + END, shared_url)
        async with asyncio.timeout(60):
            heard = [int(await anext(messages)) for _ in range(150)]
    await store.close()

    assert sorted(heard) == sorted(list(range(50)) * 3)
