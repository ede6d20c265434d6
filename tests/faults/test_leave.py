"""R4: a client leaves, its work stops: handler cancelled, transaction rolled back, nothing left over."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from contextlib import AsyncExitStack

from faults.load import Broken, Client, ask, request
from faults.proxy import Fault, Proxy
from faults.started import DEADLINE_S, Started, started

SEED = 20261122
WAIT = request("/api/wait", b'{"text":"' + b"x" * 4_000 + b'"}')
STREAM = request("/api/stream?items=1000&ms=5")
ECHO = request("/api/echo", bytes(20_000))
LARGE = request("/api/large")
FULL_LENGTH = 8_000_000


async def settled(server: Started, before: dict[str, int]) -> dict[str, int]:
    """The worker's counts once they are back at *before*; as they are at the deadline if they are not."""
    give_up_s = time.monotonic() + DEADLINE_S
    while True:
        now = await counts(server)
        if all(now[name] <= before[name] for name in before) or time.monotonic() > give_up_s:
            return now
        await asyncio.sleep(0.05)


async def counts(server: Started) -> dict[str, int]:
    client = await Client.connect(server.port)
    await client.ask(request("/api/notes", b'{"text":"the pool works"}'))  # the writer, a reader and the loop are awake
    await client.ask(request("/api/notes"))
    census = (await client.ask(request("/api/census"))).json
    client.close()
    server.counted += 1
    return {name: census[name] for name in ("tasks", "files", "connections", "requests")}


def leave(sock: socket.socket, how: str) -> None:
    if how == "half-close":
        sock.shutdown(socket.SHUT_WR)
    else:
        if how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


async def test_clients_that_leave_at_random_points_leave_nothing_behind(tmp_path, full, say):
    cuts = 500 if full else 60
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    loop = asyncio.get_running_loop()
    left_s: list[float] = []
    with started(tmp_path) as server:
        before = await counts(server)
        for _ in range(cuts):
            data = chance.choice([WAIT, WAIT, STREAM, LARGE])
            how = chance.choice(["close", "reset", "half-close"])
            whole = chance.random() < 0.6
            sock = socket.socket()
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", server.port))
            await loop.sock_sendall(sock, data if whole else data[: chance.randrange(len(data))])
            if whole and data is not WAIT:
                await loop.sock_recv(sock, chance.randrange(1, 20_000))
            else:
                await asyncio.sleep(chance.random() * 0.01)
            if whole and data is WAIT:
                left_s.append(time.monotonic())
            leave(sock, how)
            if how == "half-close":
                await asyncio.sleep(0.02)
                sock.close()
        assert await settled(server, before) == before
        census = (await ask(server.port, request("/api/census"))).json
        # Only what counts() wrote; of the transactions that were open none was committed.
        assert (await ask(server.port, request("/api/notes"))).json["count"] == server.counted
        assert len(census["cancelled_at_s"]) == census["entered"] > (cuts // 10 if full else 0)
        say(f"{cuts} cuts, {census['entered']} in a handler: cancelled, rolled back; counts {before} as before")


async def test_a_handler_learns_within_100_ms_that_its_client_has_left(tmp_path, full, say):
    clients = 100 if full else 20
    took_s = []
    with started(tmp_path) as server:
        for number in range(clients):
            client = await Client.connect(server.port)
            client.transport.write(request("/api/wait") if number % 2 else WAIT)
            while (await ask(server.port, request("/api/census"))).json["entered"] <= number:
                pass
            left_s = time.monotonic()
            client.close()
            while len(noted := (await ask(server.port, request("/api/census"))).json["cancelled_at_s"]) <= number:
                pass
            took_s.append(noted[-1] - left_s)
    took_s.sort()
    middle_ms, most_ms = took_s[len(took_s) // 2] * 1e3, took_s[-1] * 1e3
    say(f"{clients} clients left: cancelled after {middle_ms:.1f} ms, at most {most_ms:.1f} ms")
    assert not full or took_s[-1] < 0.1  # a time is a promise of the long form, which has a machine for itself


async def test_a_bad_network_breaks_connections_and_nothing_else(tmp_path, full, say):
    each = 50 if full else 8
    faults = {
        "trickle up": (ECHO, Fault(piece=400, delay_s=0.001), Fault()),
        "trickle down": (LARGE, Fault(), Fault(piece=50_000, delay_s=0.001)),
        "delay": (ECHO, Fault(delay_s=0.1), Fault(delay_s=0.1)),
        "cut the request": (ECHO, Fault(after=100, then="cut"), Fault()),
        "reset the request": (ECHO, Fault(after=100, then="reset"), Fault()),
        "half-close the request": (ECHO, Fault(after=100, then="half-close"), Fault()),
        "cut the answer": (LARGE, Fault(), Fault(after=5_000, then="cut")),
        "reset the answer": (LARGE, Fault(), Fault(after=5_000, then="reset")),
        "half-close the answer": (LARGE, Fault(), Fault(after=5_000, then="half-close")),
    }
    outcomes: dict[str, set[str]] = {}
    with started(tmp_path, header_timeout_s=10, body_grace_s=10, write_stall_s=10, keep_alive_s=10) as server:
        before = await counts(server)

        async def through(port: int, data: bytes) -> str:
            try:
                answer = await ask(port, data)
            except Broken:
                return "broken"
            return f"{answer.status} {len(answer.body)}"

        async def meet(name: str) -> None:
            data, up, down = faults[name]
            async with Proxy(server.port, up=up, down=down) as proxy:
                outcomes[name] = set(await asyncio.gather(*(through(proxy.port, data) for _ in range(each))))

        await asyncio.gather(*(meet(name) for name in faults))
        assert await settled(server, before) == before
    for name, (data, up, down) in faults.items():
        # Slow is not broken, and nothing that was cut off is taken for whole.
        whole = "200 20000" if data is ECHO else f"200 {FULL_LENGTH}"
        assert outcomes[name] == {whole if up.after is down.after is None else "broken"}, name
    say(f"{len(faults)} faults x {each} clients: nothing cut off was taken for whole, counts {before} as before")


async def test_half_open_connections_end_although_the_client_never_says_so(tmp_path, full, say):
    each = 100 if full else 10
    kinds = {  # what is sent, and where the client vanishes: not a byte more, no end of file, no reset
        "in its head": (ECHO, Fault(after=50, then="black-hole"), Fault()),
        "in its body": (ECHO, Fault(after=300, then="black-hole"), Fault()),
        "in the answer": (LARGE, Fault(), Fault(after=5_000, then="black-hole")),
        "between requests": (request(), Fault(after=len(request()), then="black-hole"), Fault()),
    }
    with started(tmp_path, header_timeout_s=1, body_grace_s=1, write_stall_s=1, keep_alive_s=1) as server:
        before = await counts(server)
        async with AsyncExitStack() as proxies:
            for data, up, down in kinds.values():
                proxy = await proxies.enter_async_context(Proxy(server.port, up=up, down=down))
                for _ in range(each):
                    client = await Client.connect(proxy.port)
                    client.transport.write(data)
            for _ in range(200):
                if proxy.connections == each and (await counts(server))["connections"] >= each:
                    break
            assert await settled(server, before) == before  # while no client has closed
    say(f"{each} clients vanished in each of {len(kinds)} places; counts {before} as before")
