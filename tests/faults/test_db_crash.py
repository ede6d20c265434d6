"""R1 on both engines: what was acknowledged is there after every death, once. And many writers of one file."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
import sys
import textwrap
import time
from collections import Counter

import pytest
from faults.engines import sample_on
from faults.load import Answer, Broken, Client, request
from faults.started import starting


class Ledger:
    """Writers that remember what they were promised; every text is written by one request only."""

    def __init__(self) -> None:
        self.asked = itertools.count()
        self.acknowledged: dict[str, int] = {}
        self.unavailable = 0

    async def write(self, port: int) -> None:
        """Write until the server dies."""
        with contextlib.suppress(Broken):
            connection = await Client.connect(port)
            while True:
                text = f"note {next(self.asked)}"
                answer: Answer = await connection.ask(request("/api/notes", b'{"text":"%s"}' % text.encode()))
                if answer.status == 503:  # the database is away
                    self.unavailable += 1
                    await asyncio.sleep(0.01)
                    continue
                assert answer.status == 201, answer
                self.acknowledged[text] = answer.json["id"]

    async def until(self, more: int, tasks: list[asyncio.Task[None]]) -> None:
        target = len(self.acknowledged) + more
        while len(self.acknowledged) < target:
            await asyncio.sleep(0.001)
            for task in tasks:
                assert not task.done(), task.exception()


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_an_acknowledged_write_survives_the_death_of_every_process(engine, tmp_path, full, say):
    kills, writes, writers = (200, 100, 8) if full else (4, 50, 8)
    ledger, crashes = Ledger(), 0
    with sample_on(engine, tmp_path) as (root, database):
        for kill in range(kills):
            with starting(root, workers=2, env=database.env) as server:
                tasks = [asyncio.create_task(ledger.write(server.port)) for _ in range(writers)]
                await ledger.until(writes // 2, tasks)
                if kill % 20 == 1:  # the database dies first, under the same load
                    crashes += await asyncio.to_thread(database.crash)
                await ledger.until(writes // 2, tasks)
                server.kill()
                await asyncio.gather(*tasks)
        stored = database.notes()
        damage = database.damage()

    there = {text: number for number, text in stored}
    lost = [text for text, number in ledger.acknowledged.items() if there.get(text) != number]
    doubled = [text for text, times in Counter(text for _, text in stored).items() if times > 1]
    say(
        f"{kills} kills of the server, {crashes} of the database, {len(ledger.acknowledged):,} acknowledged writes: "
        f"{len(lost)} lost, {len(doubled)} doubled, {len(there) - len(ledger.acknowledged)} stored but cut off "
        f"unanswered, {ledger.unavailable} answered 503; damage: {damage or 'none'}"
    )
    assert not lost and not doubled and not damage
    assert len(set(ledger.acknowledged.values())) == len(ledger.acknowledged)  # no id was given twice
    assert crashes == (0 if engine == "sqlite" else kills // 20 or 1)


WRITER = textwrap.dedent("""
    import asyncio, sys
    from turnout.db import Database

    async def main(path, writers, rows):
        async def write(number):
            db = Database(path)  # a connection of its own
            for row in range(rows):
                await db.from_("notes").insert({"text": f"{number}-{row}"})
            await db.close()

        await asyncio.gather(*(write(number) for number in writers))

    asyncio.run(main(sys.argv[1], sys.argv[3:], int(sys.argv[2])))
""")


def test_many_writers_of_one_file_never_hear_that_it_is_locked(tmp_path, full, say):
    rows, processes = (1_000, 32) if full else (25, 4)
    numbers = [str(number) for number in range(32)]
    with sample_on("sqlite", tmp_path) as (root, database):
        file = str(root / "data/app.db")
        began_s = time.monotonic()
        running = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, file, str(rows), *numbers[each::processes]], stderr=subprocess.PIPE
            )
            for each in range(processes)
        ]
        said = [writer.communicate()[1].decode() for writer in running]
        took_s = time.monotonic() - began_s
        stored, damage = database.notes(), database.damage()
    failed = [text[-2000:] for writer, text in zip(running, said, strict=True) if writer.returncode]
    say(f"32 writers in {processes} processes, {len(stored):,} rows in {took_s:.1f} s, {len(failed)} processes failed")
    assert not failed and not damage
    assert {text for _, text in stored} == {f"{number}-{row}" for number in numbers for row in range(rows)}
    assert len(stored) == 32 * rows
