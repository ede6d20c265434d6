"""A hundred posts with one key at a time, on both engines, while workers and whole servers are killed: one effect each.

Every poster goes on until it has an answer, as a client would. The short form does it for 9 keys, the
full one for 100.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest
from faults.engines import sample_on
from faults.load import Answer, Broken, Client, request
from faults.started import Started, starting

POSTERS = 100
ROUTE = '''
import asyncio
import os
import random

from turnout import Response, idempotent


@idempotent(required=True)
async def POST(request, tx):
    """Write, wait, and answer: a kill may come before, between and after."""
    note = await tx.from_("notes").insert({"text": await request.text()}).select("id, text").single()
    await asyncio.sleep(random.uniform(0, 0.03))
    return Response.json({"id": note["id"], "text": note["text"], "worker": os.getpid()}, 201)
'''


class Round:
    """One key and those who post with it."""

    def __init__(self, number: int) -> None:
        self.key = f"key {number}"
        self.statuses: Counter[int] = Counter()
        self.broken = 0
        self.answers: list[Answer] = []
        self.port = 0

    async def post(self) -> None:
        """Ask until there is an answer."""
        data = request("/api/orders", self.key.encode(), f'Idempotency-Key: "{self.key}"')
        connection: Client | None = None
        while True:
            try:
                if connection is None or not connection.open:
                    connection = await Client.connect(self.port)
                answer = await connection.ask(data)
            except (Broken, OSError):
                self.broken += 1
                connection = None
                await asyncio.sleep(random.uniform(0.005, 0.03))
                continue
            self.statuses[answer.status] += 1
            if answer.status == 201:
                self.answers.append(answer)
                connection.close()
                return
            assert answer.status in (409, 503), (
                answer
            )  # 503: the SQLite writer, or the database, was waited for too long
            await asyncio.sleep(random.uniform(0.005, 0.03))

    def judge(self) -> None:
        """All got the same answer, and one of them first."""
        assert len(self.answers) == POSTERS
        assert len({answer.body for answer in self.answers}) == 1
        # The one who would have had it first may have been cut off.
        assert len([answer for answer in self.answers if "idempotency-replayed" not in answer.headers]) <= 1
        assert self.answers[0].json["text"] == self.key


def add_route(root: Path) -> None:
    (root / "app/api/orders").mkdir(parents=True)
    (root / "app/api/orders/route.py").write_text(ROUTE)


async def kill_a_worker(server: Started) -> None:
    await asyncio.sleep(random.uniform(0, 0.05))
    workers = list(server.workers())
    if workers:
        os.kill(random.choice(workers), signal.SIGKILL)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_a_hundred_posts_with_one_key_have_one_effect_whoever_dies(engine, tmp_path, full, say):
    keys = 100 if full else 9
    rounds = [Round(number) for number in range(keys)]
    left, kills, crashes = list(rounds), 0, 0
    under_way: list[asyncio.Task[None]] = []
    with sample_on(engine, tmp_path) as (root, database):
        add_route(root)
        current: Round | None = None
        while left or under_way:
            with starting(root, workers=2, env=database.env) as server:
                if current is not None:  # those whom the last server left without an answer
                    current.port = server.port
                    await asyncio.gather(*under_way)
                    under_way = []
                # Two keys with a worker killed, and one with the server: five deaths in 30 s would end it by itself.
                for place in range(3):
                    if not left:
                        break
                    current = left.pop(0)
                    current.port = server.port
                    under_way = [asyncio.create_task(current.post()) for _ in range(POSTERS)]
                    if place < 2:
                        await kill_a_worker(server)
                        kills += 1
                        await asyncio.gather(*under_way)
                        under_way = []
                    else:
                        await asyncio.sleep(random.uniform(0, 0.1))
                        server.kill()
                        crashes += 1
        stored = Counter(text for _, text in database.notes())
        ids = {text: number for number, text in database.notes()}

    for each in rounds:
        each.judge()
        assert each.answers[0].json["id"] == ids[each.key]
    statuses = sum((each.statuses for each in rounds), Counter())
    say(
        f"{keys} keys, {keys * POSTERS:,} posters, {kills} workers and {crashes} servers killed: "
        f"{sum(stored.values())} effects; answers {dict(statuses)}, {sum(each.broken for each in rounds)} cut off"
    )
    assert stored == {each.key: 1 for each in rounds}
