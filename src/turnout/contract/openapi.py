"""A Contract as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1.html).

A parameter of the path is one segment in OpenAPI, so ``[...x]`` is written as one with a word about the others,
and ``[[...x]]`` as two paths. What differs between two versions of a contract is not looked for here.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from ..http.problem import title
from ..routing.pattern import Pattern, Segment
from .known import BINARY
from .model import Answer, Content, Contract, Operation, Parameter, Schema

VERSION = "3.1.0"
SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, the service key or a secret."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "sb-localhost-auth-token",
        "description": "The cookies of a browser that is signed in. In the place of localhost stands the first label "
        "of the host; a long session is kept in several cookies, whose names end in .0, .1 and so on.",
    },
    "apikey": {"type": "apiKey", "in": "header", "name": "apikey", "description": "The service key or a secret."},
}
_NOT_USERS = ("service", "secret")


def openapi(contract: Contract) -> dict[str, Any]:
    """The document of *contract*, as data that ``json`` can write."""
    paths: dict[str, dict[str, Any]] = {}
    used: set[str] = set()
    for operation in contract.operations:
        schemes = _schemes(operation)
        used.update(schemes)
        for number, (path, parameters) in enumerate(_paths(operation)):
            written = _operation(operation, parameters, schemes)
            if number:
                written["operationId"] += "_all"
            paths.setdefault(path, {})[operation.method.lower()] = written
    document: dict[str, Any] = {
        "openapi": VERSION,
        "info": {"title": contract.title, "version": contract.version},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": contract.schemas},
    }
    if used:
        document["components"]["securitySchemes"] = {name: SCHEMES[name] for name in SCHEMES if name in used}
    tags = sorted({tag for operation in contract.operations for tag in operation.tags})
    if tags:
        document["tags"] = [{"name": tag} for tag in tags]
    return document


def _operation(operation: Operation, parameters: list[Parameter], schemes: list[str]) -> dict[str, Any]:
    written: dict[str, Any] = {"operationId": operation.operation_id}
    if operation.tags:
        written["tags"] = operation.tags
    if operation.summary:
        written["summary"] = operation.summary
    about = [operation.description, *_remarks(operation)]
    if any(about):
        written["description"] = "\n\n".join(filter(None, about))
    if parameters:
        written["parameters"] = [_parameter(each) for each in parameters]
    if operation.body is not None:
        written["requestBody"] = _body(operation.body)
    written["responses"] = {
        str(answer.status) if answer.status else "default": _answer(answer) for answer in operation.answers
    }
    if schemes:
        written["security"] = [{name: []} for name in schemes]
    return written


def _remarks(operation: Operation) -> list[str]:
    """What OpenAPI has no field for."""
    said = []
    if operation.rate_limit:
        said.append(f"Rate limit: {operation.rate_limit}.")
    if operation.body_limit:
        said.append(f"The body may have {operation.body_limit:,} bytes.")
    if operation.auth and operation.auth not in ("public", "user", *_NOT_USERS) and ":" not in operation.auth:
        said.append(f"For users with the role {operation.auth}.")
    return said


def _schemes(operation: Operation) -> list[str]:
    """Which of ``SCHEMES`` let a caller in; none where everybody may call."""
    word = (operation.auth or "public").partition(":")[0]
    if word == "public":
        return []
    return ["bearer", "apikey"] if word in _NOT_USERS else ["bearer", "session"]


def _paths(operation: Operation) -> list[tuple[str, list[Parameter]]]:
    """The path templates of *operation*, each with its parameters."""
    segments = Pattern.parse(operation.path).segments
    whole = "/" + "/".join(map(_template, segments))
    made = [(whole, operation.parameters)]
    if segments and segments[-1].kind == "optional_rest":
        left_out = segments[-1].name
        kept = [each for each in operation.parameters if (each.place, each.name) != ("path", left_out)]
        made.append(("/" + "/".join(map(_template, segments[:-1])), kept))
    return made


def _template(segment: Segment) -> str:
    if segment.kind != "static":
        return "{" + segment.name + "}"
    from urllib.parse import quote

    return quote(segment.name, safe="-._~!$&'()*+,;=:@")


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema, about = parameter.schema, parameter.description
    if parameter.place == "path" and schema.get("type") == "array":
        # Written as a list it would be one segment with commas in it.
        schema, about = schema.get("items", {}), "One segment; more may follow, parted by /."
    written: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required or parameter.place == "path",
        "schema": schema,
    }
    if about:
        written["description"] = about
    return written


def _body(body: Content) -> dict[str, Any]:
    written: dict[str, Any] = {"required": body.required, "content": _content(body.media)}
    if body.description:
        written["description"] = body.description
    return written


def _answer(answer: Answer) -> dict[str, Any]:
    about = answer.description or title(answer.status)
    if answer.codes:
        about += f" (code: {', '.join(answer.codes)})"
    written: dict[str, Any] = {"description": about}
    if answer.headers:
        written["headers"] = answer.headers
    if answer.media and answer.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        written["content"] = _content(answer.media)
    return written


def _content(media: dict[str, Schema]) -> dict[str, Any]:
    """Bytes have no schema in OpenAPI 3.1: the media type says all there is."""
    return {kind: {} if schema == BINARY else {"schema": schema} for kind, schema in media.items()}
