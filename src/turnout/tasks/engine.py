"""DBOS, the engine that keeps tasks and runs them: started in every worker, asked by the command line.

One workflow of DBOS is one task; each attempt is a step of it, and the wait between two attempts
is a sleep that survives the process. Its threads keep the books; the function itself runs on the
worker's own event loop, where the database and everything else of the project is.

DBOS gives the work of a process that died to others, once it is told who died: that is what the
rows of ``_turnout_task_workers`` are for.

Docs: https://docs.dbos.dev/python
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString, cast

import msgspec

from .. import log
from ..errors import ConfigError, DbError
from . import outbox
from .task import TASKS, Task, own

if TYPE_CHECKING:
    from dbos import DBOSClient

    from ..config import Config
    from ..db import Database

logger = logging.getLogger("turnout.tasks")

# Of every worker: how many tasks run at once, and how many it takes from the queue, those included
# that wait for their next attempt.
RUNNING, TAKEN = 10, 100
POLL_S, BEAT_S, DEAD_S, AGAIN_S, LEAVE_S, CLEAN_S = 0.5, 5.0, 30.0, 5.0, 10.0, 600.0
KEPT_DAYS = 30
QUEUE = "turnout"
_NAME = "turnout"  # of the application and its version: what one deployment has enqueued, the next one runs
NAMES = _ONE, _CRON = "turnout.task", "turnout.cron"
_NOTHING = '{"args":[],"kwargs":{}}'

_WORKERS: LiteralString = (
    "create table if not exists _turnout_task_workers (id text primary key, seen_s double precision not null)"
)
_SEEN: LiteralString = """insert into _turnout_task_workers (id, seen_s) values (:id, :now_s)
on conflict (id) do update set seen_s = excluded.seen_s"""
_ALIVE: LiteralString = "select id from _turnout_task_workers where seen_s > :since_s"
_GONE: LiteralString = "delete from _turnout_task_workers where id = :id or seen_s < :before_s"


class TaskFailed(Exception):
    """An attempt has failed; the text is what the books keep of it."""


class Json:
    """DBOS's values as JSON and not as pickles, which run code when they are read."""

    def serialize(self, data: Any) -> str:
        """Any value of ours, or an exception, as text."""
        return msgspec.json.encode(data, enc_hook=_to_json).decode()

    def deserialize(self, serialized_data: str) -> Any:
        """The value again; an exception comes back as TaskFailed."""
        found = msgspec.json.decode(serialized_data)
        return TaskFailed(found["error"]) if isinstance(found, dict) and set(found) == {"error"} else found

    def name(self) -> str:
        """How the books call this form."""
        return "turnout_json"


def _to_json(value: Any) -> Any:
    if isinstance(value, TaskFailed):
        return {"error": str(value)}
    if isinstance(value, BaseException):
        return {"error": f"{type(value).__name__}: {log.redact(str(value))}"}
    raise TypeError(f"{type(value).__name__} is no JSON")


class Engine:
    """The engine of one worker.

    Args:
        url: Of DBOS's own tables: a SQLite file beside the project's, or the same PostgreSQL.
        database: The project's.
    """

    def __init__(self, url: str, database: Database) -> None:
        self.url, self._database = url, database
        self.id = worker_id()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(RUNNING)
        self._busy = 0
        self._leaving = False
        self._main: asyncio.Task[None] | None = None
        self._cron: Any = None
        self._books: Any = None
        self._tasks_changed = False

    def reschedule(self) -> None:
        """The tasks are others: the project was loaded anew."""
        self._tasks_changed = True
        self._nudge()

    def start(self) -> None:
        """Begin, on the running loop; a database that is away is waited for."""
        if self._main is None:
            self._loop = asyncio.get_running_loop()
            self._main = self._loop.create_task(self._run())
            outbox.on_put.append(self._nudge)

    async def stop(self) -> None:
        """Take nothing more, give what runs some seconds, and leave the rest to other workers."""
        if self._main is None:
            return
        outbox.on_put.remove(self._nudge)
        self._leaving = True
        until = time.monotonic() + LEAVE_S
        while self._busy and time.monotonic() < until:  # noqa: ASYNC110  (asked for once, at the end of a process)
            await asyncio.sleep(0.02)
        self._main.cancel()
        await asyncio.wait([self._main])
        await asyncio.to_thread(self._close)
        try:
            await self._database.sql(_GONE, id=self.id, before_s=0.0)
        except DbError as exc:
            logger.debug("this worker's row stays until it is out of date: %s", exc)

    def _close(self) -> None:
        if self._books is not None:
            self._books.destroy()
        _destroy()

    def _nudge(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _run(self) -> None:
        while True:
            try:
                await outbox.prepare()
                await self._database.sql(_WORKERS)
                await self._beat()
                await asyncio.to_thread(self._launch)
                break
            except Exception as exc:
                logger.warning("tasks cannot run yet: %s", _short(exc))
                await asyncio.to_thread(_destroy)
                await asyncio.sleep(AGAIN_S)
        beat_at = clean_at = 0.0
        while True:
            try:
                if time.monotonic() >= beat_at:
                    beat_at = time.monotonic() + BEAT_S
                    await self._beat()
                    await self._inherit()
                if time.monotonic() >= clean_at:
                    clean_at = time.monotonic() + CLEAN_S
                    await asyncio.to_thread(forget, self._books)
                if self._tasks_changed:
                    await asyncio.to_thread(self._schedule)
                    self._tasks_changed = False
                await self._relay()
            except Exception as exc:
                logger.warning("tasks are not handed on at the moment: %s", _short(exc))
                await asyncio.sleep(AGAIN_S)
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    # --- from the outbox to DBOS ---

    async def _relay(self) -> None:
        """Hand every row on, and only then delete it: what is handed on twice is started once."""
        while rows := await outbox.waiting(self._database):
            await asyncio.to_thread(hand_on, rows, self._books)
            await outbox.remove(self._database, *(row.id for row in rows))

    # --- those who died ---

    async def _beat(self) -> None:
        now_s = time.time()
        await self._database.sql(_SEEN, id=self.id, now_s=now_s)

    async def _inherit(self) -> None:
        """Put back what workers were at that are not there any more."""
        since_s = time.time() - DEAD_S
        alive = {row["id"] for row in await self._database.sql(_ALIVE, since_s=since_s)}
        dead = await asyncio.to_thread(_abandoned, alive)
        for number in dead:
            logger.info("taking over the tasks of a worker that is gone: %s", number)
            await self._database.sql(_GONE, id=number, before_s=since_s - DEAD_S)

    # --- running ---

    def _launch(self) -> None:
        from dbos import DBOS, DBOSConfig

        config: DBOSConfig = {
            "name": _NAME, "application_version": _NAME, "executor_id": self.id, "system_database_url": self.url,
            "serializer": cast(Any, Json()), "use_listen_notify": False, "log_level": "WARNING",
        }  # fmt: skip

        @DBOS.workflow(name=_ONE)
        async def one(name: str, payload: str) -> None:
            await self._workflow(name, payload)

        @DBOS.workflow(name=_CRON)
        async def scheduled(due: str, name: str) -> None:
            await self._workflow(name, _NOTHING)

        check_sqlite(self.url)
        _use_wal(self.url)
        DBOS(config=config)
        _hush()
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=TAKEN, polling_interval_sec=POLL_S)
        self._cron, self._books = scheduled, _client(self.url)
        self._schedule()

    def _schedule(self) -> None:
        """Let DBOS know which tasks have an hour, and which have it no more."""
        from dbos import DBOS

        wanted = {name: each for name, each in TASKS.items() if each.cron is not None}
        DBOS.apply_schedules([_to_schedule(each, self._cron) for each in wanted.values()])
        for there in DBOS.list_schedules():
            if there["schedule_name"] not in wanted:
                DBOS.delete_schedule(there["schedule_name"])

    async def _workflow(self, name: str, payload: str) -> None:
        """One task, to its end: attempts, and the waits between them. Every word of it may be replayed."""
        from dbos import DBOS

        attempt = 1
        while True:
            try:
                await DBOS.run_step_async(
                    {"name": f"attempt {attempt}", "preemptible": True}, self._attempt, name, payload, attempt
                )
                return
            except TaskFailed:
                made = TASKS.get(name)
                retries, wait_s = (made.retries, made.wait_s(attempt)) if made else (5, 2.0**attempt)
                if attempt > retries:
                    raise
            await DBOS.sleep_async(wait_s)
            attempt += 1

    async def _attempt(self, name: str, payload: str, attempt: int) -> None:
        assert self._loop is not None
        call = asyncio.run_coroutine_threadsafe(self._call(name, payload, attempt), self._loop)
        await asyncio.wrap_future(call)

    async def _call(self, name: str, payload: str, attempt: int) -> None:
        """On the worker's loop: one attempt."""
        async with self._slots:
            if self._leaving:  # for another worker: to return or raise would be to have tried
                await asyncio.Event().wait()
            self._busy += 1
            began = time.perf_counter()
            try:
                made = TASKS.get(name)
                if made is None:
                    raise ConfigError(f"there is no task named {name} in this worker", cure="declare it, or cancel it")
                await made.run(payload)
                logger.info("task %s done in %.0f ms", name, (time.perf_counter() - began) * 1e3)
            except Exception as exc:
                last = made is not None and attempt > made.retries
                say = logger.error if last else logger.warning
                say("task %s failed at attempt %d: %s", name, attempt, _short(exc), exc_info=exc if last else None)
                raise TaskFailed(_short(exc)) from None
            finally:
                self._busy -= 1


def hand_on(rows: Iterable[outbox.Enqueued], books: DBOSClient) -> None:
    """Enqueue *rows* in one transaction of DBOS, which starts an id only once."""
    with books._sys_db.engine.begin() as connection:  # what enqueue_in_transaction is to be called with
        for row in rows:
            options: Any = {
                "workflow_name": _ONE, "queue_name": QUEUE, "workflow_id": row.id, "app_version": _NAME,
            }  # fmt: skip
            left_s = row.due_s - time.time()
            if left_s > 0.01:
                options["delay_seconds"] = left_s
            books.enqueue_in_transaction(connection, options, row.task, row.payload)


def forget(books: DBOSClient, *, now_s: float | None = None) -> int:
    """Delete the tasks that have been over for 30 days, up to a thousand; how many it were."""
    before = datetime.fromtimestamp((time.time() if now_s is None else now_s) - KEPT_DAYS * 86_400, UTC)
    old = books.list_workflows(
        name=list(NAMES), completed_before=before.isoformat(), limit=1_000, load_input=False, load_output=False
    )
    if old:
        books.delete_workflows([flow.workflow_id for flow in old])
    return len(old)


def _use_wal(url: str) -> None:
    """Readers and a writer of DBOS's file need not wait for each other; the file remembers it."""
    if url.startswith("sqlite:///"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)) as connection:
            connection.execute("pragma journal_mode = wal")


def worker_id() -> str:
    """Who runs something: the machine, the process, and a number of its own, as process ids come again."""
    return f"{_machine()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"


def _machine() -> str:
    try:
        space = str(Path("/proc/self/ns/pid").readlink()).strip(
            "pid:[]"
        )  # containers of one host count processes apart
    except OSError:
        space = "0"
    return f"{socket.gethostname()}-{space}"


def _abandoned(alive: set[str]) -> list[str]:
    """The workers with unfinished tasks that are gone; their tasks are in the queue again."""
    from dbos import DBOS

    pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
    dead = [each for each in {flow.executor_id for flow in pending} if each and (each not in alive or _ended(each))]
    if dead:
        DBOS._recover_pending_workflows(dead)
    return dead


def _ended(number: str) -> bool:
    """Whether the process of *number* was one of this machine, and is no more."""
    machine, _, rest = number.partition("/")
    pid = rest.partition("/")[0]
    if machine != _machine() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except ProcessLookupError:
        return True
    except OSError:
        return False


def _to_schedule(made: Task[..., Any], function: Callable[..., Any]) -> Any:
    return {
        "schedule_name": made.name, "workflow_fn": function, "schedule": made.cron, "context": made.name,
        "cron_timezone": made.timezone, "queue_name": QUEUE,
    }  # fmt: skip


def _hush() -> None:
    """Let DBOS's records go where all others go, but for what tasks raise, which is told of once, and cancellations."""
    theirs = logging.getLogger("dbos")
    theirs.handlers.clear()
    theirs.propagate = True
    theirs.setLevel(logging.ERROR)
    if _no_failure not in theirs.filters:
        theirs.addFilter(_no_failure)


def _no_failure(record: logging.LogRecord) -> bool:
    raised = record.exc_info[1] if record.exc_info else None
    return not isinstance(raised, TaskFailed) and not type(raised).__name__.endswith("WorkflowCancelledError")


def _destroy() -> None:
    from dbos import DBOS

    DBOS.destroy(destroy_registry=True)


def _short(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {log.redact(str(exc))}"[:500]


# --- plugging in ---


def system_url(config: Config) -> str:
    """Where DBOS's tables are: in the project's PostgreSQL, or in ``tasks.db`` beside its SQLite file."""
    if config.database_url.startswith("postgres"):
        from ..db.exec.postgres import Address

        return Address.of(config.database_url).url
    return f"sqlite:///{config.root / config.data_dir / 'tasks.db'}"


def check_sqlite(url: str, version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Raise ConfigError where DBOS cannot use SQLite: from Python 3.12 on it asks it for milliseconds."""
    if url.startswith("sqlite") and sys.version_info >= (3, 12) and version < (3, 42):
        raise ConfigError(
            f"tasks need SQLite 3.42 on Python 3.12 and later, and this is {'.'.join(map(str, version))}",
            cure="use Python 3.11, a Python with a newer sqlite3, or a PostgreSQL",
        )


def check(tasks: Iterable[Task[..., Any]], config: Config) -> None:
    """Raise ConfigError if *tasks* cannot run here: no engine, or a cron expression that means nothing."""
    outbox.require_engine()
    check_sqlite(system_url(config))
    from zoneinfo import ZoneInfo

    for made in tasks:
        if made.cron is None:
            continue
        from croniter import croniter  # type: ignore[import-untyped,unused-ignore]

        if not croniter.is_valid(made.cron, second_at_beginning=True):
            raise ConfigError(
                f"the task {made.name} has the cron expression {made.cron!r}",
                cure='minute hour day month weekday: cron="0 3 * * *" is every day at three',
            )
        try:
            ZoneInfo(made.timezone)
        except (KeyError, ValueError, OSError):
            raise ConfigError(
                f"the task {made.name} has the unknown timezone {made.timezone!r}", cure='"Europe/Berlin", or "UTC"'
            ) from None


class Plug:
    """The engine of a project's worker: what the app calls at its start and at its end.

    A project that declares no task of its own gets no engine, until something is enqueued all the
    same, as Turnout's own mail may be. When development loads the project anew, the next app begins
    before the last one ends: they share the engine of the process.
    """

    _shared: Engine | None = None
    _users = 0

    def __init__(self, config: Config) -> None:
        self._url = system_url(config)
        self._always = config.mail.queued  # what waits for its next attempt is in DBOS's books, and needs it too
        self._begun = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """For ``on_startup``."""
        from ..db import db

        self._loop = asyncio.get_running_loop()
        outbox.on_put.append(self._told)
        if self._always or any(own(each) for each in TASKS.values()) or (TASKS and await _left_over(db)):
            self._begin()

    async def stop(self) -> None:
        """For ``on_shutdown``; before the database is closed."""
        if self._told in outbox.on_put:
            outbox.on_put.remove(self._told)
        if not self._begun:
            return
        self._begun = False
        Plug._users -= 1
        if Plug._users == 0 and Plug._shared is not None:
            engine, Plug._shared = Plug._shared, None
            await engine.stop()

    def _told(self) -> None:
        if not self._begun and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        from ..db import db

        if self._begun:
            return
        self._begun = True
        Plug._users += 1
        if Plug._shared is None:
            Plug._shared = Engine(self._url, db)
            Plug._shared.start()
        else:
            Plug._shared.reschedule()


async def _left_over(database: Database) -> bool:
    try:
        return bool(await outbox.waiting(database, 1))
    except DbError:
        return False


# --- for the command line ---


def _has_table(file: Path) -> bool:
    if not file.exists():
        return False
    with contextlib.closing(sqlite3.connect(file)) as connection:
        found = connection.execute("select 1 from sqlite_master where name = 'workflow_status'").fetchone()
    return found is not None


async def has_books(config: Config, database: Database) -> bool:
    """Whether a worker has ever made DBOS's tables."""
    if database.dialect == "sqlite":
        return await asyncio.to_thread(_has_table, Path(system_url(config).removeprefix("sqlite:///")))
    found = await database.sql("select to_regclass('dbos.workflow_status') is not null as there").single()
    return found is not None and found["there"] is True


def client(config: Config) -> DBOSClient:
    """A look at DBOS's books from outside."""
    outbox.require_engine()
    return _client(system_url(config))


def _client(url: str) -> DBOSClient:
    from dbos import DBOSClient

    _hush()
    return DBOSClient(
        system_database_url=url, serializer=cast(Any, Json()), application_name=_NAME, retry_connection_errors=False
    )
