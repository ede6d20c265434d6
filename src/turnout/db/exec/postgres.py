"""PostgreSQL through asyncpg: a pool for each event loop, compiled statements, transactions, errors.

The pool's reset between users is left out, as it is one more round trip: nothing here changes a
session, only transactions (``set local``), and a statement of the user's own that might is
followed by the reset after all. A write of one statement is its own transaction; several, and
those that may have to be undone for giving back too many rows, get one around them. Nothing is
ever run twice that may have had an effect.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from ...errors import ConfigError, DbError
from ..build import PENDING, Page, Row, Rows, Shape, form_of, is_kept, to_ast, to_insert
from ..errors import error, from_postgres, not_one
from ..introspect import load_postgres
from ..plan import plan
from ..policy import refuse_beside
from ..schema import Schema, Type, quote
from ..scope import Scope
from ..sql.pgvalues import use_json_types
from ..sql.postgres import COMMIT, COUNT, ISOLATION, MAX_ROWS, ROLLBACK, Compiled, Raw, begin, compile_plan
from ..sql.roles import SCOPED_S, enter
from .line import Lease, Line
from .notices import listen

POOL_MIN, POOL_MAX = 1, 10
ACQUIRE_S, STATEMENT_S, RELOAD_S = 5.0, 30.0, 5.0
# The server ends a statement by itself; what has not been heard GRACE_S later never will be. A
# connection whose query was broken off has END_S to become usable again, and is closed after that.
GRACE_S, END_S = 2.0, 1.0
_CACHE, _PREPARED = 1_000, 500
_STALE = ("42P01", "42703", "42883", "0A000", "PGRST200", "PGRST202", "PGRST204", "PGRST205")
_FORGOTTEN = ("26000", "42P05")  # a prepared statement that is not there, and one that is there already
_READING, _WRITING = begin(None, True), begin(None, False)
_COUNTED = re.compile(r"(\d+)\Z")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a PostgreSQL is: a URL for the driver, and whether a transaction pooler stands before it."""

    url: str
    pooled: bool = False

    @classmethod
    def of(cls, url: str) -> Address:
        """The address in a DATABASE_URL; ``pgbouncer=true`` is for us and not for the server."""
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        told = any(name == "pgbouncer" and value.lower() in ("true", "1") for name, value in query)
        try:
            port = parts.port
        except ValueError as exc:
            raise ConfigError(
                "DATABASE_URL has a port that is no number", cure="postgresql://user:password@host:5432/name"
            ) from exc
        kept = urlencode([pair for pair in query if pair[0] != "pgbouncer"], safe="/")
        bare = url.partition("?")[0]  # urlunsplit would make one slash of three
        return cls(f"{bare}?{kept}" if kept else bare, told or port == 6543)

    def __str__(self) -> str:
        """The address without user and password."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return f"postgresql://{host}{parts.path}"

    __repr__ = __str__


@dataclass(slots=True, eq=False)
class _Held:
    """The connection of one transaction, used by one task at a time; *altered* if it has changed the schema."""

    lease: Lease
    scope: Scope | None = None
    altered: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def connection(self) -> Any:
        return self.lease.connection


class PostgresEngine:
    """One PostgreSQL database: pools, compiled statements, schema.

    Args:
        address: Where it is.
    """

    dialect = "postgres"

    def __init__(self, address: Address) -> None:
        try:
            import asyncpg  # noqa: F401
        except ImportError as exc:
            raise ConfigError(
                "DATABASE_URL is a PostgreSQL, and its driver is not installed", cure='pip install "turnout[postgres]"'
            ) from exc
        self.address = address
        self.aggregates = True
        self._pools: dict[asyncio.AbstractEventLoop, asyncio.Task[Any]] = {}
        self._lines: dict[asyncio.AbstractEventLoop, Line] = {}
        self._cache: OrderedDict[Any, Any] = OrderedDict()
        self._held: dict[object, _Held] = {}
        self._schema: Schema | None = None
        self._keeps_statements = not address.pooled
        self._entered: set[int] = set()  # the server's processes that have been told how a scope is entered
        self._stale, self._reload_at = False, 0.0
        self._loads = self._loaded = 0  # how often the schema was begun to be read; the newest that is known
        self._news = 0  # how often it was said to have changed
        self._listening: asyncio.Task[None] | None = None

    @property
    def schema(self) -> Schema:
        """The schema as last read."""
        return self._schema or Schema({}, 0, "postgres")

    # --- connections ---

    async def _pool(self) -> Any:
        loop = asyncio.get_running_loop()
        opening = self._pools.get(loop)
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None)):
            for old in [each for each in self._pools if each.is_closed()]:
                del self._pools[old]
                self._lines.pop(old, None)
            # A task of its own: whoever asked first may be cancelled while others wait.
            opening = self._pools[loop] = loop.create_task(self._open())
        if opening.done():
            return opening.result()
        return await asyncio.shield(opening)

    async def _open(self) -> Any:
        import asyncpg

        settings = {"timezone": "UTC"}
        if not self.address.pooled:  # a pooler refuses settings that it does not know
            settings |= {"statement_timeout": str(int(STATEMENT_S * 1000)), "application_name": "turnout"}
        return await asyncpg.create_pool(
            self.address.url,
            min_size=POOL_MIN,
            max_size=POOL_MAX,
            init=self._prepare,
            reset=_no_reset,
            timeout=ACQUIRE_S,
            command_timeout=STATEMENT_S + (0 if self.address.pooled else GRACE_S),
            statement_cache_size=0 if self.address.pooled else _PREPARED,
            max_cached_statement_lifetime=0,
            server_settings=settings,
        )

    async def _acquire(self) -> Lease:
        """A connection, which must be given or put back to its line."""
        loop = asyncio.get_running_loop()
        line, left_s = self._lines.get(loop), ACQUIRE_S
        try:
            if line is None:
                deadline = loop.time() + ACQUIRE_S
                async with asyncio.timeout_at(deadline):
                    pool = await self._pool()
                line = self._line(loop, pool)
                left_s = deadline - loop.time()
            return await line.lease(left_s)
        except TimeoutError as exc:
            raise error(
                "PGRST003", f"no connection to the database within {ACQUIRE_S:.0f} s",
                hint="every connection is in use, or the database does not answer",
            ) from exc  # fmt: skip
        except DbError:
            raise
        except Exception as exc:
            raise _unreachable(exc) from exc

    def _line(self, loop: asyncio.AbstractEventLoop, pool: Any) -> Line:
        """The one line of all who use *pool*; many may have waited for it to open."""
        line, opening = self._lines.get(loop), self._pools.get(loop)
        if line is None or line.pool is not pool:
            line = Line(pool, POOL_MAX)
            if opening is not None and opening.done() and opening.result() is pool:  # not closed meanwhile
                self._lines[loop] = line
        return line

    async def _prepare(self, connection: Any) -> None:
        """What every new connection of a pool gets, without a round trip."""
        self._entered.discard(connection.get_server_pid())  # another process of that number
        await use_json_types(connection)
        _end_with_network(connection)

    async def connect(self) -> Any:
        """A connection of the caller's own, without time limits, for migrations."""
        import asyncpg

        try:
            connection = await asyncpg.connect(
                self.address.url, timeout=ACQUIRE_S, statement_cache_size=0, server_settings={"timezone": "UTC"}
            )
        except Exception as exc:
            raise _unreachable(exc) from exc
        await use_json_types(connection)
        return connection

    async def ready(self) -> bool:
        """Whether the database answers."""
        await self._with_connection(lambda connection: connection.fetchval("select 1"))
        return True

    async def shut(self) -> None:
        """Finish what is under way and close every connection."""
        loop = asyncio.get_running_loop()
        opening, listening = self._pools.pop(loop, None), self._listening
        self.close()
        if listening is not None and listening.get_loop() is loop:
            await asyncio.wait([listening])
        if opening is None:
            return
        try:
            pool = await opening
        except Exception:  # it never opened
            return
        try:
            async with asyncio.timeout(ACQUIRE_S):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    def close(self) -> None:
        """Drop every connection at once, of every loop."""
        if self._listening is not None and not self._listening.get_loop().is_closed():
            self._listening.get_loop().call_soon_threadsafe(self._listening.cancel)
        self._listening = None
        pools, self._pools, self._lines = self._pools, {}, {}
        for loop, opening in pools.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_drop, opening)

    # --- schema and statements ---

    async def known(self) -> Schema:
        """The schema, read if it has not been yet."""
        if self._schema is None or self._stale:
            await self.refresh()
        return self.schema

    async def refresh(self) -> bool:
        """Read the schema again; True if it has changed."""
        return bool(await self._with_connection(self._load))

    async def _load(self, connection: Any) -> bool:
        self._loads += 1
        number, news = self._loads, self._news
        found = await load_postgres(connection, number)
        if (self._listening is None or self._listening.done()) and not self.address.pooled:
            self._listening = asyncio.get_running_loop().create_task(listen(self.connect, self._changed))
        if number < self._loaded:
            return True  # another was begun later, and was quicker
        before, self._loaded = self._schema, number
        # Only now: until it is read, whoever plans with the old one has to read it too.
        self._stale, self._reload_at = news != self._news, time.monotonic() + RELOAD_S
        if before is not None and (found.tables, found.functions) == (before.tables, before.functions):
            return False
        self._schema = found
        self._cache.clear()
        return True

    def _changed(self) -> None:
        """The schema is another: read it before the next query."""
        self._stale = True
        self._news += 1
        self._cache.clear()

    async def _load_if_stale(self, connection: Any) -> None:
        # Of many that wait for a connection, the first reads it for all.
        if self._schema is None or self._stale:
            await self._load(connection)

    async def _renew(self, connection: Any | None) -> bool:
        """Read the schema again after an error that a change of it would explain, once in 5 s."""
        if not self._stale and time.monotonic() < self._reload_at:
            return False
        return await (self.refresh() if connection is None else self._load(connection))

    async def _entry(self, key: Any, make: Callable[[Schema], T], connection: Any | None) -> T:
        entry: T | None = self._cache.get(key)
        if entry is None:
            if self._schema is None or self._stale:
                if connection is None:
                    await self._with_connection(self._load_if_stale)
                else:
                    await self._load(connection)
            try:
                entry = make(self.schema)
            except DbError as exc:
                if exc.code not in _STALE or not await self._renew(connection):
                    raise
                entry = make(self.schema)
            if is_kept(key):
                self._cache[key] = entry
            if len(self._cache) > _CACHE:
                self._cache.popitem(last=False)
        elif len(self._cache) > _CACHE // 2:
            self._touch(key)
        return entry

    def _touch(self, key: Any) -> None:
        try:
            self._cache.move_to_end(key)  # the least used goes first; while there is room, who cares
        except KeyError:  # another loop's thread has just dropped it
            pass

    # --- running ---

    def now(self, shape: Shape, values: tuple[Any, ...], scope: Scope | None = None) -> Any:
        """PENDING: nothing is at hand without a round trip."""
        return PENDING

    def waits(self, shape: Shape) -> bool:
        """Whether *shape*, run beside its task's own transaction, would be lost to it."""
        if shape[0][0] != "sql":
            return bool(shape[0][0] != "select")
        entry: Raw = self._cache.get(shape) or _raw(shape)
        return not entry.reads

    def later(
        self, shape: Shape, values: tuple[Any, ...], owner: object | None = None, scope: Scope | None = None
    ) -> Coroutine[Any, Any, Any]:
        """The answer; *owner* is the transaction it belongs to, *scope* on whose behalf it is asked."""
        # No coroutine of its own: every step of a query would pass through it.
        if owner is not None:
            return self._within(self._held[owner], shape, values)
        if scope is not None:
            return self._with_connection(
                lambda connection: self._scoped(connection, shape, values, scope), self.waits(shape)
            )
        entry = self._cache.get(shape)
        if entry.__class__ is Compiled and entry.reads:
            return self._quickly(entry, shape, values)
        return self._alone(shape, values)

    async def _alone(self, shape: Shape, values: tuple[Any, ...]) -> Any:
        """The program's own, in no transaction but its statement's."""
        writes = shape[0][0] != "select" and self.waits(shape)
        try:
            return await self._with_connection(lambda connection: self._run(shape, values, connection, False), writes)
        except DbError as exc:
            # Compiled for a schema that has changed since; such a statement has done nothing.
            if exc.code in _STALE[:4] and await self._renew(None):
                return await self._with_connection(
                    lambda connection: self._run(shape, values, connection, False), writes
                )
            raise

    async def _within(self, held: _Held, shape: Shape, values: tuple[Any, ...]) -> Any:
        """Run in an open transaction, under the policies of whom it was opened for."""
        async with held.lock:
            try:
                if held.scope is None:
                    return await self._mapped(self._run(shape, values, held.connection, True))
                refuse_beside(shape, held.scope)
                if self._stale:  # as ourselves: the role may see less of it
                    await self.refresh()
                async with _limit():
                    return await self._mapped(self._run(shape, values, held.connection, True))
            finally:
                held.altered |= self._stale

    async def _quickly(self, entry: Compiled, shape: Shape, values: tuple[Any, ...]) -> Any:
        """A read that has run before: the way of ``later`` without its turns."""
        if len(self._cache) > _CACHE // 2:
            self._touch(shape)
        params = entry.bind(values)
        lease = await self._acquire()
        try:
            answer = await _read(lease.connection, entry, params)
        except Exception as exc:
            try:
                await self._leave(lease, exc, False)
            except DbError as found:
                if found.code not in _STALE[:4] or not await self._renew(None):
                    raise
                return await self._with_connection(lambda other: self._run(shape, values, other, False))
            raise
        except BaseException:
            await lease.line.put_back(lease, END_S)
            raise
        await lease.line.give_back(lease)
        return answer

    async def _scoped(self, connection: Any, shape: Shape, values: tuple[Any, ...], scope: Scope) -> Any:
        """Run under row-level security: the role and the claims hold for this one transaction.

        The role is switched before the statement and not within it, as permissions are looked at
        when a statement begins.
        """
        refuse_beside(shape, scope)
        if self._schema is None or self._stale:  # as ourselves: the role may see less of it
            await self._load(connection)
        reads = shape[0][0] == "select"
        try:
            async with asyncio.timeout(SCOPED_S + GRACE_S):  # what the server may take, and the way there and back
                await self._enter(connection, _READING if reads else _WRITING, scope)
                answer = await self._run(shape, values, connection, True)
                if reads:  # what may be broken off, and never leaves a doubt
                    await connection.execute(COMMIT)
                    return answer
        except BaseException as exc:
            await _to_the_end(_undo(connection))
            if isinstance(exc, TimeoutError):
                raise from_postgres(exc) from exc
            raise
        await _commit(connection)
        return answer

    async def _enter(self, connection: Any, opening: str, scope: Scope) -> None:
        """Open a transaction that is *scope*'s."""
        if not self._keeps_statements:
            await connection.execute(enter(opening, scope, "never"))
            return
        process = connection.get_server_pid()
        prepared: Literal["before", "now"] = "before" if process in self._entered else "now"
        self._entered.add(process)  # it keeps the statement even if the rest fails
        try:
            await connection.execute(enter(opening, scope, prepared))
        except Exception as exc:
            if getattr(exc, "sqlstate", "") not in _FORGOTTEN:
                raise
            # A pooler that nobody has told us of: the server behind the connection is not always the same.
            self._keeps_statements = False
            await connection.execute(ROLLBACK)
            await connection.execute(enter(opening, scope, "never"))

    async def _with_connection(self, work: Callable[[Any], Coroutine[Any, Any, T]], writes: bool = False) -> T:
        """Do *work* on a connection of the pool; a connection lost to one that *writes* leaves a doubt."""
        lease = await self._acquire()
        try:
            answer = await work(lease.connection)
        except BaseException as exc:
            await self._leave(lease, exc, writes)
            raise
        await lease.line.give_back(lease)
        return answer

    async def _leave(self, lease: Lease, exc: BaseException, writes: bool) -> None:
        """Release the connection after *exc*, and raise what it means, unless that is *exc* itself."""
        try:
            if isinstance(exc, DbError) or not isinstance(exc, Exception):
                return
            found = from_postgres(exc)
            if found.code == "08006":  # the driver itself may not have noticed yet
                _end(lease.connection)
            unknown = _lost(found) or isinstance(exc, TimeoutError)  # the server's own time-out is another class
            raise (_in_doubt("a write") if writes and unknown else found) from exc
        finally:
            await lease.line.put_back(lease, END_S)

    async def _mapped(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except DbError:
            raise
        except Exception as exc:
            raise from_postgres(exc) from exc

    async def _run(self, shape: Shape, values: tuple[Any, ...], connection: Any, inside: bool) -> Any:
        """Run on *connection*; *inside* a transaction that somebody else ends."""
        verb = shape[0][0]
        if verb == "sql":
            return await self._run_raw(shape, values, connection, inside)
        if verb == "insert":
            return await self._insert(shape, values, connection, inside)
        entry = await self._entry(shape, lambda schema: self._compile(shape, schema), connection)
        params = entry.bind(values)
        want = _want(shape)
        if entry.reads:
            return await _read(connection, entry, params)
        most = values[entry.most] if entry.most >= 0 else None
        if (entry.several or want == "sole") and not inside:
            return await _together(connection, lambda: _write(connection, [(entry, entry.sql, params)], want, most))
        return await _write(connection, [(entry, entry.sql, params)], want, most)

    def _compile(self, shape: Shape, schema: Schema) -> Compiled:
        form = form_of(shape)
        return compile_plan(plan(to_ast(shape), schema, aggregates=self.aggregates, form=form), form)

    async def _insert(self, shape: Shape, values: tuple[Any, ...], connection: Any, inside: bool) -> Any:
        want = _want(shape)
        rows, rest = values[0], values[1:]
        steps: list[tuple[Compiled, str, list[Any]]] = []
        for columns, group in _groups(rows):
            entry = await self._entry((shape, columns), partial(_compile_row, shape, columns), connection)
            steps += _batches(entry, group, rest)
        if not inside and (
            len(steps) > 1 or want == "sole" or (steps and len(rows) > 1 and (want or len(rows) > MAX_ROWS))
        ):
            return await _together(connection, lambda: _write(connection, steps, want, None))
        return await _write(connection, steps, want, None)

    async def _run_raw(self, shape: Shape, values: tuple[Any, ...], connection: Any, inside: bool) -> Any:
        entry = await self._entry(shape, lambda _: _raw(shape), connection)
        entry.check(values[0])
        if entry.returns is None:
            await _learn(connection, entry)
        params = entry.bind(values[0])
        try:
            if not entry.returns:
                count = _count(await connection.execute(entry.sql, *params))
                return None if entry.one else Rows((), count)
            if entry.reads or inside:
                return _answer(entry.decode(await connection.fetch(entry.sql, *params)), entry.one, entry.reads)
            return await _together(connection, lambda: _raw_write(connection, entry, params))
        finally:
            if entry.alters:
                self._changed()
            if entry.stains and not inside and not connection.is_closed():
                await connection.reset()

    # --- transactions ---

    async def begin(
        self, owner: object, isolation: str | None = None, readonly: bool = False, scope: Scope | None = None
    ) -> None:
        """Open *owner*'s transaction on a connection of its own, which is *scope*'s until it ends."""
        if isolation is not None and isolation not in ISOLATION:
            raise error("22023", f"isolation is one of {', '.join(ISOLATION)}", status=500)
        if scope is not None and (self._schema is None or self._stale):  # as ourselves: the role may see less of it
            await self.refresh()
        lease = await self._acquire()
        try:
            opening = begin(isolation, readonly)
            if scope is None:
                await self._mapped(lease.connection.execute(opening))
            else:
                await self._mapped(self._enter(lease.connection, opening, scope))
        except BaseException:
            await _to_the_end(_undo(lease.connection))
            await lease.line.put_back(lease, END_S)
            raise
        self._held[owner] = _Held(lease, scope)

    async def execute(self, owner: object, statement: str) -> None:
        """Run a savepoint's statement in *owner*'s transaction, to its end."""
        held = self._held[owner]
        async with held.lock:
            await self._mapped(_to_the_end(held.connection.execute(statement)))

    async def commit(self, owner: object) -> None:
        """Make *owner*'s transaction last, or roll it back and raise."""
        held = self._held.pop(owner)
        try:
            async with held.lock:
                await _commit(held.connection)
        finally:
            await self._release(held)

    async def rollback(self, owner: object) -> None:
        """Undo *owner*'s transaction."""
        held = self._held.pop(owner)
        try:
            await _to_the_end(_undo(held.connection))
        finally:
            await self._release(held)

    async def _release(self, held: _Held) -> None:
        if held.altered:  # others have not seen it before the commit, and will not after a rollback
            self._changed()
        await _to_the_end(held.lease.line.put_back(held.lease, END_S))


def _end_with_network(connection: Any) -> None:
    """Make *connection*, if it is over a network, end when what is sent is not acknowledged."""
    transport = getattr(connection, "_transport", None)
    own = transport.get_extra_info("socket") if transport is not None else None
    if own is None or own.family not in (socket.AF_INET, socket.AF_INET6) or not hasattr(socket, "TCP_USER_TIMEOUT"):
        return
    # A network that swallows everything looks like a slow query; what is sent and not acknowledged tells
    # them apart. Through a copy of the descriptor, as not every event loop lends its socket for this.
    with socket.socket(fileno=os.dup(own.fileno())) as copy:
        copy.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(ACQUIRE_S * 1000))


async def _no_reset(connection: Any) -> None:
    """In place of the pool's reset: there is nothing to reset."""


def _end(connection: Any) -> None:
    """Close *connection* at once, unless the pool has done so: then it is nobody's any more."""
    import asyncpg

    with suppress(asyncpg.InterfaceError):
        connection.terminate()


@asynccontextmanager
async def _limit() -> AsyncIterator[None]:
    """No longer than a scoped statement may take on the server, and the way there and back."""
    try:
        async with asyncio.timeout(SCOPED_S + GRACE_S):
            yield
    except TimeoutError as exc:
        raise from_postgres(exc) from exc


def _drop(opening: asyncio.Task[Any]) -> None:
    if not opening.done():
        opening.cancel()
    elif not opening.cancelled() and opening.exception() is None:
        opening.result().terminate()


def _unreachable(exc: Exception) -> DbError:
    import asyncpg

    if isinstance(exc, (asyncpg.PostgresError, asyncpg.InterfaceError)) and not isinstance(exc, ValueError):
        return from_postgres(exc)
    if isinstance(exc, (OSError, TimeoutError)):
        return error("08001", "the database cannot be reached", details=f"{type(exc).__name__}: {exc}"[:300])
    if isinstance(exc, ValueError):
        return error("08001", f"DATABASE_URL cannot be used: {exc}", status=500)
    return from_postgres(exc)


def _lost(found: DbError) -> bool:
    return found.code[:2] == "08" or found.code[:3] == "57P"


def _in_doubt(what: str) -> DbError:
    return error("08007", f"the connection was lost during {what}: whether it happened is not known", status=503)


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await *work* even if the caller is cancelled meanwhile, and only then let it be."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as exc:
            if task.cancelled():
                raise
            cancelled = exc
        except Exception:
            break  # result() below raises it
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen
        raise cancelled
    return task.result()


async def _undo(connection: Any) -> None:
    try:
        if not connection.is_closed() and connection.is_in_transaction():
            await connection.execute(ROLLBACK, timeout=END_S)
    except Exception:  # the server undoes what its lost client began
        _end(connection)


async def _commit(connection: Any) -> None:
    try:
        said = await _to_the_end(connection.execute(COMMIT))
    except Exception as exc:
        found = from_postgres(exc)
        unknown = _lost(found) or isinstance(exc, TimeoutError)
        raise (_in_doubt("COMMIT") if unknown else found) from exc
    if said != "COMMIT":
        raise error("25P02", "the transaction was rolled back, because a statement in it had failed", status=500)


async def _together(connection: Any, work: Callable[[], Awaitable[T]]) -> T:
    """*work* in a transaction of its own."""
    try:
        await connection.execute(_WRITING)
        result = await work()
    except BaseException:
        await _to_the_end(_undo(connection))
        raise
    await _commit(connection)
    return result


# --- reading and writing ---


def _compile_row(shape: Shape, columns: tuple[str, ...], schema: Schema) -> Compiled:
    return compile_plan(plan(to_insert(shape, columns), schema, form=form_of(shape)))


def _want(shape: Shape) -> str:
    """``one`` for a row or none, ``sole`` for exactly one, or nothing."""
    return next((step[0] for step in shape[1:] if step[0] in ("one", "sole")), "")


def _answer(rows: list[Row], one: bool, reads: bool) -> Any:
    if len(rows) > MAX_ROWS:
        raise error(
            "54000", f"more than {MAX_ROWS:,} rows in one answer", hint="read them in parts with .range()", status=500
        )
    if not one:
        return Rows(rows, None if reads else len(rows))
    if len(rows) > 1:
        raise error(
            "PGRST116", "single() found more than one row",
            hint="filter by a unique column, or add .limit(1) to take the first",
        )  # fmt: skip
    return rows[0] if rows else None


async def _read(connection: Any, entry: Compiled, params: list[Any]) -> Any:
    if entry.page:
        row = await connection.fetchrow(entry.sql, *params)
        return Page(row["body"], row["rows"], row.get("total"))
    if entry.head:
        return Rows((), (await connection.fetchval(entry.sql, *params)) if entry.count_sql else None)
    records = await connection.fetch(entry.sql, *params)
    answer = _answer(entry.decode(records), entry.one, True)
    if entry.count_sql is None:
        return answer
    for row in [answer] if isinstance(answer, dict) else answer or ():
        total = row.pop(COUNT)
    if not records:
        total = await connection.fetchval(entry.count_sql, *params[: entry.count_binders])
    if isinstance(answer, Rows):
        answer.count = total
    return answer


async def _write(connection: Any, steps: Sequence[tuple[Compiled, str, list[Any]]], want: str, most: int | None) -> Any:
    rows: list[Row] = []
    count = 0
    for entry, sql, params in steps:
        if entry.returns:
            rows += entry.decode(await connection.fetch(sql, *params))
        else:
            count += _count(await connection.execute(sql, *params))
    touched = count + len(rows)
    if most is not None and touched > most:
        raise error(
            "PGRST124", "Query result exceeds max-affected preference constraint",
            details=f"The query affects {touched} rows",
        )  # fmt: skip
    if want == "sole" and touched != 1:
        raise not_one(touched)
    answer = _answer(rows, want == "one", False)
    if isinstance(answer, Rows):
        answer.count = touched
    return answer


async def _raw_write(connection: Any, entry: Raw, params: list[Any]) -> Any:
    return _answer(entry.decode(await connection.fetch(entry.sql, *params)), entry.one, False)


def _count(status: str) -> int:
    """The number of rows in a command's tag, ``UPDATE 3``."""
    found = _COUNTED.search(status)
    return int(found[1]) if found else 0


def _groups(rows: list[Row]) -> list[tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
    """Neighbouring rows that name the same columns, as tuples."""
    groups: list[tuple[tuple[str, ...], list[tuple[Any, ...]]]] = []
    for row in rows:
        columns = tuple(row)
        if not groups or groups[-1][0] != columns:
            groups.append((columns, []))
        groups[-1][1].append(tuple(row.values()))
    return groups


def _batches(
    entry: Compiled, rows: list[tuple[Any, ...]], rest: tuple[Any, ...]
) -> list[tuple[Compiled, str, list[Any]]]:
    """As few statements as will do: one, but where an upsert names a row twice."""
    if len(rows) == 1 or entry.bulk_sql is None:
        return [(entry, entry.sql, entry.bind((*row, *rest))) for row in rows]
    batches: list[list[tuple[Any, ...]]] = [[]]
    seen: set[tuple[Any, ...]] = set()
    for row in rows:
        key = entry.key(row)
        if key is not None and key in seen:
            batches.append([])
            seen.clear()
        if key is not None:
            seen.add(key)
        batches[-1].append(row)
    return [(entry, entry.bulk_sql, entry.bulk(batch, rest)) for batch in batches]


def _raw(shape: Shape) -> Raw:
    names = {step[0] for step in shape[1:]}
    if names - {"one"}:
        raise error("PGRST100", "db.sql takes no filters: write them in the statement")
    return Raw(shape[0][1], "one" in names)


async def _learn(connection: Any, entry: Raw) -> None:
    """Ask the server what the statement takes and gives; it is parsed, not run."""
    prepared = await connection.prepare(entry.sql, name="")
    types = []
    for each in prepared.get_parameters():
        array = each.kind == "array"
        name = each.name.removesuffix("[]") if array else each.name
        cast = f"{quote(each.schema)}.{quote(name)}"
        types.append(Type(name, (), array, cast))
    attributes = prepared.get_attributes()
    for attribute in attributes:
        kind = attribute.type
        if kind.kind in ("composite", "range", "multirange") or kind.name in ("record", "record[]"):
            # The driver would give objects, or misread what is inside.
            raise error(
                "PGRST127", f'the column "{attribute.name}" is of type {kind.name}',
                hint="make it to_jsonb(…), or cast it to text",
            )  # fmt: skip
    entry.learn(types, bool(attributes))


@asynccontextmanager
async def exclusive(engine: PostgresEngine) -> AsyncIterator[Any]:
    """A connection of the caller's own, closed at the end; the schema is read again after it."""
    connection = await engine.connect()
    try:
        yield connection
    finally:
        engine._changed()
        try:
            await connection.close(timeout=ACQUIRE_S)
        except (TimeoutError, OSError):
            connection.terminate()
