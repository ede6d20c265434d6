"""Promise R18: queued mail is not lost, whatever the mail server does and whoever is killed."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from mail.servers import Box, smtp

from turnout.tasks.engine import RUNNING

MESSAGES, KILLS = 60, 3

FILES = {
    "pyproject.toml": """[tool.turnout]
allowed_hosts = ["127.0.0.1"]
[tool.turnout.server]
workers = 2
[tool.turnout.mail]
queued = true
sender = "App <app@example.com>"
transport = "smtp"
timeout_s = 10
""",
    # The waits of a day in seconds.
    "lib/tasks.py": """from turnout.mail import send
from turnout.mail.queue import deliver

deliver.backoff_s = 0.1
send._MARGIN_S = 3
""",
    "app/api/orders/[n]/route.py": """from turnout import Response, send_email


async def POST(request, n: int):
    await send_email(to="ada@example.com", subject=f"Order {n}", text="x" * 2_000)
    return Response(None, 202)
""",
}


class Moody(Box):
    """Takes a message, puts it off, refuses its recipient for now, or takes it and loses its own answer."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random, self.lost = random.Random(seed), 0

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.random.random() < 0.15:
            return "450 Mailbox busy"
        return await super().handle_RCPT(server, session, envelope, address, options)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mood = self.random.random()
        if mood < 0.2:
            return "451 Greylisted"
        said = await super().handle_DATA(server, session, envelope)
        if mood < 0.3:
            self.lost += 1
            server.transport.abort()
        return said


@pytest.mark.skipif(
    sys.version_info >= (3, 12) and sqlite3.sqlite_version_info < (3, 42), reason="DBOS needs SQLite 3.42 here"
)
@pytest.mark.slow
@pytest.mark.faults
def test_every_message_arrives_though_workers_are_killed_and_answers_are_lost(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    box = Moody(seed)
    with smtp(box) as port:
        server = subprocess.Popen(
            [sys.executable, "-m", "turnout", "start", "--port", "0"],
            cwd=tmp_path,
            env=os.environ | {"SMTP_URL": f"smtp://127.0.0.1:{port}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            assert server.stdout is not None
            origin = server.stdout.readline().split()[2]
            asyncio.run(orders(origin, server.pid, box.random))
            asyncio.run(all_of(box))
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            assert server.stdout is not None
            server.stdout.close()

    ids = [found[1] for _, _, data in box.taken if (found := re.search(rb"Message-ID: (\S+)", data))]
    # A copy comes only where an answer was lost, or its readers were killed; and it says that it is one.
    assert len(set(ids)) == MESSAGES
    assert len(ids) - MESSAGES <= box.lost + KILLS * RUNNING


async def orders(origin: str, supervisor: int, rng: random.Random) -> None:
    """Acknowledged orders, some of them from a second try, while workers are killed."""
    kill_at = set(rng.sample(range(5, MESSAGES), KILLS))
    async with asyncio.timeout(300), httpx.AsyncClient(trust_env=False) as client:
        for n in range(MESSAGES):
            if n in kill_at:
                os.kill(rng.choice(workers(supervisor)), signal.SIGKILL)
            while not await accepted(client, f"{origin}/api/orders/{n}"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def accepted(client: httpx.AsyncClient, url: str) -> bool:
    try:
        answer = await client.post(url)
    except httpx.TransportError:
        return False
    assert answer.status_code == 202, answer.text
    return True


async def all_of(box: Moody) -> None:
    async with asyncio.timeout(300):
        while len(subjects(box)) < MESSAGES:  # noqa: ASYNC110  (asked of other processes)
            await asyncio.sleep(0.1)


def subjects(box: Moody) -> set[bytes]:
    return {found[1] for _, _, data in list(box.taken) if (found := re.search(rb"Subject: (.+)\r", data))}


def workers(supervisor: int) -> list[int]:
    found = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [int(each) for each in found]
