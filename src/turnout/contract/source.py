"""What a function of the project answers and refuses, by its source: nothing is called.

Read are ``return`` and ``raise``, in the function and in those of the project that it calls, and what Turnout's
own functions are known to do (``known.py``). A value that only running would show is left open rather than
guessed, so that what the document says is true. Parameters and models are not read here: see ``read.py``.
"""

from __future__ import annotations

import ast
import builtins
import enum
import functools
import inspect
import mimetypes
import os
import types
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

import msgspec
from msgspec import Struct, structs

from ..errors import HTTPError
from ..http.form import FormData
from ..http.request import Request
from ..http.response import Response
from . import known
from .known import BINARY, FORM, JSON, MULTIPART, OBJECT, Refusal
from .model import Schema
from .schemas import Schemas

ANY_MEDIA = "*/*"
PACKAGE = __name__.partition(".")[0]
WRITES = frozenset({"insert", "update", "upsert", "delete", "sql", "rpc", "execute"})
_UNKNOWN = object()
_DONE = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


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


class _Instance(Struct):
    """Some value of a class, of which nothing else is known."""

    kind: type


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
        function = _plain(function)
        while function is not None and not self.is_own(function):
            # A decorator of somebody else's around a function of the project.
            function = _plain(getattr(function, "__wrapped__", None))
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


def _plain(function: Any) -> Any:
    """The function itself, of a method, a partial or an object that can be called."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        elif function is None or isinstance(function, FunctionType):
            return function
        else:
            function = getattr(type(function), "__call__", None)  # noqa: B004 - of an object
            if not isinstance(function, FunctionType):
                return None


class _Reader:
    """One function being read."""

    def __init__(self, sources: Sources, function: FunctionType, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.sources, self.function, self.node = sources, function, node
        self.found = Found([], [], [], {})
        self.closure: dict[str, Any] = {}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            try:
                self.closure[name] = cell.cell_contents
            except ValueError:  # not filled yet
                pass
        self.assigned: dict[str, list[ast.expr]] = {}
        self.touched: set[str] = set()  # names whose value is changed in place
        self.checked: set[str] = set()  # names that are compared with None
        self.statuses: dict[str, list[ast.expr]] = {}  # what is set as the status of a response by that name
        self.parameters = {each.arg: each for each in _parameters(node)}
        self.first = next(iter(self.parameters), None)
        for each in self.own_nodes():
            self._note(each)

    def own_nodes(self) -> Iterator[ast.AST]:
        """Every node in its order, but those of functions defined inside, whose answers are not this one's."""
        waiting: list[ast.AST] = self.node.body[::-1]  # type: ignore[assignment]
        while waiting:
            node = waiting.pop()
            yield node
            if not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                waiting.extend(reversed(list(ast.iter_child_nodes(node))))

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._note_target(target, node.value)
                if isinstance(target, ast.Attribute) and target.attr == "status" and isinstance(target.value, ast.Name):
                    self.statuses.setdefault(target.value.id, []).append(node.value)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            self._note_target(node.target, node.value)
        elif isinstance(node, (ast.AugAssign, ast.For, ast.AsyncFor)):
            self._note_target(node.target, None)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._note_target(node.optional_vars, None)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            self.assigned.setdefault(node.name, []).append(ast.Name("_", ast.Load()))
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            self.touched.add(node.func.value.id)
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
            self.assigned.setdefault(node.name, []).append(ast.Name("_", ast.Load()))
        elif isinstance(node, (ast.If, ast.IfExp, ast.Assert)):
            self.checked.update(_compared_with_none(node.test))

    def _note_target(self, target: ast.expr, value: ast.expr | None) -> None:
        if isinstance(target, ast.Name):
            # A value that is not one expression stands as a name that is nowhere.
            self.assigned.setdefault(target.id, []).append(value if value is not None else ast.Name("_", ast.Load()))
        elif isinstance(target, (ast.Tuple, ast.List)):
            for each in target.elts:
                self._note_target(each, None)
        elif isinstance(target, (ast.Subscript, ast.Attribute)) and isinstance(target.value, ast.Name):
            self.touched.add(target.value.id)

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
                uses_db = _is_database(self.resolve(node))
            if isinstance(node, ast.Attribute) and node.attr in WRITES:
                writes = True
        if uses_db:
            self.found.refusals += known.DB_WRITE if writes else known.DB_READ
        if not generates and not _ends(self.node.body):
            self.found.replies.append(Reply(204, data=True))
        return self.found

    # -- names to values

    def resolve(self, node: ast.expr | None) -> Any:
        """The value of *node* as it is known before anything runs; ``_UNKNOWN`` if it is not."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Await):
            return self.resolve(node.value)
        if isinstance(node, ast.Name):
            return self.resolve_name(node.id)
        if isinstance(node, ast.Attribute):
            return _attribute(self.resolve(node.value), node.attr)
        if isinstance(node, ast.Call):
            made = self.resolve(node.func)
            if isinstance(made, type):
                return _Instance(made)
            kind = _returns(made)
            return _Instance(kind) if isinstance(kind, type) and kind is not type(None) else _UNKNOWN
        return _UNKNOWN

    def resolve_name(self, name: str) -> Any:
        if name in self.assigned:
            values = self.assigned[name]
            return self.resolve(values[0]) if len(values) == 1 and _is_simple(values[0], name) else _UNKNOWN
        if name in self.parameters:
            kind = self.function.__annotations__.get(name)
            if isinstance(kind, str):
                kind = self.named(kind)
            if isinstance(kind, type):
                return _Instance(kind)
            return _Instance(Request) if name == "request" else _UNKNOWN
        return self.named(name)

    def named(self, name: str) -> Any:
        for place in (self.closure, self.function.__globals__, vars(builtins)):
            if name in place:
                return place[name]
        return _UNKNOWN

    # -- what is called

    def called(self, node: ast.Call) -> None:
        callee = self.resolve(node.func)
        self.auth_call(node)
        self.query_read(node)
        key = _key(callee)
        if key is not None:
            self.known_call(key, node)
            return
        function = _plain(callee) if callable(callee) and not isinstance(callee, type) else None
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
            model = _argument(node, 0, "model")
            if model is None:
                self.found.bodies.append(Body({JSON: {}}))
                return
            kind = self.resolve(model)
            self.found.refusals += [known.NOT_JSON, known.UNFIT]
            self.found.bodies.append(Body({JSON: {} if kind is _UNKNOWN else self.sources.schemas.of(kind)}))
        elif reader == "form_data":
            self.found.bodies.append(Body({FORM: OBJECT, MULTIPART: OBJECT}))
        else:
            self.found.bodies.append(Body({ANY_MEDIA: BINARY}))

    def auth_call(self, node: ast.Call) -> None:
        """``supabase.auth.sign_up(...)``, whatever the client is called."""
        function = node.func
        if (
            isinstance(function, ast.Attribute)
            and isinstance(function.value, ast.Attribute)
            and function.value.attr == "auth"
            and self.is_client(function.value.value)
        ):
            self.found.refusals += known.AUTH_CALLS.get(function.attr, known.AUTH_CALL)

    def is_client(self, node: ast.expr) -> bool:
        """Whether *node* is what ``create_client()`` gave."""
        values = self.assigned.get(node.id, []) if isinstance(node, ast.Name) else [node]
        made = values[0].value if len(values) == 1 and isinstance(values[0], ast.Await) else None
        key = _key(self.resolve(made.func)) if isinstance(made, ast.Call) else None
        return key in ("auth.client.create_client", "auth.client.create_admin_client")

    def query_read(self, node: ast.Call) -> None:
        """``request.search_params.get("page")``: a field of the query that no annotation names."""
        function = node.func
        if not isinstance(function, ast.Attribute) or function.attr not in ("get", "get_all", "has"):
            return
        place = function.value
        if isinstance(place, ast.Name) and len(self.assigned.get(place.id, ())) == 1:
            place = self.assigned[place.id][0]
        name = self.resolve(_argument(node, 0, "name"))
        if isinstance(place, ast.Attribute) and place.attr == "search_params" and isinstance(name, str):
            text: Schema = {"type": "string"}
            self.found.query[name] = {"type": "array", "items": text} if function.attr == "get_all" else text
            self.found.refusals.append(known.TOO_MANY_FIELDS)

    # -- what is raised

    def raised(self, node: ast.expr | None) -> None:
        if node is None:
            return
        value = self.resolve(node)
        kind = value.kind if isinstance(value, _Instance) else value
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
        if isinstance(value, _Instance) and issubclass(value.kind, Response):
            return [Reply(None, ANY_MEDIA)]
        if isinstance(value, bytes):
            return [Reply(200, "application/octet-stream", BINARY, data=True)]
        return [Reply(200, JSON, self.schema_of(node), data=True)]

    def replies_of_call(self, node: ast.Call) -> list[Reply]:
        callee = self.resolve(node.func)
        key = _key(callee)
        if isinstance(callee, type) and issubclass(callee, Response):
            return self.constructed(node)
        if key is not None and key.startswith("http.response."):
            return self.made(key.rpartition(".")[2], node)
        if key == "templates.render":
            return self.rendered(node)
        function = _plain(callee) if callable(callee) and not isinstance(callee, type) else None
        if isinstance(function, FunctionType) and self.sources.is_own(function):
            return list(self.sources._read(function).replies)
        if isinstance(node.func, ast.Name) and node.func.id in self.parameters:
            return []  # next(request) of a middleware, or what a decorator is around: read by itself
        kind = _returns(callee)
        if key is not None and isinstance(kind, type) and issubclass(kind, Response):
            return [Reply(None, ANY_MEDIA)]
        if kind is not None and not (isinstance(kind, type) and issubclass(kind, Response)):
            return [Reply(200, JSON, self.schema_of(node), data=True)]
        if isinstance(callee, type):
            return [Reply(200, JSON, self.schema_of(node), data=True)]
        return [Reply(None, ANY_MEDIA, data=callee is _UNKNOWN)]

    def constructed(self, node: ast.Call) -> list[Reply]:
        body = _argument(node, 0, "body")
        value = self.resolve(body)
        media: str | None = ANY_MEDIA
        schema: Schema = {}
        if body is None or value is None:
            media = None
        elif isinstance(value, str) or isinstance(body, ast.JoinedStr) or _is_kind(value, str):
            media, schema = "text/plain", {"type": "string"}
        elif isinstance(value, bytes) or _is_kind(value, bytes):
            media, schema = "application/octet-stream", BINARY
        return self.with_status(node, 1, 200, media, schema)

    def made(self, how: str, node: ast.Call) -> list[Reply]:
        text: Schema = {"type": "string"}
        if how == "json":
            return self.with_status(node, 1, 200, JSON, self.schema_of(_argument(node, 0, "data")))
        if how in ("text", "html"):
            return self.with_status(node, 1, 200, "text/html" if how == "html" else "text/plain", text)
        if how == "redirect":
            return self.with_status(node, 1, 307, None, {}, headers=("Location",))
        if how == "stream":
            media = self.resolve(_argument(node, None, "media_type"))
            kind = media.partition(";")[0].strip() if isinstance(media, str) else "text/plain"
            if _argument(node, None, "media_type") is not None and not isinstance(media, str):
                kind = ANY_MEDIA
            return self.with_status(node, 1, 200, kind, text if kind.startswith("text/") else BINARY, streams=True)
        if how == "sse":
            return self.with_status(node, 1, 200, "text/event-stream", text, streams=True)
        if how == "file":
            return self.file(node)
        return [Reply(500)]  # Response.error()

    def file(self, node: ast.Call) -> list[Reply]:
        given = _argument(node, None, "media_type")
        media = self.resolve(given)
        if given is None:
            path = self.resolve(_argument(node, 0, "path"))
            media = mimetypes.guess_type(str(path))[0] if isinstance(path, (str, Path)) else None
        kind = media.partition(";")[0].strip() if isinstance(media, str) else ANY_MEDIA
        schema: Schema = {"type": "string"} if kind.startswith("text/") else BINARY
        replies = self.with_status(node, None, 200, kind, schema, streams=True)
        return [*replies, Reply(206, kind, schema, streams=True), Reply(304), Reply(416)]

    def rendered(self, node: ast.Call) -> list[Reply]:
        name = self.resolve(_argument(node, 0, "name"))
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
        given = _argument(node, place, "status")
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
        given = _argument(node, 2, "headers")
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

    # -- the shape of data

    def schema_of(self, node: ast.expr | None) -> Schema:
        """What is known of the JSON of *node*; ``{}`` if nothing is."""
        if isinstance(node, ast.Dict):
            return self.schema_of_dict(node)
        if isinstance(node, (ast.List, ast.Tuple)):
            items = [self.schema_of(each) for each in node.elts]
            same = bool(items) and all(each == items[0] for each in items)
            return {"type": "array", **({"items": items[0]} if same and items[0] else {})}
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            return {"type": "array"}
        if isinstance(node, ast.DictComp):
            return dict(OBJECT)
        if isinstance(node, ast.Constant):
            return _of_constant(node.value)
        if isinstance(node, ast.JoinedStr):
            return {"type": "string"}
        if isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            return {"type": "boolean"}
        if isinstance(node, ast.Await):
            return self.schema_of(node.value)
        if isinstance(node, ast.Name):
            return self.schema_of_name(node.id)
        if isinstance(node, ast.Call):
            return self.schema_of_call(node)
        return {}

    def schema_of_dict(self, node: ast.Dict) -> Schema:
        keys = [self.resolve(key) if key is not None else _UNKNOWN for key in node.keys]
        names = [key for key in keys if isinstance(key, str)]
        if len(names) != len(keys):  # ** or a key that is worked out
            return dict(OBJECT)
        shapes = [self.schema_of(value) for value in node.values]
        return {"type": "object", "properties": dict(zip(names, shapes, strict=True)), "required": names}

    def schema_of_name(self, name: str) -> Schema:
        values = self.assigned.get(name)
        if values is None:
            value = self.resolve_name(name)
            if isinstance(value, _Instance):
                return self.typed(value.kind)
            return _of_constant(value) if value is not _UNKNOWN else {}
        if len(values) != 1 or not _is_simple(values[0], name):
            return {}
        value = values[0].value if isinstance(values[0], ast.Await) else values[0]
        is_call = isinstance(value, ast.Call)
        shape = self.schema_of_call(value, there=name in self.checked) if is_call else self.schema_of(value)  # type: ignore[arg-type]
        if name in self.touched and "properties" in shape:  # filled or changed after it was made
            return dict(OBJECT)
        return shape

    def schema_of_call(self, node: ast.Call, *, there: bool = False) -> Schema:
        """What a call gives; *there*: None was looked for, and is no more."""
        callee = self.resolve(node.func)
        if isinstance(callee, type):
            return self.typed(callee)
        rows = self.schema_of_rows(node, there)
        if rows is not None:
            return rows
        kind = _without_none(_returns(callee)) if there else _returns(callee)
        return self.sources.schemas.of(kind) if kind is not None and _is_describable(kind) else {}

    def schema_of_rows(self, node: ast.Call, there: bool) -> Schema | None:
        """What a query gives, if it is one: rows, or one row, of the model that ``as_`` names."""
        steps: dict[str, ast.Call] = {}
        root: ast.expr = node
        while isinstance(root, ast.Call) and isinstance(root.func, ast.Attribute):
            steps[root.func.attr] = root
            root = root.func.value
        if not _is_database(self.resolve(root)) or not {"from_", "table", "sql"} & steps.keys():
            return None
        row = dict(OBJECT)
        if "as_" in steps:
            kind = self.resolve(_argument(steps["as_"], 0, "model"))
            row = self.typed(kind) if isinstance(kind, type) else {}
        if "single" not in steps:
            return {"type": "array", "items": row}
        return row if there or {"insert", "upsert"} & steps.keys() else {"anyOf": [row, {"type": "null"}]}

    def typed(self, kind: type) -> Schema:
        return self.sources.schemas.of(kind) if _is_describable(kind) else {}


# -- small questions


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    taken = node.args
    extra = [each for each in (taken.vararg, taken.kwarg) if each is not None]
    return [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, *extra]


def _is_simple(node: ast.expr, name: str) -> bool:
    """Whether *node* does not go back to *name* itself."""
    return not any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(node))


def _argument(node: ast.Call, place: int | None, name: str) -> ast.expr | None:
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
    if place is None or len(node.args) <= place or any(isinstance(each, ast.Starred) for each in node.args):
        return None
    return node.args[place]


def _attribute(value: Any, name: str) -> Any:
    """``value.name`` where looking it up runs no code of anybody's."""
    if value is _UNKNOWN or value is None:
        return _UNKNOWN
    if isinstance(value, _Instance):
        found = inspect.getattr_static(value.kind, name, _UNKNOWN)
        return found.__func__ if isinstance(found, (classmethod, staticmethod)) else found
    if isinstance(value, ModuleType):
        # A module of ours loads its names when they are first asked for.
        return getattr(value, name, _UNKNOWN) if value.__name__.startswith(PACKAGE) else vars(value).get(name, _UNKNOWN)
    if isinstance(value, enum.EnumMeta):
        return value.__members__.get(name, _UNKNOWN)
    found = inspect.getattr_static(value, name, _UNKNOWN)
    if isinstance(found, (classmethod, staticmethod)):
        return found.__func__
    return _UNKNOWN if isinstance(found, property) else found


def _key(value: Any) -> str | None:
    """``http.response.Response.json`` for a function or class of ours; None for anything else."""
    if isinstance(value, (MethodType, functools.partial)):
        value = getattr(value, "__func__", None) or value.func  # type: ignore[union-attr]
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module.partition(".")[0] != PACKAGE:
        return None
    return f"{module.partition('.')[2]}.{name}"


def _returns(function: Any) -> Any:
    """The annotation of what *function* returns; None if it has none or cannot be read."""
    function = _plain(function) if callable(function) and not isinstance(function, type) else None
    if function is None:
        return None
    try:
        return typing.get_type_hints(function, include_extras=True).get("return")
    except Exception:  # whatever evaluating somebody's annotation may raise
        return None


def _without_none(kind: Any) -> Any:
    members = typing.get_args(kind)
    if type(None) not in members or typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind
    return typing.Union[tuple(each for each in members if each is not type(None))]  # noqa: UP007 - made at run time


def _compared_with_none(test: ast.expr) -> Iterator[str]:
    """The names that *test* looks for None in: ``post is None``, ``not post``, ``post``."""
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name):
            if any(isinstance(each, ast.Constant) and each.value is None for each in node.comparators):
                yield node.left.id
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Name):
            yield node.operand.id
    if isinstance(test, ast.Name):
        yield test.id


def _is_database(value: Any) -> bool:
    if isinstance(value, ModuleType):  # ``from turnout import db`` may give the package, which stands for its database
        return value.__name__ == f"{PACKAGE}.db"
    kind = value.kind if isinstance(value, _Instance) else type(value)
    return kind.__name__ in ("Database", "Transaction") and str(kind.__module__).startswith(f"{PACKAGE}.db")


def _is_kind(value: Any, kind: type) -> bool:
    return isinstance(value, _Instance) and issubclass(value.kind, kind)


def _is_describable(kind: Any) -> bool:
    """Whether a schema of *kind* says what Turnout would write of it."""
    if kind in (Response, Request, FormData) or kind is type(None):
        return False
    try:
        info = msgspec.inspect.type_info(kind)
    except Exception:
        return hasattr(kind, "model_json_schema")
    return not isinstance(info, msgspec.inspect.CustomType) or hasattr(kind, "model_json_schema")


def _of_constant(value: Any) -> Schema:
    kinds: dict[type, str] = {str: "string", bool: "boolean", int: "integer", dict: "object", list: "array"}
    if value is None:
        return {"type": "null"}
    if type(value) is float:
        return {"type": "number"}
    name = kinds.get(type(value))
    return {"type": name} if name else {}


def _ends(body: list[ast.stmt]) -> bool:
    """Whether control never falls off the end of *body*."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, _DONE):
        return True
    if isinstance(last, ast.If):
        return _ends(last.body) and _ends(last.orelse)
    if isinstance(last, (ast.With, ast.AsyncWith)):
        return _ends(last.body)
    if isinstance(last, ast.Try):
        handled = all(_ends(each.body) for each in last.handlers)
        return _ends(last.finalbody) or (_ends(last.orelse or last.body) and handled)
    if isinstance(last, ast.Match):
        wild = any(isinstance(each.pattern, ast.MatchAs) and each.pattern.pattern is None for each in last.cases)
        return wild and all(_ends(each.body) for each in last.cases)
    if isinstance(last, ast.While):
        return isinstance(last.test, ast.Constant) and bool(last.test.value)
    return False
