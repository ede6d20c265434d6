"""What a webhook costs before its own effect: the check of its signature, and the note in the inbox.

Run:     python -m benchmarks.webhooks            (about 15 s, one core)
Prints:  what is done, microseconds of CPU in all threads: median and half the spread of 7 rounds. The events are 2 KB
         and new each time. "the same again" is a delivery of an event that is done; "route" is all of POST = hook
         without a socket. A disk's time is not in it: "durable", production's setting, waits for it at each commit.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from turnout.db import Database
from turnout.db import db as project_db
from turnout.http.headers import Headers
from turnout.http.request import Request
from turnout.webhooks import SignatureError, once, standard, stripe
from turnout.webhooks.samples import sample

SECRET = "whsec_dGVzdCBzZWNyZXQgb2YgdHVybm91dA=="
ROUNDS = 7
Step = Callable[[int], Awaitable[None]]


def delivery(number: int) -> tuple[bytes, str]:
    """A body of 2 KB with an id of its own, and its signature."""
    _, event = sample("stripe", "checkout.session.completed", {"note": "x" * 1_000}, 1_700_000_000)
    body = json.dumps({**event, "id": f"evt_{number}"}, indent=2).encode()
    return body, stripe.sign(body, SECRET, at_s=int(time.time()))


def report(what: str, times_us: list[float]) -> None:
    """One line."""
    print(f"{what:<44} {statistics.median(times_us):>8.1f} ±{(max(times_us) - min(times_us)) / 2:.1f}")


def verifying(loops: int = 5_000) -> None:
    """The check alone, of right and of wrong signatures."""
    body, header = delivery(0)
    fields = Headers(standard.sign(body, SECRET, message_id="msg_1", at_s=int(time.time())))
    assert stripe.construct_event(body, header, SECRET).id == "evt_0"  # the right answer first

    def wrong() -> None:
        try:
            stripe.verify(body, f"{header[:-1]}x", SECRET)
        except SignatureError:
            return
        raise AssertionError

    checks: dict[str, Callable[[], object]] = {
        "stripe.verify": lambda: stripe.verify(body, header, SECRET),
        "stripe.verify, two secrets": lambda: stripe.verify(body, header, [SECRET, "whsec_old"]),
        "stripe.verify, a wrong signature": wrong,
        "stripe.construct_event": lambda: stripe.construct_event(body, header, SECRET),
        "standard.construct_event": lambda: standard.construct_event(body, fields, SECRET),
    }
    for what, check in checks.items():
        times_us = []
        for _ in range(ROUNDS):
            begun = time.process_time()
            for _ in range(loops):
                check()
            times_us.append((time.process_time() - begun) / loops * 1e6)
        report(what, times_us)


async def timed(what: str, step: Step, loops: int) -> None:
    """The median round of *loops* calls of *step*, one after the other."""
    times_us, number = [], 0
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(loops):
            await step(number)
            number += 1
        times_us.append((time.process_time() - begun) / loops * 1e6)
    report(what, times_us)


async def noting(place: str, durable: bool, loops: int = 400) -> None:
    """The inbox on one database, without an effect; beside it the transaction that an effect needs anyway."""
    name = "memory" if place == ":memory:" else "file, durable" if durable else "file"
    database = Database(place, durable=durable)
    await database.sql("create table plain (id text primary key, body text)")

    async def empty(number: int) -> None:
        async with database.transaction():
            pass

    async def plain(number: int) -> None:
        async with database.transaction() as tx:
            await tx.sql("insert into plain values (:id, :body)", id=f"evt_{number}", body="x" * 2_000)

    async def new(number: int) -> None:
        async with once(f"evt_{number}", "x", database=database) as tx:
            assert tx is not None

    async def again(number: int) -> None:
        async with once("evt_0", "x", database=database) as tx:
            assert tx is None

    await timed(f"{name}: an empty transaction", empty, loops)
    await timed(f"{name}: a transaction of one insert", plain, loops)
    await new(-1)
    await timed(f"{name}: once, a new event", new, loops)
    await timed(f"{name}: once, the same again", again, loops)
    await database.close()


async def routing(place: str, loops: int = 400) -> None:
    """The whole route: fields, body, check, inbox, answer."""
    project_db.configure(place)
    hook = stripe.webhook(secrets=[SECRET])

    @hook.on("checkout.session.completed")
    async def nothing(event: object, tx: object) -> None: ...

    deliveries = [delivery(number) for number in range(ROUNDS * loops)]

    async def step(number: int) -> None:
        body, header = deliveries[number]
        request = Request("POST", "/hook", headers={"stripe-signature": header}, body=body)
        assert (await hook(request)).status == 200

    await step(0)
    await timed(f"route, {'memory' if place == ':memory:' else 'file'}", step, loops)
    await project_db.close()


async def main() -> None:
    """All of it."""
    verifying()
    with tempfile.TemporaryDirectory() as folder:
        for place, durable in ((":memory:", False), (f"{folder}/a.db", False), (f"{folder}/b.db", True)):
            await noting(place, durable)
        for place in (":memory:", str(Path(folder) / "c.db")):
            await routing(place)


if __name__ == "__main__":
    uvloop.run(main())  # as the server does
