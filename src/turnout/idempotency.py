"""A POST that may be sent again: ``@idempotent`` on its handler, ``Idempotency-Key`` on the request.

    @idempotent
    async def POST(request, body: Order, tx):
        order = await tx.from_("orders").insert({"item": body.item}).single()
        return Response.json(order, 201)

Follows draft-ietf-httpapi-idempotency-key-header and what Stripe does. The handler is given a
transaction; its answer is stored in that same transaction. So either both the effect and the answer
are there or neither is, whatever dies in between, and a second request with the key gets the stored
answer. Nothing is stored that says "begun": that a request is under way is known by a lock, which
the operating system or PostgreSQL lets go of the moment its holder dies.

Not here: repeating what is no database's. Give another service a key of its own, made from this one.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import json
import os
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload
from weakref import WeakSet

from .context import after, current_request, user_id
from .errors import BadRequest, ConfigError, Conflict, DbError, ValidationFailed
from .http.media import parse_media_type
from .http.request import Request
from .http.response import Response, to_response

if TYPE_CHECKING:
    from .db import Database, Transaction

Handler = TypeVar("Handler", bound=Callable[..., Any])

FIELD = "idempotency-key"
CREDENTIALS = ("authorization", "apikey", "x-api-key")  # fields that say who sends a request
KEPT_S = 86_400.0
MAX_BYTES = 1_000_000  # of an answer that is stored
_CLEAN_EVERY_S = 3_600.0
_UNDEFINED_TABLE = "42P01"
# A string of RFC 9651, as the draft has it, or the bare text that most clients send.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,255})"')
_BARE = re.compile(r"[!#-+\--\[\]-~]{1,255}")

_TABLE = """create table if not exists _turnout_idempotency (
    scope text primary key,
    fingerprint text not null,
    status integer not null,
    headers text not null,
    body bytea not null,
    created_s double precision not null
)"""
_INDEX = "create index if not exists _turnout_idempotency_created on _turnout_idempotency (created_s)"
# Where others serve the database too, as Supabase does, this keeps the answers from everybody but its owner.
_SEALED = "select relrowsecurity as sealed from pg_class where oid = to_regclass('_turnout_idempotency')"
_SEAL = "alter table _turnout_idempotency enable row level security"
_FIND = """select fingerprint, status, headers, body from _turnout_idempotency
where scope = :scope and created_s > :since_s"""
_KEEP = """insert into _turnout_idempotency (scope, fingerprint, status, headers, body, created_s)
values (:scope, :fingerprint, :status, :headers, :body, :now_s)
on conflict (scope) do update set fingerprint = excluded.fingerprint, status = excluded.status,
    headers = excluded.headers, body = excluded.body, created_s = excluded.created_s"""
_FORGET = "delete from _turnout_idempotency where created_s <= :since_s"
_LOCK = "select pg_try_advisory_xact_lock(:number) as got"

_ready: WeakSet[Any] = WeakSet()  # the engines whose database has the table
_cleaned_s = 0.0


@overload
def idempotent(handler: Handler) -> Handler: ...
@overload
def idempotent(*, required: bool = False) -> Callable[[Handler], Handler]: ...
def idempotent(handler: Any = None, *, required: bool = False) -> Any:
    """Make a POST or PATCH handler safe to repeat; it takes ``tx``, a transaction, and writes through it.

    With an ``Idempotency-Key`` the handler runs once for each key: later requests get its answer again,
    marked ``Idempotency-Replayed: true``, for 24 hours. Answers of 500 and above are not stored, and
    undo what was written, as an exception does; the next request then begins anew.

    Args:
        required: Refuse requests without a key.

    Raises:
        ConfigError: the handler has no ``tx``, is no ``async def``, or answers another method.
    """
    if handler is None:
        return functools.partial(idempotent, required=required)
    signature = _judge(handler)

    @functools.wraps(handler)
    async def once(*args: Any, **named: Any) -> Response:
        request = current_request()
        return await _answer(request, required, lambda tx: handler(*args, **named, tx=tx))

    kept = [each for each in signature.parameters.values() if each.name != "tx"]
    once.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    return once


def _judge(handler: Callable[..., Any]) -> inspect.Signature:
    """The signature of *handler*, if it can be made idempotent."""
    signature, name = inspect.signature(handler), getattr(handler, "__name__", "the handler")
    problem = None
    if name in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
        problem = f"{name} may be repeated by its own definition (RFC 9110 §9.2.2)", "put @idempotent on POST or PATCH"
    elif not inspect.iscoroutinefunction(handler):
        problem = f"{name} is not an async function", f"write @idempotent above async def {name}(request, tx)"
    elif "tx" not in signature.parameters or signature.parameters["tx"].kind is inspect.Parameter.POSITIONAL_ONLY:
        problem = f"{name} takes no tx", f"write async def {name}(request, tx), and write to the database through tx"
    if problem is not None:
        code = inspect.unwrap(handler).__code__
        raise ConfigError(
            f"@idempotent: {problem[0]}", file=code.co_filename, line=code.co_firstlineno, cure=problem[1]
        )
    return signature


# -- one request


async def _answer(request: Request, required: bool, run: Callable[[Transaction], Awaitable[Any]]) -> Response:
    from .db import db

    key = read_key(request)
    if key is None:
        if required:
            raise BadRequest(
                "This needs an Idempotency-Key: a text of your own, new for each operation and the same when you "
                "send it again, such as a UUID",
                code="idempotency_key_missing",
            )
        answer: Response = await _run(db, run)
        return answer
    scope, fingerprint = _scope(request, key), await _fingerprint(request)
    try:
        await _prepare(db)
        stored = await _find(db, scope)
        if stored is None:
            with _claimed(db, scope):
                stored = await _run(db, run, scope, fingerprint)
    except DbError as exc:
        if exc.code == _UNDEFINED_TABLE:
            _ready.discard(db.engine)  # somebody has dropped the table; the next request makes it
        raise
    if isinstance(stored, Response):
        _clean_some_time(db)
        return stored
    return _replay(request, stored, fingerprint)


class _Undo(Exception):
    """Leaves a transaction, which undoes it, with the answer that is sent all the same."""

    def __init__(self, response: Response) -> None:
        self.response = response


async def _run(
    db: Database, run: Callable[[Transaction], Awaitable[Any]], scope: str | None = None, fingerprint: str = ""
) -> Any:
    """The handler's answer, stored if there is a *scope*; or the row of one that was stored before."""
    try:
        async with db.transaction() as tx:
            if scope is not None:
                if db.dialect == "postgres" and await tx.sql(_LOCK, number=_number(scope)) != [{"got": True}]:
                    _refuse_for_now()
                # Looked for again: it may have been stored between the first look and the lock.
                stored = await _find(tx, scope)
                if stored is not None:
                    return stored
            response = to_response(await run(tx))
            if response.status >= 500:
                raise _Undo(response)
            if scope is not None:
                await _keep(tx, scope, fingerprint, response)
    except _Undo as undo:
        return undo.response
    return response


def read_key(request: Request) -> str | None:
    """The request's key; None where it has none.

    Raises:
        BadRequest: it is not 1 to 255 visible characters, or there are several.
    """
    fields = request.headers.get_all(FIELD)
    if not fields:
        return None
    quoted = _QUOTED.fullmatch(fields[0]) if len(fields) == 1 else None
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if len(fields) > 1 or not _BARE.fullmatch(fields[0]):
        raise BadRequest(
            "Send one Idempotency-Key of 1 to 255 visible ASCII characters, such as a UUID; put it into double quotes "
            "if it has a comma or a space",
            code="idempotency_key_invalid",
        )
    return fields[0]


def _scope(request: Request, key: str) -> str:
    """Whose key it is: another's same key is another key."""
    user = user_id(request)
    if user is not None:
        return _hashed("user", user, key)
    shown = [(name, value) for name in CREDENTIALS for value in request.headers.get_all(name)]
    return _hashed("shown", *itertools.chain(*shown), key)


async def _fingerprint(request: Request) -> str:
    """What makes it the same request: method, target, content, and who sends it where only cookies can say."""
    parts: list[str | bytes] = [request.method, request.target]
    if user_id(request) is None and not any(map(request.headers.has, CREDENTIALS)):
        # Not a part of the scope: a cookie that changes between two tries would make a second effect of them.
        parts += ["cookies", *request.headers.get_all("cookie")]
    media = parse_media_type(request.content_type)
    if media is None or (media.type, media.subtype) != ("multipart", "form-data"):
        return _hashed(*parts, "body", await request.bytes())
    # A browser that sends a form again puts another boundary between its parts.
    parts.append("form")
    for name, value in (await request.form_data()).items():
        if isinstance(value, str):
            parts += [name, value]
        else:
            parts += [name, value.filename, await value.read()]
            await value.seek(0)
    return _hashed(*parts)


def _hashed(*parts: str | bytes) -> str:
    found = sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(b"%d:" % len(data))  # so that "ab", "c" is not "a", "bc"
        found.update(data)
    return found.hexdigest()


# -- what is stored


async def _find(source: Any, scope: str) -> dict[str, Any] | None:
    rows = await source.sql(_FIND, scope=scope, since_s=time.time() - KEPT_S)
    return rows[0] if rows else None


async def _keep(tx: Transaction, scope: str, fingerprint: str, response: Response) -> None:
    if response.chunks is not None or response.file_path is not None:
        raise TypeError("an @idempotent handler returns an answer that can be stored, not a stream or a file")
    if len(response.body) > MAX_BYTES:
        raise TypeError(f"an @idempotent handler returns at most {MAX_BYTES:,} bytes, which are stored")
    # A cookie may be a session; what is stored must not sign anybody in.
    headers = [pair for pair in response.headers.items() if pair[0] != "set-cookie"]
    await tx.sql(
        _KEEP,
        scope=scope,
        fingerprint=fingerprint,
        status=response.status,
        headers=json.dumps(headers),
        body=response.body,
        now_s=time.time(),
    )


def _replay(request: Request, stored: dict[str, Any], fingerprint: str) -> Response:
    if stored["fingerprint"] != fingerprint:
        raise ValidationFailed(
            "This Idempotency-Key was used for another request; a new operation needs a new key",
            code="idempotency_key_reused",
        )
    request.personal = request.special = True
    body = bytes.fromhex(stored["body"].removeprefix("\\x"))  # as the database layer gives bytea
    response = Response._made(body, None, stored["status"], json.loads(stored["headers"]))
    response.headers.set("idempotency-replayed", "true")
    return response


async def _prepare(db: Database) -> None:
    """Make the table, once for each database that this process opens."""
    engine = db.engine
    if engine in _ready:
        return
    try:
        await db.sql(_TABLE)
        await db.sql(_INDEX)
    except DbError:
        # Two workers that make it at once: on PostgreSQL "if not exists" may still collide.
        await db.sql(_TABLE)
        await db.sql(_INDEX)
    if db.dialect == "postgres" and await db.sql(_SEALED) == [{"sealed": False}]:
        await db.sql(_SEAL)
    _ready.add(engine)


async def clean(db: Database, *, now_s: float | None = None) -> None:
    """Delete the answers that are over 24 hours old."""
    await db.sql(_FORGET, since_s=(time.time() if now_s is None else now_s) - KEPT_S)


def _clean_some_time(db: Database) -> None:
    """Clean after the first answer of a process, and every hour."""
    global _cleaned_s
    if _cleaned_s and time.monotonic() - _cleaned_s < _CLEAN_EVERY_S:
        return
    _cleaned_s = time.monotonic()
    after(clean, db)


# -- one at a time

_under_way: set[str] = set()
_guard = threading.Lock()


@contextmanager
def _claimed(db: Database, scope: str) -> Iterator[None]:
    """Nobody else runs *scope* meanwhile; on PostgreSQL, nobody else in this process."""
    name = f"{id(db.engine)}:{scope}"
    with _guard:
        if name in _under_way:
            _refuse_for_now()
        _under_way.add(name)
    try:
        with _locked(db.path, _number(scope)):
            yield
    finally:
        _under_way.discard(name)


_lock_files: dict[Path, int] = {}


@contextmanager
def _locked(path: Path | None, number: int) -> Iterator[None]:
    """A lock that the workers of a SQLite file share: a byte that stands for the key, of a file beside it.

    The operating system opens it when its holder dies. Without such locks (Windows) a worker waits for the
    database's one writer instead, and finds the answer then.
    """
    try:
        import fcntl
    except ImportError:
        path = None
    if path is None:
        yield
        return
    file = _lock_files.get(path)
    if file is None:
        # Never closed: that would open every lock that this process holds on the file.
        name = path.with_name(f"{path.name}-idempotency")
        file = _lock_files[path] = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number % 2**62)
    except OSError:
        _refuse_for_now()
    try:
        yield
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN, 1, number % 2**62)


def _number(scope: str) -> int:
    """*scope* as a number for a lock: the same for the same scope, and else hardly ever."""
    return int(scope[:16], 16) - 2**63


def _refuse_for_now() -> NoReturn:
    raise Conflict(
        "The first request with this Idempotency-Key is still under way; send it again in a moment",
        headers=(("retry-after", "1"),),
        code="idempotency_in_progress",
    )
