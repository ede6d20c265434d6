"""R12: events that come three times, in any order, to workers that are killed, have one effect each.

TURNOUT_FAULTS=full sends 1,000 events; the short form 60. The sender does what Stripe does: whatever is
no 2xx, or no answer, is sent again.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.load import Broken, Client, request
from faults.started import QUICK, Started, starting, until
from projects import make_project

from turnout.db import Database
from turnout.webhooks import stripe

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which only Linux has"),
]

SEED = 20261122
SECRET = "whsec_of_the_fault_test"
BETWEEN_KILLS_S = 8.0  # five deaths in 30 s end the server: rightly, but not here
ROUTE = '''
import asyncio

from turnout.webhooks import stripe

hook = stripe.webhook(secrets="STRIPE_WEBHOOK_SECRET")


@hook.on("checkout.session.completed")
async def paid(event, tx):
    """Two writes with a wait between: a worker that is killed here has written one of them."""
    await tx.from_("effects").insert({"event_id": event.id})
    await asyncio.sleep(0.02)
    (row,) = await tx.from_("total").select("amount")
    await tx.from_("total").update({"amount": row["amount"] + event.data["object"]["amount"]}).eq("id", 1)


POST = hook
'''
# Many at once, where the engine lets them: each still adds to one number.
PG_ROUTE = ROUTE.replace("sleep(0.02)", "sleep(0.15)").replace(
    'tx.from_("total").select("amount")', 'tx.sql("select amount from total for update")'
)


def settings() -> str:
    lines = "\n".join(f"{name} = {value}" for name, value in QUICK.items())
    return f'[tool.turnout]\nallowed_hosts = ["localhost", "127.0.0.1"]\n\n[tool.turnout.server]\n{lines}\n'


class Sender:
    """Sends every event three times, again and again until each delivery was taken."""

    def __init__(self, port: int, events: int, rate: float, chance: random.Random) -> None:
        self.port, self.rate = port, rate
        self.todo = [number for number in range(events) for _ in range(3)]
        chance.shuffle(self.todo)
        self.left = len(self.todo)
        self.most = 20 * self.left
        self.sent = self.lost = self.refused = 0

    async def run(self, clients: int) -> None:
        await asyncio.gather(*[self._client(clients) for _ in range(clients)])

    async def _client(self, clients: int) -> None:
        connection: Client | None = None
        while self.left:
            if not self.todo:  # another client's delivery may still come back
                await asyncio.sleep(0.01)
                continue
            number = self.todo.pop()
            kind = "checkout.session.completed"
            event = {"id": f"evt_{number}", "object": "event", "type": kind, "data": {"object": {"amount": number}}}
            body = json.dumps(event).encode()
            signature = stripe.sign(body, SECRET, at_s=int(time.time()))
            self.sent += 1
            assert self.sent < self.most, "the server takes nothing"
            try:
                if connection is None or not connection.open:
                    connection = await Client.connect(self.port)
                answer = await connection.ask(request("/hook", body, f"Stripe-Signature: {signature}"))
            except (Broken, OSError, TimeoutError):
                self.lost += 1
                if connection is not None:
                    connection.close()
                connection = None
                self.todo.insert(0, number)
                await asyncio.sleep(0.02)
                continue
            if answer.status == 200:
                self.left -= 1
            else:
                assert answer.status >= 500, answer
                self.refused += 1
                self.todo.insert(0, number)
            await asyncio.sleep(clients / self.rate)
        if connection is not None:
            connection.close()
            await asyncio.sleep(0)  # the transport closes its socket in the loop's next turn


async def kill_now_and_then(server: Started, sending: asyncio.Task[None], chance: random.Random, full: bool) -> int:
    """Kill a worker with SIGKILL again and again, each time when the last one was replaced; how many were."""
    kills = 0
    while not sending.done() and kills < (99 if full else 2):
        await asyncio.sleep((BETWEEN_KILLS_S if full else 0.6) * chance.uniform(0.95, 1.05))
        if not sending.done():
            ready = server.readies()
            os.kill(chance.choice(sorted(server.workers())), signal.SIGKILL)
            kills += 1
            await asyncio.to_thread(until, lambda ready=ready: server.readies() > ready, "another worker")
    return kills


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_a_thousand_events_three_times_each_have_a_thousand_effects(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    full = os.environ.get("TURNOUT_FAULTS") == "full"
    events, rate, clients = (1_000, 45, 16) if full else (60, 90, 8)
    make: Callable[[], str] | None = request.getfixturevalue("new_postgres") if engine == "postgres" else None
    root = make_project(
        tmp_path / "project",
        {"pyproject.toml": settings(), "app/hook/route.py": PG_ROUTE if make else ROUTE, "data/.keep": ""},
    )
    url = await asyncio.to_thread(make) if make else f"sqlite:///{root}/data/app.db"
    database = Database(url)
    await database.sql("create table effects (event_id text not null)")
    await database.sql("create table total (id integer primary key, amount bigint not null)")
    await database.from_("total").insert({"id": 1, "amount": 0}, only=["id", "amount"])
    chance = random.Random(SEED)
    with starting(root, workers=2, env={"STRIPE_WEBHOOK_SECRET": SECRET, "DATABASE_URL": url}) as server:
        sender = Sender(server.port, events, rate, chance)
        sending = asyncio.create_task(sender.run(clients))
        try:
            kills = await kill_now_and_then(server, sending, chance, full)
            await sending
        finally:
            sender.left = 0

    rows = [row["event_id"] for row in await database.from_("effects").select()]
    (total,) = await database.from_("total").select("amount")
    (done,) = await database.sql("select count(*) as n from _turnout_webhook_events where outcome = 'done'")
    await database.close()
    said = (
        f"{engine}, seed {SEED}: {events:,} events, {sender.sent:,} deliveries, {kills} workers killed, "
        f"{sender.lost} connections lost, {sender.refused} answers of 5xx: {len(rows):,} effects"
    )
    if full:
        with capsys.disabled():
            print(f"\n  {said}", flush=True)
    assert kills >= (4 if full else 1)
    assert sorted(rows) == sorted(f"evt_{number}" for number in range(events)), said
    assert (total["amount"], done["n"]) == (sum(range(events)), events), said
