"""What a database refuses, as DbError: SQLSTATE or PostgREST code, and the HTTP status of each.

Statuses are those of an error nobody caught in a route. A name that does not exist is then a
mistake of ours (500); the wire, where names come from the client, says 404 or 400 for the same
codes. SQLite has no SQLSTATE, so its result codes and, where those say only "error", the
beginning of its messages are translated; foreign exceptions go no further than this file.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

from ..errors import DbError

if TYPE_CHECKING:
    import sqlite3

_STATUS = {
    "23505": 409, "23503": 409, "42501": 403, "42P01": 500, "42703": 500, "42883": 500, "55P03": 503,
    "57014": 503, "40001": 503, "40P01": 503, "25006": 500, "XX000": 500, "XX001": 500, "58030": 500,
    "PGRST116": 500, "PGRST204": 400, "25P01": 500, "PGRST003": 503, "57P01": 503, "57P02": 503, "57P03": 503,
    "57P05": 503, "28000": 500, "28P01": 500, "3D000": 500,
}  # fmt: skip
crossing = threading.local()  # .exc: what a function that SQL called has raised, on this thread
_RETRYABLE = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "PGRST003"}


def error(
    code: str, message: str, *, details: str | None = None, hint: str | None = None, status: int | None = None
) -> DbError:
    """A DbError with the status that belongs to *code*."""
    if status is None:
        status = _STATUS.get(code) or (503 if code[:2] in ("53", "08") else 400)
    return DbError(
        code, message, details=details, hint=hint, status=status,
        retryable=code in _RETRYABLE or (code[:2] in ("53", "08") and code != "08007"),
    )  # fmt: skip


def not_one(found: int) -> DbError:
    """The wire's answer to whoever asked for exactly one row."""
    return error(
        "PGRST116", "Cannot coerce the result to a single JSON object", details=f"The result contains {found} rows"
    )


def not_supported(what: str, hint: str | None = None) -> DbError:
    """Something this engine cannot do exactly as PostgreSQL does, and therefore does not do."""
    return error("PGRST127", f"{what} is not supported on SQLite", hint=hint)


# Extended result codes, https://www.sqlite.org/rescode.html: the low byte is the primary code.
_EXTENDED = {
    2067: "23505", 1555: "23505", 2579: "23505", 787: "23503", 1299: "23502", 275: "23514", 1811: "P0001",
}  # fmt: skip
_PRIMARY = {
    5: "55P03", 6: "55P03", 7: "53200", 8: "25006", 9: "57014", 10: "58030", 11: "XX001", 13: "53100",
    14: "08001", 18: "54000", 19: "23000", 20: "22P02", 26: "XX001",
}  # fmt: skip
_MESSAGE = (
    (re.compile(r"no such table|no such view"), "42P01"),
    (re.compile(r"no such column|has no column named"), "42703"),
    (re.compile(r"no such function|wrong number of arguments"), "42883"),
    (re.compile(r"ON CONFLICT clause does not match"), "42P10"),
    (re.compile(r"cannot (INSERT|UPDATE).* generated column|cannot modify"), "428C9"),
    (re.compile(r"malformed JSON|JSON path error"), "22P02"),
    (re.compile(r"integer overflow"), "22003"),
    (re.compile(r"already exists"), "42P07"),
    (re.compile(r"ambiguous column"), "42702"),
    (re.compile(r"syntax error|one statement at a time|unrecognized token|incomplete input"), "42601"),
    (re.compile(r"too many|too deep|too large|parser stack overflow|depth"), "54000"),
)


def from_sqlite(exc: sqlite3.Error) -> DbError:
    """Translate *exc*; raise the result ``from exc``."""
    message = str(exc)
    if message.startswith("user-defined "):
        raised: object = crossing.__dict__.pop("exc", None)
        if isinstance(raised, DbError):
            return raised
    number: int = getattr(exc, "sqlite_errorcode", 0) or 0
    code = _EXTENDED.get(number) or _PRIMARY.get(number & 0xFF)
    if code is None:
        code = next((sqlstate for pattern, sqlstate in _MESSAGE if pattern.search(message)), "XX000")
    hint = None
    if code == "55P03":
        message = "the database is busy: another writer held it for longer than the wait allows"
        hint = "look for a transaction that waits on something slow; the call may simply be tried again"
    elif code == "53100":
        hint = "the disk is full; reads still work, and writes will again once there is room"
    return error(code, message, hint=hint)


def from_postgres(exc: BaseException) -> DbError:
    """Translate what asyncpg or the socket raised; raise the result ``from exc``."""
    import asyncpg  # type: ignore[import-untyped,unused-ignore]

    if isinstance(exc, asyncpg.PostgresError):
        code = getattr(exc, "sqlstate", None) or "XX000"
        hint = getattr(exc, "hint", None)
        if code == "3D000":
            hint = "create the database, or mend DATABASE_URL"
        return error(code, str(exc.args[0]), details=getattr(exc, "detail", None), hint=hint)
    if isinstance(exc, TimeoutError):
        return error("57014", "the query took longer than it may", hint="an index, or fewer rows at once")
    if isinstance(exc, (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
        # What the client could not do is a lost connection, unless the caller's values were at fault.
        if isinstance(exc, ValueError):
            return error("22P02", str(exc.args[0]))
        if isinstance(exc, asyncpg.UnsupportedClientFeatureError):
            return error("PGRST127", str(exc.args[0]), hint="cast the column to text")
        return error("08006", "the connection to the database was lost, or there is none", details=str(exc) or None)
    return error("XX000", f"{type(exc).__name__}: {exc}")
