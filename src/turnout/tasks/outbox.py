"""The outbox: what was enqueued and is not yet with the engine, as rows of the project's database.

A row is written in the transaction of the effects that it belongs to, on the same connection, so
both are there or neither is; the engine's own tables cannot be reached from that connection. A
worker hands each row on and then deletes it. The row's id is the id of the run, and the engine
starts an id once: so a row that is handed on twice, by two workers or after a crash between the
two steps, is one run.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib.util
import json
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, LiteralString
from weakref import WeakSet

import msgspec

from ..errors import ConfigError, DbError
from .task import TASKS

if TYPE_CHECKING:
    from ..db import Database, Transaction

BATCH = 100
_UNDEFINED_TABLE = "42P01"
_KEYS = uuid.UUID("6f0a5c5e-8d0c-4c3e-9b55-0a4a2f1c7d11")  # a name space of our own, for ids made of keys

_TABLE: LiteralString = """create table if not exists _turnout_outbox (
    id text primary key,
    task text not null,
    payload text not null,
    due_s double precision not null,
    enqueued_s double precision not null
)"""
# Two processes that make the table at once collide on PostgreSQL; inside a transaction that would be the end of it.
_ALONE: LiteralString = "select pg_advisory_xact_lock(7088514)"
_PUT: LiteralString = """insert into _turnout_outbox (id, task, payload, due_s, enqueued_s)
values (:id, :task, :payload, :due_s, :now_s) on conflict (id) do nothing"""
_WAITING: LiteralString = (
    "select id, task, payload, due_s, enqueued_s from _turnout_outbox order by enqueued_s, id limit :most"
)
_TAKEN: LiteralString = "delete from _turnout_outbox where id in (select value from json_each(:ids)) returning id"
_TAKEN_POSTGRES: LiteralString = (
    "delete from _turnout_outbox where id in (select json_array_elements_text((:ids::text)::json)) returning id"
)

_ready: WeakSet[Any] = WeakSet()  # the engines whose database has the table
on_put: list[Callable[[], None]] = []  # told that there may be work


class Enqueued(msgspec.Struct, frozen=True):
    """A row of the outbox.

    Attributes:
        id: Of the run to be.
        task: The task's name.
        payload: Its arguments, as JSON.
        due_s: When it may run, in Unix seconds.
        enqueued_s: When it was written down.
    """

    id: str
    task: str
    payload: str
    due_s: float
    enqueued_s: float


def require_engine() -> None:
    """Raise ConfigError if what runs tasks is not installed."""
    if importlib.util.find_spec("dbos") is None:
        raise ConfigError("tasks need the DBOS engine, which is not installed", cure='pip install "turnout[durable]"')


async def put(task: str, payload: str, wait_s: float, key: str | None, tx: Transaction | None) -> str:
    """Write a row, in *tx* or the caller's transaction if there is one; gives its id."""
    require_engine()
    if not 0 <= wait_s < 10 * 365 * 86_400:
        raise ValueError(f"delay is from 0 s to ten years, not {wait_s} s")
    number = str(uuid.uuid4()) if key is None else str(uuid.uuid5(_KEYS, f"{task}\0{key}"))
    now_s = time.time()
    door = _door(tx)
    await _prepare(door)
    await door.sql(_PUT, id=number, task=task, payload=payload, due_s=now_s + wait_s, now_s=now_s)
    for tell in on_put:
        tell()
    return number


async def waiting(database: Database, most: int = BATCH) -> list[Enqueued]:
    """The oldest rows; none where nothing was ever enqueued."""
    try:
        found = await database.sql(_WAITING, most=most)
    except DbError as exc:
        if exc.code == _UNDEFINED_TABLE:
            return []
        raise
    return [Enqueued(**row) for row in found]


async def remove(database: Database, *numbers: str) -> int:
    """Delete the rows of those ids; how many there were."""
    taken = _TAKEN_POSTGRES if database.dialect == "postgres" else _TAKEN
    try:
        return len(await database.sql(taken, ids=json.dumps(numbers)))
    except DbError as exc:
        if exc.code == _UNDEFINED_TABLE:
            return 0
        raise


async def drain() -> int:
    """For tests: run what was enqueued, here and now and without delay, and give how many ran.

    There is no engine in tests, so nothing runs by itself. Nothing is tried again: what a task
    raises leaves this call, and its row is gone. Tasks that enqueue more are run to the end.
    """
    database = _project()
    ran = 0
    while rows := await waiting(database, 1):
        (row,) = rows
        await remove(database, row.id)
        await _known(row).run(row.payload)
        ran += 1
    return ran


def _known(row: Enqueued) -> Any:
    if row.task not in TASKS:
        raise ConfigError(f"there is no task named {row.task}", cure="import the module that declares it")
    return TASKS[row.task]


def _project() -> Database:
    from ..db import db

    return db


def _door(tx: Transaction | None) -> Database | Transaction:
    """What writes the row: the transaction given, the caller's own, or the database."""
    from ..db.database import current_transaction

    database = _project()
    found = tx or current_transaction()
    if found is None or (tx is None and found.database is not database):
        return database
    if found.database is not database:
        raise ConfigError(
            "a task is enqueued in a transaction of another database than the project's",
            cure="use a transaction of turnout.db",
        )
    if found.scope is not None:
        raise ConfigError(
            "a task is enqueued in a user's transaction, which may not write Turnout's own tables",
            cure="enqueue after the block, or use db.transaction()",
        )
    return found


async def prepare() -> None:
    """Make the table, once for each database that this process opens."""
    database = _project()
    if database.engine not in _ready:
        async with database.transaction() as tx:
            if database.dialect == "postgres":
                await tx.sql(_ALONE)
            await tx.sql(_TABLE)
        _ready.add(database.engine)


async def _prepare(door: Database | Transaction) -> None:
    if door.engine in _ready:
        return
    if door.engine.dialect == "sqlite" and door is not _project():
        # The transaction has the only writer there is. If it is rolled back, so is the table.
        await door.sql(_TABLE)
        return
    # In a context of its own, which knows of no transaction that it would not be part of.
    await asyncio.get_running_loop().create_task(prepare(), context=contextvars.Context())
