"""A bare RSGI application for Granian, dispatching by hand: what a framework on that server starts from.

Run:  granian --interface rsgi --workers 1 --port PORT granian_rsgi:app
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote_plus

import msgspec

HEADERS = [("content-type", "application/json")]


class Item(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    price: Annotated[float, msgspec.Meta(ge=0)]
    quantity: Annotated[int, msgspec.Meta(ge=1)]
    tags: list[str] = []


to_json = msgspec.json.Encoder().encode
to_item = msgspec.json.Decoder(Item).decode


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
    if path == "/api/items" and scope.method == "POST":
        try:
            item = to_item(await proto())
        except msgspec.ValidationError as exc:
            return 422, {"error": str(exc)}
        except msgspec.DecodeError as exc:
            return 400, {"error": str(exc)}
        return 201, {"name": item.name, "tags": item.tags, "total": item.price * item.quantity}
    return 404, {"error": "Not found"}
