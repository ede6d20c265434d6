"""Of messages with one idempotency key, one is sent: a row for each key in the project's database.

A key is claimed before its message is handed over and marked as sent afterwards; a failure gives it back, for
the next try. What no mail protocol can tell is whether a message was taken when its answer was lost, or
when the process died in between: then the next try sends it, since a lost sign-in link is worse than two.
Both copies have the same ``Message-ID``, by which mailboxes know the second one.

Keys are kept for 30 days.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, LiteralString
from weakref import WeakSet

from ..errors import DbError, MailError

if TYPE_CHECKING:
    from ..db import Database

logger = logging.getLogger("turnout.mail")

KEPT_S = 30 * 86_400

_TABLE = """create table if not exists _turnout_mail (
    key text primary key,
    claimed_s double precision not null,
    sent_s double precision
)"""
# A row comes back for a key that is ours to send: a new one, or one that was claimed by somebody who has died.
_CLAIM = """insert into _turnout_mail (key, claimed_s) values (:key, :now_s)
on conflict (key) do update set claimed_s = :now_s
where _turnout_mail.sent_s is null and _turnout_mail.claimed_s < :dead_s
returning key"""
_SENT = "update _turnout_mail set sent_s = :now_s where key = :key"
_GIVE_BACK = "delete from _turnout_mail where key = :key and sent_s is null"
_LOOK = "select sent_s from _turnout_mail where key = :key"
_FORGET = "delete from _turnout_mail where claimed_s < :before_s"

_ready: WeakSet[Any] = WeakSet()  # the engines whose database has the table


@asynccontextmanager
async def once(database: Database, key: str, *, lease_s: float, now_s: float | None = None) -> AsyncIterator[bool]:
    """Whether the message with *key* is to be sent in this block; it counts as sent if the block ends well.

    Args:
        database: Where keys are kept.
        lease_s: After how many seconds a claim belongs to nobody, as its process must have died.
        now_s: The time in Unix seconds; the wall clock if None.

    Raises:
        MailError: it is being sent right now; retryable.
        DbError: the database refused, or is away; nothing was sent.
    """
    now_s = time.time() if now_s is None else now_s
    await _prepare(database, now_s)
    claimed = await database.sql(_CLAIM, key=key, now_s=now_s, dead_s=now_s - lease_s).single()
    if claimed is None:
        row = await database.sql(_LOOK, key=key).single()
        if row is None or row["sent_s"] is None:
            raise MailError("a message with this idempotency key is being sent right now", retryable=True)
        yield False
        return
    try:
        yield True
    except BaseException:
        await _note(database, _GIVE_BACK, key)
        raise
    await _note(database, _SENT, key, now_s=now_s)


async def _note(database: Database, statement: LiteralString, key: str, **values: float) -> None:
    try:
        await database.sql(statement, key=key, **values)
    except DbError as exc:
        # What happened to the message has happened; the claim ends by itself.
        logger.warning("what became of a message with an idempotency key could not be noted: %s", exc.code)


async def _prepare(database: Database, now_s: float) -> None:
    """Make the table and forget old keys, once for each database that this process opens."""
    engine = database.engine
    if engine in _ready:
        return
    try:
        await database.sql(_TABLE)
    except DbError:
        # Two workers that make it at once: on PostgreSQL "if not exists" may still collide.
        await database.sql(_TABLE)
    await database.sql(_FORGET, before_s=now_s - KEPT_S)
    _ready.add(engine)
