"""Calls of stored functions on the wire: ``/rest/v1/rpc/name``.

A POST brings its arguments as JSON and may write; a GET or HEAD brings them in the query, where a
pair whose value begins with an operator is a filter of the result, and runs read-only. Only
PostgreSQL has functions to call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..errors import BadRequest
from ..http import jsontext
from ..http.response import Response
from .build import Page, Rows
from .errors import error
from .parse import WIRE_OPS, parse_array, parse_query
from .plan import choose
from .rest_body import read_arguments

if TYPE_CHECKING:
    from .rest import Call
    from .schema import Argument, Function

_RESERVED = frozenset(
    {"select", "order", "limit", "offset", "and", "or", "not.and", "not.or", "columns", "on_conflict"}
)
_FILTER = re.compile(rf"(?:not\.)?(?:{'|'.join(sorted(WIRE_OPS))})(?:\([A-Za-z0-9_]+\))?\.")
_WHOLE = ("",)  # the name of a parameter that has none


async def call(request: Call, name: str) -> Response:
    """Call the function *name* and answer with what it gives."""
    if not request.reads and request.method != "POST":
        raise error("PGRST101", f"Cannot use the {request.method[:20]} method on RPC", status=405)
    engine = request.database.engine
    schema = await engine.known()
    pairs = request.pairs
    if request.reads:
        given, pairs = _split(pairs)
        function = choose(schema, name, tuple(given))
        arguments = _from_query(function, given)
    else:
        body = await read_arguments(request.request)
        function, arguments = _from_body(schema, name, body)
    asked, limit, offset = request.capped(parse_query(pairs, len(arguments)), len(arguments))
    count = request.prefer.count
    head = request.method == "HEAD" and count is not None
    statement = replace(
        asked.select(name, count=count, head=head), call=tuple(arguments), explain=request.wanted.explain
    )
    void = function.type.name == "void" and function.table is None and not function.columns
    form = request.form()
    if not function.many and form.body == "json":
        form = replace(form, body="object")
    found = await request.run(
        "select" if request.reads else "rpc", statement, (*arguments.values(), *asked.values), form
    )
    if void:
        return Response(None, 204, request.applied())
    if not isinstance(found, Page):
        found = _rows(name, found)
    return request.page(found, limit, offset, head, one=not function.many)


def _rows(name: str, found: Any) -> Rows[Any]:
    """What a function gave as rows; a plain value is in the column of the function's name."""
    listed = found if isinstance(found, Rows) else [] if found is None else [found]
    total = found.count if isinstance(found, Rows) else None
    return Rows((each if isinstance(each, dict) else {name: each} for each in listed), total)


def _split(pairs: list[tuple[str, str]]) -> tuple[dict[str, list[str]], list[tuple[str, str]]]:
    """The arguments of a call by GET, and the rest of the query."""
    given: dict[str, list[str]] = {}
    rest = []
    for name, text in pairs:
        if name in _RESERVED or "." in name or _FILTER.match(text):
            rest.append((name, text))
        else:
            given.setdefault(name, []).append(text)
    return given, rest


def _from_query(function: Function, given: dict[str, list[str]]) -> dict[str, Any]:
    types = {argument.name: argument for argument in function.arguments}
    return {name: _argument(types[name], texts) for name, texts in given.items()}


def _argument(argument: Argument, texts: list[str]) -> Any:
    """The value that *texts* mean for *argument*; one that is variadic may be given many times."""
    if argument.variadic:
        return parse_array(texts[0]) if len(texts) == 1 and texts[0].startswith("{") else texts
    text = texts[-1]
    if argument.type.array:
        return parse_array(text)
    if argument.type.name in ("json", "jsonb"):
        try:
            return jsontext.loads(text.encode())
        except (BadRequest, UnicodeEncodeError):
            raise error("22P02", "invalid input syntax for type json", details=text[:100]) from None
    return text


def _from_body(schema: Any, name: str, body: Any) -> tuple[Function, dict[str, Any]]:
    """The function that *body* fits: by the names in it, or as the one value of an unnamed parameter."""
    whole = _takes_whole(schema.functions.get(name, ()))
    if not isinstance(body, dict):
        if isinstance(body, list) and len(body) == 1 and whole is None and isinstance(body[0], dict):
            body = body[0]  # CSV of one line
        elif whole is None:
            choose(schema, name, _WHOLE, posted=True)
            raise error("PGRST102", "the arguments of a function are one object")
    if whole is not None and not (isinstance(body, dict) and _fits(schema.functions[name], body)):
        return whole, {"": body}
    return choose(schema, name, tuple(body), posted=True), dict(body)


def _takes_whole(overloads: Sequence[Function]) -> Function | None:
    found = [
        each for each in overloads
        if len(each.arguments) == 1 and not each.arguments[0].name and each.arguments[0].type.name in ("json", "jsonb")
    ]  # fmt: skip
    return found[0] if len(found) == 1 else None


def _fits(overloads: Sequence[Function], body: dict[str, Any]) -> bool:
    return any(set(body) == {argument.name for argument in each.arguments} for each in overloads)
