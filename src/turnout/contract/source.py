"""What a function of the project answers and refuses, by its source: nothing is called.

Read are ``return`` and ``raise``, in the function and in those of the project that it calls, and what Turnout's
own functions are known to do (``known.py``). A value that only running would show is left open rather than
guessed, so that what the document says is true. Parameters and models are not read here: see ``read.py``.
"""

from __future__ import annotations

import ast
import mimetypes
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

from msgspec import Struct, structs

from ..errors import HTTPError
from ..http.response import Response
from . import known
from .known import BINARY, FORM, JSON, MULTIPART, OBJECT, Refusal
from .model import Schema
from .schemas import Schemas
from .scope import FUNCTIONS, UNKNOWN, Instance, argument_of, ends, is_database, is_kind, key_of, plain, returns_of
from .shapes import Shapes

ANY_MEDIA = "*/*"
WRITES = frozenset({"insert", "update", "upsert", "delete", "sql", "rpc", "execute"})


class Reply(Struct):
    """One answer that a function gives.

    Args:
        status: None where only running would tell.
        media: None for an answer without a body.
        data: Whether it was plain data, which Turnout makes a response of.
    """

    status: int | None
    media: str | None = None
    schema: Schema = {}
    headers: tuple[str, ...] = ()
    streams: bool = False
    data: bool = False


class Body(Struct):
    """A body that a function reads from the request itself."""

    media: dict[str, Schema]


class Found(Struct):
    """What was found in one function and in those it calls."""

    replies: list[Reply] = []
    refusals: list[Refusal] = []
    bodies: list[Body] = []
    query: dict[str, Schema] = {}
    writes_status_of_error: bool = False  # an error.py that answers with the status of what was raised
    was_read: bool = False  # there was a source to read

    def add(self, other: Found, *, replies: bool) -> None:
        """Take over what a function that is called has."""
        if replies:
            self.replies += other.replies
        self.refusals += other.refusals
        self.bodies += other.bodies
        self.query = {**self.query, **other.query}


class Sources:
    """Reads functions, each once.

    Args:
        root: The project; what lies elsewhere is not read.
    """

    def __init__(self, root: Path, schemas: Schemas) -> None:
        self.root, self.schemas = str(root) + os.sep, schemas
        self._trees: dict[str, dict[tuple[str, int], Any]] = {}
        self._found: dict[Any, Found] = {}

    def read(self, function: Any) -> Found:
        """What *function* and those below it answer and refuse."""
        found = Found()
        function = plain(function)
        while function is not None and not self.is_own(function):
            # A decorator of somebody else's around a function of the project.
            function = plain(getattr(function, "__wrapped__", None))
        if function is None:
            return found
        return self._read(function)

    def is_own(self, function: Any) -> bool:
        """Whether *function* is the project's."""
        code = getattr(function, "__code__", None)
        name = code.co_filename if code is not None else ""
        return name.startswith(self.root) and f"{os.sep}site-packages{os.sep}" not in name

    def node_of(self, function: FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The definition of *function*; None where there is none to be found, as of a lambda."""
        code = function.__code__
        if code.co_filename not in self._trees:
            nodes: dict[tuple[str, int], Any] = {}
            try:
                tree = ast.parse(Path(code.co_filename).read_bytes())
            except (OSError, SyntaxError, ValueError):
                tree = ast.Module([], [])
            for node in ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    # The first line of the code is that of the first decorator.
                    line = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                    nodes[node.name, line] = node
            self._trees[code.co_filename] = nodes
        return self._trees[code.co_filename].get((code.co_name, code.co_firstlineno))

    def _read(self, function: FunctionType) -> Found:
        if function not in self._found:
            self._found[function] = Found()  # what a function that calls itself finds
            node = self.node_of(function)
            if node is not None:
                self._found[function] = _Reader(self, function, node).read()
        return self._found[function]


class _Reader(Shapes):
    """One function being read."""

    def __init__(self, sources: Sources, function: FunctionType, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        super().__init__(sources.schemas, function, node)
        self.sources = sources
        self.found = Found([], [], [], {})

    def read(self) -> Found:
        self.found.was_read = True
        own = list(self.own_nodes())
        generates = any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own)
        if generates:
            self.found.replies.append(Reply(200, "text/plain", {"type": "string"}, streams=True, data=True))
        uses_db = writes = False
        for node in own:
            if isinstance(node, ast.Return) and not generates:
                self.returned(node.value)
            elif isinstance(node, ast.Raise):
                self.raised(node.exc)
            elif isinstance(node, ast.Call):
                self.called(node)
            elif isinstance(node, ast.Name) and not uses_db:
                uses_db = is_database(self.resolve(node))
            elif isinstance(node, FUNCTIONS):
                self.inner(node)
            if isinstance(node, ast.Attribute) and node.attr in WRITES:
                writes = True
        if uses_db:
            self.found.refusals += known.DB_WRITE if writes else known.DB_READ
        if not generates and not ends(self.node.body):
            self.found.replies.append(Reply(204, data=True))
        return self.found

    def inner(self, node: ast.AST) -> None:
        """A function defined inside, which is taken to be called: it refuses for this one, but answers for itself."""
        for each in ast.walk(node):
            if isinstance(each, ast.Raise):
                self.raised(each.exc)
            elif isinstance(each, ast.Call):
                self.called(each)

    # -- what is called

    def called(self, node: ast.Call) -> None:
        callee = self.resolve(node.func)
        self.client_call(node)
        self.query_read(node)
        key = key_of(callee)
        if key is not None:
            self.known_call(key, node)
            return
        function = plain(callee) if callable(callee) and not isinstance(callee, type) else None
        if isinstance(function, FunctionType) and self.sources.is_own(function):
            self.found.add(self.sources._read(function), replies=False)

    def known_call(self, key: str, node: ast.Call) -> None:
        self.found.refusals += known.CALLS.get(key, ())
        reader = key.removeprefix("http.request.Request.")
        if reader != key and reader in ("json", "bytes", "text", "stream", "form_data"):
            self.body_read(reader, node)
        if key.startswith(known.WEBHOOKS) and key.rpartition(".")[2] in ("verify", "construct_event"):
            self.found.refusals.append(known.VERIFY)

    def body_read(self, reader: str, node: ast.Call) -> None:
        if reader == "json":
            model = argument_of(node, 0, "model")
            if model is None:
                self.found.bodies.append(Body({JSON: {}}))
                return
            kind = self.resolve(model)
            self.found.refusals += [known.NOT_JSON, known.UNFIT]
            self.found.bodies.append(Body({JSON: {} if kind is UNKNOWN else self.schemas.of(kind)}))
        elif reader == "form_data":
            self.found.bodies.append(Body({FORM: OBJECT, MULTIPART: OBJECT}))
        else:
            self.found.bodies.append(Body({ANY_MEDIA: BINARY}))

    def client_call(self, node: ast.Call) -> None:
        """``supabase.auth.sign_up(...)`` or ``supabase.table("posts")``, whatever the client is called."""
        function = node.func
        if not isinstance(function, ast.Attribute):
            return
        if function.attr in ("table", "from_", "rpc") and self.is_client(function.value):
            self.found.refusals += known.CLIENT_DATA
        place = function.value
        while isinstance(place, ast.Attribute):  # auth, or auth.admin
            if place.attr == "auth" and self.is_client(place.value):
                self.found.refusals += known.AUTH_CALLS.get(function.attr, known.AUTH_CALL)
            place = place.value

    def is_client(self, node: ast.expr) -> bool:
        """Whether *node* is what ``create_client()`` gave."""
        values = self.assigned.get(node.id, []) if isinstance(node, ast.Name) else [node]
        made = values[0].value if len(values) == 1 and isinstance(values[0], ast.Await) else None
        key = key_of(self.resolve(made.func)) if isinstance(made, ast.Call) else None
        return key in ("auth.client.create_client", "auth.client.create_admin_client")

    def query_read(self, node: ast.Call) -> None:
        """``request.search_params.get("page")``: a field of the query that no annotation names."""
        function = node.func
        if not isinstance(function, ast.Attribute) or function.attr not in ("get", "get_all", "has"):
            return
        place = function.value
        if isinstance(place, ast.Name) and len(self.assigned.get(place.id, ())) == 1:
            place = self.assigned[place.id][0]
        name = self.resolve(argument_of(node, 0, "name"))
        if isinstance(place, ast.Attribute) and place.attr == "search_params" and isinstance(name, str):
            text: Schema = {"type": "string"}
            self.found.query[name] = {"type": "array", "items": text} if function.attr == "get_all" else text
            self.found.refusals.append(known.TOO_MANY_FIELDS)

    # -- what is raised

    def raised(self, node: ast.expr | None) -> None:
        if node is None:
            return
        value = self.resolve(node)
        kind = value.kind if isinstance(value, Instance) else value
        if not isinstance(kind, type) or not issubclass(kind, HTTPError):
            return
        call = node if isinstance(node, ast.Call) else None
        said = [self.resolve(each) for each in call.args[:2]] if call else []
        status: Any = next((each for each in said if isinstance(each, int)), kind.status)
        code: Any = kind.code if isinstance(getattr(kind, "code", None), str) else None
        if call is not None:
            for keyword in call.keywords:
                if keyword.arg == "status":
                    status = self.resolve(keyword.value)
                elif keyword.arg == "code":
                    code = self.resolve(keyword.value)
        detail = next((each for each in said if isinstance(each, str)), "")
        if isinstance(status, int) and 400 <= status <= 599:
            self.found.refusals.append(Refusal(int(status), code if isinstance(code, str) else None, detail))

    # -- what is returned

    def returned(self, node: ast.expr | None) -> None:
        replies = [reply for value in self.values(node) for reply in self.replies_of(value)]
        if isinstance(node, ast.Name) and node.id in self.statuses:
            # ``page.status = 404`` before ``return page``
            given = [self.status(each) for each in self.statuses[node.id]]
            replies = [structs.replace(reply, status=status, data=False) for reply in replies for status in given]
        self.found.replies += replies

    def values(self, node: ast.expr | None, seen: frozenset[str] = frozenset()) -> Iterator[ast.expr | None]:
        """The expressions that *node* may be, each branch and each assignment on its own."""
        if isinstance(node, (ast.Await, ast.NamedExpr)):
            yield from self.values(node.value, seen)
        elif isinstance(node, ast.IfExp):
            yield from self.values(node.body, seen)
            yield from self.values(node.orelse, seen)
        elif isinstance(node, ast.BoolOp):
            for each in node.values:
                yield from self.values(each, seen)
        elif isinstance(node, ast.Name) and node.id in self.assigned and node.id not in seen:
            for each in self.assigned[node.id]:
                # Plain data keeps its name, by which it may have been changed since.
                held = list(self.values(each, seen | {node.id}))
                yield from (value if isinstance(value, ast.Call) else node for value in held)
        else:
            yield node

    def replies_of(self, node: ast.expr | None) -> list[Reply]:
        if node is None or (isinstance(node, ast.Constant) and node.value is None):
            return [Reply(204, data=True)]
        if isinstance(node, ast.Call):
            return self.replies_of_call(node)
        value = self.resolve(node)
        if isinstance(value, Response):
            content_type = (value.headers.get("content-type") or "").partition(";")[0] or None
            return [Reply(value.status, content_type)]
        if isinstance(value, Instance) and issubclass(value.kind, Response):
            return [Reply(None, ANY_MEDIA)]
        if isinstance(value, bytes):
            return [Reply(200, "application/octet-stream", BINARY, data=True)]
        return [Reply(200, JSON, self.schema_of(node), data=True)]

    def replies_of_call(self, node: ast.Call) -> list[Reply]:
        callee = self.resolve(node.func)
        key = key_of(callee)
        if isinstance(callee, type) and issubclass(callee, Response):
            return self.constructed(node)
        if key is not None and key.startswith("http.response."):
            return self.made(key.rpartition(".")[2], node)
        if key == "templates.render":
            return self.rendered(node)
        function = plain(callee) if callable(callee) and not isinstance(callee, type) else None
        if isinstance(function, FunctionType) and self.sources.is_own(function):
            return list(self.sources._read(function).replies)
        if isinstance(node.func, ast.Name) and node.func.id in self.parameters:
            return []  # next(request) of a middleware, or what a decorator is around: read by itself
        kind = returns_of(callee)
        if key is not None and isinstance(kind, type) and issubclass(kind, Response):
            return [Reply(None, ANY_MEDIA)]
        if kind is not None and not (isinstance(kind, type) and issubclass(kind, Response)):
            return [Reply(200, JSON, self.schema_of(node), data=True)]
        if isinstance(callee, type):
            return [Reply(200, JSON, self.schema_of(node), data=True)]
        return [Reply(None, ANY_MEDIA, data=callee is UNKNOWN)]

    def constructed(self, node: ast.Call) -> list[Reply]:
        body = argument_of(node, 0, "body")
        value = self.resolve(body)
        media: str | None = ANY_MEDIA
        schema: Schema = {}
        if body is None or value is None:
            media = None
        elif isinstance(value, str) or isinstance(body, ast.JoinedStr) or is_kind(value, str):
            media, schema = "text/plain", {"type": "string"}
        elif isinstance(value, bytes) or is_kind(value, bytes):
            media, schema = "application/octet-stream", BINARY
        return self.with_status(node, 1, 200, media, schema)

    def made(self, how: str, node: ast.Call) -> list[Reply]:
        text: Schema = {"type": "string"}
        if how == "json":
            return self.with_status(node, 1, 200, JSON, self.schema_of(argument_of(node, 0, "data")))
        if how in ("text", "html"):
            return self.with_status(node, 1, 200, "text/html" if how == "html" else "text/plain", text)
        if how == "redirect":
            return self.with_status(node, 1, 307, None, {}, headers=("Location",))
        if how == "stream":
            media = self.resolve(argument_of(node, None, "media_type"))
            kind = media.partition(";")[0].strip() if isinstance(media, str) else "text/plain"
            if argument_of(node, None, "media_type") is not None and not isinstance(media, str):
                kind = ANY_MEDIA
            return self.with_status(node, 1, 200, kind, text if kind.startswith("text/") else BINARY, streams=True)
        if how == "sse":
            return self.with_status(node, 1, 200, "text/event-stream", text, streams=True)
        if how == "file":
            return self.file(node)
        return [Reply(500)]  # Response.error()

    def file(self, node: ast.Call) -> list[Reply]:
        given = argument_of(node, None, "media_type")
        media = self.resolve(given)
        if given is None:
            path = self.resolve(argument_of(node, 0, "path"))
            media = mimetypes.guess_type(str(path))[0] if isinstance(path, (str, Path)) else None
        kind = media.partition(";")[0].strip() if isinstance(media, str) else ANY_MEDIA
        schema: Schema = {"type": "string"} if kind.startswith("text/") else BINARY
        replies = self.with_status(node, None, 200, kind, schema, streams=True)
        return [*replies, Reply(206, kind, schema, streams=True), Reply(304), Reply(416)]

    def rendered(self, node: ast.Call) -> list[Reply]:
        name = self.resolve(argument_of(node, 0, "name"))
        kind = (mimetypes.guess_type(name)[0] or "text/plain") if isinstance(name, str) else "text/html"
        return [Reply(200, kind, {"type": "string"})]

    def with_status(
        self,
        node: ast.Call,
        place: int | None,
        default: int,
        media: str | None,
        schema: Schema,
        *,
        headers: tuple[str, ...] = (),
        streams: bool = False,
    ) -> list[Reply]:
        """The replies of a call that has a ``status``, which may be one of several."""
        media, schema = self.content_type(node, media, schema)
        given = argument_of(node, place, "status")
        statuses: list[int | None] = [default] if given is None else [self.status(each) for each in self.values(given)]
        if any(keyword.arg is None for keyword in node.keywords):
            statuses = [None]  # ** may hold it
        return [
            Reply(status, None if status in (204, 205, 304) else media, schema, headers, streams)
            for status in dict.fromkeys(statuses)
        ]

    def status(self, node: ast.expr | None) -> int | None:
        value = self.resolve(node)
        if isinstance(value, int) and not isinstance(value, bool):
            return int(value)
        if isinstance(node, ast.Attribute) and node.attr == "status" and isinstance(node.value, ast.Name):
            self.found.writes_status_of_error |= node.value.id == self.first
        return None

    def content_type(self, node: ast.Call, media: str | None, schema: Schema) -> tuple[str | None, Schema]:
        """*media*, or what the ``headers`` of the call say in its place."""
        given = argument_of(node, 2, "headers")
        if isinstance(given, ast.Name) and len(self.assigned.get(given.id, ())) == 1:
            given = self.assigned[given.id][0]
        pairs: Iterable[tuple[Any, Any]] = ()
        if isinstance(given, ast.Dict):
            pairs = [
                (self.resolve(name), self.resolve(value)) for name, value in zip(given.keys, given.values, strict=True)
            ]
        elif given is not None and isinstance(self.resolve(given), dict):
            pairs = self.resolve(given).items()
        for name, value in pairs:
            if isinstance(name, str) and name.lower() == "content-type":
                if not isinstance(value, str):
                    return ANY_MEDIA, {}
                kind = value.partition(";")[0].strip().lower()
                return kind, schema if kind == media or kind.endswith("json") else {"type": "string"}
        return media, schema
