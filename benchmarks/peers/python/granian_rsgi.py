"""A bare RSGI application for Granian, dispatching by hand: what a framework on that server starts from.

Run:  granian --interface rsgi --workers 1 --port PORT granian_rsgi:app
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

import msgspec
from item import answer as made
from item import to_item
from rows import ten_rows

HEADERS = [("content-type", "application/json")]


to_json = msgspec.json.Encoder().encode


def search_param(query: str, wanted: str) -> str | None:
    """The first value of *wanted* in *query*."""
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == wanted:
            return unquote_plus(value) if "%" in value or "+" in value else value
    return None


async def app(scope: Any, proto: Any) -> None:
    """Answer one request."""
    status, data = await answer(scope, proto)
    proto.response_bytes(status, HEADERS, to_json(data))


async def answer(scope: Any, proto: Any) -> tuple[int, object]:
    """Status and data for one request."""
    path = scope.path
    if path == "/api/hello":
        return 200, {"message": "Hello World!"}
    if path.startswith("/api/items/"):
        text = path[11:]
        if not (text.isascii() and text.isdigit()):
            return 404, {"error": "Not found"}
        return 200, {"id": int(text), "q": search_param(scope.query_string, "q")}
    if path == "/api/articles":
        return 200, ten_rows()
    if path == "/api/items" and scope.method == "POST":
        try:
            item = to_item(await proto())
        except msgspec.ValidationError as exc:
            return 422, {"error": str(exc)}
        except msgspec.DecodeError as exc:
            return 400, {"error": str(exc)}
        return 201, made(item)
    return 404, {"error": "Not found"}
