"""The REST wire of the tables, ``/rest/v1``: PostgREST's requests to queries, their answers to responses.

Spoken is what Supabase's clients send (https://docs.postgrest.org/en/stable/references/api.html).
Who asks is decided elsewhere: a Scope comes in, and its row policies hold. Nothing of a request
becomes SQL here; the text becomes AST in ``parse.py``, and names are looked up in ``plan.py``. A
GET runs read-only. The root's OpenAPI description, PUT and several schemas are not here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from ..errors import ConfigError, DbError, HTTPError
from ..http.path import is_plain, segments
from ..http.response import Response
from ..http.url import parse_fields
from . import ast
from .accept import Wanted, parse_accept
from .build import PENDING, Page, Rows, Shape
from .errors import error, not_one
from .parse import Asked, parse_names, parse_query
from .policy import POLICIES
from .prefer import Prefer, parse_prefer
from .rest_answer import content_range, refusal, reply, total_of
from .rest_body import fit, read_patch, read_rows
from .rls import problems

if TYPE_CHECKING:
    from ..http.request import Request
    from .database import Database
    from .scope import Scope

PREFIX = "/rest/v1"
_MAX_TARGET_BYTES = 16_384
_SHORT = 1_000  # characters; statements of longer queries are made anew each time, as they would fill the memory
_FIELDS = frozenset({"accept", "accept-profile", "content-profile", "prefer", "range"})
_VERBS = "OPTIONS,GET,HEAD,POST,PATCH,DELETE"


class Settings(Struct, frozen=True):
    """What the wire allows.

    Args:
        aggregates: ``count()``, ``sum()`` and their like in a select; if not, PGRST123.
        rollback: ``Prefer: tx=rollback`` undoes a request, for tests.
        plans: EXPLAIN may be asked for; never under row policies.
        max_rows: A read gives no more rows than this, and ``Content-Range`` says so.
    """

    aggregates: bool = False
    rollback: bool = False
    plans: bool = False
    max_rows: int = 1_000


DEFAULTS = Settings()


async def rest(request: Request, database: Database, scope: Scope | None, *, settings: Settings = DEFAULTS) -> Response:
    """Answer a request below ``/rest/v1`` on behalf of *scope*; a refusal has the keys code, message, details, hint.

    Args:
        scope: Whose row policies hold; None is the program itself.
        settings: What is allowed.
    """
    try:
        call = Call.of(request, database, scope, settings)
        return await call.answer()
    except DbError as exc:
        return refusal(exc, anonymous=scope is not None and scope.role == "anon")
    except HTTPError as exc:
        raised = DbError(exc.code or "PGRST100", exc.detail or "the request cannot be read", status=exc.status)
        return refusal(raised, status=exc.status, headers=exc.headers)


async def check(database: Database) -> None:
    """Refuse to open the tables of *database* while a policy of ``lib/policies.py`` could not hold.

    Raises:
        ConfigError: a table that has policies there does not enforce any, or does not exist.
    """
    named = {policy.table for policy in POLICIES}
    wrong = [each for each in await problems(database) if any(f"'{name}'" in each for name in named)]
    if wrong:
        raise ConfigError(
            f"/rest/v1 cannot be opened: {'; '.join(wrong)}",
            cure="alter table … enable row level security, in a migration; or take the policy out of lib/policies.py",
        )


class Call:
    """One request, its headers read."""

    __slots__ = ("database", "fields", "method", "pairs", "prefer", "request", "scope", "settings", "target", "wanted")

    def __init__(
        self, request: Request, database: Database, scope: Scope | None, settings: Settings, target: tuple[str, ...]
    ) -> None:
        self.request, self.database, self.scope, self.settings, self.target = request, database, scope, settings, target
        self.method = request.method
        fields: dict[str, list[str]] = {}
        for name, value in request.headers.items():
            if name in _FIELDS:
                fields.setdefault(name, []).append(value)
        self.fields = fields
        if "accept-profile" in fields or "content-profile" in fields:
            _check_schema(fields.get("accept-profile" if self.reads else "content-profile", ()))
        self.prefer: Prefer = parse_prefer(fields.get("prefer", ()))
        self.wanted: Wanted = parse_accept(", ".join(fields.get("accept", ())), settings.plans)
        self.pairs = parse_fields(request.target.partition("?")[2], request.limits.max_query_fields)

    @classmethod
    def of(cls, request: Request, database: Database, scope: Scope | None, settings: Settings) -> Call:
        """Read what every request has, or refuse it."""
        if len(request.target) > _MAX_TARGET_BYTES:
            raise DbError("54000", f"the URL is longer than {_MAX_TARGET_BYTES:,} bytes", status=414)
        return cls(request, database, scope, settings, _target(request))

    @property
    def reads(self) -> bool:
        """Nothing may be changed."""
        return self.method in ("GET", "HEAD")

    async def answer(self) -> Response:
        """Run it."""
        if self.method == "OPTIONS":
            return Response(None, headers={"allow": _VERBS})
        if self.target[0] == "rpc":
            from .rest_call import call

            return await call(self, self.target[1])
        match self.method:
            case "GET" | "HEAD":
                return await self.select(self.target[0])
            case "POST":
                return await self.insert(self.target[0])
            case "PATCH":
                return await self.update(self.target[0])
            case "DELETE":
                return await self.delete(self.target[0])
        raise error("PGRST117", f"Unsupported HTTP method: {self.method[:20]}", status=405)

    # --- running ---

    def form(self) -> ast.Form:
        """How the answer of a read is made."""
        return _form(self.settings.aggregates, self.wanted.kind, self.wanted.strip)

    async def run(
        self, verb: str, statement: ast.Statement, values: tuple[Any, ...], form: ast.Form, *, sole: bool = False
    ) -> Any:
        """The answer of *statement*; *sole*: undone unless it touches exactly one row."""
        shape: Shape = ((verb, statement, form),)
        if sole:
            shape += (("sole",),)
        if isinstance(statement, ast.Select) and statement.explain:
            shape += (("explain",),)
        if len(self.request.target) > _SHORT and _is_big(self.pairs):
            shape += (("once",),)
        if self.judged:
            return await self._inside(shape, values, readonly=verb == "select")
        answer = self.database.now(shape, values, self.scope)
        return await self.database.later(shape, values, self.scope) if answer is PENDING else answer

    @property
    def judged(self) -> bool:
        """The answer decides whether what was done stays, or nothing else keeps a function from writing."""
        undo = self.settings.rollback and self.prefer.get("tx") == "rollback"
        calls = self.target[0] == "rpc"
        return undo or (calls and (self.scope is None or self.wanted.kind == "object" or self.prefer.most is not None))

    async def _inside(self, shape: Shape, values: tuple[Any, ...], *, readonly: bool) -> Any:
        """The answer of a query in a transaction of its own, which does not last if it asked for that."""
        door = self.database if self.scope is None else self.database.scoped(self.scope)
        try:
            async with door.transaction(readonly=readonly) as tx:
                answer = await tx.later(shape, values)
                if isinstance(answer, Page) and self.target[0] == "rpc":
                    self.check_rows(answer.rows)
                if self.settings.rollback and self.prefer.get("tx") == "rollback":
                    raise _Undo(answer)
                return answer
        except _Undo as undone:
            return undone.answer

    def check_rows(self, rows: int) -> None:
        """Refuse what a function gave if that is more than may be, or not the one row that was asked for."""
        if self.wanted.kind == "object" and rows != 1:
            raise not_one(rows)
        most = self.prefer.most
        if most is not None and not self.reads and rows > most:
            raise error(
                "PGRST124", "Query result exceeds max-affected preference constraint",
                details=f"The query affects {rows} rows",
            )  # fmt: skip

    def capped(self, asked: Asked, first_slot: int = 0) -> tuple[Asked, int, int]:
        """*asked* with the cap on its rows, the greatest number of them, and how many are passed over."""
        limit, values, slot = self.settings.max_rows, asked.values, asked.limit
        offset = values[asked.offset - first_slot] if asked.offset >= 0 else 0
        if slot >= 0:
            place = slot - first_slot
            limit = min(limit, values[place])
            values = (*values[:place], limit, *values[place + 1 :])
        else:
            slot, values = first_slot + len(values), (*values, limit)
        return Asked(asked.items, asked.where, asked.order, slot, asked.offset, values), limit, offset

    def ranged(self) -> list[tuple[str, str]]:
        """The query's pairs, with what a Range header asks for."""
        if "range" not in self.fields:
            return self.pairs
        unit, _, span = self.fields["range"][0].rpartition("=")
        first, dash, last = span.partition("-")
        if unit not in ("", "items") or not dash or not (first.isascii() and first.isdigit()):
            return self.pairs
        pairs = [pair for pair in self.pairs if pair[0] not in ("limit", "offset")]
        if len(pairs) != len(self.pairs):
            return self.pairs  # the query says it more precisely
        if last.isascii() and last.isdigit():
            if int(last[:18]) < int(first[:18]):
                raise error("PGRST103", "Requested range not satisfiable", details="The range ends before it begins.")
            pairs.append(("limit", str(int(last[:18]) - int(first[:18]) + 1)))
        return [*pairs, ("offset", first[:18])]

    # --- the verbs ---

    async def select(self, table: str) -> Response:
        """GET and HEAD."""
        asked, limit, offset = self.capped(parse_query(self.ranged()))
        # The number is enough for a HEAD that counts, unless it asks whether there is one row.
        head = self.method == "HEAD" and self.prefer.count is not None and self.wanted.kind != "object"
        statement = asked.select(table, count=self.prefer.count, head=head)
        if self.wanted.explain:
            statement = replace(statement, explain=self.wanted.explain)
        found = await self.run("select", statement, asked.values, self.form())
        return self.page(found, limit, offset, head)

    def page(self, found: Page | Rows[Any], limit: int, offset: int, head: bool, *, one: bool = False) -> Response:
        """The response of a read; *one*: of a function that gives one value, whatever is accepted."""
        if self.wanted.explain and isinstance(found, Rows):
            return _plan(found, self.wanted)
        total = total_of(found)
        if head:
            rows = min(limit, max(0, (total or 0) - offset))
        else:
            rows = found.rows if isinstance(found, Page) else len(found)
        if total is not None and offset > total:
            raise error(
                "PGRST103", "Requested range not satisfiable", status=416,
                details=f"An offset of {offset} was requested, but there are only {total} rows.",
            )  # fmt: skip
        partial = total is not None and rows < total and limit > 0
        headers = [("content-range", content_range(offset, rows, total))]
        return reply(
            found, self.wanted, 206 if partial else 200, headers + self.applied(),
            send=self.method != "HEAD", check=not (one or head),
        )  # fmt: skip

    async def insert(self, table: str) -> Response:
        """POST: insert, or upsert where duplicates are to be resolved."""
        asked = parse_query(self.pairs)
        _refuse_parts(asked, "insert", self.pairs)
        known = (await self.database.engine.known()).tables.get(table)
        rows = await read_rows(self.request, asked.columns, defaults=self.prefer.get("missing") == "default")
        rows = [fit(row, known) for row in rows]
        conflict = None
        if (resolution := self.prefer.get("resolution")) is not None:
            conflict = ast.Conflict(asked.on_conflict, resolution == "ignore-duplicates", asked.columns)
        returning, location = self.returning(asked, table)
        statement = ast.Insert(table, (), conflict, returning)
        if rows:
            found = await self.write("insert", statement, (rows, *asked.values))
        else:
            found = await self.nothing(table)
        headers = [("content-range", content_range(0, 0, found.count if self.prefer.count else None))]
        if location and len(found) == 1:
            place = "&".join(f"{quote(name)}=eq.{quote(str(value))}" for name, value in found[0].items())
            headers.append(("location", f"{PREFIX}/{quote(table)}?{place}"))
        return self.written(found, 201, headers)

    async def update(self, table: str) -> Response:
        """PATCH."""
        columns = next((parse_names(text) for name, text in self.pairs if name == "columns" and text), None)
        known = (await self.database.engine.known()).tables.get(table)
        patch = fit(await read_patch(self.request, columns), known)
        asked = parse_query(self.pairs, len(patch))
        _refuse_parts(asked, "update", self.pairs)
        values = (*patch.values(), *asked.values)
        most, values = self.most(values)
        if patch:
            if not asked.where.items:
                _refuse_everything("UPDATE")
            statement = ast.Update(table, tuple(patch), asked.where, self.returning(asked, table)[0], most)
            found = await self.write("update", statement, values)
        else:
            found = await self.nothing(table)
        count = found.count if self.prefer.count else None
        headers = [("content-range", content_range(0, found.count or 0, count))]
        return self.written(found, 200, headers)

    async def delete(self, table: str) -> Response:
        """DELETE."""
        asked = parse_query(self.pairs)
        _refuse_parts(asked, "delete", self.pairs)
        if not asked.where.items:
            _refuse_everything("DELETE")
        most, values = self.most(asked.values)
        found = await self.write(
            "delete", ast.Delete(table, asked.where, self.returning(asked, table)[0], most), values
        )
        headers = [("content-range", content_range(0, 0, found.count if self.prefer.count else None))]
        return self.written(found, 200, headers)

    async def write(self, verb: str, statement: ast.Statement, values: tuple[Any, ...]) -> Rows[Any]:
        """Run a mutation; where one row was asked for, any other number undoes it."""
        form = ast.Form(self.settings.aggregates)
        found: Rows[Any] = await self.run(verb, statement, values, form, sole=self.wanted.kind == "object")
        return found

    async def nothing(self, table: str) -> Rows[Any]:
        """What a write of nothing gives, if the table is there."""
        statement = ast.Select(table, limit=0)
        found: Rows[Any] = await self.run("select", statement, (0,), ast.Form())
        return Rows(found, 0)

    def most(self, values: tuple[Any, ...]) -> tuple[int, tuple[Any, ...]]:
        """The slot of the greatest number of rows that may be touched, and the values with it."""
        if self.prefer.most is None:
            return -1, values
        return len(values), (*values, self.prefer.most)

    def returning(self, asked: Asked, table: str) -> tuple[ast.Returning | None, bool]:
        """What a write gives back, and whether that is only where the row is."""
        match self.prefer.get("return"):
            case "representation":
                return ast.Returning(asked.items), False
            case "headers-only" if self.method == "POST":
                known = self.database.engine.schema.tables.get(table)
                if known is not None and known.pk:
                    return ast.Returning(tuple(ast.Column(ast.Path(name)) for name in known.pk)), True
        return None, False

    def written(self, found: Rows[Any], status: int, headers: list[tuple[str, str]]) -> Response:
        """The response of a write."""
        headers = headers + self.applied()
        if self.prefer.get("return") == "representation":
            return reply(found, self.wanted, status, headers)
        return Response(None, 201 if status == 201 else 204, headers)

    def applied(self) -> list[tuple[str, str]]:
        """The preferences that were honoured."""
        said = self.prefer.applied(reading=self.reads, rollback=self.settings.rollback)
        return [("preference-applied", said)] if said else []


class _Undo(Exception):
    """Leaves a transaction, which undoes it, with the answer of what was done in it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer


def _is_big(pairs: list[tuple[str, str]]) -> bool:
    """Whether there is much to a query beside the values that it compares with."""
    return sum(len(name) + (20 if _is_plain(text) else len(text)) for name, text in pairs) > _SHORT


_is_plain = re.compile(r"(?:not\.)?(?:eq|neq|gt|gte|lt|lte|like|ilike|in|cs|cd|ov)\.").match


@lru_cache(maxsize=32)
def _form(aggregates: bool, kind: str, strip: bool) -> ast.Form:
    body: Literal["json", "object", "rows"] = "rows" if kind == "csv" else "json" if kind == "array" else "object"
    return ast.Form(aggregates, body, strip)


def _target(request: Request) -> tuple[str, ...]:
    """The table, or ``rpc`` and the function."""
    raw = request.target.partition("?")[0]
    name = raw[len(PREFIX) + 1 :]
    if "/" not in name and name != "rpc" and raw.startswith(f"{PREFIX}/") and is_plain(raw):
        return (name,)
    parts = segments(raw)
    if parts[:2] == ["rest", "v1"]:
        parts = parts[2:]
    if parts and parts[-1] == "":
        parts.pop()
    if not parts:
        raise error("PGRST126", "Root endpoint metadata is disabled", status=404)
    if "" in parts or len(parts) > 2 or (len(parts) == 2) != (parts[0] == "rpc"):
        raise error("PGRST125", "Invalid path specified in request URL", status=404)
    return tuple(parts)


def _check_schema(names: Sequence[str]) -> None:
    for name in names:
        if name != "public":
            raise error(
                "PGRST106", f"Invalid schema: {name[:63]}", status=406,
                hint="Only the following schemas are exposed: public",
            )  # fmt: skip


def _refuse_parts(asked: Asked, verb: str, pairs: list[tuple[str, str]]) -> None:
    if asked.limit >= 0 or asked.offset >= 0:
        # The newest PostgREST would only cut what is given back, older ones what is written: no guess may delete rows.
        raise error("PGRST127", f"limit and offset on {verb} are not supported", hint="Prefer: max-affected=n")
    if verb == "insert" and asked.where.items:
        named = {name for name, _ in pairs} - {"select", "columns", "on_conflict", "order"}
        raise error("PGRST100", f"an insert takes no filters: {', '.join(sorted(named))[:200]}")


def _refuse_everything(verb: str) -> NoReturn:
    raise error("21000", f"{verb} requires a WHERE clause", hint="add a filter")


def _plan(found: Rows[Any], wanted: Wanted) -> Response:
    from ..http import jsontext

    lines = [next(iter(row.values())) for row in found]
    if "+json" in wanted.type:
        return Response(jsontext.dumps(lines[0]), 200, {"content-type": wanted.type})
    return Response("\n".join(lines), 200, {"content-type": wanted.type})
