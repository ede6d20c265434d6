"""Litestar, validating with the msgspec structs it is made for; without its OpenAPI pages.

Run:  uvicorn litestar_app:app
"""

from item import Item, answer
from litestar import Litestar, get, post
from rows import ten_rows


@get("/api/hello")
async def hello() -> dict[str, str]:
    return {"message": "Hello World!"}


@get("/api/items/{id:int}")
async def get_item(id: int, q: str | None = None) -> dict[str, int | str | None]:
    return {"id": id, "q": q}


@post("/api/items")
async def add_item(data: Item) -> dict[str, object]:
    return answer(data)


@get("/api/articles")
async def articles() -> list[dict[str, object]]:
    return ten_rows()


app = Litestar([hello, get_item, add_item, articles], openapi_config=None)
