"""Starlette with its JSONResponse; validation by msgspec (item.py), as Starlette brings none.

Run:  uvicorn starlette_app:app
"""

import asyncio
from collections.abc import AsyncIterator

from item import BadItem, answer, to_item
from rows import add_note, ten_rows
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"message": "Hello World!"})


async def get_item(request: Request) -> JSONResponse:
    return JSONResponse({"id": request.path_params["id"], "q": request.query_params.get("q")})


async def add_item(request: Request) -> JSONResponse:
    try:
        item = to_item(await request.body())
    except BadItem as exc:
        return JSONResponse({"error": str(exc)}, 422)
    return JSONResponse(answer(item), 201)


async def articles(request: Request) -> JSONResponse:
    return JSONResponse(ten_rows())


async def get_user(request: Request) -> JSONResponse:
    from users import one_user

    user = await one_user(request.path_params["id"])
    return JSONResponse(user, 200 if user else 404)


async def create_note(request: Request) -> JSONResponse:
    note = await request.json()
    return JSONResponse({"id": add_note(note["title"], note["body"])}, 201)


async def upload(request: Request) -> JSONResponse:
    return JSONResponse({"size": len(await request.body())})


async def ticks() -> AsyncIterator[str]:
    n = 0
    while True:
        yield f'data: {{"n":{n}}}\n\n'
        n += 1
        await asyncio.sleep(0.05)


async def events(request: Request) -> StreamingResponse:
    return StreamingResponse(ticks(), media_type="text/event-stream")


app = Starlette(
    routes=[
        Route("/api/hello", hello),
        Route("/api/items/{id:int}", get_item),
        Route("/api/items", add_item, methods=["POST"]),
        Route("/api/articles", articles),
        Route("/api/users/{id:int}", get_user),
        Route("/api/notes", create_note, methods=["POST"]),
        Route("/api/upload", upload, methods=["POST"]),
        Route("/api/events", events),
    ]
)
