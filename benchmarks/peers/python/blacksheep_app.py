"""BlackSheep; its bodies are checked by msgspec (item.py), which costs less than its own binding by pydantic.

Run:  granian --interface asgi blacksheep_app:app
"""

from blacksheep import Application, Request, Response, get, json, post
from item import BadItem, answer, to_item
from rows import ten_rows

app = Application()


@get("/api/hello")
async def hello() -> Response:
    return json({"message": "Hello World!"})


@get("/api/items/{id}")
async def get_item(id: int, q: str | None = None) -> Response:
    return json({"id": id, "q": q})


@post("/api/items")
async def add_item(request: Request) -> Response:
    try:
        item = to_item(await request.read() or b"")
    except BadItem as exc:
        return json({"error": str(exc)}, 422)
    return json(answer(item), 201)


@get("/api/articles")
async def articles() -> Response:
    return json(ten_rows())
