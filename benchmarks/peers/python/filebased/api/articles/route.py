from typing import Any

from pydantic import BaseModel
from rows import ten_rows


class Article(BaseModel):
    id: int
    title: str
    views: int
    body: str


async def get() -> list[Article]:
    rows: Any = ten_rows()
    return rows
