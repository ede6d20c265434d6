"""FastAPI as its guide has it: pydantic models in, return types as response models out.

Run:  uvicorn fastapi_app:app
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from rows import add_note, ten_rows

app = FastAPI()


class Found(BaseModel):
    id: int
    q: str | None = None


class Item(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    price: Annotated[float, Field(ge=0)]
    quantity: Annotated[int, Field(ge=1)]
    tags: list[str] = []


class Made(BaseModel):
    name: str
    tags: list[str]
    total: float


class Article(BaseModel):
    id: int
    title: str
    views: int
    body: str


class Note(BaseModel):
    title: str
    body: str


@app.get("/api/hello")
async def hello() -> dict[str, str]:
    return {"message": "Hello World!"}


@app.get("/api/items/{id}")
async def get_item(id: int, q: str | None = None) -> Found:
    return Found(id=id, q=q)


@app.post("/api/items", status_code=201)
async def add_item(item: Item) -> Made:
    return Made(name=item.name, tags=item.tags, total=item.price * item.quantity)


@app.get("/api/articles", response_model=list[Article])
async def articles() -> Any:
    return ten_rows()


@app.get("/api/users/{id}")
async def get_user(id: int) -> dict[str, Any]:
    from users import one_user

    user = await one_user(id)
    if user is None:
        raise HTTPException(404)
    return user


@app.post("/api/notes", status_code=201)
async def create_note(note: Note) -> dict[str, int]:
    return {"id": add_note(note.title, note.body)}


@app.post("/api/upload")
async def upload(request: Request) -> dict[str, int]:
    return {"size": len(await request.body())}


async def ticks() -> AsyncIterator[str]:
    n = 0
    while True:
        yield f'data: {{"n":{n}}}\n\n'
        n += 1
        await asyncio.sleep(0.05)


@app.get("/api/events")
async def events() -> StreamingResponse:
    return StreamingResponse(ticks(), media_type="text/event-stream")
