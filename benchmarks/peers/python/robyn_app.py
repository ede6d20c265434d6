"""Robyn on its own server; validation by msgspec (item.py).

Run:  python robyn_app.py PORT --processes 1 --workers 1 --log-level WARN
"""

import sys
from urllib.parse import unquote_plus

from item import BadItem, answer, to_item
from robyn import Request, Response, Robyn, jsonify
from rows import ten_rows

HEADERS = {"content-type": "application/json"}
app = Robyn(__file__)


def reply(status: int, data: object) -> Response:
    return Response(status_code=status, headers=HEADERS, description=jsonify(data))


@app.get("/api/hello")
async def hello(request: Request) -> Response:
    return reply(200, {"message": "Hello World!"})


@app.get("/api/items/:id")
async def get_item(request: Request) -> Response:
    text = request.path_params["id"]
    if not (text.isascii() and text.isdigit()):
        return reply(404, {"error": "Not found"})
    q = request.query_params.get("q", None)  # as it was sent: Robyn does not decode it
    return reply(200, {"id": int(text), "q": unquote_plus(q) if q else None})


@app.post("/api/items")
async def add_item(request: Request) -> Response:
    body = request.body
    try:
        item = to_item(body)
    except BadItem as exc:
        return reply(422, {"error": str(exc)})
    return reply(201, answer(item))


@app.get("/api/articles")
async def articles(request: Request) -> Response:
    return reply(200, ten_rows())


if __name__ == "__main__":
    app.start(host="127.0.0.1", port=int(sys.argv[1]))
