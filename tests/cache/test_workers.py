"""Four real workers: they share what one of them made, and all hear that it is over."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest
from faults.load import Client, request
from faults.started import starting
from projects import make_project

FILES = {
    "app/page/route.py": """
        import os, time
        revalidate = 3600

        async def GET(request):
            return {"worker": os.getpid(), "made": time.time_ns()}
    """,
    "app/who/route.py": """
        import os
        async def GET(request):
            return {"worker": os.getpid()}
    """,
    "app/change/route.py": """
        from turnout import revalidate_path
        async def POST(request):
            await revalidate_path("/page")
    """,
}
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which only Linux has")


async def each_worker(port: int, workers: int) -> list[Client]:
    """A connection to every worker."""
    found: dict[int, Client] = {}
    others: list[Client] = []  # kept open meanwhile: a new connection goes to whoever has few
    for _ in range(5_000):
        client = await Client.connect(port)
        worker = (await client.ask(request("/who"))).json["worker"]
        others.append(found.pop(worker, client))
        found[worker] = client
        if len(found) == workers:
            for other in others:
                if other is not client and other not in found.values():
                    other.close()
            return list(found.values())
        await asyncio.sleep(0.01)
    raise AssertionError(f"only {len(found)} workers answer")


@LINUX
def test_all_workers_give_the_answer_that_one_made_until_it_is_revalidated(tmp_path, shared_url):
    make_project(tmp_path, FILES)

    async def story(port: int) -> None:
        clients = await each_worker(port, 4)
        made = [(await client.ask(request("/page"))).json["made"] for client in clients]
        assert len(set(made)) == 1
        for _ in range(5):
            await clients[0].ask(request("/change", b"{}"))
            fresh: set[int] = set()
            for client in clients:
                for _ in range(10_000):
                    now = (await client.ask(request("/page"))).json["made"]
                    if now not in made:
                        break
                    await asyncio.sleep(0.005)
                fresh.add(now)
            assert len(fresh) == 1 and not fresh & set(made)
            made.extend(fresh)
        for client in clients:
            client.close()

    with starting(tmp_path, 4, env={"STORE_URL": shared_url}) as server:
        asyncio.run(story(server.port))


HEARD_S = 3  # far more than it takes; benchmarks/cache.py tells how long that is


@LINUX
def test_under_changes_no_worker_gives_an_answer_from_before_a_change_that_it_has_heard_of(tmp_path, shared_url):
    make_project(tmp_path, FILES)
    changes: list[tuple[int, int]] = []  # when each was sent, and when it was acknowledged
    reads: list[tuple[int, int]] = []  # when each was asked, and when what it got was made

    async def story(port: int) -> None:
        clients = await each_worker(port, 4)
        done = asyncio.Event()

        async def read(client: Client) -> None:
            while not done.is_set():
                asked = time.time_ns()
                reads.append((asked, (await client.ask(request("/page"))).json["made"]))

        readers = [asyncio.ensure_future(read(client)) for client in clients]
        changer = await Client.connect(port)
        for _ in range(150):
            sent = time.time_ns()
            await changer.ask(request("/change", b"{}"))
            changes.append((sent, time.time_ns()))
            await asyncio.sleep(0.01)
        await asyncio.sleep(HEARD_S + 0.2)
        done.set()
        await asyncio.gather(*readers)
        for client in (changer, *clients):
            client.close()

    with starting(tmp_path, 4, env={"STORE_URL": shared_url}) as server:
        asyncio.run(story(server.port))
    for asked, made in reads:
        heard = max((sent for sent, acknowledged in changes if acknowledged + HEARD_S * 10**9 < asked), default=0)
        assert made >= heard
    assert len({made for _, made in reads}) > 50
