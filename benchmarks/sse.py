"""Many clients of one stream of server-sent events: how many events arrive, and how evenly.

Run:     python benchmarks/sse.py PORT PATH CLIENTS SECONDS     (load.py does, pinned to the load generator's core)
Prints:  "open" once each client has had its first event; SECONDS later a JSON object: events, seconds, and the 99th
         percentile of the milliseconds between two reads of one client, which is the interval of the events if the
         server keeps up. Ends with status 1 and a sentence if a client is not served.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections.abc import Callable

EVENT = b"data:"


def connect(port: int, path: str, clients: int) -> dict[int, socket.socket]:
    """Clients that have sent their request."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n".encode()
    opened = {}
    for _ in range(clients):
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        client.sendall(request)
        client.setblocking(False)
        opened[client.fileno()] = client
    return opened


def read_until(
    clients: dict[int, socket.socket], poll: select.epoll, end: Callable[[], bool], seen: Callable[[int, bytes], None]
) -> None:
    """Give what clients receive to *seen*, until *end*."""
    while not end():
        for number, _ in poll.poll(0.05):
            data = clients[number].recv(65_536)
            if not data:
                raise SystemExit("the server closed a stream")
            seen(number, data)


def main(port: int, path: str, count: int, seconds: float) -> None:
    """Open, settle, count."""
    clients, poll = connect(port, path, count), select.epoll()
    for number in clients:
        poll.register(number, select.EPOLLIN)
    served: set[int] = set()

    def first(number: int, data: bytes) -> None:
        if b"HTTP/1.1 " in data and b"HTTP/1.1 200" not in data:
            raise SystemExit(f"a client got {data.splitlines()[0].decode('latin-1')}")
        if EVENT in data:
            served.add(number)

    deadline = time.monotonic() + 20
    read_until(clients, poll, lambda: len(served) == count or time.monotonic() > deadline, first)
    if len(served) < count:
        raise SystemExit(f"only {len(served)} of {count} clients had an event within 20 s")
    print("open", flush=True)

    events, gaps, last = 0, [], dict.fromkeys(clients, 0.0)

    def count_events(number: int, data: bytes) -> None:
        nonlocal events
        now = time.monotonic()
        events += data.count(EVENT)
        if last[number]:
            gaps.append(now - last[number])
        last[number] = now

    began = time.monotonic()
    read_until(clients, poll, lambda: time.monotonic() > began + seconds, count_events)
    took = time.monotonic() - began
    if not gaps:
        raise SystemExit("no event came")
    gaps.sort()
    print(json.dumps({"events": events, "seconds": took, "p99_gap_ms": gaps[int(len(gaps) * 0.99)] * 1000}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
