"""An OpenAPI document to a Contract, as far as two of them are compared: a version that was kept, or another's.

What OpenAPI has no field for (rate limits, body limits, other origins) is not there. Documents of 3.0 and 3.1 are
read, references within the document followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .model import Answer, Content, Contract, Operation, Parameter, Schema

_template = re.compile(r"\{([^{}]*)\}")


def from_openapi(document: dict[str, Any]) -> Contract:
    """The contract that *document* describes.

    Raises:
        ValueError: it is no OpenAPI 3 document.
    """
    if not str(document.get("openapi", "")).startswith("3.") or not isinstance(document.get("paths", {}), dict):
        raise ValueError("it is no OpenAPI 3 document")
    info = document.get("info") or {}
    schemas = (document.get("components") or {}).get("schemas") or {}
    try:
        operations = list(_operations(document))
    except (AttributeError, KeyError, TypeError) as exc:
        raise ValueError(f"it is no OpenAPI document: {exc}") from exc
    return Contract(str(info.get("title", "")), str(info.get("version", "")), operations, schemas)


def _operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, item in document.get("paths", {}).items():
        shared = item.get("parameters") or []
        for method in ("get", "head", "post", "put", "patch", "delete"):
            # Where there is GET, HEAD is the same without its body.
            if method in item and not (method == "head" and "get" in item):
                yield _operation(document, path, method, item[method], shared)


def _operation(document: dict[str, Any], path: str, method: str, given: dict[str, Any], shared: list[Any]) -> Operation:
    # One of the operation replaces one of the path that is called the same.
    found = [_followed(document, each) for each in [*shared, *(given.get("parameters") or [])]]
    parameters = {(each["in"], each["name"]): _parameter(each) for each in found}
    body = _followed(document, given.get("requestBody"))
    return Operation(
        method=method.upper(),
        path=_template.sub(r"[\1]", path),
        operation_id=given.get("operationId", ""),
        summary=given.get("summary", ""),
        description=given.get("description", ""),
        parameters=list(parameters.values()),
        body=Content(_media(body), bool(body.get("required"))) if body else None,
        answers=[_answer(status, _followed(document, each)) for status, each in (given.get("responses") or {}).items()],
        auth=_auth(given.get("security", document.get("security"))),
        rate_limit=None,
        body_limit=None,
        cors=None,
        streams=False,
        tags=[],
        file="",
        line=0,
    )


def _parameter(given: dict[str, Any]) -> Parameter:
    schema = given["schema"] if "schema" in given else next(iter(_media(given).values()), {})
    return Parameter(given["name"], given["in"], schema, bool(given.get("required")))


def _answer(status: str, given: dict[str, Any]) -> Answer:
    number = 0 if status == "default" else int(status[0]) * 100 if status.upper().endswith("XX") else int(status)
    return Answer(number, given.get("description", ""), _media(given), given.get("headers") or {}, [])


def _media(given: dict[str, Any]) -> dict[str, Schema]:
    return {media: each.get("schema", {}) for media, each in (given.get("content") or {}).items()}


def _auth(security: list[dict[str, Any]] | None) -> str | None:
    """The names of what lets a caller in; None where nothing has to."""
    if not security or {} in security:
        return None
    return " or ".join(sorted("+".join(sorted(each)) for each in security))


def _followed(document: dict[str, Any], given: Any) -> dict[str, Any]:
    """*given*, or what it refers to in the same document."""
    for _ in range(10):
        if not isinstance(given, dict) or "$ref" not in given:
            break
        ref, given = given["$ref"], document
        for part in ref.removeprefix("#/").split("/"):
            given = given[part.replace("~1", "/").replace("~0", "~")]
    return given or {}
