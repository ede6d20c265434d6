"""An error to a response, the only place: RFC 9457 problem details.

What was raised on purpose (HTTPError, DbError) shapes the answer; anything else shows its
title, status and the request id, which the log line carries too.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from ..errors import DbError, HTTPError
from . import jsontext
from .request import Request
from .response import Response

PROBLEM = "application/problem+json"
_RENAMED = {413: "Content Too Large", 422: "Unprocessable Content"}  # by RFC 9110
# What a database error may say to a client: text of its own would quote row values.
_DB_DETAILS = {
    400: "The data was refused by the database",
    403: "That is not allowed",
    409: "That conflicts with what is stored",
    503: "The database is not available right now",
}


@cache
def title(status: int) -> str:
    """The reason phrase of RFC 9110 section 15, or ``Error``."""
    from http import HTTPStatus

    if status in _RENAMED:
        return _RENAMED[status]
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"


def status_of(exc: BaseException) -> int:
    """The status that *exc* ends a request with; 500 for what nobody raised on purpose."""
    return exc.status if isinstance(exc, (HTTPError, DbError)) else 500


def to_problem(exc: BaseException, request: Request, *, debug: bool = False) -> Response:
    """The problem response for *exc*.

    Args:
        exc: What ended the request.
        request: For its id.
        debug: True in development: an unexpected exception shows its type and text.
    """
    status = status_of(exc)
    problem: dict[str, Any] = {"type": "about:blank", "title": title(status), "status": status}
    headers: list[tuple[str, str]] = []
    if isinstance(exc, HTTPError):
        problem["type"] = exc.type
        if exc.detail is not None:
            problem["detail"] = exc.detail
        if exc.code is not None:
            problem["code"] = exc.code
        if exc.errors is not None:
            problem["errors"] = list(exc.errors)
        headers.extend(exc.headers)
    elif isinstance(exc, DbError):
        detail = str(exc) if debug else _DB_DETAILS.get(status)
        if detail is not None:
            problem["detail"] = detail
        problem["code"] = exc.code
    elif debug:
        problem["detail"] = f"{type(exc).__name__}: {exc}"
    problem["instance"] = request.id
    if request.problem_members is not None:
        problem |= request.problem_members(problem)
    response = Response._made(jsontext.dumps(problem), PROBLEM, status, None)
    for name, value in headers:
        response.headers.append(name, value)
    return response
