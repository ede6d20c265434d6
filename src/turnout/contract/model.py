"""What a project promises to whoever calls it, as plain data: one operation a route and method.

Schemas are JSON Schema 2020-12, named ones referred to as ``{"$ref": "#/components/schemas/Post"}``.
Everything here goes to JSON and back by msgspec, so that two versions of a contract can be compared.
How it is found is in ``read.py``, how it is written as OpenAPI in ``openapi.py``.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

REF = "#/components/schemas/"

Schema = dict[str, Any]


class Parameter(Struct, frozen=True):
    """One value that a call carries outside its body.

    Args:
        name: As it stands on the wire.
        schema: Of its value; of a list, where the name may come several times.
    """

    name: str
    place: Literal["path", "query", "header", "cookie"]
    schema: Schema
    required: bool
    description: str = ""


class Content(Struct, frozen=True):
    """A body that an operation takes.

    Args:
        media: Media type to schema; ``{}`` for anything, ``{"type": "string", "format": "binary"}`` for bytes.
    """

    media: dict[str, Schema]
    required: bool = True
    description: str = ""


class Answer(Struct, frozen=True):
    """What an operation may answer with one status.

    Args:
        media: Media type to schema; empty where there is no body.
        headers: Field name to OpenAPI header object, where the field is part of the promise.
        codes: The ``code`` values that a problem of this status may carry.
    """

    status: int
    description: str
    media: dict[str, Schema]
    headers: dict[str, dict[str, Any]]
    codes: list[str]


class Cors(Struct, frozen=True):
    """Which other origins' pages may read the answers."""

    origins: list[str]
    credentials: bool = False


class Operation(Struct, frozen=True):
    """One method of one route.

    Args:
        path: The pattern as its folders spell it: ``/api/posts/[id]``.
        auth: The route's ``auth`` constant; None where it has none.
        rate_limit: The route's ``rate_limit`` constant, such as ``20/min``.
        body_limit: Bytes that its body may have; None for the project's own limit.
        streams: Whether an answer may come piece by piece.
        file: Where it is defined, from the project's folder.
        line: The line in *file* of its function, counted from 1.
    """

    method: str
    path: str
    operation_id: str
    summary: str
    description: str
    parameters: list[Parameter]
    body: Content | None
    answers: list[Answer]
    auth: str | None
    rate_limit: str | None
    body_limit: int | None
    cors: Cors | None
    streams: bool
    tags: list[str]
    file: str
    line: int


class Contract(Struct, frozen=True):
    """Everything that a project promises.

    Args:
        schemas: The named schemas, by name.
    """

    title: str
    version: str
    operations: list[Operation]
    schemas: dict[str, Schema]
