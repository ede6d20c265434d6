"""How much of a request is our own Python: CPU time of the native door without any socket.

Run:     python -m benchmarks.door                  (about 5 s, one core, no wrk)
Prints:  for the ceiling (peers/python/raw.py) and for the door in front of a constant answer, microseconds to turn
         the bytes of a request into the bytes of its answer: median and half the spread of 9 rounds; for W1 and for
         W1h. The socket costs the same for both and is left out, so the difference is what the door adds to a request.
         Steady even on a busy machine, since only this process's CPU time counts.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any, cast

import uvloop

from turnout.config import ServerConfig
from turnout.http.request import Request
from turnout.http.response import Response
from turnout.server.protocol import Serving

from .peers.python.raw import Connection as RawConnection
from .report import to_text
from .workloads import HELLO, WORKLOADS, Call


class Constant:
    """Answers everything with the same data, encoded anew each time."""

    async def fetch(self, request: Request) -> Response:
        return Response.json(HELLO)

    def sent(self, request: Request, response: Response) -> None: ...

    async def startup(self) -> None: ...

    def drain(self) -> None: ...

    async def shutdown(self) -> None: ...


class Wire:
    """Stands in for the transport: keeps what was last written."""

    sent = b""

    def write(self, data: bytes) -> None:
        self.sent = data

    def get_extra_info(self, name: str) -> None: ...

    def is_closing(self) -> bool:
        return False


def to_wire(call: Call) -> bytes:
    """The bytes of *call* as wrk sends them."""
    fields = {"Host": "127.0.0.1:8000", **call.headers}
    return "\r\n".join([f"GET {call.path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", ""]).encode()


def per_request_us(connection: asyncio.Protocol, data: bytes, loops: int, rounds: int) -> list[float]:
    """CPU microseconds from the request's bytes to the answer's, round by round."""
    wire, feed, times = Wire(), connection.data_received, []
    connection.connection_made(cast(Any, wire))
    for _ in range(rounds + 1):
        wire.sent, began = b"", time.process_time()
        for _ in range(loops):
            feed(data)
        times.append((time.process_time() - began) / loops * 1e6)
        assert wire.sent.endswith(b'\r\n\r\n{"message":"Hello World!"}')  # the right answer, every round
    return times[1:]


def measure(loop: asyncio.AbstractEventLoop, loops: int = 20_000, rounds: int = 9) -> None:
    """Measure and print; runs in a callback of the loop, as the real thing does."""
    doors: dict[str, Callable[[], asyncio.Protocol]] = {
        "raw": RawConnection,
        "door": Serving(Constant(), ServerConfig(), loop).connection,
    }
    rows = [["", "W1 µs", "±", "W1h µs", "±"]]
    for name, make in doors.items():
        row = [name]
        for workload in ("W1", "W1h"):
            times = per_request_us(make(), to_wire(WORKLOADS[workload].call), loops, rounds)
            row += [f"{statistics.median(times):.2f}", f"{(max(times) - min(times)) / 2:.2f}"]
        rows.append(row)
    print(to_text(rows))


async def main() -> None:
    """Measure in a callback, not in this task: a first step taken at once may not run inside another task."""
    done = asyncio.get_running_loop().create_future()

    def run() -> None:
        try:
            measure(asyncio.get_running_loop())
        except Exception as exc:
            done.set_exception(exc)
        else:
            done.set_result(None)

    asyncio.get_running_loop().call_soon(run)
    await done


if __name__ == "__main__":
    uvloop.run(main())
