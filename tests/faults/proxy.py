"""A TCP proxy that does to a connection what networks do: delay, cut, half-close, reset, trickle, black hole.

    async with Proxy(port, up=Fault(after=40, then="reset")) as proxy: ... proxy.port

``up`` is what happens to the client's bytes, ``down`` to the server's. Every connection meets the same.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Literal

Both = tuple[asyncio.StreamWriter, asyncio.StreamWriter]
Then = Literal["cut", "half-close", "reset", "black-hole"]


@dataclass(frozen=True)
class Fault:
    """What happens to the bytes of one direction.

    Args:
        delay_s: Before each piece is passed on, in seconds.
        piece: Bytes passed on at a time; 1 with a delay is a trickle.
        after: Bytes that pass before *then* happens; None: it never does.
        then: cut closes both sides, half-close ends this direction only, reset sends both a reset,
            and a black hole passes nothing on any more and tells nobody.
    """

    delay_s: float = 0.0
    piece: int = 65_536
    after: int | None = None
    then: Then = "cut"


class Proxy:
    """Listens on a port of its own and passes on to ``port``."""

    def __init__(self, port: int, *, up: Fault = Fault(), down: Fault = Fault()) -> None:
        self._target, self._up, self._down = port, up, down
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._connect(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._target)
        both = (writer, onward_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, onward_writer, self._up, both))
                group.create_task(self._pass(onward_reader, writer, self._down, both))
        except* (ConnectionError, _Cut):
            pass
        finally:
            for each in both:
                each.transport.abort()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        fault: Fault,
        both: Both,
    ) -> None:
        passed = 0
        while fault.after is None or passed < fault.after:
            room = fault.piece if fault.after is None else min(fault.piece, fault.after - passed)
            if not (data := await reader.read(room)):
                writer.write_eof()
                return
            if fault.delay_s:
                await asyncio.sleep(fault.delay_s)
            passed += len(data)
            writer.write(data)
            await writer.drain()
        if fault.then == "half-close":
            writer.write_eof()
        elif fault.then == "black-hole":
            await asyncio.Event().wait()
        else:
            for each in both:
                if fault.then == "reset":
                    sock = each.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise _Cut


class _Cut(Exception):
    """Ends both directions."""
