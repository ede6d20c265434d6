"""Answers of the database to HTTP: bodies, ``Content-Range``, and the status of every error.

Statuses are PostgREST's (https://docs.postgrest.org/en/stable/references/errors.html). They
differ from those of an error that a route did not catch: here names come from the client, so that
an unknown table is its mistake (404) and not ours (500).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import DbError
from ..http import jsontext
from ..http.headers import Headers
from ..http.response import Response
from .accept import Wanted
from .build import Page, Rows
from .csv import to_csv
from .errors import not_one

Pairs = Iterable[tuple[str, str]]
_BY_CODE = {
    "23503": 409, "23505": 409, "25006": 405, "42P01": 404, "42883": 404, "42P17": 500, "55P03": 503, "P0001": 400,
    "PGRST000": 503, "PGRST001": 503, "PGRST002": 503, "PGRST003": 504, "PGRST101": 405, "PGRST103": 416,
    "PGRST106": 406, "PGRST107": 406, "PGRST116": 406, "PGRST117": 405, "PGRST125": 404, "PGRST126": 404,
    "PGRST201": 300, "PGRST202": 404, "PGRST203": 300, "PGRST205": 404, "PGRST300": 500, "PGRST301": 401,
    "PGRST302": 401, "PGRST303": 401,
}  # fmt: skip
_BY_CLASS = {
    "08": 503, "09": 500, "0L": 403, "0P": 403, "25": 500, "28": 403, "2D": 500, "38": 500, "39": 500, "3B": 500,
    "40": 500, "53": 503, "54": 500, "55": 500, "57": 500, "58": 500, "F0": 500, "HV": 500, "P0": 500, "XX": 500,
}  # fmt: skip


def status_of(exc: DbError, *, anonymous: bool) -> int:
    """The status of *exc* on the wire; what a visitor may not do, a user perhaps may (401)."""
    code = exc.code
    if code == "42501":
        return 401 if anonymous else 403
    if code in _BY_CODE:
        return _BY_CODE[code]
    if code[:2] == "PT" and code[2:].isdigit() and 200 <= int(code[2:]) <= 599:
        return int(code[2:])  # raise sqlstate 'PT402': a function's own status
    if code[:2] == "54" and exc.__cause__ is None and exc.status < 500:
        return exc.status  # a limit of ours, which the client has passed
    return _BY_CLASS.get(code[:2], 400)


def refusal(exc: DbError, *, anonymous: bool = False, status: int | None = None, headers: Pairs = ()) -> Response:
    """*exc* as the response that clients of PostgREST know."""
    status = status or status_of(exc, anonymous=anonymous)
    if exc.status in (405, 406, 414, 416) and exc.code[:5] != "PGRST":
        status = exc.status
    details: Any = exc.details
    if exc.code == "PGRST201" and details is not None:
        details = jsontext.loads(details.encode())  # the relationships to choose from
    elif exc.code[:2] == "08":
        details = None  # it names the server
    body = {"code": exc.code, "details": details, "hint": exc.hint, "message": exc.message}
    fields = [("content-type", "application/json; charset=utf-8"), *headers]
    if status == 401:
        fields.append(("www-authenticate", "Bearer"))
    return Response(jsontext.dumps(body), status, fields)


def content_range(offset: int, rows: int, total: int | None) -> str:
    """``0-9/57``: which rows these are, and of how many."""
    span = f"{offset}-{offset + rows - 1}" if rows else "*"
    return f"{span}/{'*' if total is None else total}"


def total_of(found: Page | Rows[Any]) -> int | None:
    """How many rows there are beyond this page, if they were counted."""
    return found.total if isinstance(found, Page) else found.count


def reply(
    found: Page | Rows[Any], wanted: Wanted, status: int, headers: Sequence[tuple[str, str]],
    *, send: bool = True, check: bool = True,
) -> Response:  # fmt: skip
    """*found* as what is *wanted*, or PGRST116 if that is one row and it is not.

    Args:
        send: The body is sent, which a HEAD has none of.
        check: The number of rows is known to matter.
    """
    rows = found.rows if isinstance(found, Page) else len(found)
    if check and wanted.kind == "object" and rows != 1:
        raise not_one(rows)
    body = body_of(found, wanted) if send else b""
    response = Response._made(body, wanted.type, status, None)
    response._headers = Headers.from_checked([("content-type", wanted.type), *headers])
    return response


def body_of(found: Page | Rows[Any], wanted: Wanted) -> bytes:
    """The text of the answer."""
    if isinstance(found, Page):
        return found.body.encode()
    if wanted.kind == "csv":
        return to_csv(found)
    data: Any = stripped(found) if wanted.strip else found
    return jsontext.dumps(data[0] if wanted.kind == "object" else data)


def stripped(value: Any) -> Any:
    """*value* without the members of objects that are null."""
    if isinstance(value, dict):
        return {name: stripped(each) for name, each in value.items() if each is not None}
    return [stripped(each) for each in value] if isinstance(value, list) else value
