"""Of messages with one idempotency key, one is sent: with failures, at the same moment, and after a death."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from mail.servers import Box, smtp

from turnout import mail, send_email
from turnout.config import MailConfig
from turnout.db import Database, db
from turnout.errors import DbError, MailError
from turnout.mail import outbox
from turnout.mail.once import KEPT_S, once


async def send(key: str | None = "welcome/7") -> None:
    await send_email(to="ada@example.com", subject="x", text="hello", idempotency_key=key)


def production(root: Path, port: int) -> None:
    db.configure(root / "app.db")
    mail.configure(
        MailConfig(sender="app@example.com", timeout_s=5),
        mode="production",
        values={"SMTP_URL": f"smtp://127.0.0.1:{port}"},
        data=root / "data",
    )


async def test_one_key_is_one_message(tmp_path: Path) -> None:
    box = Box()
    with smtp(box) as port:
        production(tmp_path, port)
        for _ in range(3):
            await send()
        await send("welcome/8")
        await send(None)
    await db.close()

    assert len(box.taken) == 3


async def test_a_test_sees_one_message_for_a_key_too(tmp_path: Path) -> None:
    db.configure(tmp_path / "app.db")
    mail.configure(MailConfig(), mode="test", values={}, data=tmp_path)
    await send()
    await send()
    await db.close()

    assert len(outbox) == 1


async def test_a_failure_gives_the_key_back(tmp_path: Path) -> None:
    box = Box(greylist=1)
    with smtp(box) as port:
        production(tmp_path, port)
        with pytest.raises(MailError):
            await send()
        await send()
        await send()
    await db.close()

    assert len(box.taken) == 1


async def test_twenty_at_the_same_moment_send_one(tmp_path: Path) -> None:
    box = Box()
    with smtp(box) as port:
        production(tmp_path, port)
        done = await asyncio.gather(*(send() for _ in range(20)), return_exceptions=True)
    await db.close()

    assert len(box.taken) == 1
    # Whoever comes while it is being sent hears so, and may ask again.
    assert all(isinstance(each, MailError) and each.retryable for each in done if each is not None)
    assert None in done


async def test_a_claim_of_a_process_that_died_ends(tmp_path: Path) -> None:
    database = Database(tmp_path / "app.db")
    dying = once(database, "k", lease_s=60, now_s=1_000)
    assert await dying.__aenter__()

    with pytest.raises(MailError, match="being sent right now"):
        async with once(database, "k", lease_s=60, now_s=1_059):
            pass
    async with once(database, "k", lease_s=60, now_s=1_061) as ours:
        assert ours
    async with once(database, "k", lease_s=60, now_s=9_999) as ours:
        assert not ours
    await database.close()


async def test_old_keys_are_forgotten(tmp_path: Path) -> None:
    place = tmp_path / "app.db"
    for now_s, expected in ((1_000.0, True), (KEPT_S, False), (KEPT_S + 1_001, True)):
        database = Database(place)  # another process: keys are forgotten when one begins
        async with once(database, "k", lease_s=60, now_s=now_s) as ours:
            assert ours == expected
        await database.close()


async def test_a_message_is_not_sent_from_within_a_transaction_that_its_key_would_wait_for(tmp_path: Path) -> None:
    db.configure(tmp_path / "app.db")
    mail.configure(MailConfig(), mode="test", values={}, data=tmp_path)
    with pytest.raises(DbError, match="holds a transaction"):
        async with db.transaction():
            await send()
    await db.close()

    assert outbox == []


async def test_mail_without_keys_makes_no_table(tmp_path: Path) -> None:
    db.configure(tmp_path / "app.db")
    mail.configure(MailConfig(), mode="test", values={}, data=tmp_path)
    await send(None)

    assert await db.sql("select name from sqlite_master where name like '%mail%'") == []
    await db.close()
