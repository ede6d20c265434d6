"""What a write on the wire brings: JSON, CSV or a form, to rows of the columns that it means.

Several objects must name the same columns, unless ``columns=`` says which ones count; then a key
that a row leaves out is NULL, or its column's default under ``Prefer: missing=default``.
"""

from __future__ import annotations

from typing import Any

from ..errors import BadRequest
from ..http import jsontext
from ..http.media import parse_media_type
from ..http.request import Request
from ..http.url import parse_fields
from .build import Row
from .csv import parse_csv
from .errors import error
from .parse import parse_array
from .schema import Table

_MISMATCH = "All object keys must match"


async def read_rows(request: Request, columns: tuple[str, ...] | None, *, defaults: bool) -> list[Row]:
    """The rows of an insert.

    Args:
        columns: The columns that count, if the request names them.
        defaults: What a row leaves out is its column's default, not NULL.

    Raises:
        DbError: PGRST102 for a body that is none, or whose rows differ in their columns.
    """
    found = await _read(request)
    rows = found if isinstance(found, list) else [found]
    if not all(isinstance(row, dict) for row in rows):
        raise error("PGRST102", _MISMATCH)
    if columns is not None:
        if defaults:
            return [{name: row[name] for name in columns if name in row} for row in rows]
        return [{name: row.get(name) for name in columns} for row in rows]
    if any(row.keys() != rows[0].keys() for row in rows):
        raise error("PGRST102", _MISMATCH, hint='name the columns that count: columns="a","b"')
    first = tuple(rows[0]) if rows else ()
    return [{name: row[name] for name in first} for row in rows]  # in one order, which makes them one statement


async def read_patch(request: Request, columns: tuple[str, ...] | None) -> Row:
    """The new values of an update."""
    found = await _read(request)
    if isinstance(found, list):
        found = found[0] if len(found) == 1 else {} if not found else None
    if not isinstance(found, dict):
        raise error("PGRST102", "an update takes one object")
    return found if columns is None else {name: found[name] for name in columns if name in found}


def fit(row: Row, table: Table | None) -> Row:
    """*row* with the two spellings that JSON brings and ``db`` does not take.

    An array may come as the text ``{a,b}``, and text as the JSON that it is to hold.
    """
    if table is None:
        return row
    fitted = row
    for name, value in row.items():
        column = table.columns.get(name)
        if column is None or column.type.name in ("json", "jsonb"):
            continue
        found = value
        if column.type.array and isinstance(value, str):
            found = parse_array(value)
        elif column.type.name in ("text", "varchar") and not column.type.array and isinstance(value, (dict, list)):
            found = jsontext.dumps(value).decode()
        if found is not value:
            fitted = {**fitted, name: found}
    return fitted


async def read_arguments(request: Request) -> Any:
    """The arguments of a call: an object, or whatever a function's one unnamed parameter takes."""
    body = await request.bytes()
    return {} if not body.strip() else await _read(request)


async def _read(request: Request) -> Any:
    kind = parse_media_type(request.content_type) if request.content_type else None
    essence = kind.essence if kind is not None else "application/json"
    body = await request.bytes()
    if essence == "text/csv":
        return parse_csv(_utf8(body))
    if essence == "application/x-www-form-urlencoded":
        return dict(parse_fields(_utf8(body), request.limits.max_fields))
    if essence not in ("application/json", "application/vnd.pgrst.object+json", "application/vnd.pgrst.array+json"):
        raise error("PGRST102", f"Content-Type not acceptable: {essence[:100]}", hint="application/json, text/csv")
    if not body.strip():
        raise error("PGRST102", "Empty or invalid json")
    try:
        return jsontext.loads(body)
    except BadRequest as exc:
        raise error("PGRST102", "Empty or invalid json", details=exc.detail) from None


def _utf8(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error("PGRST102", "the body is not UTF-8") from None
