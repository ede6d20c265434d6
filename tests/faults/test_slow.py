"""R6: slow, silent and vanished clients cost the others nothing, and end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from faults.load import ask, offer, request, summary
from faults.started import open_files, raise_file_limit, resident_kb, started, until

SLOW_BODY = request("/api/echo", bytes(100_000))[:-100_000]


@asynccontextmanager
async def sockets(
    count: int, port: int, begin: bytes = b"", receive_buffer: int = 0
) -> AsyncIterator[list[socket.socket]]:
    """*count* connections that have sent *begin*; their local addresses repeat every 20,000."""
    loop, opened = asyncio.get_running_loop(), []
    try:
        for _ in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            opened.append(sock)
            await loop.sock_connect(sock, ("127.0.0.1", port))
            if begin:
                await loop.sock_sendall(sock, begin)
        yield opened
    finally:
        for sock in opened:
            sock.close()


async def trickle(socks: list[socket.socket], piece: bytes, every_s: float) -> None:
    """Send one small piece on every socket, again and again."""
    while True:
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.send(piece)
        await asyncio.sleep(every_s)


async def sip(socks: list[socket.socket], count: int, every_s: float) -> None:
    """Read a few bytes of every socket, again and again."""
    while True:
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.recv(count)
        await asyncio.sleep(every_s)


def gone(pid: int, files: int) -> int:
    """Wait for the end of the slow clients; how many of the files that they held are left."""
    until(lambda: open_files(pid) - files < 10, "the end of the slow clients")
    return open_files(pid) - files


def drain(sock: socket.socket) -> int:
    """How many bytes are still there for *sock*, up to the reset."""
    count = 0
    sock.setblocking(True)
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(65_536):
            count += len(data)
    return count


async def test_slow_clients_do_not_slow_the_others_and_are_ended(tmp_path, full, say):
    each = 334 if full else 60
    seconds, patience_s = (6, 10) if full else (2.5, 4)
    raise_file_limit(20_000)
    times = dict.fromkeys(("header_timeout_s", "body_grace_s", "write_stall_s"), patience_s)
    with started(tmp_path, max_in_flight=2_000, **times) as server:
        (pid,) = server.workers()
        await ask(server.port)
        alone = await offer(server.port, 200, seconds / 2)
        files = open_files(pid)
        async with (
            sockets(each, server.port, b"GET /api/hello HTTP/1.1\r\nHost: local") as headers,
            sockets(each, server.port, SLOW_BODY) as bodies,
            sockets(each, server.port, request("/api/large"), receive_buffer=4_096) as readers,
        ):
            slowness = [
                asyncio.create_task(trickle(headers, b"h", 0.5)),
                asyncio.create_task(trickle(bodies, b"b", 0.5)),
                asyncio.create_task(sip(readers, 1, 0.5)),
            ]
            await asyncio.to_thread(
                until, lambda: open_files(pid) - files > 2 * each, "the arrival of the slow clients"
            )
            await asyncio.sleep(
                2 if full else 0
            )  # until megabytes for each reader are in the kernel: work, but not slow
            among = await offer(server.port, 200, seconds)
            left = await asyncio.to_thread(gone, pid, files)
            for task in slowness:
                task.cancel()
            # A reset frees what the kernel held for them (up to 4 MB each); a close would have it wait for its reader.
            assert max([drain(sock) for sock in readers]) < 500_000
        assert [outcome.status for outcome in among] == [200] * len(among)
        say(f"{3 * each} slow sockets, {left} left at the end. Others: {summary(among)}; alone: {summary(alone)}")


async def test_silent_sockets_up_to_twice_the_cap_do_not_keep_a_new_client_out(tmp_path, full, say):
    cap = 500 if full else 100
    raise_file_limit(20_000)
    with started(tmp_path, header_timeout_s=2, max_connections=cap) as server:
        async with sockets(2 * cap, server.port):
            begun_s = time.monotonic()
            answer = await ask(server.port)
            took_s = time.monotonic() - begun_s
        assert answer.status == 200
        say(f"{2 * cap} silent sockets, room for {cap}: a new client was answered after {took_s:.1f} s")
        assert not full or took_s < 10  # the header time-out, and a little: idle ones make room even sooner


async def test_idle_connections_cost_memory_and_nothing_else(tmp_path, full, say):
    wanted = 10_000 if full else 500
    limit = raise_file_limit(20_000)
    count = min(wanted, limit * 7 // 10)
    with started(tmp_path, workers=1, keep_alive_s=300, header_timeout_s=300, max_connections=count + 100) as server:
        (pid,) = server.workers()
        for _ in range(50):
            await ask(server.port)
        before_kb, files = resident_kb(pid), open_files(pid)
        async with sockets(count, server.port, request()) as idle:
            for sock in idle:
                assert (await asyncio.get_running_loop().sock_recv(sock, 4_096)).startswith(b"HTTP/1.1 200")
            held_kb = resident_kb(pid) - before_kb
            assert open_files(pid) - files > count - 20  # those before are among the files
            among = await offer(server.port, 200, 3 if full else 1)
            assert [outcome.status for outcome in among] == [200] * len(among)
        until(lambda: open_files(pid) - files < 10, "the end of the idle connections")
        say(f"{count} idle connections: {held_kb / count:.1f} KiB each in the worker. Others: {summary(among)}")
        assert held_kb / count < 40
