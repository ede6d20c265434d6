"""Queued mail: part of its transaction, tried again while its server is away, and never lost or doubled."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mail.servers import Box, smtp

from turnout import env, load_project, send_email
from turnout.db import db
from turnout.errors import ConfigError, MailError
from turnout.mail import outbox
from turnout.mail.queue import deliver
from turnout.routing.module import unload
from turnout.tasks import drain
from turnout.testing import Client

SETTINGS = """[tool.turnout]
allowed_hosts = ["localhost", "127.0.0.1"]
[tool.turnout.mail]
queued = true
sender = "App <app@example.com>"
transport = "smtp"
"""
ROUTE = """from turnout import Response, db, send_email


async def POST(request):
    async with db.transaction() as tx:
        await send_email(to="ada@example.com", subject="Hello", text="the words", idempotency_key="order/7")
        if await request.json():
            raise ValueError("changed my mind")
    return Response(None, 202)
"""


# DBOS takes a Python of 3.12 or later to have it.
needs_engine = pytest.mark.skipif(
    sys.version_info >= (3, 12) and sqlite3.sqlite_version_info < (3, 42), reason="DBOS needs SQLite 3.42 here"
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "project"
    route = root / "app/api/hello/route.py"
    route.parent.mkdir(parents=True)
    route.write_text(ROUTE)
    (root / "pyproject.toml").write_text(SETTINGS)
    monkeypatch.setattr(sys, "path", sys.path[:])
    for name in ("DATABASE_URL", "SMTP_URL", "MAIL_TRANSPORT"):
        monkeypatch.delenv(name, raising=False)
    yield root
    unload(root)
    env.unload()


async def test_a_queued_message_waits_and_is_sent_once(project: Path) -> None:
    async with Client(root=project) as client:
        for _ in range(2):
            assert (await client.post("/api/hello", json=False)).status == 202
        assert outbox == []

        await drain()

        (message,) = outbox
        assert (message.subject, message.text, message.idempotency_key) == ("Hello", "the words", "order/7")


async def test_what_was_rolled_back_is_not_mailed(project: Path) -> None:
    async with Client(root=project) as client:
        assert (await client.post("/api/hello", json=True)).status == 500

        assert await drain() == 0 and outbox == []


async def test_a_task_that_runs_twice_sends_one_message(project: Path) -> None:
    async with Client(root=project):
        await send_email(to="ada@example.com", subject="x", text="y")
        (row,) = await db.sql("select payload from _turnout_outbox")
        await deliver.run(row["payload"])
        await deliver.run(row["payload"])

        assert len(outbox) == 1


async def test_one_message_may_go_directly(project: Path) -> None:
    async with Client(root=project):
        await send_email(to="ada@example.com", subject="x", text="y", queued=False)

        assert len(outbox) == 1


async def test_bad_input_is_refused_before_it_is_queued(project: Path) -> None:
    async with Client(root=project):
        with pytest.raises(ValueError):
            await send_email(to="ada@example.com\nBcc: eve@example.com", subject="x", text="y")

        assert await drain() == 0


async def test_without_the_setting_nothing_is_queued(project: Path) -> None:
    (project / "pyproject.toml").write_text("")
    async with Client(root=project):
        with pytest.raises(ConfigError, match="queued = true"):
            await send_email(to="ada@example.com", subject="x", text="y", queued=True)


@asynccontextmanager
async def production(root: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """The project in production in this process, engine and all."""
    monkeypatch.setenv("SMTP_URL", f"smtp://127.0.0.1:{port}")
    async with Client(load_project(root, mode="production").app) as client:
        yield client


async def until(is_so: Any, seconds: float = 90) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110  (asked of another process)
            await asyncio.sleep(0.05)


@needs_engine
async def test_a_message_that_is_put_off_is_sent_later(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "backoff_s", 0.1)
    box = Box(greylist=2)
    with smtp(box) as port:
        async with production(project, port, monkeypatch) as client:
            assert (await client.post("/api/hello", json=False)).status == 202
            await until(lambda: box.taken)

    assert len(box.taken) == 1 and box.greylist == 0


async def test_a_message_that_is_refused_for_good_is_an_error_in_the_log_and_ends(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with smtp(Box(refuse={"ada@example.com": "550 No such user"})) as port:
        monkeypatch.setenv("SMTP_URL", f"smtp://127.0.0.1:{port}")
        load_project(project, mode="production")
        await send_email(to="ada@example.com", subject="Hello", text="the words")
        await drain()
    await db.close()

    (record,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert "refused for good" in record.getMessage() and "550 No such user" in record.getMessage()
    assert "the words" not in caplog.text and "Hello" not in caplog.text


@pytest.mark.parametrize("data", ["451 later", "535 who are you"])
async def test_what_somebody_may_mend_is_tried_again(project: Path, monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    with smtp(Box(data=data)) as port:
        monkeypatch.setenv("SMTP_URL", f"smtp://127.0.0.1:{port}")
        load_project(project, mode="production")
        await send_email(to="ada@example.com", subject="Hello", text="the words")
        with pytest.raises(MailError):
            await drain()
    await db.close()


@needs_engine
def test_a_message_survives_the_death_of_the_server(project: Path) -> None:
    """Written down while the mail server is away, by a process that is killed; sent by the next one."""
    box = Box()
    with smtp(box) as port:
        with started(project, "smtp://127.0.0.1:1") as (process, origin):
            answer = httpx.post(f"{origin}/api/hello", json=False, trust_env=False)
            assert answer.status_code == 202
            process.send_signal(signal.SIGKILL)
            process.wait()
        with started(project, f"smtp://127.0.0.1:{port}"):
            asyncio.run(until(lambda: box.taken, 100))
            asyncio.run(asyncio.sleep(0.3))

    assert len(box.taken) == 1


class started:
    """``turnout start`` with one worker: the process and where it listens; its whole group ends with the block."""

    def __init__(self, root: Path, smtp_url: str) -> None:
        self.root, self.smtp_url = root, smtp_url

    def __enter__(self) -> tuple[Any, str]:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "turnout", "start", "--port", "0", "--workers", "1"],
            cwd=self.root,
            env=os.environ | {"SMTP_URL": self.smtp_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return self.process, line.split()[2]

    def __exit__(self, *exc: object) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
