"""What goes into an operation: what is refused while the parameters of a handler are filled, and their schemas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..http.form import FormData
from ..http.url import URLSearchParams
from ..routing.bind import Plan
from . import known
from .known import Refusal
from .model import REF, Schema

WRITES = frozenset({"POST", "PUT", "DELETE", "PATCH"})
_TEXT: Schema = {"type": "string"}
# What one segment of a path may be: anything but a dot segment, with neither NUL nor backslash in it.
_SEGMENT = r"^(?!\.{1,2}$)[^\\\u0000]+$"


def refusals_of_inputs(method: str, planned: Plan) -> Iterator[Refusal]:
    """What is refused while the parameters of a handler are filled."""
    if method in WRITES:
        yield known.TOO_LARGE
    for each in planned.parameters:
        if each.source == "path" and each.type not in (Any, str, list[str], list):
            yield Refusal(404, None, "There is no such resource")
        elif each.source == "query":
            yield known.TOO_MANY_FIELDS
            if each.type not in (Any, URLSearchParams):
                yield known.UNFIT
        elif each.source == "body":
            yield known.TOO_LARGE
            yield known.SLOW
            if each.type is FormData:
                yield from known.BAD_FORM
            elif each.type not in (bytes, str):
                yield from (known.BAD_JSON, known.NOT_JSON)
                if each.type not in (Any, object):
                    yield known.UNFIT


def schema_in_path(schema: Schema) -> Schema:
    """*schema* of a value in a path: never null, whole numbers of 64 bits, texts as a segment may have them."""
    schema = without_null(schema)
    kind = schema.get("type")
    if kind == "array":
        return {**schema, "items": schema_in_path(schema.get("items", _TEXT))}
    if kind == "integer":
        return {"minimum": -(2**63), "maximum": 2**63 - 1, **schema}
    if not schema or (kind == "string" and not {"format", "enum", "pattern"} & schema.keys()):
        return {"type": "string", "minLength": 1, "pattern": _SEGMENT, **schema}
    return schema


def without_null(schema: Schema) -> Schema:
    """*schema* of a value that is left out where it is null: no text says null."""
    kinds = schema.get("anyOf")
    if kinds is None:
        return schema
    left = [each for each in kinds if each != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)}
    return {**left[0], **rest} if len(left) == 1 else {"anyOf": left, **rest}


def followed(schema: Schema, components: dict[str, Schema]) -> Schema:
    while "$ref" in schema:
        schema = components[schema["$ref"].removeprefix(REF)]
    return schema
