"""A loaded project to its Contract.

What goes in is read from the same plan of a handler's signature that calls it (``routing/bind.py``), so the two
cannot disagree. What comes out is read from the annotation of what it returns and from its source
(``source.py``), to which come the refusals of Turnout itself: those of the route's constants, of reading the
path, the query and the body, and those that every route has.
"""

from __future__ import annotations

import functools
import inspect
import re
import tomllib
import types
import typing
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ..app import Route
from ..http.form import FormData
from ..http.response import Response
from ..http.url import URLSearchParams
from ..project import Project
from ..routing.bind import Plan, plan
from ..routing.manifest import RouteFile
from ..routing.module import RouteConfig, load_error, load_middleware, load_module, read_exports
from ..routing.pattern import Pattern
from . import known
from .answers import PROBLEM, Answers
from .inputs import followed, refusals_of_inputs, schema_in_path, without_null
from .known import BINARY, FORM, JSON, MULTIPART, OBJECT, Refusal
from .model import REF, Content, Contract, Cors, Operation, Parameter, Schema
from .schemas import Schemas
from .source import ANY_MEDIA, Body, Found, Reply, Sources

_TEXT: Schema = {"type": "string"}
_PROBLEM: Schema = {
    "title": PROBLEM,
    "description": "Problem details of RFC 9457.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": {**_TEXT, "description": "What is wrong, for people."},
        "code": {**_TEXT, "description": "What is wrong, for programs."},
        "instance": {**_TEXT, "description": "The id of the request, which is in the log too."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"pointer": _TEXT, "message": _TEXT, "type": _TEXT},
                "required": ["pointer", "message", "type"],
            },
        },
    },
    "required": ["type", "title", "status", "instance"],
}
_ITERATORS = (AsyncIterable, Generator, Iterator)


def read(project: Project) -> Contract:
    """Everything that *project*'s route files promise.

    Files of ``public/``, the routes of Supabase's clients and the probes are no part of it.

    Raises:
        ConfigError: a file of a route cannot be loaded.
    """
    schemas = Schemas()
    reader = _Reader(project, schemas, Sources(project.root, schemas))
    drafts = [draft for file in project.manifest.routes for draft in reader.route(file)]
    schemas.named(PROBLEM, _PROBLEM)
    schemas.settle()
    names = _Names()
    operations = [draft.operation(schemas, names) for draft in drafts]
    title, version = _about(project.root)
    return Contract(title, version, operations, _reachable(operations, schemas.components))


def _about(root: Path) -> tuple[str, str]:
    """The name and version that ``pyproject.toml`` gives the project."""
    try:
        about = tomllib.loads((root / "pyproject.toml").read_text()).get("project", {})
    except (OSError, ValueError):
        about = {}
    return str(about.get("name") or root.name), str(about.get("version") or "0.0.0")


class _Draft(Struct):
    """One operation, before the schemas of its types are there."""

    method: str
    pattern: Pattern
    plan: Plan | None
    found: Found
    config: RouteConfig
    summary: str
    description: str
    file: str
    line: int
    cors: Cors | None
    replies: list[Reply]
    refusals: list[Refusal]
    typed: dict[str, Schema]  # of the parameters of the plan, by their names
    headers: list[Parameter] = []
    error_replies: list[Reply] = []
    error_as_raised: bool = False  # its error.py answers with the status of what was raised

    def operation(self, schemas: Schemas, names: _Names) -> Operation:
        answers = Answers()
        for reply in self.replies:
            answers.reply(reply)
        for refusal in self.refusals:
            answers.refusal(refusal)
        answers.from_error_files(self.error_replies, self.error_as_raised)
        answers.limits(self.config)
        return Operation(
            method=self.method,
            path=self.pattern.text,
            operation_id=names.take(self.method, self.pattern),
            summary=self.summary,
            description=self.description,
            parameters=[*self._path(), *self._query(schemas), *self.headers],
            body=self._body(),
            answers=answers.made(bodiless=self.method == "HEAD"),
            auth=self.config.auth,
            rate_limit=self.config.rate_limit,
            body_limit=self.config.body_limit,
            cors=self.cors,
            streams=any(reply.streams for reply in self.replies),
            tags=_tags(self.pattern),
            file=self.file,
            line=self.line,
        )

    def _path(self) -> list[Parameter]:
        made = []
        for segment in self.pattern.segments:
            if segment.kind == "static":
                continue
            schema = schema_in_path(self.typed.get(segment.name, _TEXT))
            several = segment.kind != "param"
            if several and schema.get("type") != "array":
                schema = {"type": "array", "items": schema}
            if segment.kind == "rest":
                schema = {"minItems": 1, **schema}
            said = "Segments of the path, parted by /" if several else ""
            made.append(Parameter(segment.name, "path", schema, segment.kind != "optional_rest", said))
        return made

    def _query(self, schemas: Schemas) -> list[Parameter]:
        made: dict[str, Parameter] = {}
        model = next((each for each in self.plan.parameters if each.source == "query"), None) if self.plan else None
        if model is not None and model.type not in (Any, URLSearchParams):
            whole = followed(self.typed["query"], schemas.components)
            needed = whole.get("required", ())
            for name, schema in whole.get("properties", {}).items():
                about = schema.get("description", "") if "$ref" not in schema else ""
                made[name] = Parameter(name, "query", without_null(schema), name in needed, about)
            if "properties" not in whole:
                made["query"] = Parameter("query", "query", {**OBJECT, **whole}, False, "Any fields")
        for name, schema in self.found.query.items():
            made.setdefault(name, Parameter(name, "query", schema, False))
        return list(made.values())

    def _body(self) -> Content | None:
        media: dict[str, Schema] = {}
        taken = next((each for each in self.plan.parameters if each.source == "body"), None) if self.plan else None
        if taken is not None:
            if taken.type is FormData:
                media = {FORM: OBJECT, MULTIPART: OBJECT}
            elif taken.type is bytes:
                media = {ANY_MEDIA: BINARY}
            elif taken.type is str:
                media = {"text/plain": _TEXT}
            else:
                media = {JSON: self.typed["body"]}
        for body in self.found.bodies:
            for kind, schema in body.media.items():
                if media.get(kind, schema) != schema:
                    schema = {}  # read in two ways
                media[kind] = schema
        if len(media) > 1:
            media.pop(ANY_MEDIA, None)  # the same bytes, looked at before they are parsed
        # Bytes and text may be none at all; JSON and forms are refused then.
        return Content(media, required=not {ANY_MEDIA, "text/plain"} & media.keys()) if media else None


class _Reader:
    """The route files of one project, read one after another."""

    def __init__(self, project: Project, schemas: Schemas, sources: Sources) -> None:
        self.project, self.schemas, self.sources = project, schemas, sources
        self.routes: dict[str, Route] = {route.pattern.text: route for route in project.app.routes}

    def route(self, file: RouteFile) -> Iterator[_Draft]:
        """The operations of one file, those that Turnout adds to it last."""
        root = self.project.root
        module = load_module(file.file, root)
        exports = read_exports(module, file.file)
        drafts = {
            method: self.handler(method, handler, file, exports.config, inspect.cleandoc(module.__doc__ or ""))
            for method, handler in exports.handlers.items()
        }
        yield from drafts.values()
        if "GET" in drafts and "HEAD" not in drafts:
            yield replace(drafts["GET"], method="HEAD", summary=f"{drafts['GET'].summary} (no body)".strip())
        if "OPTIONS" not in drafts:
            yield self.options(next(iter(drafts.values())))

    def handler(
        self, method: str, handler: Callable[..., Any], file: RouteFile, config: RouteConfig, about_file: str
    ) -> _Draft:
        """One handler with everything around it."""
        planned = plan(handler, file.pattern, file.file)
        function = inspect.unwrap(handler)
        found = self.sources.read(handler)
        is_own = self.sources.is_own(function)
        said = inspect.cleandoc(getattr(function, "__doc__", None) or "") if is_own else ""
        summary, _, rest = said.partition("\n")
        typed = {
            each.name: self.schemas.of(each.type)
            for each in planned.parameters
            if each.source in ("path", "query", "body") and each.type not in (URLSearchParams, FormData)
        }
        draft = _Draft(
            method=method,
            pattern=file.pattern,
            plan=planned,
            found=found,
            config=config,
            summary=summary.strip(),
            description=rest.strip() if said else about_file,
            file=file.file.relative_to(self.project.root).as_posix(),
            line=function.__code__.co_firstlineno if is_own else 1,
            cors=self.cors(file),
            replies=self.replies(planned.returns, found, handler),
            refusals=[*known.ALWAYS, *found.refusals, *refusals_of_inputs(method, planned)],
            typed=typed,
        )
        self.guards(draft)
        self.decorators(draft, handler)
        self.around(draft, file)
        return draft

    def cors(self, file: RouteFile) -> Cors | None:
        route = self.routes.get(file.pattern.text)
        found = route.cors if route is not None else None
        return None if found is None else Cors(sorted(found.origins), found.credentials)

    def replies(self, returns: Any, found: Found, handler: Callable[..., Any]) -> list[Reply]:
        """What a handler answers: by its annotation, and where that says no more than Response by its source."""
        replies = found.replies
        if _is_webhook(handler):
            return [Reply(200, JSON, known.WEBHOOK_ANSWER)]
        if returns is Any:
            return [_settled(each) for each in replies] or ([] if found.was_read else [Reply(200, JSON)])
        said = [reply for kind in _members(returns) for reply in self.annotated(kind, found)]
        # A Response that is made is seen, whatever the annotation says.
        return [*said, *(each for each in replies if not each.data and each.media != ANY_MEDIA and each not in said)]

    def annotated(self, kind: Any, found: Found) -> Iterator[Reply]:
        """The replies that one member of the annotation speaks of."""
        if kind is None or kind is type(None):
            if not found.was_read or any(each.status == 204 for each in found.replies):
                yield Reply(204)
        elif typing.get_origin(kind) is typing.Annotated and _is_response(typing.get_args(kind)[0]):
            yield from self.promised(typing.get_args(kind)[1:], found)
        elif _is_response(kind):
            yield from (each for each in found.replies if not each.data)
            if not any(not each.data for each in found.replies):
                yield Reply(None, ANY_MEDIA)
        elif kind is bytes:
            yield Reply(200, "application/octet-stream", BINARY)
        elif _is_iterator(kind):
            yield Reply(200, "text/plain", _TEXT, streams=True)
        else:
            yield Reply(200, JSON, self.schemas.of(kind))

    def promised(self, notes: Iterable[Any], found: Found) -> Iterator[Reply]:
        """``Annotated[Response, Post]``: the source says which statuses there are, the note what data they carry."""
        kinds = [note for note in notes if isinstance(note, type) or typing.get_origin(note) is not None]
        schema = self.schemas.of(kinds[0]) if kinds else {}
        made = [each for each in found.replies if not each.data and each.status is not None]
        carries = [each for each in made if each.media == JSON and each.status < 300]  # type: ignore[operator]
        if not carries:
            yield Reply(200, JSON, schema)
        for each in made:
            yield replace(each, schema=schema) if each in carries else each

    def guards(self, draft: _Draft) -> None:
        """What the route's constants refuse."""
        config = draft.config
        word = config.auth
        if word is not None and word != "public":
            draft.refusals.append(known.SIGNED_OUT)
            is_user = word == "user" or word in self.project.config.auth.roles
            if is_user:
                draft.refusals += [known.WRONG_ROLE, known.CROSS_ORIGIN]
            if is_user and self.project.config.auth.pages and draft.method == "GET":
                draft.replies = [*draft.replies, Reply(303, None, {}, ("Location",))]
        if config.rate_limit is not None:
            draft.refusals.append(known.OVER_LIMIT)
        if draft.method == "GET" and (config.cache is not None or config.revalidate):
            draft.replies = [*draft.replies, Reply(304)]  # what is kept has an ETag

    def decorators(self, draft: _Draft, handler: Any) -> None:
        """What ``@idempotent`` and an object that takes webhooks add."""
        while handler is not None:
            if _is_idempotent(handler):
                required = bool(inspect.getclosurevars(handler).nonlocals.get("required"))
                draft.refusals += [*known.IDEMPOTENT, *([known.NO_KEY] if required else [])]
                draft.headers = [
                    Parameter(
                        "Idempotency-Key",
                        "header",
                        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
                        required,
                        "A text of your own, new for each operation and the same when it is sent again.",
                    )
                ]
            elif _is_webhook(handler):
                draft.refusals += [known.VERIFY, known.TOO_LARGE, known.SLOW]
                draft.found = replace(draft.found, bodies=[*draft.found.bodies, Body({JSON: {}})])
            handler = handler.func if isinstance(handler, functools.partial) else getattr(handler, "__wrapped__", None)

    def around(self, draft: _Draft, file: RouteFile) -> None:
        """What the ``middleware.py`` and ``error.py`` files of the route's folders answer."""
        root = self.project.root
        for each in file.middleware:
            found = self.sources.read(load_middleware(each, root))
            draft.replies = [*draft.replies, *(reply for reply in found.replies if not reply.data)]
            draft.refusals += found.refusals
        for each in file.errors:
            found = self.sources.read(load_error(each, root))
            draft.error_replies = [*draft.error_replies, *(each for each in found.replies if not each.data)]
            draft.error_as_raised |= found.writes_status_of_error

    def options(self, draft: _Draft) -> _Draft:
        """The ``OPTIONS`` that Turnout answers, which no guard and no middleware is in front of."""
        return _Draft(
            method="OPTIONS",
            pattern=draft.pattern,
            plan=None,
            found=Found(),
            config=RouteConfig(),
            summary="Which methods there are",
            description="",
            file=draft.file,
            line=draft.line,
            cors=draft.cors,
            replies=[Reply(204, None, {}, ("Allow",))],
            refusals=list(known.ALWAYS),
            typed={},  # whatever the values in the path are
        )


def _is_webhook(handler: Any) -> bool:
    """Whether *handler* is what ``stripe.webhook()`` and its like give."""
    kind = type(handler)
    return kind.__name__ == "Webhook" and kind.__module__.endswith(".webhooks.hook")


def _is_idempotent(handler: Any) -> bool:
    """Whether *handler* is what ``@idempotent`` gives."""
    names = getattr(handler, "__globals__", {})
    return str(names.get("__name__")).endswith(".idempotency") and hasattr(handler, "__wrapped__")


# -- what comes out


def _members(kind: Any) -> list[Any]:
    """The members of a union, which *kind* may be."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        members = typing.get_args(kind)
        data = [each for each in members if not _is_response_like(each) and each is not type(None)]
        rest = [each for each in members if _is_response_like(each) or each is type(None)]
        # Two kinds of data are one answer, which is either.
        return [*([typing.Union[tuple(data)]] if data else []), *rest]  # noqa: UP007 - made at run time
    return [kind]


def _is_response_like(kind: Any) -> bool:
    return _is_response(typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind)


def _is_response(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Response)


def _is_iterator(kind: Any) -> bool:
    origin = typing.get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, _ITERATORS)


def _settled(reply: Reply) -> Reply:
    """A reply of a handler without an annotation: what is not seen to be a Response is data."""
    return replace(reply, status=200, media=JSON) if reply.data and reply.status is None else reply


# -- names


class _Names:
    """Operation ids, each given once: ``get_api_posts_by_id``."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def take(self, method: str, pattern: Pattern) -> str:
        parts = [method.lower()]
        for segment in pattern.segments:
            word = re.sub(r"[^a-z0-9]+", "_", segment.name.lower()).strip("_")
            parts += [word] if segment.kind == "static" else ["by", word]
        wanted = name = "_".join(part for part in parts if part) if len(parts) > 1 else f"{parts[0]}_root"
        at = 2
        while name in self.taken:
            name, at = f"{wanted}_{at}", at + 1
        self.taken.add(name)
        return name


def _tags(pattern: Pattern) -> list[str]:
    """The first word of the path that says what it is about."""
    words = [segment.name for segment in pattern.segments if segment.kind == "static"]
    return [word for word in words if word != "api" and not re.fullmatch(r"v\d+", word)][:1]


def _reachable(operations: list[Operation], components: dict[str, Schema]) -> dict[str, Schema]:
    """The components that the operations refer to, themselves or through others."""
    needed: set[str] = set()

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            name = str(value.get("$ref", "")).removeprefix(REF)
            if name in components and name not in needed:
                needed.add(name)
                visit(components[name])
            for each in value.values():
                visit(each)
        elif isinstance(value, list):
            for each in value:
                visit(each)

    for operation in operations:
        visit([each.schema for each in operation.parameters])
        visit([each.media for each in operation.answers])
        visit(operation.body.media if operation.body is not None else {})
    return {name: schema for name, schema in components.items() if name in needed}
