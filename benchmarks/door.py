"""How much of a request is our own Python: CPU time of the native door and of the app, without any socket.

Run:     python -m benchmarks.door                  (about 10 s, one core, no wrk)
Prints:  for the ceiling (peers/python/raw.py), for the door in front of a constant answer and for the door in front of
         the app of apps/turnout, CPU microseconds to turn the bytes of a request into the bytes of its answer, by
         workload: median and half the spread of 9 rounds. The socket costs the same for all and is left out, so the
         differences are what the door, and then the app, add to a request. Steady even on a busy machine.
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
from turnout.project import load_project
from turnout.server.serving import Serving

from .environments import HERE
from .peers.python.raw import Connection as RawConnection
from .report import to_text
from .workloads import HELLO, WORKLOADS, Answer, Call, Workload, check_answer


class Constant:
    """Answers everything with the same data, encoded anew each time."""

    kept = None

    async def fetch(self, request: Request) -> Response:
        return Response.json(HELLO)

    def sent(self, request: Request, response: Response) -> None: ...

    async def startup(self) -> None: ...

    def drain(self) -> None: ...

    def healthy(self) -> bool:
        return True

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
    if call.body:
        fields["Content-Length"] = str(len(call.body))
    lines = [f"{call.method} {call.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", call.body]).encode()


def per_request_us(connection: asyncio.Protocol, workload: Workload, loops: int, rounds: int) -> list[float]:
    """CPU microseconds from the request's bytes to the answer's, round by round."""
    data, wire, feed, times = to_wire(workload.call), Wire(), connection.data_received, []
    connection.connection_made(cast(Any, wire))
    for _ in range(rounds + 1):
        wire.sent, began = b"", time.process_time()
        for _ in range(loops):
            feed(data)
        times.append((time.process_time() - began) / loops * 1e6)
        check_bytes(wire.sent, workload)
    return times[1:]


def check_bytes(sent: bytes, workload: Workload) -> None:
    """The right answer, every round."""
    head, _, body = sent.partition(b"\r\n\r\n")
    check_answer(workload.expected[0], Answer(int(head[9:12] or 0), "application/json", body))


def measure(loop: asyncio.AbstractEventLoop, loops: int = 10_000, rounds: int = 9) -> None:
    """Measure and print; runs in a callback of the loop, as the real thing does."""
    app = load_project(HERE / "apps" / "turnout", mode="production").app
    doors: dict[str, Callable[[], asyncio.Protocol]] = {
        "raw": RawConnection,
        "door": Serving(Constant(), ServerConfig(), loop).connection,
        "door and app": Serving(app, ServerConfig(), loop).connection,
    }
    workloads = [WORKLOADS[name] for name in ("W1", "W1h", "W2", "W3")]
    rows = [["", *(cell for each in workloads for cell in (f"{each.name} µs", "±"))]]
    for name, make in doors.items():
        row = [name]
        for workload in workloads:
            if name == "door" and workload.expected[0].data != HELLO:
                row += ["–", ""]
                continue
            times = per_request_us(make(), workload, loops, rounds)
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
