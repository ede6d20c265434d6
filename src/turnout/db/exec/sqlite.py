"""SQLite: reads on the event loop under a budget, writes on one thread of their own.

A thread hop costs many times a point read, so a read runs where it is asked, on a connection that
cannot write. A progress handler stops it after 2 ms; it then runs again on a thread, and so do
its like for a minute. A write may have to wait for the disk, so it always goes to the writer, in
one transaction. ``:memory:`` is SQLite's shared in-memory file system: the same connections, the
same isolation, no file.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sqlite3
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...errors import ConfigError, DbError
from ..ast import Form, Statement
from ..build import PENDING, Row, Rows, Shape, form_of, is_kept, to_ast, to_insert
from ..errors import error, from_sqlite, not_one
from ..plan import InsertPlan, UpdatePlan, plan
from ..policy import bare, reads, role_of, scoped
from ..schema import Schema, load_sqlite
from ..scope import Scope
from ..sql.functions import register
from ..sql.protect import Protected, protect, run
from ..sql.sqlite import DROP_PROBE, PROBE, Compiled, Raw, compile_plan, probe_view
from ..sql.values import timestamp_text
from .threads import Crew, Job, Stopped

INLINE_ROWS, MAX_ROWS = 200, 10_000
BUDGET_S, SLOW_FOR_S, READ_LIMIT_S, WRITE_WAIT_S = 0.002, 60.0, 30.0, 5.0
AT_ONCE, PATIENCE_S = 2, 0.25  # long reads that make rows at a time; how long others wait for that
_CACHE, _ROOMY, _CHECK_S, _STEPS = 1_000, 500, 1.0, 1_000
_FLOOR = (3, 38, 0)  # the operator ->>
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "fuse.sshfs"}
_memory = itertools.count()


class _Reader(sqlite3.Connection):
    """A connection with the budget of its current statement."""

    calls = 0
    started = 0.0

    def tick(self) -> bool:
        """True stops the statement. Time counts only after several calls: the step counter runs on
        between statements, and a process that was not scheduled has used no budget."""
        self.calls += 1
        if self.calls == 1:
            self.started = time.perf_counter()
            return False
        return self.calls > 4 and time.perf_counter() - self.started > BUDGET_S


class SqliteEngine:
    """One SQLite database: connections, compiled statements, schema.

    Args:
        path: The file, or None for a database in memory.
        durable: A write is on the disk, and not only in its queue, before it is acknowledged.

    Raises:
        ConfigError: no such folder, no permission, a network file system, or an old SQLite.
    """

    dialect = "sqlite"

    def __init__(self, path: Path | None, *, durable: bool) -> None:
        if sqlite3.sqlite_version_info < _FLOOR:
            raise ConfigError(
                f"SQLite {sqlite3.sqlite_version} is too old", cure="use a Python whose sqlite3 is 3.38 or later"
            )
        self.path, self.durable = path, durable
        self.aggregates = True
        self._uri = f"file:/turnout-{os.getpid()}-{next(_memory)}?vfs=memdb" if path is None else None
        if path is not None:
            _check_place(path)
        self._anchor = self._first_connection()
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._writer = Crew("turnout-db-writer", 1, lambda: _mapped(self._connect_writer), _in_transaction)
        self._room = threading.Semaphore(AT_ONCE)
        self._slow = Crew("turnout-db-reader", 4, lambda: _mapped(self._connect_reader), _in_transaction)
        self._cache: OrderedDict[Any, Any] = OrderedDict()
        self._lock = threading.RLock()
        self.schema = load_sqlite(self._anchor)
        self._check_at = time.monotonic() + _CHECK_S

    # --- connections ---

    def _connect(self, timeout_s: float, factory: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._uri or str(self.path),
            uri=self._uri is not None,
            timeout=timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
            factory=factory,
        )
        try:
            _register(connection)
            connection.execute("pragma foreign_keys = on")
            if connection.execute("pragma foreign_keys").fetchone() != (1,):
                raise ConfigError("this SQLite was built without foreign keys", cure="use another build of Python")
        except BaseException:
            connection.close()
            raise
        return connection

    def _first_connection(self) -> sqlite3.Connection:
        """Open the file and put it in WAL mode, which also shows that it is a database and can be written."""
        try:
            connection = self._connect(WRITE_WAIT_S)
            try:
                if self.path is not None:
                    _use_wal(connection)
                connection.execute("pragma busy_timeout = 0")  # from here on it is used on the loop
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as exc:
            raise ConfigError(
                f"the database {self.path} cannot be opened for writing: {exc}",
                cure="the folder and the file must be writable, and the file must be a SQLite database",
            ) from exc
        return connection

    def _connect_writer(self) -> sqlite3.Connection:
        # The short time-out is one step of a longer wait that can be cancelled; see _patiently.
        connection = self._connect(0.05)
        if self.path is not None:
            connection.execute("pragma synchronous = full" if self.durable else "pragma synchronous = normal")
        return connection

    def _connect_reader(self) -> sqlite3.Connection:
        connection = self._connect(WRITE_WAIT_S)
        connection.execute("pragma query_only = on")
        return connection

    def _reader(self) -> _Reader:
        """This thread's connection for reads on the loop."""
        reader: _Reader = self._cursor().connection
        return reader

    def _cursor(self) -> Any:
        """The cursor of that connection: one is used again and again, as to make it costs a tenth of a point read."""
        try:
            return self._local.cursor
        except AttributeError:
            reader: _Reader = self._connect(0, _Reader)  # type: ignore[assignment]
            reader.execute("pragma query_only = on")
            reader.set_progress_handler(reader.tick, _STEPS)
            with self._lock:
                self._readers.append(reader)
            self._local.cursor = reader.cursor()
            return self._local.cursor

    def _leave(self, cursor: Any) -> None:
        """End what *cursor* has begun: an open statement would keep its snapshot, and the log would grow."""
        self._local.cursor = cursor.connection.cursor()
        cursor.close()

    async def ready(self) -> bool:
        """Whether the database answers."""
        _mapped(lambda: self._reader().execute("select 1").fetchone())
        return True

    async def shut(self) -> None:
        """The same as :meth:`close`, without holding up the loop."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Finish the writes in the queue and close every connection."""
        self._writer.close()
        self._slow.close()
        for connection in (*self._readers, self._anchor):
            # Its handler is a method of the connection: a cycle that only the collector would free.
            connection.set_progress_handler(None, 0)
            connection.close()
        self._readers.clear()
        self._local = threading.local()

    # --- schema and statements ---

    async def known(self) -> Schema:
        """The schema, as last read."""
        return self.schema

    def refresh(self) -> bool:
        """Read the schema again if it has changed; True if it had."""
        with self._lock:
            self._check_at = time.monotonic() + _CHECK_S
            if self._anchor.execute("pragma schema_version").fetchone()[0] == self.schema.version:
                return False
            self.schema = load_sqlite(self._anchor)
            self._cache.clear()
            return True

    def _renew(self) -> bool:
        try:
            return self.refresh()
        except sqlite3.OperationalError:  # busy: the schema that we have will do for now
            return False

    def _keep(self, key: Any, make: Callable[[], Any]) -> Any:
        with self._lock:
            entry = self._cache.get(key)
            if entry is None:
                try:
                    entry = make()
                except DbError as exc:
                    if exc.code not in ("42P01", "42703", "PGRST200", "PGRST204", "PGRST205") or not self._renew():
                        raise
                    entry = make()
                if is_kept(key):
                    self._cache[key] = entry
                if len(self._cache) > _CACHE:
                    self._cache.popitem(last=False)
            return entry

    def _touch(self, key: Any) -> None:
        try:
            self._cache.move_to_end(key)  # the least used goes first; while there is room, who cares
        except KeyError:  # another thread has just dropped it
            pass

    def _compile(self, shape: Shape) -> Any:
        if shape[0][0] == "sql":
            return self._keep(shape, lambda: self._raw(shape))
        return self._keep(shape, lambda: self._make(to_ast(bare(shape)), role_of(shape), form_of(shape)))

    def _compile_row(self, shape: Shape, columns: tuple[str, ...]) -> Any:
        return self._keep(
            (shape, columns),
            lambda: self._make(to_insert(bare(shape), columns), role_of(shape), form_of(shape)),
        )

    def _make(self, statement: Statement, role: str | None, form: Form | None) -> Compiled | Protected:
        planned = plan(statement, self.schema, role=role, aggregates=self.aggregates, form=form)
        entry = compile_plan(planned)
        if role is None or not isinstance(planned, (InsertPlan, UpdatePlan)):
            return entry
        return protect(entry, planned, self.schema, role, reads=reads(statement))

    def _raw(self, shape: Shape) -> Raw:
        names = {step[0] for step in shape[1:]}
        if names - {"one"}:
            raise error("PGRST100", "db.sql takes no filters: write them in the statement")
        return Raw(shape[0][1], "one" in names)

    # --- reads ---

    def now(self, shape: Shape, values: tuple[Any, ...], scope: Scope | None = None) -> Any:
        """The answer of a quick read, or PENDING; never waits."""
        if scope is not None:
            shape, values = scoped(shape, values, scope)
        entry = self._cache.get(shape)
        if entry is None:
            if shape[0][0] == "insert":
                return PENDING
            entry = self._compile(shape)
        elif len(self._cache) > _ROOMY:
            self._touch(shape)
        if not entry.reads:
            return PENDING
        clock = time.monotonic()
        if clock > self._check_at and self._renew():
            entry = self._compile(shape)
        if entry.slow_until > clock:
            return PENDING
        if not entry.plain:
            return self._try(entry, lambda: self._read(self._reader(), entry, values, INLINE_ROWS))
        params = [encode(values[slot]) for slot, encode in entry.binders]
        try:
            cursor = self._local.cursor
        except AttributeError:
            cursor = self._cursor()
        cursor.connection.calls = 0
        try:
            raw = cursor.execute(entry.sql, params).fetchmany(INLINE_ROWS + 1)
        except sqlite3.Error as exc:
            self._leave(cursor)
            return self._later_or_raise(entry, exc)
        except OverflowError as exc:
            raise error("22003", "a number is out of range") from exc
        if len(raw) > INLINE_ROWS:
            self._leave(cursor)
            entry.slow_until = clock + SLOW_FOR_S
            return PENDING
        rows = entry.decode(raw)
        return _only(rows) if entry.one else Rows(rows)

    def _try(self, entry: Compiled | Raw, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except sqlite3.Error as exc:
            return self._later_or_raise(entry, exc)
        except _NotARead:
            return PENDING
        except _TooLong:
            entry.slow_until = time.monotonic() + SLOW_FOR_S
            return PENDING

    def _later_or_raise(self, entry: Compiled | Raw, exc: sqlite3.Error) -> Any:
        number = (getattr(exc, "sqlite_errorcode", 0) or 0) & 0xFF
        if number == sqlite3.SQLITE_INTERRUPT:
            entry.slow_until = time.monotonic() + SLOW_FOR_S
            return PENDING
        if number == sqlite3.SQLITE_BUSY:
            return PENDING
        if number == sqlite3.SQLITE_READONLY and isinstance(entry, Raw):
            entry.reads = False
            return PENDING
        if number == sqlite3.SQLITE_ERROR and self._renew():
            return PENDING  # compiled for a schema that is gone; later() compiles it again
        raise from_sqlite(exc) from exc

    def _read(self, connection: Any, entry: Compiled | Raw, values: tuple[Any, ...], most: int) -> Any:
        """Run a read to its end on *connection*; more rows than *most* raise _TooLong."""
        if isinstance(entry, Raw):
            named = entry.bind(values[0])
            if not entry.probed:
                _probe(connection, entry)
            cursor = _fresh(connection).execute(entry.sql, named)
            raw = _fetch(cursor, most)
            rows = entry.decode(raw, cursor.description or (), self.schema)
            return _only(rows) if entry.one else Rows(rows)
        params = entry.bind(values)
        if entry.count_sql is None:
            rows = entry.decode(_fetch(_fresh(connection).execute(entry.sql, params), most))
            return _only(rows) if entry.one else Rows(rows)
        with _snapshot(connection):
            total = _fresh(connection).execute(entry.count_sql, params[entry.counted]).fetchone()[0]
            if not entry.names:  # head=True
                return Rows((), total)
            rows = entry.decode(_fetch(_fresh(connection).execute(entry.sql, params), most))
        return _only(rows) if entry.one else Rows(rows, total)

    async def later(
        self, shape: Shape, values: tuple[Any, ...], owner: object | None = None, scope: Scope | None = None
    ) -> Any:
        """The answer of what ``now`` did not give; *owner* is the transaction it belongs to."""
        if scope is not None:
            shape, values = scoped(shape, values, scope)
        if owner is None and time.monotonic() > self._check_at:
            self._renew()
        try:
            return await self._run(shape, values, owner)
        except DbError as exc:
            # A statement compiled for a schema that another process has changed since.
            if owner is None and exc.code in ("42P01", "42703") and self._renew():
                return await self._run(shape, values, owner)
            raise

    async def _run(self, shape: Shape, values: tuple[Any, ...], owner: object | None) -> Any:
        verb = shape[0][0]
        if verb == "insert":
            steps = [(self._compile_row(shape, tuple(row)), tuple(row.values())) for row in values[0]]
            bound = [(entry, entry.bind((*row, *values[1:]))) for entry, row in steps]
            return await self.write(lambda connection: _mutate(connection, bound, shape), owner)
        entry = self._compile(shape)
        if not entry.reads:
            if isinstance(entry, Raw):
                return await self.write(lambda connection: self._write_raw(connection, entry, values), owner)
            params = entry.bind(values)
            slot = (entry.entry if entry.__class__ is Protected else entry).most
            most = values[slot] if slot >= 0 else None
            return await self.write(lambda connection: _mutate(connection, [(entry, params)], shape, most), owner)
        try:
            if owner is None:
                return await self._slow.run(lambda c, job: self._read_slowly(c, job, entry, values))
            return await self._writer.run(lambda c, job: _mapped(lambda: self._read_all(c, entry, values)), owner=owner)
        except _NotARead:
            return await self._run(shape, values, owner)

    def _read_all(self, connection: Any, entry: Compiled | Raw, values: tuple[Any, ...]) -> Any:
        try:
            return self._read(connection, entry, values, MAX_ROWS)
        except _TooLong:
            raise _too_many() from None

    def _read_slowly(self, connection: Any, job: Job, entry: Compiled | Raw, values: tuple[Any, ...]) -> Any:
        # sqlite3 lets go of the interpreter's lock and takes it again at every row, on the loop too, and each of four
        # threads at that then goes before the loop: it waited 5 ms (p99.9), with two of them 0.6. Some waiting has to
        # be enough, or two reports would keep everybody's long reads for as long as they take.
        mine = self._room.acquire(timeout=PATIENCE_S)
        try:
            end = time.monotonic() + READ_LIMIT_S
            connection.set_progress_handler(lambda: job.stop or time.monotonic() > end, 10 * _STEPS)
            return _mapped(lambda: self._read_all(connection, entry, values))
        finally:
            if mine:
                self._room.release()

    # --- writes ---

    async def write(self, work: Callable[[Any], Any], owner: object | None = None) -> Any:
        """Do *work* on the writer, in a transaction of its own unless *owner* has one open."""
        if owner is not None:
            return await self._writer.run(lambda c, job: _mapped(lambda: work(c)), owner=owner)
        return await self._writer.run(lambda c, job: _mapped(lambda: _transact(c, job, work)), wait_s=WRITE_WAIT_S)

    def _write_raw(self, connection: Any, entry: Raw, values: tuple[Any, ...]) -> Any:
        cursor = connection.execute(entry.sql, entry.bind(values[0]))
        try:
            raw = _fetch(cursor, MAX_ROWS)
        except _TooLong:
            raise _too_many() from None
        if entry.alters:
            # Read on this connection, which sees the change before others do. If it is never
            # committed, the version differs and the next look at it brings the old schema back.
            with self._lock:
                self.schema = load_sqlite(connection)
                self._cache.clear()
        if cursor.description is None:
            return None if entry.one else Rows((), max(cursor.rowcount, 0))
        rows = entry.decode(raw, cursor.description, self.schema)
        return _only(rows) if entry.one else Rows(rows, len(rows))

    def waits(self, shape: Shape) -> bool:
        """Whether *shape*, run beside its task's own transaction, would wait for that to end."""
        return shape[0][0] != "select" or self.path is None

    async def begin(
        self, owner: object, isolation: str | None = None, readonly: bool = False, scope: Scope | None = None
    ) -> None:
        """Open *owner*'s transaction; from now on the writer is its own.

        Every *isolation* is serializable here, and *scope* is told with each query.
        """
        try:
            await self._writer.run(
                lambda c, job: _mapped(lambda: _begin(c, job, readonly)), owner=owner, wait_s=WRITE_WAIT_S
            )
        except BaseException:
            await self.rollback(owner)  # it may have begun all the same
            raise

    async def execute(self, owner: object, statement: str) -> None:
        """Run a savepoint's statement in *owner*'s transaction, to its end."""
        await self._writer.run(lambda c, job: _mapped(lambda: c.execute(statement)), owner=owner, sure=True)

    async def commit(self, owner: object) -> None:
        """Make *owner*'s transaction last, or roll it back and raise."""
        try:
            await self._writer.run(lambda c, job: _mapped(lambda: _commit(c, job)), owner=owner)
        except BaseException:
            await self.rollback(owner)  # cancelled before its turn came, it has not ended the transaction
            raise

    async def rollback(self, owner: object) -> None:
        """Undo *owner*'s transaction, if it is open."""
        await self._writer.run(lambda c, job: _rollback(c), owner=owner, sure=True)
        self._check_at = 0.0  # it may have altered tables

    @contextmanager
    def exclusive(self) -> Iterator[sqlite3.Connection]:
        """A connection of the caller's own, for migrations: it blocks, and is closed at the end."""
        connection = self._connect(60.0)
        try:
            yield connection
        finally:
            connection.close()
            self._check_at = 0.0


class _NotARead(Exception):
    """A statement that looked like a read has turned out to be a write."""


class _TooLong(Exception):
    """There are more rows than this way of reading may fetch."""


def _too_many() -> DbError:
    return error(
        "54000", f"more than {MAX_ROWS:,} rows in one answer", hint="read them in parts with .range()", status=500
    )


def _fetch(cursor: Any, most: int) -> list[tuple[Any, ...]]:
    raw: list[tuple[Any, ...]] = cursor.fetchmany(most + 1)
    if len(raw) > most:
        cursor.close()  # an open cursor would keep the snapshot, and the log would grow
        raise _TooLong
    return raw


def _fresh(connection: Any) -> Any:
    """*connection* with a new budget, if it has one."""
    if isinstance(connection, _Reader):
        connection.calls = 0
    return connection


def _probe(connection: Any, raw: Raw) -> None:
    """Learn the types of a statement's columns from a view of it, the one place that knows them."""
    guarded = connection.execute("pragma query_only").fetchone() == (1,)
    if guarded:
        connection.execute("pragma query_only = off")
    try:
        connection.execute(probe_view(raw.probe))
        try:
            raw.learn(connection.execute(PROBE).fetchall())
        finally:
            connection.execute(DROP_PROBE)
    except sqlite3.OperationalError as exc:
        if (exc.sqlite_errorcode & 0xFF) != sqlite3.SQLITE_ERROR:
            raise
        raw.learn(None)  # no view can be made of it: a WITH that writes, EXPLAIN, or a mistake
        if not raw.reads:
            raise _NotARead from None
    finally:
        if guarded:
            connection.execute("pragma query_only = on")


@contextmanager
def _snapshot(connection: Any) -> Iterator[None]:
    """Let several reads see one state."""
    if connection.in_transaction:
        yield
        return
    connection.execute("begin")
    try:
        yield
    finally:
        connection.execute("rollback")


def _only(rows: list[Row]) -> Row | None:
    if len(rows) > 1:
        raise error(
            "PGRST116", "single() found more than one row",
            hint="filter by a unique column, or add .limit(1) to take the first",
        )  # fmt: skip
    return rows[0] if rows else None


def _mutate(connection: Any, steps: list[tuple[Any, Any]], shape: Shape, most: int | None = None) -> Any:
    rows: list[Row] = []
    count = 0
    for entry, params in steps:
        if entry.__class__ is Protected:
            raw = run(connection, entry, params)
            count += 0 if entry.returns else len(raw)
            rows += entry.entry.decode(raw) if entry.returns else ()
            if len(rows) > MAX_ROWS:
                raise _too_many()
            continue
        cursor = connection.execute(entry.sql, params)
        if not entry.returns:
            count += max(cursor.rowcount, 0)
            continue
        raw = cursor.fetchmany(MAX_ROWS + 1 - len(rows))
        rows += entry.decode(raw)
        if len(rows) > MAX_ROWS:
            cursor.close()
            raise _too_many()
    if most is not None and count + len(rows) > most:
        raise error(
            "PGRST124", "Query result exceeds max-affected preference constraint",
            details=f"The query affects {count + len(rows)} rows",
        )  # fmt: skip
    touched = count + len(rows)
    if ("sole",) in shape and touched != 1:
        raise not_one(touched)
    if ("one",) in shape:
        return _only(rows)
    return Rows(rows, touched)


def _mapped(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except sqlite3.Error as exc:
        raise from_sqlite(exc) from exc
    except OverflowError as exc:
        raise error("22003", "a number is out of range") from exc


def _transact(connection: Any, job: Job, work: Callable[[Any], Any]) -> Any:
    _patiently(connection, "begin immediate", job)
    try:
        result = work(connection)
        _commit(connection, job)
        return result
    except BaseException:
        _rollback(connection)
        raise


def _begin(connection: Any, job: Job, readonly: bool) -> None:
    _patiently(connection, "begin immediate", job)
    if readonly:
        connection.execute("pragma query_only = on")


def _commit(connection: Any, job: Job) -> None:
    try:
        job.commit()
        connection.execute("pragma query_only = off")
        _patiently(connection, "commit", None)
    except BaseException:
        _rollback(connection)
        raise


def _rollback(connection: Any) -> None:
    if connection.in_transaction:
        connection.execute("pragma query_only = off")
        connection.execute("rollback")


def _patiently(connection: Any, statement: str, job: Job | None) -> None:
    """Run *statement* as soon as no other process is in the way, for up to 5 s.

    SQLite's own waiting cannot be broken off, and a cancelled caller must not wait for another process.
    """
    end = time.monotonic() + WRITE_WAIT_S
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as exc:
            if (exc.sqlite_errorcode & 0xFF) != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            if job is not None and job.stop:
                raise Stopped from None


def _in_transaction(connection: Any) -> bool:
    return bool(connection.in_transaction)


# --- the file ---


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; a process that does so at the same moment makes it fail without a wait."""
    end = time.monotonic() + WRITE_WAIT_S
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError as exc:
            if (exc.sqlite_errorcode & 0xFF) != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _check_place(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise ConfigError(f"the folder of the database does not exist: {folder}", cure=f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise ConfigError(
            f"the database {path} is on a read-only place",
            cure="SQLite writes beside its file: use a writable folder, or PostgreSQL",
        )
    kind = _file_system(folder)
    if kind in _NETWORK:
        raise ConfigError(
            f"the database {path} is on a network file system ({kind}), where SQLite loses data",
            cure="use a local disk, or PostgreSQL",
        )


def _file_system(folder: Path) -> str:
    """The type of the file system that holds *folder*, where Linux tells."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    here, best, kind = str(folder.resolve()), "", ""
    for line in lines:
        _, mount, type_, *_ = line.split(" ")
        inside = here == mount or here.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, type_
    return kind


# --- functions that SQL may call ---


def _register(connection: sqlite3.Connection) -> None:
    register(connection)
    for name, count, function in (
        ("turnout_lower", 1, _lower),
        ("turnout_float", 1, float),
        ("turnout_contains", 2, _contains),
        ("turnout_contained", 2, _contained),
        ("turnout_overlaps", 2, _overlaps),
    ):
        connection.create_function(name, count, function, deterministic=True)
    connection.create_function("now", 0, lambda: timestamp_text(datetime.now(UTC)))
    connection.create_function("gen_random_uuid", 0, lambda: str(uuid.uuid4()))


def _lower(text: Any) -> Any:
    return text.lower() if isinstance(text, str) else text


def _contains(whole: Any, part: Any) -> Any:
    if whole is None or part is None:
        return None
    return _holds(_document(whole), _document(part), True)


def _contained(part: Any, whole: Any) -> Any:
    return _contains(whole, part)


def _overlaps(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    ours = _document(left)
    return any(_same(ours_item, item) for item in _document(right) for ours_item in ours if item is not None)


def _document(stored: Any) -> Any:
    return json.loads(stored) if isinstance(stored, str) else stored


def _holds(whole: Any, part: Any, top: bool = False) -> bool:
    """jsonb's ``@>``: https://www.postgresql.org/docs/current/datatype-json.html#JSON-CONTAINMENT"""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(key in whole and _holds(whole[key], value) for key, value in part.items())
    if isinstance(whole, list) and isinstance(part, list):
        return all(any(_holds(item, wanted) for item in whole) for wanted in part)
    if top and isinstance(whole, list) and not isinstance(part, dict):
        return any(_same(item, part) for item in whole)
    return _same(whole, part)


def _same(left: Any, right: Any) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


__all__ = ["Schema", "SqliteEngine"]
