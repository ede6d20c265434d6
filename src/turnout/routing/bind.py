"""A handler's signature to its call: read once at load, so that a request only pays for what it uses.

Parameters are filled by name: ``request``, ``params``, ``query``, ``body`` and the slugs of
the route. A path parameter that does not convert is a 404, since no such resource exists; a
query or body that does not fit is a 422 (``http/jsontext.py``). ``def`` handlers run in a
thread, by a function that the app gives. Which method a handler answers is not known here.
"""

from __future__ import annotations

import enum
import functools
import re
import sys
import types
import typing
from collections.abc import Awaitable, Callable, Iterable
from datetime import date, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from ..errors import ConfigError, NotFound
from ..http import jsontext
from ..http.request import Request
from ..http.response import Response, to_response
from ..http.url import URLSearchParams, flat_fields, parse_fields
from .pattern import RESERVED, Kind, Pattern
from .signature import (
    EMPTY,
    KEYWORD_ONLY,
    POSITIONAL_ONLY,
    VAR_KEYWORD,
    VAR_POSITIONAL,
    Given,
    is_coroutine_function,
    is_generator_function,
    read_signature,
    unwrap,
)

Endpoint = Callable[[Request], Awaitable[Response]]
Handler = Callable[..., Any]
Awaited = Callable[..., Awaitable[Any]]
RunSync = Callable[..., Awaitable[Any]]

Call = Callable[[Request], Awaitable[Any]]
Fill = Callable[[Request], Any]
LATER: Any = object()  # in place of a body that has not come yet


class Parameter(Struct, frozen=True):
    """One parameter of a handler: where its value comes from, and as what.

    Args:
        type: The resolved annotation, ``Annotated`` kept; Any if there is none. That of
            ``request`` and ``params`` is not looked at and always Any.
        by_keyword: Whether it is passed by name.
    """

    name: str
    source: Literal["request", "params", "path", "query", "body"]
    type: Any
    by_keyword: bool = False


class Read(NamedTuple):
    """How a body is read: at once, which gives ``LATER`` where that cannot be, and by waiting for it."""

    now: Callable[[Request], Any]
    later: Callable[[Request], Awaitable[Any]]


class Plan(Struct, frozen=True):
    """How a handler is called, and the resolved annotation of what it returns (Any if unknown)."""

    parameters: tuple[Parameter, ...]
    returns: Any


def plan(handler: Handler, pattern: Pattern, where: Path | str) -> Plan:
    """Read the signature of *handler*.

    Args:
        where: The route's file, for the message where the handler's own is not known.

    Raises:
        ConfigError: a parameter that nothing can fill, or an annotation that cannot be resolved.
    """
    site = _Site(handler, pattern, where)
    try:
        signature = read_signature(handler)
    except (TypeError, ValueError):
        raise site.error("has no signature that Python can read", "wrap it in an async def function") from None
    parameters: list[Parameter] = []
    by_keyword = False
    for parameter in signature.parameters:
        source = _source_of(parameter, pattern)
        if source is None:
            _check_can_stay_empty(parameter, site)
            by_keyword = True  # what follows can only be passed by name
            continue
        named = by_keyword or parameter.kind == KEYWORD_ONLY
        annotation = Any if source in ("request", "params") else site.resolve(parameter.name, parameter.annotation)
        parameters.append(Parameter(parameter.name, source, annotation, named))
    try:
        returns = site.resolve("return", signature.returns)
    except ConfigError:  # nothing depends on it but documentation
        returns = Any
    return Plan(tuple(parameters), returns)


def bind(handler: Handler, pattern: Pattern, where: Path | str, run_sync: RunSync) -> Endpoint:
    """Make the coroutine function that calls *handler* for a request and gives its Response.

    Args and Raises: as ``calling``.
    """
    return responding(calling(handler, pattern, where, run_sync))


def responding(call: Call) -> Endpoint:
    """*call* with what it gives made a Response: for what stands around a handler and looks at its answer."""

    async def endpoint(request: Request) -> Response:
        result = await call(request)
        return result if type(result) is Response else to_response(result)

    return endpoint


def calling(handler: Handler, pattern: Pattern, where: Path | str, run_sync: RunSync) -> Call:
    """Make the function that calls *handler* for a request; to be awaited, it gives what the handler returns.

    Args:
        where: The route's file, for messages.
        run_sync: ``await run_sync(function, *args)`` runs a function in a thread, in the
            context of the caller.

    Raises:
        ConfigError: as ``plan``, or a type that a path, query or body cannot be read as.
    """
    site = _Site(handler, pattern, where)
    parameters = plan(handler, pattern, where).parameters
    call = _as_async(handler, run_sync)
    fills = [_fill(parameter, site) for parameter in parameters if parameter.source != "body"]
    read = next((_read(parameter, site) for parameter in parameters if parameter.source == "body"), None)
    sources = [parameter.source for parameter in parameters]
    if any(parameter.by_keyword for parameter in parameters) or (read is not None and sources[-1] != "body"):
        return _any_order(call, parameters, fills, read)
    if sources[:1] != ["request"] or len(fills) > 3:
        return _any_fills(call, fills, read)
    return _request_first(call, fills[1:]) if read is None else _request_first_body_last(call, fills[1:], read)


# -- the calls, by shape. Where it is common they have neither a list nor a dictionary, and no coroutine of their own
# around the handler's. The body is always read last: a path that does not exist is refused without waiting for it.


def _request_first(call: Awaited, fills: list[Fill]) -> Call:
    if not fills:
        return call
    if len(fills) == 1:
        (fill,) = fills
        return lambda request: call(request, fill(request))
    first, second = fills
    return lambda request: call(request, first(request), second(request))


def _request_first_body_last(call: Awaited, fills: list[Fill], read: Read) -> Call:
    now, later = read

    if not fills:

        def called(request: Request) -> Awaitable[Any]:
            body = now(request)
            if body is LATER:
                return _with_body(call, [request], later(request))
            return call(request, body)

    elif len(fills) == 1:
        (fill,) = fills

        def called(request: Request) -> Awaitable[Any]:
            value, body = fill(request), now(request)
            return (
                call(request, value, body) if body is not LATER else _with_body(call, [request, value], later(request))
            )

    else:
        first, second = fills

        def called(request: Request) -> Awaitable[Any]:
            values, body = [request, first(request), second(request)], now(request)
            return _with_body(call, values, later(request)) if body is LATER else call(*values, body)

    return called


async def _with_body(call: Awaited, values: list[Any], body: Awaitable[Any]) -> Any:
    return await call(*values, await body)


def _any_fills(call: Awaited, fills: list[Fill], read: Read | None) -> Call:
    if read is None:
        return lambda request: call(*[fill(request) for fill in fills])
    later = read.later
    return lambda request: _with_body(call, [fill(request) for fill in fills], later(request))


def _any_order(call: Awaited, parameters: tuple[Parameter, ...], fills: list[Fill], read: Read | None) -> Call:
    body_at = next((at for at, parameter in enumerate(parameters) if parameter.source == "body"), 0)
    names = [parameter.name for parameter in parameters if parameter.by_keyword]
    split = len(parameters) - len(names)  # those by keyword come after all others

    async def called(request: Request) -> Any:
        values = [fill(request) for fill in fills]
        if read is not None:
            values.insert(body_at, await read.later(request))
        return await call(*values[:split], **dict(zip(names, values[split:], strict=True)))

    return called


def _as_async(handler: Handler, run_sync: RunSync) -> Awaited:
    """*handler* as something to await."""

    if is_coroutine_function(handler):
        return handler

    if is_generator_function(handler):

        async def iterate(*args: Any, **named: Any) -> Any:
            return handler(*args, **named)  # runs nothing yet: the response iterates

        return iterate

    async def in_thread(*args: Any, **named: Any) -> Any:
        result = await run_sync(functools.partial(handler, **named) if named else handler, *args)
        # A plain wrapper around an async handler gives its coroutine back.
        return await result if isinstance(result, Awaitable) else result

    return in_thread


# -- reading the signature


class _Site:
    """The handler being read, and where it stands in the user's files."""

    def __init__(self, handler: Handler, pattern: Pattern, where: Path | str) -> None:
        self.pattern, self.where = pattern, where
        self.given: dict[str, Any] = getattr(handler, "keywords", {})  # what a partial has filled itself
        target: Any = unwrap(handler)
        while isinstance(target, functools.partial):
            target = unwrap(target.func)
        if not hasattr(target, "__code__"):
            target = getattr(type(target), "__call__", target)  # noqa: B004 - of an object
        self.code = getattr(target, "__code__", None)
        self.globals: dict[str, Any] = getattr(target, "__globals__", {})
        self.name = getattr(handler, "__name__", None) or type(handler).__name__

    def error(self, problem: str, cure: str) -> ConfigError:
        return ConfigError(
            f"{self.name} of {self.pattern.text} {problem}",
            file=self.code.co_filename if self.code else self.where,
            line=self.code.co_firstlineno if self.code else None,
            cure=cure,
        )

    def resolve(self, name: str, annotation: Any) -> Any:
        """The annotation as a type; Any if there is none."""
        if annotation is EMPTY:
            return Any
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            return typing.get_type_hints(holder, globalns=self.globals, include_extras=True)[name]
        except Exception as exc:
            raise self.error(
                f"has the annotation {annotation!r} on {name!r}, which cannot be resolved: {exc}",
                "import or define the type at the top level of the file, not only under TYPE_CHECKING",
            ) from exc


def _source_of(parameter: Given, pattern: Pattern) -> Literal["request", "params", "path", "query", "body"] | None:
    if parameter.kind in (VAR_POSITIONAL, VAR_KEYWORD):
        return None
    if parameter.name in RESERVED:
        return typing.cast('Literal["request", "params", "query", "body"]', parameter.name)
    return "path" if parameter.name in pattern.slugs else None


def _check_can_stay_empty(parameter: Given, site: _Site) -> None:
    if parameter.kind in (VAR_POSITIONAL, VAR_KEYWORD):
        stars = "*" if parameter.kind == VAR_POSITIONAL else "**"
        raise site.error(
            f"takes {stars}{parameter.name}, which nothing fills",
            "name the parameters; if a decorator hides them, give its wrapper @functools.wraps(function)",
        )
    # A default would hide the mistake: ``page: int = 1`` looks like a query parameter and would always be 1.
    kept = parameter.name.startswith("_") or parameter.name in site.given
    if not kept or parameter.default is EMPTY or parameter.kind == POSITIONAL_ONLY:
        names = ", ".join([*site.pattern.slugs, *RESERVED])
        raise site.error(
            f"has a parameter that nothing can fill: {parameter.name!r}",
            f"rename it to one of {names}; what is in the query comes with query: Model, or from request.search_params",
        )


# -- filling the parameters


def _fill(parameter: Parameter, site: _Site) -> Fill:
    name = parameter.name
    if parameter.source == "request":
        return lambda request: request
    if parameter.source == "params":
        return attrgetter("params")
    if parameter.source == "query":
        return _fill_query(parameter, site)
    kind = next(segment.kind for segment in site.pattern.segments if segment.name == name and segment.kind != "static")
    try:
        convert = _path_converter(parameter.type, kind)
    except TypeError as exc:
        raise site.error(f"has a path parameter {name!r} of a type that no path holds: {exc}", _PATH_CURE) from None
    if convert is None:
        return lambda request: request.params[name]
    return lambda request: convert(request.params[name])


def _fill_query(parameter: Parameter, site: _Site) -> Fill:
    if parameter.type in (Any, URLSearchParams):
        return attrgetter("search_params")
    try:
        convert = jsontext.text_converter(parameter.type)
    except Exception as exc:  # a model may fail in any way of its own, such as a name it cannot resolve
        raise site.error(
            f"cannot read its query as {parameter.type!r}: {exc}",
            "annotate query with a msgspec Struct, a dataclass, a TypedDict or a pydantic model",
        ) from exc

    convert_flat = jsontext.flat_converter(parameter.type)

    def fill(request: Request) -> Any:
        # What request.search_params is made of, without making it.
        query, most = request._query, request.limits.max_query_fields
        if query is None:
            query = request.target.partition("?")[2]
        if convert_flat is not None:
            flat = flat_fields(query, most)
            if flat is not None:
                return convert_flat(flat)
        return convert(parse_fields(query, most))

    return fill


def _read(parameter: Parameter, site: _Site) -> Read:
    form = sys.modules.get("turnout.http.form")  # where nobody has loaded it, nobody means it
    if form is not None and parameter.type is form.FormData:
        return Read(_not_now, Request.form_data)
    if parameter.type is bytes:
        return Read(_not_now, Request.bytes)
    if parameter.type is str:
        return Read(_not_now, Request.text)
    try:
        decode = jsontext.decoder(parameter.type)
    except Exception as exc:  # as above
        raise site.error(
            f"cannot read its body as {parameter.type!r}: {exc}",
            "annotate body with a msgspec Struct, a dataclass, a TypedDict, a pydantic model, FormData, bytes or str",
        ) from exc

    def now(request: Request) -> Any:
        body = request.json_body()
        return LATER if body is None else decode(body)

    return Read(now, lambda request: request.decode_json(decode))


def _not_now(request: Request) -> Any:
    return LATER


# -- path parameters: text to value, or NotFound

_PATH_CURE = (
    "use str, int, float, bool, UUID, date, datetime, an Enum, a Literal or Annotated[..., msgspec.Meta(...)], "
    "and list[...] of these for [...x] and [[...x]]"
)
_is_float = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch
_BOOLS = {"true": True, "false": False, "1": True, "0": False}

Convert = Callable[[Any], Any]


def _path_converter(annotation: Any, kind: Kind) -> Convert | None:
    """What turns the raw value of a path parameter into *annotation*; None where it stays as it is.

    Raises:
        TypeError: there is no such conversion.
    """
    annotation = _bare(annotation)
    if annotation in (Any, object):
        return None
    if typing.get_origin(annotation) is typing.Annotated:
        return _constrained(annotation, kind)
    if kind == "param":
        return _text_converter(annotation)
    if annotation is not list and typing.get_origin(annotation) is not list:
        raise TypeError(f"{annotation!r} where the path gives a list[str]")
    (item,) = typing.get_args(annotation) or (str,)
    convert = _path_converter(item, "param")
    return None if convert is None else lambda texts: [convert(text) for text in texts]


def _bare(annotation: Any) -> Any:
    """*annotation* without an alias, a NewType or ``| None`` around it."""
    if hasattr(annotation, "__value__"):  # a ``type X = ...`` statement
        return _bare(annotation.__value__)
    if isinstance(annotation, typing.NewType):
        return _bare(annotation.__supertype__)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(annotation) if kind is not types.NoneType]
        if len(kinds) == 1:
            return _bare(kinds[0])
    return annotation


def _constrained(annotation: Any, kind: Kind) -> Convert | None:
    convert = _path_converter(typing.get_args(annotation)[0], kind)
    if not any(isinstance(note, msgspec.Meta) for note in annotation.__metadata__):
        return convert
    msgspec.json.Decoder(annotation)  # so that a constraint that does not fit its type is an error at load

    def constrained(raw: Any) -> Any:
        try:
            return msgspec.convert(raw if convert is None else convert(raw), annotation)
        except msgspec.ValidationError:
            raise NotFound from None

    return constrained


def _text_converter(annotation: Any) -> Convert | None:
    if annotation is str:
        return None
    if annotation is int:
        return _to_int
    if annotation is float:
        return _to_float
    if annotation is bool:
        return _one_of(_BOOLS.items())
    if annotation in (UUID, date, datetime):
        return functools.partial(_to_standard, annotation)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _one_of((_to_text(member.value), member) for member in annotation)
    if typing.get_origin(annotation) is Literal:
        return _one_of((_to_text(value), value) for value in typing.get_args(annotation))
    raise TypeError(getattr(annotation, "__name__", None) or repr(annotation))


def _to_int(text: str) -> int:
    # int() alone would take "1_000", "+1", " 1" and digits of other scripts: several paths
    # for one resource. More than 64 bits fit no database, which would answer 500.
    if text.isdecimal() and text.isascii() and len(text) < 19:
        return int(text)
    digits = text[1:] if text.startswith("-") else text
    if digits.isdecimal() and digits.isascii() and len(digits) <= 19:
        value = int(text)
        if -(2**63) <= value < 2**63:
            return value
    raise NotFound


def _to_float(text: str) -> float:
    if _is_float(text):
        value = float(text)
        if abs(value) != float("inf"):
            return value
    raise NotFound


def _to_standard(kind: Any, text: str) -> Any:
    try:
        return msgspec.convert(text, kind)
    except msgspec.ValidationError:
        raise NotFound from None


def _one_of(choices: Iterable[tuple[str, Any]]) -> Convert:
    table = dict(choices)

    def choose(text: str) -> Any:
        if text not in table:
            raise NotFound
        return table[text]

    return choose


def _to_text(value: Any) -> str:
    """How *value* is written in a path."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value.value if isinstance(value, enum.Enum) else value)
    raise TypeError(f"the choice {value!r}, which is neither text nor a whole number")
