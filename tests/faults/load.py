"""An HTTP client for faults, and load that does not wait for answers.

Open loop: each request has its time by the clock, whether or not those before it were answered.
A closed loop (ask, wait, ask) slows down with the server and so hides how long callers wait.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httptools

GIVE_UP_S = 60.0


def request(path: str = "/api/hello", body: bytes | None = None, *fields: str) -> bytes:
    """One request, well formed; a POST of JSON if there is a body."""
    head = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "Host: localhost", *fields]
    if body is not None:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + (body or b"")


@dataclass
class Answer:
    """One response."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    keeps: bool = True  # the connection may be used again

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Broken(ConnectionError):
    """The connection ended before the whole answer was here; ``begun``: a part of it was."""

    begun = False


class Client(asyncio.Protocol):
    """One connection that asks one request at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Answer | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self.open = False

    @classmethod
    async def connect(cls, port: int, timeout_s: float = GIVE_UP_S) -> Client:
        loop = asyncio.get_running_loop()
        _, client = await asyncio.wait_for(loop.create_connection(cls, "127.0.0.1", port), timeout_s)
        return client

    async def ask(self, data: bytes = request(), timeout_s: float = GIVE_UP_S) -> Answer:
        """Send *data* and return the answer.

        Raises:
            Broken: the connection ended first.
            TimeoutError: no whole answer within *timeout_s*; the connection is closed then.
        """
        if not self.open:
            raise Broken("closed before the request")
        self._waiter = asyncio.get_running_loop().create_future()
        self._answer = None
        self.transport.write(data)
        try:
            return await asyncio.wait_for(self._waiter, timeout_s)
        except TimeoutError:
            self.close()
            raise

    def close(self) -> None:
        self.open = False
        self.transport.abort()

    def connection_made(self, transport: Any) -> None:
        self.transport, self.open = transport, True

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            self._fail(f"not HTTP: {exc!r}")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._fail(f"the connection ended: {exc!r}")

    def _fail(self, why: str) -> None:
        if self._waiter is not None and not self._waiter.done():
            broken = Broken(why)
            broken.begun = self._answer is not None
            self._waiter.set_exception(broken)

    # -- httptools

    def on_message_begin(self) -> None:
        self._answer = Answer()

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self._answer
        self._answer.headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        assert self._answer
        self._answer.body += body

    def on_message_complete(self) -> None:
        answer = self._answer
        assert answer
        answer.status = self._parser.get_status_code()
        answer.keeps = self._parser.should_keep_alive()
        if not answer.keeps:
            self.open = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(answer)


async def ask(port: int, data: bytes = request(), timeout_s: float = GIVE_UP_S) -> Answer:
    """One answer on a connection of its own."""
    client = await Client.connect(port, timeout_s)
    try:
        return await client.ask(data, timeout_s)
    finally:
        client.close()


@dataclass
class Outcome:
    """What became of one request. Times are of time.monotonic()."""

    due_s: float
    done_s: float
    answer: Answer | None
    error: str | None

    @property
    def status(self) -> int:
        return self.answer.status if self.answer else 0

    @property
    def took_s(self) -> float:
        return self.done_s - self.due_s


async def offer(
    port: int,
    rate: float,
    seconds: float,
    make: Callable[[int], bytes] = lambda _: request(),
    *,
    timeout_s: float = GIVE_UP_S,
    fresh: bool = False,
) -> list[Outcome]:
    """Send *rate* requests a second for *seconds*, each at its time; what became of every one.

    A connection that is free is used again, the one that was used last first, unless *fresh*. As
    in every client's pool, a request whose connection turned out closed goes out once more on a new one.
    """
    loop, free, outcomes, tasks = asyncio.get_running_loop(), [], [], set()
    started_s = time.monotonic()

    async def once(data: bytes, kept: bool) -> Answer:
        while kept and free:
            client = free.pop()
            if client.open:
                break
        else:
            client = await Client.connect(port, timeout_s)
        answer = await client.ask(data, timeout_s)
        if answer.keeps and not fresh:
            free.append(client)
        else:
            client.close()
        return answer

    async def send(number: int, due_s: float) -> None:
        answer = error = None
        data = make(number)
        try:
            try:
                answer = await once(data, not fresh)
            except Broken as exc:
                if exc.begun or fresh or not data.startswith(b"GET"):
                    raise
                answer = await once(data, False)
        except (OSError, TimeoutError) as exc:
            error = repr(exc)
        outcomes.append(Outcome(due_s, time.monotonic(), answer, error))

    for number in range(int(rate * seconds)):
        due_s = started_s + number / rate
        if (early_s := due_s - time.monotonic()) > 0:
            await asyncio.sleep(early_s)
        elif number % 16 == 0:
            await asyncio.sleep(0)  # behind the clock; the answers must still be read
        task = loop.create_task(send(number, due_s))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for client in free:
        client.close()
    return outcomes


def summary(outcomes: list[Outcome]) -> str:
    """Counts by status, and how long the answers took."""
    statuses = Counter(each.status or each.error for each in outcomes)
    took = sorted(each.took_s * 1e3 for each in outcomes if each.status == 200) or [0.0]
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    return f"{dict(statuses)}; 200 after {p50:.0f} ms (p50), {p99:.0f} ms (p99)"
