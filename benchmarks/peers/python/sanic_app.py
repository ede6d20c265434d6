"""Sanic on its own server; validation by msgspec (item.py).

Run:  sanic sanic_app:app --single-process --no-access-logs --port PORT
"""

from item import BadItem, answer, to_item
from rows import ten_rows
from sanic import HTTPResponse, Request, Sanic, json

app = Sanic("benchmark")


@app.get("/api/hello")
async def hello(request: Request) -> HTTPResponse:
    return json({"message": "Hello World!"})


@app.get("/api/items/<id:int>")
async def get_item(request: Request, id: int) -> HTTPResponse:
    return json({"id": id, "q": request.args.get("q")})


@app.post("/api/items")
async def add_item(request: Request) -> HTTPResponse:
    try:
        item = to_item(request.body)
    except BadItem as exc:
        return json({"error": str(exc)}, 422)
    return json(answer(item), 201)


@app.get("/api/articles")
async def articles(request: Request) -> HTTPResponse:
    return json(ten_rows())
