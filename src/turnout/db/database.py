"""Database and Transaction: the doors through which queries run.

A Database is bound to a place, not to an event loop: connections are made on first use, so one
object serves a whole program and every test makes its own. A Transaction is an explicit handle,
so that reading the code shows what is inside it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, LiteralString, Self

from ..errors import ConfigError, DbError
from .ast import Count
from .build import PENDING, From, Query, Row, Rows, Shape
from .errors import error
from .scope import Scope
from .sql.sqlite import release, rollback_to, savepoint

if TYPE_CHECKING:
    from .exec.postgres import Address, PostgresEngine
    from .exec.sqlite import SqliteEngine

Isolation = Literal["read committed", "repeatable read", "serializable"]
SERVER_OWNED = ("id", "user_id", "owner_id", "role", "is_admin", "created_at", "updated_at")
_opening = threading.Lock()
_held: ContextVar[Transaction | None] = ContextVar("turnout_db_transaction", default=None)


def parse_place(place: str | Path) -> Path | Address | None:
    """The file that a DATABASE_URL or path names, made absolute, or a PostgreSQL's address; None means in memory.

    ``sqlite:///data/app.db`` is relative to the working directory, ``sqlite:////srv/app.db`` is not.
    """
    text = os.fspath(place)
    if text.startswith(("postgres://", "postgresql://")):
        from .exec.postgres import Address

        return Address.of(text)
    if text in (":memory:", "sqlite://:memory:", "sqlite:///:memory:", "sqlite://"):
        return None
    if text.startswith("sqlite://"):
        if not text.startswith("sqlite:///"):
            raise ConfigError(
                f"{text!r} names a host, and SQLite is a file", cure="three slashes: sqlite:///data/app.db"
            )
        text = text.removeprefix("sqlite:///")
    elif "://" in text:
        raise ConfigError(
            f"DATABASE_URL has the unknown scheme {text.split('://')[0]!r}",
            cure="sqlite:///data/app.db, or postgresql://user:password@host:5432/name",
        )
    if not text:
        raise ConfigError("DATABASE_URL is empty", cure="sqlite:///data/app.db")
    return Path(text).absolute()


class _Queries:
    """What a Database and a Transaction have in common: the ways to begin a query."""

    __slots__ = ()

    def from_(self, table: str) -> From:
        """Begin a query on *table*."""
        return From(self, table)  # type: ignore[arg-type]

    def table(self, table: str) -> From:
        """The same as :meth:`from_`."""
        return From(self, table)  # type: ignore[arg-type]

    def sql(self, statement: LiteralString, /, **values: Any) -> Query[Rows[Row]]:
        """One statement of your own; every ``:name`` in it is bound to the argument of that name."""
        return Query(self, (("sql", statement),), (values,))  # type: ignore[arg-type]

    def rpc(
        self,
        function: str,
        args: Mapping[str, Any] | None = None,
        *,
        count: Count | None = None,
        head: bool = False,
    ) -> Query[Any]:
        """Call a function of the database's own; SQLite has none, and refuses with PGRST202.

        It gives ``Rows`` of what the function returns a set of, else the one row or plain value. Rows can
        be selected from, filtered and ordered like a table's.

        Args:
            function: Its name, in a schema on the search path.
            args: Its arguments by name.
            count: As for ``select``.
            head: Only count.
        """
        given = dict(args or {})
        return Query(self, (("rpc", function, tuple(given), count, head),), tuple(given.values()))  # type: ignore[arg-type]

    def schema(self, name: str) -> Self:
        """The database's one schema, ``public``; any other raises PGRST106."""
        if name != "public":
            raise error(
                "PGRST106", f"Invalid schema: {name[:63]}", status=500,
                hint="Only the following schemas are exposed: public",
            )  # fmt: skip
        return self


class Database(_Queries):
    """A database: ``Database("data/app.db")``, ``Database("postgresql://…")``, ``Database(":memory:")`` in tests.

    Args:
        place: A path or a DATABASE_URL; None to be told later, by :meth:`configure`.
        durable: On SQLite, a write is on the disk before it is acknowledged, and survives a power cut.
        server_owned: Columns that a raw request body may not set.
        aggregates: ``count()``, ``sum()`` and their like may be asked for; if not, PGRST123.
    """

    __slots__ = ("__weakref__", "_durable", "_engine", "_place", "_placed", "aggregates", "server_owned")

    def __init__(
        self,
        place: str | Path | None = None,
        *,
        durable: bool = False,
        server_owned: Iterable[str] = SERVER_OWNED,
        aggregates: bool = True,
    ) -> None:
        self.aggregates = aggregates
        self._engine: SqliteEngine | PostgresEngine | None = None
        self._placed = False
        self._place: Path | Address | None = None
        self._durable, self.server_owned = durable, frozenset(server_owned)
        if place is not None:
            self.configure(place, durable=durable, server_owned=server_owned)

    def __repr__(self) -> str:
        return f"<Database {self.place if self._placed else 'not configured'}>"

    @property
    def path(self) -> Path | None:
        """The file, or None for a database in memory and for a PostgreSQL."""
        return self._place if isinstance(self._place, Path) else None

    @property
    def dialect(self) -> Literal["sqlite", "postgres"]:
        """Which engine it is."""
        return "sqlite" if self._place is None or isinstance(self._place, Path) else "postgres"

    @property
    def place(self) -> str:
        """Where it is, for people: without user and password."""
        return str(self._place or ":memory:")

    def configure(
        self, place: str | Path, *, durable: bool = False, server_owned: Iterable[str] = SERVER_OWNED
    ) -> None:
        """Say where the database is; connections to another place are closed."""
        found = parse_place(place)
        self.server_owned = frozenset(server_owned)
        if self._placed and (found, durable) == (self._place, self._durable):
            return
        self._shut()
        self._placed, self._place, self._durable = True, found, durable

    @property
    def engine(self) -> SqliteEngine | PostgresEngine:
        """The engine, opened on first use."""
        return self._engine or self._open()

    def _open(self) -> SqliteEngine | PostgresEngine:
        if not self._placed:
            raise ConfigError(
                "the database is not configured",
                cure='run inside a project (turnout dev), or call turnout.db.configure("data/app.db", durable=True)',
            )
        with _opening:
            if self._engine is None:
                self._engine = self._make()
                self._engine.aggregates = self.aggregates
            return self._engine

    def _make(self) -> SqliteEngine | PostgresEngine:
        if self._place is None or isinstance(self._place, Path):
            from .exec.sqlite import SqliteEngine

            return SqliteEngine(self._place, durable=self._durable)
        from .exec.postgres import PostgresEngine

        return PostgresEngine(self._place)

    def now(self, shape: Shape, values: tuple[Any, ...], scope: Scope | None = None) -> Any:
        """For Query: the answer of a quick read, or PENDING."""
        return (self._engine or self._open()).now(shape, values, scope)

    async def later(self, shape: Shape, values: tuple[Any, ...], scope: Scope | None = None) -> Any:
        """For Query: the answer of everything else."""
        engine = self.engine
        if _held.get() is not None and engine.waits(shape):
            self._refuse_inside(engine)
        return await engine.later(shape, values, None, scope)

    def scoped(self, scope: Scope) -> Scoped:
        """The same database for *scope*: its row policies hold for every query made from it."""
        return Scoped(self, scope)

    def transaction(self, *, isolation: Isolation | None = None, readonly: bool = False) -> Transaction:
        """``async with db.transaction() as tx``: all of it happens, or nothing.

        Any exception rolls back, cancellation included; a value returned from inside commits.

        Args:
            isolation: What PostgreSQL calls so; SQLite's is always serializable, which is the strictest.
            readonly: A write in it is refused with 25006.
        """
        return Transaction(self, isolation=isolation, readonly=readonly)

    async def ready(self) -> bool:
        """Whether the database answers; raises DbError if it does not."""
        return await self.engine.ready()

    def _refuse_inside(self, engine: SqliteEngine | PostgresEngine) -> None:
        held = _held.get()
        if held is not None and held.holds(engine):
            # On SQLite it would wait for a lock that only the end of the waiting task can open; on
            # PostgreSQL it would not be undone with the transaction, which is not what is meant.
            raise error(
                "25001", "this task holds a transaction, which db would wait for in vain",
                hint="inside the block use tx: tx.from_(…), tx.sql(…), tx.transaction()", status=500,
            )  # fmt: skip

    async def close(self) -> None:
        """Finish the writes under way and close every connection; the next query opens them again."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.shut()

    def _shut(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()


class Scoped(_Queries):
    """A database as one user may see it; made by :meth:`Database.scoped`.

    ``service_role`` is held back by no policy, and may use sql() too.
    """

    __slots__ = ("_database", "scope", "server_owned")

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database, self.scope, self.server_owned = database, scope, database.server_owned

    def __repr__(self) -> str:
        return f"<Scoped {self._database!r} {self.scope.role}>"  # without claims, which are personal

    @property
    def engine(self) -> SqliteEngine | PostgresEngine:
        """The engine of the database."""
        return self._database.engine

    def now(self, shape: Shape, values: tuple[Any, ...]) -> Any:
        """For Query: the answer of a quick read, or PENDING."""
        return self._database.now(shape, values, self.scope)

    async def later(self, shape: Shape, values: tuple[Any, ...]) -> Any:
        """For Query: the answer of everything else."""
        return await self._database.later(shape, values, self.scope)

    def transaction(self, *, isolation: Isolation | None = None, readonly: bool = False) -> Transaction:
        """:meth:`Database.transaction` under the user's role and claims; every query in it meets the policies."""
        return Transaction(self._database, isolation=isolation, readonly=readonly, scope=self.scope)


class Transaction(_Queries):
    """A transaction, or a savepoint within one; made by ``transaction()`` and used with ``async with``."""

    __slots__ = (
        "_before", "_database", "_depth", "_engine", "_failed", "_isolation", "_open", "_parent", "_readonly",
        "_scope", "server_owned",
    )  # fmt: skip

    def __init__(
        self,
        database: Database,
        parent: Transaction | None = None,
        *,
        isolation: Isolation | None = None,
        readonly: bool = False,
        scope: Scope | None = None,
    ) -> None:
        self._database, self._parent, self._isolation, self._readonly = database, parent, isolation, readonly
        self._scope = scope
        self._depth: int = 0 if parent is None else parent._depth + 1
        self._engine: SqliteEngine | PostgresEngine | None = None
        self._failed = self._open = False
        self._before: Transaction | None = None
        self.server_owned = database.server_owned

    @property
    def engine(self) -> SqliteEngine | PostgresEngine:
        """The engine of the database."""
        return self._engine or self._database.engine

    @property
    def _root(self) -> Transaction:
        return self if self._parent is None else self._parent._root

    @property
    def database(self) -> Database:
        """Whose transaction it is."""
        return self._database

    @property
    def scope(self) -> Scope | None:
        """On whose behalf it runs, if not the program's own."""
        return self._scope

    def holds(self, engine: SqliteEngine | PostgresEngine) -> bool:
        """Whether this transaction is open on *engine*."""
        return self._open and self._engine is engine

    async def __aenter__(self) -> Transaction:
        if self._open or self._engine is not None:
            raise error("25001", "a transaction object is used once", status=500)
        engine = self._database.engine
        if self._parent is None:
            self._database._refuse_inside(engine)
            await engine.begin(self, self._isolation, self._readonly, self._scope)
        else:
            self._parent._usable()
            await engine.execute(self._root, savepoint(self._depth))
        self._engine, self._open = engine, True
        if self._parent is None:
            self._before = _held.get()
            _held.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        engine, self._open = self._engine, False
        assert engine is not None
        if self._parent is None:
            _held.set(self._before)
        good = kind is None and not self._failed
        if self._parent is not None:
            if not good:
                await engine.execute(self._root, rollback_to(self._depth))
            await engine.execute(self._root, release(self._depth))
        elif good:
            await engine.commit(self)
        else:
            await engine.rollback(self)
        if kind is None and self._failed:
            raise error(
                "25P02", "the transaction was rolled back, because a statement in it had failed",
                hint="let the error leave the block, or try the statement inside tx.transaction()", status=500,
            )  # fmt: skip

    def _usable(self) -> SqliteEngine | PostgresEngine:
        if not self._open or self._engine is None:
            raise error("25P01", "the transaction is over, or has not begun", status=500)
        if self._failed:
            raise error(
                "25P02", "current transaction is aborted, commands ignored until end of transaction block", status=500
            )
        return self._engine

    def now(self, shape: Shape, values: tuple[Any, ...]) -> Any:
        """For Query: a transaction lives on the writer, so nothing is at hand."""
        return PENDING

    async def later(self, shape: Shape, values: tuple[Any, ...]) -> Any:
        """For Query: run on the transaction's connection. An error aborts it, as in PostgreSQL."""
        engine = self._usable()
        try:
            return await engine.later(shape, values, self._root, self._scope)
        except DbError:
            self._failed = True
            raise

    def transaction(self) -> Transaction:
        """A savepoint: what fails inside it is undone alone."""
        return Transaction(self._database, self, scope=self._scope)


def current_transaction() -> Transaction | None:
    """The transaction that the running task has open, or None."""
    return _held.get()


db = Database()
