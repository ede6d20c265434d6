"""The inbox: which events have had their effect, in one table of the project's database.

An event is noted in the transaction of its effect. So either both are there or neither is,
whatever dies in between; a second delivery, even at the same moment, finds the note and does
nothing. An event belongs to a scope, the path that it came to: Stripe sends one id to each of your
endpoints. A failure is noted too, afterwards and apart, as is an event that nobody takes: for
``turnout webhooks list`` and ``replay``.

Notes are kept for 30 days, which is longer than any sender retries; the payloads, which may hold
personal data and take room, of the newest 1,000 events.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .. import log
from ..context import after, current
from ..errors import BodyUsed, DbError
from .verify import check_id

if TYPE_CHECKING:
    from ..db import Database, Transaction

logger = logging.getLogger("turnout.webhooks")

KEPT_DAYS, KEPT_PAYLOADS = 30, 1_000
_CLEAN_EVERY, _CLEAN_EVERY_S = 256, 3_600.0
_UNDEFINED_TABLE = "42P01"

# bytea, as a body may hold what is no text; seconds as a number, which both engines keep the same.
_TABLE = """create table if not exists _turnout_webhook_events (
    scope text not null,
    id text not null,
    path text not null,
    type text not null,
    provider text not null,
    outcome text not null,
    tries integer not null,
    repeated boolean not null,
    received_s double precision not null,
    payload bytea,
    error text,
    primary key (scope, id)
)"""
_INDEXES = (
    "create index if not exists _turnout_webhook_events_received on _turnout_webhook_events (received_s)",
    "create index if not exists _turnout_webhook_events_kept on _turnout_webhook_events (received_s) "
    "where payload is not null",
)
_PROTECT = "alter table _turnout_webhook_events enable row level security"
_LOOK = "select 1 as n from _turnout_webhook_events limit 1"
# Says whether the event was done before. Where two try at once, the second waits for the first to end,
# and sees what it left.
_CLAIM = """insert into _turnout_webhook_events
    (scope, id, path, type, provider, outcome, tries, repeated, received_s, payload)
values (:scope, :id, :path, :type, :provider, 'done', 1, false, :now_s, :payload)
on conflict (scope, id) do update set repeated = _turnout_webhook_events.outcome = 'done',
    outcome = 'done', tries = _turnout_webhook_events.tries + 1, error = null
returning repeated"""
_NOTE = """insert into _turnout_webhook_events
    (scope, id, path, type, provider, outcome, tries, repeated, received_s, payload, error)
values (:scope, :id, :path, :type, :provider, :outcome, 1, false, :now_s, :payload, :error)
on conflict (scope, id) do update set
    outcome = case when _turnout_webhook_events.outcome = 'done' then 'done' else excluded.outcome end,
    error = case when _turnout_webhook_events.outcome = 'done' then null else excluded.error end,
    tries = _turnout_webhook_events.tries + 1"""
_FORGET = "delete from _turnout_webhook_events where received_s < :before_s"
_EMPTY = """update _turnout_webhook_events set payload = null
where payload is not null and received_s <= (
    select received_s from _turnout_webhook_events where payload is not null
    order by received_s desc limit 1 offset :kept
)"""
_LIST = """select scope, id, path, type, provider, outcome, tries, received_s, error, payload is not null as kept
from _turnout_webhook_events order by received_s desc, id limit :limit"""
_FIND = """select scope, id, path, type, provider, outcome, tries, received_s, error, payload
from _turnout_webhook_events where id = :id order by received_s desc"""
_REOPEN = """update _turnout_webhook_events set outcome = :outcome
where scope = :scope and id = :id and outcome = :was returning id"""

_ready: WeakSet[Any] = WeakSet()  # the engines whose database has the table
_SIGNED = {
    "stripe-signature": "stripe", "x-hub-signature-256": "github", "x-slack-signature": "slack",
    "webhook-signature": "standard", "svix-signature": "standard",
}  # fmt: skip


@asynccontextmanager
async def once(
    event_id: str, type: str | None = None, *, scope: str | None = None, database: Database | None = None
) -> AsyncIterator[Transaction | None]:
    """A transaction for the effects of one event, or None when it has had them.

    ::

        async with once(event.id, event.type) as tx:
            if tx:
                await tx.from_("orders").insert(...)

    Everything written through *tx* and the note that the event is done happen together or not at
    all; an exception that leaves the block undoes both, and is noted as a failure.

    Args:
        event_id: The sender's id of the event, after its signature was verified.
        type: For the list of what arrived; the payload's ``type`` if None.
        scope: Within what the id is one event; the path of the request if None.
        database: The project's if None.

    Raises:
        BadRequest: the id is not 1 to 255 visible ASCII characters.
        DbError: the database refused, or is away.
    """
    delivery = await _delivery(event_id, type, scope)
    target = database or _database()
    await _prepare(target)
    claimed = False
    try:
        async with target.transaction() as tx:
            found = await tx.sql(_CLAIM, **delivery).single()
            claimed = found is not None and not found["repeated"]
            if claimed:
                yield tx
    except Exception as exc:
        if isinstance(exc, DbError) and exc.code == _UNDEFINED_TABLE:
            _ready.discard(target.engine)  # somebody has dropped the table; the next delivery makes it
        if claimed:
            await _note(target, delivery, "failed", log.redact(f"{exc.__class__.__name__}: {exc}")[:500])
        raise
    if not claimed:
        yield None
    _clean_some_time(target)


async def ignored(
    event_id: str, type: str | None = None, *, scope: str | None = None, database: Database | None = None
) -> None:
    """Note an event that nobody takes; a failure to do so is logged and nothing more."""
    delivery = await _delivery(event_id, type, scope)
    target = database or _database()
    try:
        await _prepare(target)
    except DbError as exc:
        logger.warning("an event that nobody takes could not be noted: %s", exc)
        return
    await _note(target, delivery, "ignored", None)
    _clean_some_time(target)


async def arrived(database: Database, limit: int) -> list[dict[str, Any]]:
    """The newest events; none where no webhook was ever received."""
    return await _read(database, _LIST, limit=limit)


async def find(database: Database, event_id: str) -> list[dict[str, Any]]:
    """The event of that id, once for each path it came to, with its payload."""
    found = await _read(database, _FIND, id=event_id)
    # As everywhere, bytea is read as PostgreSQL writes it: \\x and hexadecimal digits.
    return [row | {"payload": row["payload"] and bytes.fromhex(row["payload"][2:])} for row in found]


async def reopen(database: Database, scope: str, event_id: str, was: str, outcome: str = "replayed") -> bool:
    """Let an event be handled once more at its next delivery; False if it is not *was* any more."""
    return await database.sql(_REOPEN, scope=scope, id=event_id, was=was, outcome=outcome).single() is not None


async def clean(database: Database, *, now_s: float | None = None) -> None:
    """Delete the notes that are over 30 days old, and the payloads beyond the newest 1,000."""
    before_s = (time.time() if now_s is None else now_s) - KEPT_DAYS * 86_400
    await database.sql(_FORGET, before_s=before_s)
    await database.sql(_EMPTY, kept=KEPT_PAYLOADS)


def _database() -> Database:
    from ..db import db

    return db


async def _delivery(event_id: str, type: str | None, scope: str | None) -> dict[str, Any]:
    """What there is to note: the request in flight knows the path and the payload."""
    request = current.get(None)
    payload, path, provider = None, "", ""
    if request is not None:
        path = request.path
        with suppress(BodyUsed):
            payload = await request.bytes()
        provider = next((name for field, name in _SIGNED.items() if request.headers.has(field)), "")
    return {
        "scope": path if scope is None else scope, "path": path,
        "id": check_id(event_id), "type": _type_in(payload) if type is None else _printable(type),
        "provider": provider, "now_s": time.time(), "payload": payload,
    }  # fmt: skip


def _type_in(payload: bytes | None) -> str:
    try:
        found = json.loads(payload or b"")["type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return _printable(found) if isinstance(found, str) else ""


def _printable(text: str) -> str:
    """*text* as every database takes it, and no terminal minds it."""
    text = text[:255]
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


async def _note(database: Database, delivery: dict[str, Any], outcome: str, error: str | None) -> None:
    try:
        await database.sql(_NOTE, **delivery, outcome=outcome, error=error)
    except DbError as exc:
        # The event itself is none the worse: its sender tries again.
        logger.warning("the event %s could not be noted as %s: %s", delivery["id"], outcome, exc)


async def _prepare(database: Database) -> None:
    """Make the table if it is not there; looked at once for each database that this process opens."""
    engine = database.engine
    if engine in _ready:
        return
    try:
        # Where it is there nothing is made: the right to make tables may not be ours.
        await database.sql(_LOOK)
    except DbError as exc:
        if exc.code != _UNDEFINED_TABLE:
            raise
        try:
            await _make(database)
        except DbError:
            # Two workers that make it at once: on PostgreSQL "if not exists" may still collide.
            await _make(database)
    _ready.add(engine)


async def _make(database: Database) -> None:
    await database.sql(_TABLE)
    for statement in _INDEXES:
        await database.sql(statement)
    if database.dialect == "postgres":
        # Its owner sees every row; the roles of a REST interface over the same schema see none.
        await database.sql(_PROTECT)


async def _read(database: Database, statement: Any, **values: Any) -> list[dict[str, Any]]:
    try:
        return [dict(row) for row in await database.sql(statement, **values)]
    except DbError as exc:
        if exc.code == _UNDEFINED_TABLE:
            return []
        raise


_since = [0, 0.0]  # events since the last cleaning, and when that was


def _clean_some_time(database: Database) -> None:
    """Clean after the first event of a process, and every so often; after the response where there is one."""
    _since[0] += 1
    if _since[0] < _CLEAN_EVERY and time.monotonic() - _since[1] < _CLEAN_EVERY_S and _since[1]:
        return
    _since[:] = [0, time.monotonic()]
    if current.get(None) is not None:
        after(clean, database)
